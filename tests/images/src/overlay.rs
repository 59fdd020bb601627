// SPDX-License-Identifier: GPL-2.0

//! Mounting an overlay.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags,
};

/// An option, with a value unless it is a flag.
pub type Setting = (&'static str, Option<String>);

/// Why there is no mount.
pub struct Refusal {
    /// The error.
    pub errno: Errno,
    /// What the filesystem says about it.
    pub words: String,
}

/// Mounts an overlay.
pub fn mount(fs: &str, settings: &[Setting], at: &Path) -> Result<(), Refusal> {
    let fail = |errno| Refusal {
        errno,
        words: String::new(),
    };
    let context = fsopen(fs, FsOpenFlags::FSOPEN_CLOEXEC).map_err(fail)?;
    let configured = settings
        .iter()
        .try_for_each(|(key, value)| match value {
            Some(value) => fsconfig_set_string(context.as_fd(), *key, value.as_str()),
            None => fsconfig_set_flag(context.as_fd(), *key),
        })
        .and_then(|()| fsconfig_create(context.as_fd()));
    if let Err(errno) = configured {
        let words = log(&context);
        return Err(Refusal { errno, words });
    }
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let tree = fsmount(context.as_fd(), flags, MountAttrFlags::empty()).map_err(fail)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree.as_fd(), "", CWD, at, flags).map_err(fail)
}

/// The errors in the log of a context.
fn log(context: &impl AsFd) -> String {
    let mut words = String::new();
    let mut buffer = vec![0; 4096];
    while let Ok(length) = rustix::io::read(context, &mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]);
        if line.starts_with("e ") {
            words += &line;
        }
    }
    words
}

/// Unmounts it, which nobody may use any more.
pub fn umount(at: &Path) -> Result<(), String> {
    unmount(at, UnmountFlags::empty()).map_err(|error| format!("umount: {error}"))
}

/// The settings for layers, the highest first.
pub fn layers(lower: &[PathBuf], data: &[PathBuf], upper: Option<(&Path, &Path)>) -> Vec<Setting> {
    let named = |key, path: &Path| (key, Some(path.to_string_lossy().into_owned()));
    let mut settings: Vec<_> = lower.iter().map(|path| named("lowerdir+", path)).collect();
    settings.extend(data.iter().map(|path| named("datadir+", path)));
    if let Some((upper, work)) = upper {
        settings.push(named("upperdir", upper));
        settings.push(named("workdir", work));
    }
    settings
}

/// How many use the module of a filesystem, if it is one.
pub fn users(fs: &str) -> Option<u64> {
    let path = format!("/sys/module/{fs}/refcnt");
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}
