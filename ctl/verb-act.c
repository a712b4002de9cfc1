/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What changes something: attach, detach, forget, reload. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkfilter-names.h"
#include "ctl/output.h"
#include "ctl/terminal.h"

static int append_option(sd_bus_message *m, const char *name, bool value) {
        return value ? sd_bus_message_append(m, "{sv}", name, "b", 1) : 0;
}

/** verb_attach() - DEVICE FILTER: put a filter on a device; what it is recognised by is told */
int verb_attach(Ctl *c, int argc, char *argv[]) {
        sd_bus_message *call = NULL, *reply = NULL;
        const char *path;
        Shown s = { 0 };
        int r, status;

        (void) argc;

        status = client_new_call(c, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER, "Attach", &call);
        if (status == STATUS_OK) {
                r = sd_bus_message_append(call, "ss", argv[0], argv[1]);
                if (r >= 0)
                        r = sd_bus_message_open_container(call, 'a', "{sv}");
                if (r >= 0)
                        r = append_option(call, "choose", c->choose);
                if (r >= 0)
                        r = append_option(call, "persistent", c->persistent);
                if (r >= 0)
                        r = sd_bus_message_close_container(call);
                status = r < 0 ? client_fault(r) : client_send(c, call, &reply);
        }
        if (status == STATUS_OK) {
                r = sd_bus_message_read(reply, "o", &path);
                status = r < 0 ? client_fault(r) : client_get(c, path, &s);
        }
        if (status == STATUS_OK && c->output != OUTPUT_TEXT) {
                json_object *o = json_object_new_object(), *array = json_object_new_array();

                (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
                (void) json_object_array_add(array, json_of_shown(&s));
                (void) json_object_object_add(o, "attachments", array);
                (void) json_print(c, o);
        } else if (status == STATUS_OK && !c->quiet)
                (void) say("%s is on %s, by %s%s.", s.filter, s.device, s.identity,
                           s.policy[0] ? "" : ", until the next boot (--persistent: for good)");

        shown_deinit(&s);
        sd_bus_message_unref(call);
        sd_bus_message_unref(reply);
        return status;
}

/** verb_detach() - DEVICE [FILTER]: take a filter off; without a name the one that the device's attachment has */
int verb_detach(Ctl *c, int argc, char *argv[]) {
        sd_bus_message *call = NULL;
        char *path = NULL;
        Shown s = { 0 };
        int r, status = STATUS_OK;

        if (argc < 2) {
                status = client_get_path(c, argv[0], &path);
                if (status == STATUS_OK)
                        status = client_get(c, path, &s);
        }
        if (status == STATUS_OK)
                status = client_new_call(c, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER, "Detach", &call);
        if (status == STATUS_OK) {
                r = sd_bus_message_append(call, "ssa{sv}", argv[0], argc > 1 ? argv[1] : s.filter, 0);
                status = r < 0 ? client_fault(r) : client_send(c, call, NULL);
        }
        if (status == STATUS_OK && !c->quiet)
                (void) say("%s is off %s, and stays off until it is attached by hand or the machine boots.",
                           argc > 1 ? argv[1] : s.filter, argv[0]);

        shown_deinit(&s);
        free(path);
        sd_bus_message_unref(call);
        return status;
}

/* The object that a user means: one whose identity or object is written out, as list has it; else the device's. */
static int find_object(Ctl *c, const char *name, char **ret) {
        const size_t n_path = sizeof(BLKFILTER_OBJECT_ATTACHMENT "/") - 1;
        size_t n, n_found = 0;
        Shown *items;
        int status;

        status = client_list(c, &items, &n);
        if (status != STATUS_OK)
                return status;

        for (size_t i = 0; i < n; i++)
                if (strcmp(items[i].path, name) == 0 || strcmp(items[i].path + n_path, name) == 0 ||
                    strcmp(items[i].identity, name) == 0) {
                        free(*ret);
                        *ret = strdup(items[i].path);
                        if (!*ret)
                                status = client_fault(-ENOMEM);
                        n_found++;
                }
        shown_free_all(items, n);

        if (n_found > 1)
                return complain(STATUS_FAILED,
                                "there are %zu attachments with %s; name one by its object, which blkfilterctl list"
                                " --json=short has",
                                n_found, name);
        return n_found == 1 || status != STATUS_OK ? status : client_get_path(c, name, ret);
}

/** verb_forget() - DEVICE, identity or object: take back what was asked for by hand; its filter is on no device */
int verb_forget(Ctl *c, int argc, char *argv[]) {
        sd_bus_message *call = NULL;
        char *path = NULL;
        int r, status;

        (void) argc;

        status = find_object(c, argv[0], &path);
        if (status == STATUS_OK)
                status = client_new_call(c, path, BLKFILTER_INTERFACE_ATTACHMENT, "Forget", &call);
        if (status == STATUS_OK) {
                r = sd_bus_message_append(call, "a{sv}", 0);
                status = r < 0 ? client_fault(r) : client_send(c, call, NULL);
        }
        if (status == STATUS_OK && !c->quiet)
                (void) say("What was asked for by hand is forgotten for %s.", argv[0]);

        free(path);
        sd_bus_message_unref(call);
        return status;
}

/** verb_reload() - have the policy files read again; what is wrong in them goes to standard error */
int verb_reload(Ctl *c, int argc, char *argv[]) {
        sd_bus_message *call = NULL, *reply = NULL;
        ShownErrors errors = { 0 };
        int r, status;

        (void) argc;
        (void) argv;

        status = client_new_call(c, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER, "Reload", &call);
        if (status == STATUS_OK) {
                r = sd_bus_message_append(call, "a{sv}", 0);
                status = r < 0 ? client_fault(r) : client_send(c, call, &reply);
        }
        if (status == STATUS_OK) {
                r = client_read_errors(reply, &errors);
                status = r < 0 ? client_fault(r) : errors.n_items > 0 ? STATUS_NO : STATUS_OK;
        }
        for (size_t i = 0; i < errors.n_items; i++)
                print_finding(stderr, 0, errors.items[i].file, errors.items[i].line, errors.items[i].message);

        shown_errors_deinit(&errors);
        sd_bus_message_unref(call);
        sd_bus_message_unref(reply);
        return status;
}
