// SPDX-License-Identifier: GPL-2.0

//! Mounting by `fsopen`, `fsconfig` and `fsmount`.

use std::os::fd::AsFd;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, move_mount, FsMountFlags, FsOpenFlags,
    MountAttrFlags, MoveMountFlags,
};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;

/// Mounts with each option given as a string of its own.
pub fn mount(bed: &Bed, options: &[(&str, &str)], at: &Dir) -> Result<Dir, Errno> {
    let context = fsopen(bed.fs.as_str(), FsOpenFlags::FSOPEN_CLOEXEC)?;
    for &(key, value) in options {
        fsconfig_set_string(context.as_fd(), key, value)?;
    }
    fsconfig_create(context.as_fd())?;
    let mount = fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )?;
    move_mount(
        mount.as_fd(),
        "",
        CWD,
        at.path(),
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )?;
    bed.mounted(at);
    Ok(at.clone())
}
