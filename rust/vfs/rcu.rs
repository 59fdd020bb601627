// SPDX-License-Identifier: GPL-2.0

//! What an RCU walk may look at.
//!
//! A path walk first runs without references and locks, see
//! `Documentation/filesystems/path-lookup.rst`. What it meets may be torn down
//! at the same time; memory alone is safe, until the RCU grace period is over.
//! Operations called by it must not sleep and can always give up with `ECHILD`,
//! whereupon the walk starts over with references.

use crate::{
    fs::FileSystem,
    inode::{Access, InodeBox},
    mount::IdMap,
    raw, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

mod no_acl;
mod real;

pub use self::real::{RcuReal, Real, RealDentries, Stacked};

/// The part of an inode's private data that RCU walks may see.
///
/// It stays readable until the grace period after the inode's destruction, so
/// it is never dropped: what it owns it gives up in [`RcuData::release`],
/// leaving in place what walks may still look at.
pub trait RcuData: Default + Send + Sync {
    /// Gives up references; may sleep. Called once, when the inode is destroyed.
    fn release(&self, phase: &Destroying);
}

/// The inode is being destroyed. Only this crate can say so.
pub struct Destroying(pub(crate) ());

impl RcuData for () {
    fn release(&self, _phase: &Destroying) {}
}

/// An inode of `F` as an RCU walk sees it: it may be going away, and nothing
/// here sleeps.
pub struct RcuInode<'rcu, F: FileSystem> {
    inode: NonNull<raw::inode>,
    _walk: PhantomData<&'rcu F>,
}

impl<'rcu, F: FileSystem> RcuInode<'rcu, F> {
    /// # Safety
    ///
    /// `inode` is an inode of `F` found by the current task's RCU walk, which
    /// lasts for `'rcu`.
    pub(crate) unsafe fn from_raw(inode: *mut raw::inode) -> Self {
        Self {
            // SAFETY: By the safety requirements the inode is not null.
            inode: unsafe { NonNull::new_unchecked(inode) },
            _walk: PhantomData,
        }
    }

    /// The part of the private data made for this.
    pub fn data(&self) -> &'rcu F::Rcu {
        // SAFETY: The memory is valid until the end of the grace period, and this part of it is
        // never dropped. No reference is made to the rest, which may be.
        unsafe { &*InodeBox::<F>::rcu_ptr(self.inode.as_ptr()) }
    }

    /// Checks the inode's own mode and ACL: see `generic_permission()`.
    pub fn generic_permission(&self, idmap: IdMap<'_>, mask: Access) -> Result {
        // SAFETY: `MAY_NOT_BLOCK` makes it safe in an RCU walk.
        to_result(unsafe {
            raw::generic_permission(
                idmap.as_ptr(),
                self.inode.as_ptr(),
                mask.as_raw() | raw::MAY_NOT_BLOCK as c_int,
            )
        })
    }

    /// The private data of the super block, which is dropped after a grace
    /// period that began when no walk could find the filesystem any more.
    pub fn super_data(&self) -> &'rcu F::Super {
        // SAFETY: An inode keeps its super block, and the super block's data lives through the
        // grace period that `SuperVTable::drop_data` waits for.
        unsafe { &*((*(*self.inode.as_ptr()).i_sb).s_fs_info.cast::<F::Super>()) }
    }
}
