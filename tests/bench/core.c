/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the core needs for an event: how it grows with the policies that name other identities. Some disks, with
 * partitions that policies want, get events over and over; every other policy names a partition of
 * another disk, of which there are many, or one that is not there at all.
 */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/plan.h"
#include "daemon/text.h"

#define PARTITIONS 4 /* of a disk */

typedef struct Bench {
        World world;
        PolicySet *policies;
        Now now;
        uint64_t seqnum;
} Bench;

static double seconds(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void uuid_of(unsigned n, char ret[static PART_UUID_SIZE]) {
        (void) snprintf(ret, PART_UUID_SIZE, "%08x-0000-4000-8000-%012x", n, n + 1);
}

static void add_policy(Bench *b, unsigned n) {
        char uuid[PART_UUID_SIZE], name[32], path[64];
        Policy *p = calloc(1, sizeof(*p));

        uuid_of(n, uuid);
        (void) snprintf(name, sizeof(name), "%08u.conf", n);
        (void) snprintf(path, sizeof(path), "/etc/blkfilter.d/%s", name);
        p->name = strdup(name);
        p->path = strdup(path);
        (void) str_copy(p->filter, sizeof(p->filter), "bftrack");
        assert(match_new_one(MATCH_PART_UUID, uuid, &p->match) == 0 && settings_new(&p->settings) == 0);
        assert(policy_set_add(b->policies, p) == 0);
}

static void event(Bench *b, EventSource source, EventAction action, unsigned disk, unsigned partno) {
        DeviceEvent e = {
                .source = source,
                .action = action,
                .seqnum = source == EVENT_ENUMERATION ? 0 : source == EVENT_KERNEL ? ++b->seqnum : b->seqnum,
                .partno = partno,
                .major = 8 + disk / 16,
                .minor = disk % 16 * 16 + partno,
                .diskseq = disk + 1,
                .object = 1 + disk * (PARTITIONS + 1UL) + partno,
                .processed = true,
                .settled = true,
        };

        (void) snprintf(e.disk, sizeof(e.disk), "sd%06u", disk);
        (void) snprintf(e.name, sizeof(e.name), partno ? "sd%06u%u" : "sd%06u", disk, partno);

        if (partno && source != EVENT_KERNEL) {
                e.has_entry = true;
                e.entry = (Entry) { .partno = partno, .start_sectors = 2048 * partno, .size_sectors = 2048 };
                uuid_of(disk * PARTITIONS + partno - 1, e.entry.uuid);
        }

        assert(device_set_apply(&b->world.devices, &e) == 0);
}

/* Runs the plan, and answers what it asks for, until it asks for nothing; the number of jobs. */
static size_t settle(Bench *b) {
        static JobReply reply;
        size_t n = 0;

        for (;;) {
                Plan plan = { 0 };

                assert(plan_run(&b->world, &b->now, &plan) == 0);
                for (size_t i = 0; i < plan.n_requests; i++, n++) {
                        const JobRequest *q = &plan.requests[i];
                        unsigned disk = (unsigned) strtoul(q->disk.name + 2, NULL, 10);

                        memset(&reply, 0, offsetof(JobReply, entries));
                        reply.id = q->id;
                        reply.outcome = JOB_OK;
                        reply.has_table = true;
                        reply.n_entries = PARTITIONS;
                        for (unsigned k = 0; k < PARTITIONS; k++) {
                                reply.entries[k] = (Entry) { .partno = k + 1, .start_sectors = 2048 * (k + 1),
                                                             .size_sectors = 2048 };
                                uuid_of(disk * PARTITIONS + k, reply.entries[k].uuid);
                        }
                        world_job_done(&b->world, q, &reply, &b->now);
                }

                while (b->world.attachments.n_untold > 0) {
                        Attachment *a = b->world.attachments.untold[--b->world.attachments.n_untold];

                        a->untold = false;
                        a->changed = 0;
                }

                if (plan.n_requests == 0) {
                        plan_deinit(&plan);
                        return n;
                }
                plan_deinit(&plan);
        }
}

static void run(unsigned n_policies, unsigned n_disks, unsigned n_events, double *ret_start, double *ret_event) {
        Bench b = { .world.interface = KERNEL_INTERFACE_BLKFILTER_1,
                    .now = { .monotonic_usec = 1000000000, .realtime_usec = 1700000000000000 }, .seqnum = 1000 };
        unsigned n_live = 2, n_done = 0; /* whose partitions the first policies want, in every run */
        double t;

        b.policies = policy_set_new();
        for (unsigned i = 0; i < n_policies; i++)
                add_policy(&b, i);

        t = seconds();
        assert(world_set_policies(&b.world, b.policies) == 0);
        device_set_look_begin(&b.world.devices, false);
        for (unsigned d = 0; d < n_disks; d++)
                for (unsigned p = 0; p <= PARTITIONS; p++)
                        event(&b, EVENT_ENUMERATION, EVENT_ADD, d, p);
        device_set_look_end(&b.world.devices);
        world_touch_all(&b.world);
        (void) settle(&b);
        *ret_start = seconds() - t;

        /* each a kernel event and udev's of a partition that has its filter on, and a run of the plan */
        t = seconds();
        while (n_done < n_events) {
                event(&b, EVENT_KERNEL, EVENT_CHANGE, n_done % n_live, 1 + n_done % PARTITIONS);
                event(&b, EVENT_UDEV, EVENT_CHANGE, n_done % n_live, 1 + n_done % PARTITIONS);
                (void) settle(&b);
                n_done += 2;
        }
        *ret_event = (seconds() - t) / n_done;

        world_deinit(&b.world);
        policy_set_free(b.policies);
}

int main(int argc, char *argv[]) {
        static const unsigned policies[] = { 10, 100, 1000, 10000 };
        unsigned n_disks = argc > 1 ? (unsigned) strtoul(argv[1], NULL, 10) : 2000;
        unsigned n_events = argc > 2 ? (unsigned) strtoul(argv[2], NULL, 10) : 200000;
        double first = 0;

        printf("%u devices: %u disks with %u partitions each; %u events\n", n_disks * (PARTITIONS + 1), n_disks,
               PARTITIONS, n_events);
        printf("%10s  %14s  %12s  %12s  %s\n", "policies", "start (ms)", "event (us)", "events/s", "ratio");

        for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
                double start, per_event;

                run(policies[i], n_disks, n_events, &start, &per_event);
                if (i == 0)
                        first = per_event;
                printf("%10u  %14.1f  %12.2f  %12.0f  %.2f\n", policies[i], start * 1e3, per_event * 1e6, 1 / per_event,
                       per_event / first);
        }

        return EXIT_SUCCESS;
}
