/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The manager's Explain: what the policies make of a device, as daemon/explain.h has it. Everybody may ask. */

#include "dbus/bus-args.h"
#include "dbus/bus-error.h"
#include "dbus/bus-internal.h"

#define KEY_SIGNATURE    "sussssb"
#define POLICY_SIGNATURE "sssa(" KEY_SIGNATURE ")"

static int append_facts(sd_bus_message *m, const Facts *f) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{ss}");

        for (MatchKey key = 0; r >= 0 && key < _MATCH_KEY_MAX; key++) {
                if (!f->values[key] || !f->values[key][0])
                        continue;

                r = sd_bus_message_open_container(m, 'e', "ss");
                if (r >= 0)
                        r = sd_bus_message_append(m, "s", match_key_to_string(key));
                if (r >= 0)
                        r = bus_append_text(m, f->values[key]);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }

        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_key(sd_bus_message *m, const ExplainedKey *k) {
        int r;

        r = sd_bus_message_open_container(m, 'r', KEY_SIGNATURE);
        if (r >= 0)
                r = bus_append_text(m, k->path);
        if (r >= 0)
                r = sd_bus_message_append(m, "us", (uint32_t) k->line, k->key);
        if (r >= 0)
                r = bus_append_text(m, k->wanted);
        if (r >= 0)
                r = bus_append_text(m, k->found);
        if (r >= 0)
                r = sd_bus_message_append(m, "sb", k->verdict, (int) k->matches);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_policy(sd_bus_message *m, const ExplainedPolicy *p) {
        int r;

        r = sd_bus_message_open_container(m, 'r', POLICY_SIGNATURE);
        if (r >= 0)
                r = bus_append_text(m, p->policy->path);
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", p->policy->filter, explain_verdict_to_string(p->verdict));
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(" KEY_SIGNATURE ")");
        for (size_t i = 0; r >= 0 && i < p->n_keys; i++)
                r = append_key(m, &p->keys[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_explanation(sd_bus_message *m, const Explanation *e) {
        char path[BUS_PATH_SIZE] = "/";
        int r;

        if (e->attachment)
                bus_attachment_path(e->attachment, path);

        r = bus_append_device(m, device_name(e->device));
        if (r >= 0)
                r = append_facts(m, &e->facts);
        if (r >= 0)
                r = bus_append_text(m, e->summary);
        if (r >= 0)
                r = sd_bus_message_append(m, "o", path);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(" POLICY_SIGNATURE ")");
        for (size_t i = 0; r >= 0 && i < e->n_policies; i++)
                r = append_policy(m, &e->policies[i]);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

/**
 * bus_method_explain() - the manager's Explain
 * @m: the call
 * @userdata: the Bus
 * @error: set if the device is not to be found; freed by sd-bus
 *
 * Return: positive once it is answered; or a negative errno to be told.
 */
int bus_method_explain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(explanation_deinit) Explanation e = { 0 };
        _cleanup_(freep) char *message = NULL;
        const char *device;
        Bus *b = userdata;
        RequestError failure;
        int r;

        r = sd_bus_message_read(m, "s", &device);
        if (r < 0)
                return r;

        failure = manager_explain(b->manager, device, &e, &message);
        if (failure != REQUEST_OK)
                return bus_error_set_request(error, failure, message);

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = append_explanation(reply, &e);

        return r < 0 ? r : sd_bus_send(b->bus, reply, NULL);
}
