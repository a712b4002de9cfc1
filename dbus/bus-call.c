/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/text.h"
#include "dbus/bus-args.h"
#include "dbus/bus-call.h"
#include "dbus/bus-error.h"

static Call *call_free(Call *c) {
        if (!c)
                return NULL;

        if (c->phase == CALL_ACTING)
                manager_request_forget(c->bus->manager, c);

        if (c->previous)
                c->previous->next = c->next;
        else
                c->bus->calls = c->next;
        if (c->next)
                c->next->previous = c->previous;
        c->bus->n_calls--;

        polkit_query_free(c->polkit);
        sd_bus_slot_unref(c->question);
        sd_bus_slot_unref(c->watch);
        sd_bus_message_unref(c->message);
        free(c->room);
        free(c);
        return NULL;
}

/* A caller who cannot be answered is gone: the connection ends, and all that is to do is done. */
static void call_refuse(Call *c, const sd_bus_error *error) {
        (void) sd_bus_reply_method_error(c->message, error);
        call_free(c);
}

static void __attribute__((format(printf, 3, 4)))
call_refuse_access(Call *c, const char *name, const char *format, ...) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        va_list ap;

        va_start(ap, format);
        (void) sd_bus_error_setfv(&error, name, format, ap);
        va_end(ap);
        call_refuse(c, &error);
}

/**
 * call_done() - answer a call; a RequestDone
 * @answer: what became of it
 * @userdata: the Call; consumed
 */
void call_done(const RequestAnswer *answer, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        Call *c = userdata;
        int r;

        c->phase = CALL_READING; /* nothing left to forget */

        if (answer->error != REQUEST_OK) {
                (void) bus_error_set_request(&error, answer->error, answer->message);
                call_refuse(c, &error);
                return;
        }

        r = sd_bus_message_new_method_return(c->message, &reply);
        if (r >= 0 && c->change->append)
                r = c->change->append(c, answer, reply);
        if (r >= 0)
                r = sd_bus_send(c->bus->bus, reply, NULL);
        if (r < 0) {
                (void) bus_error_set_request(&error, REQUEST_E_FAILED, "it was done, but the reply cannot be made; look"
                                             " at the attachment's state");
                call_refuse(c, &error);
                return;
        }

        call_free(c);
}

/* The caller may: look again, for it may have taken minutes, then act. */
static void call_act(Call *c) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        Subject now;
        int r;

        /* what is begun is not broken off because the caller leaves */
        c->watch = sd_bus_slot_unref(c->watch);

        if (c->change->resolve) {
                r = c->change->resolve(c, &now, &error);
                if (r < 0) {
                        if (!sd_bus_error_is_set(&error))
                                (void) sd_bus_error_set_errno(&error, r);
                        call_refuse(c, &error);
                        return;
                }

                if (now.uid != c->subject.uid || !str_equal(now.identity, c->subject.identity) ||
                    !str_equal(now.disk, c->subject.disk)) {
                        (void) bus_error_set_request(&error, REQUEST_E_STALE, NULL);
                        call_refuse(c, &error);
                        return;
                }
        }

        c->phase = CALL_ACTING;
        c->change->act(c);
}

static void on_polkit(PolkitAnswer answer, const char *why_silent, void *userdata) {
        Call *c = userdata;

        c->polkit = polkit_query_free(c->polkit);

        switch (answer) {

        case POLKIT_YES:
                call_act(c);
                break;

        case POLKIT_NO:
                call_refuse_access(c, SD_BUS_ERROR_ACCESS_DENIED, "polkit does not allow %s; ask an administrator",
                                   c->action);
                break;

        case POLKIT_CHALLENGE:
                if (sd_bus_message_get_allow_interactive_authorization(c->message) > 0)
                        call_refuse_access(c, SD_BUS_ERROR_ACCESS_DENIED, "%s needs an administrator's password, and"
                                           " nobody could be asked for it; start an agent (pkttyagent) or ask as root",
                                           c->action);
                else
                        call_refuse_access(c, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, "%s needs an"
                                           " administrator's password; allow interaction in the call, or ask as root",
                                           c->action);
                break;

        case POLKIT_SILENT:
                call_refuse_access(c, SD_BUS_ERROR_ACCESS_DENIED, "polkit is not answering (%s), so only root is"
                                   " served; start it, or ask as root", why_silent);
                break;
        }
}

static void call_ask_polkit(Call *c) {
        char device[JOB_NODE_SIZE + sizeof("/dev/")], command[16];
        const char *details[11] = { 0 };
        size_t n = 0;
        int r = 0;

        if (c->change->resolve) {
                (void) snprintf(device, sizeof(device), "%s%s", c->subject.device[0] ? "/dev/" : "", c->subject.device);
                (void) snprintf(command, sizeof(command), "%u", c->command.command);

                details[n++] = "device";
                details[n++] = device;
                details[n++] = "identity";
                details[n++] = c->subject.identity;
                details[n++] = "filter";
                details[n++] = c->filter;

                if (str_equal(c->action, BLKFILTER_ACTION_CTL) || str_equal(c->action, BLKFILTER_ACTION_CTL_RAW)) {
                        details[n++] = "command";
                        details[n++] = command;
                }
        }

        if (c->prompt[0]) {
                details[n++] = "polkit.message";
                details[n++] = c->prompt;
        }

        c->phase = CALL_ASKING_POLKIT;
        if (r >= 0)
                r = polkit_query_new(c->bus->bus, sd_bus_message_get_sender(c->message), c->action, details,
                                     sd_bus_message_get_allow_interactive_authorization(c->message) > 0, on_polkit, c,
                                     &c->polkit);
        if (r < 0)
                call_refuse_access(c, SD_BUS_ERROR_ACCESS_DENIED,
                                   "polkit cannot be asked for %s, so only root is served;"
                                   " see the daemon's journal", c->action);
}

/* Whether there is room for one more of somebody who is not root. @c counts itself. */
static bool call_has_room(const Call *c) {
        size_t n_users = 0, n_others = 0;

        for (const Call *o = c->bus->calls; o; o = o->next)
                if (o->has_uid && o->uid != 0) {
                        n_others++;
                        if (o->uid == c->uid)
                                n_users++;
                }

        return n_users <= CALLS_MAX_PER_USER && n_others <= CALLS_MAX_OTHERS;
}

static int on_uid(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        Call *c = userdata;

        (void) ret_error;

        c->question = sd_bus_slot_unref(c->question);

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "u", &c->uid) < 0) {
                call_refuse_access(c, SD_BUS_ERROR_ACCESS_DENIED, "the bus does not say who asks for %s; try again",
                                   c->action);
                return 1;
        }

        c->has_uid = true;

        if (c->uid == 0)
                call_act(c);
        else if (c->change->root_only)
                call_refuse_access(c, SD_BUS_ERROR_ACCESS_DENIED, "%s is for root only", c->action);
        else if (!call_has_room(c)) {
                (void) bus_error_set_request(&error, REQUEST_E_LIMIT, NULL);
                call_refuse(c, &error);
        } else if (c->bus->without_polkit)
                call_refuse_access(c, SD_BUS_ERROR_ACCESS_DENIED, "%s is for root only: the daemon runs without polkit",
                                   c->action);
        else
                call_ask_polkit(c);

        return 1;
}

/* The caller left before anything was done: then nothing is. */
static int on_caller_left(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *old, *new;
        Call *c = userdata;

        (void) error;

        if (sd_bus_message_read(m, "sss", &name, &old, &new) >= 0 && new[0] == 0)
                call_free(c);

        return 0;
}

/*
 * In this order: a caller that leaves is seen by the watch, or is gone when the bus is asked for
 * its uid; there is no moment between. Matches and questions reach the bus as they are sent.
 */
static int call_ask_bus(Call *c) {
        const char *sender = sd_bus_message_get_sender(c->message);
        char match[512];
        int n, r;

        n = snprintf(match, sizeof(match),
                     "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                     "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'", sender);
        if (n < 0 || (size_t) n >= sizeof(match))
                return -ENOBUFS;

        r = sd_bus_add_match_async(c->bus->bus, &c->watch, match, on_caller_left, NULL, c);
        if (r < 0)
                return r;

        c->phase = CALL_ASKING_BUS;
        return sd_bus_call_method_async(c->bus->bus, &c->question, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                        "org.freedesktop.DBus", "GetConnectionUnixUser", on_uid, c, "s", sender);
}

/* One connection alone cannot fill the place while it is not known whose it is. */
static bool bus_has_room(Bus *b, const char *sender) {
        size_t n_sender = 0;

        for (const Call *o = b->calls; o; o = o->next)
                if (!o->has_uid && str_equal(sd_bus_message_get_sender(o->message), sender))
                        n_sender++;

        return n_sender < CALLS_MAX_PER_USER && b->n_calls < CALLS_MAX;
}

/**
 * call_begin() - take in a call that changes something
 * @b: the Bus
 * @m: the message; referenced until the call is answered
 * @change: what it is; static
 * @error: set on failure; freed by sd-bus
 *
 * Return: 1: it is answered later, exactly once, unless the caller leaves before the act;
 * or a negative errno to be told at once.
 */
int call_begin(Bus *b, sd_bus_message *m, const Change *change, sd_bus_error *error) {
        const char *sender = sd_bus_message_get_sender(m);
        Call *c;
        int r;

        if (!sender)
                return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
                                        "a caller without a name on a bus has no rights");

        if (!bus_has_room(b, sender))
                return bus_error_set_request(error, REQUEST_E_LIMIT, NULL);

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;

        c->bus = b;
        c->change = change;
        c->action = change->action;
        c->prompt = change->prompt;
        c->message = sd_bus_message_ref(m);
        c->next = b->calls;
        if (c->next)
                c->next->previous = c;
        b->calls = c;
        b->n_calls++;

        r = change->read(c, error);
        if (r >= 0 && change->resolve)
                r = change->resolve(c, &c->subject, error);
        if (r >= 0)
                r = call_ask_bus(c);
        if (r < 0) {
                call_free(c);
                return r;
        }

        return 1;
}

/**
 * calls_free() - the connection ends: drop all calls that wait
 * @b: the Bus
 *
 * What is being done is not broken off; nobody is told its end.
 */
void calls_free(Bus *b) {
        while (b->calls)
                call_free(b->calls);
}
