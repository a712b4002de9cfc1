/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <iniparser/iniparser.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/policy-file.h"
#include "daemon/policy-keys.h"
#include "daemon/policy-load.h"
#include "daemon/text.h"

/* What iniparser last complained of. Its callback is global to the process and has no pointer of ours. */
static char iniparser_complaint[256];

static void close_fd(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

static void scan_freep(PolicyScan **s) {
        policy_scan_free(*s);
}

static void dictionary_freep(dictionary **d) {
        if (*d)
                iniparser_freedict(*d);
}

/* Sets the fault and returns @error; without memory there is no fault, only -ENOMEM. */
__attribute__((format(printf, 4, 5)))
static int fault(PolicyFault *ret, int error, unsigned line, const char *format, ...) {
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

        *ret = (PolicyFault){ .line = line, .message = message };
        return error;
}

__attribute__((format(printf, 1, 2)))
static int on_iniparser_error(const char *format, ...) {
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(iniparser_complaint, sizeof(iniparser_complaint), format, ap);
        va_end(ap);

        for (char *p = iniparser_complaint; *p; p++)
                if ((unsigned char) *p < 0x20)
                        *p = ' ';

        /* the text that it repeats may be cut in the middle of a character */
        if (!policy_text_is_clean(iniparser_complaint, strlen(iniparser_complaint), NULL))
                for (char *p = iniparser_complaint; *p; p++)
                        if ((unsigned char) *p >= 0x7f)
                                *p = '?';

        return n;
}

/* A descriptor from which @data can be read again and which nobody can change any more; or -errno. */
static int memfd_of(const char *data, size_t size) {
        __attribute__((cleanup(close_fd))) int fd = -EBADF;
        int taken;

        fd = memfd_create("blkfilter-policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return -errno;

        for (size_t done = 0; done < size;) {
                ssize_t n = write(fd, data + done, size - done);

                if (n < 0)
                        return -errno;

                done += (size_t) n;
        }

        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
                return -errno;

        taken = fd;
        fd = -EBADF;
        return taken;
}

static int parse_by_iniparser(const char *data, size_t size, dictionary **ret, PolicyFault *ret_fault) {
        __attribute__((cleanup(close_fd))) int fd = -EBADF;
        char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
        dictionary *d;

        fd = memfd_of(data, size);
        if (fd < 0)
                return fault(ret_fault, fd, 0, "No memory file can be made to parse it from: %s; reload once that is "
                             "remedied.", strerror(-fd));

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        iniparser_complaint[0] = 0;

        iniparser_set_error_callback(on_iniparser_error);
        d = iniparser_load(path);
        iniparser_set_error_callback(NULL);

        if (!d) {
                unsigned line = 0;

                /* the only number in brackets that it ever says is the line */
                (void) sscanf(iniparser_complaint, "iniparser: %*[^(](%u)", &line);

                return fault(ret_fault, -EINVAL, line, "The parser refused the file (%s): write the line in the plainest "
                             "form, Key=value; if nothing was parsed at all, see that /proc is mounted.",
                             iniparser_complaint[0] ? iniparser_complaint : "it gave no reason");
        }

        *ret = d;
        return 0;
}

/**
 * policy_file_compare() - whether iniparser reads a file as the pre-scan does
 * @scan: what the pre-scan read; borrowed
 * @data: the text that it was read from; borrowed
 * @size: bytes of it
 * @ret_fault: set on any error but -ENOMEM; owned by the caller, policy_fault_deinit()
 *
 * The dictionary must hold the sections and keys of the scan, each value alike, and nothing else. A
 * dictionary that memory ran out on, which iniparser does not report, is caught by it too. The
 * typed getters are not used: they crash on a section's name.
 *
 * Not for two threads at once: iniparser keeps its state in the process.
 *
 * Return: 0; -EINVAL if the two differ or iniparser refuses the file; -ENOMEM; or the error of
 * making a memory file, for example -EMFILE.
 */
int policy_file_compare(const PolicyScan *scan, const char *data, size_t size, PolicyFault *ret_fault) {
        static const char absent[] = ""; /* told from a value by its address */
        __attribute__((cleanup(dictionary_freep))) dictionary *d = NULL;
        int r;

        r = parse_by_iniparser(data, size, &d, ret_fault);
        if (r < 0)
                return r;

        for (size_t i = 0; i < scan->n_sections; i++)
                if (!iniparser_find_entry(d, scan->sections[i].name))
                        return fault(ret_fault, -EINVAL, scan->sections[i].line, "The parser does not see the section "
                                     "[%s]: write it plainly, alone on its line.", scan->sections[i].name);

        for (size_t i = 0; i < scan->n_items; i++) {
                const PolicyItem *item = &scan->items[i];
                char key[POLICY_SECTION_MAX + 1 + POLICY_KEY_MAX + 1];
                const char *value;

                snprintf(key, sizeof(key), "%s:%s", item->section->name, item->key);
                value = iniparser_getstring(d, key, absent);

                if (!value || value == absent || !str_equal(value, item->value))
                        return fault(ret_fault, -EINVAL, item->line, "The parser reads %s= as %s%s%s: write the value "
                                     "plainly, without quotes if it needs none.", item->key,
                                     value && value != absent ? "\"" : "", value == absent ? "missing" :
                                     value ? value : "a section", value && value != absent ? "\"" : "");
        }

        if ((size_t) d->n != scan->n_sections + scan->n_items)
                return fault(ret_fault, -EINVAL, 0, "The parser sees %d sections and keys where the file has %zu: look "
                             "for a line that can be read in two ways, and write it plainly.",
                             d->n, scan->n_sections + scan->n_items);

        return 0;
}

/**
 * policy_file_parse() - make a policy of a file's text
 * @data: the whole text, any content; need not be NUL-terminated; borrowed
 * @size: bytes of it
 * @name: the file's name without folder; copied into the policy
 * @path: the file's full path; copied into the policy
 * @ret: set on success; owned by the caller, policy_free()
 * @ret_fault: set on any error but -ENOMEM; owned by the caller, policy_fault_deinit()
 *
 * Return: 0; -EINVAL if the text is not a policy; -ENOMEM; or the error of making a memory file.
 */
int policy_file_parse(const char *data, size_t size, const char *name, const char *path, Policy **ret,
                      PolicyFault *ret_fault) {
        __attribute__((cleanup(scan_freep))) PolicyScan *scan = NULL;
        int r;

        r = policy_scan(data, size, &scan, ret_fault);
        if (r < 0)
                return r;

        r = policy_file_compare(scan, data, size, ret_fault);
        if (r < 0)
                return r;

        return policy_from_scan(scan, name, path, ret, ret_fault);
}

static int check_kind(const struct stat *st, PolicyFault *ret_fault) {
        if (S_ISREG(st->st_mode))
                return 0;

        if (S_ISLNK(st->st_mode))
                return fault(ret_fault, -EINVAL, 0, "It is a symbolic link, and links are not followed: copy the file "
                             "itself here. (Only a link to /dev/null has a meaning in a policy folder: it masks the "
                             "policies of the same name.)");

        return fault(ret_fault, -EINVAL, 0, "It is %s, not a regular file: remove it or give it another ending than "
                     ".conf.", S_ISDIR(st->st_mode) ? "a directory" : S_ISFIFO(st->st_mode) ? "a FIFO" :
                     S_ISSOCK(st->st_mode) ? "a socket" : "a device node");
}

/* Whoever can write the file chooses which partitions get which filter, and that is root's to say. */
static int check_safe(const struct stat *st, PolicyFault *ret_fault) {
        if (st->st_uid != 0 && st->st_uid != geteuid())
                return fault(ret_fault, -EINVAL, 0, "It belongs to user %u, and a policy must belong to root: chown "
                             "root it.", (unsigned) st->st_uid);

        if (st->st_mode & (S_IWGRP | S_IWOTH))
                return fault(ret_fault, -EINVAL, 0, "%s can write to it (mode %04o): chmod go-w it.",
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

/**
 * policy_file_read() - read one policy file
 * @dir_fd: the folder, or AT_FDCWD
 * @name: the file's name in the folder, or a path if @dir_fd is AT_FDCWD
 * @path: the file's full path; its last part becomes the policy's name
 * @ret: set on success; owned by the caller, policy_free()
 * @ret_fault: set on any error but -ENOMEM; owned by the caller, policy_fault_deinit()
 *
 * Opens nothing but a regular file, and never follows a link. Does not block on a FIFO or a device.
 * The file is read once; all checks are of what was read.
 *
 * Return: 0; -EINVAL if it is no regular file, is writable by others than root, is too large or is
 * not a policy; -ENOMEM; or the error of looking at it, opening it or reading it, for example
 * -ENOENT or -EIO.
 */
int policy_file_read(int dir_fd, const char *name, const char *path, Policy **ret, PolicyFault *ret_fault) {
        __attribute__((cleanup(close_fd))) int fd = -EBADF;
        const char *slash = strrchr(path, '/');
        struct stat st;
        ssize_t n;
        char *data;
        int r;

        /* before the open, as merely opening a device can do something */
        if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return fault(ret_fault, -errno, 0, "It cannot be looked at: %s; reload when it is there.",
                             strerror(errno));

        r = check_kind(&st, ret_fault);
        if (r < 0)
                return r;

        fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return fault(ret_fault, -errno, 0, "It cannot be opened: %s; make it readable for root and reload.",
                             strerror(errno));

        if (fstat(fd, &st) < 0)
                return fault(ret_fault, -errno, 0, "It cannot be looked at: %s; reload when it can.", strerror(errno));

        r = check_kind(&st, ret_fault);
        if (r < 0)
                return r;

        r = check_safe(&st, ret_fault);
        if (r < 0)
                return r;

        data = malloc(POLICY_FILE_SIZE_MAX + 1);
        if (!data)
                return -ENOMEM;

        n = read_all(fd, data, POLICY_FILE_SIZE_MAX + 1);
        if (n < 0)
                r = fault(ret_fault, (int) n, 0, "It cannot be read: %s; reload when the disk under it is well.",
                          strerror((int) -n));
        else
                r = policy_file_parse(data, (size_t) n, slash ? slash + 1 : path, path, ret, ret_fault);

        free(data);
        return r;
}

/**
 * policy_load_file() - read one policy file by its path
 * @path: the file; its last part becomes the policy's name, whatever its ending
 * @ret: set on success; owned by the caller, policy_free()
 * @ret_line: set on error: the line to blame, from 1; 0 if no one line is
 * @ret_message: set on error: a sentence that says what is wrong and what was expected; owned by
 *               the caller, free(); NULL with -ENOMEM
 *
 * Return: 0; -EINVAL if it is no regular file, is writable by others than root, is too large or is
 * not a policy; -ENOMEM; or the error of looking at it, opening it or reading it.
 */
int policy_load_file(const char *path, Policy **ret, unsigned *ret_line, char **ret_message) {
        PolicyFault f = POLICY_FAULT_INIT;
        int r;

        r = policy_file_read(AT_FDCWD, path, path, ret, &f);
        if (r < 0) {
                *ret_line = f.line;
                *ret_message = f.message;
        }

        return r;
}
