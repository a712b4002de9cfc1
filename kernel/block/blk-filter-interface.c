// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block device filters: what user space meets of them is chosen at boot, on
 * the kernel's command line:
 *
 *	blk_filter.interface=blkfilter-1	the ioctls; the default
 *	blk_filter.interface=blkfilter-2
 *	blk_filter.interface=none		no ioctls, no attribute "filter";
 *						filters register all the same
 *	blk_filter.attribute=no			no attribute "filter"
 */
#define pr_fmt(fmt) "blk-filter: " fmt

#include <linux/blk-filter.h>
#include <linux/device.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include "blk-filter.h"

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "blk_filter."

enum blk_filter_interface blk_filter_interface __ro_after_init =
	BLK_FILTER_INTERFACE_1;
static bool has_attribute __ro_after_init = true;

static const char * const interface_names[] = {
	[BLK_FILTER_INTERFACE_NONE]	= "none",
	[BLK_FILTER_INTERFACE_1]	= "blkfilter-1",
	[BLK_FILTER_INTERFACE_2]	= "blkfilter-2",
};

static int interface_set(const char *val, const struct kernel_param *kp)
{
	int i = sysfs_match_string(interface_names, val);

	if (i < 0)
		pr_err("interface \"%s\" is not known, it stays %s; there are blkfilter-1, blkfilter-2, none\n",
		       val, interface_names[blk_filter_interface]);
	else
		blk_filter_interface = i;
	return 0;
}

static int interface_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", interface_names[blk_filter_interface]);
}

static const struct kernel_param_ops interface_ops = {
	.set = interface_set,
	.get = interface_get,
};

module_param_cb(interface, &interface_ops, NULL, 0444);
module_param_named(attribute, has_attribute, bool, 0444);

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

static DEVICE_ATTR_RO(filter);

static struct attribute *filter_attrs[] = {
	&dev_attr_filter.attr,
	NULL
};

static umode_t filter_visible(struct kobject *kobj, struct attribute *a, int n)
{
	if (!has_attribute || blk_filter_interface == BLK_FILTER_INTERFACE_NONE)
		return 0;
	return a->mode;
}

/* of disks and of partitions */
const struct attribute_group blk_filter_attr_group = {
	.attrs		= filter_attrs,
	.is_visible	= filter_visible,
};
