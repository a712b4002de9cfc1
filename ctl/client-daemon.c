/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon tells of itself: org.blkfilter1.Manager. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blkfilter-names.h"
#include "ctl/client.h"

/**
 * shown_errors_deinit() - release what was read of errors
 * @e: the list; empty afterwards
 */
void shown_errors_deinit(ShownErrors *e) {
        for (size_t i = 0; i < e->n_items; i++) {
                free(e->items[i].file);
                free(e->items[i].message);
        }
        free(e->items);
        *e = (ShownErrors) { 0 };
}

/**
 * shown_daemon_deinit() - release what was read of the daemon
 * @d: all of it; empty afterwards
 */
void shown_daemon_deinit(ShownDaemon *d) {
        for (size_t i = 0; i < d->n_counts; i++)
                free(d->counts[i].state);
        free(d->counts);
        shown_errors_deinit(&d->errors);
        for (size_t i = 0; i < d->n_filters; i++) {
                free(d->filters[i].name);
                free(d->filters[i].registered);
                free(d->filters[i].reason);
        }
        free(d->filters);
        free(d->version);
        free(d->interface);
        free(d->interface_reason);
        *d = (ShownDaemon) { 0 };
}

/**
 * client_read_errors() - read what is wrong in policy files, a(sus)
 * @m: read up to it
 * @value: a ShownErrors, empty; shown_errors_deinit() releases it, on failure too
 *
 * Return: 0 or positive, or a negative errno.
 */
int client_read_errors(sd_bus_message *m, void *value) {
        ShownErrors *e = value;
        int r = sd_bus_message_enter_container(m, 'a', "(sus)");

        while (r > 0) {
                const char *file, *message;
                ShownError *items;
                uint32_t line;

                r = sd_bus_message_read(m, "(sus)", &file, &line, &message);
                if (r <= 0)
                        break;

                items = realloc(e->items, (e->n_items + 1) * sizeof(*items));
                if (!items)
                        return -ENOMEM;
                e->items = items;
                items[e->n_items] = (ShownError) { .file = strdup(file), .line = line, .message = strdup(message) };
                e->n_items++;
                if (!items[e->n_items - 1].file || !items[e->n_items - 1].message)
                        return -ENOMEM;
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_counts(sd_bus_message *m, void *value) {
        ShownDaemon *d = value;
        int r = sd_bus_message_enter_container(m, 'a', "{su}");

        while (r > 0) {
                ShownCount *counts;
                const char *state;
                uint32_t n;

                r = sd_bus_message_read(m, "{su}", &state, &n);
                if (r <= 0)
                        break;

                counts = realloc(d->counts, (d->n_counts + 1) * sizeof(*counts));
                if (!counts)
                        return -ENOMEM;
                d->counts = counts;
                counts[d->n_counts] = (ShownCount) { .state = strdup(state), .n = n };
                if (!counts[d->n_counts++].state)
                        return -ENOMEM;
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_filters(sd_bus_message *m, void *value) {
        ShownDaemon *d = value;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(sss)");
        while (r > 0) {
                const char *name, *registered, *reason;
                ShownFilter *f;

                r = sd_bus_message_read(m, "(sss)", &name, &registered, &reason);
                if (r <= 0)
                        break;

                f = realloc(d->filters, (d->n_filters + 1) * sizeof(*f));
                if (!f)
                        return -ENOMEM;
                d->filters = f;
                f += d->n_filters++;
                *f = (ShownFilter) { strdup(name), strdup(registered), strdup(reason) };
                if (!f->name || !f->registered || !f->reason)
                        return -ENOMEM;
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/**
 * client_get_daemon() - all that the daemon tells of itself
 * @c: as of client_new_call()
 * @ret: shown_daemon_deinit() releases it, on failure too
 *
 * Return: STATUS_OK, or another exit status after a sentence.
 */
int client_get_daemon(Ctl *c, ShownDaemon *ret) {
        const ClientProperty wanted[] = {
                { "Version", "s", client_read_string, &ret->version },
                { "KernelInterface", "s", client_read_string, &ret->interface },
                { "KernelInterfaceReason", "s", client_read_string, &ret->interface_reason },
                { "Filters", "a(sss)", read_filters, ret },
                { "ConfigErrors", "a(sus)", client_read_errors, &ret->errors },
                { "Counts", "a{su}", read_counts, ret },
        };
        sd_bus_message *reply = NULL;
        int r, status;

        *ret = (ShownDaemon) { 0 };
        status = client_get_all(c, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER, &reply);
        if (status == STATUS_OK) {
                r = client_read_properties(reply, wanted, sizeof(wanted) / sizeof(wanted[0]));
                if (r >= 0 && (!ret->version || !ret->interface))
                        r = -EBADMSG;
                if (r >= 0 && !ret->interface_reason) {
                        ret->interface_reason = strdup("");
                        r = ret->interface_reason ? 0 : -ENOMEM;
                }
                status = r < 0 ? client_fault(r) : STATUS_OK;
        }

        sd_bus_message_unref(reply);
        return status;
}
