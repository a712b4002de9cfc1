/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * bfcount: a block device filter that counts.
 *
 * The unit is the bio as it was submitted to the device, before it is split
 * for the driver or merged with others. Unknown commands: EINVAL.
 */
#ifndef _UAPI_LINUX_BFCOUNT_H
#define _UAPI_LINUX_BFCOUNT_H

#include <linux/types.h>

/* fills struct bfcount_counters; optlen at least its size, else EINVAL */
#define BFCOUNT_READ	0
/* sets the counters to 0; optlen must be 0, else EINVAL */
#define BFCOUNT_RESET	1

/**
 * struct bfcount_counters - since the attach or the latest BFCOUNT_RESET
 * @reads: read bios
 * @writes: bios that write data or zeroes
 * @read_bytes: bytes of @reads
 * @write_bytes: bytes of @writes
 * @discards: discards and secure erases
 * @flushes: bios that flush the device's write cache, with or without data
 */
struct bfcount_counters {
	__u64 reads;
	__u64 writes;
	__u64 read_bytes;
	__u64 write_bytes;
	__u64 discards;
	__u64 flushes;
};

#endif /* _UAPI_LINUX_BFCOUNT_H */
