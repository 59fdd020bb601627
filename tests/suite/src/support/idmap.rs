// SPDX-License-Identifier: GPL-2.0

//! Mounts that show owners by other numbers.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::CWD;
use rustix::mount::{move_mount, open_tree, MoveMountFlags, OpenTreeFlags};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;
use crate::support::process::Child;

/// Which numbers a mount shows: of the filesystem, of the mount, how many.
pub type Ranges<'a> = &'a [(u32, u32, u32)];

/// A user namespace with this mapping of users and groups.
#[track_caller]
fn user_namespace(ranges: Ranges<'_>) -> File {
    let (ready, is_ready) = must("pipe", rustix::pipe::pipe());
    let child = Child::spawn(|| {
        // SAFETY: nothing is shared with other threads: there are none.
        let result = unsafe { libc::unshare(libc::CLONE_NEWUSER) };
        assert_eq!(result, 0, "unshare: {}", std::io::Error::last_os_error());
        must("write", rustix::io::write(&is_ready, b"."));
        loop {
            std::thread::park();
        }
    });
    must("read", rustix::io::read(&ready, &mut [0_u8; 1]));
    let proc = format!("/proc/{}", child.pid().as_raw_nonzero());
    let map: String = ranges
        .iter()
        .map(|(inside, outside, count)| format!("{inside} {outside} {count}\n"))
        .collect();
    for file in ["uid_map", "gid_map"] {
        must(file, std::fs::write(format!("{proc}/{file}"), &map));
    }
    let namespace = must("open", File::open(format!("{proc}/ns/user")));
    child.kill();
    child.wait_for_signal();
    namespace
}

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
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = must("open_tree", open_tree(CWD, of.path(), flags));
    let namespace = user_namespace(ranges);
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
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    assert_eq!(
        result,
        0,
        "mount_setattr: {}",
        std::io::Error::last_os_error()
    );
    let moved = move_mount(
        tree.as_fd(),
        "",
        CWD,
        at.path(),
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    );
    must("move_mount", moved);
    bed.mounted(&at);
    at
}
