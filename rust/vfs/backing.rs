// SPDX-License-Identifier: GPL-2.0

//! Files of layers that do the I/O for files of a stacked filesystem.
//!
//! A backing file keeps the path of the file that it works for, so that what
//! shows paths (`/proc/PID/maps`, core dumps) shows the stacked filesystem's,
//! while pages and locks are the layer's.
//!
//! C header: `include/linux/backing-file.h`

use crate::{
    attr::Mode,
    file::{count, OpenFile},
    file_ops::{Callbacks, FileOperations, Iocb, IocbFlags, Iter, NewMapping, Pipe},
    mount::PathRef,
    raw, //
};
use core::ops::Deref;
use kernel::{
    cred::Credential,
    error::to_result,
    fs::LocalFile,
    prelude::*, //
};

mod files;

pub use self::files::{BackingFiles, BorrowedFile, BorrowedFiles};

/// The flags that `fcntl(F_SETFL)` changes and a backing file follows.
const FOLLOWED: u32 = raw::O_APPEND | raw::O_NONBLOCK | raw::O_DIRECT;

/// `backing_file_read_iter()`, `backing_file_write_iter()`.
type BackingIo = unsafe extern "C" fn(
    *mut raw::file,
    *mut raw::iov_iter,
    *mut raw::kiocb,
    c_int,
    *mut raw::backing_file_ctx,
) -> isize;

/// A file of a layer that works for a file of a stacked filesystem.
pub struct BackingFile(OpenFile);

/// A mapping that is being made, of the pages of a file of a layer.
pub struct Mapped<'a, T>(NewMapping<'a, T>);

impl<T> Mapped<'_, T> {
    pub(crate) fn as_ptr(&self) -> *mut raw::vm_area_struct {
        self.0.as_ptr()
    }
}

impl Deref for BackingFile {
    type Target = OpenFile;

    fn deref(&self) -> &OpenFile {
        &self.0
    }
}

impl BackingFile {
    /// Opens `path` with `flags` and the credentials `cred`, to work for `user`:
    /// see `backing_file_open()`.
    #[inline]
    pub fn open(
        user: &LocalFile,
        flags: u32,
        path: PathRef<'_>,
        cred: &Credential,
    ) -> Result<Self> {
        let raw_path = path.as_raw();
        // SAFETY: All are valid; the result is in no descriptor table.
        unsafe {
            OpenFile::from_ret(raw::backing_file_open(
                user.as_ptr(),
                flags as c_int,
                &raw_path,
                cred.as_ptr(),
            ))
        }
        .map(Self)
    }

    /// Makes a file without a name in the directory `dir`, to work for `user`:
    /// see `backing_tmpfile_open()`. The caller has write access to the mount.
    pub fn open_tmpfile(
        user: &LocalFile,
        flags: u32,
        dir: PathRef<'_>,
        mode: Mode,
        cred: &Credential,
    ) -> Result<Self> {
        let raw_path = dir.as_raw();
        // SAFETY: All are valid; the result is in no descriptor table.
        unsafe {
            OpenFile::from_ret(raw::backing_tmpfile_open(
                user.as_ptr(),
                flags as c_int,
                &raw_path,
                mode.bits(),
                cred.as_ptr(),
            ))
        }
        .map(Self)
    }

    /// Whether the layer's filesystem wants to know of descriptors that are closed.
    pub fn has_flush(&self) -> bool {
        // SAFETY: An open file has operations.
        unsafe { (*(*self.as_ptr()).f_op).flush.is_some() }
    }

    /// Whether a write can be told to be atomic, see `FMODE_CAN_ATOMIC_WRITE`.
    pub fn can_write_atomically(&self) -> bool {
        // SAFETY: The file is open, and its mode is set before it is.
        unsafe { (*self.as_ptr()).f_mode & raw::vfs_const_FMODE_CAN_ATOMIC_WRITE != 0 }
    }

    /// Whether reading and writing can be told not to wait, see `FMODE_NOWAIT`.
    pub fn can_nowait(&self) -> bool {
        // SAFETY: The file is open, and its mode is set before it is.
        unsafe { (*self.as_ptr()).f_mode & raw::vfs_const_FMODE_NOWAIT != 0 }
    }

    /// Makes the flags that can change while a file is open those of `user`,
    /// but for `kept`: the layer's filesystem is asked as `fcntl()` would.
    #[inline]
    pub fn follow_flags(&self, user: &LocalFile, kept: u32) -> Result {
        let (wanted, own) = (user.flags(), self.flags());
        if (wanted ^ own) & !kept == 0 {
            return Ok(());
        }
        self.change_flags(wanted, own)
    }

    #[cold]
    fn change_flags(&self, wanted: u32, own: u32) -> Result {
        let flags = wanted & FOLLOWED;
        let append_changes = (wanted ^ own) & raw::O_APPEND != 0;
        if append_changes
            && !self
                .inode()
                .flags()
                .intersection(crate::inode::InodeFlags::APPEND)
                .is_empty()
        {
            return Err(EPERM);
        }
        // SAFETY: The file is open: mode and operations are set.
        let (mode, check) = unsafe {
            (
                (*self.as_ptr()).f_mode,
                (*(*self.as_ptr()).f_op).check_flags,
            )
        };
        if flags & raw::O_DIRECT != 0 && mode & raw::vfs_const_FMODE_CAN_ODIRECT == 0 {
            return Err(EINVAL);
        }
        if let Some(check) = check {
            // SAFETY: The function takes any flags.
            to_result(unsafe { check(flags as c_int) })?;
        }
        // SAFETY: The file is open; the flags change under `f_lock`.
        unsafe { raw::vfs_shim_file_set_flags(self.as_ptr(), FOLLOWED, flags) };
        Ok(())
    }

    fn context<T: FileOperations>(cred: &Credential) -> raw::backing_file_ctx {
        raw::backing_file_ctx {
            cred: cred.as_ptr(),
            accessed: Some(T::accessed),
            end_write: Some(T::end_write),
        }
    }

    /// Whether the file can do what a request with `flags` asks for, and may: `EOPNOTSUPP`,
    /// `EINVAL` or `EPERM`.
    #[inline]
    pub fn check_request(&self, flags: IocbFlags) -> Result {
        if !flags.asks_for_abilities() && self.flags() & raw::O_APPEND == 0 {
            return Ok(());
        }
        // SAFETY: The file is open.
        to_result(unsafe { raw::vfs_shim_check_request(self.as_ptr(), flags.as_raw()) })
    }

    /// Reads for `iocb` with the credentials `cred`: see
    /// `backing_file_read_iter()`, here with all flags of the request. Asynchronous
    /// requests may complete later.
    #[inline]
    pub fn read_iter<T: FileOperations>(
        &self,
        iocb: &mut Iocb<'_, T>,
        iter: &mut Iter,
        cred: &Credential,
    ) -> Result<usize> {
        self.check_request(iocb.flags())?;
        if !iocb.is_sync() {
            let flags = iocb.flags();
            // SAFETY: It is a request to read.
            return unsafe { self.start(raw::backing_file_read_iter, iocb, iter, flags, cred) };
        }
        // SAFETY: All are valid. The request is not complete before the call has returned, until
        // when it is one for the layer's file: nobody else sees it meanwhile.
        let read = unsafe {
            raw::vfs_shim_read_lent(self.as_ptr(), iter.as_ptr(), iocb.as_ptr(), cred.as_ptr())
        };
        T::was_read(iocb.file());
        count(read)
    }

    /// Writes for `iocb` with the credentials `cred`: see
    /// `backing_file_write_iter()`, here with all of `flags`. The inode of the file
    /// that it works for is locked at least shared if the request is asynchronous. What a
    /// write takes away of it is the caller's business.
    #[inline]
    pub fn write_iter<T: FileOperations>(
        &self,
        iocb: &mut Iocb<'_, T>,
        iter: &mut Iter,
        flags: IocbFlags,
        cred: &Credential,
    ) -> Result<usize> {
        self.check_request(flags)?;
        if !iocb.is_sync() {
            // SAFETY: It is a request to write.
            return unsafe { self.start(raw::backing_file_write_iter, iocb, iter, flags, cred) };
        }
        // SAFETY: As for `read_iter`.
        let written = unsafe {
            raw::vfs_shim_write_lent(
                self.as_ptr(),
                iter.as_ptr(),
                iocb.as_ptr(),
                flags.as_raw(),
                cred.as_ptr(),
            )
        };
        T::was_written(iocb.file());
        count(written)
    }

    /// Has the kernel do an asynchronous request, which may complete later.
    ///
    /// # Safety
    ///
    /// `io` is `backing_file_read_iter()` or `backing_file_write_iter()`, what `iocb` asks for.
    #[cold]
    unsafe fn start<T: FileOperations>(
        &self,
        io: BackingIo,
        iocb: &mut Iocb<'_, T>,
        iter: &mut Iter,
        flags: IocbFlags,
        cred: &Credential,
    ) -> Result<usize> {
        let mut ctx = Self::context::<T>(cred);
        // SAFETY: All are valid, and the context has both functions. It is used during the call,
        // but for these, which are static.
        count(unsafe {
            io(
                self.as_ptr(),
                iter.as_ptr(),
                iocb.as_ptr(),
                flags.as_raw(),
                &mut ctx,
            )
        })
    }

    /// Splices into `pipe`: see `backing_file_splice_read()`.
    pub fn splice_read<T: FileOperations>(
        &self,
        iocb: &mut Iocb<'_, T>,
        pipe: &mut Pipe,
        len: usize,
        flags: u32,
        cred: &Credential,
    ) -> Result<usize> {
        let mut ctx = Self::context::<T>(cred);
        // SAFETY: All are valid for the call.
        count(unsafe {
            raw::backing_file_splice_read(
                self.as_ptr(),
                iocb.as_ptr(),
                pipe.as_ptr(),
                len,
                flags,
                &mut ctx,
            )
        })
    }

    /// Splices from `pipe`: see `backing_file_splice_write()`. The inode of the
    /// file that it works for is locked.
    pub fn splice_write<T: FileOperations>(
        &self,
        iocb: &mut Iocb<'_, T>,
        pipe: &mut Pipe,
        len: usize,
        flags: u32,
        cred: &Credential,
    ) -> Result<usize> {
        let mut ctx = Self::context::<T>(cred);
        // SAFETY: All are valid for the call.
        count(unsafe {
            raw::backing_file_splice_write(
                pipe.as_ptr(),
                self.as_ptr(),
                iocb.as_ptr(),
                len,
                flags,
                &mut ctx,
            )
        })
    }

    /// Maps the layer's pages in place of those of the file that it works for,
    /// which has none: see `backing_file_mmap()`.
    pub fn mmap<'a, T: FileOperations>(
        &self,
        vma: NewMapping<'a, T>,
        cred: &Credential,
    ) -> Result<Mapped<'a, T>> {
        let mut ctx = Self::context::<T>(cred);
        // SAFETY: All are valid for the call, and the mapping is new.
        to_result(unsafe { raw::backing_file_mmap(self.as_ptr(), vma.as_ptr(), &mut ctx) })?;
        Ok(Mapped(vma))
    }
}
