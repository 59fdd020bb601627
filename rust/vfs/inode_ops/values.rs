// SPDX-License-Identifier: GPL-2.0

//! What operations on inodes are asked for, and what they answer.

use crate::{
    acl::AclType,
    dentry::{Child, Dentry, DentryOf},
    fs::FileSystem,
    inode::Inode,
    namei::LockedDir,
    raw,
    rcu::{RcuReal, Stacked}, //
};
use core::marker::PhantomData;
use kernel::{cred::Credential, error::from_err_ptr, prelude::*};

/// What a rename is asked to do beside moving, `RENAME_*`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RenameFlags(pub(super) u32);

impl RenameFlags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Not to replace an existing object.
    pub const NOREPLACE: Self = Self(raw::RENAME_NOREPLACE);
    /// To exchange two objects.
    pub const EXCHANGE: Self = Self(raw::RENAME_EXCHANGE);
    /// To leave a whiteout behind.
    pub const WHITEOUT: Self = Self(raw::RENAME_WHITEOUT);

    pub(crate) fn as_raw(self) -> u32 {
        self.0
    }

    /// Whether all of `other` is asked for.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// All but `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// What the caller of a rename has locked beside the parents.
pub struct RenameLocks<'a, F: FileSystem> {
    pub(super) old: Child<'a, F>,
    pub(super) new: Child<'a, F>,
}

impl<'a, F: FileSystem> RenameLocks<'a, F> {
    /// The directory `dentry`, if it is one of the two that change their parent
    /// and so are locked: see `vfs_rename()`.
    pub fn moved(&self, dentry: &DentryOf<F>) -> Option<LockedDir<'a, F>> {
        if **self.old.parent() == **self.new.parent() {
            return None;
        }
        let found = [self.old, self.new]
            .into_iter()
            .find(|child| ***child == **dentry)?;
        // SAFETY: When the parents differ, `vfs_rename` locks both children that are directories.
        found
            .is_dir()
            .then(|| unsafe { LockedDir::new(found.dentry()) })
    }
}

/// How the target of a symbolic link is released after use, see `struct
/// delayed_call`.
#[repr(transparent)]
pub struct DelayedCall(pub(super) raw::delayed_call);

impl DelayedCall {
    /// Nothing to be done.
    pub fn none() -> Self {
        Self(raw::delayed_call::default())
    }
}

impl Drop for DelayedCall {
    fn drop(&mut self) {
        // SAFETY: The call is empty or was set by an operation that provided a target.
        unsafe { raw::vfs_shim_do_delayed_call(&mut self.0) };
    }
}

/// The target of a symbolic link, which the [`DelayedCall`] that it was got with
/// keeps valid.
pub struct LinkTarget<'a>(pub(super) *const c_char, PhantomData<&'a ()>);

impl<'a> LinkTarget<'a> {
    /// The target of the link `dentry`, after asking the security modules: see
    /// `vfs_get_link()`.
    pub fn get(dentry: &'a Dentry, done: &'a mut DelayedCall) -> Result<Self> {
        dentry.inode().ok_or(ENOENT)?;
        // SAFETY: The dentry is valid and positive.
        let target = unsafe { raw::vfs_get_link(dentry.as_ptr(), &mut done.0) };
        Ok(Self(from_err_ptr(target.cast_mut())?, PhantomData))
    }

    /// The target's text; `EINVAL` for a link that has none, as those of procfs.
    pub fn as_cstr(&self) -> Result<&'a CStr> {
        if self.0.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: The target is NUL-terminated, and valid until the delayed call runs: for `'a`.
        Ok(unsafe { CStr::from_char_ptr(self.0) })
    }
}

/// A buffer for names of extended attributes.
pub struct XattrList<'a>(pub(super) Option<&'a mut [u8]>);

impl<'a> XattrList<'a> {
    /// The buffer; `None` when only the size is wanted.
    pub fn into_buffer(self) -> Option<&'a mut [u8]> {
        self.0
    }
}

/// Where `fiemap` gets its answer from.
pub struct FiemapSource<'a> {
    /// The inode that has the extents.
    pub inode: &'a Inode,
    /// The credentials to ask with.
    pub cred: &'a Credential,
}

/// An ACL found in a cache during an RCU walk.
pub struct CachedAcl(pub(crate) *mut raw::posix_acl);

impl<F: Stacked> RcuReal<'_, F> {
    /// The inode's ACL if it is cached; `ECHILD` when it cannot be known without
    /// sleeping.
    pub fn acl(&self, kind: AclType) -> Result<CachedAcl> {
        self.cached_acl(kind.as_raw()).map(CachedAcl)
    }
}
