// SPDX-License-Identifier: GPL-2.0
/*
 * Reading and writing by a backing file, with all flags of the request.
 *
 * A request that is waited for is handed on here: backing_file_read_iter() and
 * backing_file_write_iter() drop IOCB_ATOMIC and IOCB_DONTCACHE of it, as of 7.3,
 * so that an atomic write would be a torn one, and take more steps.  Others go by
 * the kernel's functions, which know how to complete them.
 */
#include <linux/backing-file.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/uio.h>
#include "shims.h"

/* The VFS has only seen what the overlay's file can do. */
static int check_flags(const struct file *file, int flags)
{
	if (flags & IOCB_DONTCACHE &&
	    (!(file->f_op->fop_flags & FOP_DONTCACHE) || IS_DAX(file_inode(file))))
		return -EOPNOTSUPP;
	if (flags & IOCB_ATOMIC && !(file->f_mode & FMODE_CAN_ATOMIC_WRITE))
		return -EOPNOTSUPP;
	return 0;
}

static int init_own(struct kiocb *own, struct file *file, const struct kiocb *iocb, int flags,
		    int rw)
{
	int handed_on = IOCB_NOWAIT | IOCB_HIPRI | IOCB_DSYNC | IOCB_SYNC | IOCB_APPEND |
			IOCB_ATOMIC | IOCB_DONTCACHE;

	if (iocb->ki_flags & IOCB_DIRECT && !(file->f_mode & FMODE_CAN_ODIRECT))
		return -EINVAL;
	init_sync_kiocb(own, file);
	own->ki_pos = iocb->ki_pos;
	/* RWF_NOAPPEND has taken it away. */
	if (!(flags & IOCB_APPEND))
		own->ki_flags &= ~IOCB_APPEND;
	return kiocb_set_rw_flags(own, (__force rwf_t)(flags & handed_on), rw);
}

ssize_t vfs_shim_backing_read_iter(struct file *file, struct iov_iter *iter, struct kiocb *iocb,
				   struct backing_file_ctx *ctx)
{
	int flags = iocb->ki_flags;
	struct kiocb own;
	ssize_t ret = check_flags(file, flags);

	if (ret)
		return ret;
	if (!is_sync_kiocb(iocb))
		return backing_file_read_iter(file, iter, iocb, flags, ctx);
	ret = init_own(&own, file, iocb, flags, READ);
	if (ret)
		return ret;
	scoped_with_creds(ctx->cred)
		ret = vfs_iocb_iter_read(file, &own, iter);
	iocb->ki_pos = own.ki_pos;
	ctx->accessed(iocb->ki_filp);
	return ret;
}

ssize_t vfs_shim_backing_write_iter(struct file *file, struct iov_iter *iter, struct kiocb *iocb,
				    int flags, struct backing_file_ctx *ctx)
{
	struct kiocb own;
	ssize_t ret = check_flags(file, flags);

	if (ret)
		return ret;
	if (!is_sync_kiocb(iocb))
		return backing_file_write_iter(file, iter, iocb, flags, ctx);
	if (file->f_flags & O_APPEND && !(flags & IOCB_APPEND) && IS_APPEND(file_inode(file)))
		return -EPERM;
	ret = file_remove_privs(iocb->ki_filp);
	if (ret)
		return ret;
	ret = init_own(&own, file, iocb, flags, WRITE);
	if (ret)
		return ret;
	scoped_with_creds(ctx->cred)
		ret = vfs_iocb_iter_write(file, &own, iter);
	iocb->ki_pos = own.ki_pos;
	ctx->end_write(iocb, ret);
	return ret;
}
