/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What must hold: at every submitted job, at every ATTACH, at every step, and after quiet. */

#include <string.h>

#include "daemon/text.h"
#include "tests/sim/sim.h"

static const Attachment *find_by_job(uint64_t job) {
        const AttachmentSet *s = manager_get_attachments(sim.manager);

        for (size_t i = 0; i < s->n_items; i++)
                if (s->items[i]->job == job)
                        return s->items[i];

        return NULL;
}

/* Whether there are files that want it, or an administrator does. */
static bool is_wanted(const Attachment *a) {
        const PolicySet *s = manager_get_policies(sim.manager);

        if (a->source == ATTACHMENT_SOURCE_RUNTIME)
                return true;

        for (size_t i = 0; i < s->n_policies; i++)
                if (str_equal(s->policies[i]->filter, a->filter) && match_equal(&s->policies[i]->match, &a->match))
                        return true;

        for (size_t i = 0; i < s->n_errors; i++)
                if (a->policy_path && str_equal(s->errors[i].path, a->policy_path))
                        return true;

        return false;
}

/* A job is begun: one for each disk, and an attach for a wish that stands. */
void check_submit(const JobRequest *request) {
        const Attachment *a = request->kind == JOB_ATTACH ? find_by_job(request->id) : NULL;

        for (size_t i = 0; i < JOBS; i++) {
                const Job *j = &sim.jobs[i];

                if (sim.slots[j->slot].diskseq != request->disk.diskseq)
                        continue; /* of the past: neither can do anything */

                if (j->used && j->life == sim.life && j->request.id != request->id && request->disk.diskseq &&
                    str_equal(j->request.disk.name, request->disk.name) && j->request.disk.diskseq == request->disk.diskseq)
                        sim_violation("I3: job %llu begins on %s while job %llu is under way there",
                                      (unsigned long long) request->id, request->disk.name,
                                      (unsigned long long) j->request.id);
        }

        if (request->kind != JOB_ATTACH)
                return;

        if (!a) {
                sim_violation("I1: an ATTACH for no attachment");
                return;
        }
        if (a->held || a->orphaned || !is_wanted(a) || !str_equal(a->filter, request->filter) ||
            !match_equal(&a->match, &request->expect))
                sim_violation("I1: an ATTACH for %s, which is not wanted", a->id);
}

/* The ioctl is made on @p, now. */
void check_attach(const Job *j, const KPart *p) {
        if (!j->proof_is_true)
                sim_violation("I1: ATTACH of %s on %s (object %llu), whose entry is not the one that was wanted (%s %s)",
                              j->request.filter, j->request.partition.name, (unsigned long long) p->object,
                              j->request.expect.part_uuid, j->request.expect.part_label);
}

static uint64_t object_of(const Attachment *a) {
        const Partition *p = device_set_get_partition_by_uid(&sim.manager->world.devices, a->device_uid);

        return p ? p->object : 0;
}

/* Who claims that tracking is intact must be right, or have been right when it last heard. */
static void check_intact(const Attachment *a) {
        const KPart *p;

        if (!a->on_device || !a->intact_since_usec || a->hold_job)
                return;

        p = kernel_get_object(a->fingerprint.object);
        if (!p || p->meddled)
                return;

        if (!str_equal(p->filter, a->filter))
                sim_violation("gaps: %s claims to be intact on %s, where \"%s\" is", a->id, a->device, p->filter);
        if (p->filter_since > a->intact_since_usec)
                sim_violation("gaps: %s claims to be intact on %s since before its filter came", a->id, a->device);
}

static void check_gaps(const Attachment *a) {
        bool lasting = a->n_gaps_kept > 0 && !a->gaps[a->n_gaps_kept - 1].end_usec;

        for (size_t i = 0; i < a->n_gaps_kept; i++) {
                const Gap *g = &a->gaps[i];

                if ((!g->end_usec && i + 1 < a->n_gaps_kept) || (g->end_usec && g->end_usec < g->begin_usec) ||
                    (i > 0 && a->gaps[i - 1].end_usec > g->begin_usec))
                        sim_violation("gaps: those of %s are not in order", a->id);
        }

        if (a->on_device && lasting)
                sim_violation("gaps: %s is on its device and has an open gap", a->id);
        if (a->on_device && a->recorded_since_usec && !a->orphaned)
                sim_violation("gaps: %s is on its device and not yet taken up", a->id);
        if (!a->on_device && a->intact_since_usec)
                sim_violation("gaps: %s is on no device and claims to be intact", a->id);
}

void check_step(void) {
        const AttachmentSet *s = manager_get_attachments(sim.manager);

        for (size_t i = 0; i < s->n_items; i++) {
                check_intact(s->items[i]);
                check_gaps(s->items[i]);
        }

        if (sim.manager->n_requests > CALLS)
                sim_violation("I7: %zu requests", sim.manager->n_requests);
}

typedef struct Truth {
        unsigned n; /* partitions that have the identity */
        KPart *part;
        const Entry *entry;
        unsigned slot;
} Truth;

static Truth find_truth(const Match *m) {
        Truth t = { 0 };

        for (unsigned i = 0; i < SLOTS; i++)
                for (unsigned n = 1; n <= PARTS; n++) {
                        Slot *s = &sim.slots[i];

                        if (!s->medium || s->medium->ignored || !s->parts[n].exists || !match_entry(m, &s->medium->table[n]))
                                continue;

                        t = (Truth) { .n = t.n + 1, .part = &s->parts[n], .entry = &s->medium->table[n], .slot = i };
                }

        return t;
}

/* An attachment that comes before @a on that entry. */
static bool has_first(const Attachment *a, const Entry *e) {
        const AttachmentSet *s = manager_get_attachments(sim.manager);

        for (size_t i = 0; i < s->n_items; i++)
                if (s->items[i] != a && s->items[i]->rank < a->rank && !s->items[i]->orphaned &&
                    match_entry(&s->items[i]->match, e))
                        return true;

        return false;
}

/* Whether a disk that hangs has to do with it: what the daemon knows of that, or what is true of it. */
static bool is_sick(const Attachment *a) {
        char name[JOB_NODE_SIZE];
        const Slot *s;
        const Disk *d;

        if (!sim.sick)
                return false;

        s = &sim.slots[sim.sick - 1];
        kernel_device_name(sim.sick - 1, 0, name);
        d = device_set_get_disk(&sim.manager->world.devices, name);

        if (strncmp(a->device, name, 3) == 0 || strncmp(a->fingerprint.disk, name, 3) == 0)
                return true;

        for (unsigned n = 1; n <= PARTS; n++)
                if ((s->medium && match_entry(&a->match, &s->medium->table[n])) || match_entry(&a->match, &s->parts[n].made_from))
                        return true;

        for (size_t i = 0; d && i < d->n_entries; i++)
                if (match_entry(&a->match, &d->entries[i]))
                        return true;

        return false;
}

static void check_settled(const Attachment *a) {
        bool lasting = a->n_gaps_kept > 0 && !a->gaps[a->n_gaps_kept - 1].end_usec;
        const KPart *p = a->on_device ? kernel_get_object(object_of(a)) : NULL;
        Truth t = find_truth(&a->match);

        if (is_sick(a))
                return;

        if (a->job)
                sim_violation("quiet: a job for %s is under way still", a->id);
        if (a->hold_job && !sim.sick)
                sim_violation("quiet: a detach of %s is under way still", a->id);
        if (a->recorded_since_usec && !a->held && !a->orphaned && t.n == 1)
                sim_violation("quiet: what was recorded of %s is not taken up (%s)", a->id, a->reason);
        if (a->on_device && !p)
                sim_violation("quiet: %s claims to be on %s, which is gone", a->id, a->device);
        if (p && !p->meddled && !str_equal(p->filter, a->filter))
                sim_violation("quiet: %s claims to be on %s, where \"%s\" is", a->id, a->device, p->filter);
        if (!a->recorded_since_usec && a->has_fingerprint && !a->on_device && !lasting)
                sim_violation("quiet: %s was attached once, is not now, and has no open gap", a->id);
        if (!a->has_fingerprint && lasting)
                sim_violation("quiet: %s was never attached and has a gap", a->id);

        if (a->held || a->orphaned)
                return;

        if (!is_wanted(a))
                sim_violation("quiet: nobody wants %s any more", a->id);

        /* a policy that demands more than before leaves in place what it attached */
        if (a->on_device && !match_entry(&a->match, &a->fingerprint.entry))
                return;

        if (t.n == 0 && a->on_device)
                sim_violation("quiet: %s is on %s, and nothing has its identity", a->id, a->device);
        if (t.n > 1 && !a->on_device && a->state != ATTACHMENT_AMBIGUOUS)
                sim_violation("quiet: %s is ambiguous and says \"%s\"", a->id, a->reason);
        if (t.n != 1 || has_first(a, t.entry) || t.part->meddled)
                return;

        if (t.part->filter[0] && !str_equal(t.part->filter, a->filter)) {
                if (a->state != ATTACHMENT_CONFLICT)
                        sim_violation("quiet: %s should be a conflict with %s: %s", a->id, t.part->filter, a->reason);
        } else if (!a->on_device || p != t.part)
                sim_violation("quiet: %s is not on its partition (sd%c, object %llu): %s", a->id, 'a' + t.slot,
                              (unsigned long long) t.part->object, a->reason);
}

/* Whether an attachment says that its filter is on that object, or notes that it was before a restart. */
static bool is_known(const KPart *p) {
        const AttachmentSet *s = manager_get_attachments(sim.manager);

        for (size_t i = 0; i < s->n_items; i++) {
                const Attachment *a = s->items[i];

                if (str_equal(a->filter, p->filter) &&
                    (a->on_device ? object_of(a) == p->object :
                     a->held || (a->recorded_since_usec && a->fingerprint.object == p->object)))
                        return true;
        }

        return false;
}

/* Everything has been told, answered and tried again: wanted equals actual. */
void check_quiet(void) {
        const AttachmentSet *s = manager_get_attachments(sim.manager);

        check_step();
        admin_check_answers(true);
        for (size_t i = 0; i < s->n_items; i++)
                check_settled(s->items[i]);

        for (unsigned i = 0; i < SLOTS; i++)
                for (unsigned n = 1; n <= PARTS; n++) {
                        const KPart *p = &sim.slots[i].parts[n];

                        if (p->exists && i + 1 != sim.sick && p->ours && !p->edited && !p->meddled && p->filter[0] && !is_known(p))
                                sim_violation("quiet: %s is on sd%c%u (object %llu), and no attachment knows of it", p->filter,
                                              'a' + i, n, (unsigned long long) p->object);
                }
}
