// SPDX-License-Identifier: GPL-2.0-only
/*
 * bftrack: a block device filter that remembers which blocks were written. See
 * uapi/linux/bftrack.h.
 */
#include <linux/bio.h>
#include <linux/bitops.h>
#include <linux/blk-filter.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uuid.h>
#include <linux/bftrack.h>

#define MIN_BLOCK_SHIFT	12
#define MAX_BLOCKS	(64 * 1024 * 8)
#define MAX_BLOCKS_ASKED	(8 * 1024 * 1024 * 8)

struct bftrack {
	u64 size_bytes;		/* of the device at the attach */
	unsigned int shift;	/* log2 of the block size in bytes */
	u32 n_blocks;
	u32 clears;
	atomic64_t n_set;	/* bits set in map */
	u8 generation[16];
	unsigned long *map;	/* bytes in little-endian order of bits */
};

/* Sets the bits from first to last, inclusive. */
static void mark_blocks(struct bftrack *bt, u32 first, u32 last)
{
	u32 n_new = 0;

	while (first <= last) {
		if (IS_ALIGNED(first, BITS_PER_LONG) &&
		    last - first >= BITS_PER_LONG - 1) {
			/* a discard can cover all of the device */
			n_new += BITS_PER_LONG -
				hweight_long(xchg(&bt->map[first / BITS_PER_LONG], ~0UL));
			first += BITS_PER_LONG;
		} else {
			n_new += !test_and_set_bit_le(first, bt->map);
			first++;
		}
	}
	if (n_new)
		atomic64_add(n_new, &bt->n_set);
}

static bool bftrack_submit_bio(struct blk_filter *filter, struct bio *bio)
{
	struct bftrack *bt = filter->private;
	u64 first, last;

	switch (bio_op(bio)) {
	case REQ_OP_WRITE:
	case REQ_OP_WRITE_ZEROES:
	case REQ_OP_DISCARD:
	case REQ_OP_SECURE_ERASE:
		break;
	default:
		return true;
	}
	/* a flush */
	if (!bio_sectors(bio))
		return true;

	/* the block layer has already moved the bio to its place on the disk */
	first = bio->bi_iter.bi_sector - filter->bdev->bd_start_sect;
	last = first + bio_sectors(bio) - 1;
	first >>= bt->shift - SECTOR_SHIFT;
	last >>= bt->shift - SECTOR_SHIFT;

	if (first < bt->n_blocks)
		mark_blocks(bt, first, min_t(u64, last, bt->n_blocks - 1));
	return true;
}

static int bftrack_ctl_info(struct bftrack *bt, void __user *opt, u32 optlen)
{
	struct bftrack_info info = {
		.device_size_bytes	= bt->size_bytes,
		.block_size_bytes	= 1U << bt->shift,
		.block_count		= bt->n_blocks,
		.written_blocks		= atomic64_read(&bt->n_set),
		.clears			= bt->clears,
	};

	if (optlen < sizeof(info))
		return -EINVAL;
	memcpy(info.generation, bt->generation, sizeof(info.generation));
	return copy_to_user(opt, &info, sizeof(info)) ? -EFAULT : 0;
}

static int bftrack_ctl_map(struct bftrack *bt, void __user *opt, u32 optlen)
{
	struct bftrack_map arg;

	if (optlen < sizeof(arg))
		return -EINVAL;
	if (copy_from_user(&arg, opt, sizeof(arg)))
		return -EFAULT;
	if (arg.first_block > bt->n_blocks ||
	    arg.n_blocks > bt->n_blocks - arg.first_block)
		return -EINVAL;
	if (arg.first_block % 8 ||
	    (arg.n_blocks % 8 && arg.first_block + arg.n_blocks != bt->n_blocks))
		return -EINVAL;

	if (copy_to_user(u64_to_user_ptr(arg.buffer),
			 (u8 *)bt->map + arg.first_block / 8,
			 DIV_ROUND_UP(arg.n_blocks, 8)))
		return -EFAULT;
	return 0;
}

static int bftrack_ctl_clear(struct blk_filter *filter, u32 optlen)
{
	struct request_queue *q = bdev_get_queue(filter->bdev);
	struct bftrack *bt = filter->private;

	if (optlen)
		return -EINVAL;

	/*
	 * A write that was marked, but has not reached the device, would be
	 * forgotten: whoever reads the device after this sees the old data,
	 * and is never told of the new. So there must be none.
	 */
	blk_mq_freeze_queue(q);
	memset(bt->map, 0, BITS_TO_LONGS(bt->n_blocks) * sizeof(long));
	atomic64_set(&bt->n_set, 0);
	bt->clears++;
	blk_mq_unfreeze_queue(q);
	return 0;
}

static int bftrack_ctl(struct blk_filter *filter, unsigned int cmd,
		       void __user *opt, u32 optlen)
{
	struct bftrack *bt = filter->private;

	switch (cmd) {
	case BFTRACK_INFO:
		return bftrack_ctl_info(bt, opt, optlen);
	case BFTRACK_MAP:
		return bftrack_ctl_map(bt, opt, optlen);
	case BFTRACK_CLEAR:
		return bftrack_ctl_clear(filter, optlen);
	default:
		return -EINVAL;
	}
}

/* Reads the option into *shift, log2 of a block size in bytes. */
static int read_block_size(const void __user *opt, u32 optlen, u64 size_bytes,
			   unsigned int *shift)
{
	__le32 arg;
	u32 block;

	if (optlen != sizeof(arg))
		return -EINVAL;
	if (copy_from_user(&arg, opt, sizeof(arg)))
		return -EFAULT;
	block = le32_to_cpu(arg);
	if (!is_power_of_2(block) || block < BFTRACK_MIN_BLOCK_SIZE ||
	    block > BFTRACK_MAX_BLOCK_SIZE)
		return -EINVAL;
	*shift = ilog2(block);
	return (size_bytes - 1) >> *shift < MAX_BLOCKS_ASKED ? 0 : -EFBIG;
}

static int bftrack_attach(struct blk_filter *filter, const void __user *opt,
			  u32 optlen)
{
	u64 size_bytes = bdev_nr_bytes(filter->bdev);
	unsigned int shift = MIN_BLOCK_SHIFT;
	struct bftrack *bt;
	int ret;

	/* where an append lands is known only afterwards */
	if (bdev_is_zoned(filter->bdev))
		return -EOPNOTSUPP;
	if (!size_bytes)
		return -ENXIO;

	if (optlen) {
		ret = read_block_size(opt, optlen, size_bytes, &shift);
		if (ret)
			return ret;
	} else {
		while ((size_bytes - 1) >> shift >= MAX_BLOCKS)
			shift++;
	}

	bt = kzalloc(sizeof(*bt), GFP_KERNEL);
	if (!bt)
		return -ENOMEM;
	bt->size_bytes = size_bytes;
	bt->shift = shift;
	bt->n_blocks = ((size_bytes - 1) >> bt->shift) + 1;
	bt->map = kvcalloc(BITS_TO_LONGS(bt->n_blocks), sizeof(long), GFP_KERNEL);
	if (!bt->map) {
		kfree(bt);
		return -ENOMEM;
	}
	generate_random_uuid(bt->generation);
	filter->private = bt;
	return 0;
}

static void bftrack_detach(struct blk_filter *filter)
{
	struct bftrack *bt = filter->private;

	kvfree(bt->map);
	kfree(bt);
}

static struct blk_filter_ops bftrack_ops = {
	.name		= "bftrack",
	.owner		= THIS_MODULE,
	.attach		= bftrack_attach,
	.detach		= bftrack_detach,
	.ctl		= bftrack_ctl,
	.submit_bio	= bftrack_submit_bio,
};

static int __init bftrack_init(void)
{
	BUILD_BUG_ON(sizeof(struct bftrack_info) != 48);
	BUILD_BUG_ON(sizeof(struct bftrack_map) != 16);

	return blk_filter_register(&bftrack_ops);
}
module_init(bftrack_init);

static void __exit bftrack_exit(void)
{
	blk_filter_unregister(&bftrack_ops);
}
module_exit(bftrack_exit);

MODULE_DESCRIPTION("Block device filter that remembers which blocks were written");
MODULE_LICENSE("GPL");
