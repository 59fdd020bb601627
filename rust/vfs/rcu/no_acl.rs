// SPDX-License-Identifier: GPL-2.0

//! Inodes that are known to have no access ACL.
//!
//! A stacked inode has the ACL of the inode that it stands for, and caches none: the VFS
//! asks for it in each permission check that the owner does not make. That there is none
//! is noted in the stacked inode as well, where the VFS sees it without asking. If the
//! inode in the layer has no `permission` operation that would want to know either, path
//! walks need not ask at all for a directory that everybody may search by its mode: the
//! mounter may as well.
//!
//! It is learned by permission checks, and forgotten by whoever gives the inode an ACL or
//! another inode to stand for, after that was done. Both happen under the inode's
//! spinlock: what is learned of a state that is over does not stay.

use super::RealDentries;
use crate::raw;

/// An inode's `i_lock` is held while this lives.
struct Locked(*mut raw::inode);

impl Locked {
    /// # Safety
    ///
    /// The memory of the inode stays valid while the result lives.
    unsafe fn new(inode: *mut raw::inode) -> Self {
        // SAFETY: By the safety requirements.
        unsafe { raw::vfs_shim_i_lock(inode) };
        Self(inode)
    }

    fn set_no_acl(&self, is_known: bool) {
        // SAFETY: The inode is valid, and its lock held.
        unsafe { raw::vfs_shim_set_no_acl(self.0, is_known) };
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: Pairs with `new`.
        unsafe { raw::vfs_shim_i_unlock(self.0) };
    }
}

/// # Safety
///
/// The memory of `inode`, of which `real` is a part, is valid: it is referenced, or found
/// by the current RCU walk.
#[inline]
pub(super) unsafe fn learn(inode: *mut raw::inode, real: &RealDentries) {
    // SAFETY: By the safety requirements; this corresponds to `READ_ONCE`.
    if !unsafe { core::ptr::addr_of!((*inode).i_acl).read_volatile() }.is_null() {
        // SAFETY: By the safety requirements.
        unsafe { look(inode, real) };
    }
}

/// # Safety
///
/// As for [`learn`].
unsafe fn look(inode: *mut raw::inode, real: &RealDentries) {
    if !real.is_without_acl() {
        return;
    }
    // SAFETY: By the safety requirements.
    let inode = unsafe { Locked::new(inode) };
    inode.set_no_acl(real.is_without_acl());
}

/// # Safety
///
/// `inode` is valid.
pub(super) unsafe fn forget(inode: *mut raw::inode) {
    // SAFETY: By the safety requirements.
    unsafe { Locked::new(inode) }.set_no_acl(false);
}
