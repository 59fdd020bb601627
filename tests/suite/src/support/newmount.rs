// SPDX-License-Identifier: GPL-2.0

//! Mounting by `fsopen`, `fsconfig` and `fsmount`.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    fsconfig_create, fsconfig_reconfigure, fsconfig_set_binary, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, fspick, move_mount, open_tree, FsMountFlags, FsOpenFlags,
    FsPickFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags,
};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;

/// What is being set up, or changed.
pub struct Context<'a> {
    bed: &'a Bed,
    fd: OwnedFd,
}

impl<'a> Context<'a> {
    /// For a new mount of the driver under test.
    #[track_caller]
    pub fn open(bed: &'a Bed) -> Self {
        Self::of_type(bed, &bed.fs)
    }

    /// For a new mount of any type.
    #[track_caller]
    pub fn of_type(bed: &'a Bed, fs: &str) -> Self {
        let fd = must("fsopen", fsopen(fs, FsOpenFlags::FSOPEN_CLOEXEC));
        Self { bed, fd }
    }

    /// For a change of what is mounted.
    #[track_caller]
    pub fn pick(bed: &'a Bed, at: &Dir) -> Self {
        let fd = must(
            "fspick",
            fspick(CWD, at.path(), FsPickFlags::FSPICK_CLOEXEC),
        );
        Self { bed, fd }
    }

    /// From a descriptor that somebody else opened.
    pub fn from_fd(bed: &'a Bed, fd: OwnedFd) -> Self {
        Self { bed, fd }
    }

    /// The descriptor.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Names all layers of the bed.
    #[track_caller]
    pub fn all_layers(&self) {
        must("lowerdir", self.string("lowerdir", &self.bed.lowerdir()));
        must(
            "upperdir",
            self.string("upperdir", &self.bed.upper.to_string()),
        );
        must(
            "workdir",
            self.string("workdir", &self.bed.work.to_string()),
        );
    }

    /// Sets an option to a text.
    pub fn string(&self, key: &str, value: &str) -> Result<(), Errno> {
        fsconfig_set_string(self.fd.as_fd(), key, value)
    }

    /// Sets an option that has no value.
    pub fn flag(&self, key: &str) -> Result<(), Errno> {
        fsconfig_set_flag(self.fd.as_fd(), key)
    }

    /// Sets an option to a descriptor.
    pub fn fd(&self, key: &str, fd: impl AsFd) -> Result<(), Errno> {
        fsconfig_set_fd(self.fd.as_fd(), key, fd)
    }

    /// Sets an option to bytes.
    pub fn binary(&self, key: &str, value: &[u8]) -> Result<(), Errno> {
        fsconfig_set_binary(self.fd.as_fd(), key, value)
    }

    /// Sets all of `options`, as `mount(8)` does: a text for those with a value.
    pub fn options<'o>(&self, options: impl IntoIterator<Item = &'o str>) -> Result<(), Errno> {
        options
            .into_iter()
            .try_for_each(|option| match option.split_once('=') {
                Some((key, value)) => self.string(key, value),
                None => self.flag(option),
            })
    }

    /// Sets the super block up.
    pub fn create(&self) -> Result<(), Errno> {
        fsconfig_create(self.fd.as_fd())
    }

    /// Changes the mounted filesystem.
    pub fn reconfigure(&self) -> Result<(), Errno> {
        fsconfig_reconfigure(self.fd.as_fd())
    }

    /// Mounts what was set up.
    pub fn attach(&self, at: &Dir) -> Result<Dir, Errno> {
        let mount = fsmount(
            self.fd.as_fd(),
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
        self.bed.mounted(at);
        Ok(at.clone())
    }

    /// Sets the super block up and mounts it.
    pub fn mount(&self, at: &Dir) -> Result<Dir, Errno> {
        self.create()?;
        self.attach(at)
    }

    /// What the kernel has said since it was asked last, a message a line, without the
    /// filesystem's name in front: `e` is an error, `w` a warning, `i` no more than information.
    #[track_caller]
    pub fn log(&self) -> Vec<(char, String)> {
        let mut messages = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            match rustix::io::read(&self.fd, &mut buffer) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&buffer[..length]);
                    let text = text.trim_end_matches('\n');
                    let level = text.chars().next().expect("a message has a level");
                    let (_, message) = text.split_once(": ").expect("a message has a prefix");
                    messages.push((level, message.to_owned()));
                }
                Err(Errno::NODATA) => return messages,
                Err(error) => panic!("read the log: {error}"),
            }
        }
    }

    /// What the kernel has said of this level.
    #[track_caller]
    pub fn said(&self, level: char) -> Vec<String> {
        let log = self.log().into_iter();
        log.filter(|(of, _)| *of == level)
            .map(|(_, message)| message)
            .collect()
    }
}

/// Mounts with each option given as a string of its own.
pub fn mount(bed: &Bed, options: &[(&str, &str)], at: &Dir) -> Result<Dir, Errno> {
    let context = Context::open(bed);
    for &(key, value) in options {
        context.string(key, value)?;
    }
    context.mount(at)
}

/// A copy of the mount of a directory, with it as the root, that is mounted nowhere.
#[track_caller]
pub fn detached(of: &Dir) -> OwnedFd {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    must("open_tree", open_tree(CWD, of.path(), flags))
}
