// SPDX-License-Identifier: GPL-2.0

//! A filesystem in a child process, by the FUSE protocol: it shows a directory,
//! with less than the directory's own filesystem can do.
//!
//! Whoever reads a file called [`STUCK`] waits until there is a [`GO`] beside it in
//! the directory, and so does every later request.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    chownat, lgetxattr, llistxattr, lremovexattr, lsetxattr, mkdir, mknodat, readlink,
    renameat_with, symlink, utimensat, AtFlags, FileType, Gid, Mode, RenameFlags, Timespec,
    Timestamps, Uid, XattrFlags, CWD, UTIME_OMIT,
};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;
use crate::support::process::Child;

/// What the filesystem can do.
#[derive(Clone, Copy)]
pub struct Abilities {
    /// Listings tell types.
    pub types: bool,
    /// There are extended attributes.
    pub xattrs: bool,
    /// Renames take flags.
    pub rename_flags: bool,
    /// Directories may be called "index".
    pub index: bool,
}

/// All of it.
pub const ALL: Abilities = Abilities {
    types: true,
    xattrs: true,
    rename_flags: true,
    index: true,
};

/// None of it.
pub const NONE: Abilities = Abilities {
    types: false,
    xattrs: false,
    rename_flags: false,
    index: true,
};

/// Mounts a filesystem that shows the directory `of`. Names and attributes are
/// asked for at each use.
#[track_caller]
pub fn mount(bed: &Bed, of: &Dir, name: &str, abilities: Abilities) -> Dir {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    let device = must("open /dev/fuse", device);
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
        device.as_raw_fd()
    );
    let at = bed.aside(name);
    must("mount fuse", bed.try_mount_at("fuse", &options, &at));
    let root = of.path().to_owned();
    // It ends when the filesystem is unmounted.
    Child::spawn(|| Server::new(device, root, abilities).run());
    at
}

/// The name of a file that cannot be read yet.
pub const STUCK: &str = "stuck";

/// What says that it can be read.
pub const GO: &str = "go";

/// What is made beside it when somebody reads it.
pub const ASKED: &str = "asked";

/// An attribute that every object has.
const SYNCS: &str = "user.syncs";

/// How often a filesystem with attributes, mounted at `at`, was asked to make
/// something durable.
#[track_caller]
pub fn syncs(at: &Dir) -> u64 {
    let mut value = [0; 8];
    must("getxattr", lgetxattr(at.path(), SYNCS, &mut value));
    u64::from_ne_bytes(value)
}

/// A request or a part of a reply, as bytes in the order of the machine.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn u32(&mut self) -> u32 {
        let (value, rest) = self.0.split_at(4);
        self.0 = rest;
        u32::from_ne_bytes(value.try_into().expect("4 bytes"))
    }

    fn u64(&mut self) -> u64 {
        let (value, rest) = self.0.split_at(8);
        self.0 = rest;
        u64::from_ne_bytes(value.try_into().expect("8 bytes"))
    }

    fn skip(&mut self, bytes: usize) -> &mut Self {
        self.0 = &self.0[bytes..];
        self
    }

    /// Text up to a NUL.
    fn text(&mut self) -> &'a OsStr {
        let end = self.0.iter().position(|&byte| byte == 0).expect("a NUL");
        let text = OsStr::from_bytes(&self.0[..end]);
        self.0 = &self.0[end + 1..];
        text
    }
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_ne_bytes());
        self
    }
}

type Reply = Result<Vec<u8>, Errno>;

struct Server {
    device: File,
    abilities: Abilities,
    /// By number; the root is 1.
    paths: BTreeMap<u64, PathBuf>,
    next: u64,
    files: BTreeMap<u64, File>,
    syncs: u64,
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

impl Server {
    fn new(device: File, root: PathBuf, abilities: Abilities) -> Self {
        Self {
            device,
            abilities,
            paths: BTreeMap::from([(1, root)]),
            next: 2,
            files: BTreeMap::new(),
            syncs: 0,
        }
    }

    fn run(mut self) {
        let mut buffer = vec![0_u8; 1 << 18];
        // SAFETY: this process has one thread.
        unsafe { libc::umask(0) };
        while let Ok(length) = rustix::io::read(&self.device, &mut buffer) {
            let mut request = Reader(&buffer[..length]);
            request.skip(4);
            let operation = request.u32();
            let (unique, node) = (request.u64(), request.u64());
            let (uid, gid) = (request.u32(), request.u32());
            request.skip(8);
            // FORGET and BATCH_FORGET are not answered.
            if matches!(operation, 2 | 42) {
                continue;
            }
            let reply = self.answer(operation, node, (uid, gid), request);
            let (error, body) = match reply {
                Ok(body) => (0, body),
                Err(error) => (error.raw_os_error(), Vec::new()),
            };
            let mut out = Writer::default();
            out.u32(16 + body.len() as u32)
                .u32(-error as u32)
                .u64(unique);
            out.0.extend(body);
            // An interrupted request needs no answer.
            let _ = rustix::io::write(&self.device, &out.0);
        }
    }

    fn path(&self, node: u64) -> Result<&Path, Errno> {
        self.paths
            .get(&node)
            .map(PathBuf::as_path)
            .ok_or(Errno::STALE)
    }

    fn child(&self, node: u64, name: &OsStr) -> Result<PathBuf, Errno> {
        Ok(self.path(node)?.join(name))
    }

    fn file(&self, number: u64) -> Result<&File, Errno> {
        self.files.get(&number).ok_or(Errno::BADF)
    }

    fn attributes(path: &Path) -> Result<Writer, Errno> {
        let meta = std::fs::symlink_metadata(path).map_err(errno)?;
        let mut out = Writer::default();
        out.u64(meta.ino()).u64(meta.size()).u64(meta.blocks());
        for time in [meta.atime(), meta.mtime(), meta.ctime()] {
            out.u64(time as u64);
        }
        for nanoseconds in [meta.atime_nsec(), meta.mtime_nsec(), meta.ctime_nsec()] {
            out.u32(nanoseconds as u32);
        }
        out.u32(meta.mode()).u32(meta.nlink() as u32);
        out.u32(meta.uid()).u32(meta.gid());
        out.u32(meta.rdev() as u32).u32(4096).u32(0);
        Ok(out)
    }

    fn entry(&mut self, path: PathBuf) -> Reply {
        let attributes = Self::attributes(&path)?;
        let known = self.paths.iter().find(|(_, other)| **other == path);
        let node = match known {
            Some((node, _)) => *node,
            None => {
                self.next += 1;
                self.paths.insert(self.next, path);
                self.next
            }
        };
        let mut out = Writer::default();
        out.u64(node).u64(0).u64(0).u64(0).u32(0).u32(0);
        out.0.extend(attributes.0);
        Ok(out.0)
    }

    /// Something new, which belongs to whoever asked for it.
    fn made(&mut self, path: PathBuf, (uid, gid): (u32, u32)) -> Reply {
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        chownat(CWD, &path, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
        self.entry(path)
    }

    fn open(&mut self, path: &Path, flags: u32) -> Reply {
        let access = flags & 3;
        let file = OpenOptions::new()
            .read(access != 1)
            .write(access != 0)
            .open(path)
            .map_err(errno)?;
        self.next += 1;
        self.files.insert(self.next, file);
        // FOPEN_DIRECT_IO: without the page cache.
        let direct = flags & libc::O_DIRECT as u32 != 0;
        let mut out = Writer::default();
        out.u64(self.next).u32(direct.into()).u32(0);
        Ok(out.0)
    }

    fn rename(&mut self, old: &Path, new: &Path, flags: RenameFlags) -> Reply {
        renameat_with(CWD, old, CWD, new, flags)?;
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        if !exchange {
            // What was there is another object.
            self.paths.retain(|_, path| path != new);
        }
        for path in self.paths.values_mut() {
            if let Ok(rest) = path.strip_prefix(old) {
                *path = join(new, rest);
            } else if let (true, Ok(rest)) = (exchange, path.strip_prefix(new)) {
                *path = join(old, rest);
            }
        }
        Ok(Vec::new())
    }

    fn answer(
        &mut self,
        operation: u32,
        node: u64,
        owner: (u32, u32),
        mut request: Reader<'_>,
    ) -> Reply {
        let nothing = Ok(Vec::new());
        match operation {
            // LOOKUP
            1 => {
                let path = self.child(node, request.text())?;
                self.entry(path)
            }
            // GETATTR
            3 => self.attr_out(node),
            // SETATTR
            4 => self.set_attributes(node, request),
            // READLINK
            5 => Ok(readlink(self.path(node)?, Vec::new())?.into_bytes()),
            // SYMLINK
            6 => {
                let path = self.child(node, request.text())?;
                symlink(request.text(), &path)?;
                self.made(path, owner)
            }
            // MKNOD
            8 => {
                let (mode, device) = (request.u32(), request.u32());
                let path = self.child(node, request.skip(8).text())?;
                let kind = FileType::from_raw_mode(mode);
                mknodat(CWD, &path, kind, Mode::from_raw_mode(mode), device.into())?;
                self.made(path, owner)
            }
            // MKDIR
            9 => {
                let mode = Mode::from_raw_mode(request.u32());
                let path = self.child(node, request.skip(4).text())?;
                if path.ends_with("index") && !self.abilities.index {
                    return Err(Errno::PERM);
                }
                mkdir(&path, mode)?;
                self.made(path, owner)
            }
            // UNLINK, RMDIR
            10 | 11 => {
                let path = self.child(node, request.text())?;
                if operation == 10 {
                    rustix::fs::unlink(&path)?;
                } else {
                    rustix::fs::rmdir(&path)?;
                }
                self.paths.retain(|_, other| *other != path);
                nothing
            }
            // RENAME, RENAME2
            12 | 45 if operation == 12 || self.abilities.rename_flags => {
                let to = request.u64();
                let flags = if operation == 45 {
                    let flags = request.u32();
                    request.skip(4);
                    RenameFlags::from_bits_retain(flags)
                } else {
                    RenameFlags::empty()
                };
                let old = self.child(node, request.text())?;
                let new = self.child(to, request.text())?;
                self.rename(&old, &new, flags)
            }
            // OPEN, OPENDIR
            14 | 27 => {
                let path = self.path(node)?.to_owned();
                self.open(&path, request.u32())
            }
            // READ
            15 => {
                let (number, at, size) = (request.u64(), request.u64(), request.u32());
                self.wait_if_stuck(node)?;
                let mut data = vec![0; size as usize];
                let length = self.file(number)?.read_at(&mut data, at).map_err(errno)?;
                data.truncate(length);
                Ok(data)
            }
            // WRITE
            16 => {
                let (number, at, size) = (request.u64(), request.u64(), request.u32());
                let data = &request.skip(20).0[..size as usize];
                self.file(number)?.write_all_at(data, at).map_err(errno)?;
                let mut out = Writer::default();
                out.u32(size).u32(0);
                Ok(out.0)
            }
            // STATFS
            17 => {
                let mut out = Writer::default();
                out.u64(1 << 20).u64(1 << 19).u64(1 << 19);
                out.u64(1 << 20).u64(1 << 19);
                out.u32(4096).u32(255).u32(4096).0.resize(80, 0);
                Ok(out.0)
            }
            // RELEASE, RELEASEDIR
            18 | 29 => {
                self.files.remove(&request.u64());
                nothing
            }
            // FSYNC, FSYNCDIR
            20 | 30 => {
                self.syncs += 1;
                nothing
            }
            // FLUSH, DESTROY
            25 | 38 => nothing,
            // SETXATTR
            21 if self.abilities.xattrs => {
                let (size, flags) = (request.u32(), request.u32());
                let name = request.text();
                let value = &request.0[..size as usize];
                let flags = XattrFlags::from_bits_retain(flags);
                lsetxattr(self.path(node)?, name, value, flags)?;
                nothing
            }
            // GETXATTR, LISTXATTR
            22 | 23 if self.abilities.xattrs => {
                let size = request.u32() as usize;
                request.skip(4);
                let mut value = vec![0_u8; 65536];
                let length = if operation == 22 {
                    let name = request.text();
                    if name == SYNCS {
                        return Ok(self.syncs.to_ne_bytes().to_vec());
                    }
                    lgetxattr(self.path(node)?, name, &mut value)?
                } else {
                    llistxattr(self.path(node)?, &mut value)?
                };
                value.truncate(length);
                match size {
                    0 => Ok(Writer::default().u32(length as u32).u32(0).0.clone()),
                    size if size < length => Err(Errno::RANGE),
                    _ => Ok(value),
                }
            }
            // REMOVEXATTR
            24 if self.abilities.xattrs => {
                lremovexattr(self.path(node)?, request.text())?;
                nothing
            }
            // INIT
            26 => {
                let mut out = Writer::default();
                out.u32(7).u32(31).u32(65536).u32(0).u32(0).u32(1 << 17);
                out.0.resize(64, 0);
                Ok(out.0)
            }
            // READDIR
            28 => {
                let (_, at, size) = (request.u64(), request.u64(), request.u32());
                self.list(node, at, size as usize)
            }
            // CREATE
            35 => {
                let (flags, mode) = (request.u32(), request.u32());
                let path = self.child(node, request.skip(8).text())?;
                let mode = Mode::from_raw_mode(mode);
                mknodat(CWD, &path, FileType::RegularFile, mode, 0)?;
                let mut out = self.made(path.clone(), owner)?;
                out.extend(self.open(&path, flags)?);
                Ok(out)
            }
            _ => Err(Errno::NOSYS),
        }
    }

    fn wait_if_stuck(&self, node: u64) -> Result<(), Errno> {
        let path = self.path(node)?;
        if path.file_name() == Some(OsStr::new(STUCK)) {
            std::fs::write(path.with_file_name(ASKED), "").map_err(errno)?;
            while !path.with_file_name(GO).exists() {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        Ok(())
    }

    fn attr_out(&self, node: u64) -> Reply {
        let mut out = Writer::default();
        out.u64(0).u32(0).u32(0);
        out.0.extend(Self::attributes(self.path(node)?)?.0);
        Ok(out.0)
    }

    /// `struct fuse_setattr_in`: what is set, and the values.
    fn set_attributes(&mut self, node: u64, mut request: Reader<'_>) -> Reply {
        let path = self.path(node)?.to_owned();
        let valid = request.u32();
        let wanted = |bit: u32| valid & 1 << bit != 0;
        request.skip(12);
        let size = request.u64();
        request.skip(8);
        let (atime, mtime) = (request.u64(), request.u64());
        request.skip(8);
        let (atime_nsec, mtime_nsec) = (request.u32(), request.u32());
        request.skip(4);
        let mode = request.u32();
        request.skip(4);
        let (uid, gid) = (request.u32(), request.u32());
        if wanted(1) || wanted(2) {
            let uid = wanted(1).then(|| Uid::from_raw(uid));
            let gid = wanted(2).then(|| Gid::from_raw(gid));
            chownat(CWD, &path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if wanted(0) {
            let permissions = PermissionsExt::from_mode(mode & 0o7777);
            std::fs::set_permissions(&path, permissions).map_err(errno)?;
        }
        if wanted(3) {
            let file = OpenOptions::new().write(true).open(&path);
            file.and_then(|file| file.set_len(size)).map_err(errno)?;
        }
        if wanted(4) || wanted(5) {
            let time = |wanted, seconds: u64, nanoseconds: u32| Timespec {
                tv_sec: seconds as i64,
                tv_nsec: if wanted {
                    nanoseconds.into()
                } else {
                    UTIME_OMIT
                },
            };
            let times = Timestamps {
                last_access: time(wanted(4), atime, atime_nsec),
                last_modification: time(wanted(5), mtime, mtime_nsec),
            };
            utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        self.attr_out(node)
    }

    /// Entries from position `at` on, as many as fit.
    fn list(&self, node: u64, at: u64, size: usize) -> Reply {
        let mut entries: Vec<_> = std::fs::read_dir(self.path(node)?)
            .and_then(|entries| entries.collect::<Result<Vec<_>, _>>())
            .map_err(errno)?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        let mut out = Writer::default();
        for (position, entry) in entries.iter().enumerate().skip(at as usize) {
            let name = entry.file_name();
            let meta = entry.metadata().map_err(errno)?;
            let length = (24 + name.len()).next_multiple_of(8);
            if out.0.len() + length > size {
                break;
            }
            let end = out.0.len() + length;
            let kind = if self.abilities.types {
                meta.mode() >> 12
            } else {
                0
            };
            out.u64(meta.ino()).u64(position as u64 + 1);
            out.u32(name.len() as u32).u32(kind);
            out.0.extend(name.as_bytes());
            out.0.resize(end, 0);
        }
        Ok(out.0)
    }
}

fn join(dir: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() {
        dir.to_owned()
    } else {
        dir.join(rest)
    }
}
