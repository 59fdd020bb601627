// SPDX-License-Identifier: GPL-2.0

//! An overlay over the layers, and what a process holds of it.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};

use crate::layers;
use crate::map::Map;
use crate::operation::Operation;

/// Where operations take place.
pub struct Scene {
    /// The filesystem type.
    pub fs: String,
    /// Layers and the place to mount at are below this.
    pub root: PathBuf,
    /// Mount options.
    pub options: String,
    /// Open files.
    pub files: Vec<File>,
    /// A mapping of one.
    pub map: Option<Map>,
    /// What was read, or a file handle.
    pub bytes: Vec<u8>,
}

impl Scene {
    /// New writable layers for an operation. Nothing is mounted.
    pub fn new(fs: &str, root: &Path, operation: &Operation) -> io::Result<Self> {
        for name in ["upper", "work"] {
            let dir = root.join(name);
            match fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => fs::create_dir(&dir)?,
            }
        }
        layers::make_upper(&root.join("upper"))?;
        let at = |name: &str| root.join(name).display().to_string();
        let lower: Vec<_> = operation.lower().iter().map(|name| at(name)).collect();
        let mut options = format!("lowerdir={}", lower.join(":"));
        if !operation.data_only.is_empty() {
            options += &format!("::{}", at(operation.data_only));
        }
        if operation.has_upper {
            options += &format!(",upperdir={},workdir={}", at("upper"), at("work"));
        }
        options += operation.options;
        Ok(Self {
            fs: fs.to_owned(),
            root: root.to_owned(),
            options,
            files: Vec::new(),
            map: None,
            bytes: Vec::new(),
        })
    }

    /// Where the overlay is mounted.
    pub fn merged(&self) -> PathBuf {
        self.root.join("merged")
    }

    /// An object of the overlay.
    pub fn at(&self, name: &str) -> PathBuf {
        self.root.join("merged").join(name)
    }

    /// Mounts the overlay.
    pub fn mount(&self) -> Result<(), Errno> {
        let data = CString::new(self.options.as_str()).map_err(|_| Errno::INVAL)?;
        let fs = self.fs.as_str();
        mount(fs, self.merged(), fs, MountFlags::empty(), data.as_c_str())
    }

    /// Unmounts it.
    pub fn unmount(&self) -> Result<(), Errno> {
        unmount(self.merged(), UnmountFlags::empty())
    }

    /// Whether it is mounted.
    pub fn is_mounted(&self) -> io::Result<bool> {
        let dev = |path: &Path| fs::metadata(path).map(|data| data.dev());
        Ok(dev(&self.merged())? != dev(&self.root)?)
    }

    /// Whether it is read-only, though it has upper.
    pub fn has_become_readonly(&self) -> io::Result<bool> {
        let flags = rustix::fs::statvfs(self.merged())?.f_flag;
        let has_upper = self.options.contains("upperdir=");
        Ok(has_upper && flags.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    }

    /// Mounts it unless it is.
    pub fn have_mounted(&self) -> io::Result<()> {
        match self.is_mounted()? {
            true => Ok(()),
            false => Ok(self.mount()?),
        }
    }

    /// Lets go of all and unmounts.
    pub fn leave(&mut self) -> io::Result<()> {
        self.map = None;
        self.files.clear();
        match self.is_mounted()? {
            true => Ok(self.unmount()?),
            false => Ok(()),
        }
    }

    /// Opens an object of the overlay, and holds it.
    pub fn open(&mut self, name: &str, flags: OFlags) -> Result<(), Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(self.at(name), flags, Mode::from_raw_mode(0o640))?;
        self.files.push(file.into());
        Ok(())
    }

    /// The file that was opened last.
    pub fn file(&self) -> Result<&File, Errno> {
        self.files.last().ok_or(Errno::BADF)
    }

    /// A volatile overlay is not mounted again unless this says that it was intact.
    pub fn forgive(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.root.join("work").join("work").join("incompat")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// What is left in the work directory, which the overlay has to keep empty.
    pub fn leftovers(&self) -> io::Result<Vec<String>> {
        let work = self.root.join("work/work");
        if !work.exists() {
            return Ok(Vec::new());
        }
        let names = fs::read_dir(work)?;
        names
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into()))
            .collect()
    }
}
