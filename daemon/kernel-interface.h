/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The kernel interfaces for filters that the daemon speaks, and how they differ in what the core decides by. Their
 * ioctls are in include/blkfilter-abi.h, and called by the backends only. Pure.
 */

#include <stdbool.h>

typedef enum KernelInterface {
        KERNEL_INTERFACE_UNKNOWN, /* not asked yet, or no answer proves anything */
        KERNEL_INTERFACE_NONE,    /* the kernel has no filters */
        KERNEL_INTERFACE_BLKFILTER_1,
        KERNEL_INTERFACE_BLKFILTER_2,
        KERNEL_INTERFACE_BDEVFILTER_40, /* ATTACH takes 40 bytes: no options */
        KERNEL_INTERFACE_BDEVFILTER_56, /* and 56: with options */
        _KERNEL_INTERFACE_MAX,
} KernelInterface;

const char *kernel_interface_to_string(KernelInterface i);
bool kernel_interface_has_filters(KernelInterface i);
bool kernel_interface_takes_options(KernelInterface i);
bool kernel_interface_is_bdevfilter(KernelInterface i);
