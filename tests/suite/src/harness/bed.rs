// SPDX-License-Identifier: GPL-2.0

//! The fresh layers, mount point and mounts of one test.

use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{ioctl_setflags, IFlags};
use rustix::io::Errno;
use rustix::mount::{
    mount, mount_change, unmount, MountFlags, MountPropagationFlags, UnmountFlags,
};
use rustix::thread::UnshareFlags;

use crate::harness::matrix::Pair;
use crate::support::dir::Dir;
use crate::support::must::must;

/// How long a mount may stay busy: references that the kernel drops behind the
/// test's back (an io_uring's files) are gone after milliseconds, a leaked
/// reference never is.
const BUSY_LIMIT: Duration = Duration::from_secs(3);

/// Where a test's directories go.
pub struct Place {
    /// Mounted filesystem of the lower layers.
    pub lower: PathBuf,
    /// Mounted filesystem of the upper layer, the mount point and the rest.
    pub upper: PathBuf,
    /// What makes the names of this run and test unique.
    pub unique: String,
}

impl Place {
    fn lower_root(&self) -> PathBuf {
        self.lower.join(format!("rovl-suite.{}", self.unique))
    }

    fn upper_root(&self) -> PathBuf {
        self.upper.join(format!("rovl-suite.{}", self.unique))
    }

    /// Removes everything that the test left in its directories.
    pub fn remove(&self) -> Result<(), String> {
        for root in [self.upper_root(), self.lower_root()] {
            match remove_tree(&root) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("cannot remove {}: {error}", root.display())),
            }
        }
        Ok(())
    }
}

fn remove_tree(root: &Path) -> io::Result<()> {
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // A test that failed may have left immutable files.
            clear_flags(root);
            fs::remove_dir_all(root)
        }
        result => result,
    }
}

fn clear_flags(path: &Path) {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return;
    };
    if !meta.is_file() && !meta.is_dir() {
        return;
    }
    if let Ok(file) = fs::File::open(path) {
        let _ = ioctl_setflags(&file, IFlags::empty());
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        clear_flags(&entry.path());
    }
}

/// The layers and mounts of one test.
///
/// The layers are in directories that only root may enter: whatever another
/// user reaches through the overlay, it reaches by the mounter's rights.
pub struct Bed {
    /// The combination of layer filesystems.
    pub pair: Pair,
    /// Filesystem type under test.
    pub fs: String,
    /// Filesystem type that takes the layers over; the same unless the test is
    /// one between drivers.
    pub other: String,
    /// The topmost lower layer.
    pub lower: Dir,
    /// The upper layer.
    pub upper: Dir,
    /// The work directory.
    pub work: Dir,
    /// The mount point.
    pub mnt: Dir,
    root: Dir,
    lower_layers: Dir,
    lowers: Cell<usize>,
    mounts: RefCell<Vec<PathBuf>>,
}

impl Bed {
    /// Makes the directories, in a mount namespace of this process's own.
    pub fn new(place: &Place, pair: Pair, fs: &str, other: &str) -> Self {
        // SAFETY: no file descriptors or signals are involved.
        must("unshare", unsafe {
            rustix::thread::unshare_unsafe(UnshareFlags::NEWNS)
        });
        must(
            "make mounts private",
            mount_change(
                "/",
                MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
            ),
        );
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));

        let root = Dir::make(place.upper_root(), 0o755);
        let layers = root.sub_mode("layers", 0o700);
        let (lower_layers, lower) = if pair.image() {
            (Dir::new(&place.lower), Dir::new(&place.lower))
        } else {
            let lower_root = place.lower_root();
            let lower_layers = if pair.one_filesystem() {
                layers.clone()
            } else {
                Dir::make(lower_root, 0o755).sub_mode("layers", 0o700)
            };
            let lower = lower_layers.sub("l0");
            (lower_layers, lower)
        };
        Self {
            pair,
            fs: fs.to_owned(),
            other: other.to_owned(),
            lower,
            upper: layers.sub("u"),
            work: layers.sub("w"),
            mnt: root.sub("m"),
            root,
            lower_layers,
            lowers: Cell::new(1),
            mounts: RefCell::default(),
        }
    }

    /// The lower layer `depth` layers below the topmost one; it and those in
    /// between are made when they are asked for first.
    #[track_caller]
    pub fn below(&self, depth: usize) -> Dir {
        assert!(!self.pair.image(), "an image is the only lower layer");
        while self.lowers.get() <= depth {
            self.lower_layers.sub(&format!("l{}", self.lowers.get()));
            self.lowers.set(self.lowers.get() + 1);
        }
        self.lower_layers.join(&format!("l{depth}"))
    }

    /// A directory outside the layers, on the upper layer's filesystem.
    #[track_caller]
    pub fn aside(&self, name: &str) -> Dir {
        self.root.sub(name)
    }

    /// The value of `lowerdir`.
    pub fn lowerdir(&self) -> String {
        if self.pair.image() {
            return self.lower.to_string();
        }
        (0..self.lowers.get())
            .map(|depth| self.lower_layers.join(&format!("l{depth}")).to_string())
            .collect::<Vec<_>>()
            .join(":")
    }

    /// The options that mount all layers.
    pub fn options(&self) -> String {
        let mut options = format!(
            "lowerdir={},upperdir={},workdir={}",
            self.lowerdir(),
            self.upper,
            self.work
        );
        if let Ok(more) = std::env::var("ROVL_OPTIONS") {
            options.push(',');
            options.push_str(&more);
        }
        options
    }

    /// Mounts all layers.
    #[track_caller]
    pub fn mount(&self) -> Dir {
        must("mount", self.try_mount(&self.options()))
    }

    /// Whether the driver under test copies a directory to rename it.
    pub fn copies_directories(&self) -> bool {
        copies_directories(&self.fs)
    }

    /// The options that mount all layers so that a directory that cannot be moved
    /// without copying is refused, by every driver.
    pub fn strict_options(&self) -> String {
        let strict = if self.copies_directories() {
            ",rename_dir=exdev"
        } else {
            ""
        };
        format!("{}{strict}", self.options())
    }

    /// Mounts the lower layers alone.
    #[track_caller]
    pub fn mount_lowers(&self) -> Dir {
        let options = format!("lowerdir={}", self.lowerdir());
        must("mount without upper", self.try_mount(&options))
    }

    /// Mounts all layers with more options.
    #[track_caller]
    pub fn mount_with(&self, more: &str) -> Dir {
        let options = format!("{},{more}", self.options());
        must("mount", self.try_mount(&options))
    }

    /// The same by the driver that takes layers over.
    #[track_caller]
    pub fn mount_by_other_with(&self, more: &str) -> Dir {
        let options = format!("{},{more}", self.options());
        must(
            "mount by the other driver",
            self.try_mount_at(&self.other, &options, &self.mnt),
        )
    }

    /// Mounts all layers by the driver that takes them over.
    #[track_caller]
    pub fn mount_by_other(&self) -> Dir {
        let options = self.options();
        must(
            "mount by the other driver",
            self.try_mount_at(&self.other, &options, &self.mnt),
        )
    }

    /// Mounts with these options.
    pub fn try_mount(&self, options: &str) -> Result<Dir, Errno> {
        self.try_mount_at(&self.fs, options, &self.mnt)
    }

    /// Mounts a filesystem of any type.
    pub fn try_mount_at(&self, fs: &str, options: &str, at: &Dir) -> Result<Dir, Errno> {
        let data = CString::new(options).map_err(|_| Errno::INVAL)?;
        mount(fs, at.path(), fs, MountFlags::empty(), data.as_c_str())?;
        self.mounted(at);
        Ok(at.clone())
    }

    /// Mounts a tmpfs, to be a layer of its own.
    #[track_caller]
    pub fn mount_tmpfs(&self, name: &str, options: &str) -> Dir {
        let at = self.aside(name);
        must("mount tmpfs", self.try_mount_at("tmpfs", options, &at))
    }

    /// Remembers a mount that the test made itself, to be unmounted at the end.
    pub fn mounted(&self, at: &Dir) {
        self.mounts.borrow_mut().push(at.path().to_owned());
    }

    /// Unmounts what was mounted last.
    #[track_caller]
    pub fn umount(&self) {
        let at = self.mounts.borrow_mut().pop().expect("nothing is mounted");
        must("umount", umount_when_idle(&at));
    }

    /// Forgets the last mount: the test unmounted it.
    pub fn unmounted(&self) {
        self.mounts.borrow_mut().pop();
    }

    /// Unmounts all layers and mounts them again.
    #[track_caller]
    pub fn remount_fresh(&self) -> Dir {
        self.umount();
        self.mount()
    }

    /// Fails if something temporary is left in the work directory.
    #[track_caller]
    pub fn assert_work_is_empty(&self) {
        assert_work_is_empty(&self.work);
    }

    /// Unmounts everything; a mount that stays busy is a failure.
    pub fn finish(self) {
        let mut first_error = None;
        for at in self.mounts.borrow_mut().drain(..).rev() {
            if let Err(error) = umount_when_idle(&at) {
                first_error.get_or_insert(format!("umount {}: {error}", at.display()));
            }
        }
        if let Some(error) = first_error {
            panic!("{error}");
        }
    }
}

/// Whether a driver copies a directory to rename it.
pub fn copies_directories(fs: &str) -> bool {
    Path::new("/sys/module")
        .join(fs)
        .join("parameters/rename_dir_copy")
        .exists()
}

/// Fails if something temporary is left in this work directory. A whiteout may
/// be there, ready to be linked to the next name that is removed.
#[track_caller]
pub fn assert_work_is_empty(work: &Dir) {
    let work = work.join("work");
    let mut left = work.names("");
    left.retain(|name| !work.is_whiteout(name));
    assert!(left.is_empty(), "left in the work directory: {left:?}");
}

fn umount_when_idle(at: &Path) -> Result<(), Errno> {
    let deadline = Instant::now() + BUSY_LIMIT;
    loop {
        match unmount(at, UnmountFlags::empty()) {
            Err(Errno::BUSY) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}
