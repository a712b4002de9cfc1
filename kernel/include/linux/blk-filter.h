/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Block device filters: what a filter module needs, and a module that offers
 * another interface to user space.
 */
#ifndef _LINUX_BLK_FILTER_H
#define _LINUX_BLK_FILTER_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <uapi/linux/blk-filter.h>

struct bio;
struct blk_filter;
struct block_device;
struct module;

/**
 * struct blk_filter_ops - a kind of filter
 * @name: what user space calls it: not empty, shorter than
 *	BLKFILTER_NAME_LENGTH; must not change while registered
 * @owner: THIS_MODULE; held while the filter is attached anywhere
 * @attach: sets up @private of a filter for its device; may sleep, nothing is
 *	frozen. Its options are optlen bytes of user memory at opt, 0 for none;
 *	a filter that takes none answers -EINVAL to others. Called by the
 *	ioctl, or, without options, while the device is made: it must not open
 *	it, nor submit I/O to it. An error (negative errno) becomes that of the
 *	ioctl
 * @detach: undoes @attach. No other callback runs any more for this filter.
 *	May sleep. Called from the ioctl, or by whoever removes the device,
 *	and then with locks of that device held: it must not open the device,
 *	nor submit I/O to it and wait
 * @ctl: handles a command of user space; may sleep. One at a time per device,
 *	never together with @attach. May be NULL: the filter takes no commands
 * @submit_bio: sees a bio before the driver does, exactly once, with
 *	q_usage_counter of the device's queue held: no detach can complete
 *	meanwhile, nor a freeze of the queue. bi_iter.bi_sector counts from the
 *	start of the disk, also on partitions (see bd_start_sect). Returns true
 *	to let the bio pass. After false the bio belongs to the filter, which
 *	ends it, or submits it again later (it then passes); @detach waits for
 *	such bios. May sleep for memory (GFP_NOIO), but must not wait for I/O
 *	that it has submitted: that is queued until it returns
 */
struct blk_filter_ops {
	const char *name;
	struct module *owner;
	int (*attach)(struct blk_filter *filter, const void __user *opt,
		      u32 optlen);
	void (*detach)(struct blk_filter *filter);
	int (*ctl)(struct blk_filter *filter, unsigned int cmd,
		   void __user *opt, u32 optlen);
	bool (*submit_bio)(struct blk_filter *filter, struct bio *bio);

	/* private to the core */
	struct list_head link;
};

/**
 * struct blk_filter - one filter on one device
 * @bdev: the device
 * @ops: what kind of filter it is
 * @private: for the filter's use
 */
struct blk_filter {
	struct block_device *bdev;
	const struct blk_filter_ops *ops;
	void *private;

	/* private to the core */
	struct module *holder;
	refcount_t refs;
	u8 mark;			/* 1 to 7, see BIO_FILTER_MASK */
	char name[BLKFILTER_NAME_LENGTH];
	struct rcu_head rcu;
};

/**
 * struct blk_filter_keeper - says which filter a new device begins with
 * @owner: THIS_MODULE
 * @kept: asked for each disk and partition before anybody can open it. Fills
 *	name (BLKFILTER_NAME_LENGTH bytes) and returns true if the filter of
 *	that name is to be put on the device of this number. Must not sleep
 */
struct blk_filter_keeper {
	struct module *owner;
	bool (*kept)(dev_t devt, char *name);
};

int blk_filter_register(struct blk_filter_ops *ops);
void blk_filter_unregister(struct blk_filter_ops *ops);

int blk_filter_attach(struct block_device *bdev, const char *name,
		      const void __user *opt, u32 optlen,
		      struct module *holder);
int blk_filter_detach(struct block_device *bdev, const char *name);
int blk_filter_ctl(struct block_device *bdev, const char *name,
		   unsigned int cmd, void __user *opt, u32 optlen, int another);
int blk_filter_set_keeper(const struct blk_filter_keeper *new);

#endif /* _LINUX_BLK_FILTER_H */
