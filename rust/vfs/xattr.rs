// SPDX-License-Identifier: GPL-2.0

//! Extended attributes.
//!
//! C header: [`include/linux/xattr.h`](srctree/include/linux/xattr.h)

use crate::{
    dentry::{Dentry, DentryOf},
    fs::FileSystem,
    mount::PathRef,
    raw, //
};
use core::marker::PhantomData;
use kernel::{
    error::{from_result, to_result},
    prelude::*, //
};

/// The longest name of an attribute in bytes.
pub const NAME_MAX: usize = raw::XATTR_NAME_MAX as usize;

/// Whether an attribute must, or must not, exist to be set: `XATTR_*`.
#[derive(Clone, Copy)]
pub struct SetFlags(c_int);

impl SetFlags {
    /// Either.
    pub const NONE: Self = Self(0);
}

fn length(ret: isize) -> Result<usize> {
    usize::try_from(ret).map_err(|_| Error::from_errno(ret as c_int))
}

impl PathRef<'_> {
    /// Reads an attribute into `value`, after asking the security modules; an
    /// empty buffer asks for the length. `ERANGE` when the buffer is too small.
    /// See `vfs_getxattr()`.
    pub fn get_xattr(&self, name: &CStr, value: &mut [u8]) -> Result<usize> {
        let buffer = if value.is_empty() {
            core::ptr::null_mut()
        } else {
            value.as_mut_ptr().cast()
        };
        // SAFETY: All are valid.
        length(unsafe {
            raw::vfs_getxattr(
                self.mount().idmap().as_ptr(),
                self.dentry().as_ptr(),
                name.as_char_ptr(),
                buffer,
                value.len(),
            )
        })
    }

    /// Sets an attribute, after asking the security modules: see
    /// `vfs_setxattr()`.
    ///
    /// Takes the inode lock; the caller has write access to the mount.
    pub fn set_xattr(&self, name: &CStr, value: &[u8], flags: SetFlags) -> Result {
        // SAFETY: All are valid.
        to_result(unsafe {
            raw::vfs_setxattr(
                self.mount().idmap().as_ptr(),
                self.dentry().as_ptr(),
                name.as_char_ptr(),
                value.as_ptr().cast(),
                value.len(),
                flags.0,
            )
        })
    }

    /// Removes an attribute, after asking the security modules: see
    /// `vfs_removexattr()`.
    ///
    /// Takes the inode lock; the caller has write access to the mount.
    pub fn remove_xattr(&self, name: &CStr) -> Result {
        // SAFETY: All are valid.
        to_result(unsafe {
            raw::vfs_removexattr(
                self.mount().idmap().as_ptr(),
                self.dentry().as_ptr(),
                name.as_char_ptr(),
            )
        })
    }
}

impl Dentry {
    /// Lists the names of the attributes, each with its NUL, into `list`; an
    /// empty buffer asks for the length. See `vfs_listxattr()`.
    pub fn list_xattr(&self, list: &mut [u8]) -> Result<usize> {
        let buffer = if list.is_empty() {
            core::ptr::null_mut()
        } else {
            list.as_mut_ptr().cast()
        };
        self.inode().ok_or(ENOENT)?;
        // SAFETY: All are valid, and a positive dentry stays so while it is referenced.
        length(unsafe { raw::vfs_listxattr(self.as_ptr(), buffer, list.len()) })
    }

    /// Whether the filesystem lists attributes of the inode.
    pub fn lists_xattr(&self) -> bool {
        // SAFETY: An inode always has operations.
        self.inode()
            .is_some_and(|inode| unsafe { (*(*inode.as_ptr()).i_op).listxattr.is_some() })
    }
}

/// How a filesystem handles the attributes whose names begin with a prefix, see
/// `struct xattr_handler`.
pub trait XattrHandler: Sized + 'static {
    /// The filesystem.
    type Fs: FileSystem;
    /// The prefix, empty for all.
    const PREFIX: &'static CStr;

    /// Reads the attribute `name`, without its prefix, into `value`; an empty
    /// buffer asks for the length.
    fn get(dentry: &DentryOf<Self::Fs>, name: &CStr, value: &mut [u8]) -> Result<usize>;

    /// Sets the attribute `name`, without its prefix, or removes it.
    fn set(
        dentry: &DentryOf<Self::Fs>,
        name: &CStr,
        value: Option<&[u8]>,
        flags: SetFlags,
    ) -> Result;
}

struct VTable<T>(PhantomData<T>);

impl<T: XattrHandler> VTable<T> {
    const HANDLER: raw::xattr_handler = raw::xattr_handler {
        name: core::ptr::null(),
        prefix: kernel::str::as_char_ptr_in_const_context(T::PREFIX),
        flags: 0,
        list: None,
        get: Some(Self::get),
        set: Some(Self::set),
    };

    /// # Safety
    ///
    /// `xattr_handler.get`.
    unsafe extern "C" fn get(
        _handler: *const raw::xattr_handler,
        dentry: *mut raw::dentry,
        _inode: *mut raw::inode,
        name: *const c_char,
        buffer: *mut c_void,
        size: usize,
    ) -> c_int {
        // SAFETY: Called with a valid, positive dentry of the filesystem, a NUL-terminated name, and
        // a buffer of `size` bytes, if any.
        let (dentry, name, value) = unsafe {
            let value: &mut [u8] = if buffer.is_null() || size == 0 {
                &mut []
            } else {
                // Callers do not initialise it.
                core::ptr::write_bytes(buffer.cast::<u8>(), 0, size);
                core::slice::from_raw_parts_mut(buffer.cast(), size)
            };
            (DentryOf::from_raw(dentry), CStr::from_char_ptr(name), value)
        };
        from_result(|| {
            let len = T::get(dentry, name, value)?;
            if size != 0 && len > size {
                return Err(ERANGE);
            }
            c_int::try_from(len).map_err(|_| E2BIG)
        })
    }

    /// # Safety
    ///
    /// `xattr_handler.set`.
    unsafe extern "C" fn set(
        _handler: *const raw::xattr_handler,
        _idmap: *mut raw::mnt_idmap,
        dentry: *mut raw::dentry,
        _inode: *mut raw::inode,
        name: *const c_char,
        buffer: *const c_void,
        size: usize,
        flags: c_int,
    ) -> c_int {
        // SAFETY: Called with a valid, positive dentry of the filesystem, a NUL-terminated name, and
        // a value of `size` bytes, or none to remove the attribute.
        let (dentry, name, value) = unsafe {
            let value =
                (!buffer.is_null()).then(|| core::slice::from_raw_parts(buffer.cast::<u8>(), size));
            (DentryOf::from_raw(dentry), CStr::from_char_ptr(name), value)
        };
        from_result(|| T::set(dentry, name, value, SetFlags(flags)).map(|()| 0))
    }
}

/// The handlers of a filesystem, in the order in which prefixes are tried.
#[repr(transparent)]
pub struct XattrHandlers<F>([*const raw::xattr_handler; 3], PhantomData<F>);

// SAFETY: The list is never written.
unsafe impl<F> Sync for XattrHandlers<F> {}

impl<F> XattrHandlers<F> {
    pub(crate) fn as_ptr(&self) -> *const *const raw::xattr_handler {
        self.0.as_ptr()
    }
}

struct Pair<A, B>(PhantomData<(A, B)>);

impl<F: FileSystem, A: XattrHandler<Fs = F>, B: XattrHandler<Fs = F>> Pair<A, B> {
    const LIST: XattrHandlers<F> = XattrHandlers(
        [
            &VTable::<A>::HANDLER,
            &VTable::<B>::HANDLER,
            core::ptr::null(),
        ],
        PhantomData,
    );
}

/// The list of two handlers, the first of which is tried first.
pub const fn handlers<F, A, B>() -> &'static XattrHandlers<F>
where
    F: FileSystem,
    A: XattrHandler<Fs = F>,
    B: XattrHandler<Fs = F>,
{
    &Pair::<A, B>::LIST
}
