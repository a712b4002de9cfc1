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

/* The drop-ins of a policy, in all folders. */
static void print_dropins(const char *name) {
        for (size_t i = 0; folders[i]; i++) {
                PolicyFolder f = POLICY_FOLDER_INIT;
                char path[4096];

                (void) snprintf(path, sizeof(path), "%s/%s.d", folders[i], name);
                if (access(path, F_OK) == 0 && policy_folder_read(AT_FDCWD, path, path, true, &f) >= 0)
                        for (size_t k = 0; k < f.n_items; k++)
                                print_file(path, f.items[k].name);
                policy_folder_deinit(&f);
        }
}

/** verb_cat_config() - [NAME...]: the policy files that count, with their drop-ins, in the order in which they do */
int verb_cat_config(Ctl *c, int argc, char *argv[]) {
        enum { N = sizeof(folders) / sizeof(folders[0]) - 1 };
        PolicyFolder all[N];
        size_t at[N] = { 0 };
        int status = STATUS_OK;

        for (size_t i = 0; i < N; i++) {
                all[i] = POLICY_FOLDER_INIT;
                if (policy_folder_read(AT_FDCWD, folders[i], folders[i], true, &all[i]) < 0)
                        status = client_fault(-ENOMEM);
                if (all[i].why)
                        status = complain(STATUS_FAILED, "%s %s", folders[i], all[i].why);
        }

        if (status == STATUS_OK)
                pager_open(c);

        /* sorted lists, merged: of one name the first folder's counts */
        while (status == STATUS_OK) {
                const PolicyFolderItem *next = NULL;
                size_t where = 0;
                bool wanted = argc == 0;

                for (size_t i = 0; i < N; i++)
                        if (at[i] < all[i].n_items && (!next || strcmp(all[i].items[at[i]].name, next->name) < 0)) {
                                next = &all[i].items[at[i]];
                                where = i;
                        }
                if (!next)
                        break;

                for (int i = 0; i < argc && !wanted; i++)
                        wanted = str_equal(argv[i], next->name);
                if (wanted && !next->is_dropins) {
                        if (next->masked)
                                (void) printf("%s# %s/%s: masked%s\n\n", colour_on(COLOUR_DIM), folders[where],
                                              next->name, colour_off());
                        else {
                                print_file(folders[where], next->name);
                                print_dropins(next->name);
                        }
                }

                for (size_t i = N; i-- > 0; )
                        if (at[i] < all[i].n_items && str_equal(all[i].items[at[i]].name, next->name) && i != where)
                                at[i]++;
                at[where]++;
        }

        for (size_t i = 0; i < N; i++)
                policy_folder_deinit(&all[i]);
        return status;
}
