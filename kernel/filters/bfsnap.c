// SPDX-License-Identifier: GPL-2.0-only
/*
 * bfsnap: a stand-in for the filter "blksnap", for tests. It answers blksnap's
 * commands and keeps a map of changes, but takes no snapshots. See
 * uapi/linux/bfsnap.h.
 */
#include <linux/bio.h>
#include <linux/blk-filter.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/kdev_t.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/uuid.h>
#include <linux/bfsnap.h>

#define MIN_BLOCK_SHIFT	12
#define MAX_BLOCKS	(2 * 1024 * 1024)

static unsigned int snapshot_errno;

static int set_errno(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 0, MAX_ERRNO);
}

static const struct kernel_param_ops errno_ops = {
	.set = set_errno,
	.get = param_get_uint,
};

module_param_cb(snapshot_errno, &errno_ops, &snapshot_errno, 0644);
MODULE_PARM_DESC(snapshot_errno, "errno that snapshots are said to break with, 0: none");

/*
 * Commands come one at a time. Writes come at any time, but while the queue is
 * frozen: only then number and generation change.
 */
struct bfsnap {
	u64 size_bytes;		/* of the device at the attach */
	unsigned int shift;	/* log2 of the block size in bytes */
	u32 n_blocks;
	u8 number;		/* of the changes from now on, never 0 */
	u8 generation[16];
	u8 snapshot[16];	/* all zeros: none yet */
	u8 *map;		/* n_blocks: the number of each one's last change */
};

/*
 * Sectors from the start of the device, n_sectors at least 1. Writes that meet
 * here put down the same number: no lock.
 */
static void mark_sectors(struct bfsnap *bs, u64 sector, u64 n_sectors)
{
	u64 first = sector >> (bs->shift - SECTOR_SHIFT);
	u64 last = (sector + n_sectors - 1) >> (bs->shift - SECTOR_SHIFT);

	/* the device may have grown since the attach */
	if (first >= bs->n_blocks)
		return;
	last = min_t(u64, last, bs->n_blocks - 1);
	memset(bs->map + first, bs->number, last - first + 1);
}

static bool bfsnap_submit_bio(struct blk_filter *filter, struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_WRITE:
	case REQ_OP_WRITE_ZEROES:
	case REQ_OP_DISCARD:
	case REQ_OP_SECURE_ERASE:
		break;
	default:
		return true;
	}
	/* not a flush; and the sector counts from the start of the disk */
	if (bio_sectors(bio))
		mark_sectors(filter->private,
			     bio->bi_iter.bi_sector - filter->bdev->bd_start_sect,
			     bio_sectors(bio));
	return true;
}

static int bfsnap_ctl_info(struct bfsnap *bs, void __user *opt, u32 optlen)
{
	struct bfsnap_info info;

	if (optlen < sizeof(info))
		return -EINVAL;
	/* what is behind the last member is copied too */
	memset(&info, 0, sizeof(info));
	info.device_capacity = bs->size_bytes;
	info.block_size = 1U << bs->shift;
	info.block_count = bs->n_blocks;
	info.changes_number = bs->number;
	memcpy(info.generation_id, bs->generation, sizeof(info.generation_id));
	return copy_to_user(opt, &info, sizeof(info)) ? -EFAULT : 0;
}

static int bfsnap_ctl_map(struct bfsnap *bs, void __user *opt, u32 optlen)
{
	struct bfsnap_map arg;

	if (optlen < sizeof(arg))
		return -EINVAL;
	if (copy_from_user(&arg, opt, sizeof(arg)))
		return -EFAULT;
	if (arg.offset > bs->n_blocks || arg.length > bs->n_blocks - arg.offset)
		return -EINVAL;

	if (copy_to_user(u64_to_user_ptr(arg.buffer), bs->map + arg.offset,
			 arg.length))
		return -EFAULT;
	return 0;
}

static int bfsnap_ctl_dirty(struct bfsnap *bs, void __user *opt, u32 optlen)
{
	u64 n_sectors = bs->size_bytes >> SECTOR_SHIFT;
	struct bfsnap_range *ranges;
	struct bfsnap_dirty arg;
	u32 i;

	if (optlen < sizeof(arg))
		return -EINVAL;
	if (copy_from_user(&arg, opt, sizeof(arg)))
		return -EFAULT;
	if (!arg.count || arg.count > BFSNAP_RANGES_MAX)
		return -EINVAL;

	/* a copy: what was judged is what is marked */
	ranges = vmemdup_user(u64_to_user_ptr(arg.ranges),
			      arg.count * sizeof(*ranges));
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);

	for (i = 0; i < arg.count; i++)
		if (!ranges[i].count || ranges[i].offset >= n_sectors ||
		    ranges[i].count > n_sectors - ranges[i].offset)
			break;
	if (i < arg.count) {
		kvfree(ranges);
		return -EINVAL;
	}

	for (i = 0; i < arg.count; i++) {
		mark_sectors(bs, ranges[i].offset, ranges[i].count);
		cond_resched();
	}
	kvfree(ranges);
	return 0;
}

static int bfsnap_ctl_add(struct blk_filter *filter, void __user *opt,
			  u32 optlen)
{
	struct request_queue *q = bdev_get_queue(filter->bdev);
	struct bfsnap *bs = filter->private;
	struct bfsnap_add arg;

	if (optlen < sizeof(arg))
		return -EINVAL;
	if (copy_from_user(&arg, opt, sizeof(arg)))
		return -EFAULT;
	if (!memchr_inv(arg.id, 0, sizeof(arg.id)))
		return -EINVAL;

	/* a write with the old number is on the device when this has returned */
	blk_mq_freeze_queue(q);
	if (++bs->number == 0) {
		bs->number = 1;
		memset(bs->map, 0, bs->n_blocks);
		generate_random_uuid(bs->generation);
	}
	blk_mq_unfreeze_queue(q);
	memcpy(bs->snapshot, arg.id, sizeof(bs->snapshot));
	return 0;
}

static int bfsnap_ctl_image(struct blk_filter *filter, void __user *opt,
			    u32 optlen)
{
	struct bfsnap *bs = filter->private;
	struct bfsnap_image image = {};
	dev_t dev = filter->bdev->bd_dev;

	if (optlen < sizeof(image))
		return -EINVAL;
	image.error_code = -(int)READ_ONCE(snapshot_errno);
	if (memchr_inv(bs->snapshot, 0, sizeof(bs->snapshot)))
		snprintf((char *)image.image, sizeof(image.image),
			 "blksnap-image_%u:%u", MAJOR(dev), MINOR(dev));
	return copy_to_user(opt, &image, sizeof(image)) ? -EFAULT : 0;
}

static int bfsnap_ctl(struct blk_filter *filter, unsigned int cmd,
		      void __user *opt, u32 optlen)
{
	struct bfsnap *bs = filter->private;

	switch (cmd) {
	case BFSNAP_INFO:
		return bfsnap_ctl_info(bs, opt, optlen);
	case BFSNAP_MAP:
		return bfsnap_ctl_map(bs, opt, optlen);
	case BFSNAP_DIRTY:
		return bfsnap_ctl_dirty(bs, opt, optlen);
	case BFSNAP_ADD:
		return bfsnap_ctl_add(filter, opt, optlen);
	case BFSNAP_IMAGE:
		return bfsnap_ctl_image(filter, opt, optlen);
	default:
		/* as blksnap answers */
		return -ENOTTY;
	}
}

static int bfsnap_attach(struct blk_filter *filter, const void __user *opt,
			 u32 optlen)
{
	u64 size_bytes = bdev_nr_bytes(filter->bdev);
	struct bfsnap *bs;

	if (optlen)
		return -EINVAL;

	/* where an append lands is known only afterwards */
	if (bdev_is_zoned(filter->bdev))
		return -EOPNOTSUPP;
	if (!size_bytes)
		return -ENXIO;

	bs = kzalloc(sizeof(*bs), GFP_KERNEL);
	if (!bs)
		return -ENOMEM;
	bs->size_bytes = size_bytes;
	bs->shift = MIN_BLOCK_SHIFT;
	while ((size_bytes - 1) >> bs->shift >= MAX_BLOCKS)
		bs->shift++;
	bs->n_blocks = ((size_bytes - 1) >> bs->shift) + 1;
	bs->number = 1;
	bs->map = kvzalloc(bs->n_blocks, GFP_KERNEL);
	if (!bs->map) {
		kfree(bs);
		return -ENOMEM;
	}
	generate_random_uuid(bs->generation);
	filter->private = bs;
	return 0;
}

static void bfsnap_detach(struct blk_filter *filter)
{
	struct bfsnap *bs = filter->private;

	kvfree(bs->map);
	kfree(bs);
}

static struct blk_filter_ops bfsnap_ops = {
	.name		= "blksnap",
	.owner		= THIS_MODULE,
	.attach		= bfsnap_attach,
	.detach		= bfsnap_detach,
	.ctl		= bfsnap_ctl,
	.submit_bio	= bfsnap_submit_bio,
};

static int __init bfsnap_init(void)
{
	BUILD_BUG_ON(sizeof(struct bfsnap_info) != 40);
	BUILD_BUG_ON(sizeof(struct bfsnap_map) != 16);
	BUILD_BUG_ON(sizeof(struct bfsnap_range) != 16);
	BUILD_BUG_ON(sizeof(struct bfsnap_dirty) != 16);
	BUILD_BUG_ON(sizeof(struct bfsnap_add) != 16);
	BUILD_BUG_ON(sizeof(struct bfsnap_image) != 36);

	return blk_filter_register(&bfsnap_ops);
}
module_init(bfsnap_init);

static void __exit bfsnap_exit(void)
{
	blk_filter_unregister(&bfsnap_ops);
}
module_exit(bfsnap_exit);

MODULE_DESCRIPTION("Stand-in for the block device filter blksnap, for tests");
MODULE_LICENSE("GPL");
