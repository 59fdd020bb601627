// SPDX-License-Identifier: GPL-2.0

//! One of the two overlays, with an upper layer of its own.

use std::{
    ffi::CString,
    fs, io,
    path::{Path, PathBuf},
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    mount::{mount, unmount, MountFlags, UnmountFlags},
};

use crate::{
    dump::{self, Dump, View},
    exec,
    tree::{Numbers, Tree},
};

/// An overlay that can be mounted by one driver and then by another.
pub struct Side {
    /// The filesystem type that mounts it.
    pub driver: String,
    /// What is seen through it.
    pub tree: Tree,
    /// Its upper layer.
    pub upper: PathBuf,
    work: PathBuf,
    options: String,
    mounted: bool,
    /// Whether rovl is told to refuse what C refuses.
    pub as_c_does: bool,
}

impl Side {
    /// Makes the directories that are not there yet; lower layers the highest first.
    pub fn new(
        base: &Path,
        upper: PathBuf,
        driver: &str,
        lower: &[PathBuf],
        options: &str,
        numbers: Rc<Numbers>,
    ) -> io::Result<Self> {
        let (work, root) = (base.join("work"), base.join("merged"));
        for dir in [&upper, &work, &root] {
            fs::create_dir_all(dir)?;
        }
        let lower: Vec<_> = lower.iter().map(|dir| dir.display().to_string()).collect();
        let mut all = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.join(":"),
            upper.display(),
            work.display()
        );
        if !options.is_empty() {
            all = format!("{all},{options}");
        }
        Ok(Self {
            driver: driver.to_owned(),
            tree: Tree::new(root, numbers),
            upper,
            work,
            options: all,
            mounted: false,
            as_c_does: true,
        })
    }

    /// Mounts it.
    pub fn mount(&mut self) -> Result<(), Errno> {
        let more = if self.as_c_does && self.driver == "rovl" {
            ",rename_dir=exdev"
        } else {
            ""
        };
        let options = CString::new(format!("{}{more}", self.options)).map_err(|_| Errno::INVAL)?;
        mount(
            "random",
            &self.tree.root,
            self.driver.as_str(),
            MountFlags::empty(),
            &*options,
        )?;
        self.mounted = true;
        self.tree.is_of_c = self.driver == "overlay";
        Ok(())
    }

    /// Closes what is open and unmounts it.
    pub fn unmount(&mut self) -> Result<(), Errno> {
        self.tree.close_all();
        if !self.mounted {
            return Ok(());
        }
        // What switches mappings may have a file for a moment longer than its user.
        let end = Instant::now() + Duration::from_secs(5);
        while let Err(error) = unmount(&self.tree.root, UnmountFlags::empty()) {
            if error != Errno::BUSY || Instant::now() > end {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.mounted = false;
        // What a volatile mount leaves so that nobody trusts its layer: here, nothing crashed.
        let mark = self.work.join("work/incompat/volatile");
        match fs::remove_dir_all(mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(exec::errno(&error)),
            _ => Ok(()),
        }
    }

    /// Whether it is mounted with this option.
    pub fn has_option(&self, option: &str) -> bool {
        self.options.split(',').any(|other| other == option)
    }

    /// What is seen through it, but for numbers that last as long as an inode is in the
    /// cache: with `userxattr`, where only files, directories and sockets have an origin.
    pub fn dump(&self) -> Dump {
        let view = View::Overlay {
            is_of_c: self.tree.is_of_c,
        };
        let mut dump = dump::take(&self.tree.root, view, &self.tree.numbers);
        if self.has_option("userxattr") {
            dump::forget_numbers(&mut dump, |kind| !matches!(kind, "file" | "dir" | "socket"));
        }
        dump
    }

    /// The index of upper's files, where there may be one.
    pub fn index(&self) -> PathBuf {
        self.work.join("index")
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            eprintln!(
                "rovl-random: umount {}: {error}; detaching it",
                self.tree.root.display()
            );
            let _ = unmount(&self.tree.root, UnmountFlags::DETACH);
        }
    }
}
