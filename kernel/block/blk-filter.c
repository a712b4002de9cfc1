// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block device filters.
 *
 * Who excludes whom:
 *
 * - bd_filter_mutex, one per device, serializes attach, detach and ctl. It is
 *   held across the filter's callbacks, so one that hangs holds up its own
 *   device only. The removal of the device does not take it.
 * - blk_filter_lock, a spinlock, protects the list of registered filters, and
 *   every change of a device's bd_filter, bd_filter_mark and bd_filter_gone. It
 *   is where attach and detach meet the removal of the device: whoever finds
 *   the pointer there takes it away, and once bd_filter_gone is set, none comes.
 * - q_usage_counter of the device's queue is held by whoever calls ->submit_bio.
 *   A filter is first taken away, then the queue is frozen: when that is done
 *   no callback runs, and none will.
 * - The device's reference to the filter, and one of a ctl that runs. The last
 *   one to go calls ->detach: the removal of a device need not wait for a ctl.
 * - The name, for sysfs, lives as long as RCU readers do.
 *
 * Order: bd_filter_mutex, then what freeze_bdev() takes, then the freeze of the
 * queue, then blk_filter_lock. On the removal side: open_mutex, then the freeze
 * of the queue, then blk_filter_lock.
 */
#include <linux/bio.h>
#include <linux/blk-filter.h>
#include <linux/blk-mq.h>
#include <linux/device.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include "blk.h"
#include "blk-filter.h"

#define MARK_MAX	(BIO_FILTER_MASK >> BIO_FILTER_SHIFT)

static DEFINE_SPINLOCK(blk_filter_lock);
static LIST_HEAD(registered);

static struct blk_filter_ops *find_ops(const char *name)
{
	struct blk_filter_ops *ops;

	lockdep_assert_held(&blk_filter_lock);

	list_for_each_entry(ops, &registered, link)
		if (!strcmp(ops->name, name))
			return ops;
	return NULL;
}

/* Returns the ops with their module held, NULL if there are none. */
static struct blk_filter_ops *get_ops(const char *name)
{
	struct blk_filter_ops *ops;

	spin_lock(&blk_filter_lock);
	ops = find_ops(name);
	if (ops && !try_module_get(ops->owner))
		ops = NULL;
	spin_unlock(&blk_filter_lock);
	return ops;
}

/**
 * blk_filter_register - make a kind of filter known by its name
 * @ops: borrowed until blk_filter_unregister()
 *
 * Return: 0; -EINVAL if the name's length is wrong or a callback is missing;
 * -EEXIST if the name is taken.
 */
int blk_filter_register(struct blk_filter_ops *ops)
{
	int ret = 0;

	if (!ops->name || !*ops->name ||
	    strlen(ops->name) >= BLKFILTER_NAME_LENGTH)
		return -EINVAL;
	if (!ops->attach || !ops->detach || !ops->submit_bio)
		return -EINVAL;

	spin_lock(&blk_filter_lock);
	if (find_ops(ops->name))
		ret = -EEXIST;
	else
		list_add_tail(&ops->link, &registered);
	spin_unlock(&blk_filter_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(blk_filter_register);

/**
 * blk_filter_unregister - undo blk_filter_register()
 * @ops: as registered
 *
 * For the exit function of the module only: that it runs proves that no filter
 * of this kind is attached, for each holds the module.
 */
void blk_filter_unregister(struct blk_filter_ops *ops)
{
	spin_lock(&blk_filter_lock);
	list_del(&ops->link);
	spin_unlock(&blk_filter_lock);
}
EXPORT_SYMBOL_GPL(blk_filter_unregister);

static void filter_put(struct blk_filter *filter)
{
	const struct blk_filter_ops *ops = filter->ops;

	if (!refcount_dec_and_test(&filter->refs))
		return;
	ops->detach(filter);
	module_put(ops->owner);
	kfree_rcu(filter, rcu);
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
	if (bdev_is_dead(bdev)) {
		ret = -ENODEV;
	} else {
		/*
		 * Unlike a flag this tells the bios that this filter has seen
		 * from those that an earlier one has.
		 */
		filter->mark = bdev->bd_filter_mark % MARK_MAX + 1;
		bdev->bd_filter_mark = filter->mark;
		rcu_assign_pointer(bdev->bd_filter, filter);
	}
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
 *
 * When this returns 0, the filter sees every bio that reaches the driver from
 * now on. Sleeps, possibly for long.
 *
 * Return: 0; -ENOENT not registered; -ENODEV the device has been removed;
 * -EALREADY this filter is attached; -EBUSY another one is; -ENOMEM; -EINTR
 * killed while waiting for another call on this device; else the error of
 * freezing the file system or of the filter.
 */
int blk_filter_attach(struct block_device *bdev, const char *name)
{
	struct blk_filter *filter, *present;
	struct blk_filter_ops *ops;
	int ret;

	ops = get_ops(name);
	if (!ops)
		return -ENOENT;

	ret = -ENOMEM;
	filter = kzalloc(sizeof(*filter), GFP_KERNEL);
	if (!filter)
		goto put_module;
	filter->bdev = bdev;
	filter->ops = ops;
	refcount_set(&filter->refs, 1);
	strscpy(filter->name, ops->name, sizeof(filter->name));

	ret = mutex_lock_killable(&bdev->bd_filter_mutex);
	if (ret)
		goto free_filter;

	ret = -ENODEV;
	if (bdev_is_dead(bdev))
		goto unlock;

	rcu_read_lock();
	present = rcu_dereference(bdev->bd_filter);
	ret = !present ? 0 : strcmp(present->name, name) ? -EBUSY : -EALREADY;
	rcu_read_unlock();
	if (ret)
		goto unlock;

	ret = ops->attach(filter);
	if (ret)
		goto unlock;

	ret = publish(bdev, filter);
	if (ret)
		ops->detach(filter);
unlock:
	mutex_unlock(&bdev->bd_filter_mutex);
	if (!ret)
		return 0;
free_filter:
	kfree(filter);
put_module:
	module_put(ops->owner);
	return ret;
}

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

/**
 * blk_filter_ctl - hand a command to a device's filter
 * @bdev: the device, open
 * @name: of the filter that is expected to be attached
 * @cmd: command, known to the filter only
 * @opt: user memory, @optlen bytes
 * @optlen: bytes
 *
 * Return: what the filter answers; -ENODEV the device has been removed;
 * -ENOENT that filter is not attached; -ENOTTY it takes no commands; -EINTR
 * killed while waiting for another call on this device.
 */
int blk_filter_ctl(struct block_device *bdev, const char *name,
		   unsigned int cmd, void __user *opt, u32 optlen)
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
	else if (!filter || strcmp(filter->name, name))
		ret = -ENOENT;
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

static ssize_t filter_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	struct blk_filter *filter;
	ssize_t ret;

	rcu_read_lock();
	filter = rcu_dereference(dev_to_bdev(dev)->bd_filter);
	ret = sysfs_emit(buf, "%s\n", filter ? filter->name : "");
	rcu_read_unlock();
	return ret;
}

struct device_attribute dev_attr_filter = __ATTR_RO(filter);
