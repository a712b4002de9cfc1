/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What must hold when everything has been told, answered and tried again: wanted equals actual. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/text.h"
#include "tests/sim/sim.h"

typedef struct Truth {
        unsigned n; /* devices that have the identity */
        KPart *part;
        unsigned slot, partno;
} Truth;

static bool is_there(unsigned slot, unsigned partno) {
        const Slot *s = &sim.slots[slot];

        return s->medium && !s->medium->ignored && s->parts[partno].exists &&
                (!partno || s->medium->table[partno].partno);
}

static Truth find_truth(const Match *m) {
        Truth t = { 0 };

        for (unsigned i = 0; i < SLOTS; i++)
                for (unsigned n = 0; n <= PARTS; n++) {
                        Facts f;

                        if (!is_there(i, n))
                                continue;

                        kernel_truth_facts(i, n, &f);
                        if (match_facts(m, &f))
                                t = (Truth) { .n = t.n + 1, .part = &sim.slots[i].parts[n], .slot = i, .partno = n };
                }

        return t;
}

/* An attachment that comes before @a on that device, or holds its filter off. */
static bool has_other(const Attachment *a, const Truth *t) {
        const AttachmentSet *s = manager_get_attachments(sim.manager);
        Facts f;

        kernel_truth_facts(t->slot, t->partno, &f);

        for (size_t i = 0; i < s->n_items; i++) {
                const Attachment *b = s->items[i];

                if (b == a || !match_facts(b->match, &f))
                        continue;
                if (b->held && str_equal(b->filter, a->filter))
                        return true;
                if (b->rank < a->rank && !b->orphaned &&
                    !(b->source == ATTACHMENT_SOURCE_RUNTIME && str_equal(b->filter, a->filter)))
                        return true;
        }

        return false;
}

/* Whether a disk that hangs has to do with it: what the daemon knows of that, or what is true of it. */
static bool is_sick(const Attachment *a) {
        char name[JOB_NODE_SIZE];
        const Slot *s;
        const Disk *d;
        Facts f;

        if (!sim.sick)
                return false;

        s = &sim.slots[sim.sick - 1];
        kernel_device_name(sim.sick - 1, 0, name);
        d = device_set_get_disk(&sim.manager->world.devices, name);

        if (strncmp(a->device, name, 3) == 0 || strncmp(a->fingerprint.disk->name, name, 3) == 0 ||
            str_equal(a->home, name))
                return true;

        for (unsigned n = 0; n <= PARTS; n++) {
                kernel_truth_facts(sim.sick - 1, n, &f);
                if (s->medium && match_facts(a->match, &f))
                        return true;
                f.is_partition = true;
                facts_set_entry(&f, &s->parts[n].made_from);
                if (n && match_facts(a->match, &f))
                        return true;
        }

        for (size_t i = 0; d && i < d->n_entries; i++) {
                disk_entry_facts(d, d->entries[i], &f);
                if (match_facts(a->match, &f))
                        return true;
        }

        return false;
}

static KPart *find_part(const Attachment *a) {
        Device d = device_set_get_by_uid(&sim.manager->world.devices, a->device_uid);

        return kernel_get_object(device_object(d));
}

/* What an attachment says of itself is consistent, and true. */
static void check_claims(const Attachment *a, const KPart *p, const Truth *t) {
        if (a->job)
                sim_violation("quiet: a job for %s is under way still", a->id);
        if (a->hold_job && !sim.sick)
                sim_violation("quiet: a detach of %s is under way still", a->id);
        if (a->noted_object || a->recorded_since_usec)
                sim_violation("quiet: what was noted of %s is not taken up (%s)", a->id, a->reason ?: "");
        if (a->left_object && sim.manager->world.interface != KERNEL_INTERFACE_UNKNOWN)
                sim_violation("quiet: the filter of %s is left on object %llu (%s)", a->id,
                              (unsigned long long) a->left_object, a->reason ?: "");
        if (p && p->carried && p->put && p->filter[0])
                sim_violation("quiet: %s takes a filter that is on %s from before for its own", a->id, a->device);
        if (a->on_device && !p)
                sim_violation("quiet: %s claims to be on %s, which is gone", a->id, a->device);
        if (p && !str_equal(p->filter, a->filter))
                sim_violation("quiet: %s claims to be on %s, where \"%s\" is", a->id, a->device, p->filter);
        if (p && !p->swapped && p->filter_since > a->intact_since_usec)
                sim_violation("quiet: %s claims to be intact on %s since before its filter came", a->id, a->device);
        if (a->has_fingerprint && !a->on_device && !attachment_get_open_gap(a))
                sim_violation("quiet: %s was attached once, is not now, and has no open gap", a->id);
        if (!a->has_fingerprint && attachment_get_open_gap(a))
                sim_violation("quiet: %s was never attached and has a gap", a->id);
        if (a->is_instance && !a->has_fingerprint && !a->held && t->n == 0)
                sim_violation("quiet: %s is of no use and stays", a->id);
}

static bool lists(const Match *m, MatchKey key, const char *value) {
        for (size_t i = 0; i < m->n_terms; i++)
                if (m->terms[i].key == key && !m->terms[i].negated && str_equal(m->terms[i].value, value))
                        return true;

        return false;
}

/* Whether an attachment is what a file wanted while it was in force, and the file is broken now. */
static bool is_of_broken(const Attachment *a) {
        for (unsigned i = 0; a->policy_path && i < FILES; i++) {
                const File *f = &sim.files[i];
                MatchKey key = a->pin;
                char path[64];
                Match *m;
                bool equal;

                (void) snprintf(path, sizeof(path), "/etc/blkfilter.d/%u0.conf", i + 1);
                if (!f->exists || !f->broken || !f->in_force || !str_equal(path, a->policy_path) ||
                    !str_equal(f->filter, a->filter) ||
                    (!a->is_instance && (!match_find_list(f->match, &key) ||
                                         !lists(f->match, key, match_get_value(a->match, key)))) ||
                    !match_get_value(a->match, key)[0] ||
                    match_with(f->match, key, match_get_value(a->match, key), &m) < 0)
                        continue;

                equal = match_equal(m, a->match);
                match_unref(m);
                if (equal)
                        return true;
        }

        return false;
}

static void check_settled(const Attachment *a) {
        const KPart *p = a->on_device ? find_part(a) : NULL;
        Truth t = find_truth(a->match);

        if (is_sick(a))
                return;

        check_claims(a, p, &t);
        if (a->orphaned && is_of_broken(a))
                sim_violation("I9: %s is an orphan, and its policy is only broken", a->id);
        if (a->held || a->orphaned)
                return;

        if (!check_is_wanted(a))
                sim_violation("quiet: nobody wants %s any more", a->id);
        if (t.n == 0 && a->on_device)
                sim_violation("quiet: %s is on %s, and nothing has its identity", a->id, a->device);
        if (t.n > 1 && !a->on_device && a->state != ATTACHMENT_AMBIGUOUS && !a->chosen_uid)
                sim_violation("quiet: %s is ambiguous and says \"%s\"", a->id, a->reason ?: "");
        if (t.n != 1 || has_other(a, &t))
                return;

        /* neither is tried: see the unit tests for when it is right */
        if (!a->on_device && ((a->settings->on != POLICY_ON_ALL && a->state == ATTACHMENT_WAITING) ||
                              (a->settings->refuse_change && a->state == ATTACHMENT_REFUSED)))
                return;

        if (t.part->filter[0] && !str_equal(t.part->filter, a->filter)) {
                if (a->state != ATTACHMENT_CONFLICT)
                        sim_violation("quiet: %s should be a conflict with %s: %s", a->id, t.part->filter,
                                      a->reason ?: "");
        } else if (!a->on_device || p != t.part)
                sim_violation("quiet: %s is not on its device (sd%c%u, object %llu): %s", a->id, 'a' + t.slot, t.partno,
                              (unsigned long long) t.part->object, a->reason ?: "");
}

/* Whether an attachment says that its filter is on that object. */
static bool is_known(const KPart *p, unsigned slot, unsigned partno) {
        const AttachmentSet *s = manager_get_attachments(sim.manager);
        const World *w = &sim.manager->world;

        /* it waits for the kernel's answer */
        if (w->interface == KERNEL_INTERFACE_UNKNOWN &&
            world_find_stale(w, number_of(8, slot * 16 + partno), p->filter))
                return true;

        for (size_t i = 0; i < s->n_items; i++)
                if (str_equal(s->items[i]->filter, p->filter) &&
                    ((s->items[i]->on_device && find_part(s->items[i]) == p) ||
                     (s->items[i]->left_object == p->object &&
                       sim.manager->world.interface == KERNEL_INTERFACE_UNKNOWN)))
                        return true;

        return false;
}

/* Each device that a pattern fits has an attachment. */
static void check_patterns(void) {
        const World *w = &sim.manager->world;

        for (size_t k = 0; k < w->n_patterns; k++)
                for (unsigned i = 0; i < SLOTS; i++)
                        for (unsigned n = 0; n <= PARTS; n++) {
                                char name[JOB_NODE_SIZE];
                                Device d;
                                Facts f;

                                kernel_truth_facts(i, n, &f);
                                if (!is_there(i, n) || i + 1 == sim.sick ||
                                    !match_facts(w->patterns[k].policy->match, &f))
                                        continue;

                                kernel_device_name(i, n, name);
                                d = device_set_get(&w->devices, name);
                                if (!d.disk || !world_find_attachment(w, w->patterns[k].policy->filter, d))
                                        sim_violation("quiet: %s fits %s and has no attachment", name,
                                                      w->patterns[k].policy->path);
                        }
}

/**
 * check_full_plan() - the plan looks at what was touched: that must be all there is to do
 *
 * Holds whenever the plan has run and nothing was told since. What waits for an event or a time is not late.
 */
void check_full_plan(void) {
        const AttachmentSet *s = manager_get_attachments(sim.manager);
        AttachmentState *states = calloc(s->n_items + 1, sizeof(*states));
        size_t n = s->n_items;
        Plan plan = { 0 };
        Now now = sim.now;

        if (!states)
                abort();

        for (size_t i = 0; i < n; i++)
                states[i] = s->items[i]->state;

        /* what falls due by now is not late */
        if (sim.wake_at_usec && sim.wake_at_usec <= now.monotonic_usec)
                now.monotonic_usec = sim.wake_at_usec - 1;

        world_touch_all(&sim.manager->world);
        if (plan_run(&sim.manager->world, &now, &plan) < 0)
                abort();

        if (plan.n_requests > 0)
                sim_violation("plan: a look at everything finds a job of kind %u on %s that was not begun",
                              plan.requests[0].kind, plan.requests[0].disk.name);
        if (s->n_items != n)
                sim_violation("plan: a look at everything finds another attachment");

        for (size_t i = 0; i < n && s->n_items == n; i++)
                if (s->items[i]->state != states[i])
                        sim_violation("plan: a look at everything finds %s %s, not %s", s->items[i]->id,
                                      attachment_state_to_string(s->items[i]->state),
                                      attachment_state_to_string(states[i]));

        plan_deinit(&plan);
        free(states);
}

void check_quiet(void) {
        const AttachmentSet *s = manager_get_attachments(sim.manager);

        check_step();
        admin_check_answers(true);
        for (size_t i = 0; i < s->n_items; i++)
                check_settled(s->items[i]);

        for (unsigned i = 0; i < SLOTS; i++)
                for (unsigned n = 0; n <= PARTS; n++) {
                        const KPart *p = &sim.slots[i].parts[n];

                        if (p->exists && i + 1 != sim.sick && p->ours && p->filter[0] && !is_known(p, i, n))
                                sim_violation("quiet: %s is on sd%c%u (object %llu), and no attachment knows of it",
                                              p->filter,
                                              'a' + i, n, (unsigned long long) p->object);
                }

        check_patterns();
        if (!sim.violation[0])
                check_full_plan();
}
