/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A worker at its job: it does what daemon/worker.c does, in the same order, one stage at a time, so that things happen
 * in between. Some die, some hang.
 */

#include <string.h>

#include "daemon/text.h"
#include "tests/sim/sim.h"

static bool mistaken(Mistake m) {
        return sim.mistake == m;
}

/* Whether the disk that is open is still there, and the same. */
static bool disk_is_live(const Job *j) {
        const Slot *s = &sim.slots[j->slot];

        return s->present && s->diskseq == j->diskseq;
}

/* The partition that is open; NULL if it was removed under the worker. */
static KPart *held_part(const Job *j) {
        return j->open ? kernel_get_object(j->object) : NULL;
}

static void job_close(Job *j) {
        KPart *p = held_part(j);

        if (p)
                p->openers--;
        if (j->shared && disk_is_live(j) && sim.slots[j->slot].n_shared > 0)
                sim.slots[j->slot].n_shared--;
        j->open = j->shared = false;
}

static void job_end(Job *j, JobOutcome outcome) {
        job_close(j);
        j->outcome = outcome;
        j->stage = STAGE_REPLY;
}

static void open_disk(Job *j) {
        const JobDevice *d = &j->request.disk;
        Slot *s = &sim.slots[j->slot];

        if (!s->present) {
                job_end(j, JOB_GONE);
                return;
        }

        if (s->rereading) /* the open waits for it */
                return;

        if (d->diskseq && d->diskseq != s->diskseq && !mistaken(MISTAKE_TRUST_DEVNUM)) {
                job_end(j, JOB_GONE);
                return;
        }

        if (s->locked) {
                job_end(j, JOB_LOCKED);
                return;
        }

        j->diskseq = s->diskseq;
        j->shared = true;
        s->n_shared++;
        j->stage = j->request.kind == JOB_PROBE || j->request.kind == JOB_SCAN ? STAGE_PROVE : STAGE_PARTITION;
}

static void open_partition(Job *j) {
        KPart *p = &sim.slots[j->slot].parts[j->request.partno];
        uint64_t object = j->request.partno ? j->request.partition.object : j->request.disk.object;

        if (!p->exists || (object && object != p->object && !mistaken(MISTAKE_TRUST_DEVNUM))) {
                job_end(j, JOB_GONE);
                return;
        }

        j->open = true;
        j->object = p->object;
        p->openers++;
        j->stage = j->request.kind == JOB_ATTACH ? STAGE_PROVE : STAGE_CALL;
}

/* What was read, as the worker would compare it. */
static void read_facts(const Job *j, Facts *ret) {
        *ret = (Facts) { 0 };
        if (j->request.partno)
                facts_set_entry(ret, &j->table[j->request.partno]);
        ret->values[MATCH_PT_UUID] = j->pt_uuid;
}

/* Whether a table can tell two partitions apart by what is expected. */
static bool is_told_by_table(const Job *j) {
        for (MatchKey key = 0; key < MATCH_KERNEL_NAME; key++)
                if (match_key_is_of_partition(key) && j->request.expect.keys & 1U << key)
                        return j->request.partno > 0;

        return false;
}

/* What the truth says of the device that is held open. */
static bool is_wanted(const Job *j, const KPart *p) {
        const Slot *s = &sim.slots[j->slot];
        const Entry *t = s->medium ? s->medium->table : NULL;
        unsigned n_matches = 0;
        MatchKey key;
        Facts f;

        if (!t || s->diskseq != j->diskseq)
                return false;

        kernel_truth_facts(j->slot, j->request.partno, &f);
        if (!expect_facts(&j->request.expect, &f, &key))
                return false;
        if (!is_told_by_table(j))
                return !j->request.partno || (t[j->request.partno].partno &&
                                                p->start == t[j->request.partno].start_sectors);

        for (unsigned n = 1; n <= PARTS; n++) {
                kernel_truth_facts(j->slot, n, &f);
                n_matches += t[n].partno && expect_facts(&j->request.expect, &f, &key);
        }

        return n_matches == 1 && t[j->request.partno].partno && p->start == t[j->request.partno].start_sectors &&
                p->size == t[j->request.partno].size_sectors;
}

static JobOutcome prove(const Job *j) {
        const Entry *e = &j->table[j->request.partno];
        const KPart *p = held_part(j);
        MatchKey key;
        Facts f;

        if (mistaken(MISTAKE_SKIP_PROOF))
                return JOB_OK;

        read_facts(j, &f);
        if ((j->request.partno && !e->partno) || !expect_facts(&j->request.expect, &f, &key))
                return JOB_MISMATCH;

        for (unsigned n = 1; is_told_by_table(j) && n <= PARTS && !mistaken(MISTAKE_SKIP_DUPLICATE); n++) {
                facts_set_entry(&f, &j->table[n]);
                if (n != j->request.partno && j->table[n].partno && expect_facts(&j->request.expect, &f, &key))
                        return JOB_DUPLICATE;
        }

        if (!p)
                return JOB_GONE;

        if (j->request.partno && (p->start != e->start_sectors || p->size != e->size_sectors) &&
            !mistaken(MISTAKE_SKIP_PLACE))
                return JOB_MISMATCH;

        return JOB_OK;
}

static void read_and_prove(Job *j) {
        const KPart *p = held_part(j);
        JobOutcome outcome;

        if (j->request.kind == JOB_PROBE) {
                j->module_gone = sim.module_gone;
                j->unclear = sim.interface != KERNEL_INTERFACE_BLKFILTER_1 && !sim.calm && sim_chance(20);
                job_end(j, !sim.calm && sim_chance(20) ? JOB_FAILED : JOB_OK);
                return;
        }

        if (!disk_is_live(j) || (!sim.calm && sim_chance(2))) {
                job_end(j, JOB_UNREADABLE);
                return;
        }

        j->has_table = true;
        j->as_of = sim_chance(90) ? sim.last_seqnum : 0;
        if (sim.slots[j->slot].medium) {
                memcpy(j->table, sim.slots[j->slot].medium->table, sizeof(j->table));
                memcpy(j->pt_uuid, sim.slots[j->slot].medium->pt_uuid, sizeof(j->pt_uuid));
        }

        if (j->request.kind == JOB_SCAN) {
                const Medium *m = sim.slots[j->slot].medium;

                /* where paths are possible a worker rules out nothing */
                j->unowned = j->request.ask_unowned && m && ((!m->ignored && sim_chance(90)) ||
                                                             mistaken(MISTAKE_CALL_ALL_UNOWNED));
                sim.counts.n_early += j->unowned;
                job_end(j, JOB_OK);
                return;
        }

        j->proof_is_true = p && is_wanted(j, p);
        outcome = prove(j);
        if (outcome != JOB_OK)
                job_end(j, outcome);
        else
                j->stage = STAGE_CALL;
}

static JobOutcome call_attach(Job *j, KPart *p) {
        if (!p || mistaken(MISTAKE_SAY_ATTACHED))
                return JOB_OK; /* on the descriptor of a device that is gone it succeeds and means nothing */

        if (str_equal(p->filter, j->request.filter)) {
                j->generation = kernel_has_generation(p->filter) ? p->generation : 0;
                return JOB_ALREADY;
        }

        if (!sim.calm && sim_chance(4))
                return sim_chance(50) && !p->filter[0] ? JOB_NOT_REGISTERED : JOB_FAILED;

        j->proof_is_true |= is_wanted(j, p);
        check_attach(j, p);

        if (p->filter[0])
                return JOB_CONFLICT;

        (void) str_copy(p->filter, sizeof(p->filter), j->request.filter);
        p->filter_since = sim.now.realtime_usec;
        p->generation = ++sim.last_generation;
        p->carried = false;
        p->put = j->life == sim.life;
        /* a worker of a daemon that is gone puts back what others took off: for who runs now, nothing happened */
        p->swapped = p->foreign_off && j->life != sim.life && !kernel_has_generation(p->filter);
        /* of a daemon that lives, or of the one before, which noted what it was about to do */
        p->ours |= j->life == sim.life;
        j->generation = kernel_has_generation(p->filter) ? p->generation : 0;
        sim.counts.n_attached++;
        sim_trace("kernel: %s is on object %llu", p->filter, (unsigned long long) p->object);
        return mistaken(MISTAKE_CALL_GAP_INTACT) ? JOB_ALREADY : JOB_OK;
}

static JobOutcome call_detach(Job *j, KPart *p) {
        if (p && !j->by_plan && !admin_wants_detach(&j->request, p->object))
                sim_violation("I6: a DETACH of %s from %s (object %llu), which nobody asked for", j->request.filter,
                              j->request.partition.name, (unsigned long long) p->object);

        /* what is on the number of a device that is gone a worker does not say */
        if (!p && kernel_keeps_numbers())
                return JOB_GONE;

        if (!p || !p->filter[0])
                return JOB_NOT_ATTACHED;

        if (!str_equal(p->filter, j->request.filter)) {
                if (!mistaken(MISTAKE_DETACH_ANY))
                        return JOB_CONFLICT;
                sim_violation("I6: a DETACH of %s took %s off", j->request.filter, p->filter);
        }

        p->filter[0] = 0;
        p->ours = false;
        p->off_usec = sim.now.realtime_usec;
        sim.counts.n_detached++;
        if (j->life != sim.life || sim.slots[j->slot].diskseq != j->diskseq)
                p->foreign_off = true; /* the daemon that runs now cannot know before it asks */
        sim_trace("kernel: %s is off object %llu", j->request.filter, (unsigned long long) p->object);
        return JOB_OK;
}

static JobOutcome call_check(Job *j, const KPart *p) {
        if (!p)
                return JOB_GONE;

        if (!str_equal(p->filter, j->request.filter))
                return p->filter[0] ? JOB_CONFLICT : JOB_NOT_ATTACHED;

        j->generation = kernel_has_generation(p->filter) ? p->generation : 0;
        return JOB_OK;
}

static void call(Job *j) {
        KPart *p = held_part(j);

        if (sim.module_gone) {
                job_end(j, JOB_UNSUPPORTED);
                return;
        }

        switch (j->request.kind) {
        case JOB_ATTACH:
                j->outcome = call_attach(j, p);
                if (j->outcome == JOB_OK || j->outcome == JOB_ALREADY)
                        j->stage = STAGE_CHECK;
                else
                        job_end(j, j->outcome);
                break;
        case JOB_DETACH:
                job_end(j, call_detach(j, p));
                break;
        case JOB_CHECK:
                job_end(j, call_check(j, p));
                break;
        default:
                job_end(j, p && str_equal(p->filter, j->request.filter) ? JOB_OK : JOB_NOT_ATTACHED);
        }
}

/* The device must still be the one in sysfs: the same name at that number, and the same disk. */
static void check_sysfs(Job *j) {
        const Slot *s = &sim.slots[j->slot];

        /* a whole device whose medium went is still there: what was put on it is taken off again */
        if (j->outcome == JOB_OK && s->diskseq != j->diskseq && held_part(j)) {
                KPart *p = held_part(j);

                if (str_equal(p->filter, j->request.filter)) {
                        p->filter[0] = 0;
                        p->ours = false;
                        p->off_usec = sim.now.realtime_usec;
                        p->foreign_off = true; /* it may be another's by now, if the worker took long */
                }
        }
        job_end(j, s->parts[j->request.partno].exists && s->diskseq == j->diskseq ? j->outcome : JOB_GONE);
}

/* A worker goes one stage on, or does not get to it. */
void worker_step(Job *j) {
        if (!sim.calm && sim_chance(1)) {
                sim_trace("worker: job %llu dies", (unsigned long long) j->request.id);
                job_end(j, JOB_DIED);
                return;
        }
        if (!sim.calm && sim_chance(1)) {
                sim_trace("worker: job %llu hangs", (unsigned long long) j->request.id);
                j->hung = true;
                return;
        }

        switch (j->stage) {
        case STAGE_DISK:
                open_disk(j);
                break;
        case STAGE_PARTITION:
                open_partition(j);
                break;
        case STAGE_PROVE:
                read_and_prove(j);
                break;
        case STAGE_CALL:
                call(j);
                break;
        case STAGE_CHECK:
                check_sysfs(j);
                break;
        case STAGE_REPLY:
                break;
        }
}
