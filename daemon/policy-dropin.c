/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy-dropin.h"
#include "daemon/policy-file.h"
#include "daemon/text.h"

#define DROPINS_MAX 64 /* that one policy may have */

/* The folders NAME.conf.d of one policy, by the policy folders that they are in. */
typedef struct Dropins {
        PolicyFolder *folders; /* n_folders elements */
        char **paths;          /* of each */
        size_t n_folders;
        struct {
                const char *name; /* borrowed from the folder */
                size_t folder;    /* which one's it is */
        } items[DROPINS_MAX];     /* sorted by name, no two alike, none masked */
        size_t n_items;
} Dropins;

static void dropins_deinit(Dropins *x) {
        for (size_t i = 0; i < x->n_folders; i++) {
                policy_folder_deinit(&x->folders[i]);
                free(x->paths[i]);
        }

        free(x->folders);
        free(x->paths);
}

/* Without memory for the sentence there is no fault. */
static int fault(PolicyFault *ret, const char *path, const char *before, const char *middle, const char *after) {
        PolicyFault f = POLICY_FAULT_INIT;

        f.path = strdup(path);
        if (asprintf(&f.message, "%s%s%s", before, middle, after) < 0)
                f.message = NULL;

        if (!f.path || !f.message) {
                policy_fault_deinit(&f);
                return -ENOMEM;
        }

        *ret = f;
        return -EINVAL;
}

static int folder_of(const PolicyFolder *folder, const char *name, char **ret_name, char **ret_path) {
        int r;

        if (asprintf(ret_name, "%s.d", name) < 0)
                return -ENOMEM;

        r = policy_path_printable(folder->path, *ret_name, ret_path);
        if (r < 0)
                free(*ret_name);

        return r;
}

/* Lists the folder of drop-ins of @name in @folder, which is empty if there is none. */
static int list(const PolicyFolder *folder, const char *name, PolicyFolder *ret, char **ret_path) {
        char *dropins;
        int r;

        *ret = POLICY_FOLDER_INIT;
        *ret_path = NULL;

        r = folder_of(folder, name, &dropins, ret_path);
        if (r < 0)
                return r;

        if (policy_folder_get(folder, dropins))
                r = policy_folder_read(folder->fd, dropins, *ret_path, false, ret);

        free(dropins);
        return r;
}

/* Puts a name in its place; one that is there already came from a folder that counts more. */
static bool insert(Dropins *x, const char *name, size_t folder) {
        size_t i = 0;

        while (i < x->n_items && strcmp(x->items[i].name, name) < 0)
                i++;

        if (i < x->n_items && str_equal(x->items[i].name, name))
                return true;

        if (x->n_items >= DROPINS_MAX)
                return false;

        memmove(&x->items[i + 1], &x->items[i], (x->n_items - i) * sizeof(x->items[0]));
        x->items[i].name = name;
        x->items[i].folder = folder;
        x->n_items++;
        return true;
}

/* Whether a folder before that one has the name, be it a file or a mask. */
static bool is_decided(const Dropins *x, const char *name, size_t folder) {
        for (size_t i = 0; i < folder; i++) {
                const PolicyFolderItem *item = policy_folder_get(&x->folders[i], name);

                if (item && !item->is_dropins)
                        return true;
        }

        return false;
}

static int collect(Dropins *x, const PolicyFolder *folders, const char *name, PolicyFault *ret_fault) {
        for (size_t i = 0; i < x->n_folders; i++) {
                PolicyFolder *f = &x->folders[i];
                int r;

                r = list(&folders[i], name, f, &x->paths[i]);
                if (r < 0)
                        return r;

                if (f->why)
                        return fault(ret_fault, x->paths[i], "The folder of drop-ins ", f->why,
                                     "; until then its policy is not read again.");

                for (size_t k = 0; k < f->n_items; k++) {
                        if (f->items[k].is_dropins || f->items[k].masked || is_decided(x, f->items[k].name, i))
                                continue;

                        if (!insert(x, f->items[k].name, i))
                                return fault(ret_fault, x->paths[i],
                                             "The policy has more than 64 drop-ins, too many to be "
                                             "meant: make one file of several.", "", "");
                }
        }

        return 0;
}

static int add_one(const Dropins *x, size_t i, PolicyDraft *draft, PolicyFault *ret_fault) {
        const char *name = x->items[i].name;
        size_t folder = x->items[i].folder;
        char *path;
        int r;

        r = policy_path_printable(x->paths[folder], name, &path);
        if (r < 0)
                return r;

        if (!policy_file_name_is_valid(name))
                r = fault(ret_fault, path, "Its name has control characters or is not valid UTF-8: rename it.", "", "");
        else {
                r = policy_file_add(draft, x->folders[folder].fd, name, path, ret_fault);
                if (r < 0 && r != -ENOMEM) {
                        ret_fault->path = path;
                        return r;
                }
        }

        free(path);
        return r;
}

/**
 * policy_dropins_add() - read the drop-ins of a policy
 * @folders: the policy folders, the one that counts most first; @n_folders elements; borrowed
 * @n_folders: number of them
 * @name: the policy's file name without folder
 * @draft: has the policy's own file already
 * @ret_fault: set on any error but -ENOMEM; its path says in which drop-in or folder; owned by the
 *             caller, policy_fault_deinit()
 *
 * As systemd has it: of drop-ins of one name the first folder's counts, a link to /dev/null there masks
 * it, and they are read in the order of their names, whatever their folder.
 *
 * Return: 0; -EINVAL if one of them, or its folder, is not acceptable; -ENOMEM; or the error of reading one.
 */
int policy_dropins_add(const PolicyFolder *folders, size_t n_folders, const char *name, PolicyDraft *draft,
                       PolicyFault *ret_fault) {
        Dropins x = { 0 };
        int r = 0;

        x.folders = calloc(n_folders + 1, sizeof(*x.folders));
        x.paths = calloc(n_folders + 1, sizeof(*x.paths));

        if (!x.folders || !x.paths) {
                free(x.folders);
                free(x.paths);
                return -ENOMEM;
        }

        for (size_t i = 0; i < n_folders; i++)
                x.folders[i] = POLICY_FOLDER_INIT;

        x.n_folders = n_folders;
        r = collect(&x, folders, name, ret_fault);

        for (size_t i = 0; i < x.n_items && r == 0; i++)
                r = add_one(&x, i, draft, ret_fault);

        dropins_deinit(&x);
        return r;
}

/**
 * policy_dropins_count() - how many drop-ins a folder has for a policy
 * @folder: one of the policy folders; borrowed
 * @name: the policy's file name without folder
 * @ret: set to the number of files that could be drop-ins; 1 if they cannot be counted
 *
 * Return: 0, or -ENOMEM.
 */
int policy_dropins_count(const PolicyFolder *folder, const char *name, size_t *ret) {
        PolicyFolder f;
        char *path;
        int r;

        r = list(folder, name, &f, &path);
        free(path);
        if (r < 0)
                return r;

        *ret = f.why ? 1 : 0;
        for (size_t i = 0; i < f.n_items; i++)
                *ret += !f.items[i].is_dropins && !f.items[i].masked;

        policy_folder_deinit(&f);
        return 0;
}
