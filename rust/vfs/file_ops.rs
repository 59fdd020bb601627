// SPDX-License-Identifier: GPL-2.0

//! Operations on open files, `struct file_operations`.

use crate::{
    dentry::DentryOf,
    file::Whence,
    fs::FileSystem,
    inode::InodeOf,
    namei::LockedDir,
    raw,
    readdir::DirContext, //
};
use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    error::{from_result, to_result, VTABLE_DEFAULT_ERROR},
    fs::LocalFile,
    prelude::*,
    sync::atomic::Atomic,
    types::Opaque, //
};

mod data;
mod open;
mod request;

pub use self::{
    data::FileData,
    open::{OpeningFile, TmpFile},
    request::{FlushOwner, Iocb, IocbFlags, Iter, NewMapping, Pipe, RemapFlags}, //
};

/// The operations on open files of one kind of inode.
#[vtable]
pub trait FileOperations: Sized + 'static {
    /// The filesystem.
    type Fs: FileSystem;
    /// The private data of an open file.
    type Private: FileData;

    /// Opens the inode.
    fn open(inode: &InodeOf<Self::Fs>, file: &OpeningFile<Self::Fs>) -> Result<Self::Private>;

    /// Seeks.
    fn llseek(_file: &FileOf<Self>, _at: i64, _whence: Whence) -> Result<i64> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads at the request's position, and moves that.
    fn read_iter(_iocb: &mut Iocb<'_, Self>, _iter: &mut Iter) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes at the request's position, and moves that.
    fn write_iter(_iocb: &mut Iocb<'_, Self>, _iter: &mut Iter) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Shows entries of the directory from the context's position on. The inode
    /// is locked shared.
    fn iterate(
        _file: &FileOf<Self>,
        _dir: LockedDir<'_, Self::Fs>,
        _ctx: &mut DirContext,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Maps the file. The task's memory map is locked for writing.
    fn mmap(_file: &FileOf<Self>, _vma: NewMapping<'_, Self>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A descriptor of the file is being closed.
    fn flush(_file: &FileOf<Self>, _owner: FlushOwner) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes what is dirty between two offsets, inclusive.
    fn fsync(_file: &FileOf<Self>, _start: i64, _end: i64, _datasync: bool) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes from a pipe.
    fn splice_write(
        _iocb: &mut Iocb<'_, Self>,
        _pipe: &mut Pipe,
        _len: usize,
        _flags: u32,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads into a pipe.
    fn splice_read(
        _iocb: &mut Iocb<'_, Self>,
        _pipe: &mut Pipe,
        _len: usize,
        _flags: u32,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Allocates, punches or collapses a range.
    fn fallocate(_file: &FileOf<Self>, _mode: c_int, _at: i64, _len: i64) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Copies a range between two files of this filesystem type.
    fn copy_file_range(
        _from: &FileOf<Self>,
        _at: i64,
        _to: &FileOf<Self>,
        _to_at: i64,
        _len: usize,
        _flags: u32,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Shares a range between two files, or finds out that they are the same.
    fn remap_file_range(
        _from: &FileOf<Self>,
        _at: i64,
        _to: &FileOf<Self>,
        _to_at: i64,
        _len: i64,
        _flags: RemapFlags,
    ) -> Result<i64> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Takes advice on how the file will be used.
    fn fadvise(_file: &FileOf<Self>, _at: i64, _len: i64, _advice: c_int) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called when [`crate::backing::BackingFile`] has read for the file.
    fn backing_accessed(_file: &FileOf<Self>) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called when [`crate::backing::BackingFile`] has written for the file.
    fn backing_written(_file: &FileOf<Self>) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// An open file of the filesystem that `T` belongs to.
///
/// # Invariants
///
/// The file is open, on an inode of `T::Fs`, and its private data is a
/// `T::Private`.
#[repr(transparent)]
pub struct FileOf<T>(Opaque<raw::file>, PhantomData<T>);

impl<T: FileOperations> FileOf<T> {
    /// # Safety
    ///
    /// `ptr` points to an open file of `T` that is referenced for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut raw::file) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    pub(crate) fn as_raw(&self) -> *mut raw::file {
        self.0.get()
    }

    /// The private data.
    pub fn private(&self) -> <T::Private as FileData>::Borrowed<'_> {
        // SAFETY: By the type invariants; while the file is open nobody else changes the pointer,
        // which is as large as an integer.
        unsafe {
            let place = core::ptr::addr_of_mut!((*self.0.get()).private_data);
            T::Private::borrow(Atomic::from_ptr(place.cast()))
        }
    }

    /// The inode.
    pub fn inode(&self) -> &InodeOf<T::Fs> {
        // SAFETY: By the type invariants; a file keeps its inode.
        unsafe { InodeOf::from_raw((*self.0.get()).f_inode) }
    }

    /// The dentry that was opened.
    pub fn dentry(&self) -> &DentryOf<T::Fs> {
        // SAFETY: By the type invariants; a file keeps its path.
        unsafe { DentryOf::from_raw((*self.0.get()).__bindgen_anon_1.f_path.dentry) }
    }

    /// The position, for a caller that has the descriptor's position lock, as
    /// `llseek` does.
    pub fn pos(&self) -> i64 {
        // SAFETY: The file is valid; this corresponds to `READ_ONCE`.
        unsafe { core::ptr::addr_of!((*self.0.get()).f_pos).read_volatile() }
    }

    /// Sets the position, as [`FileOf::pos`].
    pub fn set_pos(&self, pos: i64) {
        // SAFETY: The file is valid; this corresponds to `WRITE_ONCE`.
        unsafe { core::ptr::addr_of_mut!((*self.0.get()).f_pos).write_volatile(pos) };
    }

    /// Drops set-id bits and capabilities that a write by the current task takes
    /// away: see `file_remove_privs()`. The inode is locked.
    pub fn remove_privs(&self) -> Result {
        // SAFETY: The file is open.
        to_result(unsafe { raw::file_remove_privs(self.as_raw()) })
    }

    /// Updates the access time, see `touch_atime()`.
    pub fn touch_atime(&self) {
        // SAFETY: A file keeps its path.
        unsafe {
            raw::touch_atime(core::ptr::addr_of!(
                (*self.as_raw()).__bindgen_anon_1.f_path
            ))
        };
    }

    /// Sets a position that the file allows, see `vfs_setpos()`.
    pub fn seek_to(&self, at: i64) -> Result<i64> {
        // SAFETY: The file is open.
        crate::file::offset(unsafe { raw::vfs_setpos(self.as_raw(), at, i64::MAX) })
    }
}

impl<T: FileOperations> Deref for FileOf<T> {
    type Target = LocalFile;

    fn deref(&self) -> &LocalFile {
        // SAFETY: The file is open; descriptor positions are used by the current task only.
        unsafe { LocalFile::from_raw_file(self.0.get()) }
    }
}

/// A table of operations for files of `F`.
#[repr(transparent)]
pub struct FileOps<F>(raw::file_operations, PhantomData<F>);

// SAFETY: A table is never written.
unsafe impl<F> Sync for FileOps<F> {}

impl<F> FileOps<F> {
    pub(crate) fn as_ptr(&self) -> *const raw::file_operations {
        &self.0
    }
}

/// The table of the operations that `T` implements.
///
/// The VFS takes a reference to the module that implements an open file's
/// filesystem through its mount, so the table names no owner.
pub const fn table<T: FileOperations>() -> &'static FileOps<T::Fs> {
    &VTable::<T>::OPS
}

struct VTable<T>(PhantomData<T>);

/// `Some(function)` if the trait implements the operation.
macro_rules! op {
    ($has:ident, $function:expr) => {
        if T::$has {
            Some($function)
        } else {
            None
        }
    };
}

fn ret_count(result: Result<usize>) -> isize {
    match result {
        Ok(count) => count as isize,
        Err(err) => err.to_errno() as isize,
    }
}

fn ret_offset(result: Result<i64>) -> i64 {
    match result {
        Ok(offset) => offset,
        Err(err) => err.to_errno().into(),
    }
}

// The trampolines. All are called by the VFS with a file that `open` succeeded on, referenced for
// the call; and `open` itself with a file that nobody else uses yet.
impl<T: FileOperations> VTable<T> {
    const OPS: FileOps<T::Fs> = FileOps(
        raw::file_operations {
            open: Some(Self::open),
            release: Some(Self::release),
            llseek: op!(HAS_LLSEEK, Self::llseek),
            read_iter: op!(HAS_READ_ITER, Self::read_iter),
            write_iter: op!(HAS_WRITE_ITER, Self::write_iter),
            iterate_shared: op!(HAS_ITERATE, Self::iterate),
            // Without it `read` of a directory is refused with the wrong error.
            read: op!(HAS_ITERATE, raw::generic_read_dir),
            mmap: op!(HAS_MMAP, Self::mmap),
            flush: op!(HAS_FLUSH, Self::flush),
            fsync: op!(HAS_FSYNC, Self::fsync),
            splice_write: op!(HAS_SPLICE_WRITE, Self::splice_write),
            splice_read: op!(HAS_SPLICE_READ, Self::splice_read),
            setlease: Some(raw::generic_setlease),
            fallocate: op!(HAS_FALLOCATE, Self::fallocate),
            copy_file_range: op!(HAS_COPY_FILE_RANGE, Self::copy_file_range),
            remap_file_range: op!(HAS_REMAP_FILE_RANGE, Self::remap_file_range),
            fadvise: op!(HAS_FADVISE, Self::fadvise),
            // A layer's file that cannot refuses by itself.
            fop_flags: if T::HAS_READ_ITER {
                raw::vfs_const_FOP_DONTCACHE
            } else {
                0
            },
            // SAFETY: All other fields are optional function pointers, flags, or null.
            ..unsafe { core::mem::zeroed() }
        },
        PhantomData,
    );

    /// # Safety
    ///
    /// `file_operations.open`.
    unsafe extern "C" fn open(inode: *mut raw::inode, file: *mut raw::file) -> c_int {
        // SAFETY: See above.
        let (inode, opening) = unsafe {
            (
                InodeOf::from_raw(inode),
                OpeningFile::<T::Fs>::from_raw(file),
            )
        };
        from_result(|| {
            let private = T::open(inode, opening)?;
            // SAFETY: The file is the current task's alone.
            unsafe { (*file).private_data = private.into_raw() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `file_operations.release`.
    unsafe extern "C" fn release(_inode: *mut raw::inode, file: *mut raw::file) -> c_int {
        // SAFETY: Called once, last; the private data came from `open`.
        drop(unsafe { T::Private::from_raw((*file).private_data) });
        0
    }

    /// # Safety
    ///
    /// `file_operations.llseek`.
    unsafe extern "C" fn llseek(file: *mut raw::file, at: i64, whence: c_int) -> i64 {
        // SAFETY: See above.
        ret_offset(T::llseek(
            unsafe { FileOf::from_raw(file) },
            at,
            Whence(whence),
        ))
    }

    /// # Safety
    ///
    /// `file_operations.read_iter`.
    unsafe extern "C" fn read_iter(iocb: *mut raw::kiocb, iter: *mut raw::iov_iter) -> isize {
        // SAFETY: See above; request and iterator are valid and the callee's for the call.
        let (mut iocb, iter) = unsafe { (Iocb::from_raw(iocb), &mut *iter.cast()) };
        ret_count(T::read_iter(&mut iocb, iter))
    }

    /// # Safety
    ///
    /// `file_operations.write_iter`.
    unsafe extern "C" fn write_iter(iocb: *mut raw::kiocb, iter: *mut raw::iov_iter) -> isize {
        // SAFETY: See above; request and iterator are valid and the callee's for the call.
        let (mut iocb, iter) = unsafe { (Iocb::from_raw(iocb), &mut *iter.cast()) };
        ret_count(T::write_iter(&mut iocb, iter))
    }

    /// # Safety
    ///
    /// `file_operations.iterate_shared`.
    unsafe extern "C" fn iterate(file: *mut raw::file, ctx: *mut raw::dir_context) -> c_int {
        // SAFETY: See above; the context is valid and the callee's for the call.
        let (file, ctx) = unsafe { (FileOf::from_raw(file), DirContext::from_raw(ctx)) };
        // SAFETY: The VFS holds the inode lock at least shared.
        let dir = unsafe { LockedDir::new(file.dentry()) };
        from_result(|| T::iterate(file, dir, ctx).map(|()| 0))
    }

    /// # Safety
    ///
    /// `file_operations.mmap`.
    unsafe extern "C" fn mmap(file: *mut raw::file, vma: *mut raw::vm_area_struct) -> c_int {
        // SAFETY: See above; the mapping is new, of this file, and the callee's for the call.
        let (file, vma) = unsafe { (FileOf::from_raw(file), NonNull::new_unchecked(vma)) };
        let vma = NewMapping {
            vma,
            _file: PhantomData,
        };
        from_result(|| T::mmap(file, vma).map(|()| 0))
    }

    /// # Safety
    ///
    /// `file_operations.flush`.
    unsafe extern "C" fn flush(file: *mut raw::file, owner: raw::fl_owner_t) -> c_int {
        // SAFETY: See above.
        let file = unsafe { FileOf::from_raw(file) };
        from_result(|| T::flush(file, FlushOwner(owner)).map(|()| 0))
    }

    /// # Safety
    ///
    /// `file_operations.fsync`.
    unsafe extern "C" fn fsync(
        file: *mut raw::file,
        start: i64,
        end: i64,
        datasync: c_int,
    ) -> c_int {
        // SAFETY: See above.
        let file = unsafe { FileOf::from_raw(file) };
        from_result(|| T::fsync(file, start, end, datasync != 0).map(|()| 0))
    }

    /// # Safety
    ///
    /// `file` is an open file of `T`, and `pos` valid.
    unsafe fn splice(
        file: *mut raw::file,
        pos: *mut i64,
        splice: impl FnOnce(&mut Iocb<'_, T>) -> Result<usize>,
    ) -> isize {
        let mut kiocb = raw::kiocb::default();
        // SAFETY: By the safety requirements.
        let ret = unsafe {
            raw::vfs_shim_init_sync_kiocb(&mut kiocb, file, *pos);
            splice(&mut Iocb::from_raw(&mut kiocb))
        };
        // SAFETY: By the safety requirements.
        unsafe { *pos = kiocb.ki_pos };
        ret_count(ret)
    }

    /// # Safety
    ///
    /// `file_operations.splice_write`.
    unsafe extern "C" fn splice_write(
        pipe: *mut raw::pipe_inode_info,
        file: *mut raw::file,
        pos: *mut i64,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: See above; pipe and position are valid.
        unsafe {
            let pipe = &mut *pipe.cast();
            Self::splice(file, pos, |iocb| T::splice_write(iocb, pipe, len, flags))
        }
    }

    /// # Safety
    ///
    /// `file_operations.splice_read`.
    unsafe extern "C" fn splice_read(
        file: *mut raw::file,
        pos: *mut i64,
        pipe: *mut raw::pipe_inode_info,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: See above; pipe and position are valid.
        unsafe {
            let pipe = &mut *pipe.cast();
            Self::splice(file, pos, |iocb| T::splice_read(iocb, pipe, len, flags))
        }
    }

    /// # Safety
    ///
    /// `file_operations.fallocate`.
    unsafe extern "C" fn fallocate(file: *mut raw::file, mode: c_int, at: i64, len: i64) -> c_long {
        // SAFETY: See above.
        let file = unsafe { FileOf::from_raw(file) };
        from_result(|| T::fallocate(file, mode, at, len).map(|()| 0))
    }

    /// # Safety
    ///
    /// `file_operations.copy_file_range`; the VFS has checked that both files
    /// have it.
    unsafe extern "C" fn copy_file_range(
        from: *mut raw::file,
        at: i64,
        to: *mut raw::file,
        to_at: i64,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: See above.
        let (from, to) = unsafe { (FileOf::from_raw(from), FileOf::from_raw(to)) };
        ret_count(T::copy_file_range(from, at, to, to_at, len, flags))
    }

    /// # Safety
    ///
    /// `file_operations.remap_file_range`; the VFS has checked that both are
    /// regular files of one super block.
    unsafe extern "C" fn remap_file_range(
        from: *mut raw::file,
        at: i64,
        to: *mut raw::file,
        to_at: i64,
        len: i64,
        flags: c_uint,
    ) -> i64 {
        // SAFETY: Open files have operations.
        let same = unsafe { core::ptr::eq((*from).f_op, (*to).f_op) };
        if !same {
            return EXDEV.to_errno().into();
        }
        // SAFETY: See above; both files are of `T`, since this function is.
        let (from, to) = unsafe { (FileOf::from_raw(from), FileOf::from_raw(to)) };
        ret_offset(T::remap_file_range(
            from,
            at,
            to,
            to_at,
            len,
            RemapFlags(flags),
        ))
    }

    /// # Safety
    ///
    /// `file_operations.fadvise`.
    unsafe extern "C" fn fadvise(file: *mut raw::file, at: i64, len: i64, advice: c_int) -> c_int {
        // SAFETY: See above.
        let file = unsafe { FileOf::from_raw(file) };
        from_result(|| T::fadvise(file, at, len, advice).map(|()| 0))
    }
}

/// What [`crate::backing::BackingFile`] needs of this module.
pub(crate) trait Callbacks: FileOperations {
    /// # Safety
    ///
    /// `backing_file_ctx.accessed`: `file` is an open file of `Self`.
    unsafe extern "C" fn accessed(file: *mut raw::file) {
        // SAFETY: By the safety requirements.
        Self::was_read(unsafe { FileOf::from_raw(file) });
    }

    /// # Safety
    ///
    /// `backing_file_ctx.end_write`: `iocb` is a request for a file of `Self`.
    unsafe extern "C" fn end_write(iocb: *mut raw::kiocb, _ret: isize) {
        // SAFETY: By the safety requirements.
        Self::was_written(unsafe { FileOf::from_raw((*iocb).ki_filp) });
    }

    /// The backing file of `file` was read.
    #[inline]
    fn was_read(file: &FileOf<Self>) {
        if Self::HAS_BACKING_ACCESSED {
            Self::backing_accessed(file);
        }
    }

    /// The backing file of `file` was written.
    #[inline]
    fn was_written(file: &FileOf<Self>) {
        if Self::HAS_BACKING_WRITTEN {
            Self::backing_written(file);
        }
    }
}

impl<T: FileOperations> Callbacks for T {}
