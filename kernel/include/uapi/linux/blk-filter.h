/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Block device filters: the ioctls on a block device. Two interfaces have them,
 * "blkfilter-1" and "blkfilter-2"; a kernel has one of the two, or none.
 *
 * A filter is a kernel module's code that sees every bio submitted to one
 * block device, be it a partition or a whole disk. At most one is attached to
 * a device. It goes away with the device: when the partition is removed (also
 * by a re-read of the partition table) or the disk is.
 *
 * A read-only descriptor is enough, and no capability is asked for: who may
 * open the device node may use these calls.
 */
#ifndef _UAPI_LINUX_BLK_FILTER_H
#define _UAPI_LINUX_BLK_FILTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define BLKFILTER_NAME_LENGTH	32	/* with the NUL */

/**
 * struct blkfilter_name - argument of BLKFILTER_ATTACH and of both DETACH
 * @name: the filter's registered name, NUL-terminated
 */
struct blkfilter_name {
	__u8 name[BLKFILTER_NAME_LENGTH];
};

/**
 * struct blkfilter_ctl - argument of both CTL
 * @name: name of the filter that is expected to be attached
 * @cmd: a command of that filter
 * @optlen: bytes at @opt
 * @opt: user pointer to what the command takes or fills
 */
struct blkfilter_ctl {
	__u8 name[BLKFILTER_NAME_LENGTH];
	__u32 cmd;
	__u32 optlen;
	__u64 opt;
};

/**
 * struct blkfilter_attach - argument of BLKFILTER2_ATTACH
 * @name: the filter's registered name, NUL-terminated
 * @opt: user pointer to the filter's options
 * @optlen: bytes at @opt, 0 for none
 * @pad: 0; not looked at
 */
struct blkfilter_attach {
	__u8 name[BLKFILTER_NAME_LENGTH];
	__u64 opt;
	__u32 optlen;
	__u32 pad;
};

/*
 * All: EFAULT bad pointer, EINVAL the name is not terminated, ENODEV the
 * partition or disk behind the descriptor has been removed.
 *
 * ATTACH: ENOENT no filter of that name is registered (an empty name never
 * is), EALREADY it is attached already, EBUSY another one is, ENOMEM, else the
 * error of freezing the file system or the filter's own: EINVAL for options
 * that it does not take.
 * DETACH: ENOENT nothing is attached, EINVAL another filter is.
 * CTL: ENOENT nothing is attached; another filter is: ENOENT in blkfilter-1,
 * EINVAL in blkfilter-2; ENOTTY the filter takes no commands, else its own.
 *
 * ATTACH and DETACH freeze the file system on the device, if there is one, and
 * wait until the I/O under way has been completed; they can take long.
 *
 * Mind that BLKFILTER_CTL and BLKFILTER2_ATTACH are one number. Do not send it
 * before the interface is known: BLKFILTER_ATTACH with an empty name answers
 * ENOENT in blkfilter-1, BLKFILTER2_DETACH with one (on a device without a
 * filter) in blkfilter-2; numbers that are not known, ENOTTY or EINVAL.
 */

/* blkfilter-1 */
#define BLKFILTER_ATTACH	_IOWR(0x12, 140, struct blkfilter_name)
#define BLKFILTER_DETACH	_IOWR(0x12, 141, struct blkfilter_name)
#define BLKFILTER_CTL		_IOWR(0x12, 142, struct blkfilter_ctl)

/* blkfilter-2 */
#define BLKFILTER2_ATTACH	_IOWR(0x12, 142, struct blkfilter_attach)
#define BLKFILTER2_DETACH	_IOWR(0x12, 143, struct blkfilter_name)
#define BLKFILTER2_CTL		_IOWR(0x12, 144, struct blkfilter_ctl)

#endif /* _UAPI_LINUX_BLK_FILTER_H */
