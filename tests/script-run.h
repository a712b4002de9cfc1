/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A scripted world, run: the plan, and workers whose replies are made from the truth or given by the
 * test.
 *
 * After each run of the plan everything is looked at once more: a plan that looks only at what was
 * touched must have decided what a plan that looks at everything does.
 */

#include "tests/script.h"

/* An earlier daemon noted that the filter was on that device, as the truth has it now, since a time. */
__attribute__((unused)) static void script_noted(Script *s, Attachment *a, const char *name, uint64_t since_usec,
                                                 uint64_t at_usec) {
        const Entry *e = script_entry(s, name);
        Fingerprint *f = &a->fingerprint;
        char disk[4] = "";

        fingerprint_deinit(f);
        f->object = script_device(s, name)->object;
        if (e)
                fingerprint_set_entry(f, e);
        memcpy(disk, name, 3);
        CHECK(fingerprint_set_disk(f, &(DiskPrint) { .diskseq = script_disk(s, name)->diskseq, .name = disk }) == 0);
        (void) str_copy(script_device(s, name)->filter, FILTER_NAME_SIZE, a->filter);
        a->has_fingerprint = true;
        a->noted_object = f->object;
        a->recorded_since_usec = since_usec;
        a->recorded_at_usec = at_usec;
        CHECK(attachment_set_home(a, f->disk->name) == 0);
        attachment_touch(a);
}

#define STANDING_SIZE 1024

/* How an attachment stands, in a line. Which disk it waits for it says again only soon, if that is another now. */
__attribute__((unused)) static void standing_of(const Attachment *a, char ret[static STANDING_SIZE]) {
        (void) snprintf(ret, STANDING_SIZE,
                        "%s: %s (%s); on %d %s %llu, home %s; job %llu%s; retry %llu; gaps %llu; noted %llu, left %llu;"
                        " check %d, absent %d, changed %x", a->id, attachment_state_to_string(a->state),
                        a->awaits_disk ? "for a disk" : a->reason,
                        a->on_device,
                        a->device, (unsigned long long) a->device_uid, a->home, (unsigned long long) a->job,
                        a->job_is_stuck ? " stuck" : "", (unsigned long long) a->retry_at_usec,
                        (unsigned long long) a->n_gaps, (unsigned long long) a->noted_object,
                        (unsigned long long) a->left_object, a->check_due, a->absent, a->changed);
}

/* Right after the plan has run: a look at everything finds nothing to do, and everything as it is. */
__attribute__((unused)) static void script_check_plan(Script *s) {
        size_t n_in_state[_ATTACHMENT_STATE_MAX] = { 0 }, n = s->world.attachments.n_items, n_claims;
        char (*before)[STANDING_SIZE] = calloc(n + 1, sizeof(*before)), after[STANDING_SIZE];
        uint64_t last_job = s->world.last_job, wake_at_usec = s->world.wake_at_usec;
        Plan plan = { 0 };

        CHECK(before);
        for (size_t i = 0; i < n; i++) {
                standing_of(s->world.attachments.items[i], before[i]);
                n_in_state[s->world.attachments.items[i]->state]++;
        }

        CHECK(memcmp(n_in_state, s->world.attachments.n_in_state, sizeof(n_in_state)) == 0);

        /* the index is what it is when it is made from nothing but what is known of the disks */
        for (size_t i = 0; i < s->world.devices.n_disks; i++) {
                Disk *d = s->world.devices.disks[i];

                n_claims = d->n_claims;
                CHECK(!d->reclaim && device_set_reclaim(&s->world.devices, d) == 0 && d->n_claims == n_claims);
        }

        world_touch_all(&s->world);
        CHECK(plan_run(&s->world, &s->now, &plan) == 0);
        CHECK(plan.n_requests == 0 && s->world.last_job == last_job);
        CHECK(s->world.attachments.n_items == n);

        for (size_t i = 0; i < n; i++) {
                standing_of(s->world.attachments.items[i], after);
                CHECK_STR(after, before[i]);
        }

        CHECK(plan.wake_at_usec == wake_at_usec);
        free(before);
        plan_deinit(&plan);
}

/* Runs the plan; returns how many jobs it began. No two of all under way are on one disk. */
__attribute__((unused)) static size_t script_run(Script *s) {
        Plan plan = { 0 };
        size_t n;

        CHECK(plan_run(&s->world, &s->now, &plan) == 0);
        n = plan.n_requests;
        s->wake_at_usec = plan.wake_at_usec;

        for (size_t i = 0; i < n; i++) {
                CHECK(plan.requests[i].id != 0 && s->n_jobs < SCRIPT_JOBS);
                for (size_t j = 0; j < s->n_jobs; j++)
                        CHECK(s->jobs[j].id != plan.requests[i].id &&
                              (!str_equal(s->jobs[j].disk.name, plan.requests[i].disk.name) ||
                               s->jobs[j].disk.diskseq != plan.requests[i].disk.diskseq));
                s->jobs[s->n_jobs++] = plan.requests[i];
        }

        plan_deinit(&plan);
        script_check_plan(s);
        return n;
}

/* Runs the plan, which must begin exactly one job, and that of this kind on this device. */
__attribute__((unused)) static void script_expect(Script *s, JobKind kind, const char *name) {
        const JobRequest *r;

        CHECK(script_run(s) == 1);
        r = &s->jobs[s->n_jobs - 1];
        CHECK(r->kind == kind);
        CHECK_STR(r->partno ? r->partition.name : r->disk.name, name);
}

__attribute__((unused)) static void reply_table(Script *s, const JobRequest *request, JobReply *reply) {
        const ScriptDisk *d = script_disk(s, request->disk.name);
        const char *pt_uuid = d->devices[0].values[MATCH_PT_UUID];

        reply->has_table = true;
        reply->as_of = s->as_of;
        reply->n_entries = (uint32_t) d->n_entries;
        (void) str_copy(reply->pt_uuid, sizeof(reply->pt_uuid), pt_uuid ? pt_uuid : "");
        memcpy(reply->entries, d->entries, sizeof(d->entries));
}

/* The device that a job is about, if that very object is still there; else NULL. */
__attribute__((unused)) static ScriptDevice *script_of_job(Script *s, const JobRequest *r) {
        ScriptDisk *d = script_disk(s, r->disk.name);
        ScriptDevice *device = &d->devices[r->partno];
        uint64_t object = r->partno ? r->partition.object : r->disk.object;

        return device->present && d->diskseq == r->disk.diskseq && (!object || object == device->object) ? device :
                NULL;
}

/* Answers the oldest job that is under way; TIMED_OUT leaves it under way. A filter that it says is on, is. */
__attribute__((unused)) static void script_reply(Script *s, const JobReply *reply) {
        JobRequest request = s->jobs[0];
        ScriptDevice *device;
        JobReply r = *reply;

        CHECK(s->n_jobs > 0);
        device = script_of_job(s, &request);
        r.protocol = JOB_PROTOCOL;
        r.id = request.id;
        if (r.outcome != JOB_TIMED_OUT)
                memmove(s->jobs, s->jobs + 1, --s->n_jobs * sizeof(s->jobs[0]));
        if (device && request.kind == JOB_ATTACH && (r.outcome == JOB_OK || r.outcome == JOB_ALREADY))
                (void) str_copy(device->filter, sizeof(device->filter), request.filter);
        world_job_done(&s->world, &request, &r, &s->now);
}

__attribute__((unused)) static void script_reply_outcome(Script *s, JobOutcome outcome) {
        JobReply r = { .outcome = outcome };

        script_reply(s, &r);
}

/* Whether a worker finds on the disk what it is to prove. */
__attribute__((unused)) static bool script_proves(Script *s, const JobRequest *r, const ScriptDevice *device) {
        ScriptDisk *d = script_disk(s, r->disk.name);
        const Entry *e = r->partno ? script_entry(s, r->partition.name) : NULL;
        Facts f = { 0 };
        MatchKey key;

        if (r->partno && !e)
                return false;

        memcpy(f.values, device->values, sizeof(f.values));
        f.values[MATCH_PT_UUID] = d->devices[0].values[MATCH_PT_UUID];
        if (e)
                facts_set_entry(&f, e);
        if (e && r->expect.place &&
            (e->start_sectors != r->expect.start_sectors || e->size_sectors != r->expect.size_sectors))
                return false;

        return expect_facts(&r->expect, &f, &key);
}

/* What an honest worker on a healthy disk does about the filter on a device, and says. */
__attribute__((unused)) static JobOutcome script_do(Script *s, const JobRequest *r, ScriptDevice *device,
                                                    JobReply *reply) {
        bool mine = str_equal(device->filter, r->filter), none = !device->filter[0];

        if (r->kind == JOB_SCAN)
                return JOB_OK;

        if (r->kind == JOB_ATTACH && !script_proves(s, r, device))
                return JOB_MISMATCH;

        if (!mine && !none) {
                (void) str_copy(reply->other_filter, sizeof(reply->other_filter), device->filter);
                return JOB_CONFLICT;
        }

        if (r->kind == JOB_ATTACH && none)
                device->generation = s->tells_generation ? ++s->last_generation : 0;
        if (device->generation && (r->kind == JOB_ATTACH || mine))
                (void) snprintf(reply->generation, sizeof(reply->generation), "%032llx",
                                (unsigned long long) device->generation);
        if (r->kind == JOB_ATTACH)
                return none ? JOB_OK : JOB_ALREADY;

        if (r->kind == JOB_DETACH)
                device->filter[0] = 0;
        return none ? JOB_NOT_ATTACHED : JOB_OK;
}

/* As known_table_tell(). */
__attribute__((unused)) static void script_leave_out_table(Script *s, const JobRequest *request, JobReply *reply) {
        ScriptDisk *d = script_disk(s, request->disk.name);
        const Entry *e = request->partno ? script_entry(s, request->partition.name) : NULL;

        if (request->kind == JOB_ATTACH && (reply->outcome == JOB_OK || reply->outcome == JOB_ALREADY) &&
            request->known_table && request->known_table == d->told_by && d->n_told == d->n_entries &&
            memcmp(d->told, d->entries, sizeof(d->told)) == 0) {
                reply->has_table = false;
                reply->n_entries = e != NULL;
                if (e)
                        reply->entries[0] = *e;
                return;
        }

        memcpy(d->told, d->entries, sizeof(d->told));
        d->n_told = d->n_entries;
        d->told_by = request->id;
}

/* Answers the oldest job as an honest worker on a healthy disk does. */
__attribute__((unused)) static void script_answer(Script *s) {
        const JobRequest *request = &s->jobs[0];
        JobReply r = { .outcome = JOB_GONE };
        ScriptDevice *device;

        CHECK(s->n_jobs > 0);
        device = script_of_job(s, request);
        if (device) {
                r.outcome = script_do(s, request, device, &r);
                if (request->kind == JOB_SCAN || request->kind == JOB_ATTACH) {
                        reply_table(s, request, &r);
                        r.unowned = request->ask_unowned && script_disk(s, request->disk.name)->unowned;
                        script_leave_out_table(s, request, &r);
                }
        }

        script_reply(s, &r);
}

/* Plan and answer until there is nothing left to do now. */
__attribute__((unused)) static void script_settle(Script *s) {
        for (int i = 0; script_run(s) > 0 || s->n_jobs > 0; i++) {
                CHECK(i < 100);
                while (s->n_jobs > 0)
                        script_answer(s);
        }
}

/* The usual beginning: sda1 has UUID_X and the filter that a policy wants there. */
__attribute__((unused)) static Attachment *script_begin(Script *s) {
        Attachment *a;

        script_init(s);
        script_table_1(s, "sda", 1, UUID_X, "data");
        script_had(s, "sda");
        a = script_policy(s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(s);
        script_settle(s);
        CHECK(a->state == ATTACHMENT_ATTACHED);
        CHECK_STR(a->device, "sda1");
        a->changed = 0;
        return a;
}
