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

/* blkfilter-2: the series for Linux 6.15; as blkfilter-1, with other numbers and options for ATTACH. */
struct blkfilter_abi_attach {
        __u8 name[BLKFILTER_NAME_SIZE];
        __u64 opt;    /* user pointer to the filter's options; 0 for none */
        __u32 optlen; /* bytes at opt */
        __u32 pad;    /* 0 */
};

#define BLKFILTER2_ATTACH _IOWR(0x12, 142, struct blkfilter_abi_attach) /* 0xC030128E: CTL in blkfilter-1 */
#define BLKFILTER2_DETACH _IOWR(0x12, 143, struct blkfilter_abi_name)   /* 0xC020128F */
#define BLKFILTER2_CTL    _IOWR(0x12, 144, struct blkfilter_abi_ctl)    /* 0xC0301290 */

/*
 * bdevfilter: a module for stock kernels; ioctls on its node, which opens the device itself, by the path that each
 * structure begins with. A filter is kept by the number of its device. A DETACH that names another filter than the
 * one that is attached frees what is in use still.
 */
#define BDEVFILTER_NODE "/dev/bdevfilter"

struct bdevfilter_abi_name {
        __u64 devpath; /* user pointer to the path of the device's node, NUL-terminated */
        __u8 name[BLKFILTER_NAME_SIZE];
};

struct bdevfilter_abi_attach {
        __u64 devpath;
        __u8 name[BLKFILTER_NAME_SIZE];
        __u64 opt;    /* user pointer to the filter's options; 0 for none */
        __u32 optlen; /* bytes at opt */
        __u32 pad;    /* 0 */
};

struct bdevfilter_abi_ctl {
        __u64 devpath;
        __u8 name[BLKFILTER_NAME_SIZE];
        __u32 cmd;
        __u32 optlen;
        __u64 opt;
};

#define BDEVFILTER_ATTACH_40 _IOWR('F', 140, struct bdevfilter_abi_name)   /* 0xC028468C; the earlier ATTACH */
#define BDEVFILTER_ATTACH_56 _IOWR('F', 140, struct bdevfilter_abi_attach) /* 0xC038468C; the later one */
#define BDEVFILTER_DETACH    _IOWR('F', 141, struct bdevfilter_abi_name)   /* 0xC028468D */
#define BDEVFILTER_CTL       _IOWR('F', 142, struct bdevfilter_abi_ctl)    /* 0xC038468E */
