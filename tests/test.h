/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of the core share: a check that says where it failed, and a scripted world.
 *
 * The script holds what is true (which partitions the tables of sda, sdb, ... have) and tells the
 * core of it as the kernel and udev do: each kernel event is queued for udev, which tells it
 * later, with the table's entry. Workers' replies are made from the truth or given by the test.
 */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/plan.h"
#include "daemon/text.h"

#define CHECK(condition)                                                                \
        do {                                                                            \
                if (!(condition)) {                                                     \
                        fprintf(stderr, "%s:%d: %s(): %s\n", __FILE__, __LINE__, __func__, #condition); \
                        abort();                                                        \
                }                                                                       \
        } while (0)

#define CHECK_STR(got, wanted)                                                          \
        do {                                                                            \
                const char *got_ = (got), *wanted_ = (wanted);                          \
                if (!str_equal(got_, wanted_)) {                                        \
                        fprintf(stderr, "%s:%d: %s(): got \"%s\", wanted \"%s\"\n", __FILE__, __LINE__, __func__, \
                                got_, wanted_);                                         \
                        abort();                                                        \
                }                                                                       \
        } while (0)

#define CHECK_HAS(text, part)                                                           \
        do {                                                                            \
                const char *text_ = (text), *part_ = (part);                            \
                if (!strstr(text_, part_)) {                                            \
                        fprintf(stderr, "%s:%d: %s(): \"%s\" does not have \"%s\"\n", __FILE__, __LINE__, __func__, \
                                text_, part_);                                          \
                        abort();                                                        \
                }                                                                       \
        } while (0)

#define UUID_X "0fc63daf-8483-4772-8e79-3d69d8477de4"
#define UUID_Y "b921b045-1df0-41c3-af44-4c6f280d3fae"
#define UUID_Z "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"

#define SCRIPT_DISKS 4
#define SCRIPT_PARTITIONS 4
#define SCRIPT_QUEUE 64
#define SECOND UINT64_C(1000000)

typedef struct ScriptDisk {
        Entry entries[SCRIPT_PARTITIONS]; /* the table on the disk; sorted by partno */
        size_t n_entries;
        uint64_t diskseq;
        bool present[SCRIPT_PARTITIONS + 1]; /* the kernel has this partition; [0]: the disk */
        uint64_t objects[SCRIPT_PARTITIONS + 1]; /* as in Partition, while present */
} ScriptDisk;

typedef struct ScriptEvent {
        EventAction action;
        char name[JOB_NODE_SIZE];
        uint64_t seqnum, diskseq;
} ScriptEvent;

typedef struct Script {
        World world;
        PolicySet *policies;
        Now now;
        uint64_t seqnum, last_diskseq, last_object;
        ScriptDisk disks[SCRIPT_DISKS]; /* sda, sdb, ... */
        ScriptEvent udev[SCRIPT_QUEUE]; /* what udev has not told yet, oldest first */
        size_t n_udev;
        JobRequest jobs[SCRIPT_QUEUE];  /* begun and not answered, oldest first */
        size_t n_jobs;
        uint64_t wake_at_usec;          /* of the last plan */
} Script;

__attribute__((unused)) static void script_init(Script *s) {
        *s = (Script) {
                .world.interface = KERNEL_INTERFACE_BLKFILTER_1,
                .policies = policy_set_new(),
                .now = { .monotonic_usec = 1000 * SECOND, .realtime_usec = 1700000000 * SECOND },
                .seqnum = 1000,
        };
        CHECK(s->policies);
}

__attribute__((unused)) static void script_deinit(Script *s) {
        world_deinit(&s->world);
        policy_set_free(s->policies);
}

__attribute__((unused)) static void script_pass(Script *s, uint64_t usec) {
        s->now.monotonic_usec += usec;
        s->now.realtime_usec += usec;
}

__attribute__((unused)) static Match match_of(const char *uuid, const char *label) {
        Match m = { 0 };

        CHECK(str_copy(m.part_uuid, sizeof(m.part_uuid), uuid));
        CHECK(str_copy(m.part_label, sizeof(m.part_label), label));
        return m;
}

__attribute__((unused)) static Entry entry_of(unsigned partno, const char *uuid, const char *label) {
        Entry e = { .partno = partno, .start_sectors = 2048 * partno, .size_sectors = 2048 };

        CHECK(str_copy(e.uuid, sizeof(e.uuid), uuid));
        CHECK(str_copy(e.label, sizeof(e.label), label));
        return e;
}

/* Puts a policy in force and returns its attachment. */
__attribute__((unused)) static Attachment *script_policy(Script *s, const char *name, const char *filter, const char *uuid,
                                                         const char *label) {
        char path[128], id[ATTACHMENT_ID_SIZE];
        Policy *p = calloc(1, sizeof(*p));

        CHECK(p);
        (void) snprintf(path, sizeof(path), "/etc/blkfilter.d/%s", name);
        p->name = strdup(name);
        p->path = strdup(path);
        p->match = match_of(uuid, label);
        p->retry_usec = POLICY_RETRY_USEC_DEFAULT;
        CHECK(p->name && p->path && str_copy(p->filter, sizeof(p->filter), filter));
        CHECK(policy_set_add(s->policies, p) == 0);
        CHECK(world_set_policies(&s->world, s->policies) == 0);
        CHECK(attachment_make_id(filter, &p->match, id) == 0);
        return attachment_set_get(&s->world.attachments, id);
}

__attribute__((unused)) static ScriptDisk *script_disk(Script *s, const char *name) {
        CHECK(strncmp(name, "sd", 2) == 0 && name[2] >= 'a' && name[2] < 'a' + SCRIPT_DISKS);
        return &s->disks[name[2] - 'a'];
}

__attribute__((unused)) static const Entry *script_entry(Script *s, const char *name) {
        ScriptDisk *d = script_disk(s, name);

        for (size_t i = 0; i < d->n_entries; i++)
                if (d->entries[i].partno == strtoul(name + 3, NULL, 10))
                        return &d->entries[i];

        return NULL;
}

/* What is on the disk from now on; nobody is told. */
__attribute__((unused)) static void script_table(Script *s, const char *disk, const Entry *entries, size_t n_entries) {
        ScriptDisk *d = script_disk(s, disk);

        CHECK(n_entries <= SCRIPT_PARTITIONS);
        if (n_entries > 0)
                memcpy(d->entries, entries, n_entries * sizeof(*entries));
        d->n_entries = n_entries;
}

__attribute__((unused)) static void script_table_1(Script *s, const char *disk, unsigned partno, const char *uuid,
                                                   const char *label) {
        Entry e = entry_of(partno, uuid, label);

        script_table(s, disk, &e, 1);
}

/* One event, as the source tells it. */
__attribute__((unused)) static DeviceEvent script_event(Script *s, EventSource source, EventAction action, const char *name,
                                                        uint64_t seqnum) {
        unsigned partno = (unsigned) strtoul(name + 3, NULL, 10);
        const Entry *entry = script_entry(s, name);
        DeviceEvent e = {
                .source = source,
                .action = action,
                .seqnum = seqnum,
                .partno = partno,
                .major = 8,
                .minor = (uint32_t) (name[2] - 'a') * 16 + partno,
                .diskseq = partno == 0 ? script_disk(s, name)->diskseq : 0,
                .object = action == EVENT_REMOVE ? 0 : script_disk(s, name)->objects[partno],
        };

        (void) str_copy(e.name, sizeof(e.name), name);
        memcpy(e.disk, name, 3);

        if (source != EVENT_KERNEL && action != EVENT_REMOVE) {
                e.processed = e.settled = true;
                e.has_entry = partno > 0 && entry;
                if (e.has_entry)
                        e.entry = *entry;
        }

        return e;
}

/* The kernel tells of one event; udev will, later. Returns its sequence number. */
__attribute__((unused)) static uint64_t script_kernel(Script *s, EventAction action, const char *name) {
        ScriptDisk *d = script_disk(s, name);
        DeviceEvent e;

        if (action == EVENT_ADD && !name[3])
                d->diskseq = ++s->last_diskseq;
        d->present[strtoul(name + 3, NULL, 10)] = action != EVENT_REMOVE;
        if (action == EVENT_ADD)
                d->objects[strtoul(name + 3, NULL, 10)] = ++s->last_object;

        e = script_event(s, EVENT_KERNEL, action, name, ++s->seqnum);
        CHECK(device_set_apply(&s->world.devices, &e) == 0);

        CHECK(s->n_udev < SCRIPT_QUEUE);
        s->udev[s->n_udev] = (ScriptEvent) { .action = action, .seqnum = e.seqnum, .diskseq = e.diskseq };
        (void) str_copy(s->udev[s->n_udev++].name, JOB_NODE_SIZE, name);
        return e.seqnum;
}

/* Udev tells the oldest event that it has not told. */
__attribute__((unused)) static void script_udev_next(Script *s) {
        DeviceEvent e;

        CHECK(s->n_udev > 0);
        e = script_event(s, EVENT_UDEV, s->udev[0].action, s->udev[0].name, s->udev[0].seqnum);
        e.diskseq = s->udev[0].diskseq;
        memmove(s->udev, s->udev + 1, --s->n_udev * sizeof(s->udev[0]));
        CHECK(device_set_apply(&s->world.devices, &e) == 0);
}

__attribute__((unused)) static void script_udev(Script *s) {
        while (s->n_udev > 0)
                script_udev_next(s);
}

/* Events of one kind for all partitions of a disk: those the kernel has, or those of the table. */
__attribute__((unused)) static void script_kernel_partitions(Script *s, EventAction action, const char *disk) {
        ScriptDisk *d = script_disk(s, disk);
        char name[8];

        for (unsigned partno = 1; partno <= SCRIPT_PARTITIONS; partno++) {
                (void) snprintf(name, sizeof(name), "%s%u", disk, partno);
                if (action == EVENT_REMOVE ? d->present[partno] : script_entry(s, name) != NULL)
                        script_kernel(s, action, name);
        }
}

__attribute__((unused)) static void script_reread(Script *s, const char *disk) {
        script_kernel_partitions(s, EVENT_REMOVE, disk);
        script_kernel(s, EVENT_CHANGE, disk);
        script_kernel_partitions(s, EVENT_ADD, disk);
}

__attribute__((unused)) static void script_plug(Script *s, const char *disk) {
        script_kernel(s, EVENT_ADD, disk);
        script_kernel_partitions(s, EVENT_ADD, disk);
}

__attribute__((unused)) static void script_unplug(Script *s, const char *disk) {
        script_kernel_partitions(s, EVENT_REMOVE, disk);
        script_kernel(s, EVENT_REMOVE, disk);
}

/* Looks at all that is there, as at the start and after lost events. */
__attribute__((unused)) static void script_look(Script *s) {
        device_set_look_begin(&s->world.devices);

        for (size_t i = 0; i < SCRIPT_DISKS; i++)
                for (unsigned partno = 0; partno <= SCRIPT_PARTITIONS; partno++) {
                        char name[8] = { 's', 'd', (char) ('a' + i) };
                        DeviceEvent e;

                        if (partno > 0)
                                name[3] = (char) ('0' + partno);
                        if (!s->disks[i].present[partno])
                                continue;

                        e = script_event(s, EVENT_ENUMERATION, EVENT_ADD, name, 0);
                        CHECK(device_set_apply(&s->world.devices, &e) == 0);
                }

        device_set_look_end(&s->world.devices);
}

/* The kernel makes a partition, and its event is lost. */
__attribute__((unused)) static void script_silent_add(Script *s, const char *disk, unsigned partno) {
        script_disk(s, disk)->present[partno] = true;
        script_disk(s, disk)->objects[partno] = ++s->last_object;
}

/* The disk is there since before the daemon: only a look will find it. */
__attribute__((unused)) static void script_had(Script *s, const char *disk) {
        ScriptDisk *d = script_disk(s, disk);

        d->diskseq = ++s->last_diskseq;
        d->present[0] = true;
        for (size_t i = 0; i < d->n_entries; i++)
                script_silent_add(s, disk, d->entries[i].partno);
}

/* Runs the plan; returns how many jobs it began. No two of all under way are on one disk. */
__attribute__((unused)) static size_t script_run(Script *s) {
        Plan plan = { 0 };
        size_t n;

        CHECK(plan_run(&s->world, &s->now, &plan) == 0);
        n = plan.n_requests;
        s->wake_at_usec = plan.wake_at_usec;

        for (size_t i = 0; i < n; i++) {
                CHECK(plan.requests[i].id != 0 && s->n_jobs < SCRIPT_QUEUE);
                for (size_t j = 0; j < s->n_jobs; j++)
                        CHECK(s->jobs[j].id != plan.requests[i].id &&
                              (!str_equal(s->jobs[j].disk.name, plan.requests[i].disk.name) ||
                               s->jobs[j].disk.diskseq != plan.requests[i].disk.diskseq));
                s->jobs[s->n_jobs++] = plan.requests[i];
        }

        plan_deinit(&plan);
        return n;
}

/* Runs the plan, which must begin exactly one job, and that of this kind on this device. */
__attribute__((unused)) static void script_expect(Script *s, JobKind kind, const char *name) {
        const JobRequest *r;

        CHECK(script_run(s) == 1);
        r = &s->jobs[s->n_jobs - 1];
        CHECK(r->kind == kind);
        CHECK_STR(kind == JOB_SCAN ? r->disk.name : r->partition.name, name);
}

__attribute__((unused)) static void reply_table(Script *s, const JobRequest *request, JobReply *reply) {
        const ScriptDisk *d = script_disk(s, request->disk.name);

        reply->has_table = true;
        reply->n_entries = (uint32_t) d->n_entries;
        memcpy(reply->entries, d->entries, sizeof(d->entries));
}

/* Answers the oldest job that is under way; TIMED_OUT leaves it under way. */
__attribute__((unused)) static void script_reply(Script *s, const JobReply *reply) {
        JobRequest request = s->jobs[0];
        JobReply r = *reply;

        CHECK(s->n_jobs > 0);
        r.protocol = JOB_PROTOCOL;
        r.id = request.id;
        if (r.outcome != JOB_TIMED_OUT)
                memmove(s->jobs, s->jobs + 1, --s->n_jobs * sizeof(s->jobs[0]));
        world_job_done(&s->world, &request, &r, &s->now);
}

__attribute__((unused)) static void script_reply_outcome(Script *s, JobOutcome outcome) {
        JobReply r = { .outcome = outcome };

        script_reply(s, &r);
}

/* Answers the oldest job as an honest worker on a healthy disk does. */
__attribute__((unused)) static void script_answer(Script *s) {
        const JobRequest *request = &s->jobs[0];
        const ScriptDisk *d;
        JobReply r = { .outcome = JOB_OK };
        const Entry *e;

        CHECK(s->n_jobs > 0);
        d = script_disk(s, request->disk.name);

        if (!d->present[request->partno] || d->diskseq != request->disk.diskseq ||
            (request->partition.object && request->partition.object != d->objects[request->partno])) {
                r.outcome = JOB_GONE;
                script_reply(s, &r);
                return;
        }

        if (request->kind == JOB_ATTACH) {
                e = script_entry(s, request->partition.name);
                if (!e || !match_entry(&request->expect, e))
                        r.outcome = JOB_MISMATCH;
        }

        reply_table(s, request, &r);
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
