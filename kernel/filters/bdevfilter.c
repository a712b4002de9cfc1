// SPDX-License-Identifier: GPL-2.0-only
/*
 * bdevfilter: the filters of the block layer by another interface, the node
 * /dev/bdevfilter. See uapi/linux/bdevfilter.h.
 *
 * It stands in for a module of that name for stock kernels, which keeps filters
 * by the number of the device; what is attached here is attached by the block
 * layer's own functions, and gone when they say so. What this module keeps by
 * number is the name of the filter, for the parameter "keep".
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/blk-filter.h>
#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/panic.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/bdevfilter.h>

static unsigned int attach_size = sizeof(struct bdevfilter_attach);
module_param(attach_size, uint, 0444);
MODULE_PARM_DESC(attach_size, "bytes of the ATTACH that there is: 40 or 56");

static bool keep;
module_param(keep, bool, 0644);
MODULE_PARM_DESC(keep, "a device number that comes back has its filter again");

/* What was attached last to a device number, until it is detached. */
struct kept {
	struct list_head link;
	dev_t devt;
	char name[BDEVFILTER_NAME_LENGTH];
};

static DEFINE_SPINLOCK(kept_lock);
static LIST_HEAD(kept_list);

static struct kept *find_kept(dev_t devt)
{
	struct kept *k;

	lockdep_assert_held(&kept_lock);

	list_for_each_entry(k, &kept_list, link)
		if (k->devt == devt)
			return k;
	return NULL;
}

/* Puts @new, which may be NULL, in the place of what is kept for the number. */
static void replace_kept(dev_t devt, struct kept *new)
{
	struct kept *old;

	spin_lock(&kept_lock);
	old = find_kept(devt);
	if (old)
		list_del(&old->link);
	if (new)
		list_add(&new->link, &kept_list);
	spin_unlock(&kept_lock);
	kfree(old);
}

static bool bdevfilter_kept(dev_t devt, char *name)
{
	struct kept *k;

	spin_lock(&kept_lock);
	k = find_kept(devt);
	if (k && READ_ONCE(keep)) {
		strscpy(name, k->name, BDEVFILTER_NAME_LENGTH);
		spin_unlock(&kept_lock);
		return true;
	}
	/* the number has come back without its filter */
	if (k)
		list_del(&k->link);
	spin_unlock(&kept_lock);
	kfree(k);
	return false;
}

static const struct blk_filter_keeper keeper = {
	.owner	= THIS_MODULE,
	.kept	= bdevfilter_kept,
};

/*
 * Checks the name and opens the device, to be closed by blkdev_put(FMODE_READ).
 */
static struct block_device *open_device(u64 devpath, const u8 *name)
{
	struct block_device *bdev;
	char *path;

	if (!memchr(name, 0, BDEVFILTER_NAME_LENGTH))
		return ERR_PTR(-EINVAL);

	path = strndup_user(u64_to_user_ptr(devpath), PATH_MAX);
	/* too long is a path that cannot be opened, too */
	if (path == ERR_PTR(-EINVAL))
		return ERR_PTR(-ENOENT);
	if (IS_ERR(path))
		return ERR_CAST(path);

	bdev = blkdev_get_by_path(path, FMODE_READ, NULL);
	kfree(path);
	return IS_ERR(bdev) ? ERR_PTR(-ENOENT) : bdev;
}

static int attach(const struct bdevfilter_attach *arg)
{
	struct block_device *bdev;
	struct kept *new;
	int ret;

	bdev = open_device(arg->devpath, arg->name);
	if (IS_ERR(bdev))
		return PTR_ERR(bdev);

	ret = -ENOMEM;
	new = kzalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		goto put;
	new->devt = bdev->bd_dev;
	strscpy(new->name, (const char *)arg->name, sizeof(new->name));

	ret = blk_filter_attach(bdev, new->name, u64_to_user_ptr(arg->opt),
				arg->optlen, THIS_MODULE);
	if (ret)
		kfree(new);
	else
		replace_kept(bdev->bd_dev, new);
put:
	blkdev_put(bdev, FMODE_READ);
	return ret;
}

static int ioctl_attach_40(void __user *argp)
{
	struct bdevfilter_name arg;
	struct bdevfilter_attach with_options = {};

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	with_options.devpath = arg.devpath;
	memcpy(with_options.name, arg.name, sizeof(arg.name));
	return attach(&with_options);
}

static int ioctl_attach_56(void __user *argp)
{
	struct bdevfilter_attach arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	return attach(&arg);
}

static int ioctl_detach(void __user *argp)
{
	struct bdevfilter_name arg;
	struct block_device *bdev;
	int ret;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	bdev = open_device(arg.devpath, arg.name);
	if (IS_ERR(bdev))
		return PTR_ERR(bdev);

	ret = blk_filter_detach(bdev, (const char *)arg.name);
	if (ret == -EINVAL)
		panic("bdevfilter: DETACH of \"%s\" from %pg, which has another filter",
		      arg.name, bdev);
	if (!ret || ret == -ENOENT)
		replace_kept(bdev->bd_dev, NULL);
	blkdev_put(bdev, FMODE_READ);
	return ret;
}

static int ioctl_ctl(void __user *argp)
{
	struct bdevfilter_ctl arg;
	struct block_device *bdev;
	int ret;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	bdev = open_device(arg.devpath, arg.name);
	if (IS_ERR(bdev))
		return PTR_ERR(bdev);

	ret = blk_filter_ctl(bdev, (const char *)arg.name, arg.cmd,
			     u64_to_user_ptr(arg.opt), arg.optlen, -ENOENT);
	blkdev_put(bdev, FMODE_READ);
	return ret;
}

static long bdevfilter_ioctl(struct file *file, unsigned int cmd,
			     unsigned long p)
{
	void __user *argp = (void __user *)p;

	/* of the two sizes only one is known */
	if (_IOC_NR(cmd) == _IOC_NR(BDEVFILTER_ATTACH_40) &&
	    _IOC_SIZE(cmd) != attach_size)
		return -ENOTTY;

	switch (cmd) {
	case BDEVFILTER_ATTACH_40:
		return ioctl_attach_40(argp);
	case BDEVFILTER_ATTACH_56:
		return ioctl_attach_56(argp);
	case BDEVFILTER_DETACH:
		return ioctl_detach(argp);
	case BDEVFILTER_CTL:
		return ioctl_ctl(argp);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations bdevfilter_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= bdevfilter_ioctl,
	/* the structures are the same for 32-bit user space */
	.compat_ioctl	= compat_ptr_ioctl,
	.llseek		= noop_llseek,
};

static struct miscdevice bdevfilter_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "bdevfilter",
	.mode	= 0600,
	.fops	= &bdevfilter_fops,
};

static int __init bdevfilter_init(void)
{
	int ret;

	BUILD_BUG_ON(sizeof(struct bdevfilter_name) != 40);
	BUILD_BUG_ON(sizeof(struct bdevfilter_attach) != 56);
	BUILD_BUG_ON(sizeof(struct bdevfilter_ctl) != 56);
	BUILD_BUG_ON(BDEVFILTER_NAME_LENGTH != BLKFILTER_NAME_LENGTH);

	if (attach_size != sizeof(struct bdevfilter_name) &&
	    attach_size != sizeof(struct bdevfilter_attach)) {
		pr_err("attach_size must be 40 or 56\n");
		return -EINVAL;
	}
	ret = blk_filter_set_keeper(&keeper);
	if (ret)
		return ret;
	ret = misc_register(&bdevfilter_misc);
	if (ret)
		blk_filter_set_keeper(NULL);
	return ret;
}
module_init(bdevfilter_init);

/* That this runs proves that no filter is attached that was attached here. */
static void __exit bdevfilter_exit(void)
{
	struct kept *k, *next;

	misc_deregister(&bdevfilter_misc);
	blk_filter_set_keeper(NULL);
	list_for_each_entry_safe(k, next, &kept_list, link)
		kfree(k);
}
module_exit(bdevfilter_exit);

MODULE_DESCRIPTION("Block device filters by the node /dev/bdevfilter");
MODULE_LICENSE("GPL");
