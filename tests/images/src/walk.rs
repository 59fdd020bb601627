// SPDX-License-Identifier: GPL-2.0

//! Looks at all that an overlay shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, FileTypeExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, StatxFlags, CWD};
use rustix::io::Errno;

use crate::site::{NAMES, OUTSIDE, SECRET};
use crate::{answers, attribute, errno, guard, handle};

/// As deep as it looks: redirects can make trees of any depth and width of a few objects.
const DEPTH: usize = 8;
/// As many objects as it looks at.
const OBJECTS: usize = 150;

/// What was seen: of a path, by what was asked.
pub type Facts = BTreeMap<(PathBuf, &'static str), String>;

/// A look at an overlay.
pub struct Walk {
    root: PathBuf,
    mount: OwnedFd,
    /// What was seen.
    pub facts: Facts,
    /// What must not be.
    pub wrong: Vec<String>,
    /// Paths of all objects but the root.
    pub paths: Vec<PathBuf>,
}

/// Looks at an overlay that is mounted.
pub fn walk(root: &Path) -> Result<Walk, String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mount = rustix::fs::open(root, flags, Mode::empty())
        .map_err(|error| format!("open the root: {error}"))?;
    let mut walk = Walk {
        root: root.to_owned(),
        mount,
        facts: Facts::new(),
        wrong: Vec::new(),
        paths: Vec::new(),
    };
    let is_read_only = rustix::fs::fstatvfs(&walk.mount)
        .is_ok_and(|stat| stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    walk.say(Path::new(""), "read-only", is_read_only.to_string());
    walk.object(Path::new(""), 0);
    Ok(walk)
}

impl Walk {
    fn at(&self, path: &Path) -> PathBuf {
        match path.as_os_str().is_empty() {
            true => self.root.clone(),
            false => self.root.join(path),
        }
    }

    fn say(&mut self, path: &Path, what: &'static str, said: impl Into<String>) {
        self.facts.insert((path.to_owned(), what), said.into());
    }

    fn wrong(&mut self, path: &Path, what: impl std::fmt::Display) {
        self.wrong.push(format!("'{}': {what}", path.display()));
    }

    /// Notes an error, or what there is instead.
    fn answer<T>(
        &mut self,
        path: &Path,
        what: &'static str,
        result: Result<T, Errno>,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.say(path, what, errno::name(error));
                if !answers::of_look(error) {
                    self.wrong(path, format_args!("{what}: {}", errno::name(error)));
                }
                None
            }
        }
    }

    /// Looks at an object and at all below it; its type and number.
    fn object(&mut self, path: &Path, depth: usize) -> Option<Stat> {
        let at = self.at(path);
        let stat = self.answer(path, "stat", rustix::fs::lstat(&at))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mut text = format!(
            "{kind:?} {:o} {}:{} rdev {:x}",
            stat.st_mode & 0o7777,
            stat.st_uid,
            stat.st_gid,
            stat.st_rdev
        );
        // Those of a directory tell how much is merged, which a handle may change.
        if kind != FileType::Directory {
            text += &format!(" nlink {} size {}", stat.st_nlink, stat.st_size);
        }
        self.say(path, "stat", text);
        self.say(path, "ino", stat.st_ino.to_string());
        self.statx(path, &at, &stat);
        self.attributes(path, &at);
        self.handle(path, &at, &stat);
        match kind {
            FileType::Directory => self.directory(path, &at, depth),
            FileType::RegularFile => self.file(path, &at, &stat),
            FileType::Symlink => {
                if let Some(target) =
                    self.answer(path, "target", rustix::fs::readlink(&at, Vec::new()))
                {
                    self.say(path, "target", target.to_bytes().escape_ascii().to_string());
                }
            }
            _ => {}
        }
        Some(stat)
    }

    fn statx(&mut self, path: &Path, at: &Path, stat: &Stat) {
        let (flags, mask) = (AtFlags::SYMLINK_NOFOLLOW, StatxFlags::ALL);
        if let Some(statx) = self.answer(path, "statx", rustix::fs::statx(CWD, at, flags, mask)) {
            if (
                u32::from(statx.stx_mode),
                statx.stx_ino,
                u64::from(statx.stx_nlink),
            ) != (stat.st_mode, stat.st_ino, stat.st_nlink)
            {
                self.wrong(path, "statx says otherwise than stat");
            }
            self.say(path, "statx", format!("{:x}", statx.stx_attributes));
        }
    }

    fn attributes(&mut self, path: &Path, at: &Path) {
        let Some(names) = self.answer(path, "xattrs", attribute::names(at)) else {
            return;
        };
        let mut text = String::new();
        for name in names {
            match attribute::value(at, &name) {
                // Handles are of random numbers.
                Ok(value) if name.ends_with("origin") || name.ends_with("upper") => {
                    text += &format!("{name}, {} bytes ", value.len());
                }
                Ok(value) => text += &format!("{name}=\"{}\" ", value.escape_ascii()),
                Err(error) => {
                    text += &format!("{name}: {} ", errno::name(error));
                    // The VFS refuses names that end where they should begin to mean
                    // something, and capabilities that are none.
                    if error != Errno::INVAL {
                        self.wrong(path, format_args!("{name} is listed: {error}"));
                    }
                }
            }
        }
        self.say(path, "xattrs", text);
    }

    fn handle(&mut self, path: &Path, at: &Path, stat: &Stat) {
        let handle = match self.answer(path, "handle", handle::of(at)) {
            Some(handle) => handle,
            None => return,
        };
        let opened = handle::open(self.mount.as_fd(), &handle, OFlags::PATH)
            .and_then(|fd| handle::stat(&fd));
        if let Some(found) = self.answer(path, "handle", opened) {
            self.say(path, "handle", "opens");
            let is_same = (found.st_ino, found.st_mode) == (stat.st_ino, stat.st_mode);
            if !is_same {
                self.wrong(
                    path,
                    format_args!(
                        "the handle leads to {} {:o}, not to {} {:o}",
                        found.st_ino, found.st_mode, stat.st_ino, stat.st_mode
                    ),
                );
            }
        }
    }

    fn file(&mut self, path: &Path, at: &Path, stat: &Stat) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Some(file) = self.answer(path, "open", rustix::fs::open(at, flags, Mode::empty()))
        else {
            return;
        };
        let Some(content) = self.answer(path, "content", guard::read_all(&file)) else {
            return;
        };
        if content
            .windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes())
        {
            self.wrong(path, "shows what is beside the layers");
        }
        self.say(path, "content", guard::summary(&content));
        match mapped(&file, content.len(), stat.st_size as usize) {
            Ok(mapped) if content.starts_with(&mapped) => {}
            Ok(mapped) => self.wrong(
                path,
                format_args!("mapped it is {}", guard::summary(&mapped)),
            ),
            // There is less than its size promises.
            Err(Errno::FAULT) if (content.len() as i64) < stat.st_size.min(1 << 17) => {}
            Err(error) => self.wrong(path, format_args!("mapped: {error}")),
        }
    }

    fn directory(&mut self, path: &Path, at: &Path, depth: usize) {
        let Some(entries) = self.answer(path, "list", list(at)) else {
            return;
        };
        let names: BTreeSet<_> = entries.iter().map(|(name, _, _)| name.clone()).collect();
        if names.len() != entries.len() {
            self.wrong(path, "a name is listed twice");
        }
        if names.iter().any(|name| {
            name.as_bytes() == OUTSIDE.as_bytes() || name.as_bytes().starts_with(b"secret")
        }) {
            self.wrong(path, "lists what is beside the layers");
        }
        let mut shown = String::new();
        for (name, kind, number) in entries {
            shown += &format!("{} {kind:?}, ", name.as_bytes().escape_ascii());
            if depth >= DEPTH || self.paths.len() >= OBJECTS {
                continue;
            }
            let path = path.join(&name);
            match self.object(&path, depth + 1) {
                Some(stat) => {
                    self.paths.push(path.clone());
                    if kind != FileType::from_raw_mode(stat.st_mode) {
                        self.say(&path, "listed", format!("as {kind:?}"));
                    }
                    if number != stat.st_ino {
                        self.say(&path, "listed number", "another");
                    }
                }
                None => self.say(&path, "listed", "cannot be looked at"),
            }
        }
        self.say(path, "list", shown);
        for name in NAMES {
            let path = path.join(name);
            if !names.contains(name.as_ref() as &std::ffi::OsStr) {
                match rustix::fs::lstat(self.at(&path)) {
                    Err(Errno::NOENT) => {}
                    Ok(_) => self.say(&path, "listed", "not"),
                    error => {
                        self.answer(&path, "lookup", error);
                    }
                }
            }
        }
    }
}

/// The names in a directory, with their types and numbers, sorted.
fn list(at: &Path) -> Result<Vec<(std::ffi::OsString, FileType, u64)>, Errno> {
    let errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let mut entries = Vec::new();
    for entry in fs::read_dir(at).map_err(errno)? {
        let entry = entry.map_err(errno)?;
        // Without asking for what the listing does not tell.
        let kind = entry.file_type().map_or(FileType::Unknown, kind_of);
        entries.push((entry.file_name(), kind, entry.ino()));
    }
    entries.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    Ok(entries)
}

fn kind_of(kind: fs::FileType) -> FileType {
    match kind {
        kind if kind.is_dir() => FileType::Directory,
        kind if kind.is_file() => FileType::RegularFile,
        kind if kind.is_symlink() => FileType::Symlink,
        kind if kind.is_fifo() => FileType::Fifo,
        kind if kind.is_socket() => FileType::Socket,
        kind if kind.is_char_device() => FileType::CharacterDevice,
        kind if kind.is_block_device() => FileType::BlockDevice,
        _ => FileType::Unknown,
    }
}

/// What a mapping shows: written to a pipe, so that a fault is an error and not a signal.
fn mapped(file: &OwnedFd, length: usize, size: usize) -> Result<Vec<u8>, Errno> {
    use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

    // A pipe holds as much.
    let length = length.max(size.min(1)).min(1 << 14);
    if length == 0 {
        return Ok(Vec::new());
    }
    let (reader, writer) = rustix::pipe::pipe()?;
    // SAFETY: a new mapping, at a place that the kernel chooses.
    let start = unsafe {
        mmap(
            std::ptr::null_mut(),
            length,
            ProtFlags::READ,
            MapFlags::SHARED,
            file,
            0,
        )?
    };
    // SAFETY: the kernel reads as much as is mapped, and answers an error where it cannot.
    let written = unsafe { libc::write(std::os::fd::AsRawFd::as_raw_fd(&writer), start, length) };
    let error = std::io::Error::last_os_error();
    // SAFETY: nobody uses the mapping any more.
    unsafe { munmap(start, length)? };
    drop(writer);
    if written < 0 {
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    }
    guard::read_all(&reader)
}
