// SPDX-License-Identifier: GPL-2.0

//! Permission checks whose answer can be seen at once.

use crate::{inode::Access, raw};
use kernel::prelude::*;

/// Whether `inode_permission()` is known to allow `mask` whoever asks: by the mode of
/// a file or directory, with neither an ACL nor an operation of the filesystem nor
/// a security module to be asked.
///
/// # Safety
///
/// The memory of the inode is valid: it is referenced, or found by an RCU walk.
#[inline]
pub(crate) unsafe fn allows_everybody(inode: *mut raw::inode, mask: Access) -> bool {
    let rights = mask.as_raw() as u32 & (raw::MAY_READ | raw::MAY_WRITE | raw::MAY_EXEC);
    // SAFETY: By the safety requirements; this corresponds to `READ_ONCE`.
    let mode = unsafe { core::ptr::addr_of!((*inode).i_mode).read_volatile() };
    if cfg!(CONFIG_SECURITY)
        || rights & raw::MAY_WRITE != 0
        || (rights * 0o111) & !u32::from(mode) != 0
    {
        return false;
    }
    let fast = match u32::from(mode) & raw::S_IFMT {
        raw::S_IFDIR if rights == raw::MAY_EXEC => {
            raw::vfs_const_IOP_FASTPERM | raw::vfs_const_IOP_FASTPERM_MAY_EXEC
        }
        raw::S_IFDIR | raw::S_IFREG => raw::vfs_const_IOP_FASTPERM,
        _ => return false,
    };
    // SAFETY: As above.
    unsafe { has_opflags(inode, fast) && has_no_acl(inode) }
}

/// Whether nothing but the mode says who may search the inode, as the VFS knows.
///
/// # Safety
///
/// As for [`allows_everybody`].
pub(crate) unsafe fn is_without_acl(inode: *mut raw::inode) -> bool {
    let fast = raw::vfs_const_IOP_FASTPERM | raw::vfs_const_IOP_FASTPERM_MAY_EXEC;
    // SAFETY: By the safety requirements.
    unsafe { has_opflags(inode, fast) && has_no_acl(inode) }
}

/// # Safety
///
/// As for [`allows_everybody`].
#[inline]
unsafe fn has_opflags(inode: *mut raw::inode, any_of: u16) -> bool {
    // SAFETY: By the safety requirements; this corresponds to `READ_ONCE`.
    unsafe { core::ptr::addr_of!((*inode).i_opflags).read_volatile() & any_of != 0 }
}

/// # Safety
///
/// As for [`allows_everybody`].
#[inline]
unsafe fn has_no_acl(inode: *mut raw::inode) -> bool {
    // SAFETY: By the safety requirements; this corresponds to `READ_ONCE`.
    unsafe {
        core::ptr::addr_of!((*inode).i_acl)
            .read_volatile()
            .is_null()
            || !is_posixacl(inode)
    }
}

/// Whether POSIX ACLs apply to the inode, see `IS_POSIXACL()`.
///
/// # Safety
///
/// As for [`allows_everybody`].
#[inline]
pub(crate) unsafe fn is_posixacl(inode: *mut raw::inode) -> bool {
    // SAFETY: By the safety requirements; an inode keeps its super block as long. This corresponds
    // to `READ_ONCE`.
    let flags = unsafe { core::ptr::addr_of!((*(*inode).i_sb).s_flags).read_volatile() };
    flags & raw::vfs_const_SB_POSIXACL as c_ulong != 0
}
