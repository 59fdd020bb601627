// SPDX-License-Identifier: GPL-2.0

//! Module parameters, most of which say what a mount does without an option of
//! the name.
//!
//! C counterparts: those of `fs/overlayfs/params.c`. They can be written while
//! the module is loaded; a mount reads them once.

use crate::raw;

/// `redirect_dir`.
pub fn redirect_dir() -> bool {
    // SAFETY: Reads a parameter.
    unsafe { raw::vfs_shim_param_redirect_dir() }
}

/// `redirect_always_follow`.
pub fn redirect_always_follow() -> bool {
    // SAFETY: Reads a parameter.
    unsafe { raw::vfs_shim_param_redirect_always_follow() }
}

/// `index`.
pub fn index() -> bool {
    // SAFETY: Reads a parameter.
    unsafe { raw::vfs_shim_param_index() }
}

/// `nfs_export`.
pub fn nfs_export() -> bool {
    // SAFETY: Reads a parameter.
    unsafe { raw::vfs_shim_param_nfs_export() }
}

/// `xino_auto`.
pub fn xino_auto() -> bool {
    // SAFETY: Reads a parameter.
    unsafe { raw::vfs_shim_param_xino_auto() }
}

/// `metacopy`.
pub fn metacopy() -> bool {
    // SAFETY: Reads a parameter.
    unsafe { raw::vfs_shim_param_metacopy() }
}

/// `rename_dir_copy`.
pub fn rename_dir_copy() -> bool {
    // SAFETY: Reads a parameter.
    unsafe { raw::vfs_shim_param_rename_dir_copy() }
}

/// `rename_dir_objects`: how many objects a rename copies up at most. Read each
/// time.
pub fn rename_dir_objects() -> u32 {
    // SAFETY: Reads a parameter.
    unsafe { raw::vfs_shim_param_rename_dir_objects() }
}

/// `rename_dir_mib`: how much data a rename copies up at most, in MiB. Read each
/// time.
pub fn rename_dir_mib() -> u32 {
    // SAFETY: Reads a parameter.
    unsafe { raw::vfs_shim_param_rename_dir_mib() }
}

/// `redirect_max`: the longest absolute redirect to write, in bytes. Read each
/// time.
pub fn redirect_max() -> u32 {
    // SAFETY: Reads a parameter.
    unsafe { raw::vfs_shim_param_redirect_max() }
}
