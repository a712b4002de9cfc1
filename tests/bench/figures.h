/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the programs of the benchmark share: the clock, and samples of a duration.
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* The clock that the kernel's time stamps are of, too. */
static inline double now_ms(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

/* Memory for @n samples; owned by the caller. There is no going on without. */
static inline double *figures_new(unsigned n) {
        double *samples = calloc(n > 0 ? n : 1, sizeof(double));

        if (!samples) {
                (void) fprintf(stderr, "there is no memory for %u samples\n", n);
                exit(EXIT_FAILURE);
        }
        return samples;
}

/* Prints the samples as a JSON array, in their order. */
static inline void figures_print(const double *samples, unsigned n) {
        (void) putchar('[');
        for (unsigned i = 0; i < n; i++)
                (void) printf("%s%.4f", i > 0 ? ", " : "", samples[i]);
        (void) putchar(']');
}
