// SPDX-License-Identifier: GPL-2.0

//! Operations on inodes, `struct inode_operations`.
//!
//! A filesystem implements [`InodeOperations`] once for each kind of inode and
//! gives [`table`] of it to new inodes. Each operation runs under the locks that
//! `Documentation/filesystems/locking.rst` says.

use crate::{
    acl::{Acl, AclType},
    attr::{Device, Mode, SetAttr, Stat, StatFlags, StatMask},
    dentry::{Child, DentryOf},
    file_ops::TmpFile,
    fileattr::FileAttr,
    fs::FileSystem,
    inode::{Access, InodeOf},
    mount::{IdMap, Mount},
    rcu::RcuInode, //
};
use kernel::{
    error::VTABLE_DEFAULT_ERROR,
    prelude::*,
    sync::aref::ARef, //
};

mod table;
mod values;

pub use self::table::{table, InodeOps};
pub use self::values::{
    CachedAcl,
    DelayedCall,
    FiemapSource,
    LinkTarget,
    RenameFlags,
    RenameLocks,
    XattrList, //
};

/// The operations on one kind of inode of a filesystem.
#[vtable]
pub trait InodeOperations: Sized + 'static {
    /// The filesystem.
    type Fs: FileSystem;

    /// Finds `child`, whose name is not in the dcache.
    fn lookup(
        _dir: &InodeOf<Self::Fs>,
        _child: Child<'_, Self::Fs>,
    ) -> Result<Option<ARef<InodeOf<Self::Fs>>>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Finds the target of a symbolic link.
    fn get_link<'a>(
        _dentry: &'a DentryOf<Self::Fs>,
        _done: &'a mut DelayedCall,
    ) -> Result<LinkTarget<'a>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Whether the current task may access the inode.
    fn permission(_idmap: IdMap<'_>, _inode: &InodeOf<Self::Fs>, _mask: Access) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// As `permission`, in an RCU walk.
    fn permission_rcu(_idmap: IdMap<'_>, _inode: RcuInode<'_, Self::Fs>, _mask: Access) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The ACL for permission checks.
    fn inode_acl(_inode: &InodeOf<Self::Fs>, _kind: AclType) -> Result<Option<Acl>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// As `inode_acl`, in an RCU walk.
    fn inode_acl_rcu(_inode: RcuInode<'_, Self::Fs>, _kind: AclType) -> Result<CachedAcl> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The ACL as an extended attribute.
    fn acl(_idmap: IdMap<'_>, _dentry: &DentryOf<Self::Fs>, _kind: AclType) -> Result<Option<Acl>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets the ACL, or removes it.
    fn set_acl(
        _idmap: IdMap<'_>,
        _dentry: &DentryOf<Self::Fs>,
        _acl: Option<&Acl>,
        _kind: AclType,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Creates a regular file.
    fn create(
        _idmap: IdMap<'_>,
        _dir: &InodeOf<Self::Fs>,
        _child: Child<'_, Self::Fs>,
        _permissions: Mode,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a link to `old`.
    fn link(
        _old: &DentryOf<Self::Fs>,
        _dir: &InodeOf<Self::Fs>,
        _child: Child<'_, Self::Fs>,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Removes what is not a directory.
    fn unlink(_dir: &InodeOf<Self::Fs>, _child: Child<'_, Self::Fs>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a symbolic link.
    fn symlink(
        _idmap: IdMap<'_>,
        _dir: &InodeOf<Self::Fs>,
        _child: Child<'_, Self::Fs>,
        _target: &CStr,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a directory.
    fn mkdir(
        _idmap: IdMap<'_>,
        _dir: &InodeOf<Self::Fs>,
        _child: Child<'_, Self::Fs>,
        _permissions: Mode,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Removes a directory.
    fn rmdir(_dir: &InodeOf<Self::Fs>, _child: Child<'_, Self::Fs>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a special file.
    fn mknod(
        _idmap: IdMap<'_>,
        _dir: &InodeOf<Self::Fs>,
        _child: Child<'_, Self::Fs>,
        _mode: Mode,
        _rdev: Device,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Renames `old` to `new`.
    fn rename(
        _old: Child<'_, Self::Fs>,
        _new: Child<'_, Self::Fs>,
        _flags: RenameFlags,
        _locks: RenameLocks<'_, Self::Fs>,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a file without a name, and opens it.
    fn tmpfile(
        _idmap: IdMap<'_>,
        _dir: &InodeOf<Self::Fs>,
        _file: TmpFile<'_, Self::Fs>,
        _mode: Mode,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Changes attributes.
    fn setattr(_idmap: IdMap<'_>, _dentry: &DentryOf<Self::Fs>, _attr: &mut SetAttr) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reports attributes.
    fn getattr(
        _idmap: IdMap<'_>,
        _mount: &Mount,
        _dentry: &DentryOf<Self::Fs>,
        _stat: &mut Stat,
        _mask: StatMask,
        _flags: StatFlags,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Lists the names of extended attributes; answers how many bytes they take.
    fn listxattr(_dentry: &DentryOf<Self::Fs>, _list: XattrList<'_>) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The inode was read: its access time may be updated. With `nowait`,
    /// `EAGAIN` if that would sleep.
    fn accessed(_inode: &InodeOf<Self::Fs>, _nowait: bool) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The inode whose extents `fiemap` shows, and the credentials to ask with.
    fn fiemap_inode(_inode: &InodeOf<Self::Fs>) -> Result<FiemapSource<'_>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reports the attributes of `FS_IOC_GETFLAGS` and `FS_IOC_FSGETXATTR`.
    fn fileattr_get(_dentry: &DentryOf<Self::Fs>, _attr: &mut FileAttr) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets the attributes of `FS_IOC_SETFLAGS` and `FS_IOC_FSSETXATTR`.
    fn fileattr_set(_dentry: &DentryOf<Self::Fs>, _attr: &mut FileAttr) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}
