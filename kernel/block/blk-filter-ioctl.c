// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block device filters: the ioctls of interface "blkfilter-1". Copies and
 * checks what user space hands in; what the calls do is in blk-filter.c.
 *
 * The structures are the same for 32-bit user space.
 */
#include <linux/blk-filter.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "blk-filter.h"

static bool name_is_terminated(const u8 *name)
{
	return memchr(name, 0, BLKFILTER_NAME_LENGTH);
}

static int ioctl_name(struct block_device *bdev, void __user *argp,
		      int (*call)(struct block_device *, const char *))
{
	struct blkfilter_name arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (!name_is_terminated(arg.name))
		return -EINVAL;
	return call(bdev, (const char *)arg.name);
}

static int ioctl_ctl(struct block_device *bdev, void __user *argp)
{
	struct blkfilter_ctl arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (!name_is_terminated(arg.name))
		return -EINVAL;
	return blk_filter_ctl(bdev, (const char *)arg.name, arg.cmd,
			      u64_to_user_ptr(arg.opt), arg.optlen);
}

/**
 * blk_filter_ioctl - handle the filter ioctls of a block device
 * @bdev: the device of the descriptor, which may have been removed since
 * @cmd: ioctl number
 * @argp: its argument, already converted for 32-bit callers
 *
 * Return: see uapi/linux/blk-filter.h; -ENOIOCTLCMD for any other @cmd.
 */
int blk_filter_ioctl(struct block_device *bdev, unsigned int cmd,
		     void __user *argp)
{
	switch (cmd) {
	case BLKFILTER_ATTACH:
		return ioctl_name(bdev, argp, blk_filter_attach);
	case BLKFILTER_DETACH:
		return ioctl_name(bdev, argp, blk_filter_detach);
	case BLKFILTER_CTL:
		return ioctl_ctl(bdev, argp);
	default:
		return -ENOIOCTLCMD;
	}
}
