/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/policy-folder.h"
#include "daemon/text.h"

#define FOLDER_FILES_MAX 1024 /* names that are looked at in one folder */

static void closedir_p(DIR **d) {
        if (*d)
                closedir(*d);
}

/* The folder is bad; 0 or -ENOMEM. */
__attribute__((format(printf, 2, 3)))
static int bad(PolicyFolder *f, const char *format, ...) {
        va_list ap;
        int n;

        policy_folder_deinit(f);

        va_start(ap, format);
        n = vasprintf(&f->why, format, ap);
        va_end(ap);

        if (n < 0) {
                f->why = NULL;
                return -ENOMEM;
        }

        return 0;
}

static int bad_errno(PolicyFolder *f, int error) {
        return bad(f, "cannot be read: %s; make it readable for root and reload", strerror(error));
}

static bool name_ends_in(const char *name, const char *end) {
        size_t n = strlen(name), n_end = strlen(end);

        return name[0] != '.' && n > n_end && str_equal(name + n - n_end, end);
}

/* Whether a file is a link to /dev/null, by an absolute or a relative path. */
static bool is_mask(int dir_fd, const char *name) {
        char target[sizeof("/dev/null")];
        struct stat st;
        ssize_t n;

        n = readlinkat(dir_fd, name, target, sizeof(target));
        if (n < 0)
                return false;

        if (n == (ssize_t) strlen("/dev/null") && memcmp(target, "/dev/null", (size_t) n) == 0)
                return true;

        return fstatat(dir_fd, name, &st, 0) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

static int add_item(PolicyFolder *f, const char *name, bool is_dropins) {
        PolicyFolderItem *items = realloc(f->items, (f->n_items + 1) * sizeof(*items));

        if (!items)
                return -ENOMEM;

        f->items = items;
        items[f->n_items] = (PolicyFolderItem) {
                .name = strdup(name),
                .is_dropins = is_dropins,
                .masked = !is_dropins && is_mask(f->fd, name),
        };
        if (!items[f->n_items].name)
                return -ENOMEM;

        f->n_items++;
        return 0;
}

static int compare_items(const void *a, const void *b) {
        return strcmp(((const PolicyFolderItem *) a)->name, ((const PolicyFolderItem *) b)->name);
}

/* Half a list would look like files that were removed, so it is all of them or a bad folder. */
static int list(PolicyFolder *f) {
        __attribute__((cleanup(closedir_p))) DIR *dir = NULL;
        int fd, r;

        /* the stream closes its descriptor, and this one is needed longer */
        fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return bad_errno(f, errno);

        dir = fdopendir(fd);
        if (!dir) {
                r = errno;
                close(fd);
                return r == ENOMEM ? -ENOMEM : bad_errno(f, r);
        }

        for (;;) {
                struct dirent *e;
                bool is_dropins;

                errno = 0;
                e = readdir(dir);

                if (!e && errno != 0)
                        return bad_errno(f, errno);

                if (!e)
                        break;

                is_dropins = name_ends_in(e->d_name, ".conf.d");
                if (!is_dropins && !name_ends_in(e->d_name, ".conf"))
                        continue;

                if (f->n_items >= FOLDER_FILES_MAX)
                        return bad(f,
                                   "has more than %d files *.conf, too many to be meant: remove what is no policy and "
                                   "reload", FOLDER_FILES_MAX);

                r = add_item(f, e->d_name, is_dropins);
                if (r < 0)
                        return r;
        }

        if (f->n_items > 0)
                qsort(f->items, f->n_items, sizeof(*f->items), compare_items);

        return 0;
}

static int read_folder(int dir_fd, const char *name, bool may_be_link, PolicyFolder *f) {
        struct stat st;

        if (fstatat(dir_fd, name, &st, may_be_link ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : bad_errno(f, errno);

        if (S_ISLNK(st.st_mode))
                return bad(f, "is a symbolic link, and links are not followed: put a folder here and reload");

        f->fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | (may_be_link ? 0 : O_NOFOLLOW));
        if (f->fd < 0)
                return errno == ENOENT ? 0 : bad_errno(f, errno);

        if (fstat(f->fd, &st) < 0)
                return bad_errno(f, errno);

        /* who can write to it could put a mask there, or take a policy away */
        if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)))
                return bad(f, "can be written to by others than root: chown root it, chmod go-w it and reload");

        return list(f);
}

/**
 * policy_folder_read() - list a folder
 * @dir_fd: the folder that it is in, or AT_FDCWD
 * @name: its name there, or its path
 * @path: its full path, for messages and for whoever looks at @ret; borrowed for as long as that is used
 * @may_be_link: a symbolic link is followed
 * @ret: written whole; policy_folder_deinit()
 *
 * One that is not there is empty. One that cannot be read, or that others than root can write to, is
 * bad.
 *
 * Return: 0, or -ENOMEM, with which @ret needs no release.
 */
int policy_folder_read(int dir_fd, const char *name, const char *path, bool may_be_link, PolicyFolder *ret) {
        PolicyFolder f = POLICY_FOLDER_INIT;
        int r;

        r = read_folder(dir_fd, name, may_be_link, &f);
        if (r < 0) {
                policy_folder_deinit(&f);
                f = POLICY_FOLDER_INIT;
        }

        *ret = f;
        ret->path = path;
        return r;
}

/**
 * policy_folder_deinit() - release a list
 * @f: the list; POLICY_FOLDER_INIT afterwards
 */
void policy_folder_deinit(PolicyFolder *f) {
        for (size_t i = 0; i < f->n_items; i++)
                free(f->items[i].name);

        free(f->items);
        free(f->why);

        if (f->fd >= 0)
                close(f->fd);

        *f = POLICY_FOLDER_INIT;
}

/**
 * policy_folder_get() - look a name up
 * @f: the list
 * @name: the name
 *
 * Return: the item, borrowed from the list; NULL if there is none.
 */
const PolicyFolderItem *policy_folder_get(const PolicyFolder *f, const char *name) {
        PolicyFolderItem key = { .name = (char *) name };

        return f->n_items > 0 ? bsearch(&key, f->items, f->n_items, sizeof(*f->items), compare_items) : NULL;
}

/**
 * policy_file_name_is_valid() - whether a file's name can go on the bus and into the journal as it is
 * @name: NUL-terminated, any content
 */
bool policy_file_name_is_valid(const char *name) {
        return policy_text_is_clean(name, strlen(name), NULL) && !strchr(name, '\t');
}

/**
 * policy_path_printable() - "folder/name" as it can go on the bus and into the journal
 * @folder: as it is
 * @name: odd bytes become "\xHH"
 * @ret: owned by the caller, free()
 *
 * Return: 0, or -ENOMEM.
 */
int policy_path_printable(const char *folder, const char *name, char **ret) {
        bool clean = policy_file_name_is_valid(name);
        Text t = TEXT_INIT;

        text_add(&t, folder);
        text_add(&t, "/");

        for (const char *p = name; *p; p++) {
                if (clean || (*p > 0x20 && *p < 0x7f))
                        text_add_n(&t, p, 1);
                else {
                        text_add(&t, "\\x");
                        text_add_hex(&t, (unsigned char) *p, 2);
                }
        }

        return text_steal(&t, ret);
}
