/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/policy-file.h"
#include "daemon/policy-folder.h"
#include "daemon/policy-keep.h"
#include "daemon/policy-read.h"
#include "daemon/policy-text.h"
#include "daemon/text.h"

#define HEAD "# The last good version of "
#define TAIL ". Kept by blkfilterd; do not edit.\n"

#define OPTIONS_PREFIX "options-"
#define OPTIONS_NAME_SIZE (sizeof(OPTIONS_PREFIX) + 16)

static void close_fd(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

static void folder_deinit(PolicyFolder *f) {
        policy_folder_deinit(f);
}

/* The path in the first line; NULL if there is none or no memory. */
static char *original_of(const char *data, size_t size) {
        const char *end = memmem(data, size, TAIL, strlen(TAIL));

        if (size < strlen(HEAD) || memcmp(data, HEAD, strlen(HEAD)) != 0 || !end || end < data + strlen(HEAD))
                return NULL;

        return strndup(data + strlen(HEAD), (size_t) (end - data) - strlen(HEAD));
}

/* Reads one; @ret is NULL if it is not acceptable. */
static int load_one(const PolicyFolder *f, const char *name, Policy **ret) {
        PolicyFault fault = POLICY_FAULT_INIT;
        char *data = NULL, *path = NULL;
        const char *slash;
        size_t size;
        int r;

        *ret = NULL;

        r = policy_read(f->fd, name, POLICY_FILE_SIZE_MAX, &data, &size, &fault);
        if (r == 0) {
                path = original_of(data, size);
                slash = path ? strrchr(path, '/') : NULL;
                if (slash && str_equal(slash + 1, name))
                        r = policy_file_parse(data, size, name, path, ret, &fault);
        }

        free(path);
        free(data);
        policy_fault_deinit(&fault);
        return r == -ENOMEM ? r : 0;
}

/**
 * policy_keep_load() - read what was kept
 * @folder: full path
 * @ret: owned by the caller, policy_set_free(). The paths are those of the files that were read once; the
 *       lines' are those of what was kept
 *
 * What cannot be read is left out: it is nobody's mistake, and the error of the policy itself tells that
 * no last version is in force.
 *
 * Return: 0, or -ENOMEM.
 */
int policy_keep_load(const char *folder, PolicySet **ret) {
        __attribute__((cleanup(folder_deinit))) PolicyFolder f = POLICY_FOLDER_INIT;
        PolicySet *set;
        int r;

        set = policy_set_new();
        if (!set)
                return -ENOMEM;

        r = policy_folder_read(AT_FDCWD, folder, folder, false, &f);

        for (size_t i = 0; i < f.n_items && r == 0; i++) {
                Policy *p;

                if (f.items[i].is_dropins || f.items[i].masked)
                        continue;

                r = load_one(&f, f.items[i].name, &p);
                if (r < 0 || !p)
                        continue;

                p->is_kept = true;
                r = policy_set_add(set, p);
                if (r < 0)
                        policy_free(p);
        }

        if (r < 0) {
                policy_set_free(set);
                return r;
        }

        *ret = set;
        return 0;
}

/* Whether a file has that content already. */
static bool is_same(int fd, const char *name, const char *data, size_t size) {
        PolicyFault f = POLICY_FAULT_INIT;
        char *there;
        size_t n;
        bool same;

        if (policy_read(fd, name, size, &there, &n, &f) < 0) {
                policy_fault_deinit(&f);
                return false;
        }

        same = n == size && memcmp(there, data, n) == 0;
        free(there);
        return same;
}

/* Replaces a file whole or not at all; -errno. */
static int write_file(int dir_fd, const char *name, const char *data, size_t size) {
        static const char temporary[] = ".new";
        __attribute__((cleanup(close_fd))) int fd = -EBADF;

        if (is_same(dir_fd, name, data, size))
                return 0;

        if (unlinkat(dir_fd, temporary, 0) < 0 && errno != ENOENT)
                return -errno;

        fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;

        for (size_t done = 0; done < size;) {
                ssize_t n = write(fd, data + done, size - done);

                if (n < 0) {
                        int error = errno;

                        (void) unlinkat(dir_fd, temporary, 0);
                        return -error;
                }

                done += (size_t) n;
        }

        return fsync(fd) < 0 || renameat(dir_fd, temporary, dir_fd, name) < 0 ? -errno : 0;
}

/* A file's name by its content, so that one that is in use never changes. */
static void options_name(const Settings *s, char ret[static OPTIONS_NAME_SIZE]) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < s->options_size; i++)
                hash = (hash ^ s->options[i]) * UINT64_C(0x100000001b3);

        (void) snprintf(ret, OPTIONS_NAME_SIZE, OPTIONS_PREFIX "%016" PRIx64, hash);
}

static int text_of(const char *folder, int dir_fd, const Policy *p, char **ret) {
        char name[OPTIONS_NAME_SIZE], *path;
        int r;

        r = policy_to_text(p, NULL, ret);
        if (r != -EINVAL || p->settings->options_size == 0)
                return r;

        options_name(p->settings, name);
        r = write_file(dir_fd, name, (const char *) p->settings->options, p->settings->options_size);
        if (r < 0)
                return r;

        if (asprintf(&path, "%s/%s", folder, name) < 0)
                return -ENOMEM;

        r = policy_to_text(p, path, ret);
        free(path);
        return r;
}

static int save_one(const char *folder, int dir_fd, const Policy *p) {
        char *text, *whole;
        int r, n;

        if (strlen(HEAD) + strlen(p->path) + strlen(TAIL) > POLICY_LINE_MAX)
                return -EINVAL;

        r = text_of(folder, dir_fd, p, &text);
        if (r < 0)
                return r;

        n = asprintf(&whole, "%s%s%s%s", HEAD, p->path, TAIL, text);
        free(text);
        if (n < 0)
                return -ENOMEM;

        r = write_file(dir_fd, p->name, whole, (size_t) n);
        free(whole);
        return r;
}

static bool is_wanted(const PolicySet *set, const char *name) {
        char options[OPTIONS_NAME_SIZE];

        /* a policy may be called so, too */
        if (policy_set_get(set, name))
                return true;

        for (size_t i = 0; i < set->n_policies; i++) {
                options_name(set->policies[i]->settings, options);
                if (str_equal(options, name))
                        return true;
        }

        return false;
}

/* Removes what belongs to no policy any more. What stays behind does no harm: the next save removes it. */
static void remove_others(int dir_fd, const PolicySet *set) {
        int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *e;

        if (!dir) {
                close_fd(&fd);
                return;
        }

        while ((e = readdir(dir)))
                if (e->d_name[0] != '.' && !is_wanted(set, e->d_name))
                        (void) unlinkat(dir_fd, e->d_name, 0);

        closedir(dir);
}

static int warn(PolicySet *set, const char *path, const char *name, int error) {
        char message[256];

        (void) snprintf(message, sizeof(message), "The last good version cannot be kept here for the next start of the "
                        "daemon: %s; it is in force all the same.", error == -EINVAL ?
                        "no file can say it in lines of 1000 bytes" : strerror(-error));

        return policy_set_note(set, &(PolicyError) {
                .path = (char *) path,
                .name = (char *) name,
                .message = message,
                .is_warning = true,
        });
}

static int open_folder(const char *folder) {
        struct stat st;
        int fd, error;

        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
                return -errno;

        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;

        error = fstat(fd, &st) < 0 ? errno
                : (st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)) ? EPERM : 0;
        if (error == 0)
                return fd;

        close(fd);
        return -error;
}

/**
 * policy_keep_save() - keep all policies of a set, and nothing else
 * @folder: full path; its parent exists
 * @set: the set in force; gets a warning for what cannot be kept
 *
 * A file is written only if it changes, and then replaced whole.
 *
 * Return: 0, or -ENOMEM.
 */
int policy_keep_save(const char *folder, PolicySet *set) {
        __attribute__((cleanup(close_fd))) int fd = -EBADF;
        int r;

        fd = open_folder(folder);
        if (fd < 0)
                return fd == -ENOMEM ? fd : warn(set, folder, NULL, fd);

        for (size_t i = 0; i < set->n_policies; i++) {
                r = save_one(folder, fd, set->policies[i]);
                if (r < 0 && r != -ENOMEM) {
                        /* an older version is not the last good one */
                        (void) unlinkat(fd, set->policies[i]->name, 0);
                        r = warn(set, folder, set->policies[i]->name, r);
                }
                if (r < 0)
                        return r;
        }

        remove_others(fd, set);
        return 0;
}

/* Reads what is kept of one; @ret is NULL if there is none, or not for everybody. */
static int read_kept(const PolicyFolder *f, const char *name, const char *except, char **ret, size_t *ret_size) {
        PolicyFault fault = POLICY_FAULT_INIT;
        char *data, *path;
        int r;

        *ret = NULL;
        *ret_size = 0;
        if (!policy_folder_get(f, name))
                return 0;

        r = policy_read(f->fd, name, POLICY_FILE_SIZE_MAX, &data, ret_size, &fault);
        policy_fault_deinit(&fault);
        if (r < 0)
                return r == -ENOMEM ? r : 0;

        path = original_of(data, *ret_size);
        if (path && strncmp(path, except, strlen(except)) != 0)
                *ret = data;
        else
                free(data);
        free(path);
        return 0;
}

/* Whether both folders keep the same under a name. */
static int compare_one(const PolicyFolder *a, const PolicyFolder *b, const char *name, const char *except,
                       bool *ret_same) {
        char *one, *other = NULL;
        size_t size, other_size;
        int r;

        r = read_kept(a, name, except, &one, &size);
        if (r >= 0)
                r = read_kept(b, name, except, &other, &other_size);
        if (r >= 0)
                *ret_same = one && other ? size == other_size && memcmp(one, other, size) == 0 : one == other;

        free(one);
        free(other);
        return r;
}

/**
 * policy_keep_compare() - whether what is kept is what was kept
 * @folder: full path, of policy_keep_save()
 * @earlier: full path of a folder that was one of policy_keep_save(); if it is not there, nothing was kept
 * @except: policies whose files' paths begin so do not count
 * @ret: the name of a policy that is another one, or in only one of them; NULL if there is none. Owned by the
 *       caller, free()
 *
 * Return: 0, or -ENOMEM.
 */
int policy_keep_compare(const char *folder, const char *earlier, const char *except, char **ret) {
        __attribute__((cleanup(folder_deinit))) PolicyFolder a = POLICY_FOLDER_INIT, b = POLICY_FOLDER_INIT;
        const char *found = NULL;
        bool same = true;
        int r;

        r = policy_folder_read(AT_FDCWD, folder, folder, false, &a);
        if (r >= 0)
                r = policy_folder_read(AT_FDCWD, earlier, earlier, false, &b);

        for (size_t i = 0; r >= 0 && same && i < a.n_items + b.n_items; i++) {
                found = i < a.n_items ? a.items[i].name : b.items[i - a.n_items].name;
                r = compare_one(&a, &b, found, except, &same);
        }

        if (r < 0)
                return r;

        *ret = same ? NULL : strdup(found);
        return !same && !*ret ? -ENOMEM : 0;
}
