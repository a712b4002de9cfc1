/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Block device filters: the ioctls on a block device ("blkfilter-1").
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
 * struct blkfilter_name - argument of BLKFILTER_ATTACH and BLKFILTER_DETACH
 * @name: the filter's registered name, NUL-terminated
 */
struct blkfilter_name {
	__u8 name[BLKFILTER_NAME_LENGTH];
};

/**
 * struct blkfilter_ctl - argument of BLKFILTER_CTL
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

/*
 * All three: EFAULT bad pointer, EINVAL the name is not terminated, ENODEV the
 * partition or disk behind the descriptor has been removed.
 *
 * ATTACH: ENOENT no filter of that name is registered (an empty name never
 * is), EALREADY it is attached already, EBUSY another one is, ENOMEM, else the
 * error of freezing the file system or the filter's own.
 * DETACH: ENOENT nothing is attached, EINVAL another filter is.
 * CTL: ENOENT that filter is not attached, ENOTTY it takes no commands, else
 * the filter's own.
 *
 * ATTACH and DETACH freeze the file system on the device, if there is one, and
 * wait until the I/O under way has been completed; they can take long.
 */
#define BLKFILTER_ATTACH	_IOWR(0x12, 140, struct blkfilter_name)
#define BLKFILTER_DETACH	_IOWR(0x12, 141, struct blkfilter_name)
#define BLKFILTER_CTL		_IOWR(0x12, 142, struct blkfilter_ctl)

#endif /* _UAPI_LINUX_BLK_FILTER_H */
