/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the policies make of a device, key by key: explain. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkfilter-names.h"
#include "ctl/output.h"
#include "ctl/pager.h"
#include "ctl/terminal.h"

/* One policy that was told; prints it, or adds it to the array. */
static int read_policy(sd_bus_message *m, json_object *policies) {
        json_object *o = policies ? json_object_new_object() : NULL, *keys = policies ? json_object_new_array() : NULL;
        const char *path, *filter, *verdict;
        int r;

        r = sd_bus_message_read(m, "sss", &path, &filter, &verdict);
        if (r >= 0 && !policies) {
                Colour colour = strcmp(verdict, "match") == 0 ? COLOUR_GOOD : COLOUR_DIM;

                (void) printf("\n");
                (void) text_print(stdout, 2, "%s%s%s: %s, %s", colour_on(colour), verdict, colour_off(), path, filter);
        } else if (r >= 0) {
                (void) json_object_object_add(o, "policy", json_object_new_string(path));
                (void) json_object_object_add(o, "filter", json_object_new_string(filter));
                (void) json_object_object_add(o, "verdict", json_object_new_string(verdict));
                (void) json_object_object_add(o, "keys", keys);
        }

        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(sussssb)");
        while (r > 0) {
                const char *file, *key, *wanted, *found, *words, *quote;
                uint32_t line;
                int matches;

                r = sd_bus_message_read(m, "(sussssb)", &file, &line, &key, &wanted, &found, &words, &matches);
                if (r <= 0)
                        break;

                if (policies) {
                        json_object *k = json_object_new_object();

                        (void) json_object_object_add(k, "file", json_object_new_string(file));
                        (void) json_object_object_add(k, "line", json_object_new_int64(line));
                        (void) json_object_object_add(k, "key", json_object_new_string(key));
                        (void) json_object_object_add(k, "wanted", json_object_new_string(wanted));
                        (void) json_object_object_add(k, "found", json_object_new_string(found));
                        (void) json_object_object_add(k, "words", json_object_new_string(words));
                        (void) json_object_object_add(k, "matches", json_object_new_boolean(matches));
                        (void) json_object_array_add(keys, k);
                        continue;
                }

                /* as a policy has it */
                quote = !matches && strchr(found, ' ') ? "\"" : "";
                (void) text_print(stdout, 6, "  %s%s%s %s%s%s%s%s%s%s%s%s",
                                  colour_on(matches ? COLOUR_GOOD : COLOUR_BAD), matches ? "yes" : "no ", colour_off(),
                                  key, wanted[0] ? "=" : "", wanted,
                                  matches ? "" : ": ", matches ? "" : words, !matches && found[0] ? ", it has " : "",
                                  quote, matches ? "" : found, quote);
                /* where it is said, unless that is the policy's file of which the name stands above */
                if (line > 0)
                        (void) printf("      %s%s:%" PRIu32 "%s\n", colour_on(COLOUR_DIM), file, line, colour_off());
        }

        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (policies)
                (void) json_object_array_add(policies, o);
        return r;
}

static int read_explanation(sd_bus_message *m, json_object *o) {
        json_object *facts = o ? json_object_new_object() : NULL, *policies = o ? json_object_new_array() : NULL;
        const char *device, *key, *value, *summary, *attachment;
        int r;

        r = sd_bus_message_read(m, "s", &device);
        if (r >= 0 && o) {
                (void) json_object_object_add(o, "device", json_object_new_string(device));
                (void) json_object_object_add(o, "facts", facts);
        } else if (r >= 0)
                (void) printf("%s%s%s\n", colour_on(COLOUR_BOLD), device, colour_off());

        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{ss}");
        while (r > 0 && (r = sd_bus_message_read(m, "{ss}", &key, &value)) > 0)
                if (o)
                        (void) json_object_object_add(facts, key, json_object_new_string(value));
                else
                        (void) text_print(stdout, 6, "  %s=%s", key, value);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);

        if (r >= 0)
                r = sd_bus_message_read(m, "so", &summary, &attachment);
        if (r >= 0 && o) {
                (void) json_object_object_add(o, "summary", json_object_new_string(summary));
                (void) json_object_object_add(o, "attachment", json_object_new_string(attachment));
                (void) json_object_object_add(o, "policies", policies);
        } else if (r >= 0) {
                (void) printf("\n");
                (void) say("%s", summary);
        }

        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(sssa(sussssb))");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "sssa(sussssb)")) > 0) {
                r = read_policy(m, policies);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/** verb_explain() - DEVICE: policy by policy, key by key, what matched and what did not, with file and line */
int verb_explain(Ctl *c, int argc, char *argv[]) {
        sd_bus_message *call = NULL, *reply = NULL;
        json_object *o = NULL;
        int r, status;

        (void) argc;

        status = client_new_call(c, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER, "Explain", &call);
        if (status == STATUS_OK) {
                r = sd_bus_message_append(call, "s", argv[0]);
                status = r < 0 ? client_fault(r) : client_send(c, call, &reply);
        }
        if (status == STATUS_OK) {
                if (c->output != OUTPUT_TEXT) {
                        o = json_object_new_object();
                        (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
                } else
                        pager_open(c);

                r = read_explanation(reply, o);
                if (r < 0) {
                        (void) json_object_put(o);
                        status = client_fault(r);
                } else if (o)
                        status = json_print(c, o);
        }

        sd_bus_message_unref(call);
        sd_bus_message_unref(reply);
        return status;
}
