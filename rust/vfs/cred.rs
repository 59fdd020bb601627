// SPDX-License-Identifier: GPL-2.0

//! Credentials that a task acts with for a while.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)

use crate::raw;
use core::ptr::NonNull;
use kernel::{
    cred::Credential,
    prelude::*,
    sync::aref::ARef,
    types::NotThreadSafe, //
};

/// New credentials that nobody shares yet, see `prepare_creds()`.
///
/// # Invariants
///
/// `0` points to credentials that are referenced by `self` alone.
pub struct NewCred(NonNull<raw::cred>);

impl NewCred {
    /// A copy of the current task's credentials.
    ///
    /// Fails with `ENOMEM`.
    pub fn prepare() -> Result<Self> {
        // SAFETY: No requirements; returns null or an exclusive reference.
        let cred = unsafe { raw::prepare_creds() };
        // INVARIANT: `prepare_creds` made the only reference.
        NonNull::new(cred).map(Self).ok_or(ENOMEM)
    }

    /// Takes `CAP_SYS_RESOURCE` out of the effective set, so that quotas and
    /// reserved blocks are respected.
    pub fn drop_sys_resource(&mut self) {
        // SAFETY: By the type invariant nobody else looks at the credentials.
        unsafe { (*self.0.as_ptr()).cap_effective.val &= !(1u64 << raw::CAP_SYS_RESOURCE) };
    }

    /// Creates files as the owner of `inode`.
    pub fn set_fs_ids_from(&mut self, inode: &crate::inode::Inode) {
        // SAFETY: By the type invariant nobody else looks at the credentials; `inode` is valid and
        // its owner is only read.
        unsafe {
            (*self.0.as_ptr()).fsuid = (*inode.as_ptr()).i_uid;
            (*self.0.as_ptr()).fsgid = (*inode.as_ptr()).i_gid;
        }
    }

    /// Lets the security modules choose how a file of `mode` that will be
    /// created as `dentry` on behalf of `original` is labelled.
    ///
    /// Mirrors `security_dentry_create_files_as()`.
    pub fn create_files_as(
        &mut self,
        dentry: &crate::dentry::Dentry,
        mode: crate::attr::Mode,
        original: &Credential,
    ) -> Result {
        // A rename could free the name while the modules look at it.
        dentry.with_name(|name| {
            let name = name.as_qstr();
            // SAFETY: All pointers are valid, and the new credentials are exclusive.
            kernel::error::to_result(unsafe {
                raw::vfs_shim_security_dentry_create_files_as(
                    dentry.as_ptr(),
                    mode.bits().into(),
                    &name,
                    original.as_ptr(),
                    self.0.as_ptr(),
                )
            })
        })
    }

    /// Finishes the credentials: they are immutable and shareable from here.
    pub fn freeze(self) -> ARef<Credential> {
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: The reference that `self` owned moves into the `ARef`; `Credential` is
        // transparent over `struct cred`.
        unsafe { ARef::from_raw(this.0.cast()) }
    }
}

impl Drop for NewCred {
    fn drop(&mut self) {
        // SAFETY: `self` owns one reference.
        unsafe { raw::put_cred(self.0.as_ptr()) };
    }
}

/// Restores the task's former credentials.
struct Restore(*const raw::cred, NotThreadSafe);

impl Drop for Restore {
    fn drop(&mut self) {
        // SAFETY: `0` is what the task had before, and whoever installed it keeps it referenced.
        unsafe { raw::vfs_shim_revert_creds(self.0) };
    }
}

/// Calls `f` while the current task acts as `cred`; `f` is given the
/// credentials that the task had before.
///
/// A closure and not a guard: a guard that is leaked would leave the task with
/// credentials that may be freed.
///
/// Mirrors `override_creds()` and `revert_creds()`.
pub fn with_creds<R>(cred: &Credential, f: impl FnOnce(&Credential) -> R) -> R {
    // SAFETY: `cred` is borrowed for longer than the task uses it: until `restore` is dropped.
    let old = unsafe { raw::vfs_shim_override_creds(cred.as_ptr()) };
    let _restore = Restore(old, NotThreadSafe);
    // SAFETY: The former credentials stay referenced by whoever installed them, who cannot undo it
    // before this function has returned.
    f(unsafe { Credential::from_ptr(old) })
}

/// Calls `f` while the current task acts as itself, whatever it was made to act
/// as: see `current_real_cred()`.
pub fn with_real_creds<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: The real credentials of the running task are referenced by the task, and only the
    // task itself replaces them, which it does not do within a filesystem.
    let real = unsafe { Credential::from_ptr((*raw::get_current()).real_cred) };
    with_creds(real, |_| f())
}

/// Whether the current task may use `trusted.*` xattrs: see `capable()`. That it was
/// asked for is noted.
pub fn capable_sys_admin() -> bool {
    // SAFETY: No requirements.
    unsafe { raw::capable(raw::CAP_SYS_ADMIN as c_int) }
}

/// As [`capable_sys_admin`], where it makes no failure: nothing is noted, see
/// `ns_capable_noaudit()`.
pub(crate) fn is_admin() -> bool {
    // SAFETY: No requirements.
    unsafe { raw::vfs_shim_is_admin() }
}

/// Whether `trusted.*` xattrs are listed to the current task.
pub fn sees_trusted_xattrs() -> bool {
    is_admin()
}

/// Whether the current task may find objects by file handles, wherever they are.
pub fn capable_dac_read_search() -> bool {
    // SAFETY: No requirements.
    unsafe { raw::capable(raw::CAP_DAC_READ_SEARCH as c_int) }
}
