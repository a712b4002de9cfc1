// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block device filters: the ioctls of the interfaces "blkfilter-1" and
 * "blkfilter-2". Copies and checks what user space hands in; what the calls do
 * is in blk-filter.c.
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

static int ioctl_attach_1(struct block_device *bdev, void __user *argp)
{
	struct blkfilter_name arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (!name_is_terminated(arg.name))
		return -EINVAL;
	return blk_filter_attach(bdev, (const char *)arg.name, NULL, 0, NULL);
}

static int ioctl_attach_2(struct block_device *bdev, void __user *argp)
{
	struct blkfilter_attach arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (!name_is_terminated(arg.name))
		return -EINVAL;
	return blk_filter_attach(bdev, (const char *)arg.name,
				 u64_to_user_ptr(arg.opt), arg.optlen, NULL);
}

static int ioctl_detach(struct block_device *bdev, void __user *argp)
{
	struct blkfilter_name arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (!name_is_terminated(arg.name))
		return -EINVAL;
	return blk_filter_detach(bdev, (const char *)arg.name);
}

static int ioctl_ctl(struct block_device *bdev, void __user *argp, int another)
{
	struct blkfilter_ctl arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (!name_is_terminated(arg.name))
		return -EINVAL;
	return blk_filter_ctl(bdev, (const char *)arg.name, arg.cmd,
			      u64_to_user_ptr(arg.opt), arg.optlen, another);
}

static int ioctl_1(struct block_device *bdev, unsigned int cmd,
		   void __user *argp)
{
	switch (cmd) {
	case BLKFILTER_ATTACH:
		return ioctl_attach_1(bdev, argp);
	case BLKFILTER_DETACH:
		return ioctl_detach(bdev, argp);
	case BLKFILTER_CTL:
		return ioctl_ctl(bdev, argp, -ENOENT);
	default:
		return -ENOIOCTLCMD;
	}
}

static int ioctl_2(struct block_device *bdev, unsigned int cmd,
		   void __user *argp)
{
	switch (cmd) {
	case BLKFILTER2_ATTACH:
		return ioctl_attach_2(bdev, argp);
	case BLKFILTER2_DETACH:
		return ioctl_detach(bdev, argp);
	case BLKFILTER2_CTL:
		return ioctl_ctl(bdev, argp, -EINVAL);
	default:
		return -ENOIOCTLCMD;
	}
}

/**
 * blk_filter_ioctl - handle the filter ioctls of a block device
 * @bdev: the device of the descriptor, which may have been removed since
 * @cmd: ioctl number
 * @argp: its argument, already converted for 32-bit callers
 *
 * Return: see uapi/linux/blk-filter.h; -ENOIOCTLCMD for any other @cmd, and
 * for all that the chosen interface does not have.
 */
int blk_filter_ioctl(struct block_device *bdev, unsigned int cmd,
		     void __user *argp)
{
	switch (blk_filter_interface) {
	case BLK_FILTER_INTERFACE_1:
		return ioctl_1(bdev, cmd, argp);
	case BLK_FILTER_INTERFACE_2:
		return ioctl_2(bdev, cmd, argp);
	default:
		return -ENOIOCTLCMD;
	}
}
