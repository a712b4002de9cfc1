// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block device filters.
 *
 * Who excludes whom:
 *
 * - bd_filter_mutex, one per device, serializes attach, detach and ctl. It is
 *   held across the filter's callbacks, so one that hangs holds up its own
 *   device only. The removal of the device does not take it.
 * - blk_filter_lock, a spinlock, protects every change of a device's bd_filter,
 *   bd_filter_mark and bd_filter_gone. It is where attach and detach meet the
 *   removal of the device: whoever finds the pointer there takes it away, and
 *   once bd_filter_gone is set, none comes.
 * - q_usage_counter of the device's queue is held by whoever calls ->submit_bio.
 *   A filter is first taken away, then the queue is frozen: when that is done
 *   no callback runs, and none will.
 * - The device's reference to the filter, and one of a ctl that runs. The last
 *   one to go calls ->detach: the removal of a device need not wait for a ctl.
 * - The name, for sysfs, lives as long as RCU readers do.
 * - A device that nobody can open yet has no I/O and nobody to exclude.
 *
 * Order: bd_filter_mutex, then what freeze_bdev() takes, then the freeze of the
 * queue, then blk_filter_lock. On the removal side: open_mutex, then the freeze
 * of the queue, then blk_filter_lock.
 */
#define pr_fmt(fmt) "blk-filter: " fmt

#include <linux/bio.h>
#include <linux/blk-filter.h>
#include <linux/blk-mq.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "blk.h"
#include "blk-filter.h"

#define MARK_MAX	(BIO_FILTER_MASK >> BIO_FILTER_SHIFT)

static DEFINE_SPINLOCK(blk_filter_lock);

/*
 * Makes what blk_filter_attach() attaches, with both modules held: -ENOENT,
 * -ENOMEM.
 */
static struct blk_filter *filter_new(struct block_device *bdev,
				     const char *name, struct module *holder)
{
	struct blk_filter *filter;
	struct blk_filter_ops *ops;

	ops = blk_filter_get_ops(name);
	if (!ops)
		return ERR_PTR(-ENOENT);

	filter = kzalloc(sizeof(*filter), GFP_KERNEL);
	if (!filter) {
		module_put(ops->owner);
		return ERR_PTR(-ENOMEM);
	}
	filter->bdev = bdev;
	filter->ops = ops;
	filter->holder = holder;
	__module_get(holder);
	refcount_set(&filter->refs, 1);
	strscpy(filter->name, ops->name, sizeof(filter->name));
	return filter;
}

/* After ->detach, or when ->attach has not succeeded. */
static void filter_free(struct blk_filter *filter)
{
	module_put(filter->holder);
	module_put(filter->ops->owner);
	kfree_rcu(filter, rcu);
}

static void filter_put(struct blk_filter *filter)
{
	if (!refcount_dec_and_test(&filter->refs))
		return;
	filter->ops->detach(filter);
	filter_free(filter);
}

/*
 * Dead is what can no longer be opened, though descriptors of it may be left.
 * Answers for good only under blk_filter_lock, elsewhere it saves work.
 */
static bool bdev_is_dead(struct block_device *bdev)
{
	return bdev->bd_filter_gone || inode_unhashed(bdev->bd_inode) ||
	       test_bit(GD_DEAD, &bdev->bd_disk->state);
}

/* Only under bd_filter_mutex: then no other filter can come. */
static struct blk_filter *current_filter(struct block_device *bdev)
{
	return rcu_dereference_protected(bdev->bd_filter,
				lockdep_is_held(&bdev->bd_filter_mutex));
}

/*
 * Waits until the bios that were submitted so far are with the driver (on
 * request-based devices: have been completed) and no callback runs.
 */
static void wait_for_bios(struct block_device *bdev)
{
	struct request_queue *q = bdev_get_queue(bdev);

	blk_mq_freeze_queue(q);
	blk_mq_unfreeze_queue(q);
}

/*
 * A file system that its owner has frozen cannot be frozen once more (EBUSY),
 * but it is as quiet as it can be. The bios that come all the same are taken
 * care of by the freeze of the queue.
 */
static int freeze_fs(struct block_device *bdev, bool *ret_frozen)
{
	int ret = freeze_bdev(bdev);

	*ret_frozen = !ret;
	return ret == -EBUSY ? 0 : ret;
}

static void set_filter(struct block_device *bdev, struct blk_filter *filter)
{
	lockdep_assert_held(&blk_filter_lock);

	/*
	 * Unlike a flag the mark tells the bios that this filter has seen from
	 * those that an earlier one has.
	 */
	filter->mark = bdev->bd_filter_mark % MARK_MAX + 1;
	bdev->bd_filter_mark = filter->mark;
	rcu_assign_pointer(bdev->bd_filter, filter);
}

static int publish(struct block_device *bdev, struct blk_filter *filter)
{
	struct request_queue *q = bdev_get_queue(bdev);
	bool frozen;
	int ret;

	ret = freeze_fs(bdev, &frozen);
	if (ret)
		return bdev_is_dead(bdev) ? -ENODEV : ret;

	blk_mq_freeze_queue(q);
	spin_lock(&blk_filter_lock);
	if (bdev_is_dead(bdev))
		ret = -ENODEV;
	else
		set_filter(bdev, filter);
	spin_unlock(&blk_filter_lock);
	blk_mq_unfreeze_queue(q);

	if (frozen)
		thaw_bdev(bdev);
	return ret;
}

/* Returns false if there was no filter. */
static bool unpublish(struct block_device *bdev, bool gone)
{
	struct blk_filter *filter;

	spin_lock(&blk_filter_lock);
	if (gone)
		bdev->bd_filter_gone = true;
	filter = rcu_replace_pointer(bdev->bd_filter, NULL,
				     lockdep_is_held(&blk_filter_lock));
	spin_unlock(&blk_filter_lock);

	if (!filter)
		return false;
	wait_for_bios(bdev);
	filter_put(filter);
	return true;
}

/**
 * blk_filter_attach - attach a filter to a device
 * @bdev: the device, open
 * @name: of a registered filter
 * @opt: user memory with the filter's options, @optlen bytes
 * @optlen: bytes, 0 for none
 * @holder: the caller's module, which is held while the filter is attached;
 *	may be NULL
 *
 * When this returns 0, the filter sees every bio that reaches the driver from
 * now on. Sleeps, possibly for long.
 *
 * Return: 0; -ENOENT not registered; -ENODEV the device has been removed;
 * -EALREADY this filter is attached; -EBUSY another one is; -ENOMEM; -EINTR
 * killed while waiting for another call on this device; else the error of
 * freezing the file system or of the filter.
 */
int blk_filter_attach(struct block_device *bdev, const char *name,
		      const void __user *opt, u32 optlen,
		      struct module *holder)
{
	struct blk_filter *filter, *present;
	int ret;

	filter = filter_new(bdev, name, holder);
	if (IS_ERR(filter))
		return PTR_ERR(filter);

	ret = mutex_lock_killable(&bdev->bd_filter_mutex);
	if (ret)
		goto free;

	ret = -ENODEV;
	if (bdev_is_dead(bdev))
		goto unlock;

	rcu_read_lock();
	present = rcu_dereference(bdev->bd_filter);
	ret = !present ? 0 : strcmp(present->name, name) ? -EBUSY : -EALREADY;
	rcu_read_unlock();
	if (ret)
		goto unlock;

	ret = filter->ops->attach(filter, opt, optlen);
	if (ret)
		goto unlock;

	ret = publish(bdev, filter);
	if (ret)
		filter->ops->detach(filter);
unlock:
	mutex_unlock(&bdev->bd_filter_mutex);
free:
	if (ret)
		filter_free(filter);
	return ret;
}
EXPORT_SYMBOL_GPL(blk_filter_attach);

/**
 * blk_filter_detach - detach a device's filter
 * @bdev: the device, open
 * @name: of the filter that is expected to be attached
 *
 * When this returns 0, no callback of the filter runs for this device. Sleeps,
 * possibly for long.
 *
 * Return: 0; -ENODEV the device has been removed, and its filter with it;
 * -ENOENT nothing is attached; -EINVAL another filter is; -EINTR killed while
 * waiting for another call on this device.
 */
int blk_filter_detach(struct block_device *bdev, const char *name)
{
	struct blk_filter *filter;
	bool frozen;
	int ret;

	ret = mutex_lock_killable(&bdev->bd_filter_mutex);
	if (ret)
		return ret;

	rcu_read_lock();
	filter = rcu_dereference(bdev->bd_filter);
	if (bdev_is_dead(bdev))
		ret = -ENODEV;
	else if (!filter)
		ret = -ENOENT;
	else if (strcmp(filter->name, name))
		ret = -EINVAL;
	rcu_read_unlock();
	if (ret)
		goto unlock;

	/*
	 * A file system that is too broken to be frozen must not keep its
	 * filter for ever; the freeze of the queue is what safety rests on.
	 */
	freeze_fs(bdev, &frozen);
	if (!unpublish(bdev, false))
		ret = -ENODEV;
	if (frozen)
		thaw_bdev(bdev);
unlock:
	mutex_unlock(&bdev->bd_filter_mutex);
	return ret;
}
EXPORT_SYMBOL_GPL(blk_filter_detach);

/**
 * blk_filter_ctl - hand a command to a device's filter
 * @bdev: the device, open
 * @name: of the filter that is expected to be attached
 * @cmd: command, known to the filter only
 * @opt: user memory, @optlen bytes
 * @optlen: bytes
 * @another: the error if another filter is attached, in which the interfaces
 *	differ
 *
 * Return: what the filter answers; -ENODEV the device has been removed;
 * -ENOENT nothing is attached; @another; -ENOTTY the filter takes no commands;
 * -EINTR killed while waiting for another call on this device.
 */
int blk_filter_ctl(struct block_device *bdev, const char *name,
		   unsigned int cmd, void __user *opt, u32 optlen, int another)
{
	struct blk_filter *filter;
	int ret;

	ret = mutex_lock_killable(&bdev->bd_filter_mutex);
	if (ret)
		return ret;

	spin_lock(&blk_filter_lock);
	filter = current_filter(bdev);
	if (bdev_is_dead(bdev))
		ret = -ENODEV;
	else if (!filter)
		ret = -ENOENT;
	else if (strcmp(filter->name, name))
		ret = another;
	else if (!filter->ops->ctl)
		ret = -ENOTTY;
	else
		refcount_inc(&filter->refs);
	spin_unlock(&blk_filter_lock);
	if (ret)
		goto unlock;

	ret = filter->ops->ctl(filter, cmd, opt, optlen);
	filter_put(filter);
unlock:
	mutex_unlock(&bdev->bd_filter_mutex);
	return ret;
}
EXPORT_SYMBOL_GPL(blk_filter_ctl);

/**
 * blk_filter_add - a device is about to appear
 * @bdev: a partition or a whole disk with its number, which nobody can open yet
 *
 * Puts the filter on it that the keeper names, if there is one.
 */
void blk_filter_add(struct block_device *bdev)
{
	char name[BLKFILTER_NAME_LENGTH];
	struct blk_filter *filter;
	struct module *holder;
	int ret;

	if (!blk_filter_get_kept(bdev->bd_dev, name, &holder))
		return;

	filter = filter_new(bdev, name, holder);
	ret = PTR_ERR_OR_ZERO(filter);
	if (!ret) {
		ret = filter->ops->attach(filter, NULL, 0);
		if (ret)
			filter_free(filter);
	}
	if (ret) {
		pr_warn("%pg: cannot put %s back: error %d\n", bdev, name, ret);
		goto put_holder;
	}
	spin_lock(&blk_filter_lock);
	set_filter(bdev, filter);
	spin_unlock(&blk_filter_lock);
put_holder:
	module_put(holder);
}

/**
 * blk_filter_drop - what is behind the device has been exchanged
 * @bdev: the device, which stays
 *
 * Detaches its filter, if there is one: it was meant for what was there before.
 */
void blk_filter_drop(struct block_device *bdev)
{
	unpublish(bdev, false);
}

/**
 * blk_filter_remove - the device goes away
 * @bdev: a partition, with open_mutex of its disk held, or a whole disk, whose
 *	queue del_gendisk() has drained
 *
 * Detaches its filter, if there is one; none can be attached any more. Waits
 * for a callback of ->submit_bio that runs, but for no attach, detach or ctl.
 */
void blk_filter_remove(struct block_device *bdev)
{
	unpublish(bdev, true);
}

/* The slow path of blk_filter_bio(). */
bool __blk_filter_bio(struct bio *bio)
{
	struct blk_filter *filter;

	/* q_usage_counter, which the caller holds, keeps the filter */
	filter = rcu_dereference_raw(bio->bi_bdev->bd_filter);
	if (!filter)
		return true;

	/*
	 * The rest of a bio that was split, and one that a driver or the
	 * filter submits again, has been here before.
	 */
	if ((bio->bi_flags & BIO_FILTER_MASK) >> BIO_FILTER_SHIFT ==
	    filter->mark)
		return true;
	bio->bi_flags &= ~BIO_FILTER_MASK;
	bio->bi_flags |= filter->mark << BIO_FILTER_SHIFT;

	return filter->ops->submit_bio(filter, bio);
}
