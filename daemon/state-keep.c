/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The records of this boot, kept for the next: a copy on a disk. Not for the daemon's process: it may block. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/boot.h"
#include "daemon/state.h"
#include "daemon/text.h"

static int open_folder(const char *folder, DIR **ret) {
        int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return -errno;

        *ret = fdopendir(fd);
        if (!*ret) {
                close(fd);
                return -ENOMEM;
        }

        return 0;
}

/* Whether the copy says of an earlier boot what its record has not taken over yet. */
static bool is_due(const Attachment *a, const RecordNote *note, const char *name, const char *old, size_t old_size) {
        RecordNote old_note;
        Attachment *b;

        if (!a->past_due || !old || state_parse_file(name, old, old_size, &b, &old_note) < 0)
                return false;

        attachment_free(b);
        return !str_equal(note->boot, old_note.boot);
}

/* Copies a record if it is whole, and other than the copy. */
static int keep_one(int from_fd, int to_fd, const char *name) {
        char *data, *old = NULL;
        size_t size, old_size;
        RecordNote note;
        Attachment *a;
        bool stays;
        int r;

        r = state_read_file(from_fd, name, &data, &size);
        if (r < 0)
                return r == -ENOENT || r == -EBADMSG || r == -ELOOP ? 0 : r;

        r = state_parse_file(name, data, size, &a, &note);
        if (r < 0) {
                free(data);
                return r == -EBADMSG ? 0 : r;
        }

        stays = state_read_file(to_fd, name, &old, &old_size) >= 0 &&
                ((old_size == size && memcmp(old, data, size) == 0) || is_due(a, &note, name, old, old_size));
        attachment_free(a);
        free(old);
        r = stays ? 0 : state_write_file(to_fd, name, data, size);
        free(data);
        return r;
}

/* Whether a copy has become of no use, its record being gone: it was forgotten, or nobody asks for it any more. */
static bool is_outlived(int to_fd, const char *name, const char *boot, uint64_t max_age_usec) {
        struct timespec now;
        struct stat st;
        RecordNote note;
        Attachment *a;
        char *data;
        size_t size;
        int r;

        r = state_read_file(to_fd, name, &data, &size);
        if (r == 0) {
                r = state_parse_file(name, data, size, &a, &note);
                free(data);
        }
        if (r < 0)
                return r == -EBADMSG;

        attachment_free(a);
        if (str_equal(note.boot, boot))
                return true;

        (void) clock_gettime(CLOCK_REALTIME, &now);
        return fstatat(to_fd, name, &st, AT_SYMLINK_NOFOLLOW) >= 0 && now.tv_sec > st.st_mtim.tv_sec &&
               (uint64_t) (now.tv_sec - st.st_mtim.tv_sec) > max_age_usec / 1000000;
}

/**
 * state_keep() - copy the records to where they outlast a reboot
 * @from: full path of the folder that state_save() writes to; if it is not there, nothing is done
 * @to: full path of the copies' folder; made if it is not there, its parent exists
 * @max_age_usec: how long a copy of an earlier boot is kept whose attachment has no record now
 *
 * What has not changed is not written, nor what has not taken over yet what its copy says of an earlier boot. A copy
 * whose record was forgotten in this boot goes; one of an earlier boot stays, for its attachment may be asked for
 * again. Blocks for as long as the disk likes.
 *
 * Return: 0, or a negative errno: of the first that failed; the others were copied.
 */
int state_keep(const char *from, const char *to, uint64_t max_age_usec) {
        DIR *from_dir = NULL, *to_dir = NULL;
        char boot[BOOT_ID_SIZE];
        struct dirent *e;
        struct stat st;
        int r, k;

        r = open_folder(from, &from_dir);
        if (r < 0)
                return r == -ENOENT ? 0 : r;

        r = mkdir(to, 0700) < 0 && errno != EEXIST ? -errno : open_folder(to, &to_dir);
        if (r < 0) {
                closedir(from_dir);
                return r;
        }

        while ((e = readdir(from_dir)))
                if (e->d_name[0] != '.') {
                        k = keep_one(dirfd(from_dir), dirfd(to_dir), e->d_name);
                        r = r < 0 ? r : k;
                }

        /* without the boot's id: what is whole is not known to be outlived */
        (void) boot_get_id(boot);

        while ((e = readdir(to_dir)))
                if (e->d_name[0] != '.' && fstatat(dirfd(from_dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
                    errno == ENOENT && is_outlived(dirfd(to_dir), e->d_name, boot[0] ? boot : "unknown", max_age_usec))
                        (void) unlinkat(dirfd(to_dir), e->d_name, 0);

        if (fsync(dirfd(to_dir)) < 0 && r == 0)
                r = -errno;

        closedir(from_dir);
        closedir(to_dir);
        return r;
}
