/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files of records: read with suspicion, written whole or not at all. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/state.h"
#include "daemon/text.h"

/**
 * state_read_file() - the content of a record's file
 * @dir_fd: its folder
 * @name: of the file
 * @ret: owned by the caller, free(): @ret_size bytes and a NUL
 * @ret_size: bytes
 *
 * Return: 0, -EBADMSG if it is no regular file or larger than any record, -ENOMEM, or a negative
 * errno.
 */
int state_read_file(int dir_fd, const char *name, char **ret, size_t *ret_size) {
        size_t n = 0;
        struct stat st;
        ssize_t k = 0;
        char *buf;
        int fd, r;

        /* whatever somebody has put there: no link is followed, no pipe waited for */
        fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return -errno;

        if (fstat(fd, &st) < 0) {
                r = -errno;
                close(fd);
                return r;
        }

        if (!S_ISREG(st.st_mode) || st.st_size > RECORD_SIZE_MAX) {
                close(fd);
                return -EBADMSG;
        }

        buf = malloc(RECORD_SIZE_MAX + 1);
        if (!buf) {
                close(fd);
                return -ENOMEM;
        }

        while (n < RECORD_SIZE_MAX && (k = read(fd, buf + n, RECORD_SIZE_MAX - n)) > 0)
                n += (size_t) k;

        r = k < 0 ? -errno : 0;
        close(fd);
        if (r < 0) {
                free(buf);
                return r;
        }

        buf[n] = 0;
        *ret = buf;
        *ret_size = n;
        return 0;
}

/**
 * state_write_file() - write a record's file
 * @dir_fd: its folder
 * @name: of the file; shorter than ATTACHMENT_ID_SIZE
 * @data: @size bytes
 * @size: bytes
 *
 * Return: 0, or a negative errno: the old file is still there.
 */
int state_write_file(int dir_fd, const char *name, const char *data, size_t size) {
        char temporary[ATTACHMENT_ID_SIZE + 8];
        int fd, r = 0;

        if (snprintf(temporary, sizeof(temporary), ".%s.new", name) >= (int) sizeof(temporary))
                return -ENAMETOOLONG;

        fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;

        while (r == 0 && size > 0) {
                ssize_t k = write(fd, data, size);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0) {
                        r = k < 0 ? -errno : -EIO;
                        break;
                }

                data += k;
                size -= (size_t) k;
        }

        if (r == 0 && fsync(fd) < 0)
                r = -errno;
        if (close(fd) < 0 && r == 0)
                r = -errno;
        if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
                r = -errno;
        if (r < 0)
                (void) unlinkat(dir_fd, temporary, 0);

        return r;
}

/**
 * state_parse_file() - the attachment that a record's file holds
 * @name: of the file
 * @data: its content, @size bytes and a NUL; borrowed
 * @size: bytes
 * @ret: as of record_parse()
 * @ret_note: as of record_parse()
 *
 * Return: 0, -EBADMSG if it is none, or not that of the attachment that the file is called after, or -ENOMEM.
 */
int state_parse_file(const char *name, const char *data, size_t size, Attachment **ret, RecordNote *ret_note) {
        Attachment *a = NULL;
        RecordNote note;
        char *copy;
        int r;

        if (strlen(data) != size)
                return -EBADMSG;

        copy = strdup(data);
        if (!copy)
                return -ENOMEM;

        r = record_parse(copy, &a, &note);
        free(copy);
        if (r < 0)
                return r;

        if (!str_equal(a->id, name)) {
                attachment_free(a);
                return -EBADMSG;
        }

        *ret = a;
        *ret_note = note;
        return 0;
}
