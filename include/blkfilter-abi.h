/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The kernel interfaces for block device filters, written from their published facts.
 *
 * Three are in the field. Two of them use the same ioctl number for different things:
 * 0xC030128E is CTL in blkfilter-1 and ATTACH in blkfilter-2. Nothing in this header may be
 * sent to a kernel whose interface is not known, except what detection says is harmless.
 */

#include <linux/ioctl.h>
#include <linux/types.h>

/* A filter's name in every interface: NUL-terminated, at most 31 bytes, NUL-padded. */
#define BLKFILTER_NAME_SIZE 32

struct blkfilter_abi_name {
        __u8 name[BLKFILTER_NAME_SIZE];
};

struct blkfilter_abi_ctl {
        __u8 name[BLKFILTER_NAME_SIZE];
        __u32 cmd;    /* a command of the filter */
        __u32 optlen; /* bytes at opt; the kernel does not report a changed length back */
        __u64 opt;    /* user pointer, in and out */
};

/* blkfilter-1: patch series v3 to v7, Linux 6.3 to 6.9; ioctls on the block device itself. */
#define BLKFILTER1_ATTACH _IOWR(0x12, 140, struct blkfilter_abi_name) /* 0xC020128C */
#define BLKFILTER1_DETACH _IOWR(0x12, 141, struct blkfilter_abi_name) /* 0xC020128D */
#define BLKFILTER1_CTL    _IOWR(0x12, 142, struct blkfilter_abi_ctl)  /* 0xC030128E */
