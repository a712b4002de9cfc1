/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bench-attach FILTER NAME: attaches the filter to /dev/NAME, which it takes for the right device. What a udev rule
 * runs where nobody has a daemon.
 */

#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/filter.h"

int main(int argc, char *argv[]) {
        if (argc != 3) {
                (void) fprintf(stderr, "usage: bench-attach FILTER NAME\n");
                return EXIT_FAILURE;
        }

        if (filter_attach(argv[2], argv[1]) < 0) {
                perror(argv[2]);
                return EXIT_FAILURE;
        }

        return EXIT_SUCCESS;
}
