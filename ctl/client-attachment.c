/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon tells of its attachments: org.blkfilter1.Attachment. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkfilter-names.h"
#include "ctl/client.h"

/**
 * shown_deinit() - release what was read of an attachment
 * @s: all of it; empty afterwards
 */
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

/**
 * shown_free_all() - release a list of attachments
 * @s: @n elements; consumed, NULL if there are none
 * @n: how many
 */
void shown_free_all(Shown *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                shown_deinit(&s[i]);
        free(s);
}

static int read_gaps(sd_bus_message *m, void *value) {
        Shown *s = value;
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

static int read_facts(sd_bus_message *m, void *value) {
        Shown *s = value;
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

/* The properties of an attachment; what is missing is a fault, what is new is passed over. */
static int read_shown(sd_bus_message *m, const char *path, Shown *s) {
        const ClientProperty wanted[] = {
                { "Filter", "s", client_read_string, &s->filter },
                { "Identity", "s", client_read_string, &s->identity },
                { "Source", "s", client_read_string, &s->source },
                { "Policy", "s", client_read_string, &s->policy },
                { "Device", "s", client_read_string, &s->device },
                { "State", "s", client_read_string, &s->state },
                { "StateReason", "s", client_read_string, &s->reason },
                { "IntactSince", "t", client_read_u64, &s->intact_since_usec },
                { "GapCount", "t", client_read_u64, &s->gap_count },
                { "AttachCount", "t", client_read_u64, &s->attach_count },
                { "Gaps", "a(ttts)", read_gaps, s },
                { "Fingerprint", "a{sv}", read_facts, s },
        };
        int r;

        s->path = strdup(path);
        if (!s->path)
                return -ENOMEM;

        r = client_read_properties(m, wanted, sizeof(wanted) / sizeof(wanted[0]));
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
        sd_bus_message *reply = NULL;
        int r, status;

        *ret = (Shown) { 0 };
        status = client_get_all(c, path, BLKFILTER_INTERFACE_ATTACHMENT, &reply);
        if (status == STATUS_OK) {
                r = read_shown(reply, path, ret);
                status = r < 0 ? client_fault(r) : STATUS_OK;
        }

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
                if (r >= 0 && strcmp(interface, BLKFILTER_INTERFACE_ATTACHMENT) == 0)
                        r = read_shown(m, path, &s);
                else if (r >= 0)
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
