// SPDX-License-Identifier: GPL-2.0

//! File attributes, as `chattr` shows and sets them.
//!
//! C header: [`include/linux/fileattr.h`](srctree/include/linux/fileattr.h)

use crate::{
    inode::InodeFlags,
    mount::PathRef,
    raw, //
};
use kernel::{error::to_result, prelude::*};

/// Attributes of an inode, see `struct file_kattr`.
#[repr(transparent)]
pub struct FileAttr(raw::file_kattr);

/// What protects an inode from changes.
const PROTECTED: u32 = raw::FS_APPEND_FL | raw::FS_IMMUTABLE_FL;
/// What is copied with an inode.
const COPIED: u32 = raw::FS_SYNC_FL | raw::FS_NOATIME_FL;
/// The same among the extended flags.
const COPIED_EXTENDED: u32 = raw::FS_XFLAG_SYNC | raw::FS_XFLAG_NOATIME;

impl FileAttr {
    /// # Safety
    ///
    /// `ptr` is valid and exclusive for `'a`.
    pub(crate) unsafe fn from_raw_mut<'a>(ptr: *mut raw::file_kattr) -> &'a mut Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &mut *ptr.cast() }
    }

    /// Asks the filesystem of `path`, see `vfs_fileattr_get()`.
    ///
    /// `ENOTTY` when it has no such attributes.
    pub fn get(&mut self, path: PathRef<'_>) -> Result {
        self.check(
            path,
            raw::vfs_const_FS_IOC_FSGETXATTR,
            raw::vfs_const_FS_IOC_GETFLAGS,
        )?;
        // SAFETY: All are valid.
        let ret = unsafe { raw::vfs_fileattr_get(path.dentry().as_ptr(), &mut self.0) };
        match to_result(ret) {
            Err(err) if err == ENOIOCTLCMD => Err(ENOTTY),
            result => result,
        }
    }

    /// Sets them, see `vfs_fileattr_set()`.
    ///
    /// Takes the inode lock; the caller has write access to the mount.
    pub fn set(&mut self, path: PathRef<'_>) -> Result {
        self.check(
            path,
            raw::vfs_const_FS_IOC_FSSETXATTR,
            raw::vfs_const_FS_IOC_SETFLAGS,
        )?;
        // SAFETY: All are valid.
        to_result(unsafe {
            raw::vfs_fileattr_set(
                path.mount().idmap().as_ptr(),
                path.dentry().as_ptr(),
                &mut self.0,
            )
        })
    }

    /// Asks the security modules for the ioctl that does the same. What has no
    /// ioctls, since opening it does something else, is checked by the function
    /// itself alone.
    fn check(&self, path: PathRef<'_>, extended: c_uint, flags: c_uint) -> Result {
        let mode = path.inode()?.mode();
        if !(mode.is_reg() || mode.is_dir()) {
            return Ok(());
        }
        path.check_ioctl(if self.0.fsx_valid() { extended } else { flags })
    }

    /// Asking for plain flags.
    pub fn empty() -> Self {
        let mut attr = raw::file_kattr::default();
        attr.set_flags_valid(true);
        Self(attr)
    }

    /// What protects the inode from changes.
    pub fn protection(&self) -> InodeFlags {
        let mut flags = InodeFlags::NONE;
        if self.0.flags & raw::FS_APPEND_FL != 0 {
            flags = flags.union(InodeFlags::APPEND);
        }
        if self.0.flags & raw::FS_IMMUTABLE_FL != 0 {
            flags = flags.union(InodeFlags::IMMUTABLE);
        }
        flags
    }

    /// Adds protection that is recorded elsewhere.
    pub fn add_protection(&mut self, flags: InodeFlags) {
        if !flags.intersection(InodeFlags::APPEND).is_empty() {
            self.0.flags |= raw::FS_APPEND_FL;
            self.0.fsx_xflags |= raw::FS_XFLAG_APPEND;
        }
        if !flags.intersection(InodeFlags::IMMUTABLE).is_empty() {
            self.0.flags |= raw::FS_IMMUTABLE_FL;
            self.0.fsx_xflags |= raw::FS_XFLAG_IMMUTABLE;
        }
    }

    /// Leaves out protection, which is recorded elsewhere.
    pub fn clear_protection(&mut self) {
        self.0.flags &= !PROTECTED;
        self.0.fsx_xflags &= !(raw::FS_XFLAG_APPEND | raw::FS_XFLAG_IMMUTABLE);
    }

    /// Whether objects that are made in a directory with these get the same as in one with
    /// `other`: project, and flags that are inherited.
    pub fn gives_same_as(&self, other: &Self) -> bool {
        let (own, other) = (&self.0, &other.0);
        // How names are stored, and whether there are extended attributes, is nothing to inherit.
        let flags = own.flags ^ other.flags;
        let xflags = own.fsx_xflags ^ other.fsx_xflags;
        flags & !raw::FS_INDEX_FL == 0
            && xflags & !raw::FS_XFLAG_HASATTR == 0
            && own.fsx_projid == other.fsx_projid
            && own.fsx_extsize == other.fsx_extsize
            && own.fsx_cowextsize == other.fsx_cowextsize
    }

    /// Whether names in the directory are case-folded.
    pub fn is_casefolded(&self) -> bool {
        self.0.flags & raw::FS_CASEFOLD_FL != 0
    }

    /// Whether there is a flag that is copied with an inode.
    pub fn has_copied_flags(&self) -> bool {
        self.0.flags & COPIED != 0
    }

    /// Takes over from `other` the flags that are copied with an inode.
    pub fn copy_flags_from(&mut self, other: &Self) {
        self.0.flags = self.0.flags & !COPIED | other.0.flags & COPIED;
        self.0.fsx_xflags =
            self.0.fsx_xflags & !COPIED_EXTENDED | other.0.fsx_xflags & COPIED_EXTENDED;
    }
}
