/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * blkfilter-keep: copies the daemon's records to a disk, so that after a reboot it is known until when
 * tracking was intact. Started by systemd: now and then (blkfilterd-keep.timer), and at shutdown
 * (blkfilterd-keep-last.service).
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/state.h"

#include "config.h"

/* Nobody relies on an increment that is older. */
#define MAX_AGE_USEC (UINT64_C(90) * 24 * 3600 * 1000000)

int main(int argc, char *argv[]) {
        const char *from = argc == 3 ? argv[1] : "/run/blkfilterd/attachments";
        const char *to = argc == 3 ? argv[2] : LOCALSTATEDIR "/lib/blkfilterd/attachments";
        int r;

        if (argc != 1 && argc != 3) {
                (void) fprintf(stderr, "blkfilter-keep is started by systemd, without arguments or with two: from which"
                               " folder of records to which\n");
                return EXIT_FAILURE;
        }

        r = state_keep(from, to, MAX_AGE_USEC);
        if (r < 0) {
                (void) fprintf(stderr,
                               "copying the records of %s to %s failed: %s; after a reboot it is not known how long"
                               " tracking was intact\n", from, to, strerror(-r));
                return EXIT_FAILURE;
        }

        return EXIT_SUCCESS;
}
