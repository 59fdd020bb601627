// SPDX-License-Identifier: GPL-2.0

//! What is measured on.

use crate::measure::Result;
use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};
use std::{
    ffi::CString,
    fs,
    path::{Path, PathBuf},
};

/// A filesystem.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The one that has the layers.
    Bare,
    /// The kernel's own overlay.
    C,
    /// Ours.
    Rovl,
}

/// A directory with files to measure on, and where they are seen.
pub struct Bed {
    base: PathBuf,
    mounted: bool,
}

impl Bed {
    /// Makes directories, and mounts the overlay.
    pub fn new(base: &Path, kind: Kind) -> Result<Self> {
        let fstype = match kind {
            Kind::Bare => None,
            Kind::C => Some("overlay"),
            Kind::Rovl => Some("rovl"),
        };
        let this = Self {
            base: base.join(fstype.unwrap_or("bare")),
            mounted: fstype.is_some(),
        };
        for name in ["lower", "upper", "work", "merged"] {
            fs::create_dir_all(this.base.join(name))?;
        }
        if let Some(fstype) = fstype {
            this.mount(fstype)?;
        }
        Ok(this)
    }

    fn mount(&self, fstype: &str) -> Result<()> {
        let dir = |name: &str| self.base.join(name).display().to_string();
        let options = CString::new(format!(
            "lowerdir={},upperdir={},workdir={}",
            dir("lower"),
            dir("upper"),
            dir("work")
        ))?;
        let merged = self.base.join("merged");
        mount(fstype, merged, fstype, MountFlags::empty(), &*options)?;
        Ok(())
    }

    /// Makes a lower file, and says where it is seen.
    pub fn file(&self, name: &str, size: usize) -> Result<PathBuf> {
        fs::write(self.base.join("lower").join(name), vec![7; size])?;
        let seen = if self.mounted { "merged" } else { "lower" };
        Ok(self.base.join(seen).join(name))
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if self.mounted {
            let _ = unmount(self.base.join("merged"), UnmountFlags::DETACH);
        }
        let _ = fs::remove_dir_all(&self.base);
    }
}
