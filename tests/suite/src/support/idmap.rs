// SPDX-License-Identifier: GPL-2.0

//! Mounts that show owners by other numbers.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{move_mount, open_tree, MoveMountFlags, OpenTreeFlags};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;
use crate::support::userns;

/// Which numbers a mount shows: of the filesystem, of the mount, how many.
pub use crate::support::userns::Ranges;

/// `struct mount_attr`.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// Mounts what is mounted at `of`, or a directory of it, once more, with other
/// owners.
#[track_caller]
pub fn mount(bed: &Bed, of: &Dir, name: &str, ranges: Ranges<'_>) -> Dir {
    let at = bed.aside(name);
    let moved = move_mount(
        detached(of, ranges).as_fd(),
        "",
        CWD,
        at.path(),
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    );
    must("move_mount", moved);
    bed.mounted(&at);
    at
}

/// The same, but the mount has no place: it goes with the descriptor.
#[track_caller]
pub fn detached(of: &Dir, ranges: Ranges<'_>) -> OwnedFd {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = must("open_tree", open_tree(CWD, of.path(), flags));
    must("mount_setattr", set(&tree, ranges));
    tree
}

/// Has a mount that has no place yet show owners by other numbers.
pub fn set(mount: &OwnedFd, ranges: Ranges<'_>) -> Result<(), Errno> {
    let namespace = userns::namespace(ranges);
    let attr = MountAttr {
        set: MOUNT_ATTR_IDMAP,
        clear: 0,
        propagation: 0,
        user_namespace: u64::try_from(namespace.as_raw_fd()).expect("a descriptor"),
    };
    // SAFETY: the path is a C string and the structure as large as is said.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}
