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
    inode::{Access, Inode, InodeBox, InodeOf},
    mount::{IdMap, Mount},
    raw, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    cred::Credential,
    error::to_result,
    prelude::*,
    sync::aref::ARef, //
    sync::atomic::{ordering, Atomic},
};

mod no_acl;

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

/// The inode in a layer that a stacked inode stands for, set once.
///
/// # Invariants
///
/// `inode` is null, or points to an inode that `self` has a reference to until
/// `release`, as `mount` does for a mount. Both are freed an RCU grace period
/// after their last reference at the earliest. `mount` is set before `inode`.
struct RealInode {
    inode: Atomic<usize>,
    mount: Atomic<usize>,
}

impl Default for RealInode {
    fn default() -> Self {
        Self {
            inode: Atomic::new(0),
            mount: Atomic::new(0),
        }
    }
}

impl RealInode {
    #[inline]
    fn get(&self) -> Option<(NonNull<raw::inode>, NonNull<raw::vfsmount>)> {
        let inode = self.inode.load(ordering::Acquire) as *mut raw::inode;
        let inode = NonNull::new(inode)?;
        // The acquire above makes this one visible.
        let mount = NonNull::new(self.mount.load(ordering::Relaxed) as *mut raw::vfsmount)?;
        Some((inode, mount))
    }

    fn set(&self, inode: &Inode, mount: &Mount) -> bool {
        let mount = ARef::<Mount>::from(mount);
        let raw_mount = ARef::into_raw(mount).as_ptr() as usize;
        if self.mount.cmpxchg(0, raw_mount, ordering::Full).is_err() {
            // SAFETY: It came from `into_raw` and was not stored.
            drop(unsafe {
                ARef::<Mount>::from_raw(NonNull::new_unchecked(raw_mount as *mut Mount))
            });
            return false;
        }
        let inode = ARef::into_raw(ARef::<Inode>::from(inode));
        // INVARIANT: Both references belong to `self` now.
        self.inode.store(inode.as_ptr() as usize, ordering::Release);
        true
    }

    fn release(&self) {
        if let Some((inode, mount)) = self.get() {
            // SAFETY: By the type invariants these are `self`'s references, given up once.
            unsafe {
                raw::iput(inode.as_ptr());
                raw::mntput(mount.as_ptr());
            }
        }
    }
}

/// The inodes in the layers that a stacked inode stands for: the upper one as
/// soon as there is one, else the lower one.
#[derive(Default)]
pub struct RealInodes {
    upper: RealInode,
    lower: RealInode,
}

impl RealInodes {
    /// Sets the lower inode, once.
    pub fn set_lower(&self, inode: &Inode, mount: &Mount) -> bool {
        self.lower.set(inode, mount)
    }

    /// Sets the upper inode, once. Walks that began before may still use the
    /// lower one.
    pub fn set_upper(&self, inode: &Inode, mount: &Mount) -> bool {
        self.upper.set(inode, mount)
    }

    #[inline]
    fn real<'a>(&self) -> Option<RcuReal<'a>> {
        let (is_upper, (inode, mount)) = match self.upper.get() {
            Some(upper) => (true, upper),
            None => (false, self.lower.get()?),
        };
        Some(RcuReal {
            inode,
            mount,
            is_upper,
            _walk: PhantomData,
        })
    }
}

impl RcuData for RealInodes {
    fn release(&self, _phase: &Destroying) {
        self.upper.release();
        self.lower.release();
    }
}

/// An inode of `F` as an RCU walk sees it: it may be going away, and nothing
/// here sleeps.
pub struct RcuInode<'rcu, F: FileSystem> {
    inode: NonNull<raw::inode>,
    _walk: PhantomData<&'rcu F>,
}

/// An inode in a layer that a stacked inode stands for, borrowed from that.
pub struct Real<'a> {
    /// The inode.
    pub inode: &'a Inode,
    /// The layer's mount.
    pub mount: &'a Mount,
    /// Whether it is in the upper layer.
    pub is_upper: bool,
}

/// An inode in a layer as an RCU walk sees it.
pub struct RcuReal<'rcu> {
    inode: NonNull<raw::inode>,
    mount: NonNull<raw::vfsmount>,
    is_upper: bool,
    _walk: PhantomData<&'rcu ()>,
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

impl<'rcu, F: FileSystem<Rcu = RealInodes>> RcuInode<'rcu, F> {
    /// The inode in a layer that this one stands for at this moment; `ECHILD`
    /// if it is not known yet.
    pub fn real(&self) -> Result<RcuReal<'rcu>> {
        self.data().real().ok_or(ECHILD)
    }

    /// As [`InodeOf::learn_no_acl`].
    pub fn learn_no_acl(&self) {
        // SAFETY: The memory is valid during the walk, and the lock does not sleep.
        unsafe { no_acl::learn(self.inode.as_ptr(), self.data()) };
    }
}

impl<F: FileSystem<Rcu = RealInodes>> InodeOf<F> {
    /// The inode in a layer that this one stands for at this moment, and its mount;
    /// `None` if it is not known yet.
    pub fn real(&self) -> Option<Real<'_>> {
        let real = self.rcu_data().real()?;
        // SAFETY: The references that `self` has to both are not given up before it is destroyed.
        let (inode, mount) = unsafe {
            (
                Inode::from_raw(real.inode.as_ptr()),
                Mount::from_raw(real.mount.as_ptr()),
            )
        };
        Some(Real {
            inode,
            mount,
            is_upper: real.is_upper,
        })
    }

    /// Notes that there is no access ACL, if that is known of the inode in the layer:
    /// permission checks stop asking for it then.
    pub fn learn_no_acl(&self) {
        // SAFETY: The inode is valid.
        unsafe { no_acl::learn(self.as_ptr(), self.rcu_data()) };
    }

    /// Takes back [`InodeOf::learn_no_acl`]: the inode has got an ACL, or stands for
    /// another inode than it did.
    pub fn forget_no_acl(&self) {
        // SAFETY: The inode is valid.
        unsafe { no_acl::forget(self.as_ptr()) };
    }
}

impl RcuReal<'_> {
    /// Whether it is in the upper layer.
    pub fn is_upper(&self) -> bool {
        self.is_upper
    }

    /// Whether it is a device, a fifo or a socket.
    pub fn is_special(&self) -> bool {
        // SAFETY: The memory is valid during the walk; this corresponds to `READ_ONCE`.
        let mode = unsafe { core::ptr::addr_of!((*self.inode.as_ptr()).i_mode).read_volatile() };
        crate::attr::Mode::from_bits(mode).is_special()
    }

    /// Asks the layer's filesystem and the security modules: see
    /// `inode_permission()`.
    pub fn permission(&self, cred: &Credential, mask: Access) -> Result {
        // SAFETY: The memory is valid during the walk.
        if unsafe { raw::vfs_shim_allows_everybody(self.inode.as_ptr(), mask.as_raw()) } {
            return Ok(());
        }
        crate::cred::with_creds(cred, |_| {
            // SAFETY: Both are valid during the walk, and `MAY_NOT_BLOCK` makes the call safe in
            // it. The idmap lives as long as the mount's memory.
            to_result(unsafe {
                raw::inode_permission(
                    raw::vfs_shim_mnt_idmap(self.mount.as_ptr()),
                    self.inode.as_ptr(),
                    mask.as_raw() | raw::MAY_NOT_BLOCK as c_int,
                )
            })
        })
    }

    /// The ACL if it is cached, see `get_cached_acl_rcu()`; null when there is
    /// none. An idmapped layer's would have to be copied: `ECHILD`.
    pub(crate) fn cached_acl(&self, acl_type: c_int) -> Result<*mut raw::posix_acl> {
        // SAFETY: Both are valid during the walk.
        unsafe {
            if (*(*self.inode.as_ptr()).i_sb).s_flags & raw::vfs_const_SB_POSIXACL as c_ulong == 0 {
                return Ok(core::ptr::null_mut());
            }
            if raw::vfs_shim_is_idmapped_mnt(self.mount.as_ptr()) {
                return Err(ECHILD);
            }
            Ok(raw::get_cached_acl_rcu(self.inode.as_ptr(), acl_type))
        }
    }
}
