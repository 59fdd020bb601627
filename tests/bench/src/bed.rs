// SPDX-License-Identifier: GPL-2.0

//! What is measured on: layers, and what is mounted of them.

use crate::Result;
use rustix::{
    fs::CWD,
    mount::{
        fsconfig_create, fsconfig_set_string, fsmount, fsopen, move_mount, unmount, FsMountFlags,
        FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags,
    },
};
use std::{
    env, fs,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A filesystem that is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The one that has the layers: all of them are one directory.
    Bare,
    /// A type that the kernel knows, with overlayfs' options.
    Overlay(&'static str),
    /// The program fuse-overlayfs.
    Fuse,
}

impl Kind {
    /// Their names on the command line and in results.
    pub const ALL: [(&'static str, Self); 4] = [
        ("bare", Self::Bare),
        ("overlay", Self::Overlay("overlay")),
        ("rovl", Self::Overlay("rovl")),
        ("fuse-overlayfs", Self::Fuse),
    ];
}

/// Layers below a directory, and the place to see them at.
pub struct Bed {
    base: PathBuf,
    kind: Kind,
    layers: usize,
}

impl Bed {
    /// Makes empty layers.
    pub fn new(base: PathBuf, kind: Kind, layers: usize) -> Result<Self> {
        let this = Self { base, kind, layers };
        for name in ["upper", "work", "merged"] {
            fs::create_dir_all(this.base.join(name))?;
        }
        for layer in 0..layers {
            fs::create_dir_all(this.lower(layer))?;
        }
        Ok(this)
    }

    /// Another with as many layers, inside of this one's directory.
    pub fn sibling(&self, name: &str) -> Result<Self> {
        Self::new(self.base.join(name), self.kind, self.layers)
    }

    /// How many lower layers there are.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Whether it is no overlay.
    pub fn is_bare(&self) -> bool {
        self.kind == Kind::Bare
    }

    /// A lower layer; 0 is the topmost.
    pub fn lower(&self, layer: usize) -> PathBuf {
        match self.kind {
            Kind::Bare => self.root(),
            _ => self.base.join(format!("l{layer}")),
        }
    }

    /// The lowest layer.
    pub fn bottom(&self) -> PathBuf {
        self.lower(self.layers - 1)
    }

    /// The writable layer.
    pub fn upper(&self) -> PathBuf {
        match self.kind {
            Kind::Bare => self.root(),
            _ => self.base.join("upper"),
        }
    }

    /// Where the objects of the layers are seen.
    pub fn root(&self) -> PathBuf {
        self.base.join("merged")
    }

    /// A directory beside the layers, on the same filesystem.
    pub fn aside(&self) -> &Path {
        &self.base
    }

    /// Mounts, and makes the root the current directory.
    pub fn enter(&self, options: &[(&str, &str)]) -> Result<()> {
        self.mount(options)?;
        Ok(env::set_current_dir(self.root())?)
    }

    /// Leaves the root, unmounts, and does as [`Self::enter`] does.
    pub fn enter_anew(&self) -> Result<()> {
        self.leave()?;
        self.enter(&[])
    }

    /// Mounts an overlay.
    pub fn mount(&self, options: &[(&str, &str)]) -> Result<()> {
        match self.kind {
            Kind::Bare => Ok(()),
            Kind::Overlay(fstype) => self.mount_type(fstype, options),
            Kind::Fuse => self.mount_fuse(),
        }
    }

    fn mount_type(&self, fstype: &str, options: &[(&str, &str)]) -> Result<()> {
        let context = fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC)?;
        let set = |key: &str, value: &Path| fsconfig_set_string(context.as_fd(), key, value);
        for layer in 0..self.layers {
            set("lowerdir+", &self.lower(layer))?;
        }
        set("upperdir", &self.upper())?;
        set("workdir", &self.base.join("work"))?;
        for (key, value) in options {
            fsconfig_set_string(context.as_fd(), *key, *value)?;
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
            self.root(),
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )?;
        Ok(())
    }

    fn mount_fuse(&self) -> Result<()> {
        let lower: Vec<_> = (0..self.layers)
            .map(|layer| self.lower(layer).display().to_string())
            .collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.join(":"),
            self.upper().display(),
            self.base.join("work").display()
        );
        let done = Command::new("fuse-overlayfs")
            .args(["-o", &options])
            .arg(self.root())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        match done.success() {
            true => Ok(()),
            false => Err("fuse-overlayfs did not mount".into()),
        }
    }

    /// Unmounts an overlay.
    pub fn unmount(&self) -> Result<()> {
        match self.kind {
            Kind::Bare => Ok(()),
            _ => Ok(unmount(self.root(), UnmountFlags::empty())?),
        }
    }

    /// Leaves the root, and unmounts if that was not done.
    pub fn release(&self) {
        let _ = env::set_current_dir("/");
        if !self.is_bare() {
            let _ = unmount(self.root(), UnmountFlags::DETACH);
        }
    }

    /// Leaves the root, and unmounts.
    pub fn leave(&self) -> Result<()> {
        env::set_current_dir("/")?;
        self.unmount()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.release();
        let _ = fs::remove_dir_all(&self.base);
    }
}
