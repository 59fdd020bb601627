// SPDX-License-Identifier: GPL-2.0

//! POSIX ACLs.
//!
//! C headers: [`include/linux/posix_acl.h`](srctree/include/linux/posix_acl.h)

use crate::{
    dentry::Dentry,
    inode::Inode,
    mount::PathRef,
    raw, //
};
use core::{mem::ManuallyDrop, ptr::NonNull};
use kernel::{
    error::{from_err_ptr, to_result},
    prelude::*, //
};

/// Which of an inode's two ACLs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AclType {
    /// Who may access the inode.
    Access,
    /// What new objects in the directory inherit.
    Default,
}

impl AclType {
    pub(crate) fn from_raw(kind: c_int) -> Option<Self> {
        match kind as u32 {
            raw::ACL_TYPE_ACCESS => Some(Self::Access),
            raw::ACL_TYPE_DEFAULT => Some(Self::Default),
            _ => None,
        }
    }

    pub(crate) fn as_raw(self) -> c_int {
        (match self {
            Self::Access => raw::ACL_TYPE_ACCESS,
            Self::Default => raw::ACL_TYPE_DEFAULT,
        }) as c_int
    }

    /// The extended attribute that it is seen as.
    pub fn xattr_name(self) -> &'static CStr {
        match self {
            Self::Access => c"system.posix_acl_access",
            Self::Default => c"system.posix_acl_default",
        }
    }

    /// The ACL that an extended attribute shows; `None` for any other attribute.
    pub fn of_xattr(name: &CStr) -> Option<Self> {
        [Self::Access, Self::Default]
            .into_iter()
            .find(|kind| kind.xattr_name() == name)
    }
}

/// An ACL, see `struct posix_acl`.
///
/// # Invariants
///
/// `0` is a valid ACL that `self` has a reference to.
pub struct Acl(NonNull<raw::posix_acl>);

// SAFETY: A shared ACL is never written.
unsafe impl Send for Acl {}
// SAFETY: As above.
unsafe impl Sync for Acl {}

impl Acl {
    /// # Safety
    ///
    /// `acl` is null, an error, or an ACL whose reference becomes the caller's.
    unsafe fn from_ret(acl: *mut raw::posix_acl) -> Result<Option<Self>> {
        Ok(NonNull::new(from_err_ptr(acl)?).map(Self))
    }

    pub(crate) fn into_ret(acl: Result<Option<Self>>) -> *mut raw::posix_acl {
        match acl {
            Ok(Some(acl)) => ManuallyDrop::new(acl).0.as_ptr(),
            Ok(None) => core::ptr::null_mut(),
            Err(err) => err.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// `acl` is null, or an ACL that outlives the result.
    pub(crate) unsafe fn borrow(acl: *mut raw::posix_acl) -> Option<ManuallyDrop<Self>> {
        NonNull::new(acl).map(|acl| ManuallyDrop::new(Self(acl)))
    }

    /// The ACL of `path`, with the ids of its mount, after asking the security
    /// modules: see `vfs_get_acl()`.
    pub fn get(path: PathRef<'_>, kind: AclType) -> Result<Option<Self>> {
        // SAFETY: All are valid.
        let acl = unsafe {
            Self::from_ret(raw::vfs_get_acl(
                path.mount().idmap().as_ptr(),
                path.dentry().as_ptr(),
                kind.xattr_name().as_char_ptr(),
            ))
        }?;
        Self::mapped(acl, path)
    }

    /// As [`Acl::get`] for a permission check, which asks nobody: see
    /// `get_inode_acl()`.
    pub fn get_noperm(path: PathRef<'_>, kind: AclType) -> Result<Option<Self>> {
        let inode = path.inode()?;
        if !inode.has_posix_acl() {
            return Ok(None);
        }
        // SAFETY: The inode is valid.
        let acl = unsafe { Self::from_ret(raw::get_inode_acl(inode.as_ptr(), kind.as_raw())) }?;
        Self::mapped(acl, path)
    }

    fn mapped(acl: Option<Self>, path: PathRef<'_>) -> Result<Option<Self>> {
        let Some(acl) = acl else {
            return Ok(None);
        };
        if !path.mount().is_idmapped() {
            return Ok(Some(acl));
        }
        // The ACL is shared with the layer's cache: the ids of a copy are mapped.
        let copy = acl.try_clone()?;
        // SAFETY: The copy is exclusive, and belongs to the filesystem of the inode.
        to_result(unsafe {
            raw::vfs_shim_map_acl(
                copy.0.as_ptr(),
                path.mount().idmap().as_ptr(),
                path.inode()?.as_ptr(),
            )
        })?;
        Ok(Some(copy))
    }

    /// A copy that nobody shares.
    pub fn try_clone(&self) -> Result<Self> {
        // SAFETY: The ACL is valid.
        let copy = unsafe { raw::posix_acl_clone(self.0.as_ptr(), raw::GFP_KERNEL) };
        // INVARIANT: The copy has one reference.
        NonNull::new(copy).map(Self).ok_or(ENOMEM)
    }

    /// Sets the ACL of `path`, or removes it: see `vfs_set_acl()` and
    /// `vfs_remove_acl()`.
    ///
    /// Takes the inode lock; the caller has write access to the mount.
    pub fn set(path: PathRef<'_>, kind: AclType, acl: Option<&Self>) -> Result {
        let (idmap, dentry) = (path.mount().idmap().as_ptr(), path.dentry().as_ptr());
        let name = kind.xattr_name().as_char_ptr();
        // Setting maps the ids in place, and the ACL may be shared.
        let own = acl.map(Self::try_clone).transpose()?;
        // SAFETY: All are valid.
        to_result(unsafe {
            match &own {
                Some(acl) => raw::vfs_set_acl(idmap, dentry, name, acl.0.as_ptr()),
                None => raw::vfs_remove_acl(idmap, dentry, name),
            }
        })
    }

    /// The ACLs of a new object of `mode` in `dir`, and the mode after applying
    /// them or the umask: see `posix_acl_create()`.
    pub fn inherit(dir: &Inode, mode: crate::attr::Mode) -> Result<Inherited> {
        let mut bits = mode.bits();
        let (mut default, mut access) = (core::ptr::null_mut(), core::ptr::null_mut());
        // SAFETY: The directory is valid and locked by the caller of the creating operation.
        to_result(unsafe {
            raw::posix_acl_create(dir.as_ptr(), &mut bits, &mut default, &mut access)
        })?;
        Ok(Inherited {
            mode: crate::attr::Mode::from_bits(bits),
            access: NonNull::new(access).map(Self),
            default: NonNull::new(default).map(Self),
        })
    }
}

impl Drop for Acl {
    fn drop(&mut self) {
        // SAFETY: `self` owns a reference.
        unsafe { raw::vfs_shim_posix_acl_release(self.0.as_ptr()) };
    }
}

/// What a new object inherits from its directory.
pub struct Inherited {
    /// Its mode.
    pub mode: crate::attr::Mode,
    /// Its access ACL.
    pub access: Option<Acl>,
    /// Its default ACL.
    pub default: Option<Acl>,
}

impl Dentry {
    /// Whether the inode can have ACLs set, see `inode_operations.set_acl`.
    pub fn can_set_acl(&self) -> bool {
        // SAFETY: An inode always has operations.
        self.inode()
            .is_some_and(|inode| unsafe { (*(*inode.as_ptr()).i_op).set_acl.is_some() })
    }
}
