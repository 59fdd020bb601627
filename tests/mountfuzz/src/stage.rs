// SPDX-License-Identifier: GPL-2.0

//! Where it takes place: a mount namespace of its own, with a filesystem for the layers.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    mount, mount_change, open_tree, unmount, MountFlags, MountPropagationFlags, OpenTreeFlags,
    UnmountFlags,
};
use rustix::thread::UnshareFlags;

/// Places to mount overlays at.
pub const POINTS: usize = 4;

/// The scratch filesystem.
pub struct Stage {
    root: PathBuf,
    /// Paths that options name: directories, and what is none.
    pub paths: Vec<String>,
}

/// Directories within the scratch filesystem, by how they may be used. Names have what
/// options give a meaning to.
const DIRS: &[&str] = &[
    "l0", "l1", "l2", "l3", "l4", "l0/in", "l1/in/in", "u0", "u1", "w0", "w1", "u0/in", "w0/in",
    "a:b", "c,d", "e\\f", "g h", "i\nj", "k=l", "ü", "uw", "uw/u", "uw/w",
];

impl Stage {
    /// Makes it below `dir`.
    pub fn new(dir: &Path) -> Result<Self, String> {
        let fail = |what: &str| {
            let what = what.to_owned();
            move |error: rustix::io::Errno| format!("{what}: {error}")
        };
        // SAFETY: no descriptors are involved.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.map_err(fail("unshare"))?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).map_err(fail("make mounts private"))?;
        let root = dir.join("mountfuzz");
        let io = |error: std::io::Error| format!("{}: {error}", root.display());
        fs::create_dir_all(&root).map_err(io)?;
        mount("mountfuzz", &root, "tmpfs", MountFlags::empty(), None)
            .map_err(fail("mount tmpfs"))?;
        let mut paths = Vec::new();
        for name in DIRS {
            let path = root.join(name);
            fs::create_dir_all(&path).map_err(io)?;
            fs::write(path.join("file"), name).map_err(io)?;
            paths.push(path.to_string_lossy().into_owned());
        }
        for number in 0..POINTS {
            let path = root.join(format!("m{number}"));
            fs::create_dir(&path).map_err(io)?;
            paths.push(path.to_string_lossy().into_owned());
        }
        std::os::unix::fs::symlink("l1", root.join("link")).map_err(io)?;
        std::os::unix::fs::symlink("loop", root.join("loop")).map_err(io)?;
        for name in ["link", "loop", "missing", "l0/file", "l0/../l2", "l3/."] {
            paths.push(root.join(name).to_string_lossy().into_owned());
        }
        for path in [
            "/",
            ".",
            "..",
            "l2",
            "/proc",
            "/proc/sys/kernel",
            "/dev",
            "/proc/self/fd/0",
        ] {
            paths.push(path.to_owned());
        }
        // Relative names mean something.
        std::env::set_current_dir(&root).map_err(io)?;
        Ok(Self { root, paths })
    }

    /// A place to mount at.
    pub fn point(&self, number: usize) -> PathBuf {
        self.root.join(format!("m{}", number % POINTS))
    }

    /// Removes what former programs left in the layers that are written to.
    pub fn clean(&self) -> Result<(), String> {
        for name in ["w0", "w1", "uw/w"] {
            let path = self.root.join(name);
            for name in ["work", "index"] {
                match fs::remove_dir_all(path.join(name)) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(format!("{}: {error}", path.display()));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Leaves an overlay mounted, and copies of it that are mounted nowhere: for as long as the
    /// result lives.
    pub fn plant(&self, fs: &str) -> Result<Vec<OwnedFd>, String> {
        let fail = |error: rustix::io::Errno| format!("plant: {error}");
        let at = self.point(0);
        let options = c"lowerdir=l0:l1";
        mount(fs, &at, fs, MountFlags::empty(), options).map_err(fail)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        (0..800)
            .map(|_| open_tree(CWD, &at, flags).map_err(fail))
            .collect()
    }

    /// Unmounts the scratch filesystem, which nobody uses any more.
    pub fn finish(&self) -> Result<(), String> {
        std::env::set_current_dir("/").map_err(|error| error.to_string())?;
        unmount(&self.root, UnmountFlags::empty())
            .map_err(|error| format!("umount {}: {error}", self.root.display()))
    }
}
