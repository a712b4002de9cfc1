/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "dbus/bus-args.h"
#include "dbus/bus-polkit.h"

#define POLKIT_NAME      "org.freedesktop.PolicyKit1"
#define POLKIT_PATH      "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

#define POLKIT_INTERACTIVE 1U /* CheckAuthorizationFlags: AllowUserInteraction */

/* Somebody may have to find a password first. */
#define POLKIT_TIMEOUT_USEC UINT64_C(120000000)

struct PolkitQuery {
        sd_bus *bus;
        sd_bus_slot *slot;     /* of the call; NULL once answered */
        char cancellation[32]; /* names this query to polkit */
        PolkitDone done;
        void *userdata;
};

/* Tells polkit to stop asking: else a dialogue stays on somebody's screen. Best effort. */
static void polkit_cancel(PolkitQuery *q) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        if (sd_bus_message_new_method_call(q->bus, &m, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                           "CancelCheckAuthorization") < 0 ||
            sd_bus_message_set_auto_start(m, false) < 0 ||
            sd_bus_message_set_expect_reply(m, false) < 0 ||
            sd_bus_message_append(m, "s", q->cancellation) < 0)
                return;

        (void) sd_bus_send(q->bus, m, NULL);
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        PolkitQuery *q = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        int authorized = 0, challenge = 0;

        (void) ret_error;

        if (e) {
                /* what is still being asked over there must not go on */
                if (sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY) || sd_bus_error_has_name(e, SD_BUS_ERROR_TIMEOUT))
                        polkit_cancel(q);

                q->slot = sd_bus_slot_unref(q->slot);
                q->done(POLKIT_SILENT, e->message ?: e->name, q->userdata);
                return 1;
        }

        q->slot = sd_bus_slot_unref(q->slot);

        /* the details that follow are polkit's own and not needed */
        if (!sd_bus_message_has_signature(reply, "(bba{ss})") ||
            sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 ||
            sd_bus_message_read(reply, "bb", &authorized, &challenge) < 0)
                q->done(POLKIT_SILENT, "its answer makes no sense", q->userdata);
        else
                q->done(authorized ? POLKIT_YES : challenge ? POLKIT_CHALLENGE : POLKIT_NO, NULL, q->userdata);

        return 1;
}

static int append_question(sd_bus_message *m, const char *sender, const char *action, const char *const *details,
                           bool interactive, const char *cancellation) {
        int r;

        r = sd_bus_message_append(m, "(sa{sv})s", "system-bus-name", 1, "name", "s", sender, action);
        if (r < 0)
                return r;

        r = sd_bus_message_open_container(m, 'a', "{ss}");
        if (r < 0)
                return r;

        for (size_t i = 0; details[i]; i += 2) {
                r = sd_bus_message_open_container(m, 'e', "ss");
                if (r >= 0)
                        r = sd_bus_message_append(m, "s", details[i]);
                if (r >= 0)
                        r = bus_append_text(m, details[i + 1]);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
                if (r < 0)
                        return r;
        }

        r = sd_bus_message_close_container(m);
        if (r < 0)
                return r;

        return sd_bus_message_append(m, "us", interactive ? POLKIT_INTERACTIVE : 0U, cancellation);
}

/**
 * polkit_query_new() - ask polkit whether a caller may do something
 * @bus: the connection that the caller is on
 * @sender: the caller's unique bus name, the subject of the question
 * @action: the polkit action
 * @details: pairs of key and value, NULL-terminated; copied, any bytes
 * @interactive: polkit may make somebody authenticate; that can take up to the 120 s given to it
 * @done: called once from the event loop, unless the query is freed before
 * @userdata: for @done
 * @ret: the query, owned by the caller, to be freed after the answer too
 *
 * Return: 0, or a negative errno of sd-bus: nothing was asked.
 */
int polkit_query_new(sd_bus *bus, const char *sender, const char *action, const char *const *details,
                     bool interactive, PolkitDone done, void *userdata, PolkitQuery **ret) {
        static uint64_t n_queries; /* names of this process's queries must not meet */
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        PolkitQuery *q;
        int r;

        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;

        q->bus = sd_bus_ref(bus);
        q->done = done;
        q->userdata = userdata;
        (void) snprintf(q->cancellation, sizeof(q->cancellation), "blkfilter-%llu", (unsigned long long) ++n_queries);

        r = sd_bus_message_new_method_call(bus, &m, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE, "CheckAuthorization");
        if (r >= 0)
                r = append_question(m, sender, action, details, interactive, q->cancellation);
        if (r >= 0)
                r = sd_bus_call_async(bus, &q->slot, m, on_answer, q, POLKIT_TIMEOUT_USEC);
        if (r < 0) {
                polkit_query_free(q);
                return r;
        }

        *ret = q;
        return 0;
}

/**
 * polkit_query_free() - release a query; one that is not answered is cancelled
 * @q: the query, or NULL
 *
 * Return: NULL.
 */
PolkitQuery *polkit_query_free(PolkitQuery *q) {
        if (!q)
                return NULL;

        if (q->slot) {
                polkit_cancel(q);
                sd_bus_slot_unref(q->slot);
        }

        sd_bus_unref(q->bus);
        free(q);
        return NULL;
}
