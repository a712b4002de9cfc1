/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/policy-read.h"

static void close_fd(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

/* Sets the fault and returns @error; without memory there is no fault, only -ENOMEM. */
__attribute__((format(printf, 3, 4)))
static int fault(PolicyFault *ret, int error, const char *format, ...) {
        va_list ap;
        char *message;
        int n;

        if (error == -ENOMEM)
                return error;

        va_start(ap, format);
        n = vasprintf(&message, format, ap);
        va_end(ap);

        if (n < 0)
                return -ENOMEM;

        *ret = (PolicyFault) { .message = message };
        return error;
}

static int check_kind(const struct stat *st, PolicyFault *ret_fault) {
        if (S_ISREG(st->st_mode))
                return 0;

        if (S_ISLNK(st->st_mode))
                return fault(ret_fault, -EINVAL,
                             "It is a symbolic link, and links are not followed: copy the file itself "
                             "here. (Only a link to /dev/null has a meaning in a policy folder: it masks the files of "
                             "the same name.)");

        return fault(ret_fault, -EINVAL, "It is %s, not a regular file: remove it or give it another name.",
                     S_ISDIR(st->st_mode) ? "a directory" : S_ISFIFO(st->st_mode) ? "a FIFO" :
                     S_ISSOCK(st->st_mode) ? "a socket" : "a device node");
}

/* Whoever can write the file chooses which devices get which filter, and that is root's to say. */
static int check_safe(const struct stat *st, PolicyFault *ret_fault) {
        if (st->st_uid != 0 && st->st_uid != geteuid())
                return fault(ret_fault, -EINVAL, "It belongs to user %u, and it must belong to root: chown root it.",
                             (unsigned) st->st_uid);

        if (st->st_mode & (S_IWGRP | S_IWOTH))
                return fault(ret_fault, -EINVAL, "%s can write to it (mode %04o): chmod go-w it.",
                             st->st_mode & S_IWOTH ? "Everybody" : "Its group", (unsigned) st->st_mode & 07777);

        return 0;
}

/* Reads the rest of @fd up to @size bytes; the number of bytes or -errno. */
static ssize_t read_all(int fd, char *data, size_t size) {
        size_t done = 0;

        while (done < size) {
                ssize_t n = read(fd, data + done, size - done);

                if (n < 0)
                        return -errno;

                if (n == 0)
                        break;

                done += (size_t) n;
        }

        return (ssize_t) done;
}

static int open_checked(int dir_fd, const char *name, PolicyFault *ret_fault) {
        __attribute__((cleanup(close_fd))) int fd = -EBADF;
        struct stat st;
        int r, taken;

        /* before the open, as merely opening a device can do something */
        if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return fault(ret_fault, -errno, "It cannot be looked at: %s; reload when it is there.",
                             strerror(errno));

        r = check_kind(&st, ret_fault);
        if (r < 0)
                return r;

        fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return fault(ret_fault, -errno, "It cannot be opened: %s; make it readable for root and reload.",
                             strerror(errno));

        if (fstat(fd, &st) < 0)
                return fault(ret_fault, -errno, "It cannot be looked at: %s; reload when it can.", strerror(errno));

        r = check_kind(&st, ret_fault);
        if (r == 0)
                r = check_safe(&st, ret_fault);
        if (r < 0)
                return r;

        taken = fd;
        fd = -EBADF;
        return taken;
}

/**
 * policy_read() - read one file, once and whole
 * @dir_fd: the folder, or AT_FDCWD
 * @name: the file's name in the folder, or a path if @dir_fd is AT_FDCWD
 * @size_max: bytes that it may have
 * @ret: set on success: its content, not NUL-terminated; owned by the caller, free()
 * @ret_size: set on success: its bytes; @size_max + 1 if it has more, and then no more were read
 * @ret_fault: set on any error but -ENOMEM; owned by the caller, policy_fault_deinit()
 *
 * Opens nothing but a regular file, and never follows a link. Does not block on a FIFO or a device.
 *
 * Return: 0; -EINVAL if it is no regular file or is writable by others than root; -ENOMEM; or the error of
 * looking at it, opening it or reading it, for example -ENOENT or -EIO.
 */
int policy_read(int dir_fd, const char *name, size_t size_max, char **ret, size_t *ret_size, PolicyFault *ret_fault) {
        __attribute__((cleanup(close_fd))) int fd = -EBADF;
        ssize_t n;
        char *data;

        fd = open_checked(dir_fd, name, ret_fault);
        if (fd < 0)
                return fd;

        data = malloc(size_max + 1);
        if (!data)
                return -ENOMEM;

        n = read_all(fd, data, size_max + 1);
        if (n < 0) {
                free(data);
                return fault(ret_fault, (int) n, "It cannot be read: %s; reload when the disk under it is well.",
                             strerror((int) -n));
        }

        *ret = data;
        *ret_size = (size_t) n;
        return 0;
}
