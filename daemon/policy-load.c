/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The folders of policies: which file of which folder counts, and what stays in force when one
 * cannot be read.
 *
 * The rule for all that goes wrong: what was in force stays in force, nothing new comes into force,
 * and it is said. A file that is there but wrong is not a file that was removed.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy-dropin.h"
#include "daemon/policy-file.h"
#include "daemon/policy-folder.h"
#include "daemon/policy-keep.h"
#include "daemon/policy-load.h"
#include "daemon/text.h"

#define POLICY_FILES_MAX 256 /* files that are read, drop-ins not counted */

/* A name of a policy file, in the folder that decides about it. */
typedef struct Candidate {
        char *name;
        const PolicyFolder *folder; /* borrowed; if it is bad, the last version stays */
        bool masked;                /* a link to /dev/null: there is no policy of this name */
        bool in_doubt;              /* a folder that comes before this one is bad: it might decide otherwise */
} Candidate;

typedef struct Loader {
        const PolicySet *last; /* borrowed; NULL if none was in force */
        PolicySet *set;        /* being built */
        PolicyFolder *folders; /* n_folders elements, the one that counts most first */
        size_t n_folders;
        Candidate *candidates; /* n_candidates elements, no two names alike */
        size_t n_candidates;
} Loader;

static void loader_deinit(Loader *l) {
        for (size_t i = 0; i < l->n_candidates; i++)
                free(l->candidates[i].name);

        for (size_t i = 0; i < l->n_folders; i++)
                policy_folder_deinit(&l->folders[i]);

        free(l->candidates);
        free(l->folders);
}

static const Policy *last_policy(const Loader *l, const char *name) {
        return l->last ? policy_set_get(l->last, name) : NULL;
}

/* Whether @path is @folder, a slash and @name. */
static bool path_is(const char *path, const char *folder, const char *name) {
        size_t n = strlen(folder);

        return strncmp(path, folder, n) == 0 && path[n] == '/' && str_equal(path + n + 1, name);
}

/* Whether a drop-in of @folder says anything in @p. */
static bool has_dropin_of(const Policy *p, const char *folder) {
        size_t n = strlen(folder), n_name = strlen(p->name);

        for (size_t i = 0; i < p->n_lines; i++) {
                const char *path = p->lines[i].path;

                if (strncmp(path, folder, n) == 0 && path[n] == '/' && strncmp(path + n + 1, p->name, n_name) == 0 &&
                    strncmp(path + n + 1 + n_name, ".d/", 3) == 0)
                        return true;
        }

        return false;
}

static Candidate *find_candidate(const Loader *l, const char *name, size_t n) {
        for (size_t i = 0; i < l->n_candidates; i++)
                if (strncmp(l->candidates[i].name, name, n) == 0 && !l->candidates[i].name[n])
                        return &l->candidates[i];

        return NULL;
}

static int candidates_add(Loader *l, const Candidate *c) {
        Candidate *items;
        char *name;

        if (find_candidate(l, c->name, strlen(c->name)))
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

/* A folder that cannot be read, or not trusted: what came from it stays, and it is said. */
static int keep_folder(Loader *l, const PolicyFolder *f) {
        bool any = false;
        char *message;
        int r;

        for (size_t i = 0; l->last && i < l->last->n_policies; i++) {
                const Policy *p = l->last->policies[i];

                any |= has_dropin_of(p, f->path);

                if (!path_is(p->path, f->path, p->name))
                        continue;

                any = true;

                r = candidates_add(l, &(Candidate) { .name = p->name, .folder = f });
                if (r < 0)
                        return r;
        }

        if (asprintf(&message,
                     "The folder of policies %s; until then the policies that came from it stay as they were.",
                     f->why) < 0)
                return -ENOMEM;

        r = policy_set_note(l->set, &(PolicyError) { .path = (char *) f->path, .message = message, .kept_last = any });
        free(message);
        return r;
}

static int collect(Loader *l) {
        bool in_doubt = false;
        int r;

        for (size_t i = 0; i < l->n_folders; i++) {
                const PolicyFolder *f = &l->folders[i];

                if (f->why) {
                        in_doubt = true;
                        r = keep_folder(l, f);
                        if (r < 0)
                                return r;
                }

                for (size_t k = 0; k < f->n_items; k++) {
                        if (f->items[k].is_dropins)
                                continue;

                        r = candidates_add(l, &(Candidate) {
                                .name = f->items[k].name,
                                .folder = f,
                                .masked = f->items[k].masked,
                                .in_doubt = in_doubt,
                        });
                        if (r < 0)
                                return r;
                }
        }

        if (l->n_candidates > 0)
                qsort(l->candidates, l->n_candidates, sizeof(*l->candidates), candidate_compare);

        return 0;
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

        return policy_set_note(l->set, &(PolicyError) {
                .path = f->path ? f->path : (char *) path,
                .name = policy_file_name_is_valid(name) ? (char *) name : NULL,
                .line = f->line,
                .message = f->message,
                .kept_last = kept,
        });
}

static int refuse_because(Loader *l, const Candidate *c, const char *path, const char *message) {
        return refuse(l, c->name, path, &(PolicyFault) { .message = (char *) message });
}

/* Whether it has a drop-in in a folder that cannot be read now: without it, it would be another policy. */
static bool lacks_dropin(const Loader *l, const char *name) {
        const Policy *last = last_policy(l, name);

        for (size_t i = 0; last && i < l->n_folders; i++)
                if (l->folders[i].why && has_dropin_of(last, l->folders[i].path))
                        return true;

        return false;
}

/* Whether it may have one: of what was kept over a restart nobody knows. */
static bool may_lack_dropin(const Loader *l, const char *name) {
        const Policy *last = last_policy(l, name);

        for (size_t i = 0; last && last->is_kept && i < l->n_folders; i++)
                if (l->folders[i].why)
                        return true;

        return false;
}

static int read_policy(const Loader *l, const Candidate *c, const char *path, Policy **ret, PolicyFault *ret_fault) {
        PolicyDraft *draft;
        int r;

        r = policy_draft_new(c->name, path, &draft);
        if (r < 0)
                return r;

        r = policy_file_add(draft, c->folder->fd, c->name, NULL, ret_fault);
        if (r == 0)
                r = policy_dropins_add(l->folders, l->n_folders, c->name, draft, ret_fault);
        if (r == 0)
                r = policy_file_finish(draft, ret, ret_fault);

        policy_draft_free(draft);
        return r;
}

static int load_candidate(Loader *l, const Candidate *c, const char *path, size_t n_read) {
        PolicyFault f = POLICY_FAULT_INIT;
        bool kept;
        Policy *p;
        int r;

        if (n_read >= POLICY_FILES_MAX)
                return refuse_because(l, c, path,
                                      "It is beyond the first 256 files of policies by name, and no more are "
                                      "read: remove some, one policy can name many devices by lists and patterns.");

        if (!policy_file_name_is_valid(c->name))
                return refuse_because(l, c, path, "Its name has control characters or is not valid UTF-8: rename it.");

        if (c->in_doubt && !last_policy(l, c->name))
                return refuse_because(l, c, path,
                                      "A folder that comes before this one cannot be read, and a file of the "
                                      "same name there may mask or replace this one: it comes into force when that "
                                      "folder can be read.");

        r = read_policy(l, c, path, &p, &f);
        if (r == -ENOMEM)
                return r;

        if (r < 0) {
                r = refuse(l, c->name, path, &f);
                policy_fault_deinit(&f);
                return r;
        }

        if (may_lack_dropin(l, c->name)) {
                policy_free(p);
                return keep_last(l, c->name, &kept);
        }

        r = policy_set_add(l->set, p);
        if (r < 0)
                policy_free(p);

        return r;
}

static int load_candidates(Loader *l) {
        size_t n_read = 0;
        int r;

        for (size_t i = 0; i < l->n_candidates; i++) {
                const Candidate *c = &l->candidates[i];
                bool kept;
                char *path;

                if (c->masked)
                        continue;

                if (c->folder->why || lacks_dropin(l, c->name)) {
                        r = keep_last(l, c->name, &kept);
                        if (r < 0)
                                return r;

                        continue;
                }

                r = policy_path_printable(c->folder->path, c->name, &path);
                if (r < 0)
                        return r;

                r = load_candidate(l, c, path, n_read++);
                free(path);

                if (r < 0)
                        return r;
        }

        return 0;
}

static int warn_lonely(Loader *l, const PolicyFolder *f, const char *dropins) {
        char *path, *message;
        int r;

        r = policy_path_printable(f->path, dropins, &path);
        if (r < 0)
                return r;

        if (asprintf(&message,
                     "These drop-ins have no effect, as there is no policy %.*s in any of the policy folders: "
                     "give it one, rename this folder, or remove it.", (int) strlen(strrchr(path, '/') + 1) - 2,
                     strrchr(path, '/') + 1) < 0) {
                free(path);
                return -ENOMEM;
        }

        r = policy_set_note(l->set, &(PolicyError) { .path = path, .message = message, .is_warning = true });
        free(path);
        free(message);
        return r;
}

/* As systemd's, drop-ins of nothing are no error. They are a slip of the pen more often than not. */
static int find_lonely(Loader *l) {
        for (size_t i = 0; i < l->n_folders; i++)
                if (l->folders[i].why)
                        return 0; /* their policy may be there */

        for (size_t i = 0; i < l->n_folders; i++)
                for (size_t k = 0; k < l->folders[i].n_items; k++) {
                        const PolicyFolderItem *item = &l->folders[i].items[k];
                        char name[256];
                        size_t n;
                        int r;

                        if (!item->is_dropins)
                                continue;

                        n = strlen(item->name) - strlen(".d");
                        if (n >= sizeof(name) || find_candidate(l, item->name, n))
                                continue;

                        memcpy(name, item->name, n);
                        name[n] = 0;

                        r = policy_dropins_count(&l->folders[i], name, &n);
                        if (r == 0 && n > 0)
                                r = warn_lonely(l, &l->folders[i], item->name);
                        if (r < 0)
                                return r;
                }

        return 0;
}

static int load(Loader *l, const char *const *paths) {
        size_t n = 0;
        int r;

        while (paths[n])
                n++;

        l->folders = calloc(n + 1, sizeof(*l->folders));
        if (!l->folders)
                return -ENOMEM;

        for (; l->n_folders < n; l->n_folders++) {
                const char *path = paths[l->n_folders];

                r = policy_folder_read(AT_FDCWD, path, path, true, &l->folders[l->n_folders]);
                if (r < 0)
                        return r;
        }

        r = collect(l);
        if (r == 0)
                r = load_candidates(l);

        return r < 0 ? r : find_lonely(l);
}

/**
 * policy_load() - read all policies
 * @folders: NULL-terminated paths of the folders, the one that counts most first; borrowed
 * @keep_folder: full path of the folder in which last good versions outlive the daemon; its parent
 *               exists; NULL: none. Borrowed
 * @last: the set in force, NULL or empty if there is none; borrowed
 * @ret: the new set with all that is wrong in its errors; owned by the caller, policy_set_free()
 *
 * Of files of one name the first folder's counts; a link to /dev/null there means that there is no
 * such policy. Only "*.conf" counts, and no name that begins with a dot. A folder that is not there
 * is empty. Each policy is changed by its drop-ins, NAME.conf.d/ in any of the folders
 * (policy_dropins_add()); drop-ins without a policy are a warning.
 *
 * A file or drop-in that is wrong is in the errors, and the policy of its name in @last, if there is
 * one, is copied into the new set (kept_last). A folder that cannot be read is one error, and all that
 * @last has from it is kept; what would be new in the folders behind it is an error too, as it may be
 * masked in the one that cannot be read.
 *
 * Without policies in @last, at the daemon's start, those in @keep_folder stand for it. Afterwards that has
 * the new set's.
 *
 * Blocks on the disk of the folders. Not for two threads at once.
 *
 * Return: 0, or -ENOMEM, with which nothing is changed.
 */
int policy_load(const char *const *folders, const char *keep_folder, const PolicySet *last, PolicySet **ret) {
        Loader l = { .last = last };
        PolicySet *kept = NULL;
        int r = 0;

        if (keep_folder && (!last || last->n_policies == 0)) {
                r = policy_keep_load(keep_folder, &kept);
                if (r < 0)
                        return r;

                l.last = kept;
        }

        l.set = policy_set_new();
        r = l.set ? load(&l, folders) : -ENOMEM;
        loader_deinit(&l);
        policy_set_free(kept);

        if (r == 0 && keep_folder)
                r = policy_keep_save(keep_folder, l.set);

        if (r < 0) {
                policy_set_free(l.set);
                return r;
        }

        *ret = l.set;
        return 0;
}
