// SPDX-License-Identifier: GPL-2.0-only
/*
 * bfstamp: a block device filter that does nothing but tell when. For the
 * benchmark. See "bfstamp" in debugfs, a line for each of the latest
 * events:
 *
 *	NANOSECONDS EVENT MAJOR:MINOR
 *
 * by CLOCK_MONOTONIC. "add": a block device is there, a few microseconds
 * before user space is told; "begin": an attach of bfstamp has reached the
 * filter; "attached": bios are shown to it from now on. Whatever is written to
 * the file clears it.
 *
 * When an attach is over, the filter is not told: the queue is frozen between
 * its callback and that. So a timer looks.
 */
#include <linux/blk-filter.h>
#include <linux/blkdev.h>
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#define LOOK_NS		(200 * NSEC_PER_USEC)
#define N_STAMPS	16384

static char *disk = "/dev/vda";
module_param(disk, charp, 0444);
MODULE_PARM_DESC(disk, "any disk: the class of block devices is found by it");

struct stamp {
	u64 ns;
	const char *event;
	dev_t devt;
};

static DEFINE_SPINLOCK(lock);
static struct stamp stamps[N_STAMPS];
static unsigned int n_stamps;
static struct dentry *file;

struct bfstamp {
	struct blk_filter *filter;
	struct hrtimer timer;
};

static void stamp(const char *event, dev_t devt)
{
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	stamps[n_stamps++ % N_STAMPS] = (struct stamp) {
		.ns = ktime_get_ns(), .event = event, .devt = devt,
	};
	spin_unlock_irqrestore(&lock, flags);
}

static int stamps_show(struct seq_file *m, void *unused)
{
	unsigned int i, n;

	spin_lock_irq(&lock);
	n = n_stamps;
	spin_unlock_irq(&lock);

	/* not under the lock: timers would wait for it */
	for (i = n > N_STAMPS ? n - N_STAMPS : 0; i < n; i++) {
		struct stamp *s = &stamps[i % N_STAMPS];

		seq_printf(m, "%llu %s %u:%u\n", s->ns, s->event,
			   MAJOR(s->devt), MINOR(s->devt));
	}
	return 0;
}

static int stamps_open(struct inode *inode, struct file *f)
{
	return single_open(f, stamps_show, NULL);
}

static ssize_t stamps_write(struct file *f, const char __user *buf,
			    size_t len, loff_t *pos)
{
	spin_lock_irq(&lock);
	n_stamps = 0;
	spin_unlock_irq(&lock);
	return len;
}

static const struct file_operations stamps_ops = {
	.owner		= THIS_MODULE,
	.open		= stamps_open,
	.read		= seq_read,
	.write		= stamps_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};

/* Called for what is there already, too. */
static int on_device(struct device *dev, struct class_interface *interface)
{
	stamp("add", dev->devt);
	return 0;
}

static struct class_interface interface = {
	.add_dev	= on_device,
};

static enum hrtimer_restart on_timer(struct hrtimer *timer)
{
	struct bfstamp *b = container_of(timer, struct bfstamp, timer);
	struct block_device *bdev = b->filter->bdev;

	if (rcu_access_pointer(bdev->bd_filter) != b->filter) {
		hrtimer_forward_now(timer, ns_to_ktime(LOOK_NS));
		return HRTIMER_RESTART;
	}
	stamp("attached", bdev->bd_dev);
	return HRTIMER_NORESTART;
}

static int bfstamp_attach(struct blk_filter *filter, const void __user *opt,
			  u32 optlen)
{
	struct bfstamp *b;

	if (optlen)
		return -EINVAL;

	b = kzalloc(sizeof(*b), GFP_KERNEL);
	if (!b)
		return -ENOMEM;
	b->filter = filter;
	filter->private = b;
	stamp("begin", filter->bdev->bd_dev);
	hrtimer_init(&b->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	b->timer.function = on_timer;
	hrtimer_start(&b->timer, ns_to_ktime(LOOK_NS), HRTIMER_MODE_REL);
	return 0;
}

static void bfstamp_detach(struct blk_filter *filter)
{
	struct bfstamp *b = filter->private;

	hrtimer_cancel(&b->timer);
	kfree(b);
}

static bool bfstamp_submit_bio(struct blk_filter *filter, struct bio *bio)
{
	return true;
}

static struct blk_filter_ops ops = {
	.name		= "bfstamp",
	.owner		= THIS_MODULE,
	.attach		= bfstamp_attach,
	.detach		= bfstamp_detach,
	.submit_bio	= bfstamp_submit_bio,
};

static int __init bfstamp_init(void)
{
	struct block_device *bdev;
	int ret;

	bdev = blkdev_get_by_path(disk, FMODE_READ, NULL);
	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	interface.class = bdev->bd_device.class;
	blkdev_put(bdev, FMODE_READ);

	ret = class_interface_register(&interface);
	if (ret)
		return ret;
	ret = blk_filter_register(&ops);
	if (ret) {
		class_interface_unregister(&interface);
		return ret;
	}
	file = debugfs_create_file("bfstamp", 0600, NULL, NULL, &stamps_ops);
	return 0;
}
module_init(bfstamp_init);

static void __exit bfstamp_exit(void)
{
	debugfs_remove(file);
	blk_filter_unregister(&ops);
	class_interface_unregister(&interface);
}
module_exit(bfstamp_exit);

MODULE_DESCRIPTION("Block device filter that tells when it was attached");
MODULE_LICENSE("GPL");
