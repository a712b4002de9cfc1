/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "daemon/disk-stat.h"

/**
 * disk_count_writes() - how many writes to a device have come to their end since it is there
 * @major: of a whole device
 * @minor: of a whole device
 * @ret: requests, those to its partitions included
 *
 * The fifth number of the file "stat" (the kernel's Documentation/block/stat.rst). It is read from sysfs, which
 * does not touch the device, and which a unit with ProcSubset=pid has, other than /proc/diskstats.
 *
 * Return: 0, -ENODEV if there is no such device (any more), or -ENODATA if it is not counted.
 */
int disk_count_writes(uint32_t major, uint32_t minor, uint64_t *ret) {
        char path[64];
        FILE *f;
        int n;

        (void) snprintf(path, sizeof(path), "/sys/dev/block/%" PRIu32 ":%" PRIu32 "/stat", major, minor);
        f = fopen(path, "re");
        if (!f)
                return -ENODEV;

        n = fscanf(f, "%*u %*u %*u %*u %" SCNu64, ret);
        (void) fclose(f);
        return n == 1 ? 0 : -ENODATA;
}
