/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What must hold: at every submitted job, at every ATTACH, at every loss that is told, and at every step. */

#include <stdio.h>
#include <string.h>

#include "daemon/text.h"
#include "tests/sim/sim.h"

/* Whether there are files that want it, or an administrator does. */
bool check_is_wanted(const Attachment *a) {
        const PolicySet *s = manager_get_policies(sim.manager);

        if (a->source == ATTACHMENT_SOURCE_RUNTIME)
                return true;

        for (size_t i = 0; a->policy_path && i < s->n_policies; i++)
                if (str_equal(s->policies[i]->path, a->policy_path) && str_equal(s->policies[i]->filter, a->filter))
                        return true;

        for (size_t i = 0; a->policy_path && i < s->n_errors; i++)
                if (str_equal(s->errors[i].path, a->policy_path))
                        return true;

        return false;
}

/* The worker is told to look for all that the match demands and that can be read. */
static bool expects_enough(const Attachment *a, const JobRequest *request) {
        const Disk *d = device_set_get_disk(&sim.manager->world.devices, request->disk.name);
        Facts f = { .is_partition = request->partno > 0 };

        for (size_t i = 0; i < a->match->n_terms; i++) {
                MatchKey key = a->match->terms[i].key;

                if (key != MATCH_DISK_WWN && key != MATCH_DISK_SERIAL && key != MATCH_KERNEL_NAME &&
                    !(request->expect.keys & 1U << key))
                        return false;
        }

        for (MatchKey key = 0; key < MATCH_KERNEL_NAME; key++)
                f.values[key] = request->expect.values[key];
        f.values[MATCH_DISK_SERIAL] = d ? d->values[MATCH_DISK_SERIAL] : NULL;
        f.values[MATCH_KERNEL_NAME] = request->partno ? request->partition.name : request->disk.name;
        return match_facts(a->match, &f);
}

/* Whether another attachment comes first on the device that an ATTACH is for, or holds the filter off it. */
static const char *find_obstacle(const Attachment *a, const JobRequest *request) {
        const AttachmentSet *s = manager_get_attachments(sim.manager);
        Device d = device_set_get_by_uid(&sim.manager->world.devices, a->device_uid);
        Facts f;

        if (!d.disk)
                return NULL;

        (void) request;
        device_facts(d, &f);
        for (size_t i = 0; i < s->n_items; i++) {
                const Attachment *b = s->items[i];
                bool same = str_equal(a->filter, b->filter);

                if (b == a || !match_facts(b->match, &f))
                        continue;
                if (b->held && same && !a->asked_now)
                        return "an administrator holds the filter off";
                if (b->rank < a->rank && !b->orphaned && !(same && b->source == ATTACHMENT_SOURCE_RUNTIME))
                        return "another comes first";
        }

        return NULL;
}

/*
 * A clone of what an ATTACH is for, on a disk that was there when all was quiet and has not been touched since: the
 * daemon has had all the time to know. NULL if there is none, or the filter is on there already.
 */
static const char *find_known_clone(const Attachment *a, const JobRequest *request) {
        const KPart *p = kernel_get_object(request->partno ? request->partition.object : request->disk.object);
        unsigned own = kernel_slot_of(request->disk.name);
        static char name[JOB_NODE_SIZE];
        Facts f;

        if (!p || str_equal(p->filter, a->filter) || a->chosen_uid)
                return NULL;

        for (unsigned i = 0; i < SLOTS; i++)
                for (unsigned n = 0; n <= PARTS; n++) {
                        const Slot *s = &sim.slots[i];

                        if (i == own || s->touched || !s->medium || s->medium->ignored || !s->parts[n].exists)
                                continue;

                        kernel_truth_facts(i, n, &f);
                        if ((n && !s->medium->table[n].partno) || !match_facts(a->match, &f))
                                continue;

                        kernel_device_name(i, n, name);
                        return name;
                }

        return NULL;
}

/* A job is begun: one for each disk, and an attach for a wish that stands. */
void check_submit(const JobRequest *request) {
        const Attachment *a = world_find_by_job(&sim.manager->world, request);

        for (size_t i = 0; i < JOBS; i++) {
                const Job *j = &sim.jobs[i];

                if (sim.slots[j->slot].diskseq != request->disk.diskseq)
                        continue; /* of the past: neither can do anything */

                if (j->used && j->life == sim.life && j->request.id != request->id && request->disk.diskseq &&
                    str_equal(j->request.disk.name, request->disk.name) &&
                    j->request.disk.diskseq == request->disk.diskseq)
                        sim_violation("I3: job %llu begins on %s while job %llu is under way there",
                                      (unsigned long long) request->id, request->disk.name,
                                      (unsigned long long) j->request.id);
        }

        /* a DETACH that the daemon makes by itself: what was left where it does not belong, and nothing else */
        if (request->kind == JOB_DETACH && a &&
            (!a->left_object ||
             a->left_object != (request->partno ? request->partition.object : request->disk.object) ||
             !str_equal(a->filter, request->filter)))
                sim_violation("I6: a DETACH for %s, whose filter was not left there", a->id);

        if (request->kind != JOB_ATTACH)
                return;

        if (!a) {
                sim_violation("I1: an ATTACH for no attachment");
                return;
        }
        if (a->held || a->orphaned || !check_is_wanted(a) || !str_equal(a->filter, request->filter))
                sim_violation("I1: an ATTACH for %s, which is not wanted", a->id);
        if (find_obstacle(a, request))
                sim_violation("I1: an ATTACH for %s, but %s", a->id, find_obstacle(a, request));
        if (find_known_clone(a, request))
                sim_violation("I1: an ATTACH for %s, but %s is the same and has been there all the time", a->id,
                              find_known_clone(a, request));
        if (!expects_enough(a, request))
                sim_violation("I1: an ATTACH for %s does not prove all that is demanded", a->id);
}

/* The ioctl is made on @p, now. */
void check_attach(const Job *j, const KPart *p) {
        const Slot *s = &sim.slots[j->slot];

        if (!j->proof_is_true)
                sim_violation("I1: ATTACH of %s on %s (object %llu), which is not what was wanted (%s %s)",
                              j->request.filter, j->request.partno ? j->request.partition.name : j->request.disk.name,
                              (unsigned long long) p->object, j->request.expect.values[MATCH_PART_UUID],
                              j->request.expect.values[MATCH_PART_LABEL]);

        if (s->medium && s->medium->ignored && s->diskseq == j->diskseq)
                sim_violation("I1: ATTACH of %s on %s, which must be left alone", j->request.filter,
                              j->request.disk.name);
}

/* Whether the filter that an attachment had is on that device still, and was all the time. */
static bool is_still_on(const Attachment *a, const KPart *p) {
        char generation[GENERATION_SIZE] = "", of_attachment[GENERATION_SIZE];

        if (kernel_has_generation(a->filter))
                (void) snprintf(generation, sizeof(generation), "%032llx", (unsigned long long) p->generation);
        fingerprint_get_generation(&a->fingerprint, of_attachment);

        return str_equal(p->filter, a->filter) && str_equal(generation, of_attachment) && !p->foreign_off;
}

/* FilterLost: it must be true. */
void check_loss(const Attachment *a) {
        const KPart *p = kernel_get_object(a->fingerprint.object);
        const Gap *g = &a->gaps[a->n_gaps_kept - 1];
        uint64_t begin_usec = a->n_gaps_kept > 1 && g[-1].end_usec == g->begin_usec ? g[-1].begin_usec : g->begin_usec;

        if (str_equal(g->reason, "unknown") || str_equal(g->reason, "detached"))
                return;

        if (str_equal(g->reason, "medium-changed")) {
                if (p && sim.slots[kernel_slot_of(a->fingerprint.disk->name)].diskseq == a->fingerprint.disk->diskseq)
                        sim_violation("gaps: %s says that its medium changed, and it did not", a->id);
                return;
        }

        /* others may have put one on again by now: then it was off, and that is told */
        if (p && is_still_on(a, p) && p->off_usec < g->begin_usec)
                sim_violation("gaps: %s says that its filter is lost (%s), and it is on object %llu", a->id, g->reason,
                              (unsigned long long) p->object);

        /* nor is one told yet that began after this one had ended */
        if (g->end_usec && p && p->off_usec > g->end_usec)
                return;
        if (p && p->off_usec && !p->filter[0] && (p->off_usec > g->latest_usec || (g->begin_usec < g->latest_usec &&
                                                                                   p->off_usec < begin_usec)))
                sim_violation("gaps: %s lost its filter at %llu, and says between %llu and %llu", a->id,
                              (unsigned long long) p->off_usec, (unsigned long long) g->begin_usec,
                              (unsigned long long) g->latest_usec);
}

/* Who claims that tracking is intact must be right, or have been right when it last heard. */
static void check_intact(const Attachment *a) {
        const KPart *p;

        if (!a->on_device || !a->intact_since_usec || a->hold_job)
                return;

        p = kernel_get_object(a->fingerprint.object);
        if (!p || p->foreign_off || p->swapped)
                return;

        if (!str_equal(p->filter, a->filter))
                sim_violation("gaps: %s claims to be intact on %s, where \"%s\" is", a->id, a->device, p->filter);
        if (p->filter_since > a->intact_since_usec)
                sim_violation("gaps: %s claims to be intact on %s since before its filter came", a->id, a->device);
}

static void check_gaps(const Attachment *a) {
        bool open = attachment_get_open_gap(a) != NULL;

        for (size_t i = 0; i < a->n_gaps_kept; i++) {
                const Gap *g = &a->gaps[i];

                if ((!g->end_usec && i + 1 < a->n_gaps_kept) || (g->end_usec && g->end_usec < g->latest_usec) ||
                    g->latest_usec < g->begin_usec || (i > 0 && a->gaps[i - 1].end_usec > g->begin_usec))
                        sim_violation("gaps: those of %s are not in order", a->id);
        }

        if (a->on_device && open)
                sim_violation("gaps: %s is on its device and has an open gap", a->id);
        if (a->on_device && (a->recorded_since_usec || a->noted_object))
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
