/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Jobs that the daemon gives to workers, and what it hears of them, as in worker-pool.c: some answer when nobody waits
 * any more.
 */

#include <stdio.h>
#include <string.h>

#include "daemon/text.h"
#include "tests/sim/sim.h"

#define JOB_TIMEOUT_USEC (20 * SECOND)

int jobs_submit(const JobRequest *request) {
        for (size_t i = 0; i < JOBS; i++) {
                Job *j = &sim.jobs[i];

                if (j->used)
                        continue;

                *j = (Job) {
                        .used = true,
                        .request = *request,
                        .life = sim.life,
                        .slot = kernel_slot_of(request->disk.name),
                        .began_usec = sim.now.monotonic_usec,
                };
                sim_trace("daemon: job %llu kind %u on %s", (unsigned long long) request->id, request->kind,
                          request->partno ? request->partition.name : request->disk.name);
                j->by_plan = world_find_by_job(&sim.manager->world, request) ||
                             world_find_stale_by_job(&sim.manager->world, request->id);
                check_submit(request);
                return 0;
        }

        sim_violation("I7: more than %u jobs at once", JOBS);
        return -12;
}

static Job *random_job(bool replying) {
        unsigned first = sim_below(JOBS);

        for (unsigned i = 0; i < JOBS; i++) {
                Job *j = &sim.jobs[(first + i) % JOBS];

                if (j->used && !j->hung && (j->stage == STAGE_REPLY) == replying)
                        return j;
        }

        return NULL;
}

/* One worker goes one stage on; false if none can. */
bool jobs_step(void) {
        Job *j = random_job(false);

        if (j)
                worker_step(j);

        return j != NULL;
}

/* As known_table_tell(), of the worker that had the last job on the disk; now and then it is another one. */
static void leave_out_table(const Job *j, JobReply *reply) {
        Told *t = &sim.told[j->slot];

        if (j->request.kind == JOB_ATTACH && (reply->outcome == JOB_OK || reply->outcome == JOB_ALREADY) &&
            j->request.known_table && j->request.known_table == t->job && j->life == t->life &&
            memcmp(j->table, t->table, sizeof(t->table)) == 0 && str_equal(j->pt_uuid, t->pt_uuid) && sim_chance(90)) {
                reply->has_table = false;
                reply->n_entries = 0;
                if (j->table[j->request.partno].partno)
                        reply->entries[reply->n_entries++] = j->table[j->request.partno];
                sim.counts.n_left_out++;
                return;
        }

        t->job = j->request.id;
        t->life = j->life;
        memcpy(t->table, j->table, sizeof(t->table));
        memcpy(t->pt_uuid, j->pt_uuid, sizeof(t->pt_uuid));
}

static JobReply *make_reply(const Job *j, JobOutcome outcome) {
        static JobReply r;

        memset(&r, 0, offsetof(JobReply, entries));
        r.protocol = JOB_PROTOCOL;
        r.id = j->request.id;
        r.outcome = outcome;
        if (j->request.kind == JOB_PROBE) {
                r.interface = j->module_gone ? KERNEL_INTERFACE_NONE : sim.interface;
                r.proven = true;
                if (j->unclear)
                        r.interface = KERNEL_INTERFACE_UNKNOWN;
        }
        if (j->generation)
                (void) snprintf(r.generation, sizeof(r.generation), "%032llx", (unsigned long long) j->generation);
        (void) str_copy(r.pt_uuid, sizeof(r.pt_uuid), j->pt_uuid);
        r.as_of = sim.mistake == MISTAKE_COUNT_LATE ? sim.last_seqnum : j->as_of;
        r.unowned = j->unowned;
        r.has_table = j->has_table && outcome != JOB_DIED && outcome != JOB_TIMED_OUT;
        for (unsigned n = 1; r.has_table && n <= PARTS; n++)
                if (j->table[n].partno)
                        r.entries[r.n_entries++] = j->table[n];

        if (r.has_table)
                leave_out_table(j, &r);

        return &r;
}

/* One answer reaches the daemon, if it is still the one that asked; false if there is none. */
bool jobs_deliver(void) {
        Job *j, job;

        /* A module tells that it goes before it does, and what the kernel tells is read before an answer: of a filter
         * that is on by the next one the daemon hears later. See the priorities in uevent.c and worker-pool.c. */
        while (sim.n_interface_events > 0)
                (void) udev_deliver_kernel();

        j = random_job(true);
        if (!j)
                return false;

        job = *j;
        j->used = false;
        sim.counts.n_died += job.outcome == JOB_DIED;
        sim.counts.n_gone += job.outcome == JOB_GONE;
        sim.counts.n_conflicts += job.outcome == JOB_CONFLICT;
        if (job.life != sim.life || !sim.manager || (job.timed_out && sim.mistake == MISTAKE_DROP_LATE_REPLY))
                return true;

        sim_trace("daemon: job %llu outcome %u", (unsigned long long) job.request.id, job.outcome);
        manager_job_done(sim.manager, &job.request, make_reply(&job, job.outcome), -1);
        return true;
}

/* What the pool says of workers that do not answer in time. */
void jobs_check_timeouts(void) {
        for (size_t i = 0; i < JOBS && sim.manager; i++) {
                Job *j = &sim.jobs[i];

                if (!j->used || j->timed_out || j->life != sim.life ||
                    sim.now.monotonic_usec < j->began_usec + JOB_TIMEOUT_USEC)
                        continue;

                j->timed_out = true;
                sim.counts.n_timed_out++;
                sim_trace("daemon: job %llu has not answered", (unsigned long long) j->request.id);
                manager_job_done(sim.manager, &j->request, make_reply(j, JOB_TIMED_OUT), -1);
        }
}

void jobs_wake_hung(void) {
        for (size_t i = 0; i < JOBS; i++)
                if (!sim.sick || sim.jobs[i].slot != sim.sick - 1)
                        sim.jobs[i].hung = false;
}

/* Whether a worker hangs on that disk. */
bool jobs_hang_on(unsigned slot) {
        for (size_t i = 0; i < JOBS; i++)
                if (sim.jobs[i].used && sim.jobs[i].hung && sim.jobs[i].slot == slot)
                        return true;

        return false;
}

/* A device on which a worker is putting a filter, or has, though nobody has heard of it yet. */
bool jobs_find_attach(unsigned *ret_slot, unsigned *ret_partno) {
        for (size_t i = 0; i < JOBS; i++) {
                const Job *j = &sim.jobs[i];

                if (!j->used || j->life != sim.life || j->request.kind != JOB_ATTACH ||
                    (j->stage == STAGE_REPLY && j->outcome != JOB_OK))
                        continue;

                *ret_slot = j->slot;
                *ret_partno = j->request.partno;
                return true;
        }

        return false;
}
