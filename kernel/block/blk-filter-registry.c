// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block device filters: which kinds of filters there are, by name, and who
 * says what a new device begins with.
 */
#include <linux/blk-filter.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include "blk-filter.h"

/* protects both; what is called under it must not sleep */
static DEFINE_SPINLOCK(registry_lock);
static LIST_HEAD(registered);
static const struct blk_filter_keeper *keeper;

static struct blk_filter_ops *find_ops(const char *name)
{
	struct blk_filter_ops *ops;

	lockdep_assert_held(&registry_lock);

	list_for_each_entry(ops, &registered, link)
		if (!strcmp(ops->name, name))
			return ops;
	return NULL;
}

/* Returns the ops with their module held, NULL if there are none. */
struct blk_filter_ops *blk_filter_get_ops(const char *name)
{
	struct blk_filter_ops *ops;

	spin_lock(&registry_lock);
	ops = find_ops(name);
	if (ops && !try_module_get(ops->owner))
		ops = NULL;
	spin_unlock(&registry_lock);
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

	spin_lock(&registry_lock);
	if (find_ops(ops->name))
		ret = -EEXIST;
	else
		list_add_tail(&ops->link, &registered);
	spin_unlock(&registry_lock);
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
	spin_lock(&registry_lock);
	list_del(&ops->link);
	spin_unlock(&registry_lock);
}
EXPORT_SYMBOL_GPL(blk_filter_unregister);

/**
 * blk_filter_set_keeper - name who says what a new device begins with
 * @new: borrowed until it is unset; NULL unsets it
 *
 * When this has returned, the keeper before is not called any more.
 *
 * Return: 0; -EBUSY there is one.
 */
int blk_filter_set_keeper(const struct blk_filter_keeper *new)
{
	int ret = 0;

	spin_lock(&registry_lock);
	if (new && keeper)
		ret = -EBUSY;
	else
		keeper = new;
	spin_unlock(&registry_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(blk_filter_set_keeper);

/*
 * Asks the keeper for the filter of a new device. Returns true with the name
 * filled and the keeper's module held, false if there is none.
 */
bool blk_filter_get_kept(dev_t devt, char *name, struct module **ret_holder)
{
	bool kept = false;

	spin_lock(&registry_lock);
	if (keeper && try_module_get(keeper->owner)) {
		*ret_holder = keeper->owner;
		kept = keeper->kept(devt, name);
		if (!kept)
			module_put(keeper->owner);
	}
	spin_unlock(&registry_lock);
	return kept;
}
