/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bench-reread DISK [ROUNDS PAUSE_MS]: has the kernel read the partition table of /dev/DISK again, as blockdev
 * --rereadpt does.
 *
 * Without ROUNDS: once, tried until it is not busy. Prints how often it was busy, and when the ioctl began and
 * returned: "BUSY BEGIN RETURN", in ms of CLOCK_MONOTONIC.
 *
 * With ROUNDS: so often, with the pause after each. Prints how often it was busy.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/bench/figures.h"

#define BUSY_LIMIT_MS 120e3

static void wait_ms(unsigned long ms) {
        struct timespec t = { .tv_sec = (time_t) (ms / 1000), .tv_nsec = (long) (ms % 1000) * 1000000 };

        while (nanosleep(&t, &t) < 0)
                ;
}

/* Whether it was busy; any other failure ends the program. */
static bool reread(const char *node, double *ret_begin, double *ret_return) {
        int fd, r;

        fd = open(node, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0) {
                perror(node);
                exit(EXIT_FAILURE);
        }

        *ret_begin = now_ms();
        r = ioctl(fd, BLKRRPART);
        *ret_return = now_ms();

        if (r < 0 && errno != EBUSY) {
                perror(node);
                exit(EXIT_FAILURE);
        }

        (void) close(fd);
        return r < 0;
}

int main(int argc, char *argv[]) {
        double began = now_ms(), begin, end;
        unsigned n_busy = 0;
        char node[64];

        if (argc != 2 && argc != 4) {
                (void) fprintf(stderr, "usage: bench-reread DISK [ROUNDS PAUSE_MS]\n");
                return EXIT_FAILURE;
        }

        (void) snprintf(node, sizeof(node), "/dev/%s", argv[1]);

        if (argc == 4) {
                unsigned long n_rounds = strtoul(argv[2], NULL, 10), pause_ms = strtoul(argv[3], NULL, 10);

                for (unsigned long i = 0; i < n_rounds; i++) {
                        n_busy += reread(node, &begin, &end);
                        wait_ms(pause_ms);
                }

                (void) printf("%u\n", n_busy);
                return EXIT_SUCCESS;
        }

        while (reread(node, &begin, &end)) {
                if (now_ms() - began > BUSY_LIMIT_MS) {
                        (void) fprintf(stderr, "%s was busy all the time\n", node);
                        return EXIT_FAILURE;
                }
                n_busy++;
                wait_ms(5);
        }

        (void) printf("%u %.6f %.6f\n", n_busy, begin, end);
        return EXIT_SUCCESS;
}
