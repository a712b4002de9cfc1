/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/kernel-interface.h"

static const char *const names[_KERNEL_INTERFACE_MAX] = {
        [KERNEL_INTERFACE_UNKNOWN] = "unknown",
        [KERNEL_INTERFACE_NONE] = "none",
        [KERNEL_INTERFACE_BLKFILTER_1] = "blkfilter-1",
        [KERNEL_INTERFACE_BLKFILTER_2] = "blkfilter-2",
        [KERNEL_INTERFACE_BDEVFILTER_40] = "bdevfilter",
        [KERNEL_INTERFACE_BDEVFILTER_56] = "bdevfilter",
};

/**
 * kernel_interface_to_string() - an interface as the bus, the journal and the manual name it
 * @i: a valid interface
 *
 * Return: a static string; the sizes of bdevfilter's ATTACH have one name.
 */
const char *kernel_interface_to_string(KernelInterface i) {
        return names[i];
}

/**
 * kernel_interface_has_filters() - whether anything can be attached by it
 * @i: a valid interface
 */
bool kernel_interface_has_filters(KernelInterface i) {
        return i > KERNEL_INTERFACE_NONE;
}

/**
 * kernel_interface_takes_options() - whether its ATTACH can be given options for the filter
 * @i: a valid interface
 */
bool kernel_interface_takes_options(KernelInterface i) {
        return i == KERNEL_INTERFACE_BLKFILTER_2 || i == KERNEL_INTERFACE_BDEVFILTER_56;
}

/**
 * kernel_interface_is_bdevfilter() - whether filters are kept by the number of a device
 * @i: a valid interface
 *
 * Then nothing promises that a filter goes with its device: who has the number next may have it. And a DETACH of a
 * filter that is not on the device corrupts the kernel: none is sent before a command has shown that it is.
 */
bool kernel_interface_is_bdevfilter(KernelInterface i) {
        return i == KERNEL_INTERFACE_BDEVFILTER_40 || i == KERNEL_INTERFACE_BDEVFILTER_56;
}
