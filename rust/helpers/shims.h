/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C shims for crate `vfs`: static inline functions and macros of the kernel's
 * headers that bindgen cannot see, each doing just what its name says.
 */
#ifndef VFS_SHIMS_H
#define VFS_SHIMS_H

#if !IS_ENABLED(CONFIG_FS_POSIX_ACL) || !IS_ENABLED(CONFIG_FS_STACK) || !IS_ENABLED(CONFIG_EXPORTFS)
#error "needs CONFIG_FS_POSIX_ACL, CONFIG_FS_STACK and CONFIG_EXPORTFS; CONFIG_OVERLAY_FS=m selects the last two"
#endif

#include <linux/backing-file.h>
#include <linux/exportfs.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <linux/kobject.h>
#include <linux/namei.h>
#include <linux/posix_acl.h>
#include <linux/splice.h>
#include <linux/uuid.h>
#include <linux/workqueue.h>

const struct cred *vfs_shim_override_creds(const struct cred *cred);
void vfs_shim_revert_creds(const struct cred *cred);

struct dentry *vfs_shim_dget(struct dentry *dentry);
bool vfs_shim_d_unhashed(struct dentry *dentry);
void vfs_shim_d_update_flags(struct dentry *dentry, unsigned int mask, unsigned int flags);
void vfs_shim_d_drop_negative(struct dentry *dentry);
bool vfs_shim_d_other_alias(struct dentry *dentry);

void *vfs_shim_alloc_inode(struct super_block *sb, struct kmem_cache *cache);
struct kmem_cache *vfs_shim_create_inode_cache(const char *name, unsigned int size,
					       unsigned int align, void (*ctor)(void *));
void vfs_shim_inode_lock(struct inode *inode);
int vfs_shim_inode_lock_killable(struct inode *inode);
bool vfs_shim_inode_trylock(struct inode *inode);
void vfs_shim_inode_unlock(struct inode *inode);
void vfs_shim_inode_lock_shared(struct inode *inode);
bool vfs_shim_inode_trylock_shared(struct inode *inode);
void vfs_shim_inode_unlock_shared(struct inode *inode);
void vfs_shim_copy_attr(struct inode *to, struct inode *from, struct mnt_idmap *idmap);
void vfs_shim_copy_written(struct inode *to, const struct inode *from);
void vfs_shim_copy_times(struct inode *to, const struct inode *from);
loff_t vfs_shim_i_size_read(struct inode *inode);
void vfs_shim_no_acl_cache(struct inode *inode);
void vfs_shim_i_lock(struct inode *inode);
void vfs_shim_i_unlock(struct inode *inode);
u64 vfs_shim_inode_changes(struct inode *inode);
void vfs_shim_inode_count_change(struct inode *inode);
void vfs_shim_set_no_acl(struct inode *inode, bool known);
void vfs_shim_set_inode_lock_class(struct inode *inode, struct lock_class_key *key,
				   const char *name);
bool vfs_shim_inode_flag_trylock(struct inode *inode, unsigned int flag);
void vfs_shim_inode_flag_unlock(struct inode *inode, unsigned int flag);
bool vfs_shim_inode_unhashed(struct inode *inode);
bool vfs_shim_inode_has_flag(struct inode *inode, unsigned int flag);
bool vfs_shim_inode_is_new(struct inode *inode);
bool vfs_shim_in_group_or_capable(struct mnt_idmap *idmap, struct inode *inode);
struct dentry *vfs_shim_d_real(struct dentry *dentry, enum d_real_type type);
void vfs_shim_seq_escape(struct seq_file *m, const char *text, const char *esc);
int vfs_shim_d_revalidate(struct dentry *dentry, unsigned int flags, bool weak);
int vfs_shim_security_inode_copy_up(struct dentry *dentry, struct cred **cred);
int vfs_shim_security_inode_copy_up_xattr(struct dentry *dentry, const char *name);
int vfs_shim_security_file_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
int vfs_shim_security_dentry_create_files_as(struct dentry *dentry, int mode,
					     const struct qstr *name, const struct cred *old,
					     struct cred *new);
u32 vfs_shim_hsiphash(const void *data, size_t len, const unsigned long *key);
bool vfs_shim_may_print(void);
int vfs_shim_sync_metadata(struct super_block *sb);
bool vfs_shim_is_as_own(struct mnt_idmap *idmap, const struct inode *inode);
int vfs_shim_flush_device(struct super_block *sb);
bool vfs_shim_ext4_is_ordered(struct super_block *sb);
bool vfs_shim_is_open_for_write(const struct inode *inode);
bool vfs_shim_inode_is_dirty(const struct inode *inode);
bool vfs_shim_switch_mappings(void);
int vfs_shim_check_request(const struct file *file, int flags);
ssize_t vfs_shim_read_lent(struct file *file, struct iov_iter *iter, struct kiocb *iocb,
			   const struct cred *cred);
ssize_t vfs_shim_write_lent(struct file *file, struct iov_iter *iter, struct kiocb *iocb,
			    int flags, const struct cred *cred);
bool vfs_shim_param_redirect_dir(void);
bool vfs_shim_param_redirect_always_follow(void);
bool vfs_shim_param_index(void);
bool vfs_shim_param_nfs_export(void);
bool vfs_shim_param_xino_auto(void);
bool vfs_shim_param_metacopy(void);
bool vfs_shim_param_rename_dir_copy(void);
unsigned int vfs_shim_param_rename_dir_objects(void);
unsigned int vfs_shim_param_rename_dir_mib(void);
unsigned int vfs_shim_param_redirect_max(void);
void vfs_shim_init_delayed_work(struct delayed_work *work, work_func_t func);
void vfs_shim_mod_delayed_work(struct delayed_work *work, unsigned int ms);
int vfs_shim_get_write_access(struct inode *inode);
void vfs_shim_put_write_access(struct inode *inode);

bool vfs_shim_is_idmapped_mnt(const struct vfsmount *mnt);
void vfs_shim_map_stat_ids(struct mnt_idmap *idmap, struct inode *inode, struct kstat *stat);
void vfs_shim_rebase_ids(struct mnt_idmap *idmap, struct inode *inode, struct iattr *attr);

void vfs_shim_mutex_init(struct mutex *lock, const char *name, struct lock_class_key *key);
void vfs_shim_mutex_lock(struct mutex *lock);
bool vfs_shim_mutex_trylock(struct mutex *lock);
int vfs_shim_mutex_lock_killable(struct mutex *lock);

void vfs_shim_posix_acl_release(struct posix_acl *acl);
int vfs_shim_map_acl(struct posix_acl *acl, struct mnt_idmap *idmap, struct inode *inode);

void vfs_shim_init_sync_kiocb(struct kiocb *kiocb, struct file *file, loff_t pos);
void vfs_shim_file_set_flags(struct file *file, unsigned int mask, unsigned int flags);
bool vfs_shim_signal_pending_killable(void);
bool vfs_shim_can_decode_fh(struct super_block *sb);
bool vfs_shim_ids_are_mapped(const struct kstat *stat);
int vfs_shim_finish_open_tmpfile(struct file *file, struct dentry *dentry);
void vfs_shim_do_delayed_call(struct delayed_call *call);
bool vfs_shim_is_admin(void);
struct user_namespace *vfs_shim_current_user_ns(void);

int vfs_shim_sysfs_create_dev_file(struct kobject *dir, struct kobj_attribute *file, char *name,
				   dev_t dev);
void vfs_shim_sysfs_remove_file(struct kobject *dir, struct kobj_attribute *file);
int vfs_shim_sysfs_emit_at(char *buf, int at, const char *name, u64 value);

bool vfs_shim_fsverity_active(const struct inode *inode);
bool vfs_shim_fsverity_is_loaded(const struct inode *inode);
int vfs_shim_fsverity_get_digest(struct inode *inode, u8 *digest, u8 *algorithm);

/* Constants that bindgen cannot see in macros. */
static const unsigned long vfs_const_SB_RDONLY = SB_RDONLY;
static const unsigned long vfs_const_SB_POSIXACL = SB_POSIXACL;
static const unsigned long vfs_const_SB_NOSEC = SB_NOSEC;
static const unsigned long vfs_const_SB_LAZYTIME = SB_LAZYTIME;
static const unsigned int vfs_const_LOOKUP_RCU = LOOKUP_RCU;
static const unsigned int vfs_const_DCACHE_NORCU = DCACHE_NORCU;
static const unsigned short vfs_const_IOP_FASTPERM = IOP_FASTPERM;
static const unsigned short vfs_const_IOP_FASTPERM_MAY_EXEC = IOP_FASTPERM_MAY_EXEC;
static const unsigned int vfs_const_LOOKUP_FOLLOW = LOOKUP_FOLLOW;
static const unsigned int vfs_const_I_CTIME_QUERIED = I_CTIME_QUERIED;
static const unsigned int vfs_const_LOOKUP_EXCL = LOOKUP_EXCL;
static const unsigned int vfs_const_IOCB_NOWAIT = IOCB_NOWAIT;
static const unsigned int vfs_const_IOCB_DSYNC = IOCB_DSYNC;
static const unsigned int vfs_const_IOCB_SYNC = IOCB_SYNC;
static const unsigned int vfs_const_IOCB_DIRECT = IOCB_DIRECT;
static const unsigned int vfs_const_IOCB_ATOMIC = IOCB_ATOMIC;
static const unsigned int vfs_const_IOCB_DONTCACHE = IOCB_DONTCACHE;
static const unsigned int vfs_const_FMODE_LSEEK = (__force unsigned int)FMODE_LSEEK;
static const unsigned int vfs_const_FMODE_NOWAIT = (__force unsigned int)FMODE_NOWAIT;
static const unsigned int vfs_const_FMODE_CAN_ATOMIC_WRITE = (__force unsigned int)FMODE_CAN_ATOMIC_WRITE;
static const unsigned int vfs_const_FOP_DONTCACHE = (__force unsigned int)FOP_DONTCACHE;
static const unsigned int vfs_const_FMODE_OPENED = (__force unsigned int)FMODE_OPENED;
static const unsigned int vfs_const_FMODE_CAN_ODIRECT = (__force unsigned int)FMODE_CAN_ODIRECT;
static const unsigned int vfs_const_SPLICE_F_MOVE = SPLICE_F_MOVE;
static const int vfs_const_FALLOC_FL_PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
static const unsigned int vfs_const_REMAP_FILE_DEDUP = REMAP_FILE_DEDUP;
static const unsigned int vfs_const_REMAP_FILE_ADVISORY = REMAP_FILE_ADVISORY;
static const unsigned int vfs_const_FS_VERITY_MAX_DIGEST_SIZE = FS_VERITY_MAX_DIGEST_SIZE;
static const unsigned int vfs_const_MAX_HANDLE_SZ = MAX_HANDLE_SZ;
static const unsigned int vfs_const_FS_IOC_GETFLAGS = FS_IOC_GETFLAGS;
static const unsigned int vfs_const_FS_IOC_SETFLAGS = FS_IOC_SETFLAGS;
static const unsigned int vfs_const_FS_IOC_FSGETXATTR = FS_IOC_FSGETXATTR;
static const unsigned int vfs_const_FS_IOC_FSSETXATTR = FS_IOC_FSSETXATTR;

#endif
