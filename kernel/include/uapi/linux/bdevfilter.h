/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * bdevfilter: the ioctls on /dev/bdevfilter, another interface to the block
 * device filters. The device is named by the path of its node, which the
 * kernel opens as the caller would; the calls end before it is closed.
 *
 * Module parameters:
 *
 *   attach_size   40 or 56 (the default): which of the two ATTACH there is; the
 *                 other one is unknown. Chosen when the module is loaded
 *   keep          1: when a device number comes back, be it of a partition or
 *                 of a disk, whatever is on it now, the filter that was last
 *                 attached to that number is on it before it can be opened,
 *                 as if newly attached, without options. 0, the default: it
 *                 is not. Can be changed at any time, for what comes back then
 *
 * Only root may open /dev/bdevfilter. The module stays while a filter is
 * attached that was attached by it.
 */
#ifndef _UAPI_LINUX_BDEVFILTER_H
#define _UAPI_LINUX_BDEVFILTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define BDEVFILTER_NAME_LENGTH	32	/* with the NUL */

/**
 * struct bdevfilter_name - argument of BDEVFILTER_ATTACH_40, BDEVFILTER_DETACH
 * @devpath: user pointer to the path of the device's node, NUL-terminated
 * @name: the filter's registered name, NUL-terminated
 */
struct bdevfilter_name {
	__u64 devpath;
	__u8 name[BDEVFILTER_NAME_LENGTH];
};

/**
 * struct bdevfilter_attach - argument of BDEVFILTER_ATTACH_56
 * @devpath: as above
 * @name: as above
 * @opt: user pointer to the filter's options
 * @optlen: bytes at @opt, 0 for none
 * @pad: 0; not looked at
 */
struct bdevfilter_attach {
	__u64 devpath;
	__u8 name[BDEVFILTER_NAME_LENGTH];
	__u64 opt;
	__u32 optlen;
	__u32 pad;
};

/**
 * struct bdevfilter_ctl - argument of BDEVFILTER_CTL
 * @devpath: as above
 * @name: name of the filter that is expected to be attached
 * @cmd: a command of that filter
 * @optlen: bytes at @opt
 * @opt: user pointer to what the command takes or fills
 */
struct bdevfilter_ctl {
	__u64 devpath;
	__u8 name[BDEVFILTER_NAME_LENGTH];
	__u32 cmd;
	__u32 optlen;
	__u64 opt;
};

/*
 * All: EFAULT bad pointer, EINVAL the name is not terminated, ENOENT the path
 * cannot be opened, for whatever reason, or is not that of a block device.
 *
 * ATTACH: ENOENT no filter of that name is registered (an empty name never
 * is), EALREADY it is attached already, EBUSY another one is, ENOMEM, else the
 * error of freezing the file system or the filter's own: EINVAL for options
 * that it does not take.
 * DETACH: ENOENT nothing is attached. A name other than that of the filter that
 * is attached is fatal: what this module stands in for frees what is in use
 * then; here the kernel panics at once.
 * CTL: ENOENT that filter is not attached, ENOTTY it takes no commands, else
 * the filter's own.
 *
 * Other numbers: ENOTTY.
 */
#define BDEVFILTER_ATTACH_40	_IOWR('F', 140, struct bdevfilter_name)
#define BDEVFILTER_ATTACH_56	_IOWR('F', 140, struct bdevfilter_attach)
#define BDEVFILTER_DETACH	_IOWR('F', 141, struct bdevfilter_name)
#define BDEVFILTER_CTL		_IOWR('F', 142, struct bdevfilter_ctl)

#endif /* _UAPI_LINUX_BDEVFILTER_H */
