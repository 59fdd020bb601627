// SPDX-License-Identifier: GPL-2.0

//! What a stacked inode stands for: dentries in layers, which RCU walks may see.
//!
//! The references to the dentries are what keeps the inodes there. The layers' mounts are the
//! super block's, which outlives the inode.

use super::{no_acl, Destroying, RcuData, RcuInode};
use crate::{
    atomic::load_acquire,
    cred::with_creds,
    dentry::Dentry,
    fast_permission,
    fs::FileSystem,
    inode::{Access, Inode, InodeOf},
    mount::Mount,
    raw, //
};
use core::ptr::NonNull;
use kernel::{
    cred::Credential,
    error::to_result,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{ordering, Atomic}, //
    },
};

/// A filesystem whose inodes stand for objects in layers.
pub trait Stacked: FileSystem<Rcu = RealDentries> {
    /// The mount of a layer. Called by RCU walks: must not sleep.
    fn layer_mount(sb: &Self::Super, layer: u32) -> Option<&Mount>;
}

/// A dentry in a layer, set once, and in the unused bits of the pointer a stage.
///
/// # Invariants
///
/// The pointer is null, or points to a dentry that was positive when it was set, and that
/// `self` has a reference to until `release`. Its memory, and that of its inode, is freed an RCU
/// grace period after that at the earliest.
struct RealDentry(Atomic<usize>);

/// The bits of a stage. Dentries are aligned to more.
const STAGE: usize = 3;

const _: () = assert!(core::mem::align_of::<raw::dentry>() > STAGE);

impl RealDentry {
    /// Who sees a stage sees what was done before it was set.
    #[inline]
    fn get(&self) -> (Option<NonNull<raw::dentry>>, usize) {
        let value = load_acquire(&self.0);
        let dentry = (value & !STAGE) as *mut raw::dentry;
        (NonNull::new(dentry), value & STAGE)
    }

    #[inline]
    fn dentry(&self) -> Option<NonNull<raw::dentry>> {
        self.get().0
    }

    /// False, and nothing is changed, if it is set already or the dentry is not fit for it.
    fn set(&self, dentry: ARef<Dentry>, stage: usize) -> bool {
        // Those of pseudo filesystems are freed at once.
        if dentry.is_negative() || dentry.flags() & raw::vfs_const_DCACHE_NORCU != 0 {
            return false;
        }
        let pointer = ARef::into_raw(dentry);
        let value = pointer.as_ptr() as usize | stage & STAGE;
        // INVARIANT: If that succeeds, the reference belongs to `self`.
        let is_set = self.0.cmpxchg(0, value, ordering::Full).is_ok();
        if !is_set {
            // SAFETY: It came from `into_raw`, and was not stored.
            drop(unsafe { ARef::from_raw(pointer) });
        }
        is_set
    }

    /// Nobody else sets a stage at the same time.
    fn set_stage(&self, stage: usize) {
        let value = self.0.load(ordering::Relaxed);
        // INVARIANT: The pointer is as it was.
        self.0
            .store(value & !STAGE | stage & STAGE, ordering::Release);
    }

    fn release(&self) {
        if let Some(dentry) = self.dentry() {
            // SAFETY: By the type invariants it is `self`'s reference, given up once.
            unsafe { raw::dput(dentry.as_ptr()) };
        }
    }
}

/// The inode of a dentry, which it may have lost already where RCU walks ask.
///
/// # Safety
///
/// The memory of the dentry is valid.
#[inline]
unsafe fn inode_of(dentry: NonNull<raw::dentry>) -> Option<NonNull<raw::inode>> {
    // SAFETY: By the safety requirements; this corresponds to `d_inode_rcu()`.
    NonNull::new(unsafe { core::ptr::addr_of!((*dentry.as_ptr()).d_inode).read_volatile() })
}

/// The dentries in layers that a stacked inode stands for: the upper one as soon as there
/// is one, else the lower one.
pub struct RealDentries {
    /// With the stage, see [`InodeOf::upper_dentry`].
    upper: RealDentry,
    lower: RealDentry,
    /// The layer of `lower`, set before it.
    lower_layer: Atomic<u32>,
}

impl Default for RealDentries {
    fn default() -> Self {
        // INVARIANT: Null.
        Self {
            upper: RealDentry(Atomic::new(0)),
            lower: RealDentry(Atomic::new(0)),
            lower_layer: Atomic::new(0),
        }
    }
}

impl RealDentries {
    /// The inode that is stood for, whether it is in upper, and the layer.
    #[inline]
    fn inode(&self) -> Option<(NonNull<raw::inode>, bool, u32)> {
        if let Some(upper) = self.upper.dentry() {
            // SAFETY: By the type invariants.
            return unsafe { inode_of(upper) }.map(|inode| (inode, true, 0));
        }
        // SAFETY: By the type invariants.
        let inode = unsafe { inode_of(self.lower.dentry()?) }?;
        Some((inode, false, load_acquire(&self.lower_layer)))
    }

    pub(super) fn is_without_acl(&self) -> bool {
        self.inode().is_some_and(|(inode, ..)| {
            // SAFETY: Its memory is valid: the caller has a reference to the stacked inode, which
            // has one to this, or is in an RCU walk.
            unsafe { fast_permission::is_without_acl(inode.as_ptr()) }
        })
    }
}

impl RcuData for RealDentries {
    fn release(&self, _phase: &Destroying) {
        self.upper.release();
        self.lower.release();
    }
}

/// An inode in a layer that a stacked inode stands for, borrowed from that.
pub struct Real<'a, F: Stacked> {
    inode: &'a Inode,
    sb: &'a F::Super,
    layer: u32,
    is_upper: bool,
}

/// An inode in a layer as an RCU walk sees it.
pub struct RcuReal<'rcu, F: Stacked> {
    inode: NonNull<raw::inode>,
    sb: &'rcu F::Super,
    layer: u32,
    is_upper: bool,
}

impl<'rcu, F: Stacked> RcuInode<'rcu, F> {
    /// The inode in a layer that this one stands for at this moment; `ECHILD`
    /// if it is not known yet, or not any more.
    pub fn real(&self) -> Result<RcuReal<'rcu, F>> {
        let (inode, is_upper, layer) = self.data().inode().ok_or(ECHILD)?;
        Ok(RcuReal {
            inode,
            sb: self.super_data(),
            layer,
            is_upper,
        })
    }

    /// As [`InodeOf::learn_no_acl`].
    pub fn learn_no_acl(&self) {
        // SAFETY: The memory is valid during the walk, and the lock does not sleep.
        unsafe { no_acl::learn(self.inode.as_ptr(), self.data()) };
    }
}

impl<F: Stacked> InodeOf<F> {
    /// The dentry in upper, once it is set, and the stage: how far the filesystem says the
    /// inode is on the way from its lower dentry to this one, 1 to 3. Who sees a stage sees
    /// what was done before it was set.
    #[inline]
    pub fn upper_dentry(&self) -> Option<(&Dentry, usize)> {
        let (dentry, stage) = self.rcu_data().upper.get();
        // SAFETY: The reference is not given up before `self` is destroyed.
        Some((unsafe { Dentry::from_raw(dentry?.as_ptr()) }, stage))
    }

    /// The dentry in a lower layer and the layer, once they are set.
    #[inline]
    pub fn lower_dentry(&self) -> Option<(&Dentry, u32)> {
        let real = self.rcu_data();
        let dentry = real.lower.dentry()?;
        // SAFETY: The reference is not given up before `self` is destroyed.
        let dentry = unsafe { Dentry::from_raw(dentry.as_ptr()) };
        Some((dentry, load_acquire(&real.lower_layer)))
    }

    /// Sets the dentry in upper, once, and the stage. Walks that began before may still use
    /// the lower one.
    ///
    /// False if there is one already, or the dentry cannot be stood for.
    pub fn set_upper_dentry(&self, dentry: ARef<Dentry>, stage: usize) -> bool {
        self.rcu_data().upper.set(dentry, stage)
    }

    /// Sets the stage of an inode that has a dentry in upper. The caller sees to it that
    /// nobody else does at the same time.
    pub fn set_stage(&self, stage: usize) {
        self.rcu_data().upper.set_stage(stage);
    }

    /// Sets the dentry in a lower layer, before the inode is published.
    ///
    /// False if there is one already, or the dentry cannot be stood for.
    pub fn set_lower_dentry(&self, dentry: ARef<Dentry>, layer: u32) -> bool {
        let real = self.rcu_data();
        if real.lower.dentry().is_some() {
            return false;
        }
        real.lower_layer.store(layer, ordering::Relaxed);
        real.lower.set(dentry, 0)
    }

    /// The inode in a layer that this one stands for at this moment; `None` if it is not
    /// known yet.
    pub fn real(&self) -> Option<Real<'_, F>> {
        let (inode, is_upper, layer) = self.rcu_data().inode()?;
        Some(Real {
            // SAFETY: The reference that `self` has to its dentry is not given up before it is
            // destroyed, and a positive dentry keeps its inode.
            inode: unsafe { Inode::from_raw(inode.as_ptr()) },
            sb: self.super_data(),
            layer,
            is_upper,
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

impl<F: Stacked> Real<'_, F> {
    /// Whether it is in the upper layer.
    pub fn is_upper(&self) -> bool {
        self.is_upper
    }

    /// Whether it is a device, a fifo or a socket.
    pub fn is_special(&self) -> bool {
        self.inode.mode().is_special()
    }

    /// Asks the layer's filesystem and the security modules, as a task that acts as `cred`:
    /// see `inode_permission()`.
    #[inline]
    pub fn permission(&self, cred: &Credential, mask: Access) -> Result {
        // SAFETY: The inode is valid.
        if unsafe { fast_permission::allows_everybody(self.inode.as_ptr(), mask) } {
            return Ok(());
        }
        let mount = F::layer_mount(self.sb, self.layer).ok_or(EIO)?;
        self.inode.permission_of(cred, mount, mask)
    }
}

impl<F: Stacked> RcuReal<'_, F> {
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
        if unsafe { fast_permission::allows_everybody(self.inode.as_ptr(), mask) } {
            return Ok(());
        }
        let mount = F::layer_mount(self.sb, self.layer).ok_or(ECHILD)?;
        with_creds(cred, |_| {
            // SAFETY: The inode is valid during the walk, and `MAY_NOT_BLOCK` makes the call safe in
            // it.
            to_result(unsafe {
                raw::inode_permission(
                    mount.idmap().as_ptr(),
                    self.inode.as_ptr(),
                    mask.as_raw() | raw::MAY_NOT_BLOCK as c_int,
                )
            })
        })
    }

    /// The ACL if it is cached, see `get_cached_acl_rcu()`; null when there is
    /// none. An idmapped layer's would have to be copied: `ECHILD`.
    pub(crate) fn cached_acl(&self, acl_type: c_int) -> Result<*mut raw::posix_acl> {
        let mount = F::layer_mount(self.sb, self.layer).ok_or(ECHILD)?;
        // SAFETY: Both are valid during the walk.
        unsafe {
            if !fast_permission::is_posixacl(self.inode.as_ptr()) {
                return Ok(core::ptr::null_mut());
            }
            if mount.is_idmapped() {
                return Err(ECHILD);
            }
            Ok(raw::get_cached_acl_rcu(self.inode.as_ptr(), acl_type))
        }
    }
}
