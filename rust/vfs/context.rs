// SPDX-License-Identifier: GPL-2.0

//! Contexts of mounts that are being set up or changed.
//!
//! C header: [`include/linux/fs_context.h`](srctree/include/linux/fs_context.h)

use crate::{
    cred::is_admin,
    fs::{FileSystem, SuperOps},
    print::may_print,
    raw,
    super_block::{NewSuperBlock, SuperBlockOf}, //
};
use core::marker::PhantomData;
use kernel::{
    alloc::AllocError,
    error::from_result,
    fmt,
    fs::LocalFile,
    prelude::*,
    types::Opaque, //
};

/// Why a mount, or a change of one, fails: an error that was explained.
///
/// It comes from [`FsContext::error`] and its like only. A plain error does not turn
/// into one, so `?` lets none through that nobody put into words. The exception is
/// a lack of memory.
#[must_use]
pub struct Refused(Error);

impl Refused {
    /// The filesystem has no such option, which the VFS puts into words.
    pub const UNKNOWN_OPTION: Self = Self(ENOPARAM);

    /// The error.
    pub fn error(&self) -> Error {
        self.0
    }
}

impl From<AllocError> for Refused {
    fn from(err: AllocError) -> Self {
        Self(err.into())
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        refused.0
    }
}

/// The VFS's part of a mount that is being set up, see `struct fs_context`.
#[repr(transparent)]
pub struct FsContext(Opaque<raw::fs_context>);

impl FsContext {
    /// # Safety
    ///
    /// `fc` is valid for `'a`, used by the current task alone.
    unsafe fn from_raw<'a>(fc: *mut raw::fs_context) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*fc.cast() }
    }

    fn log(&self, level: u8, args: fmt::Arguments<'_>) {
        let fc = self.0.get();
        // SAFETY: The context is valid.
        let has_log = unsafe { !(*fc).log.log.is_null() };
        // The kernel's log is not to be flooded by whoever likes.
        if !has_log && !is_admin() && !may_print() {
            return;
        }
        // SAFETY: `%pA` takes a pointer to `Arguments`. Without a log the message goes to the
        // kernel log.
        unsafe {
            raw::logfc(
                (*fc).log.log,
                (*fc).log.prefix,
                level,
                c"%pA".as_char_ptr(),
                core::ptr::from_ref(&args).cast::<c_void>(),
            )
        };
    }

    /// Tells whoever mounts why it fails, see `errorfc()`.
    pub fn error(&self, err: Error, args: fmt::Arguments<'_>) -> Refused {
        self.log(b'e', args);
        Refused(err)
    }

    /// As [`FsContext::error`] for `EINVAL`, see `invalfc()`.
    pub fn invalid(&self, args: fmt::Arguments<'_>) -> Refused {
        self.error(EINVAL, args)
    }

    /// As [`FsContext::error`] for what fails by no fault of whoever mounts: tells what it
    /// was that could not be done.
    pub fn failed<'a>(&'a self, what: &'a str) -> impl FnOnce(Error) -> Refused + 'a {
        move |err| self.error(err, fmt!("cannot {what}: error {}", err.to_errno()))
    }

    /// As [`Self::failed`] if there was no memory, for what a mount can do without: another
    /// try may find some, but the mount would lack it for as long as it lasts.
    pub fn given_memory<T>(&self, what: &str, result: Result<T>) -> Result<Result<T>, Refused> {
        match result {
            Err(err) if err == ENOMEM => Err(self.failed(what)(err)),
            result => Ok(result),
        }
    }

    /// Tells whoever mounts of something that works otherwise than asked, see
    /// `warnfc()`.
    pub fn warn(&self, args: fmt::Arguments<'_>) {
        self.log(b'w', args);
    }

    /// Tells whoever mounts of something that is as it should be, see `infofc()`.
    pub fn info(&self, args: fmt::Arguments<'_>) {
        self.log(b'i', args);
    }

    /// Whether the mount is to be read-only.
    pub fn readonly(&self) -> bool {
        // SAFETY: The context is valid.
        unsafe { (*self.0.get()).sb_flags & raw::vfs_const_SB_RDONLY as c_uint != 0 }
    }

    /// Whether the context belongs to the current task's user namespace: its
    /// file descriptor may have been passed on.
    pub fn in_current_user_ns(&self) -> bool {
        // SAFETY: The context is valid.
        unsafe { (*self.0.get()).user_ns == raw::vfs_shim_current_user_ns() }
    }

    /// Whether the current task is in the context's user namespace, or one below:
    /// see `current_in_userns()`.
    pub fn current_is_in_user_ns(&self) -> bool {
        // SAFETY: The context is valid and keeps its user namespace.
        unsafe { raw::current_in_userns((*self.0.get()).user_ns) }
    }

    /// The mounted filesystem that is changed, if none is being set up.
    ///
    /// # Safety
    ///
    /// The context belongs to `F`.
    unsafe fn mounted<F: FileSystem>(&self) -> Option<&SuperBlockOf<F>> {
        let fc = self.0.get();
        // SAFETY: The context is valid. One for a change has the root of the filesystem, which it
        // keeps active.
        unsafe {
            ((*fc).purpose() == raw::fs_context_purpose_FS_CONTEXT_FOR_RECONFIGURE)
                .then(|| SuperBlockOf::from_raw((*(*fc).root).d_sb))
        }
    }
}

/// The value of an option.
pub enum ParamValue<'a> {
    /// There is none.
    Flag,
    /// Text.
    String(&'a CStr),
    /// An open file.
    File(&'a LocalFile),
    /// Something that no option of this filesystem takes.
    Other,
}

pub(crate) struct ContextVTable<F>(PhantomData<F>);

impl<F: FileSystem> ContextVTable<F> {
    const OPS: raw::fs_context_operations = raw::fs_context_operations {
        free: Some(Self::free),
        dup: None,
        parse_param: Some(Self::parse_param),
        parse_monolithic: Some(Self::parse_monolithic),
        get_tree: Some(Self::get_tree),
        reconfigure: Some(Self::reconfigure),
    };

    /// # Safety
    ///
    /// `file_system_type.init_fs_context`.
    pub(crate) unsafe extern "C" fn init(fc: *mut kernel::bindings::fs_context) -> c_int {
        // The kernel's bindings do not see into the type.
        let fc = fc.cast::<raw::fs_context>();
        from_result(|| {
            let context = F::new_context()?;
            // SAFETY: Called with a new context that is the callee's to fill in.
            unsafe {
                (*fc).fs_private = KBox::into_raw(context).cast();
                (*fc).ops = &Self::OPS;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `fc` was initialised by `init` and is used by the current task alone.
    unsafe fn context<'a>(fc: *mut raw::fs_context) -> &'a mut F::Context {
        // SAFETY: By the safety requirements.
        unsafe { &mut *(*fc).fs_private.cast() }
    }

    /// # Safety
    ///
    /// `fs_context_operations.free`.
    unsafe extern "C" fn free(fc: *mut raw::fs_context) {
        // SAFETY: Called once; the pointer came from `init`, or is null if that failed.
        unsafe {
            let context = (*fc).fs_private.cast::<F::Context>();
            if !context.is_null() {
                drop(KBox::from_raw(context));
            }
        }
    }

    /// # Safety
    ///
    /// `fs_context_operations.parse_param`.
    unsafe extern "C" fn parse_param(
        fc: *mut raw::fs_context,
        param: *mut raw::fs_parameter,
    ) -> c_int {
        // SAFETY: Called with a valid context under its lock, and a valid parameter.
        let (context, this, key) = unsafe {
            (
                Self::context(fc),
                FsContext::from_raw(fc),
                CStr::from_char_ptr((*param).key),
            )
        };
        from_result(|| {
            // SAFETY: The parameter's type says which field of the union is set.
            let value = unsafe {
                match (*param).type_() {
                    raw::fs_value_type_fs_value_is_flag => ParamValue::Flag,
                    raw::fs_value_type_fs_value_is_string => {
                        ParamValue::String(CStr::from_char_ptr((*param).__bindgen_anon_1.string))
                    }
                    raw::fs_value_type_fs_value_is_file => {
                        ParamValue::File(LocalFile::from_raw_file((*param).__bindgen_anon_1.file))
                    }
                    _ => ParamValue::Other,
                }
            };
            // SAFETY: The context belongs to `F`.
            match unsafe { this.mounted::<F>() } {
                Some(sb) => F::reparse_param(context, sb, this, key, value)?,
                None => F::parse_param(context, this, key, value)?,
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `fs_context_operations.parse_monolithic`.
    unsafe extern "C" fn parse_monolithic(fc: *mut raw::fs_context, data: *mut c_void) -> c_int {
        // SAFETY: Called with a valid context and a NUL-terminated page of options.
        unsafe { raw::vfs_parse_monolithic_sep(fc, data, Some(next_option)) }
    }

    /// # Safety
    ///
    /// `fs_context_operations.get_tree`.
    unsafe extern "C" fn get_tree(fc: *mut raw::fs_context) -> c_int {
        // SAFETY: Called with a valid context.
        unsafe { raw::get_tree_nodev(fc, Some(Self::fill_super)) }
    }

    /// # Safety
    ///
    /// Called by `get_tree_nodev` with a new super block.
    unsafe extern "C" fn fill_super(sb: *mut raw::super_block, fc: *mut raw::fs_context) -> c_int {
        // SAFETY: The context is valid and the super block exclusive for the call.
        let (context, this, mut new) = unsafe {
            (
                Self::context(fc),
                FsContext::from_raw(fc),
                NewSuperBlock::from_raw(sb),
            )
        };
        from_result(|| {
            let filled = F::fill_super(context, this, &mut new);
            // SAFETY: The super block is exclusive.
            let rootless = unsafe { (*sb).s_root.is_null() };
            // Without a root the VFS would stop the machine.
            let filled = match filled {
                Ok(()) if rootless => Err(this.invalid(fmt!("the filesystem made no root"))),
                filled => filled,
            };
            filled.inspect_err(|_| {
                // SAFETY: The setup failed before the super block had a root: nobody uses the data,
                // and `put_super` will not be called.
                unsafe {
                    if (*sb).s_root.is_null() {
                        SuperOps::<F>::drop_data(sb);
                    }
                }
            })?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `fs_context_operations.reconfigure`.
    unsafe extern "C" fn reconfigure(fc: *mut raw::fs_context) -> c_int {
        // SAFETY: Called with a valid context whose root is a dentry of `F`.
        let (this, sb) = unsafe {
            (
                FsContext::from_raw(fc),
                SuperBlockOf::<F>::from_raw((*(*fc).root).d_sb),
            )
        };
        from_result(|| {
            F::reconfigure(sb, this)?;
            Ok(0)
        })
    }
}

/// Cuts the next option off a comma-separated list in which a backslash keeps
/// the following character from being a separator.
///
/// # Safety
///
/// `list` points to null or a NUL-terminated string that may be written.
unsafe extern "C" fn next_option(list: *mut *mut c_char) -> *mut c_char {
    // SAFETY: By the safety requirements; the loop ends at the NUL at the latest.
    unsafe {
        let start = *list;
        if start.is_null() {
            return start;
        }
        let mut at = start;
        loop {
            match *at {
                0 => {
                    *list = core::ptr::null_mut();
                    return start;
                }
                b'\\' if *at.add(1) != 0 => at = at.add(2),
                b',' => {
                    *at = 0;
                    *list = at.add(1);
                    return start;
                }
                _ => at = at.add(1),
            }
        }
    }
}
