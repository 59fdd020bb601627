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

/* Whether @file, too, can do what the VFS has seen that the overlay's file can do, and may. */
int vfs_shim_check_request(const struct file *file, int flags)
{
	if (flags & IOCB_DIRECT && !(file->f_mode & FMODE_CAN_ODIRECT))
		return -EINVAL;
	if (flags & IOCB_NOWAIT && !(file->f_mode & FMODE_NOWAIT))
		return -EOPNOTSUPP;
	if (flags & IOCB_DONTCACHE &&
	    (!(file->f_op->fop_flags & FOP_DONTCACHE) || IS_DAX(file_inode(file))))
		return -EOPNOTSUPP;
	if (flags & IOCB_ATOMIC && !(file->f_mode & FMODE_CAN_ATOMIC_WRITE))
		return -EOPNOTSUPP;
	/* RWF_NOAPPEND */
	if (file->f_flags & O_APPEND && !(flags & IOCB_APPEND) && IS_APPEND(file_inode(file)))
		return -EPERM;
	return 0;
}

/*
 * Makes the request one for @file, which takes fewer steps than a second one: it is the
 * caller's until it is complete, and that is when it has been waited for.
 *
 * What @file is asked for is what the overlay's file was asked for, and what the layer's
 * inode asks for itself (S_SYNC).
 */
static __always_inline ssize_t lend(struct kiocb *iocb, struct file *file, int flags,
				    struct iov_iter *iter, const struct cred *cred,
				    ssize_t (*io)(struct file *, struct kiocb *, struct iov_iter *))
{
	struct file *user = iocb->ki_filp;
	int user_flags = iocb->ki_flags;
	ssize_t ret;

	iocb->ki_filp = file;
	iocb->ki_flags = flags | (file->f_iocb_flags & (IOCB_DSYNC | IOCB_SYNC));
	scoped_with_creds(cred)
		ret = io(file, iocb, iter);
	iocb->ki_filp = user;
	iocb->ki_flags = user_flags;
	return ret;
}

ssize_t vfs_shim_read_lent(struct file *file, struct iov_iter *iter, struct kiocb *iocb,
			   const struct cred *cred)
{
	return lend(iocb, file, iocb->ki_flags, iter, cred, vfs_iocb_iter_read);
}

ssize_t vfs_shim_write_lent(struct file *file, struct iov_iter *iter, struct kiocb *iocb,
			    int flags, const struct cred *cred)
{
	return lend(iocb, file, flags, iter, cred, vfs_iocb_iter_write);
}
