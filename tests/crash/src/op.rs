// SPDX-License-Identifier: GPL-2.0

//! What a program consists of, and doing it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{lchown, symlink, FileExt, OpenOptionsExt, PermissionsExt};
use std::ptr;

use rustix::fs::{
    mknodat, open, renameat_with, setxattr, syncfs, FileType, Mode, OFlags, RenameFlags,
    XattrFlags, CWD,
};
use rustix::mm::{mmap, msync, munmap, MapFlags, MsyncFlags, ProtFlags};

use crate::data;
use crate::model::Kind;

/// A path below the root, without a slash before it.
pub type Path = String;

/// The attribute that is set and looked at.
pub const XATTR: &str = "user.crash";

/// How something is made durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sync {
    /// `fsync(2)`.
    File,
    /// `fdatasync(2)`.
    Data,
    /// Only what is written, by a file opened with `O_DSYNC`.
    Written,
    /// `syncfs(2)`.
    All,
}

/// One system call that changes something, with what has to be opened for it.
#[derive(Clone, Debug)]
pub enum Op {
    Write {
        path: Path,
        at: u64,
        len: usize,
        sync: Option<Sync>,
    },
    /// By a shared mapping, inside of the file. It can be made durable by `msync(2)`, in
    /// which case only what is written is.
    WriteMapped {
        path: Path,
        at: u64,
        len: usize,
        sync: Option<Sync>,
    },
    Truncate {
        path: Path,
        len: u64,
    },
    OpenTruncating {
        path: Path,
    },
    Chmod {
        path: Path,
        mode: u32,
    },
    Chown {
        path: Path,
        owner: u32,
    },
    SetXattr {
        path: Path,
        value: Vec<u8>,
    },
    Create {
        path: Path,
        kind: Kind,
    },
    Link {
        from: Path,
        to: Path,
    },
    /// A file or an empty directory.
    Remove {
        path: Path,
    },
    Rename {
        from: Path,
        to: Path,
    },
    Exchange {
        one: Path,
        other: Path,
    },
    Sync {
        path: Path,
        sync: Sync,
    },
    SyncAll,
}

/// Does the operation with this number below `root`.
pub fn perform(root: &str, number: usize, op: &Op) -> io::Result<()> {
    let full = |path: &Path| format!("{root}/{path}");
    match op {
        Op::Write {
            path,
            at,
            len,
            sync,
        } => {
            let flags = match sync {
                Some(Sync::Written) => libc::O_DSYNC,
                _ => 0,
            };
            let file = OpenOptions::new()
                .write(true)
                .custom_flags(flags)
                .open(full(path))?;
            file.write_all_at(&data::written(number, *at, *len), *at)?;
            match sync {
                Some(Sync::File) => file.sync_all(),
                Some(Sync::Data) => file.sync_data(),
                _ => Ok(()),
            }
        }
        Op::WriteMapped {
            path,
            at,
            len,
            sync,
        } => {
            let file = File::options().read(true).write(true).open(full(path))?;
            write_mapped(
                &file,
                *at,
                &data::written(number, *at, *len),
                sync.is_some(),
            )
        }
        Op::Truncate { path, len } => {
            let path = std::ffi::CString::new(full(path))?;
            // Not by a descriptor: that is another way of copying up.
            // SAFETY: The path is a string, and lives as long as the call.
            match unsafe { libc::truncate(path.as_ptr(), *len as i64) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        }
        Op::OpenTruncating { path } => File::options()
            .write(true)
            .truncate(true)
            .open(full(path))
            .map(drop),
        Op::Chmod { path, mode } => {
            fs::set_permissions(full(path), fs::Permissions::from_mode(*mode))
        }
        Op::Chown { path, owner } => lchown(full(path), Some(*owner), Some(*owner)),
        Op::SetXattr { path, value } => {
            Ok(setxattr(full(path), XATTR, value, XattrFlags::empty())?)
        }
        Op::Create { path, kind } => create(&full(path), kind),
        Op::Link { from, to } => fs::hard_link(full(from), full(to)),
        Op::Remove { path } => match fs::symlink_metadata(full(path))?.is_dir() {
            true => fs::remove_dir(full(path)),
            false => fs::remove_file(full(path)),
        },
        Op::Rename { from, to } => fs::rename(full(from), full(to)),
        Op::Exchange { one, other } => Ok(renameat_with(
            CWD,
            full(one),
            CWD,
            full(other),
            RenameFlags::EXCHANGE,
        )?),
        Op::Sync { path, sync } => {
            let file = File::open(full(path))?;
            match sync {
                Sync::Data => file.sync_data(),
                _ => file.sync_all(),
            }
        }
        Op::SyncAll => Ok(syncfs(open(root, OFlags::RDONLY, Mode::empty())?)?),
    }
}

/// The size of a page.
const PAGE: u64 = 4096;

fn write_mapped(file: &File, at: u64, data: &[u8], sync: bool) -> io::Result<()> {
    let start = at / PAGE * PAGE;
    let inside = (at - start) as usize;
    let len = inside + data.len();
    // SAFETY: It is a new mapping of the file, which nobody truncates meanwhile, and is
    // not used after it was unmapped; the data is written inside of it.
    unsafe {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let map = mmap(ptr::null_mut(), len, access, MapFlags::SHARED, file, start)?;
        ptr::copy_nonoverlapping(data.as_ptr(), map.cast::<u8>().add(inside), data.len());
        let synced = match sync {
            true => msync(map, len, MsyncFlags::SYNC),
            false => Ok(()),
        };
        munmap(map, len)?;
        Ok(synced?)
    }
}

/// Makes a new object with the mode that the model gives it.
pub fn create(path: &str, kind: &Kind) -> io::Result<()> {
    match kind {
        Kind::Dir => fs::create_dir(path),
        Kind::File => File::create_new(path).map(drop),
        Kind::Symlink(target) => symlink(target, path),
        Kind::Fifo => Ok(mknodat(
            CWD,
            path,
            FileType::Fifo,
            Mode::from_raw_mode(0o644),
            0,
        )?),
    }
}
