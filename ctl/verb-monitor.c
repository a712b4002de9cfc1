/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What happens, as it happens: monitor. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blkfilter-names.h"
#include "ctl/output.h"
#include "ctl/terminal.h"

/* An attachment as it was told last: only what is new of it is printed. */
typedef struct Seen {
        char *path, *filter, *state, *reason;
} Seen;

typedef struct Monitor {
        Ctl *ctl;
        Seen *seen;
        size_t n_seen;
        bool changed; /* something was told, and has not been looked at */
} Monitor;

static void print_event(const Ctl *c, const char *what, Colour colour, const char *device, const char *filter,
                        const char *detail, json_object *more) {
        uint64_t now = time_now_usec();
        char at[32];
        struct tm tm;
        time_t t = (time_t) (now / 1000000);

        if (c->output != OUTPUT_TEXT) {
                json_object *o = json_object_new_object();

                (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
                (void) json_object_object_add(o, "time", json_object_new_uint64(now));
                (void) json_object_object_add(o, "event", json_object_new_string(what));
                (void) json_object_object_add(o, "Device", json_object_new_string(device));
                (void) json_object_object_add(o, "Filter", json_object_new_string(filter));
                (void) json_object_object_add(o, "detail", json_object_new_string(detail));
                if (more)
                        (void) json_object_object_add(o, "attachment", more);
                /* a line each, whatever was asked for: who reads along needs to know where one ends */
                (void) printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));
                (void) json_object_put(o);
        } else {
                (void) localtime_r(&t, &tm);
                (void) strftime(at, sizeof(at), "%H:%M:%S", &tm);
                (void) text_print(stdout, sizeof("13:42:49.123 ") - 1, "%s.%03u %s%-9s%s %-12s %-8s %s", at,
                                  (unsigned) (now / 1000 % 1000), colour_on(colour), what, colour_off(),
                                  device[0] ? device : "-", filter, detail);
        }
        (void) fflush(stdout);
}

static Seen *get_seen(Monitor *m, const char *path) {
        Seen *more;

        for (size_t i = 0; i < m->n_seen; i++)
                if (strcmp(m->seen[i].path, path) == 0)
                        return &m->seen[i];

        more = realloc(m->seen, (m->n_seen + 1) * sizeof(*more));
        if (!more)
                return NULL;
        m->seen = more;
        more[m->n_seen] = (Seen) { .path = strdup(path) };
        return more[m->n_seen].path ? &more[m->n_seen++] : NULL;
}

static void forget_seen(Monitor *m, size_t i) {
        free(m->seen[i].path);
        free(m->seen[i].filter);
        free(m->seen[i].state);
        free(m->seen[i].reason);
        m->seen[i] = m->seen[--m->n_seen];
}

/* An attachment is new, or has changed: its state is told if that is new. */
static void look_at(Monitor *m, const Shown *s) {
        Seen *seen = get_seen(m, s->path);

        if (!seen || (seen->state && strcmp(seen->state, s->state) == 0 && strcmp(seen->reason, s->reason) == 0))
                return;

        print_event(m->ctl, s->state, colour_of_state(s->state), s->device, s->filter, s->reason,
                    m->ctl->output != OUTPUT_TEXT ? json_of_shown(s) : NULL);
        free(seen->filter);
        free(seen->state);
        free(seen->reason);
        seen->filter = strdup(s->filter);
        seen->state = strdup(s->state);
        seen->reason = strdup(s->reason);
}

static const char *filter_of(Monitor *m, const char *path) {
        const Seen *seen = get_seen(m, path);

        return seen && seen->filter ? seen->filter : "";
}

static int on_lost(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *path, *device, *reason;
        Monitor *m = userdata;
        uint64_t begin, latest;

        (void) error;

        if (sd_bus_message_read(message, "osstt", &path, &device, &reason, &begin, &latest) >= 0)
                print_event(m->ctl, "lost", COLOUR_BAD, device, filter_of(m, path), reason, NULL);
        return 0;
}

static int on_restored(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *path, *device;
        Monitor *m = userdata;
        char span[TIME_SIZE], text[TIME_SIZE + 16];
        uint64_t begin, end;

        (void) error;

        if (sd_bus_message_read(message, "ostt", &path, &device, &begin, &end) >= 0) {
                span_to_string(end > begin ? end - begin : 0, span);
                (void) snprintf(text, sizeof(text), "after %s", span);
                print_event(m->ctl, "restored", COLOUR_GOOD, device, filter_of(m, path), text, NULL);
        }
        return 0;
}

static int on_values(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Monitor *m = userdata;

        (void) message;
        (void) error;

        m->changed = true;
        return 0;
}

/* All that was told together is looked at once. A daemon that ended meanwhile is not started for it. */
static int look_at_all(Monitor *m) {
        size_t n;
        Shown *items;
        int status;

        m->changed = false;
        status = client_list(m->ctl, &items, &n);
        if (status != STATUS_OK)
                return status;

        for (size_t i = 0; i < n; i++)
                look_at(m, &items[i]);
        for (size_t k = m->n_seen; k-- > 0; ) {
                bool there = false;

                for (size_t i = 0; i < n && !there; i++)
                        there = strcmp(items[i].path, m->seen[k].path) == 0;
                if (!there) {
                        print_event(m->ctl, "forgotten", COLOUR_DIM, "", m->seen[k].filter ?: "",
                                    "nobody wants it any more", NULL);
                        forget_seen(m, k);
                }
        }

        shown_free_all(items, n);
        return STATUS_OK;
}

static int on_owner(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *name, *before, *now;
        Monitor *m = userdata;

        (void) error;

        if (sd_bus_message_read(message, "sss", &name, &before, &now) < 0)
                return 0;
        if (!now[0])
                print_event(m->ctl, "daemon", COLOUR_WARN, "", "",
                            "blkfilterd has ended; what is attached stays attached", NULL);
        else if (!before[0]) {
                print_event(m->ctl, "daemon", COLOUR_GOOD, "", "", "blkfilterd is there", NULL);
                m->changed = true;
        }
        return 0;
}

/** verb_monitor() - print what happens until it is interrupted */
int verb_monitor(Ctl *c, int argc, char *argv[]) {
        Monitor m = { .ctl = c };
        int r, status;

        (void) argc;
        (void) argv;

        status = client_open(c);
        if (status != STATUS_OK)
                return status;

        r = sd_bus_match_signal(c->bus, NULL, BLKFILTER_BUS_NAME, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER,
                                "FilterLost", on_lost, &m);
        if (r >= 0)
                r = sd_bus_match_signal(c->bus, NULL, BLKFILTER_BUS_NAME, BLKFILTER_OBJECT_ROOT,
                                        BLKFILTER_INTERFACE_MANAGER, "FilterRestored", on_restored, &m);
        if (r >= 0)
                r = sd_bus_match_signal(c->bus, NULL, BLKFILTER_BUS_NAME, NULL, "org.freedesktop.DBus.Properties",
                                        "PropertiesChanged", on_values, &m);
        if (r >= 0)
                r = sd_bus_match_signal(c->bus, NULL, BLKFILTER_BUS_NAME, NULL, "org.freedesktop.DBus.ObjectManager",
                                        NULL, on_values, &m);
        if (r >= 0)
                r = sd_bus_add_match(c->bus, NULL,
                                     "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
                                     "arg0='" BLKFILTER_BUS_NAME "'",
                                     on_owner, &m);
        if (r < 0)
                return complain(STATUS_FAILED, "the daemon's signals cannot be listened to: %s", strerror(-r));

        status = look_at_all(&m);
        c->without_start = true;
        while (status == STATUS_OK && !ferror(stdout)) { /* as who reads has gone: main() says it by the status */
                r = sd_bus_process(c->bus, NULL);
                if (r == 0 && m.changed)
                        (void) look_at_all(&m);
                else if (r == 0)
                        r = sd_bus_wait(c->bus, UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        status = complain(STATUS_NO_DAEMON, "the bus is gone: %s", strerror(-r));
        }

        while (m.n_seen > 0)
                forget_seen(&m, m.n_seen - 1);
        free(m.seen);
        return status;
}
