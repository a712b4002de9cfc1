/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Block device filters: what the block layer calls.
 */
#ifndef BLK_FILTER_INTERNAL_H
#define BLK_FILTER_INTERNAL_H

#include <linux/blkdev.h>

#ifdef CONFIG_BLK_FILTER

/* what user space meets; chosen at boot */
enum blk_filter_interface {
	BLK_FILTER_INTERFACE_NONE,
	BLK_FILTER_INTERFACE_1,
	BLK_FILTER_INTERFACE_2,
};

extern enum blk_filter_interface blk_filter_interface;
extern const struct attribute_group blk_filter_attr_group;

struct blk_filter_ops *blk_filter_get_ops(const char *name);
bool blk_filter_get_kept(dev_t devt, char *name, struct module **ret_holder);

bool __blk_filter_bio(struct bio *bio);
void blk_filter_add(struct block_device *bdev);
void blk_filter_drop(struct block_device *bdev);
void blk_filter_remove(struct block_device *bdev);

int blk_filter_ioctl(struct block_device *bdev, unsigned int cmd,
		     void __user *argp);

static inline void blk_filter_init(struct block_device *bdev)
{
	mutex_init(&bdev->bd_filter_mutex);
}

/* What this answers holds for as long as the caller holds q_usage_counter. */
static inline bool blk_filter_attached(struct block_device *bdev)
{
	return unlikely(rcu_access_pointer(bdev->bd_filter));
}

/*
 * Shows the bio to the filter of its device, if there is one. The caller holds
 * q_usage_counter, and holds it until the driver has the bio: so whatever is
 * submitted once an attach is done has been seen, and a freeze of the queue
 * has all seen and all unseen bios on its two sides.
 *
 * Returns false if the filter has taken the bio.
 */
static inline bool blk_filter_bio(struct bio *bio)
{
	if (!blk_filter_attached(bio->bi_bdev))
		return true;
	return __blk_filter_bio(bio);
}

#else /* CONFIG_BLK_FILTER */

static inline void blk_filter_init(struct block_device *bdev)
{
}

static inline bool blk_filter_attached(struct block_device *bdev)
{
	return false;
}

static inline bool blk_filter_bio(struct bio *bio)
{
	return true;
}

static inline void blk_filter_add(struct block_device *bdev)
{
}

static inline void blk_filter_drop(struct block_device *bdev)
{
}

static inline void blk_filter_remove(struct block_device *bdev)
{
}

static inline int blk_filter_ioctl(struct block_device *bdev, unsigned int cmd,
				   void __user *argp)
{
	return -ENOIOCTLCMD;
}

#endif /* CONFIG_BLK_FILTER */
#endif /* BLK_FILTER_INTERNAL_H */
