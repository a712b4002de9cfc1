/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests of what policies make of devices: they are edited, and what nobody wants goes. */

#include "tests/script-run.h"

/* The file says this now; NULL: it is gone. All others stay. */
__attribute__((unused)) static void edit(Script *s, const char *name, const char *filter, const char *match) {
        PolicySet *set = policy_set_new();

        CHECK(set);
        for (size_t i = 0; i < s->policies->n_policies; i++) {
                Policy *copy;

                if (str_equal(s->policies->policies[i]->name, name))
                        continue;
                CHECK(policy_copy(s->policies->policies[i], &copy) == 0 && policy_set_add(set, copy) == 0);
        }

        if (match)
                CHECK(policy_set_add(set, policy_new_of(name, filter, match_parse(match), NULL)) == 0);
        CHECK(world_set_policies(&s->world, set) == 0);
        policy_set_free(s->policies);
        s->policies = set;
}

__attribute__((unused)) static Attachment *find(Script *s, const char *filter, const char *match) {
        char id[ATTACHMENT_ID_SIZE];
        Match *m = match_parse(match);

        CHECK(attachment_make_id(filter, m, id) == 0);
        match_unref(m);
        return attachment_set_get(&s->world.attachments, id);
}

/* As the manager does when it tells: what nobody wants goes. Each is in the list of what is to be told. */
__attribute__((unused)) static size_t sweep(Script *s) {
        AttachmentSet *set = &s->world.attachments;
        size_t n = 0;

        for (size_t i = 0; i < set->n_items; i++)
                CHECK(!attachment_is_superfluous(set->items[i]) || set->items[i]->untold);

        while (set->n_untold > 0) {
                Attachment *a = set->untold[--set->n_untold];

                a->untold = false;
                a->changed = 0;
                if (attachment_is_superfluous(a)) {
                        world_remove_attachment(&s->world, a);
                        n++;
                }
        }

        return n;
}

__attribute__((unused)) static void settle(Script *s) {
        script_settle(s);
        while (sweep(s) > 0)
                script_settle(s);
}

/* sda1 and sda2 have two UUIDs and two names, ext4 and swap on them. */
__attribute__((unused)) static void begin(Script *s) {
        const Entry entries[] = { entry_of(1, UUID_X, "data"), entry_of(2, UUID_Y, "disk") };

        script_init(s);
        script_table(s, "sda", entries, 2);
        script_had(s, "sda");
        script_device(s, "sda1")->values[MATCH_FS_TYPE] = "ext4";
        script_device(s, "sda2")->values[MATCH_FS_TYPE] = "swap";
        script_look(s);
}
