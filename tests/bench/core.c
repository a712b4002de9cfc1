/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the core needs for an event: how it grows with the policies that name other identities. Some disks, with
 * partitions that policies want, get events over and over; every other policy names a partition of
 * another disk, of which there are many, or one that is not there at all.
 */

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/plan.h"
#include "daemon/text.h"
#include "tests/bench/figures.h"

#define PARTITIONS 4 /* of a disk */
#define N_LIVE     2 /* disks that get events; the first policies want their partitions, in every run */

typedef struct Bench {
        World world;
        PolicySet *policies;
        Now now;
        uint64_t seqnum;
} Bench;

/* Of this process on its core: what else the machine does is not the core's. */
static double seconds(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
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
        p->path = shared_new(path);
        (void) str_copy(p->filter, sizeof(p->filter), "bftrack");
        assert(match_new_one(MATCH_PART_UUID, uuid, &p->match) == 0 && settings_new(&p->settings) == 0);
        assert(policy_set_add(b->policies, p) == 0);
}

static void make_event(EventSource source, EventAction action, unsigned disk, unsigned partno, DeviceEvent *ret) {
        DeviceEvent e = {
                .source = source,
                .action = action,
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

        *ret = e;
}

static void apply(Bench *b, DeviceEvent *e) {
        e->seqnum = e->source == EVENT_ENUMERATION ? 0 : e->source == EVENT_KERNEL ? ++b->seqnum : b->seqnum;
        assert(device_set_apply(&b->world.devices, e) == 0);
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
        DeviceEvent e, kernel[N_LIVE * PARTITIONS], udev[N_LIVE * PARTITIONS];
        unsigned n_done = 0;
        double t;

        b.policies = policy_set_new();
        for (unsigned i = 0; i < n_policies; i++)
                add_policy(&b, i);

        t = seconds();
        assert(world_set_policies(&b.world, b.policies) == 0);
        device_set_look_begin(&b.world.devices, false);
        for (unsigned d = 0; d < n_disks; d++)
                for (unsigned p = 0; p <= PARTITIONS; p++) {
                        make_event(EVENT_ENUMERATION, EVENT_ADD, d, p, &e);
                        apply(&b, &e);
                }
        device_set_look_end(&b.world.devices);
        world_touch_all(&b.world);
        (void) settle(&b);
        *ret_start = seconds() - t;

        for (unsigned i = 0; i < N_LIVE * PARTITIONS; i++) {
                make_event(EVENT_KERNEL, EVENT_CHANGE, i % N_LIVE, 1 + i / N_LIVE, &kernel[i]);
                make_event(EVENT_UDEV, EVENT_CHANGE, i % N_LIVE, 1 + i / N_LIVE, &udev[i]);
        }

        /* each a kernel event and udev's of a partition that has its filter on, and a run of the plan */
        t = seconds();
        while (n_done < n_events) {
                apply(&b, &kernel[n_done / 2 % (N_LIVE * PARTITIONS)]);
                apply(&b, &udev[n_done / 2 % (N_LIVE * PARTITIONS)]);
                (void) settle(&b);
                n_done += 2;
        }
        *ret_event = (seconds() - t) / n_done;

        world_deinit(&b.world);
        policy_set_free(b.policies);
}

static int compare(const void *a, const void *b) {
        const double *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

/* bench-core [--runs N] [--figures FILE] [DISKS [EVENTS]]; to FILE go lines for tests/bench/report. */
int main(int argc, char *argv[]) {
        static const unsigned policies[] = { 10, 100, 1000, 10000 };
        enum { N = sizeof(policies) / sizeof(policies[0]) };
        static const struct option options[] = {
                { "runs", required_argument, NULL, 'r' },
                { "figures", required_argument, NULL, 'f' },
                {},
        };
        unsigned n_disks = 2000, n_events = 200000, n_runs = 1;
        double *starts[N], *per_event[N], first = 0;
        FILE *figures = NULL;
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 'r')
                        n_runs = (unsigned) strtoul(optarg, NULL, 10);
                else if (c != 'f' || !(figures = fopen(optarg, "ae"))) {
                        (void) fprintf(stderr, "bench-core [--runs N] [--figures FILE] [DISKS [EVENTS]]\n");
                        return EXIT_FAILURE;
                }

        if (optind < argc)
                n_disks = (unsigned) strtoul(argv[optind++], NULL, 10);
        if (optind < argc)
                n_events = (unsigned) strtoul(argv[optind], NULL, 10);

        for (size_t i = 0; i < N; i++) {
                starts[i] = figures_new(n_runs);
                per_event[i] = figures_new(n_runs);
        }

        /* in turns, so that what slows the machine slows all of them */
        for (unsigned k = 0; k < n_runs; k++)
                for (size_t i = 0; i < N; i++)
                        run(policies[i], n_disks, n_events, &starts[i][k], &per_event[i][k]);

        (void) printf("%u devices: %u disks with %u partitions each; %u events; median of %u\n",
                      n_disks * (PARTITIONS + 1), n_disks, PARTITIONS, n_events, n_runs);
        (void) printf("%10s  %14s  %12s  %12s  %s\n", "policies", "start (ms)", "event (us)", "events/s", "ratio");

        for (size_t i = 0; i < N; i++) {
                double start, event;

                qsort(starts[i], n_runs, sizeof(double), compare);
                qsort(per_event[i], n_runs, sizeof(double), compare);
                start = starts[i][n_runs / 2];
                event = per_event[i][n_runs / 2];

                if (i == 0)
                        first = event;
                (void) printf("%10u  %14.1f  %12.2f  %12.0f  %.2f\n", policies[i], start * 1e3, event * 1e6, 1 / event,
                              event / first);
                if (figures)
                        (void) fprintf(figures, "{\"part\": \"core\", \"subject\": \"core\", \"policies\": %u,"
                                                " \"devices\": %u, \"events_per_s\": %.0f, \"start_ms\": %.1f,"
                                                " \"runs\": %u}\n",
                                       policies[i], n_disks * (PARTITIONS + 1), 1 / event, start * 1e3, n_runs);
                free(starts[i]);
                free(per_event[i]);
        }

        return figures && fclose(figures) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
