// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions over the VFS, for filesystems written in Rust.
//!
//! The names and shapes are those of the C interface: whoever knows
//! `Documentation/filesystems/vfs.rst` finds each concept under its name. What C
//! leaves to convention is a type here:
//!
//! - Objects of anybody's filesystem are [`inode::Inode`], [`dentry::Dentry`],
//!   [`mount::Mount`] and [`mount::Path`]. Those of the filesystem that is being
//!   implemented are [`inode::InodeOf`] and [`dentry::DentryOf`], which know its
//!   private data.
//! - What must be undone is a guard: inode locks, write access to a mount,
//!   credentials, and the `start_*`/`end_*` pairs of [`namei`].
//! - What an RCU walk may look at is [`rcu::RcuInode`], which has no method that
//!   sleeps.
//! - The idmap is taken from the path that an operation works on.
//!
//! All `unsafe` of this project is in this crate.

pub mod acl;
pub mod atomic;
pub mod attr;
pub mod backing;
pub mod casefold;
pub mod context;
pub mod cred;
pub mod delayed_work;
pub mod dentry;
pub mod exportfs;
mod fast_permission;
pub mod file;
pub mod file_ops;
pub mod fileattr;
pub mod fs;
pub mod hash;
pub mod inode;
pub mod inode_ops;
pub mod mapping;
pub mod mount;
pub mod mutex;
pub mod namei;
pub mod new_inode;
pub mod params;
pub mod print;
pub mod rcu;
pub mod readdir;
pub mod set_once;
pub mod super_block;
pub mod sysfs;
pub mod trace;
pub mod verity;
pub mod xattr;

/// C's types and functions: those of `kernel::bindings`, and those that only
/// this crate needs.
mod raw {
    #![allow(warnings, clippy::all, unsafe_op_in_unsafe_fn)]
    pub(crate) use kernel::bindings::*;
    use kernel::ffi;
    use pin_init::{MaybeZeroable, Zeroable};
    include!(concat!(env!("VFS_GEN"), "/bindings_generated.rs"));
}

/// The module that `#[vtable]` names as the owner of a table in a library crate:
/// none. Name it `LocalModule` in the crate's root.
///
/// Tables of a filesystem need no owner: the mount that their objects belong to
/// holds the module.
pub struct LibraryModule;

impl kernel::ModuleMetadata for LibraryModule {
    const NAME: &'static kernel::str::CStr = c"library";
    // SAFETY: A null module is what built-in code has; nobody dereferences it.
    const THIS_MODULE: kernel::ThisModule =
        unsafe { kernel::ThisModule::from_ptr(core::ptr::null_mut()) };
}

/// What a library crate gives to macros that expect a module around them.
const __LOG_PREFIX: &[u8] = b"vfs: \0";
