/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <time.h>
#include <unistd.h>

#include "daemon/boot.h"
#include "daemon/text.h"

/**
 * boot_get_id() - the id of this run of the kernel
 * @ret: 32 hexadecimal digits, lower case; "" if it is not to be had
 *
 * The kernel tells it below /proc/sys, which a unit with ProcSubset=pid does not have: there systemd tells
 * it, by "Environment=BLKFILTERD_BOOT_ID=%b".
 *
 * Return: whether it is to be had.
 */
bool boot_get_id(char ret[static BOOT_ID_SIZE]) {
        const char *told = getenv("BLKFILTERD_BOOT_ID");
        sd_id128_t id;

        ret[0] = 0;
        if ((told && sd_id128_from_string(told, &id) >= 0) || sd_id128_get_boot(&id) >= 0)
                (void) sd_id128_to_string(id, ret);

        return ret[0] != 0;
}

/**
 * boot_get_time_usec() - when this run of the kernel began
 *
 * Return: realtime, as the clock has it now; off by as much as it has been set since.
 */
uint64_t boot_get_time_usec(void) {
        struct timespec now, since;
        uint64_t now_usec, since_usec;

        (void) clock_gettime(CLOCK_REALTIME, &now);
        (void) clock_gettime(CLOCK_BOOTTIME, &since);

        now_usec = (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
        since_usec = (uint64_t) since.tv_sec * 1000000 + (uint64_t) since.tv_nsec / 1000;
        return now_usec > since_usec ? now_usec - since_usec : 0;
}

/* Systems without a bus are up at some time too. */
#define BOOT_SEC 120

/**
 * boot_is_over() - whether disks that come from now on have not come with the boot
 *
 * The drivers of some are loaded when udev comes to their controllers, behind the daemon's start. What belongs to the
 * boot is there when the file systems of fstab are, and the bus is not there before.
 */
bool boot_is_over(void) {
        struct timespec since;

        (void) clock_gettime(CLOCK_BOOTTIME, &since);
        return access("/run/dbus/system_bus_socket", F_OK) >= 0 || since.tv_sec >= BOOT_SEC;
}
