// SPDX-License-Identifier: GPL-2.0-only
/*
 * bfcount: a block device filter that counts. See uapi/linux/bfcount.h.
 *
 * Counters are per CPU and only ever grow; a reset remembers their sum. So
 * the path of a bio takes no lock, and a reset loses nothing that is counted
 * meanwhile.
 */
#include <linux/bio.h>
#include <linux/blk-filter.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/bfcount.h>

struct bfcount {
	struct bfcount_counters __percpu *counters;
	struct bfcount_counters base;	/* sum at the latest reset */
};

static bool bfcount_submit_bio(struct blk_filter *filter, struct bio *bio)
{
	struct bfcount_counters __percpu *c =
		((struct bfcount *)filter->private)->counters;
	u32 bytes = bio->bi_iter.bi_size;

	if (bio->bi_opf & REQ_PREFLUSH)
		this_cpu_inc(c->flushes);

	switch (bio_op(bio)) {
	case REQ_OP_READ:
		this_cpu_inc(c->reads);
		this_cpu_add(c->read_bytes, bytes);
		break;
	case REQ_OP_WRITE:
	case REQ_OP_ZONE_APPEND:
	case REQ_OP_WRITE_ZEROES:
		/* an empty one is a flush and nothing else */
		if (!bytes)
			break;
		this_cpu_inc(c->writes);
		this_cpu_add(c->write_bytes, bytes);
		break;
	case REQ_OP_DISCARD:
	case REQ_OP_SECURE_ERASE:
		this_cpu_inc(c->discards);
		break;
	default:
		break;
	}
	return true;
}

static void bfcount_sum(struct bfcount *bf, struct bfcount_counters *ret)
{
	int cpu;

	memset(ret, 0, sizeof(*ret));
	for_each_possible_cpu(cpu) {
		struct bfcount_counters *c = per_cpu_ptr(bf->counters, cpu);

		ret->reads += READ_ONCE(c->reads);
		ret->writes += READ_ONCE(c->writes);
		ret->read_bytes += READ_ONCE(c->read_bytes);
		ret->write_bytes += READ_ONCE(c->write_bytes);
		ret->discards += READ_ONCE(c->discards);
		ret->flushes += READ_ONCE(c->flushes);
	}
}

static int bfcount_ctl(struct blk_filter *filter, unsigned int cmd,
		       void __user *opt, u32 optlen)
{
	struct bfcount *bf = filter->private;
	struct bfcount_counters sum;

	switch (cmd) {
	case BFCOUNT_READ:
		if (optlen < sizeof(sum))
			return -EINVAL;
		bfcount_sum(bf, &sum);
		sum.reads -= bf->base.reads;
		sum.writes -= bf->base.writes;
		sum.read_bytes -= bf->base.read_bytes;
		sum.write_bytes -= bf->base.write_bytes;
		sum.discards -= bf->base.discards;
		sum.flushes -= bf->base.flushes;
		return copy_to_user(opt, &sum, sizeof(sum)) ? -EFAULT : 0;
	case BFCOUNT_RESET:
		if (optlen)
			return -EINVAL;
		bfcount_sum(bf, &bf->base);
		return 0;
	default:
		return -EINVAL;
	}
}

static int bfcount_attach(struct blk_filter *filter, const void __user *opt,
			  u32 optlen)
{
	struct bfcount *bf;

	if (optlen)
		return -EINVAL;

	bf = kzalloc(sizeof(*bf), GFP_KERNEL);
	if (!bf)
		return -ENOMEM;
	bf->counters = alloc_percpu(struct bfcount_counters);
	if (!bf->counters) {
		kfree(bf);
		return -ENOMEM;
	}
	filter->private = bf;
	return 0;
}

static void bfcount_detach(struct blk_filter *filter)
{
	struct bfcount *bf = filter->private;

	free_percpu(bf->counters);
	kfree(bf);
}

static struct blk_filter_ops bfcount_ops = {
	.name		= "bfcount",
	.owner		= THIS_MODULE,
	.attach		= bfcount_attach,
	.detach		= bfcount_detach,
	.ctl		= bfcount_ctl,
	.submit_bio	= bfcount_submit_bio,
};

static int __init bfcount_init(void)
{
	return blk_filter_register(&bfcount_ops);
}
module_init(bfcount_init);

static void __exit bfcount_exit(void)
{
	blk_filter_unregister(&bfcount_ops);
}
module_exit(bfcount_exit);

MODULE_DESCRIPTION("Block device filter that counts reads, writes and bytes");
MODULE_LICENSE("GPL");
