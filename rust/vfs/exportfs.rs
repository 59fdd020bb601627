// SPDX-License-Identifier: GPL-2.0

//! File handles: those of layers' inodes, and those of a filesystem's own.
//!
//! C header: [`include/linux/exportfs.h`](srctree/include/linux/exportfs.h)

use crate::{
    dentry::{Dentry, DentryOf},
    fs::FileSystem,
    inode::{Inode, InodeOf},
    mount::{Mount, PathRef},
    raw,
    super_block::SuperBlockOf, //
};
use core::marker::PhantomData;
use kernel::{
    error::{from_err_ptr, VTABLE_DEFAULT_ERROR},
    prelude::*,
    sync::aref::ARef, //
};

/// The longest handle in 32-bit words that is asked for, and that users have.
pub const MAX_WORDS: usize = raw::vfs_const_MAX_HANDLE_SZ as usize / 4;

/// The longest that is handled: a stacked filesystem puts words of its own before
/// those of a layer.
pub const STACKED_MAX_WORDS: usize = MAX_WORDS + 16;

/// A filesystem's handle of an inode: opaque words, and the type that says what
/// they mean.
pub struct Handle {
    /// What the words mean to the filesystem.
    pub kind: u8,
    words: [u32; STACKED_MAX_WORDS],
    len: usize,
}

impl Handle {
    /// Puts a handle that does not tell the parent into `words`, and answers what the words
    /// mean and how many there are: see `exportfs_encode_inode_fh()`. `EIO` when the filesystem
    /// has none.
    pub fn encode(inode: &Inode, words: &mut [u32; MAX_WORDS]) -> Result<(u8, usize)> {
        let mut len = MAX_WORDS as c_int;
        // SAFETY: The inode is valid and the buffer has `len` words.
        let kind = unsafe {
            raw::exportfs_encode_inode_fh(
                inode.as_ptr(),
                words.as_mut_ptr().cast(),
                &mut len,
                core::ptr::null_mut(),
                0,
            )
        };
        let kind = u8::try_from(kind).map_err(|_| EIO)?;
        let len = usize::try_from(len).map_err(|_| EIO)?;
        if u32::from(kind) == raw::fid_type_FILEID_INVALID || len > MAX_WORDS {
            return Err(EIO);
        }
        Ok((kind, len))
    }

    /// A handle read from somewhere; `EINVAL` when it is longer than any.
    pub fn from_words(kind: u8, fid: &[u32]) -> Result<Self> {
        let mut words = [0u32; STACKED_MAX_WORDS];
        words
            .get_mut(..fid.len())
            .ok_or(EINVAL)?
            .copy_from_slice(fid);
        Ok(Self {
            kind,
            words,
            len: fid.len(),
        })
    }

    /// The words.
    pub fn words(&self) -> &[u32] {
        self.words.get(..self.len).unwrap_or_default()
    }

    /// Finds the inode in the filesystem of `mount`, by any dentry of it: see
    /// `exportfs_decode_fh()`. `ESTALE` when it is gone.
    pub fn decode(&self, mount: &Mount) -> Result<ARef<Dentry>> {
        self.decode_if(mount, None)
    }

    /// As [`Handle::decode`], but a directory's dentry has its ancestors and its
    /// name, and is that of `root` or below it; `ESTALE` otherwise.
    ///
    /// May look up names in any directory of the filesystem.
    pub fn decode_connected(&self, root: PathRef<'_>) -> Result<ARef<Dentry>> {
        self.decode_if(root.mount(), Some(root.dentry()))
    }

    fn decode_if(&self, mount: &Mount, root: Option<&Dentry>) -> Result<ARef<Dentry>> {
        let mut words = self.words;
        let (acceptable, context): (Option<Acceptable>, _) = match root {
            Some(root) => (Some(is_below), root.as_ptr()),
            None => (None, core::ptr::null_mut()),
        };
        // SAFETY: The mount is valid and the buffer is larger than `len` words; filesystems check
        // the length against the type. The function, if any, takes the dentry.
        let dentry = from_err_ptr(unsafe {
            raw::exportfs_decode_fh(
                mount.as_ptr(),
                words.as_mut_ptr().cast(),
                self.len as c_int,
                self.kind.into(),
                acceptable,
                context.cast(),
            )
        })?;
        if dentry.is_null() {
            return Err(ESTALE);
        }
        // SAFETY: A reference was returned.
        unsafe { Dentry::from_ret(dentry) }
    }
}

/// What says whether a decoded dentry may stand for what was decoded.
type Acceptable = unsafe extern "C" fn(*mut c_void, *mut raw::dentry) -> c_int;

/// Accepts a directory at or below `root`, and what is none, which may have no name.
///
/// # Safety
///
/// `root` is a `struct dentry`, and both are valid.
unsafe extern "C" fn is_below(root: *mut c_void, dentry: *mut raw::dentry) -> c_int {
    // SAFETY: By the safety requirements.
    let (root, dentry) = unsafe { (Dentry::from_raw(root.cast()), Dentry::from_raw(dentry)) };
    let good = !dentry.is_dir() || !dentry.is_unhashed() && dentry.is_subdir_of(root);
    good.into()
}

/// How a filesystem makes handles of its inodes, and finds these again: see
/// `struct export_operations`.
#[vtable]
pub trait ExportOperations: Sized + 'static {
    /// The filesystem.
    type Fs: FileSystem;

    /// Makes a handle of `inode`; with `parent`, one that leads to its name there
    /// too. Whatever the error, the caller learns that there is no handle.
    ///
    /// Without the other operations it cannot be decoded, but tells inodes apart.
    fn encode_fh(inode: &InodeOf<Self::Fs>, parent: Option<&InodeOf<Self::Fs>>) -> Result<Handle>;

    /// Finds the inode that a handle stands for. A directory's dentry has all its
    /// ancestors.
    fn fh_to_dentry(
        _sb: &SuperBlockOf<Self::Fs>,
        _handle: &Handle,
    ) -> Result<ARef<DentryOf<Self::Fs>>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Finds the directory that a handle, made with a parent, names.
    fn fh_to_parent(
        _sb: &SuperBlockOf<Self::Fs>,
        _handle: &Handle,
    ) -> Result<ARef<DentryOf<Self::Fs>>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// A table of export operations for a filesystem `F`.
#[repr(transparent)]
pub struct ExportOps<F>(raw::export_operations, PhantomData<F>);

// SAFETY: A table is never written.
unsafe impl<F> Sync for ExportOps<F> {}

impl<F> ExportOps<F> {
    pub(crate) fn as_ptr(&self) -> *const raw::export_operations {
        &self.0
    }
}

/// The table of the operations that `T` implements.
pub const fn table<T: ExportOperations>() -> &'static ExportOps<T::Fs> {
    &VTable::<T>::OPS
}

struct VTable<T>(PhantomData<T>);

// The trampolines. All are called with valid pointers to objects of the filesystem that the table
// belongs to, referenced for the call; words of handles are aligned.
impl<T: ExportOperations> VTable<T> {
    const OPS: ExportOps<T::Fs> = ExportOps(
        raw::export_operations {
            encode_fh: Some(Self::encode_fh),
            fh_to_dentry: if T::HAS_FH_TO_DENTRY {
                Some(Self::fh_to_dentry)
            } else {
                None
            },
            fh_to_parent: if T::HAS_FH_TO_PARENT {
                Some(Self::fh_to_parent)
            } else {
                None
            },
            // SAFETY: All other fields are optional pointers or flags.
            ..unsafe { core::mem::zeroed() }
        },
        PhantomData,
    );

    /// # Safety
    ///
    /// `export_operations.encode_fh`: `words` has room for `*len` words.
    unsafe extern "C" fn encode_fh(
        inode: *mut raw::inode,
        words: *mut u32,
        len: *mut c_int,
        parent: *mut raw::inode,
    ) -> c_int {
        // SAFETY: See above; a parent is optional.
        let (inode, parent) = unsafe {
            let parent = (!parent.is_null()).then(|| InodeOf::from_raw(parent));
            (InodeOf::from_raw(inode), parent)
        };
        let Ok(handle) = T::encode_fh(inode, parent) else {
            return raw::fid_type_FILEID_INVALID as c_int;
        };
        // SAFETY: The length is the caller's, which reads it afterwards; the buffer has room for
        // what it was before.
        unsafe {
            let room = core::mem::replace(&mut *len, handle.len as c_int);
            if room < handle.len as c_int {
                return raw::fid_type_FILEID_INVALID as c_int;
            }
            core::ptr::copy_nonoverlapping(handle.words.as_ptr(), words, handle.len);
        }
        handle.kind.into()
    }

    /// # Safety
    ///
    /// As for the trampolines that decode: `fid` has `len` words.
    unsafe fn decode(
        sb: *mut raw::super_block,
        fid: *mut raw::fid,
        len: c_int,
        kind: c_int,
        find: impl FnOnce(&SuperBlockOf<T::Fs>, &Handle) -> Result<ARef<DentryOf<T::Fs>>>,
    ) -> *mut raw::dentry {
        let find = || {
            let kind = u8::try_from(kind).map_err(|_| EINVAL)?;
            let len = usize::try_from(len).map_err(|_| EINVAL)?;
            // SAFETY: By the safety requirements.
            let words = unsafe { core::slice::from_raw_parts(fid.cast::<u32>(), len) };
            let handle = Handle::from_words(kind, words)?;
            // SAFETY: See above.
            find(unsafe { SuperBlockOf::from_raw(sb) }, &handle)
        };
        match find() {
            Ok(dentry) => ARef::into_raw(dentry).cast().as_ptr(),
            Err(err) => err.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// `export_operations.fh_to_dentry`: `fid` has `len` words.
    unsafe extern "C" fn fh_to_dentry(
        sb: *mut raw::super_block,
        fid: *mut raw::fid,
        len: c_int,
        kind: c_int,
    ) -> *mut raw::dentry {
        // SAFETY: By the safety requirements.
        unsafe { Self::decode(sb, fid, len, kind, T::fh_to_dentry) }
    }

    /// # Safety
    ///
    /// `export_operations.fh_to_parent`: `fid` has `len` words.
    unsafe extern "C" fn fh_to_parent(
        sb: *mut raw::super_block,
        fid: *mut raw::fid,
        len: c_int,
        kind: c_int,
    ) -> *mut raw::dentry {
        // SAFETY: By the safety requirements.
        unsafe { Self::decode(sb, fid, len, kind, T::fh_to_parent) }
    }
}
