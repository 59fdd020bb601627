// SPDX-License-Identifier: GPL-2.0

//! Files that are being opened.

use super::{FileData, FileOperations, VTable};
use crate::{
    dentry::DentryOf,
    fs::FileSystem,
    inode::InodeOf,
    raw, //
};
use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    fs::LocalFile,
    prelude::*,
    sync::aref::ARef,
    types::Opaque, //
};

/// A file that is being opened: it has no private data yet.
#[repr(transparent)]
pub struct OpeningFile<F>(Opaque<raw::file>, PhantomData<F>);

impl<F: FileSystem> OpeningFile<F> {
    /// # Safety
    ///
    /// `ptr` points to a file that is being opened on an inode of `F`, by the
    /// current task.
    pub(super) unsafe fn from_raw<'a>(ptr: *mut raw::file) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The dentry that is opened.
    pub fn dentry(&self) -> &DentryOf<F> {
        // SAFETY: The path is set before the file is opened.
        unsafe { DentryOf::from_raw((*self.0.get()).__bindgen_anon_1.f_path.dentry) }
    }

    /// Reading and writing can be told not to wait: `FMODE_NOWAIT`. Operations look
    /// at [`super::IocbFlags::nowait`].
    pub fn allow_nowait(&self) {
        // SAFETY: The file is the current task's alone until it is open.
        unsafe { (*self.0.get()).f_mode |= raw::vfs_const_FMODE_NOWAIT };
    }

    /// Writes can be told to be atomic: `FMODE_CAN_ATOMIC_WRITE`.
    pub fn allow_atomic_writes(&self) {
        // SAFETY: As above.
        unsafe { (*self.0.get()).f_mode |= raw::vfs_const_FMODE_CAN_ATOMIC_WRITE };
    }

    /// Takes away flags, `O_*`, that were acted upon.
    pub fn clear_flags(&self, flags: u32) {
        // SAFETY: The file is the current task's alone until it is open.
        unsafe { (*self.0.get()).f_flags &= !flags };
    }
}

impl<F: FileSystem> Deref for OpeningFile<F> {
    type Target = LocalFile;

    fn deref(&self) -> &LocalFile {
        // SAFETY: The file is valid and the current task's alone.
        unsafe { LocalFile::from_raw_file(self.0.get()) }
    }
}

/// `file_operations.open`.
type OpenFn = unsafe extern "C" fn(*mut raw::inode, *mut raw::file) -> c_int;

/// A file without a name that is being made.
pub struct TmpFile<'a, F> {
    file: NonNull<raw::file>,
    _fs: PhantomData<&'a F>,
}

impl<'a, F: FileSystem> TmpFile<'a, F> {
    /// # Safety
    ///
    /// `file` is new, with a dentry of `F`, and the current task's to open.
    pub(crate) unsafe fn from_raw(file: *mut raw::file) -> Self {
        Self {
            // SAFETY: By the safety requirements it is not null.
            file: unsafe { NonNull::new_unchecked(file) },
            _fs: PhantomData,
        }
    }

    /// The file, for those that open something for it.
    pub fn user_file(&self) -> &OpeningFile<F> {
        // SAFETY: The file is valid and being opened.
        unsafe { OpeningFile::from_raw(self.file.as_ptr()) }
    }

    /// Gives the dentry its inode, and the file its private data, and finishes
    /// opening: see `d_mark_tmpfile()` and `finish_open()`.
    pub fn finish<T: FileOperations<Fs = F>>(
        self,
        inode: ARef<InodeOf<F>>,
        private: T::Private,
    ) -> Result {
        let file = self.file.as_ptr();
        let dentry = self.user_file().dentry();
        // SAFETY: An inode always has file operations.
        let open = unsafe { (*(*inode.as_ptr()).__bindgen_anon_3.i_fop).open };
        let own: OpenFn = VTable::<T>::open;
        if !dentry.is_negative() || !open.is_some_and(|open| core::ptr::fn_addr_eq(open, own)) {
            return Err(EINVAL);
        }
        // SAFETY: The file and its dentry are the current task's. When opening fails, `release` is
        // not called, and the private data is taken back.
        unsafe {
            raw::d_mark_tmpfile(file, inode.as_ptr());
            dentry.instantiate(inode);
            dentry.set_revalidation(core::iter::empty());
            (*file).private_data = private.into_raw();
            let ret = raw::vfs_shim_finish_open_tmpfile(file, dentry.as_ptr());
            if (*file).f_mode & raw::vfs_const_FMODE_OPENED == 0 {
                drop(T::Private::from_raw((*file).private_data));
            }
            to_result(ret)
        }
    }
}
