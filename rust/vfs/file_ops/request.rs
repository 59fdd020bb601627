// SPDX-License-Identifier: GPL-2.0

//! What operations on open files are asked for.

use super::{FileOf, FileOperations};
use crate::{file::OpenFile, raw};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{error::to_result, prelude::*, types::Opaque};

/// Flags of `remap_file_range`, `REMAP_FILE_*`.
#[derive(Clone, Copy)]
pub struct RemapFlags(pub(super) u32);

impl RemapFlags {
    /// The flags as C has them.
    pub fn as_raw(self) -> u32 {
        self.0
    }

    /// Whether the ranges are to be compared, and shared if they are the same.
    pub fn is_dedupe(self) -> bool {
        self.0 & raw::vfs_const_REMAP_FILE_DEDUP != 0
    }

    /// Whether there are flags that no filesystem here knows.
    pub fn has_unknown(self) -> bool {
        self.0 & !(raw::vfs_const_REMAP_FILE_DEDUP | raw::vfs_const_REMAP_FILE_ADVISORY) != 0
    }
}

/// A request to read or write, see `struct kiocb`.
pub struct Iocb<'a, T> {
    raw: NonNull<raw::kiocb>,
    _file: PhantomData<&'a FileOf<T>>,
}

impl<'a, T: FileOperations> Iocb<'a, T> {
    /// # Safety
    ///
    /// `raw` is valid for `'a`, for a file of `T`.
    pub(crate) unsafe fn from_raw(raw: *mut raw::kiocb) -> Self {
        Self {
            // SAFETY: By the safety requirements it is not null.
            raw: unsafe { NonNull::new_unchecked(raw) },
            _file: PhantomData,
        }
    }

    pub(crate) fn as_ptr(&self) -> *mut raw::kiocb {
        self.raw.as_ptr()
    }

    /// The file.
    pub fn file(&self) -> &'a FileOf<T> {
        // SAFETY: A request keeps its file.
        unsafe { FileOf::from_raw((*self.raw.as_ptr()).ki_filp) }
    }

    /// The request's flags, `IOCB_*`.
    pub fn flags(&self) -> IocbFlags {
        // SAFETY: The request is valid.
        IocbFlags(unsafe { (*self.raw.as_ptr()).ki_flags })
    }

    /// Whether whoever made the request waits for it, see `is_sync_kiocb()`.
    pub fn is_sync(&self) -> bool {
        // SAFETY: The request is valid.
        unsafe { (*self.raw.as_ptr()).ki_complete.is_none() }
    }
}

/// Flags of a request, `IOCB_*`.
#[derive(Clone, Copy)]
pub struct IocbFlags(c_int);

impl IocbFlags {
    pub(crate) fn as_raw(self) -> c_int {
        self.0
    }

    /// The same, but that what is written need not be durable.
    pub fn without_sync(self) -> Self {
        let sync = raw::vfs_const_IOCB_DSYNC | raw::vfs_const_IOCB_SYNC;
        Self(self.0 & !(sync as c_int))
    }

    /// Whether what is written has to be durable when the request is complete.
    pub fn syncs(self) -> bool {
        self.0 & raw::vfs_const_IOCB_DSYNC as c_int != 0
    }

    /// Whether the request asks for what not every file can do.
    #[inline]
    pub(crate) fn asks_for_abilities(self) -> bool {
        let flags = raw::vfs_const_IOCB_NOWAIT
            | raw::vfs_const_IOCB_DIRECT
            | raw::vfs_const_IOCB_ATOMIC
            | raw::vfs_const_IOCB_DONTCACHE;
        self.0 & flags as c_int != 0
    }

    /// Whether the request must not sleep.
    pub fn nowait(self) -> bool {
        self.0 & raw::vfs_const_IOCB_NOWAIT as c_int != 0
    }
}

/// The memory that a request reads to or writes from, see `struct iov_iter`.
#[repr(transparent)]
pub struct Iter(Opaque<raw::iov_iter>);

impl Iter {
    pub(crate) fn as_ptr(&mut self) -> *mut raw::iov_iter {
        self.0.get()
    }

    /// Whether there is nothing to transfer.
    pub fn is_empty(&self) -> bool {
        // SAFETY: The iterator is valid, and every type of it has a count.
        let memory = unsafe { (*self.0.get()).__bindgen_anon_1.__bindgen_anon_1.as_ref() };
        memory.count == 0
    }
}

/// A pipe, for splicing.
#[repr(transparent)]
pub struct Pipe(Opaque<raw::pipe_inode_info>);

impl Pipe {
    pub(crate) fn as_ptr(&mut self) -> *mut raw::pipe_inode_info {
        self.0.get()
    }
}

/// A memory mapping of a file of `T` that is being made.
pub struct NewMapping<'a, T> {
    pub(super) vma: NonNull<raw::vm_area_struct>,
    pub(super) _file: PhantomData<&'a FileOf<T>>,
}

impl<T> NewMapping<'_, T> {
    pub(crate) fn as_ptr(&self) -> *mut raw::vm_area_struct {
        self.vma.as_ptr()
    }
}

/// Who closes a descriptor.
#[derive(Clone, Copy)]
pub struct FlushOwner(pub(super) raw::fl_owner_t);

impl OpenFile {
    /// Tells the filesystem that a descriptor of a file that stands for this one
    /// is being closed, if it wants to know.
    pub fn flush(&self, owner: FlushOwner) -> Result {
        // SAFETY: An open file has operations.
        let Some(flush) = (unsafe { (*(*self.as_ptr()).f_op).flush }) else {
            return Ok(());
        };
        // SAFETY: The file is open.
        to_result(unsafe { flush(self.as_ptr(), owner.0) })
    }
}
