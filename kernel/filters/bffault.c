// SPDX-License-Identifier: GPL-2.0-only
/*
 * bffault: a block device filter that fails on demand. See
 * uapi/linux/bffault.h.
 */
#include <linux/bio.h>
#include <linux/blk-filter.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sysfs.h>
#include <linux/wait.h>
#include <linux/bffault.h>

static unsigned int attach_delay_ms;
module_param(attach_delay_ms, uint, 0644);
MODULE_PARM_DESC(attach_delay_ms, "how long an attach takes, in milliseconds");

static unsigned int attach_errno;
static unsigned int ctl_errno;
static bool attach_hang;
static bool io_hang;
static atomic_t io_running = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(hang_wait);

static int set_errno(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 0, MAX_ERRNO);
}

static const struct kernel_param_ops errno_ops = {
	.set = set_errno,
	.get = param_get_uint,
};

static int set_hang(const char *val, const struct kernel_param *kp)
{
	int ret = param_set_bool(val, kp);

	wake_up_all(&hang_wait);
	return ret;
}

static const struct kernel_param_ops hang_ops = {
	.set = set_hang,
	.get = param_get_bool,
};

static int get_running(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&io_running));
}

static const struct kernel_param_ops running_ops = {
	.get = get_running,
};

module_param_cb(attach_errno, &errno_ops, &attach_errno, 0644);
MODULE_PARM_DESC(attach_errno, "errno that an attach fails with, 0: succeeds");
module_param_cb(ctl_errno, &errno_ops, &ctl_errno, 0644);
MODULE_PARM_DESC(ctl_errno, "errno that every ctl fails with, 0: does not");
module_param_cb(attach_hang, &hang_ops, &attach_hang, 0644);
MODULE_PARM_DESC(attach_hang, "attaches wait until this is 0 again");
module_param_cb(io_hang, &hang_ops, &io_hang, 0644);
MODULE_PARM_DESC(io_hang, "writes wait until this is 0 again");
module_param_cb(io_running, &running_ops, NULL, 0444);
MODULE_PARM_DESC(io_running, "writes that are in the filter now");

static int bffault_attach(struct blk_filter *filter, const void __user *opt,
			  u32 optlen)
{
	if (optlen)
		return -EINVAL;

	msleep(READ_ONCE(attach_delay_ms));
	wait_event(hang_wait, !READ_ONCE(attach_hang));
	return -(int)READ_ONCE(attach_errno);
}

static void bffault_detach(struct blk_filter *filter)
{
}

static int bffault_ctl(struct blk_filter *filter, unsigned int cmd,
		       void __user *opt, u32 optlen)
{
	unsigned int err = READ_ONCE(ctl_errno);

	if (err)
		return -(int)err;
	return cmd == BFFAULT_NOP ? 0 : -EINVAL;
}

static bool bffault_submit_bio(struct blk_filter *filter, struct bio *bio)
{
	if (bio_op(bio) == REQ_OP_WRITE) {
		atomic_inc(&io_running);
		wait_event(hang_wait, !READ_ONCE(io_hang));
		atomic_dec(&io_running);
	}
	return true;
}

static struct blk_filter_ops bffault_ops = {
	.name		= "bffault",
	.owner		= THIS_MODULE,
	.attach		= bffault_attach,
	.detach		= bffault_detach,
	.ctl		= bffault_ctl,
	.submit_bio	= bffault_submit_bio,
};

static int __init bffault_init(void)
{
	return blk_filter_register(&bffault_ops);
}
module_init(bffault_init);

static void __exit bffault_exit(void)
{
	blk_filter_unregister(&bffault_ops);
}
module_exit(bffault_exit);

MODULE_DESCRIPTION("Block device filter that fails, delays or hangs on demand");
MODULE_LICENSE("GPL");
