// SPDX-License-Identifier: GPL-2.0

//! A directory that a test builds, changes and looks at by names in it.
//!
//! The methods fail the test when the call fails. A test of a refusal makes
//! the call itself, on the path that [`Dir::at`] gives.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    chmodat, chownat, lgetxattr, link, llistxattr, lremovexattr, lsetxattr, lstat, makedev, mkdir,
    mknodat, readlink, rename, rmdir, symlink, unlink, utimensat, AtFlags, FileType, Gid, Mode,
    OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, CWD,
};
use rustix::io::Errno;

use crate::support::listing;
use crate::support::must::must;

/// A directory's path.
#[derive(Clone, Debug)]
pub struct Dir(PathBuf);

impl fmt::Display for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Dir {
    /// An existing directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Makes the directory, with exactly this mode.
    #[track_caller]
    pub fn make(path: impl Into<PathBuf>, mode: u32) -> Self {
        let dir = Self(path.into());
        must(
            format_args!("mkdir {dir}"),
            mkdir(&dir.0, Mode::from_raw_mode(mode)),
        );
        dir.chmod("", mode);
        dir
    }

    /// The directory's own path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of `name` in it; the empty name is the directory itself.
    pub fn at(&self, name: &str) -> PathBuf {
        if name.is_empty() {
            self.0.clone()
        } else {
            self.0.join(name)
        }
    }

    /// An existing directory in it.
    pub fn join(&self, name: &str) -> Self {
        Self(self.at(name))
    }

    // Building.

    /// Makes a directory in it.
    #[track_caller]
    pub fn sub(&self, name: &str) -> Self {
        self.sub_mode(name, 0o755)
    }

    /// Makes a directory with exactly this mode.
    #[track_caller]
    pub fn sub_mode(&self, name: &str, mode: u32) -> Self {
        Self::make(self.at(name), mode)
    }

    /// Makes or overwrites a regular file.
    #[track_caller]
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        must(
            format_args!("write {self}/{name}"),
            std::fs::write(self.at(name), content),
        );
    }

    /// Makes a regular file with exactly this mode.
    #[track_caller]
    pub fn file_mode(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) {
        self.file(name, content);
        self.chmod(name, mode);
    }

    /// Makes a symbolic link.
    #[track_caller]
    pub fn symlink(&self, target: &str, name: &str) {
        must(
            format_args!("symlink {self}/{name}"),
            symlink(target, self.at(name)),
        );
    }

    /// Makes a hard link to `old` in the same directory.
    #[track_caller]
    pub fn link(&self, old: &str, new: &str) {
        must(
            format_args!("link {self}/{new}"),
            link(self.at(old), self.at(new)),
        );
    }

    /// Makes a device node, fifo or socket.
    #[track_caller]
    pub fn node(&self, name: &str, kind: FileType, mode: u32, (major, minor): (u32, u32)) {
        must(
            format_args!("mknod {self}/{name}"),
            mknodat(
                CWD,
                self.at(name),
                kind,
                Mode::from_raw_mode(mode),
                makedev(major, minor),
            ),
        );
    }

    /// Makes a whiteout: what a layer says about a name that is not there.
    #[track_caller]
    pub fn whiteout(&self, name: &str) {
        self.node(name, FileType::CharacterDevice, 0, (0, 0));
    }

    /// Makes a directory opaque: it hides the directories below it.
    #[track_caller]
    pub fn opaque(&self, name: &str) {
        self.set_xattr(name, "trusted.overlay.opaque", b"y");
    }

    // Changing.

    /// Sets the mode.
    #[track_caller]
    pub fn chmod(&self, name: &str, mode: u32) {
        must(
            format_args!("chmod {self}/{name}"),
            chmodat(
                CWD,
                self.at(name),
                Mode::from_raw_mode(mode),
                AtFlags::empty(),
            ),
        );
    }

    /// Sets the owner, of a symbolic link too.
    #[track_caller]
    pub fn chown(&self, name: &str, uid: u32, gid: u32) {
        must(
            format_args!("chown {self}/{name}"),
            chownat(
                CWD,
                self.at(name),
                Some(Uid::from_raw(uid)),
                Some(Gid::from_raw(gid)),
                AtFlags::SYMLINK_NOFOLLOW,
            ),
        );
    }

    /// Sets access and modification time as (seconds, nanoseconds).
    #[track_caller]
    pub fn set_times(&self, name: &str, atime: (i64, i64), mtime: (i64, i64)) {
        let timespec = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
        let times = Timestamps {
            last_access: timespec(atime),
            last_modification: timespec(mtime),
        };
        must(
            format_args!("utimensat {self}/{name}"),
            utimensat(CWD, self.at(name), &times, AtFlags::SYMLINK_NOFOLLOW),
        );
    }

    /// Sets an extended attribute.
    #[track_caller]
    pub fn set_xattr(&self, name: &str, key: &str, value: &[u8]) {
        must(
            format_args!("setxattr {key} of {self}/{name}"),
            lsetxattr(self.at(name), key, value, XattrFlags::empty()),
        );
    }

    /// Removes an extended attribute.
    #[track_caller]
    pub fn remove_xattr(&self, name: &str, key: &str) {
        must(
            format_args!("removexattr {key} of {self}/{name}"),
            lremovexattr(self.at(name), key),
        );
    }

    /// Removes what is not a directory.
    #[track_caller]
    pub fn unlink(&self, name: &str) {
        must(format_args!("unlink {self}/{name}"), unlink(self.at(name)));
    }

    /// Removes a directory.
    #[track_caller]
    pub fn rmdir(&self, name: &str) {
        must(format_args!("rmdir {self}/{name}"), rmdir(self.at(name)));
    }

    /// Renames within the directory.
    #[track_caller]
    pub fn rename(&self, old: &str, new: &str) {
        must(
            format_args!("rename {self}/{old} to {new}"),
            rename(self.at(old), self.at(new)),
        );
    }

    /// Appends to a file.
    #[track_caller]
    pub fn append(&self, name: &str, content: &[u8]) {
        let mut file = self.open(name, OFlags::WRONLY | OFlags::APPEND);
        must(
            format_args!("append to {self}/{name}"),
            file.write_all(content),
        );
    }

    /// Overwrites a part of a file.
    #[track_caller]
    pub fn write_at(&self, name: &str, offset: u64, content: &[u8]) {
        let file = self.open(name, OFlags::WRONLY);
        must(
            format_args!("write to {self}/{name}"),
            file.write_all_at(content, offset),
        );
    }

    // Opening.

    /// Opens what exists, with these flags.
    #[track_caller]
    pub fn open(&self, name: &str, flags: OFlags) -> File {
        let file = rustix::fs::open(self.at(name), flags | OFlags::CLOEXEC, Mode::empty());
        File::from(must(
            format_args!("open {self}/{name} with {flags:?}"),
            file,
        ))
    }

    /// Opens read-only.
    #[track_caller]
    pub fn open_read(&self, name: &str) -> File {
        self.open(name, OFlags::RDONLY)
    }

    /// Opens for reading and writing.
    #[track_caller]
    pub fn open_rw(&self, name: &str) -> File {
        self.open(name, OFlags::RDWR)
    }

    /// Makes a new file and opens it for reading and writing.
    #[track_caller]
    pub fn create(&self, name: &str, mode: u32) -> File {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(self.at(name));
        must(format_args!("create {self}/{name}"), file)
    }

    /// Opens a file without a name in the directory called `name`.
    #[track_caller]
    pub fn open_temporary(&self, name: &str) -> File {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::open(self.at(name), flags, Mode::from_raw_mode(0o600));
        File::from(must(format_args!("open O_TMPFILE in {self}/{name}"), file))
    }

    // Looking.

    /// A file's content.
    #[track_caller]
    pub fn read(&self, name: &str) -> Vec<u8> {
        must(
            format_args!("read {self}/{name}"),
            std::fs::read(self.at(name)),
        )
    }

    /// A file's content as text.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.read(name)).into_owned()
    }

    /// The attributes, of a symbolic link itself.
    #[track_caller]
    pub fn stat(&self, name: &str) -> Stat {
        must(format_args!("lstat {self}/{name}"), lstat(self.at(name)))
    }

    /// Whether the name exists, as anything.
    #[track_caller]
    pub fn exists(&self, name: &str) -> bool {
        match lstat(self.at(name)) {
            Ok(_) => true,
            Err(Errno::NOENT) => false,
            Err(error) => panic!("lstat {self}/{name}: {error}"),
        }
    }

    /// The type of what the name stands for.
    #[track_caller]
    pub fn kind(&self, name: &str) -> FileType {
        FileType::from_raw_mode(self.stat(name).st_mode)
    }

    /// Permission bits, set-ID bits and the sticky bit.
    #[track_caller]
    pub fn mode(&self, name: &str) -> u32 {
        self.stat(name).st_mode & 0o7777
    }

    /// Whether the name is a whiteout; for layers, never the overlay.
    #[track_caller]
    pub fn is_whiteout(&self, name: &str) -> bool {
        self.exists(name)
            && self.kind(name) == FileType::CharacterDevice
            && self.stat(name).st_rdev == 0
    }

    /// A symbolic link's target.
    #[track_caller]
    pub fn target(&self, name: &str) -> String {
        let target = must(
            format_args!("readlink {self}/{name}"),
            readlink(self.at(name), Vec::new()),
        );
        target.to_string_lossy().into_owned()
    }

    /// The names in a directory, sorted, without `.` and `..`.
    #[track_caller]
    pub fn names(&self, name: &str) -> Vec<String> {
        let dir = self.open(name, OFlags::RDONLY | OFlags::DIRECTORY);
        let mut names: Vec<_> = listing::rest(&dir)
            .into_iter()
            .map(|entry| entry.name)
            .filter(|name| name != "." && name != "..")
            .collect();
        names.sort();
        names
    }

    /// The paths of what is in the directory `path`, which is empty for this one.
    #[track_caller]
    pub fn paths_in(&self, path: &str) -> Vec<String> {
        let names = self.names(path).into_iter();
        if path.is_empty() {
            names.collect()
        } else {
            names.map(|name| format!("{path}/{name}")).collect()
        }
    }

    /// An extended attribute's value, if it has one.
    #[track_caller]
    pub fn xattr(&self, name: &str, key: &str) -> Option<Vec<u8>> {
        let mut value = vec![0; 65536];
        match lgetxattr(self.at(name), key, value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                Some(value)
            }
            Err(Errno::NODATA) => None,
            Err(error) => panic!("getxattr {key} of {self}/{name}: {error}"),
        }
    }

    /// The names of the extended attributes, sorted.
    #[track_caller]
    pub fn xattr_names(&self, name: &str) -> Vec<String> {
        let mut list = vec![0_u8; 65536];
        let length = must(
            format_args!("listxattr {self}/{name}"),
            llistxattr(self.at(name), list.as_mut_slice()),
        );
        let mut names: Vec<_> = list[..length]
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        names.sort();
        names
    }

    /// The size of the list of these names, as it is told without a buffer.
    #[track_caller]
    pub fn xattr_list_size(&self, name: &str) -> usize {
        let path = self.at(name);
        let path = must("path", std::ffi::CString::new(path.as_os_str().as_bytes()));
        // SAFETY: the path is a C string, and no buffer is given.
        let size = unsafe { libc::llistxattr(path.as_ptr(), std::ptr::null_mut(), 0) };
        usize::try_from(size).expect("a size")
    }
}
