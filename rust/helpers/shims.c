// SPDX-License-Identifier: GPL-2.0
/*
 * C shims for crate `vfs`, see shims.h.  No policy lives here: what is more
 * than a call of an inline function is a composition of such calls that has to
 * happen under one spinlock.
 */
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/exportfs.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mnt_idmapping.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/ratelimit.h>
#include <linux/sched/signal.h>
#include <linux/security.h>
#include <linux/seq_file.h>
#include <linux/siphash.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/workqueue.h>
#include "shims.h"

#ifdef CONFIG_CFI
#error "operations with an enum argument would fail kCFI's type check; build with CONFIG_CFI=n"
#endif

const struct cred *vfs_shim_override_creds(const struct cred *cred)
{
	return override_creds(cred);
}

void vfs_shim_revert_creds(const struct cred *cred)
{
	revert_creds(cred);
}

struct dentry *vfs_shim_dget(struct dentry *dentry)
{
	return dget(dentry);
}

bool vfs_shim_d_unhashed(struct dentry *dentry)
{
	return d_unhashed(dentry);
}

void vfs_shim_d_update_flags(struct dentry *dentry, unsigned int mask, unsigned int flags)
{
	spin_lock(&dentry->d_lock);
	dentry->d_flags = (dentry->d_flags & ~mask) | (flags & mask);
	spin_unlock(&dentry->d_lock);
}

/* Unhashes a negative dentry that nobody but the caller uses. */
void vfs_shim_d_drop_negative(struct dentry *dentry)
{
	spin_lock(&dentry->d_lock);
	if (d_is_negative(dentry) && dentry->d_lockref.count == 1)
		__d_drop(dentry);
	spin_unlock(&dentry->d_lock);
}

/* Whether the inode of @dentry has another hashed alias. */
bool vfs_shim_d_other_alias(struct dentry *dentry)
{
	struct inode *inode = d_inode(dentry);
	struct dentry *alias;
	bool found = false;

	spin_lock(&inode->i_lock);
	for_each_alias(alias, inode) {
		if (alias != dentry && !d_unhashed(alias)) {
			found = true;
			break;
		}
	}
	spin_unlock(&inode->i_lock);
	return found;
}

void *vfs_shim_alloc_inode(struct super_block *sb, struct kmem_cache *cache)
{
	return alloc_inode_sb(sb, cache, GFP_KERNEL);
}

struct kmem_cache *vfs_shim_create_inode_cache(const char *name, unsigned int size,
					       unsigned int align, void (*ctor)(void *))
{
	return kmem_cache_create(name, size, align, SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, ctor);
}

void vfs_shim_inode_lock(struct inode *inode)
{
	inode_lock(inode);
}

int vfs_shim_inode_lock_killable(struct inode *inode)
{
	return inode_lock_killable(inode);
}

bool vfs_shim_inode_trylock(struct inode *inode)
{
	return inode_trylock(inode);
}

void vfs_shim_inode_unlock(struct inode *inode)
{
	inode_unlock(inode);
}

void vfs_shim_inode_lock_shared(struct inode *inode)
{
	inode_lock_shared(inode);
}

bool vfs_shim_inode_trylock_shared(struct inode *inode)
{
	return inode_trylock_shared(inode);
}

void vfs_shim_inode_unlock_shared(struct inode *inode)
{
	inode_unlock_shared(inode);
}

static bool same_times(const struct inode *a, const struct inode *b)
{
	return inode_get_mtime_nsec(a) == inode_get_mtime_nsec(b) &&
	       inode_get_ctime_nsec(a) == inode_get_ctime_nsec(b) &&
	       inode_get_mtime_sec(a) == inode_get_mtime_sec(b) &&
	       inode_get_ctime_sec(a) == inode_get_ctime_sec(b);
}

/* In what a write changes. */
static bool same_written(const struct inode *a, const struct inode *b)
{
	return i_size_read(a) == i_size_read(b) && READ_ONCE(a->i_mode) == READ_ONCE(b->i_mode) &&
	       same_times(a, b);
}

/*
 * Copies what a write changes; the caller holds i_lock of @to.  A writer that finds the two
 * alike does not take the lock: either it sees what is stored here, or its own change of
 * @from is seen here after that.
 */
static void copy_written(struct inode *to, const struct inode *from)
{
	do {
		WRITE_ONCE(to->i_mode, READ_ONCE(from->i_mode));
		inode_set_mtime_to_ts(to, inode_get_mtime(from));
		inode_set_ctime_to_ts(to, inode_get_ctime(from));
		i_size_write(to, i_size_read(from));
		/* Pairs with that in vfs_shim_copy_written(). */
		smp_mb();
	} while (!same_written(to, from));
}

/* Owner, mode, times and size of @from, as seen through a mount with @idmap. */
void vfs_shim_copy_attr(struct inode *to, struct inode *from, struct mnt_idmap *idmap)
{
	spin_lock(&to->i_lock);
	to->i_uid = vfsuid_into_kuid(i_uid_into_vfsuid(idmap, from));
	to->i_gid = vfsgid_into_kgid(i_gid_into_vfsgid(idmap, from));
	inode_set_atime_to_ts(to, inode_get_atime(from));
	copy_written(to, from);
	spin_unlock(&to->i_lock);
}

static noinline void copy_written_locked(struct inode *to, const struct inode *from)
{
	spin_lock(&to->i_lock);
	copy_written(to, from);
	spin_unlock(&to->i_lock);
}

/*
 * Most writes change nothing that is not so here already: sizes grow at the end of a file, and
 * times pass in ticks.
 */
void vfs_shim_copy_written(struct inode *to, const struct inode *from)
{
	/* Pairs with that in copy_written(): the write comes before what is read here. */
	smp_mb();
	if (!same_written(to, from))
		copy_written_locked(to, from);
}

void vfs_shim_copy_times(struct inode *to, const struct inode *from)
{
	struct timespec64 atime = inode_get_atime(from), to_atime = inode_get_atime(to);

	if (same_times(to, from) && timespec64_equal(&to_atime, &atime))
		return;
	spin_lock(&to->i_lock);
	inode_set_mtime_to_ts(to, inode_get_mtime(from));
	inode_set_ctime_to_ts(to, inode_get_ctime(from));
	inode_set_atime_to_ts(to, inode_get_atime(from));
	spin_unlock(&to->i_lock);
}

loff_t vfs_shim_i_size_read(struct inode *inode)
{
	return i_size_read(inode);
}

void vfs_shim_no_acl_cache(struct inode *inode)
{
#ifdef CONFIG_FS_POSIX_ACL
	inode->i_acl = ACL_DONT_CACHE;
	inode->i_default_acl = ACL_DONT_CACHE;
#endif
}

void vfs_shim_i_lock(struct inode *inode)
{
	spin_lock(&inode->i_lock);
}

void vfs_shim_i_unlock(struct inode *inode)
{
	spin_unlock(&inode->i_lock);
}

u64 vfs_shim_inode_changes(struct inode *inode)
{
	return atomic64_read_acquire(&inode->i_version);
}

void vfs_shim_inode_count_change(struct inode *inode)
{
	atomic64_inc_return_release(&inode->i_version);
}

/*
 * Whether it is known that no ACL applies to @inode, which is locked by i_lock.
 * Path walks skip its permission operation then if everybody may search it.
 * Security modules are asked there, about the inode in the layer and the
 * mounter: with them it is not skipped.
 */
void vfs_shim_set_no_acl(struct inode *inode, bool known)
{
	WRITE_ONCE(inode->i_acl, known ? NULL : ACL_DONT_CACHE);
	if (known && !IS_ENABLED(CONFIG_SECURITY))
		inode->i_opflags |= IOP_FASTPERM_MAY_EXEC;
	else
		inode->i_opflags &= ~IOP_FASTPERM_MAY_EXEC;
}

void vfs_shim_set_inode_lock_class(struct inode *inode, struct lock_class_key *key,
				   const char *name)
{
	lockdep_set_class_and_name(&inode->i_rwsem, key, name);
}

bool vfs_shim_inode_flag_trylock(struct inode *inode, unsigned int flag)
{
	bool locked = false;

	spin_lock(&inode->i_lock);
	if (!(inode_state_read(inode) & flag)) {
		inode_state_set(inode, flag);
		locked = true;
	}
	spin_unlock(&inode->i_lock);
	return locked;
}

void vfs_shim_inode_flag_unlock(struct inode *inode, unsigned int flag)
{
	spin_lock(&inode->i_lock);
	inode_state_clear(inode, flag);
	spin_unlock(&inode->i_lock);
}

bool vfs_shim_inode_unhashed(struct inode *inode)
{
	return inode_unhashed(inode);
}

bool vfs_shim_inode_has_flag(struct inode *inode, unsigned int flag)
{
	return inode_state_read_once(inode) & flag;
}

bool vfs_shim_inode_is_new(struct inode *inode)
{
	return inode_state_read_once(inode) & I_NEW;
}

int vfs_shim_get_write_access(struct inode *inode)
{
	return get_write_access(inode);
}

void vfs_shim_put_write_access(struct inode *inode)
{
	put_write_access(inode);
}

bool vfs_shim_is_idmapped_mnt(const struct vfsmount *mnt)
{
	return is_idmapped_mnt(mnt);
}

/* Owner in @stat: from the filesystem of @inode through a mount with @idmap. */
void vfs_shim_map_stat_ids(struct mnt_idmap *idmap, struct inode *inode, struct kstat *stat)
{
	if (idmap == &nop_mnt_idmap)
		return;
	stat->uid = vfsuid_into_kuid(make_vfsuid(idmap, i_user_ns(inode), stat->uid));
	stat->gid = vfsgid_into_kgid(make_vfsgid(idmap, i_user_ns(inode), stat->gid));
}

/* Owner in @attr: from a mount with @idmap into the filesystem of @inode. */
void vfs_shim_rebase_ids(struct mnt_idmap *idmap, struct inode *inode, struct iattr *attr)
{
	if (attr->ia_valid & ATTR_UID)
		attr->ia_vfsuid = VFSUIDT_INIT(from_vfsuid(idmap, i_user_ns(inode),
							   attr->ia_vfsuid));
	if (attr->ia_valid & ATTR_GID)
		attr->ia_vfsgid = VFSGIDT_INIT(from_vfsgid(idmap, i_user_ns(inode),
							   attr->ia_vfsgid));
}

void vfs_shim_mutex_init(struct mutex *lock, const char *name, struct lock_class_key *key)
{
	__mutex_init(lock, name, key);
}

void vfs_shim_mutex_lock(struct mutex *lock)
{
	mutex_lock(lock);
}

bool vfs_shim_mutex_trylock(struct mutex *lock)
{
	return mutex_trylock(lock);
}

int vfs_shim_mutex_lock_killable(struct mutex *lock)
{
	return mutex_lock_killable(lock);
}

void vfs_shim_posix_acl_release(struct posix_acl *acl)
{
	posix_acl_release(acl);
}

/* Maps the ids in @acl, which belongs to the filesystem of @inode, by @idmap. */
int vfs_shim_map_acl(struct posix_acl *acl, struct mnt_idmap *idmap, struct inode *inode)
{
	struct user_namespace *ns = i_user_ns(inode);
	unsigned int i;

	for (i = 0; i < acl->a_count; i++) {
		struct posix_acl_entry *e = &acl->a_entries[i];

		if (e->e_tag == ACL_USER)
			e->e_uid = vfsuid_into_kuid(make_vfsuid(idmap, ns, e->e_uid));
		else if (e->e_tag == ACL_GROUP)
			e->e_gid = vfsgid_into_kgid(make_vfsgid(idmap, ns, e->e_gid));
	}
	return 0;
}

void vfs_shim_init_sync_kiocb(struct kiocb *kiocb, struct file *file, loff_t pos)
{
	init_sync_kiocb(kiocb, file);
	kiocb->ki_pos = pos;
}

/* Changes the flags in @mask, as fcntl(F_SETFL) does after its checks. */
void vfs_shim_file_set_flags(struct file *file, unsigned int mask, unsigned int flags)
{
	spin_lock(&file->f_lock);
	file->f_flags = (file->f_flags & ~mask) | (flags & mask);
	file->f_iocb_flags = iocb_flags(file);
	spin_unlock(&file->f_lock);
}

bool vfs_shim_signal_pending_killable(void)
{
	return signal_pending_state(TASK_KILLABLE, current);
}

bool vfs_shim_can_decode_fh(struct super_block *sb)
{
	return exportfs_can_decode_fh(sb->s_export_op);
}

bool vfs_shim_ids_are_mapped(const struct kstat *stat)
{
	return kuid_has_mapping(current_user_ns(), stat->uid) &&
	       kgid_has_mapping(current_user_ns(), stat->gid);
}

static int vfs_shim_opened(struct inode *inode, struct file *file)
{
	return 0;
}

/* finish_open() of a tmpfile whose private data is in place already. */
int vfs_shim_finish_open_tmpfile(struct file *file, struct dentry *dentry)
{
	return finish_open(file, dentry, vfs_shim_opened);
}

void vfs_shim_do_delayed_call(struct delayed_call *call)
{
	do_delayed_call(call);
}

bool vfs_shim_is_admin(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
}

struct user_namespace *vfs_shim_current_user_ns(void)
{
	return current_user_ns();
}

bool vfs_shim_in_group_or_capable(struct mnt_idmap *idmap, struct inode *inode)
{
	return in_group_or_capable(idmap, inode, i_gid_into_vfsgid(idmap, inode));
}

struct dentry *vfs_shim_d_real(struct dentry *dentry, enum d_real_type type)
{
	return d_real(dentry, type);
}

void vfs_shim_seq_escape(struct seq_file *m, const char *text, const char *esc)
{
	seq_escape(m, text, esc);
}

/*
 * Asks a layer's filesystem whether @dentry is still good: 1, 0, or an error.
 * Not for RCU walks.
 */
int vfs_shim_d_revalidate(struct dentry *dentry, unsigned int flags, bool weak)
{
	struct name_snapshot name;
	struct dentry *parent;
	int ret;

	if (weak) {
		if (!(dentry->d_flags & DCACHE_OP_WEAK_REVALIDATE))
			return 1;
		return dentry->d_op->d_weak_revalidate(dentry, flags);
	}
	if (!(dentry->d_flags & DCACHE_OP_REVALIDATE))
		return 1;
	parent = dget_parent(dentry);
	take_dentry_name_snapshot(&name, dentry);
	ret = dentry->d_op->d_revalidate(d_inode(parent), &name.name, dentry, flags);
	release_dentry_name_snapshot(&name);
	dput(parent);
	if (!ret) {
		d_invalidate(dentry);
		ret = -ESTALE;
	}
	return ret;
}

/* Without CONFIG_SECURITY these are inline. */
int vfs_shim_security_inode_copy_up(struct dentry *dentry, struct cred **cred)
{
	return security_inode_copy_up(dentry, cred);
}

int vfs_shim_security_inode_copy_up_xattr(struct dentry *dentry, const char *name)
{
	return security_inode_copy_up_xattr(dentry, name);
}

int vfs_shim_security_file_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return security_file_ioctl(file, cmd, arg);
}

int vfs_shim_security_dentry_create_files_as(struct dentry *dentry, int mode,
					     const struct qstr *name, const struct cred *old,
					     struct cred *new)
{
	return security_dentry_create_files_as(dentry, mode, name, old, new);
}

u32 vfs_shim_hsiphash(const void *data, size_t len, const unsigned long *key)
{
	hsiphash_key_t k = { .key = { key[0], key[1] } };

	return hsiphash(data, len, &k);
}

void vfs_shim_init_delayed_work(struct delayed_work *work, work_func_t func)
{
	INIT_DELAYED_WORK(work, func);
}

void vfs_shim_mod_delayed_work(struct delayed_work *work, unsigned int ms)
{
	mod_delayed_work(system_dfl_wq, work, msecs_to_jiffies(ms));
}

/* Whether one more message that a user has caused may be printed. */
bool vfs_shim_may_print(void)
{
	static DEFINE_RATELIMIT_STATE(limit, DEFAULT_RATELIMIT_INTERVAL,
				      DEFAULT_RATELIMIT_BURST);

	return __ratelimit(&limit);
}

int vfs_shim_sync_metadata(struct super_block *sb)
{
	int ret = 0, ret2 = 0;

	down_read(&sb->s_umount);
	if (!sb_rdonly(sb)) {
		if (sb->s_op->sync_fs)
			ret = sb->s_op->sync_fs(sb, 1);
		ret2 = sync_blockdev(sb->s_bdev);
	}
	up_read(&sb->s_umount);
	return ret ?: ret2;
}

bool vfs_shim_is_as_own(struct mnt_idmap *idmap, const struct inode *inode)
{
	struct user_namespace *ns = i_user_ns(inode);

	return uid_eq(inode->i_uid, mapped_fsuid(idmap, ns)) &&
	       gid_eq(inode->i_gid, mapped_fsgid(idmap, ns));
}

int vfs_shim_flush_device(struct super_block *sb)
{
	return sb->s_bdev ? blkdev_issue_flush(sb->s_bdev) : 0;
}

bool vfs_shim_is_open_for_write(const struct inode *inode)
{
	return inode_is_open_for_write(inode);
}

bool vfs_shim_inode_is_dirty(const struct inode *inode)
{
	return inode_state_read_once((struct inode *)inode) & I_DIRTY_ALL ||
	       mapping_tagged(inode->i_mapping, PAGECACHE_TAG_DIRTY) ||
	       mapping_tagged(inode->i_mapping, PAGECACHE_TAG_WRITEBACK);
}

bool vfs_shim_fsverity_active(const struct inode *inode)
{
	return fsverity_active(inode);
}

bool vfs_shim_fsverity_is_loaded(const struct inode *inode)
{
	return fsverity_get_info(inode);
}

int vfs_shim_fsverity_get_digest(struct inode *inode, u8 *digest, u8 *algorithm)
{
	return fsverity_get_digest(inode, digest, algorithm, NULL);
}
