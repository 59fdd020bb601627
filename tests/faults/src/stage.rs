// SPDX-License-Identifier: GPL-2.0

//! Where it takes place: a mount namespace of its own, with a place for the layers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{
    mount, mount_change, unmount, MountFlags, MountPropagationFlags, UnmountFlags,
};
use rustix::thread::UnshareFlags;

use crate::layers;

/// The place.
pub struct Stage {
    /// Short, so that many layers can be named.
    pub root: PathBuf,
    is_own: bool,
}

impl Stage {
    /// Makes it in a directory, or in a new tmpfs.
    pub fn new(dir: Option<&Path>) -> Result<Self, String> {
        // SAFETY: no descriptors are involved.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }
            .map_err(|error| format!("unshare: {error}"))?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).map_err(|error| format!("make mounts private: {error}"))?;
        let stage = Self {
            root: dir.unwrap_or(Path::new("/mnt")).join("f"),
            is_own: dir.is_none(),
        };
        let fail = |error: io::Error| format!("{}: {error}", stage.root.display());
        fs::create_dir_all(&stage.root).map_err(fail)?;
        if stage.is_own {
            mount("faults", &stage.root, "tmpfs", MountFlags::empty(), None)
                .map_err(|error| fail(error.into()))?;
        }
        stage.make_layers()?;
        Ok(stage)
    }

    /// Makes all layers anew.
    pub fn make_layers(&self) -> Result<(), String> {
        self.clear()?;
        let make = || -> io::Result<()> {
            for entry in fs::read_dir(&self.root)? {
                fs::remove_dir_all(entry?.path())?;
            }
            fs::create_dir(self.root.join("merged"))?;
            layers::make(&self.root)
        };
        make().map_err(|error| format!("{}: {error}", self.root.display()))
    }

    /// Unmounts what an operation that went wrong left mounted.
    pub fn clear(&self) -> Result<(), String> {
        loop {
            match unmount(self.root.join("merged"), UnmountFlags::DETACH) {
                Ok(()) => {}
                // Not mounted, or not there.
                Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
                Err(error) => return Err(format!("umount: {error}")),
            }
        }
    }

    /// Nobody uses it any more.
    pub fn finish(&self) -> Result<(), String> {
        if !self.is_own {
            return Ok(());
        }
        unmount(&self.root, UnmountFlags::empty())
            .map_err(|error| format!("umount {}: {error}", self.root.display()))
    }
}
