/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Seeds, steps, and what is printed of them. */

#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/sim.h"

#define STEPS_DEFAULT 300   /* of a seed */
#define QUIET_USEC (150 * SECOND) /* longer than the longest delay between two attempts */

Sim sim;

static const char *const mistakes[_MISTAKE_MAX] = {
        [MISTAKE_NONE] = "none",
        [MISTAKE_SKIP_PROOF] = "skip-proof",
        [MISTAKE_COUNT_LATE] = "count-late",
        [MISTAKE_SKIP_PLACE] = "skip-place",
        [MISTAKE_SKIP_DUPLICATE] = "skip-duplicate",
        [MISTAKE_TRUST_DEVNUM] = "trust-devnum",
        [MISTAKE_SAY_ATTACHED] = "say-attached",
        [MISTAKE_CALL_GAP_INTACT] = "call-gap-intact",
        [MISTAKE_FORGET_HOLDS] = "forget-holds",
        [MISTAKE_SAVE_LATE] = "save-late",
        [MISTAKE_DROP_LOST] = "drop-lost",
        [MISTAKE_DROP_REMOVES] = "drop-removes",
        [MISTAKE_DETACH_ANY] = "detach-any",
        [MISTAKE_DROP_LATE_REPLY] = "drop-late-reply",
        [MISTAKE_BELIEVE_UDEV] = "believe-udev",
        [MISTAKE_FORGET_INTENT] = "forget-intent",
        [MISTAKE_NO_CHECK] = "no-check",
        [MISTAKE_COUNT_NO_WRITES] = "count-no-writes",
        [MISTAKE_CALL_ALL_UNOWNED] = "call-all-unowned",
};

uint64_t sim_random(void) {
        uint64_t z = sim.random += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

unsigned sim_below(unsigned n) {
        return (unsigned) (sim_random() % n);
}

bool sim_chance(unsigned percent) {
        return sim_below(100) < percent;
}

void sim_pass(uint64_t usec) {
        sim.now.monotonic_usec += usec;
        sim.now.realtime_usec += usec;
}

void sim_trace(const char *format, ...) {
        va_list ap;

        if (!sim.trace || sim.dead)
                return;

        printf("%4u %7" PRIu64 ".%03" PRIu64 " ", sim.step, sim.now.monotonic_usec / SECOND,
               sim.now.monotonic_usec / 1000 % 1000);
        va_start(ap, format);
        (void) vprintf(format, ap);
        va_end(ap);
        printf("\n");
}

void sim_violation(const char *format, ...) {
        va_list ap;

        if (sim.violation[0])
                return;

        va_start(ap, format);
        (void) vsnprintf(sim.violation, sizeof(sim.violation), format, ap);
        va_end(ap);
        sim_trace("violated: %s", sim.violation);
}

static void pass_some_time(void) {
        unsigned what = sim_below(100);

        if (what < 80)
                sim_pass(1 + sim_below(20000));
        else if (what < 98)
                sim_pass(sim_below(2000000));
        else
                sim_pass(sim_below(30000000));

        jobs_check_timeouts();
}

static void one_step(void) {
        unsigned what = sim_below(100);

        sim.step++;
        pass_some_time();

        if (what < 12)
                others_random_step();
        else if (what < 16)
                admin_random_step();
        else if (what < 32)
                (void) udev_process();
        else if (what < 46) {
                /* the kernel's socket is read empty before the other, as a rule */
                while (udev_deliver_kernel() && sim_chance(80))
                        ;
        } else if (what < 58) {
                if (sim_chance(95))
                        while (udev_deliver_kernel())
                                ;
                while (udev_deliver_udev() && sim_chance(70))
                        ;
        } else if (what < 78)
                (void) jobs_step();
        else if (what < 88)
                (void) jobs_deliver();
        else if (what < sim.lose_below)
                udev_lose();
        else if (what < 92) {
                if (sim_chance(15))
                        jobs_wake_hung();
        } else if (what < sim.end_below) {
                if (sim_chance(50))
                        daemon_kill();
                else
                        daemon_stop();
        }

        if (sim_chance(60))
                daemon_run();
        check_step();
}

/* All that is under way comes to its end. */
static void drain(void) {
        bool more;

        do {
                more = false;
                while (udev_process())
                        more = true;
                while (udev_deliver_kernel())
                        more = true;
                while (udev_deliver_udev())
                        more = true;
                udev_deliver_lost();
                while (jobs_step())
                        more = true;
                while (jobs_deliver())
                        more = true;
                if (sim.scheduled) {
                        daemon_run();
                        more = true;
                }
                check_step();
                sim_pass(1000);
        } while (more);
}

/* Whatever is to be tried again is, until nothing changes any more. */
static void wait_long(void) {
        uint64_t until = sim.now.monotonic_usec + QUIET_USEC;

        while (sim.wake_at_usec && sim.now.monotonic_usec < until) {
                if (sim.wake_at_usec > sim.now.monotonic_usec)
                        sim_pass(sim.wake_at_usec - sim.now.monotonic_usec);
                daemon_run();
                drain();
        }
}

static void quiet(void) {
        sim_trace("quiet");
        sim.calm = true;
        sim.sick = 0;
        if (sim_chance(50)) {
                sim.sick = 1 + sim_below(SLOTS);
                if (!jobs_hang_on(sim.sick - 1))
                        sim.sick = 0;
        }
        jobs_wake_hung();
        for (unsigned i = 0; i < SLOTS; i++)
                sim.slots[i].locked = false;
        for (unsigned i = 0; i < SLOTS; i++)
                kernel_reread_end(i);
        drain();
        others_calm();
        drain();

        wait_long();

        /* who waits for a disk that hangs is answered in time all the same */
        if (sim.sick) {
                sim_trace("quiet: sd%c still hangs", 'a' + sim.sick - 1);
                sim_pass(30 * SECOND);
                jobs_check_timeouts();
                sim.scheduled = true;
                drain();
                wait_long();
        }

        check_quiet();
        for (unsigned i = 0; i < SLOTS; i++)
                sim.slots[i].touched = sim.slots[i].untold || sim.sick == i + 1;
        sim.calm = false;
}

/* False if something was violated, which is printed. */
static bool run_seed(uint64_t seed, unsigned n_steps, Mistake mistake, bool trace, uint64_t *n_done, Counts *counts) {
        memset(&sim, 0, sizeof(sim));
        sim.random = sim.seed = seed;
        sim.counts = *counts;
        sim.mistake = mistake;
        sim.trace = trace;
        sim.now = (Now) { .monotonic_usec = 1000 * SECOND, .realtime_usec = 1700000000 * SECOND };
        sim.interface = seed % 4 == 3 ? KERNEL_INTERFACE_BDEVFILTER_56 :
                        seed % 8 == 1 ? KERNEL_INTERFACE_BLKFILTER_2 : KERNEL_INTERFACE_BLKFILTER_1;
        sim.meddlers = sim_chance(25);
        sim.lose_below = sim_chance(25) ? 90 : 89;
        sim.end_below = sim_chance(25) ? 97 : 93;
        sim.quiet_every = 10 + sim_below(150);

        tables_init();
        others_init();
        admin_init();
        while (sim_chance(90))
                (void) udev_process();
        daemon_start();

        while (sim.step < n_steps && !sim.violation[0]) {
                one_step();
                if (!sim.violation[0] && (sim.step % sim.quiet_every == 0 || sim.step == n_steps))
                        quiet();
        }

        if (sim.violation[0])
                printf("seed %" PRIu64 ", step %u: %s\n", seed, sim.step, sim.violation);

        *n_done += sim.step;
        *counts = sim.counts;
        daemon_deinit();
        return !sim.violation[0];
}

static void help(void) {
        printf("sim [OPTION]: the manager and the core in a simulated world\n\n"
               "  --seeds N       how many runs (1000)\n"
               "  --seed S        the first seed (1); without --seeds only this one\n"
               "  --steps N       of each run (%u)\n"
               "  --total N       as many runs as make N steps in all, in place of --seeds\n"
               "  --trace         print all that happens\n"
               "  --late          look, now and then, for what could be done and is not until something else happens\n"
               "  --planted       a mistake is planted in what is tested: succeeds if it is found\n"
               "  --mistake NAME  plant a mistake: succeeds if it is found. NAME is one of\n", STEPS_DEFAULT);
        for (size_t i = 1; i < _MISTAKE_MAX; i++)
                printf("                  %s\n", mistakes[i]);
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                { "seeds", required_argument, NULL, 'n' }, { "seed", required_argument, NULL, 's' },
                { "steps", required_argument, NULL, 'l' }, { "total", required_argument, NULL, 'T' },
                { "trace", no_argument, NULL, 't' },       { "mistake", required_argument, NULL, 'm' },
                { "late", no_argument, NULL, 'L' },
                { "planted", no_argument, NULL, 'p' },     { "help", no_argument, NULL, 'h' },
                {},
        };
        uint64_t first = 1, n_seeds = 0, total = 0, n_done = 0, n_run = 0, n_violations = 0;
        unsigned n_steps = STEPS_DEFAULT;
        Mistake mistake = MISTAKE_NONE;
        struct timespec began, ended;
        Counts counts = { 0 };
        bool trace = false, planted = false;
        double seconds;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'n':
                        n_seeds = strtoull(optarg, NULL, 10);
                        break;
                case 's':
                        first = strtoull(optarg, NULL, 10);
                        n_seeds = n_seeds ?: 1;
                        break;
                case 'l':
                        n_steps = (unsigned) strtoul(optarg, NULL, 10);
                        break;
                case 'T':
                        total = strtoull(optarg, NULL, 10);
                        break;
                case 'L':
                        sim_looks_for_late = true;
                        break;
                case 't':
                        trace = true;
                        break;
                case 'p':
                        planted = true;
                        break;
                case 'm':
                        while (mistake < _MISTAKE_MAX && strcmp(mistakes[mistake], optarg) != 0)
                                mistake++;
                        if (mistake == _MISTAKE_MAX) {
                                fprintf(stderr, "sim: no such mistake: %s; --help names them\n", optarg);
                                return 2;
                        }
                        break;
                case 'h':
                        help();
                        return 0;
                default:
                        return 2;
                }

        (void) clock_gettime(CLOCK_MONOTONIC, &began);
        if (total)
                n_seeds = (total + n_steps - 1) / n_steps;
        else if (!n_seeds)
                n_seeds = 1000;

        for (uint64_t seed = first; seed < first + n_seeds; seed++) {
                n_run++;
                if (run_seed(seed, n_steps, mistake, trace, &n_done, &counts))
                        continue;

                n_violations++;
                if (mistake || planted) /* found */
                        break;
                printf("  again: sim --seed %" PRIu64 " --steps %u --trace\n", seed, n_steps);
                if (n_violations >= 20)
                        break;
        }

        (void) clock_gettime(CLOCK_MONOTONIC, &ended);
        seconds = (double) (ended.tv_sec - began.tv_sec) + (double) (ended.tv_nsec - began.tv_nsec) / 1e9;
        printf("attached %" PRIu64 ", detached %" PRIu64 ", conflicts %" PRIu64 ", jobs on what was gone %" PRIu64
               ", timed out %" PRIu64 ", died %" PRIu64 ", calls %" PRIu64 " (done %" PRIu64 "), events lost %" PRIu64
               " times, daemon killed %" PRIu64 " times, tables left out %" PRIu64 ", disks read early %" PRIu64 "\n",
               counts.n_attached,
               counts.n_detached, counts.n_conflicts,
               counts.n_gone, counts.n_timed_out, counts.n_died, counts.n_calls, counts.n_done, counts.n_lost,
               counts.n_killed, counts.n_left_out, counts.n_early);
        printf("sim: %" PRIu64 " seeds, %" PRIu64 " steps, %.0f steps/s, %" PRIu64 " violations\n", n_run, n_done,
               (double) n_done / (seconds > 0 ? seconds : 1), n_violations);

        return (n_violations > 0) == (mistake != MISTAKE_NONE || planted) ? EXIT_SUCCESS : EXIT_FAILURE;
}
