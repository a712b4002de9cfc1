/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * bftrack: a block device filter that remembers which blocks were written.
 *
 * A block's bit is set before the write reaches the device. Writes, writes of
 * zeroes, discards and secure erases count. The block size is a power of two,
 * at least 4096 bytes, and such that there are at most 524288 blocks (64 KiB
 * of map). It is chosen at the attach from the size that the device has then:
 * what is written beyond that size, after the device has grown, is not
 * remembered. Compare device_size_bytes with the device's size before the map
 * is trusted.
 *
 * Unknown commands: EINVAL. ATTACH answers ENXIO on a device of size 0, and
 * EOPNOTSUPP on a zoned one.
 */
#ifndef _UAPI_LINUX_BFTRACK_H
#define _UAPI_LINUX_BFTRACK_H

#include <linux/types.h>

/* fills struct bftrack_info; optlen at least its size, else EINVAL */
#define BFTRACK_INFO	0
/*
 * takes struct bftrack_map, fills what its buffer points to; optlen at least
 * the structure's size, else EINVAL
 */
#define BFTRACK_MAP	1
/*
 * forgets all written blocks; optlen must be 0, else EINVAL. Waits for the
 * requests under way: a write that the map no longer shows has been completed.
 * Only stacked devices (device-mapper, md) hold bios that this does not wait
 * for; freeze the file system there.
 */
#define BFTRACK_CLEAR	2

/**
 * struct bftrack_info - what the map describes
 * @device_size_bytes: size of the device at the attach
 * @block_size_bytes: bytes per bit
 * @block_count: bits in the map
 * @generation: random UUID, another one after each attach
 * @written_blocks: bits that are set
 * @clears: number of BFTRACK_CLEAR since the attach
 * @reserved: 0
 */
struct bftrack_info {
	__u64 device_size_bytes;
	__u32 block_size_bytes;
	__u32 block_count;
	__u8 generation[16];
	__u64 written_blocks;
	__u32 clears;
	__u32 reserved;
};

/**
 * struct bftrack_map - which part of the map to copy where
 * @first_block: first block, a multiple of 8
 * @n_blocks: a multiple of 8, unless the range ends at block_count
 * @buffer: user pointer to (n_blocks + 7) / 8 bytes, least significant bit
 *	first; EFAULT if it cannot be written
 *
 * EINVAL for a range that is not aligned or not within the map.
 */
struct bftrack_map {
	__u32 first_block;
	__u32 n_blocks;
	__u64 buffer;
};

#endif /* _UAPI_LINUX_BFTRACK_H */
