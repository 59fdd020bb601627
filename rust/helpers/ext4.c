// SPDX-License-Identifier: GPL-2.0
/*
 * Whether ext4 keeps its changes in order: what the super block says of the journal.
 *
 * The journal is in the private part of the super block. What is on the device says the
 * same, in a buffer that ext4 keeps and changes in place.
 */

#include <linux/blkdev.h>
#include <linux/buffer_head.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/unaligned.h>

#include "shims.h"

#define SUPER_OFFSET		1024
#define SUPER_MAGIC		0x38
#define SUPER_COMPAT		0x5c
#define SUPER_INCOMPAT		0x60
#define SUPER_JOURNAL_INUM	0xe0

#define COMPAT_HAS_JOURNAL	0x0004
#define COMPAT_FAST_COMMIT	0x0400
/* Set as long as changes go through the journal, so that a crash is seen. */
#define INCOMPAT_RECOVER	0x0004

bool vfs_shim_ext4_is_ordered(struct super_block *sb)
{
#if IS_ENABLED(CONFIG_BUFFER_HEAD)
	struct buffer_head *bh;
	const u8 *super;
	bool ordered;
	u32 compat;

	if (sb->s_magic != EXT4_SUPER_MAGIC || !sb->s_bdev)
		return false;
	bh = sb_bread(sb, SUPER_OFFSET / sb->s_blocksize);
	if (!bh)
		return false;
	super = (u8 *)bh->b_data + SUPER_OFFSET % sb->s_blocksize;
	compat = get_unaligned_le32(super + SUPER_COMPAT);
	/* A journal on another device says nothing of when this one has its data. */
	ordered = get_unaligned_le16(super + SUPER_MAGIC) == EXT4_SUPER_MAGIC &&
		  (compat & COMPAT_HAS_JOURNAL) && !(compat & COMPAT_FAST_COMMIT) &&
		  (get_unaligned_le32(super + SUPER_INCOMPAT) & INCOMPAT_RECOVER) &&
		  get_unaligned_le32(super + SUPER_JOURNAL_INUM);
	brelse(bh);
	return ordered;
#else
	return false;
#endif
}
