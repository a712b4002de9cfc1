/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is read from files, without a daemon: verify, cat-config. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blkfilter-paths.h"
#include "ctl/output.h"
#include "ctl/pager.h"
#include "ctl/terminal.h"
#include "daemon/policy-folder.h"
#include "daemon/policy-load.h"
#include "daemon/text.h"

static const char *const folders[] = BLKFILTER_POLICY_FOLDERS;

#define N_FOLDERS (sizeof(folders) / sizeof(folders[0]) - 1)

static int print_findings(Ctl *c, json_object *findings, size_t n_errors, size_t n_policies) {
        json_object *o;

        if (c->output == OUTPUT_TEXT) {
                if (n_errors == 0 && n_policies == 0 && !c->quiet)
                        (void) say("There are no policies.");
                else if (n_errors == 0 && !c->quiet)
                        (void) printf("%zu polic%s right.\n", n_policies, n_policies == 1 ? "y is" : "ies are");
                return n_errors > 0 ? STATUS_NO : STATUS_OK;
        }

        o = json_object_new_object();
        (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
        (void) json_object_object_add(o, "policies", json_object_new_uint64(n_policies));
        (void) json_object_object_add(o, "errors", findings);
        (void) json_print(c, o);
        return n_errors > 0 ? STATUS_NO : STATUS_OK;
}

static void add_finding(Ctl *c, json_object *findings, const char *path, unsigned line, const char *message) {
        if (c->output == OUTPUT_TEXT)
                print_finding(stdout, 0, path, line, message);
        else
                (void) json_object_array_add(findings, json_of_finding(path, line, message));
}

static int verify_all(Ctl *c, json_object *findings) {
        PolicySet *set;
        size_t n = 0;
        int r, status;

        r = policy_load(folders, NULL, NULL, &set);
        if (r < 0)
                return complain(STATUS_FAILED, "the policies cannot be read: %s", strerror(-r));

        for (size_t i = 0; i < set->n_errors; i++) {
                add_finding(c, findings, set->errors[i].path, set->errors[i].line, set->errors[i].message);
                n += !set->errors[i].is_warning;
        }
        status = print_findings(c, findings, n, set->n_policies);
        policy_set_free(set);
        return status;
}

/** verb_verify() - [FILE...]: whether policy files are right; without a name all that the daemon would read */
int verb_verify(Ctl *c, int argc, char *argv[]) {
        json_object *findings = c->output != OUTPUT_TEXT ? json_object_new_array() : NULL;
        size_t n_errors = 0;

        if (argc == 0)
                return verify_all(c, findings);

        for (int i = 0; i < argc; i++) {
                char *message = NULL;
                Policy *p = NULL;
                unsigned line;
                int r;

                r = policy_load_file(argv[i], &p, &line, &message);
                policy_free(p);
                if (r < 0) {
                        add_finding(c, findings, argv[i], line, message ?: strerror(-r));
                        n_errors++;
                }
                free(message);
        }

        return print_findings(c, findings, n_errors, (size_t) argc - n_errors);
}

static void print_file(const char *folder, const char *name) {
        char path[4096], buf[4096];
        ssize_t n;
        int fd;

        (void) snprintf(path, sizeof(path), "%s/%s", folder, name);
        (void) printf("%s# %s%s\n", colour_on(COLOUR_DIM), path, colour_off());
        (void) fflush(stdout);

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0) {
                (void) printf("# cannot be read: %s\n\n", strerror(errno));
                return;
        }
        while ((n = read(fd, buf, sizeof(buf))) > 0)
                (void) fwrite(buf, 1, (size_t) n, stdout);
        (void) close(fd);
        (void) printf("\n");
}

/*
 * The next of several sorted lists, merged: of one name the first folder's counts, and those of the others are passed
 * over. at[i]: where it is in each. Returns NULL at the end.
 */
static const PolicyFolderItem *next_of(const PolicyFolder all[static N_FOLDERS], size_t at[static N_FOLDERS],
                                       size_t *ret_folder) {
        const PolicyFolderItem *next = NULL;

        for (size_t i = 0; i < N_FOLDERS; i++)
                if (at[i] < all[i].n_items && (!next || strcmp(all[i].items[at[i]].name, next->name) < 0)) {
                        next = &all[i].items[at[i]];
                        *ret_folder = i;
                }

        for (size_t i = 0; next && i < N_FOLDERS; i++)
                if (at[i] < all[i].n_items && str_equal(all[i].items[at[i]].name, next->name))
                        at[i]++;

        return next;
}

static void print_item(const char *folder, const PolicyFolderItem *item) {
        if (item->masked)
                (void) printf("%s# %s/%s: masked%s\n\n", colour_on(COLOUR_DIM), folder, item->name, colour_off());
        else
                print_file(folder, item->name);
}

/* The drop-ins of a policy that count. */
static void print_dropins(const char *name) {
        PolicyFolder all[N_FOLDERS];
        const PolicyFolderItem *item;
        char paths[N_FOLDERS][4096];
        size_t at[N_FOLDERS] = { 0 }, where;

        for (size_t i = 0; i < N_FOLDERS; i++) {
                all[i] = POLICY_FOLDER_INIT;
                (void) snprintf(paths[i], sizeof(paths[i]), "%s/%s.d", folders[i], name);
                if (access(paths[i], F_OK) == 0)
                        (void) policy_folder_read(AT_FDCWD, paths[i], paths[i], true, &all[i]);
        }

        while ((item = next_of(all, at, &where)))
                if (!item->is_dropins)
                        print_item(paths[where], item);

        for (size_t i = 0; i < N_FOLDERS; i++)
                policy_folder_deinit(&all[i]);
}

static bool is_named(int argc, char *argv[], const char *name) {
        for (int i = 0; i < argc; i++)
                if (str_equal(argv[i], name))
                        return true;

        return argc == 0;
}

static bool is_there(const PolicyFolder all[static N_FOLDERS], const char *name) {
        for (size_t i = 0; i < N_FOLDERS; i++)
                if (policy_folder_get(&all[i], name))
                        return true;

        return false;
}

/** verb_cat_config() - [NAME...]: the policy files that count, with their drop-ins, in the order in which they do */
int verb_cat_config(Ctl *c, int argc, char *argv[]) {
        PolicyFolder all[N_FOLDERS];
        const PolicyFolderItem *item;
        size_t at[N_FOLDERS] = { 0 }, where;
        int status = STATUS_OK;

        for (size_t i = 0; i < N_FOLDERS; i++) {
                all[i] = POLICY_FOLDER_INIT;
                if (policy_folder_read(AT_FDCWD, folders[i], folders[i], true, &all[i]) < 0)
                        status = client_fault(-ENOMEM);
                if (all[i].why)
                        status = complain(STATUS_FAILED, "%s %s", folders[i], all[i].why);
        }

        for (int i = 0; i < argc && status == STATUS_OK; i++)
                if (!is_there(all, argv[i]))
                        status = complain(STATUS_NO, "there is no policy %s; blkfilterctl cat-config prints all, each"
                                                     " with its name", argv[i]);

        if (status == STATUS_OK)
                pager_open(c);

        while (status == STATUS_OK && (item = next_of(all, at, &where)))
                if (is_named(argc, argv, item->name) && !item->is_dropins) {
                        print_item(folders[where], item);
                        if (!item->masked)
                                print_dropins(item->name);
                }

        for (size_t i = 0; i < N_FOLDERS; i++)
                policy_folder_deinit(&all[i]);
        return status;
}
