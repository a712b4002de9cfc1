/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Questions with yes or no for an answer: intact, wait. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkfilter-names.h"
#include "ctl/output.h"
#include "ctl/terminal.h"

/* A daemon that is well answers much sooner. */
#define ANSWER_USEC UINT64_C(1000000)

/* Says when a filter was off, for who asks why it is not intact. */
static void say_gap(const Shown *s, uint64_t since_usec) {
        char begin[TIME_SIZE], span[TIME_SIZE];

        for (size_t i = s->n_gaps; i-- > 0; ) {
                const ShownGap *g = &s->gaps[i];

                if (g->end_usec && since_usec && g->end_usec <= since_usec)
                        continue;

                time_to_string(g->begin_usec, begin);
                span_to_string(g->end_usec > g->begin_usec ? g->end_usec - g->begin_usec : 0, span);
                (void) say("The last gap: from %s%s%s (%s).", begin, g->end_usec ? " for " : " until now",
                           g->end_usec ? span : "", g->reason);
                return;
        }
}

/** verb_intact() - DEVICE: whether its filter has seen every write, since --since= or at all */
int verb_intact(Ctl *c, int argc, char *argv[]) {
        uint64_t now = time_now_usec(), since_usec = 0;
        char since[TIME_SIZE], asked[TIME_SIZE];
        char *path = NULL;
        Shown s = { 0 };
        bool intact;
        int status;

        (void) argc;

        if (c->since && !time_parse(c->since, now, &since_usec))
                return complain(STATUS_USAGE,
                                "--since=%s is no time; \"2026-11-27 13:00:00\", \"@1795784400\" and \"2h ago\" are",
                                c->since);
        if (since_usec > now)
                return complain(STATUS_USAGE, "--since=%s is in the future", c->since);

        status = client_get_path(c, argv[0], &path);
        if (status == STATUS_OK)
                status = client_get(c, path, &s);
        if (status == STATUS_OK) {
                intact = s.intact_since_usec && (!c->since || s.intact_since_usec <= since_usec);
                time_to_string(s.intact_since_usec, since);
                time_to_string(since_usec, asked);

                if (c->output != OUTPUT_TEXT) {
                        json_object *o = json_object_new_object();

                        (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
                        (void) json_object_object_add(o, "intact", json_object_new_boolean(intact));
                        if (c->since)
                                (void) json_object_object_add(o, "since", json_object_new_uint64(since_usec));
                        (void) json_object_object_add(o, "attachment", json_of_shown(&s));
                        (void) json_print(c, o);
                } else if (!c->quiet && intact)
                        (void) say("Intact: %s on %s has seen every write since %s.", s.filter, s.device, since);
                else if (!c->quiet && s.intact_since_usec) {
                        (void) say("Not intact since %s: %s on %s has seen every write only since %s.", asked, s.filter,
                                   s.device, since);
                        say_gap(&s, since_usec);
                } else if (!c->quiet) {
                        (void) say("Not intact: %s is not on the device (%s): %s.", s.filter, s.state, s.reason);
                        say_gap(&s, since_usec);
                }
                status = intact ? STATUS_OK : STATUS_NO;
        }

        shown_deinit(&s);
        free(path);
        return status;
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        (void) m;
        (void) error;

        *(bool *) userdata = true;
        return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *before, *now;

        (void) error;

        if (sd_bus_message_read(m, "sss", &name, &before, &now) >= 0)
                *(bool *) userdata = !now[0];
        return 0;
}

/*
 * STATUS_OK: attached; STATUS_NO: not yet, or no answer in limit_usec, UINT64_MAX: as long as it takes; another: an
 * error was said. A device that is not there may come.
 */
static int is_attached(Ctl *c, const char *device, uint64_t limit_usec, char **ret_reason) {
        sd_bus_message *call = NULL, *reply = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path;
        Shown s = { 0 };
        int r, status;

        status = client_new_call(c, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER, "GetAttachment", &call);
        if (status != STATUS_OK)
                return status;

        r = sd_bus_message_append(call, "s", device);
        if (r >= 0)
                r = sd_bus_call(c->bus, call, limit_usec, &error, &reply);
        if (r == -ETIMEDOUT && limit_usec != UINT64_MAX) {
                free(*ret_reason);
                *ret_reason = strdup("blkfilterd does not answer; systemctl status blkfilterd says why");
                status = STATUS_NO;
        } else if (r < 0 && (sd_bus_error_has_name(&error, BLKFILTER_ERROR_PREFIX "NoSuchDevice") ||
                      sd_bus_error_has_name(&error, BLKFILTER_ERROR_PREFIX "NoAttachment") ||
                      sd_bus_error_has_name(&error, BLKFILTER_ERROR_PREFIX "Ambiguous"))) {
                free(*ret_reason);
                *ret_reason = strdup(error.message ?: "it is not there");
                status = STATUS_NO;
        } else if (r < 0)
                status = client_send(c, call, NULL); /* says what is wrong */
        else {
                r = sd_bus_message_read(reply, "o", &path);
                status = r < 0 ? client_fault(r) : client_get(c, path, &s);
                if (status == STATUS_OK && strcmp(s.state, "attached") != 0) {
                        free(*ret_reason);
                        *ret_reason = strdup(s.reason);
                        status = STATUS_NO;
                }
        }

        if (status == STATUS_OK && !c->quiet && s.device)
                (void) say("%s is on %s.", s.filter, s.device);
        shown_deinit(&s);
        sd_bus_error_free(&error);
        sd_bus_message_unref(call);
        sd_bus_message_unref(reply);
        return status;
}

/* How long an answer may take: to the end of the wait, but as long as any daemon takes that is well. */
static uint64_t limit_of(const Ctl *c, uint64_t until_usec, uint64_t now_usec) {
        uint64_t left_usec = now_usec < until_usec ? until_usec - now_usec : 0;

        return !c->timeout ? UINT64_MAX : left_usec > ANSWER_USEC ? left_usec : ANSWER_USEC;
}

/** verb_wait() - DEVICE: until its filter is on, or --timeout= is over */
int verb_wait(Ctl *c, int argc, char *argv[]) {
        uint64_t timeout_usec = 0, until_usec;
        bool changed = false, has_ended = false;
        char *reason = NULL;
        int r, status;

        (void) argc;

        if (c->timeout && !span_parse(c->timeout, &timeout_usec))
                return complain(STATUS_USAGE, "--timeout=%s is no time span; \"30\", \"1.5s\" and \"2min\" are",
                                c->timeout);

        status = client_open(c);
        if (status != STATUS_OK)
                return status;

        /* first it listens, then it asks: nothing can happen between the two unseen */
        r = sd_bus_match_signal(c->bus, NULL, BLKFILTER_BUS_NAME, NULL, NULL, NULL, on_signal, &changed);
        if (r >= 0)
                r = sd_bus_add_match(c->bus, NULL,
                                     "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
                                     "arg0='" BLKFILTER_BUS_NAME "'",
                                     on_owner, &has_ended);
        if (r < 0)
                return complain(STATUS_FAILED, "the daemon's signals cannot be listened to: %s", strerror(-r));

        until_usec = time_monotonic_usec() + timeout_usec;
        for (;;) {
                uint64_t now = time_monotonic_usec();

                status = is_attached(c, argv[0], limit_of(c, until_usec, now), &reason);
                if (status != STATUS_NO)
                        break;

                for (changed = false; !changed; ) {
                        now = time_monotonic_usec();
                        if (c->timeout && now >= until_usec)
                                break;
                        r = sd_bus_process(c->bus, NULL);
                        if (r == 0)
                                r = sd_bus_wait(c->bus, c->timeout ? until_usec - now : UINT64_MAX);
                        if (r < 0 && r != -EINTR) {
                                free(reason);
                                return complain(STATUS_NO_DAEMON, "the bus is gone: %s", strerror(-r));
                        }
                        if (has_ended) {
                                free(reason);
                                return complain(STATUS_NO_DAEMON, "blkfilterd has ended; systemctl start blkfilterd,"
                                                                  " and wait again");
                        }
                }
                if (!changed) {
                        if (!c->quiet)
                                (void) complain(STATUS_NO, "%s has not got its filter within %s: %s", argv[0],
                                                c->timeout, reason ?: "the reason is not known");
                        break;
                }
        }

        free(reason);
        return status;
}
