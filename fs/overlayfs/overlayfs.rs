// SPDX-License-Identifier: GPL-2.0

//! The overlay filesystem.
//!
//! It shows a stack of directories, the *layers*, as one: what is in a higher
//! layer hides what has the same name in lower ones, and directories are merged.
//! Changes go to the topmost layer, *upper*, where an object of a lower layer is
//! copied first (*copy-up*). The layers' format is that of C overlayfs.
//!
//! # Locks
//!
//! In the order in which they are taken; `n` is the height of the overlay in a
//! stack of filesystems, 0 a plain one.
//!
//! 1. `s_vfs_rename_mutex` and `i_rwsem` of overlay directories [n]
//! 2. `i_rwsem` of other overlay inodes [n]
//! 3. [`entry::Entry`]'s `copy_up` [n]: one task copies an inode up, or changes
//!    attributes of a metacopy
//! 4. [`kept::KeptListing`] [n]: the listing that is kept of a directory
//! 5. `s_writers` of upper's super block, by `mnt_want_write`: upper is never an
//!    overlay, so this ranks below all locks of overlays, those of a lower layer
//!    included
//! 6. [`layers::Upper`]'s `whiteout`, when the shared whiteout is made or used up; then
//!    `s_vfs_rename_mutex` and `i_rwsem` of upper directories and inodes
//! 7. memory maps (`mmap_lock`), which are only ever tried here. `mmap` opens
//!    upper's file under it, and takes nothing of the above. What is below it is
//!    told in [`vfs::mapping`]
//! 8. spinlocks: `i_lock`, `d_lock`; the map of inode numbers, the list of
//!    pending switches, that of written files, [`kept::Kept`] and [`rare::Rare`]'s
//!    `redirect` [n] are mutexes that are taken last, with nothing under them but spinlocks.
//!    [`kept::Kept`] is taken also where memory is given back: by whoever allocates some,
//!    whatever else is held
//!
//! The data of a file is copied without 5, so that a frozen upper does not stop
//! readers of a nested overlay. Nothing of a lower layer is locked but by the
//! operations of its own filesystem.
//!
//! # Memory
//!
//! What stays allocated after an operation that anybody can repeat is charged to who
//! does it, `GFP_KERNEL_ACCOUNT`: a mount may be one of a user without rights.

#![forbid(unsafe_code)]

pub mod format;

mod acl;
mod addresses;
mod casefold;
mod config;
mod copy_up;
mod copy_xattrs;
mod counters;
mod data;
mod detach;
mod dir;
mod dir_file;
mod durability;
mod entry;
mod export;
mod file;
mod filesystems;
mod handle;
mod identity;
mod index;
mod index_mount;
mod inode;
mod kept;
mod layer_names;
mod layered;
mod layers;
mod listing;
mod lookup;
mod lower_data;
mod mapping;
mod metacopy;
mod mount;
mod mounter;
mod name_list;
mod nlink;
mod observe;
mod origin;
mod overlap;
mod params;
mod protattr;
mod rare;
mod reconfigure;
mod redirect;
mod remote;
mod remove;
mod rename;
mod stack;
mod super_block;
mod symlink;
#[cfg(CONFIG_KUNIT = "y")]
mod tests;
mod text;
mod uuid;
mod workdir;
mod written;
mod xattr;

use vfs::{
    fs::{FsType, Registration},
    LibraryModule as LocalModule, //
};

/// The filesystem, as crate `vfs` knows it.
pub struct Overlay;

/// A registered overlay filesystem; dropping it unregisters it.
pub type OverlayRegistration = Registration<Overlay>;

/// Static memory for an [`OverlayRegistration`].
pub type OverlayType = FsType<Overlay>;

/// Prefix of kernel messages.
const __LOG_PREFIX: &[u8] = b"overlayfs\0";
