/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkfilter-names.h"
#include "ctl/agent.h"
#include "ctl/client.h"

/* An administrator may have to type a password, and a device may be slow: the daemon itself sets the limits. */
#define CALL_USEC UINT64_C(600000000)

void shown_deinit(Shown *s) {
        free(s->path);
        free(s->filter);
        free(s->identity);
        free(s->source);
        free(s->policy);
        free(s->device);
        free(s->state);
        free(s->reason);
        for (size_t i = 0; i < s->n_gaps; i++)
                free(s->gaps[i].reason);
        free(s->gaps);
        for (size_t i = 0; i < s->n_facts; i++) {
                free(s->facts[i].key);
                free(s->facts[i].value);
        }
        free(s->facts);
        *s = (Shown) { 0 };
}

void shown_free_all(Shown *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                shown_deinit(&s[i]);
        free(s);
}

/**
 * client_fault() - say that a message could not be made or read
 * @r: a negative errno
 *
 * Return: the exit status.
 */
int client_fault(int r) {
        if (r == -ENOMEM)
                return complain(STATUS_FAILED, "there is no memory");

        return complain(STATUS_FAILED,
                        "the daemon's answer is not understood (%s); is blkfilterctl of the same version?",
                        strerror(-r));
}

/**
 * client_open() - connect to the bus that the daemon is on, once
 * @c: host and machine are set
 *
 * Return: STATUS_OK, or STATUS_NO_DAEMON after a sentence.
 */
int client_open(Ctl *c) {
        int r;

        if (c->bus)
                return STATUS_OK;

        if (c->host)
                r = sd_bus_open_system_remote(&c->bus, c->host);
        else if (c->machine)
                r = sd_bus_open_system_machine(&c->bus, c->machine);
        else
                r = sd_bus_open_system(&c->bus);
        if (r < 0)
                return complain(STATUS_NO_DAEMON, "the system bus cannot be reached: %s; is dbus.service running%s?",
                                strerror(-r), c->host || c->machine ? " there" : "");

        return STATUS_OK;
}

/**
 * client_new_call() - begin a call of the daemon
 * @c: connects if need be
 * @path: object
 * @interface: of the method
 * @method: its name
 * @ret: owned by the caller; arguments are to be appended
 *
 * Return: STATUS_OK, or another exit status after a sentence.
 */
int client_new_call(Ctl *c, const char *path, const char *interface, const char *method, sd_bus_message **ret) {
        int r, status;

        status = client_open(c);
        if (status != STATUS_OK)
                return status;

        r = sd_bus_message_new_method_call(c->bus, ret, BLKFILTER_BUS_NAME, path, interface, method);
        return r < 0 ? client_fault(r) : STATUS_OK;
}

static bool is_no_daemon(const char *name) {
        static const char *const names[] = {
                SD_BUS_ERROR_SERVICE_UNKNOWN,
                SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                SD_BUS_ERROR_DISCONNECTED,
                SD_BUS_ERROR_NO_REPLY,
                "org.freedesktop.DBus.Error.Spawn.Failed",
                "org.freedesktop.DBus.Error.Spawn.ChildExited",
                "org.freedesktop.systemd1.NoSuchUnit",
                "org.freedesktop.systemd1.LoadFailed",
                "org.freedesktop.systemd1.UnitMasked",
                "org.freedesktop.systemd1.JobFailed",
        };

        for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;

        return false;
}

/* Who only reads needs no agent, which takes its time to start. */
static bool may_need_password(sd_bus_message *call) {
        static const char *const names[] = { "Attach", "Detach", "Forget", "Ctl", "Reload" };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (strcmp(sd_bus_message_get_member(call), names[i]) == 0)
                        return true;

        return false;
}

/**
 * client_send() - make a call and wait for the answer
 * @c: as of client_new_call()
 * @call: the call; borrowed
 * @ret: the answer, owned by the caller; NULL if it is not wanted
 *
 * On a terminal a password is asked for where polkit wants one.
 *
 * Return: STATUS_OK; else a sentence was said: STATUS_FAILED with the daemon's own, or STATUS_NO_DAEMON.
 */
int client_send(Ctl *c, sd_bus_message *call, sd_bus_message **ret) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r, status = STATUS_OK;

        if (!c->without_password && may_need_password(call)) {
                (void) sd_bus_message_set_allow_interactive_authorization(call, true);
                agent_open(c);
        }

        (void) sd_bus_message_set_auto_start(call, !c->without_start);
        r = sd_bus_call(c->bus, call, CALL_USEC, &error, ret);
        if (r < 0) {
                if (c->without_start && is_no_daemon(error.name))
                        status = STATUS_NO_DAEMON; /* it has been said that it ended */
                else if (is_no_daemon(error.name) || r == -ECONNRESET || r == -ENOTCONN)
                        status = complain(STATUS_NO_DAEMON,
                                          "blkfilterd does not answer (%s); systemctl status blkfilterd says why",
                                          error.message ?: strerror(-r));
                else if (sd_bus_error_has_name(&error, SD_BUS_ERROR_ACCESS_DENIED) ||
                         sd_bus_error_has_name(&error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
                        status = complain(STATUS_FAILED, "%s; root may do this (sudo)",
                                          error.message ?: "access denied");
                else
                        status = complain(STATUS_FAILED, "%s", error.message ?: strerror(-r));
        }

        sd_bus_error_free(&error);
        return status;
}

/**
 * client_get_path() - the object of the attachment of a device
 * @c: as of client_new_call()
 * @device: as a user names it
 * @ret: owned by the caller
 *
 * Return: STATUS_OK, or another exit status after a sentence.
 */
int client_get_path(Ctl *c, const char *device, char **ret) {
        sd_bus_message *call = NULL, *reply = NULL;
        const char *path;
        int r, status;

        status = client_new_call(c, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER, "GetAttachment", &call);
        if (status == STATUS_OK) {
                r = sd_bus_message_append(call, "s", device);
                status = r < 0 ? client_fault(r) : client_send(c, call, &reply);
        }
        if (status == STATUS_OK) {
                r = sd_bus_message_read(reply, "o", &path);
                if (r >= 0) {
                        *ret = strdup(path);
                        r = *ret ? 0 : -ENOMEM;
                }
                status = r < 0 ? client_fault(r) : STATUS_OK;
        }

        sd_bus_message_unref(call);
        sd_bus_message_unref(reply);
        return status;
}

static int read_string(sd_bus_message *m, char **ret) {
        const char *s;
        int r = sd_bus_message_read(m, "s", &s);

        if (r < 0)
                return r;

        free(*ret);
        *ret = strdup(s);
        return *ret ? 0 : -ENOMEM;
}

static int read_gaps(sd_bus_message *m, Shown *s) {
        int r = sd_bus_message_enter_container(m, 'a', "(ttts)");

        while (r > 0) {
                uint64_t begin, latest, end;
                const char *reason;
                ShownGap *gaps;

                r = sd_bus_message_read(m, "(ttts)", &begin, &latest, &end, &reason);
                if (r <= 0)
                        break;

                gaps = realloc(s->gaps, (s->n_gaps + 1) * sizeof(*gaps));
                if (!gaps)
                        return -ENOMEM;
                s->gaps = gaps;
                gaps[s->n_gaps] = (ShownGap) {
                        .begin_usec = begin, .latest_usec = latest, .end_usec = end, .reason = strdup(reason)
                };
                if (!gaps[s->n_gaps++].reason)
                        return -ENOMEM;
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* A value of the fingerprint; of a type that is not known yet: skipped, and -EBADMSG never for that. */
static int read_fact(sd_bus_message *m, const char *key, Shown *s) {
        ShownFact fact = { 0 }, *facts;
        const char *type, *text;
        uint64_t t;
        uint32_t u;
        int r;

        r = sd_bus_message_peek_type(m, NULL, &type);
        if (r < 0)
                return r;
        if (strcmp(type, "s") != 0 && strcmp(type, "u") != 0 && strcmp(type, "t") != 0)
                return sd_bus_message_skip(m, "v");

        fact.is_number = type[0] != 's';
        switch (type[0]) {
        case 's':
                r = sd_bus_message_read(m, "v", "s", &text);
                if (r >= 0)
                        fact.value = strdup(text);
                break;
        case 'u':
                r = sd_bus_message_read(m, "v", "u", &u);
                if (r >= 0 && asprintf(&fact.value, "%" PRIu32, u) < 0)
                        fact.value = NULL;
                break;
        default:
                r = sd_bus_message_read(m, "v", "t", &t);
                if (r >= 0 && asprintf(&fact.value, "%" PRIu64, t) < 0)
                        fact.value = NULL;
        }
        if (r < 0)
                return r;

        facts = realloc(s->facts, (s->n_facts + 1) * sizeof(*facts));
        fact.key = strdup(key);
        if (facts)
                s->facts = facts;
        if (!facts || !fact.key || !fact.value) {
                free(fact.key);
                free(fact.value);
                return -ENOMEM;
        }

        facts[s->n_facts++] = fact;
        return 0;
}

static int read_facts(sd_bus_message *m, Shown *s) {
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *key;

                r = sd_bus_message_read(m, "s", &key);
                if (r >= 0)
                        r = read_fact(m, key, s);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* One property; those of a later version are passed over. */
static int read_property(sd_bus_message *m, Shown *s) {
        const struct {
                const char *name, *type;
                char **text;
                uint64_t *number;
        } fields[] = {
                { "Filter", "s", &s->filter, NULL },       { "Identity", "s", &s->identity, NULL },
                { "Source", "s", &s->source, NULL },       { "Policy", "s", &s->policy, NULL },
                { "Device", "s", &s->device, NULL },       { "State", "s", &s->state, NULL },
                { "StateReason", "s", &s->reason, NULL },  { "IntactSince", "t", NULL, &s->intact_since_usec },
                { "GapCount", "t", NULL, &s->gap_count },  { "AttachCount", "t", NULL, &s->attach_count },
                { "Gaps", "a(ttts)", NULL, NULL },         { "Fingerprint", "a{sv}", NULL, NULL },
        };
        const char *name;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        for (size_t i = 0; r >= 0 && i < sizeof(fields) / sizeof(fields[0]); i++) {
                if (strcmp(fields[i].name, name) != 0)
                        continue;

                r = sd_bus_message_enter_container(m, 'v', fields[i].type);
                if (r < 0)
                        return r;
                if (fields[i].text)
                        r = read_string(m, fields[i].text);
                else if (fields[i].number)
                        r = sd_bus_message_read(m, "t", fields[i].number);
                else
                        r = fields[i].type[1] == '(' ? read_gaps(m, s) : read_facts(m, s);
                return r < 0 ? r : sd_bus_message_exit_container(m);
        }

        return r < 0 ? r : sd_bus_message_skip(m, "v");
}

static int read_properties(sd_bus_message *m, Shown *s) {
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_property(m, s);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }

        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0 && (!s->filter || !s->identity || !s->source || !s->policy || !s->device || !s->state || !s->reason))
                r = -EBADMSG;
        return r;
}

/**
 * client_get() - all that is told of an attachment
 * @c: as of client_new_call()
 * @path: its object
 * @ret: shown_deinit() releases it, on failure too
 *
 * Return: STATUS_OK, or another exit status after a sentence.
 */
int client_get(Ctl *c, const char *path, Shown *ret) {
        sd_bus_message *call = NULL, *reply = NULL;
        int r, status;

        *ret = (Shown) { 0 };
        status = client_new_call(c, path, "org.freedesktop.DBus.Properties", "GetAll", &call);
        if (status == STATUS_OK) {
                r = sd_bus_message_append(call, "s", BLKFILTER_INTERFACE_ATTACHMENT);
                status = r < 0 ? client_fault(r) : client_send(c, call, &reply);
        }
        if (status == STATUS_OK) {
                ret->path = strdup(path);
                r = ret->path ? read_properties(reply, ret) : -ENOMEM;
                status = r < 0 ? client_fault(r) : STATUS_OK;
        }

        sd_bus_message_unref(call);
        sd_bus_message_unref(reply);
        return status;
}

static int read_object(sd_bus_message *m, Shown **items, size_t *n) {
        const char *path, *interface;
        Shown s = { 0 }, *more;
        int r;

        r = sd_bus_message_read(m, "o", &path);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
                r = sd_bus_message_read(m, "s", &interface);
                if (r >= 0 && strcmp(interface, BLKFILTER_INTERFACE_ATTACHMENT) == 0) {
                        s.path = strdup(path);
                        r = s.path ? read_properties(m, &s) : -ENOMEM;
                } else if (r >= 0)
                        r = sd_bus_message_skip(m, "a{sv}");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);

        if (r >= 0 && s.path) {
                more = realloc(*items, (*n + 1) * sizeof(*more));
                if (more) {
                        *items = more;
                        more[(*n)++] = s;
                        return r;
                }
                r = -ENOMEM;
        }

        shown_deinit(&s);
        return r;
}

static int compare_shown(const void *a, const void *b) {
        const Shown *x = a, *y = b;
        int c;

        /* those without a device last */
        if (!x->device[0] != !y->device[0])
                return x->device[0] ? -1 : 1;

        c = strverscmp(x->device, y->device);
        if (c == 0)
                c = strcmp(x->identity, y->identity);
        return c ? c : strcmp(x->path, y->path);
}

/**
 * client_list() - all attachments
 * @c: as of client_new_call()
 * @ret: *ret_n elements, by device, those without one last; shown_free_all()
 * @ret_n: may be 0
 *
 * Return: STATUS_OK, or another exit status after a sentence.
 */
int client_list(Ctl *c, Shown **ret, size_t *ret_n) {
        sd_bus_message *call = NULL, *reply = NULL;
        int r, status;

        *ret = NULL;
        *ret_n = 0;
        status = client_new_call(c, BLKFILTER_OBJECT_ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
                                 &call);
        if (status == STATUS_OK)
                status = client_send(c, call, &reply);
        if (status == STATUS_OK) {
                r = sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}");
                while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}")) > 0) {
                        r = read_object(reply, ret, ret_n);
                        if (r >= 0)
                                r = sd_bus_message_exit_container(reply);
                }
                status = r < 0 ? client_fault(r) : STATUS_OK;
        }

        sd_bus_message_unref(call);
        sd_bus_message_unref(reply);
        if (status == STATUS_OK && *ret_n > 0)
                qsort(*ret, *ret_n, sizeof(**ret), compare_shown);
        if (status != STATUS_OK) {
                shown_free_all(*ret, *ret_n);
                *ret = NULL;
                *ret_n = 0;
        }
        return status;
}

/**
 * client_read_errors() - what is wrong in policy files, a(sus)
 * @m: read up to it
 * @print: to standard error, a line each
 * @ret_n: how many
 *
 * Return: 0 or positive, or a negative errno of sd-bus.
 */
int client_read_errors(sd_bus_message *m, bool print, size_t *ret_n) {
        int r = sd_bus_message_enter_container(m, 'a', "(sus)");

        *ret_n = 0;
        while (r > 0) {
                const char *path, *message;
                uint32_t line;

                r = sd_bus_message_read(m, "(sus)", &path, &line, &message);
                if (r <= 0)
                        break;

                (*ret_n)++;
                if (print && line > 0)
                        (void) fprintf(stderr, "%s:%" PRIu32 ": %s\n", path, line, message);
                else if (print)
                        (void) fprintf(stderr, "%s: %s\n", path, message);
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}
