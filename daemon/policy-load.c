/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The folders of policies: which file of which folder counts, and what stays in force when one
 * cannot be read.
 *
 * The rule for all that goes wrong: what was in force stays in force, nothing new comes into force,
 * and it is said. A file that is there but wrong is not a file that was removed.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/policy-file.h"
#include "daemon/policy-load.h"
#include "daemon/text.h"

#define FOLDER_FILES_MAX 1024 /* names that are looked at in one folder */
#define POLICY_FILES_MAX 256  /* files that are read */

/* A name of a policy file, in the folder that decides about it. */
typedef struct Candidate {
        char *name;
        const char *folder; /* borrowed */
        int dir_fd;         /* borrowed; -EBADF: the folder cannot be read, the last version stays */
        bool masked;        /* a link to /dev/null: there is no policy of this name */
        bool in_doubt;      /* a folder that comes before this one cannot be read: it might decide otherwise */
} Candidate;

typedef struct Loader {
        const PolicySet *last; /* borrowed; NULL if none was in force */
        PolicySet *set;        /* being built */
        Candidate *candidates;
        size_t n_candidates;
        bool unreadable; /* one of the folders so far */
} Loader;

static void candidates_free(Candidate *candidates, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(candidates[i].name);

        free(candidates);
}

static const Policy *last_policy(const Loader *l, const char *name) {
        return l->last ? policy_set_get(l->last, name) : NULL;
}

/* Whether @path is @folder, a slash and @name. */
static bool path_is(const char *path, const char *folder, const char *name) {
        size_t n = strlen(folder);

        return strncmp(path, folder, n) == 0 && path[n] == '/' && str_equal(path + n + 1, name);
}

/* "folder/name" as it can go on the bus and into the journal: odd bytes as "\xHH". */
static int path_printable(const char *folder, const char *name, char **ret) {
        bool clean = policy_text_is_clean(name, strlen(name), NULL) && !strchr(name, '\t');
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

static int candidates_add(Loader *l, const Candidate *c) {
        Candidate *items;
        char *name;

        for (size_t i = 0; i < l->n_candidates; i++)
                if (str_equal(l->candidates[i].name, c->name))
                        return 0; /* a folder before this one decides */

        name = strdup(c->name);
        if (!name)
                return -ENOMEM;

        items = realloc(l->candidates, (l->n_candidates + 1) * sizeof(*items));
        if (!items) {
                free(name);
                return -ENOMEM;
        }

        items[l->n_candidates] = *c;
        items[l->n_candidates++].name = name;
        l->candidates = items;
        return 0;
}

static int candidate_compare(const void *a, const void *b) {
        return strcmp(((const Candidate *) a)->name, ((const Candidate *) b)->name);
}

static bool name_is_policy(const char *name) {
        size_t n = strlen(name);

        return name[0] != '.' && n > strlen(".conf") && str_equal(name + n - strlen(".conf"), ".conf");
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

/* A folder that cannot be read, or not trusted: what came from it stays, and it is said. */
static int keep_folder(Loader *l, const char *folder, const char *message) {
        bool any = false;
        int r;

        l->unreadable = true;

        for (size_t i = 0; l->last && i < l->last->n_policies; i++) {
                const Policy *p = l->last->policies[i];

                if (!path_is(p->path, folder, p->name))
                        continue;

                any = true;

                r = candidates_add(l, &(Candidate){ .name = p->name, .folder = folder, .dir_fd = -EBADF });
                if (r < 0)
                        return r;
        }

        return policy_set_add_error(l->set, folder, 0, message, any);
}

static int keep_folder_errno(Loader *l, const char *folder, int error) {
        char message[256];

        snprintf(message, sizeof(message), "The folder of policies cannot be read: %s; the policies that came from it "
                 "stay as they were, make it readable for root and reload.", strerror(error));
        return keep_folder(l, folder, message);
}

/* Collects the names of a folder. 0 also if the folder is bad, which is then in the errors. */
static int list_folder(Loader *l, const char *folder, DIR *dir) {
        size_t n_before = l->n_candidates, n = 0;
        bool in_doubt = l->unreadable;
        struct stat st;
        int r;

        if (fstat(dirfd(dir), &st) < 0)
                return keep_folder_errno(l, folder, errno);

        /* who can write to it could put a mask there, or take a policy away */
        if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)))
                return keep_folder(l, folder, "The folder of policies can be written to by others than root: chown root "
                                   "it, chmod go-w it and reload; until then the policies that came from it stay as "
                                   "they were.");

        for (;;) {
                struct dirent *e;

                errno = 0;
                e = readdir(dir);

                if (!e && errno == 0)
                        return 0;

                if (e && !name_is_policy(e->d_name))
                        continue;

                /* half a list would look like files that were removed */
                if (!e || ++n > FOLDER_FILES_MAX) {
                        int error = errno;

                        while (l->n_candidates > n_before)
                                free(l->candidates[--l->n_candidates].name);

                        if (!e)
                                return keep_folder_errno(l, folder, error);

                        return keep_folder(l, folder, "The folder has more than 1024 files *.conf, too many to be meant: "
                                           "remove what is no policy and reload; until then the policies that came from "
                                           "it stay as they were.");
                }

                r = candidates_add(l, &(Candidate){
                        .name = e->d_name,
                        .folder = folder,
                        .dir_fd = dirfd(dir),
                        .masked = is_mask(dirfd(dir), e->d_name),
                        .in_doubt = in_doubt,
                });
                if (r < 0)
                        return r;
        }
}

static int keep_last(Loader *l, const char *name, bool *ret_kept) {
        const Policy *last = last_policy(l, name);
        Policy *copy;
        int r;

        *ret_kept = last;

        if (!last)
                return 0;

        r = policy_copy(last, &copy);
        if (r < 0)
                return r;

        r = policy_set_add(l->set, copy);
        if (r < 0)
                policy_free(copy);

        return r;
}

static int refuse(Loader *l, const char *name, const char *path, const PolicyFault *f) {
        bool kept;
        int r;

        r = keep_last(l, name, &kept);
        if (r < 0)
                return r;

        return policy_set_add_error(l->set, path, f->line, f->message, kept);
}

static int load_candidate(Loader *l, const Candidate *c, const char *path, size_t n_read) {
        PolicyFault f = POLICY_FAULT_INIT;
        Policy *p;
        int r;

        if (n_read >= POLICY_FILES_MAX)
                return refuse(l, c->name, path, &(PolicyFault){ .message = (char *) "It is beyond the first 256 files of "
                              "policies by name, and no more are read: remove some, one policy can name its partition "
                              "by PartLabel= for many disks." });

        if (!policy_text_is_clean(c->name, strlen(c->name), NULL) || strchr(c->name, '\t'))
                return refuse(l, c->name, path, &(PolicyFault){ .message = (char *) "Its name has control characters or is "
                              "not valid UTF-8: rename it." });

        if (c->in_doubt && !last_policy(l, c->name))
                return refuse(l, c->name, path, &(PolicyFault){ .message = (char *) "A folder that comes before this one "
                              "cannot be read, and a file of the same name there may mask or replace this one: it comes "
                              "into force when that folder can be read." });

        r = policy_file_read(c->dir_fd, c->name, path, &p, &f);
        if (r == -ENOMEM)
                return r;

        if (r < 0) {
                r = refuse(l, c->name, path, &f);
                policy_fault_deinit(&f);
                return r;
        }

        r = policy_set_add(l->set, p);
        if (r < 0)
                policy_free(p);

        return r;
}

static int load_candidates(Loader *l) {
        size_t n_read = 0;
        int r;

        if (l->n_candidates > 0)
                qsort(l->candidates, l->n_candidates, sizeof(*l->candidates), candidate_compare);

        for (size_t i = 0; i < l->n_candidates; i++) {
                const Candidate *c = &l->candidates[i];
                bool kept;
                char *path;

                if (c->masked)
                        continue;

                if (c->dir_fd < 0) {
                        r = keep_last(l, c->name, &kept);
                        if (r < 0)
                                return r;

                        continue;
                }

                r = path_printable(c->folder, c->name, &path);
                if (r < 0)
                        return r;

                r = load_candidate(l, c, path, n_read++);
                free(path);

                if (r < 0)
                        return r;
        }

        return 0;
}

static int load(Loader *l, const char *const *folders, DIR **dirs) {
        int r;

        for (size_t i = 0; folders[i]; i++) {
                int fd = open(folders[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);

                if (fd >= 0 && !(dirs[i] = fdopendir(fd))) {
                        r = -errno;
                        close(fd);
                        return r;
                }

                if (fd >= 0)
                        r = list_folder(l, folders[i], dirs[i]);
                else
                        r = errno == ENOENT ? 0 : keep_folder_errno(l, folders[i], errno);

                if (r < 0)
                        return r;
        }

        return load_candidates(l);
}

/**
 * policy_load() - read all policies
 * @folders: NULL-terminated paths of the folders, the one that counts most first; borrowed
 * @last: the set in force, NULL if there is none; borrowed
 * @ret: the new set with all that is wrong in its errors; owned by the caller, policy_set_free()
 *
 * Of files of one name the first folder's counts; a link to /dev/null there means that there is no
 * such policy. Only "*.conf" counts, and no name that begins with a dot. A folder that is not there
 * is empty.
 *
 * A file that is wrong is in the errors, and the policy of its name in @last, if there is one, is
 * copied into the new set (kept_last). A folder that cannot be read is one error, and all that @last
 * has from it is kept; what would be new in the folders behind it is an error too, as it may be
 * masked in the one that cannot be read.
 *
 * Blocks on the disk of the folders. Not for two threads at once.
 *
 * Return: 0, or -ENOMEM, with which nothing is changed.
 */
int policy_load(const char *const *folders, const PolicySet *last, PolicySet **ret) {
        Loader l = { .last = last };
        size_t n_folders = 0;
        DIR **dirs;
        int r;

        while (folders[n_folders])
                n_folders++;

        dirs = calloc(n_folders + 1, sizeof(*dirs));
        l.set = policy_set_new();

        r = dirs && l.set ? load(&l, folders, dirs) : -ENOMEM;

        for (size_t i = 0; dirs && i < n_folders; i++)
                if (dirs[i])
                        closedir(dirs[i]);

        free(dirs);
        candidates_free(l.candidates, l.n_candidates);

        if (r < 0) {
                policy_set_free(l.set);
                return r;
        }

        *ret = l.set;
        return 0;
}
