/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * bfsnap: a stand-in for the filter "blksnap", for tests. It is registered
 * under that name.
 *
 * Its commands have the numbers, the sizes and the meaning that blksnap's have
 * in the series that proposes it for the kernel, so that a program which
 * speaks to blksnap can be tried without it. It keeps a map of changes as
 * blksnap does: a byte for each block, the number of the block's last change,
 * 0 if there was none. It copies no data and makes no image: a snapshot is
 * taken in name only, and at once when the device is added to it.
 *
 * The block size is a power of two, at least 4096 bytes, and such that there
 * are at most 2097152 blocks. It is chosen at the attach from the size that
 * the device has then.
 *
 * In /sys/module/bfsnap/parameters, for all devices:
 *
 *   snapshot_errno  BFSNAP_IMAGE tells that the snapshot broke with this
 *                   errno, 0: that it did not
 *
 * Unknown commands: ENOTTY. ATTACH answers ENXIO on a device of size 0, and
 * EOPNOTSUPP on a zoned one.
 */
#ifndef _UAPI_LINUX_BFSNAP_H
#define _UAPI_LINUX_BFSNAP_H

#include <linux/types.h>

/* fills struct bfsnap_info; optlen at least its size, else EINVAL */
#define BFSNAP_INFO	0
/*
 * takes struct bfsnap_map, fills what its buffer points to; optlen at least
 * the structure's size, else EINVAL
 */
#define BFSNAP_MAP	1
/*
 * takes struct bfsnap_dirty, marks the blocks of its ranges as changed by the
 * current number; of all or of none. optlen at least the structure's size,
 * else EINVAL
 */
#define BFSNAP_DIRTY	2
/*
 * takes struct bfsnap_add; optlen at least its size, else EINVAL. From then on
 * changes have the next number. Behind 255 comes 1, with an empty map and
 * another generation. Waits for the requests under way
 */
#define BFSNAP_ADD	3
/* fills struct bfsnap_image; optlen at least its size, else EINVAL */
#define BFSNAP_IMAGE	4

#define BFSNAP_IMAGE_NAME_LENGTH	32	/* with the NUL */
#define BFSNAP_RANGES_MAX		65536

/**
 * struct bfsnap_info - what the map describes
 * @device_capacity: size of the device at the attach, in bytes
 * @block_size: bytes per block
 * @block_count: blocks, each a byte of the map
 * @generation_id: random UUID, another one after each attach
 * @changes_number: what a block that is changed now is marked with, 1 to 255
 */
struct bfsnap_info {
	__u64 device_capacity;
	__u32 block_size;
	__u32 block_count;
	__u8 generation_id[16];
	__u8 changes_number;
};

/**
 * struct bfsnap_map - which part of the map to copy where
 * @offset: first block
 * @length: blocks
 * @buffer: user pointer to @length bytes; EFAULT if it cannot be written
 *
 * EINVAL for what is not within the map.
 */
struct bfsnap_map {
	__u32 offset;
	__u32 length;
	__u64 buffer;
};

/**
 * struct bfsnap_range - a part of the device
 * @offset: first sector of 512 bytes
 * @count: sectors, at least 1
 */
struct bfsnap_range {
	__u64 offset;
	__u64 count;
};

/**
 * struct bfsnap_dirty - what to mark
 * @count: ranges, 1 to BFSNAP_RANGES_MAX
 * @ranges: user pointer to @count struct bfsnap_range; EFAULT if it cannot be
 *	read
 *
 * EINVAL if a range is empty or not within the device.
 */
struct bfsnap_dirty {
	__u32 count;
	__u64 ranges;
};

/**
 * struct bfsnap_add - the snapshot that the device is added to
 * @id: its UUID; EINVAL if it is all zeros
 */
struct bfsnap_add {
	__u8 id[16];
};

/**
 * struct bfsnap_image - the snapshot that the device was added to last
 * @error_code: 0, or the negative errno that it broke with
 * @image: name that its block device would have, NUL-terminated: "" before the
 *	first snapshot, else "blksnap-image_" and the device's major and minor
 *	number with ":" between
 */
struct bfsnap_image {
	__s32 error_code;
	__u8 image[BFSNAP_IMAGE_NAME_LENGTH];
};

#endif /* _UAPI_LINUX_BFSNAP_H */
