// SPDX-License-Identifier: GPL-2.0

//! Files of layers that a filesystem opens for itself.
//!
//! C headers: [`include/linux/file.h`](srctree/include/linux/file.h),
//! [`include/linux/splice.h`](srctree/include/linux/splice.h)

use crate::{
    attr::Mode,
    dentry::Dentry,
    inode::{Access, Inode},
    mount::PathRef,
    raw, //
};
use core::ptr::NonNull;
use kernel::{
    cred::Credential,
    error::{from_err_ptr, to_result},
    fs::File,
    prelude::*,
    sync::aref::ARef, //
};

/// Where a seek counts from, `SEEK_*`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Whence(pub(crate) c_int);

impl Whence {
    /// The beginning.
    pub const SET: Self = Self(raw::SEEK_SET as c_int);
    /// The current position.
    pub const CUR: Self = Self(raw::SEEK_CUR as c_int);
    /// The next data at or after an offset.
    pub const DATA: Self = Self(raw::SEEK_DATA as c_int);
    /// The next hole at or after an offset; there is one at the end.
    pub const HOLE: Self = Self(raw::SEEK_HOLE as c_int);
}

/// A position or a length that C answered, or its error.
pub(crate) fn offset(ret: i64) -> Result<i64> {
    if ret < 0 {
        return Err(Error::from_errno(ret as c_int));
    }
    Ok(ret)
}

/// A count of bytes that C answered, or its error.
#[inline]
pub(crate) fn count(ret: isize) -> Result<usize> {
    usize::try_from(ret).map_err(|_| Error::from_errno(ret as c_int))
}

/// An open file of a layer.
///
/// It is the filesystem's own: nobody seeks in it through a file descriptor.
pub struct OpenFile(ARef<File>);

impl OpenFile {
    /// Takes over a file that C opened.
    ///
    /// # Safety
    ///
    /// `file` is an open file whose reference becomes the caller's, that is in no
    /// descriptor table, or an error pointer.
    #[inline]
    pub(crate) unsafe fn from_ret(file: *mut raw::file) -> Result<Self> {
        let file = NonNull::new(from_err_ptr(file)?).ok_or(ENOENT)?;
        // SAFETY: By the safety requirements.
        Ok(unsafe { Self::from_raw(file) })
    }

    /// # Safety
    ///
    /// `file` is an open file whose reference becomes the result's, that is in no
    /// descriptor table.
    pub(crate) unsafe fn from_raw(file: NonNull<raw::file>) -> Self {
        // SAFETY: By the safety requirements.
        Self(unsafe { ARef::from_raw(file.cast()) })
    }

    pub(crate) fn as_ptr(&self) -> *mut raw::file {
        self.0.as_ptr()
    }

    pub(crate) fn as_non_null(&self) -> NonNull<raw::file> {
        NonNull::from(&*self.0).cast()
    }

    /// Flags for reading.
    pub const READ: u32 = raw::O_RDONLY | raw::O_LARGEFILE;
    /// Flags for writing.
    pub const WRITE: u32 = raw::O_WRONLY | raw::O_LARGEFILE;

    /// Opens `path` with `flags`, `O_*`, and the current task's credentials, after
    /// checking that they allow it, and leaving its access time alone if they
    /// may: see `dentry_open()`.
    pub fn open(path: PathRef<'_>, mut flags: u32) -> Result<Self> {
        let (inode, idmap) = (path.inode()?, path.mount().idmap());
        inode.permission(idmap, Access::for_open(flags))?;
        if inode.owner_or_capable(idmap) {
            flags |= raw::O_NOATIME;
        }
        let raw_path = path.as_raw();
        // SAFETY: The path is valid; the current credentials are the task's own.
        unsafe {
            let cred = (*raw::get_current()).cred;
            Self::from_ret(raw::dentry_open(&raw_path, flags as c_int, cred))
        }
    }

    /// Makes a regular file without a name in the directory `dir`, open for
    /// writing: see `kernel_tmpfile_open()`. The caller has write access to the
    /// mount.
    pub fn tmpfile(dir: PathRef<'_>, mode: Mode) -> Result<Self> {
        let raw_path = dir.as_raw();
        // SAFETY: The path is valid; the current credentials are the task's own.
        unsafe {
            let cred = (*raw::get_current()).cred;
            Self::from_ret(raw::kernel_tmpfile_open(
                dir.mount().idmap().as_ptr(),
                &raw_path,
                mode.bits(),
                (raw::O_LARGEFILE | raw::O_WRONLY) as c_int,
                cred,
            ))
        }
    }

    /// The flags it is open with, `O_*`.
    pub fn flags(&self) -> u32 {
        self.0.flags()
    }

    /// The inode that is open.
    pub fn inode(&self) -> &Inode {
        // SAFETY: An open file keeps its inode, which never changes.
        unsafe { Inode::from_raw((*self.as_ptr()).f_inode) }
    }

    /// The dentry that is open.
    pub fn dentry(&self) -> &Dentry {
        // SAFETY: An open file keeps its path, which never changes.
        unsafe { Dentry::from_raw((*self.as_ptr()).__bindgen_anon_1.f_path.dentry) }
    }

    /// Writes what is dirty between the offsets `start` and `end`, inclusive, and
    /// waits; with `datasync` without attributes that reading does not need. See
    /// `vfs_fsync_range()`.
    pub fn fsync(&self, start: i64, end: i64, datasync: bool) -> Result {
        // SAFETY: The file is open.
        to_result(unsafe { raw::vfs_fsync_range(self.as_ptr(), start, end, datasync.into()) })
    }

    /// Writes all that is dirty, and waits.
    pub fn fsync_all(&self) -> Result {
        self.fsync(0, i64::MAX, false)
    }

    /// Writes the data that is dirty, and waits; attributes, and the device's cache, are
    /// left. See `file_write_and_wait_range()`.
    pub fn write_back(&self) -> Result {
        // SAFETY: The file is open.
        to_result(unsafe { raw::file_write_and_wait_range(self.as_ptr(), 0, i64::MAX) })
    }

    /// Whether it can be seeked in.
    pub fn can_seek(&self) -> bool {
        // SAFETY: The file is open, and its mode is set before it is.
        unsafe { (*self.as_ptr()).f_mode & raw::vfs_const_FMODE_LSEEK != 0 }
    }

    /// Finds the position that `at` means, see `vfs_llseek()`.
    ///
    /// The file's own position changes; callers that share a file serialise.
    pub fn seek(&self, at: i64, whence: Whence) -> Result<i64> {
        // SAFETY: The file is open.
        offset(unsafe { raw::vfs_llseek(self.as_ptr(), at, whence.0) })
    }

    /// As [`OpenFile::seek`], counting from position `from`.
    pub fn seek_from(&self, from: i64, at: i64, whence: Whence) -> Result<i64> {
        // SAFETY: The file is the filesystem's own; callers serialise.
        unsafe { (*self.as_ptr()).f_pos = from };
        self.seek(at, whence)
    }

    /// Copies `len` bytes at the same offset to `to` within the page cache, by
    /// reference where possible; answers how many. See `do_splice_direct()`.
    pub fn splice_to(&self, to: &OpenFile, at: i64, len: usize) -> Result<usize> {
        let (mut from_pos, mut to_pos) = (at, at);
        // SAFETY: Both are open.
        count(unsafe {
            raw::do_splice_direct(
                self.as_ptr(),
                &mut from_pos,
                to.as_ptr(),
                &mut to_pos,
                len,
                raw::vfs_const_SPLICE_F_MOVE,
            )
        })
    }

    /// Checks that `len` bytes at `at` may be read: see `rw_verify_area()`.
    pub fn verify_read(&self, at: i64, len: i64) -> Result {
        self.verify(raw::READ, at, len)
    }

    /// Checks that `len` bytes at `at` may be read, and written to `to`.
    pub fn verify_copy(&self, to: &OpenFile, at: i64, len: i64) -> Result {
        self.verify(raw::READ, at, len)?;
        to.verify(raw::WRITE, at, len)
    }

    fn verify(&self, direction: u32, at: i64, len: i64) -> Result {
        let len = usize::try_from(len).map_err(|_| EINVAL)?;
        // SAFETY: The file is open and the offset is valid.
        to_result(unsafe { raw::rw_verify_area(direction as c_int, self.as_ptr(), &at, len) })
    }

    /// Shares the data of the first `len` bytes with `to`, copy-on-write;
    /// answers how many. See `vfs_clone_file_range()`.
    pub fn clone_to(&self, to: &OpenFile, len: i64) -> Result<i64> {
        self.clone_range(0, to, 0, len, 0)
    }

    /// See `vfs_clone_file_range()`.
    pub fn clone_range(
        &self,
        from: i64,
        to: &OpenFile,
        at: i64,
        len: i64,
        flags: u32,
    ) -> Result<i64> {
        // SAFETY: Both are open.
        offset(unsafe {
            raw::vfs_clone_file_range(self.as_ptr(), from, to.as_ptr(), at, len, flags)
        })
    }

    /// See `vfs_dedupe_file_range_one()`.
    pub fn dedupe_range(
        &self,
        from: i64,
        to: &OpenFile,
        at: i64,
        len: i64,
        flags: u32,
    ) -> Result<i64> {
        // SAFETY: Both are open.
        offset(unsafe {
            raw::vfs_dedupe_file_range_one(self.as_ptr(), from, to.as_ptr(), at, len, flags)
        })
    }

    /// See `vfs_copy_file_range()`.
    pub fn copy_range(
        &self,
        from: i64,
        to: &OpenFile,
        at: i64,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        // SAFETY: Both are open.
        count(unsafe { raw::vfs_copy_file_range(self.as_ptr(), from, to.as_ptr(), at, len, flags) })
    }

    /// See `vfs_fallocate()`.
    pub fn fallocate(&self, mode: c_int, at: i64, len: i64) -> Result {
        // SAFETY: The file is open.
        to_result(unsafe { raw::vfs_fallocate(self.as_ptr(), mode, at, len) })
    }

    /// Allocates space for `len` bytes from the beginning, and makes the file so long.
    pub fn allocate(&self, len: i64) -> Result {
        self.fallocate(0, 0, len)
    }

    /// Makes a hole of `len` bytes at `at`, if the filesystem can.
    pub fn punch_hole(&self, at: i64, len: i64) -> Result {
        self.fallocate(raw::vfs_const_FALLOC_FL_PUNCH_HOLE, at, len)
    }

    /// See `vfs_fadvise()`.
    pub fn fadvise(&self, at: i64, len: i64, advice: c_int) -> Result {
        // SAFETY: The file is open.
        to_result(unsafe { raw::vfs_fadvise(self.as_ptr(), at, len, advice) })
    }
}

impl PathRef<'_> {
    /// Asks the security modules whether the current task may use an `ioctl` on
    /// the file, see `security_file_ioctl()`.
    pub(crate) fn check_ioctl(&self, command: c_uint) -> Result {
        let file = OpenFile::open(*self, raw::O_RDONLY | raw::O_LARGEFILE)?;
        // SAFETY: The file is open.
        to_result(unsafe { raw::vfs_shim_security_file_ioctl(file.as_ptr(), command, 0) })
    }
}

/// Finishes what tasks of the kernel have left of giving up files, so that these
/// do not keep anything: see `flush_delayed_fput()`. Sleeps.
pub fn flush_delayed_puts() {
    // SAFETY: No requirements.
    unsafe { raw::flush_delayed_fput() };
}

/// Whether a fatal signal waits for the current task.
pub fn killed() -> bool {
    // SAFETY: No requirements.
    unsafe { raw::vfs_shim_signal_pending_killable() }
}

/// Asks the security modules what credentials to create the copy of `dentry`
/// with: see `security_inode_copy_up()`. `None` for the current ones.
pub fn copy_up_creds(dentry: &Dentry) -> Result<Option<ARef<Credential>>> {
    let mut cred = core::ptr::null_mut();
    // SAFETY: The dentry is valid.
    to_result(unsafe { raw::vfs_shim_security_inode_copy_up(dentry.as_ptr(), &mut cred) })?;
    // SAFETY: Credentials that are returned come with a reference; the type is transparent.
    Ok(NonNull::new(cred).map(|cred| unsafe { ARef::from_raw(cred.cast()) }))
}

/// What the security modules say of copying an attribute.
pub enum CopyXattr {
    /// It is copied.
    Copy,
    /// It is left out.
    Discard,
}

/// Asks the security modules about copying the attribute `name` of `dentry`: see
/// `security_inode_copy_up_xattr()`.
pub fn copy_up_xattr(dentry: &Dentry, name: &CStr) -> Result<CopyXattr> {
    // SAFETY: The dentry is valid and the name NUL-terminated.
    let ret =
        unsafe { raw::vfs_shim_security_inode_copy_up_xattr(dentry.as_ptr(), name.as_char_ptr()) };
    match to_result(ret) {
        Err(err) if err == ECANCELED => Ok(CopyXattr::Discard),
        Err(err) if err != EOPNOTSUPP => Err(err),
        _ => Ok(CopyXattr::Copy),
    }
}
