/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * bftrack: a block device filter that remembers which blocks were written.
 *
 * A block's bit is set before the write reaches the device. Writes, writes of
 * zeroes, discards and secure erases count. The map is for the size that the
 * device has at the attach: what is written beyond that, after the device has
 * grown, is not remembered. Compare device_size_bytes with the device's size
 * before the map is trusted.
 *
 * The block size is a power of two. Without options it is at least 4096 bytes,
 * and such that there are at most 524288 blocks (64 KiB of map). Where ATTACH
 * takes options, it can be asked for: the option is the size in bytes, 4 bytes,
 * little-endian, a power of two from BFTRACK_MIN_BLOCK_SIZE to
 * BFTRACK_MAX_BLOCK_SIZE. A smaller one tells a backup more exactly what to
 * read, and takes more memory: a bit for each block, at most 67108864 blocks
 * (8 MiB of map).
 *
 * Unknown commands: EINVAL. ATTACH answers ENXIO on a device of size 0,
 * EOPNOTSUPP on a zoned one, EINVAL for another option, EFBIG when the device
 * has too many blocks of the size that is asked for.
 */
#ifndef _UAPI_LINUX_BFTRACK_H
#define _UAPI_LINUX_BFTRACK_H

#include <linux/types.h>

/* bytes, of what can be asked for */
#define BFTRACK_MIN_BLOCK_SIZE	512
#define BFTRACK_MAX_BLOCK_SIZE	(1024 * 1024)

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
