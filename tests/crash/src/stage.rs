// SPDX-License-Identifier: GPL-2.0

//! The layers, and mounting them.
//!
//! One lower layer is on the filesystem of upper, which may share blocks between the
//! two; the other is on a tmpfs, made anew for each machine.

use std::fs::{self, File, FileTimes};
use std::io;
use std::os::unix::fs::{lchown, PermissionsExt};
use std::time::{Duration, SystemTime};

use rustix::fs::{lsetxattr, syncfs, XattrFlags};
use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};

use crate::history::History;
use crate::model::{Attributes, Kind};
use crate::op::{self, XATTR};

/// Where the tested filesystem is mounted.
pub const DISK: &str = "/mnt/disk";
/// Where the overlay is.
pub const MERGED: &str = "/mnt/merged";
const MEMORY: &str = "/mnt/memory";

/// The driver that has no layers: what the filesystem promises without an overlay.
pub const BARE: &str = "bare";

/// Makes the directories that are mounted on.
pub fn prepare() -> io::Result<()> {
    for dir in [DISK, MERGED, MEMORY] {
        fs::create_dir_all(dir)?;
    }
    Ok(mount("tmpfs", MEMORY, "tmpfs", MountFlags::empty(), None)?)
}

/// Makes the layer that is in memory.
pub fn memory_layer(history: &History) -> io::Result<()> {
    populate(history, &format!("{MEMORY}/lower"), |id| id % 2 == 0)
}

/// Makes the layers that are on the disk, durably.
pub fn disk_layers(history: &History, driver: &str) -> io::Result<()> {
    if driver == BARE {
        populate(history, &format!("{DISK}/upper"), |_| true)?;
    } else {
        populate(history, &format!("{DISK}/lower"), |id| id % 2 != 0)?;
        fs::create_dir(format!("{DISK}/upper"))?;
        fs::create_dir(format!("{DISK}/work"))?;
    }
    Ok(syncfs(File::open(DISK)?)?)
}

/// Makes a layer with all directories, and those objects that it is to have.
fn populate(history: &History, root: &str, has: impl Fn(usize) -> bool) -> io::Result<()> {
    fs::create_dir(root)?;
    for (path, id) in history.start.paths() {
        let Attributes {
            kind,
            mode,
            owner,
            xattr,
            mtime,
        } = history.start.get(id);
        if *kind != Kind::Dir && !has(id) {
            continue;
        }
        let path = format!("{root}/{path}");
        op::create(&path, kind)?;
        if *kind == Kind::File {
            fs::write(&path, history.initial(id))?;
        }
        lchown(&path, Some(*owner), Some(*owner))?;
        if !matches!(kind, Kind::Symlink(_)) {
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
        }
        if let Some(value) = xattr {
            lsetxattr(&path, XATTR, value, XattrFlags::empty())?;
        }
        if let Some(seconds) = mtime {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(*seconds as u64);
            let file = File::options().write(true).open(&path)?;
            file.set_times(FileTimes::new().set_modified(time))?;
        }
    }
    Ok(())
}

/// Mounts the filesystem on a device.
pub fn mount_disk(device: &str, fs: &str) -> io::Result<()> {
    Ok(mount(device, DISK, fs, MountFlags::empty(), None)?)
}

/// Mounts the overlay, or what stands for it.
pub fn mount_overlay(driver: &str, options: &str) -> io::Result<()> {
    if driver == BARE {
        return Ok(rustix::mount::mount_bind(format!("{DISK}/upper"), MERGED)?);
    }
    let mut all =
        format!("lowerdir={MEMORY}/lower:{DISK}/lower,upperdir={DISK}/upper,workdir={DISK}/work");
    if !options.is_empty() {
        all.push(',');
        all.push_str(options);
    }
    let all = std::ffi::CString::new(all)?;
    Ok(mount("crash", MERGED, driver, MountFlags::empty(), &*all)?)
}

pub fn umount(dir: &str) -> io::Result<()> {
    Ok(unmount(dir, UnmountFlags::empty())?)
}
