// SPDX-License-Identifier: GPL-2.0

//! Tracepoints of stacked filesystems.
//!
//! They are those of `rust/helpers/vfs_trace.h`, in a trace system that has the name
//! of the module. As long as nobody listens, each is a branch: no time is taken
//! and no name is copied.
//!
//! C header: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)

use crate::{
    dentry::{Dentry, Name},
    inode::Inode,
    raw, //
};
use kernel::{
    prelude::*,
    time::{Instant, Monotonic}, //
};

/// Whether somebody listens to a tracepoint.
///
/// `kernel::tracepoint::declare_trace!` does the same, for tracepoints of the kernel:
/// those of a module are not in `kernel::bindings`.
macro_rules! is_enabled {
    ($tracepoint:ident) => {{
        #[cfg(CONFIG_TRACEPOINTS)]
        // SAFETY: The tracepoint is one that C has defined.
        let enabled = unsafe {
            kernel::jump_label::static_branch_unlikely!(raw::$tracepoint, raw::tracepoint, key)
        };
        #[cfg(not(CONFIG_TRACEPOINTS))]
        let enabled = false;
        enabled
    }};
}

/// Tells those who listen to a tracepoint. What the arguments point to has to be valid
/// for the call.
macro_rules! emit {
    ($function:ident($($arg:expr),* $(,)?)) => {{
        #[cfg(CONFIG_TRACEPOINTS)]
        // SAFETY: See above.
        unsafe {
            raw::$function($($arg),*)
        };
        #[cfg(not(CONFIG_TRACEPOINTS))]
        {
            $( let _ = $arg; )*
        }
    }};
}

/// When something began that somebody listens to.
pub struct Begin(Instant<Monotonic>);

impl Begin {
    #[inline]
    fn when(enabled: bool) -> Option<Self> {
        enabled.then(|| Self(Instant::now()))
    }

    fn nanoseconds(&self) -> u64 {
        self.0.elapsed().as_nanos().unsigned_abs()
    }
}

fn pointer_and_len(name: Name<'_>) -> (*const c_char, c_uint) {
    let bytes = name.as_bytes();
    // Names of dentries are shorter than a page.
    (bytes.as_ptr().cast(), bytes.len() as c_uint)
}

/// Why an object is copied up.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Reason {
    /// It is opened to be written to.
    Open = raw::VFS_COPY_UP_OPEN,
    /// It is truncated.
    Truncate = raw::VFS_COPY_UP_TRUNCATE,
    /// Its mode, owner or times change.
    Attributes = raw::VFS_COPY_UP_ATTRIBUTES,
    /// An extended attribute of it changes.
    Xattr = raw::VFS_COPY_UP_XATTR,
    /// An ACL of it changes.
    Acl = raw::VFS_COPY_UP_ACL,
    /// Its flags (`chattr`) change.
    Flags = raw::VFS_COPY_UP_FLAGS,
    /// Something is created in it.
    Create = raw::VFS_COPY_UP_CREATE,
    /// It is removed, or something in it is.
    Remove = raw::VFS_COPY_UP_REMOVE,
    /// It gets another name, or is the directory in which something does.
    Link = raw::VFS_COPY_UP_LINK,
    /// It is renamed, or the directory in which something is; or it is in a directory
    /// that is renamed.
    Rename = raw::VFS_COPY_UP_RENAME,
    /// Something below it is copied up.
    Child = raw::VFS_COPY_UP_CHILD,
    /// A file handle is to lead to what is below it.
    Handle = raw::VFS_COPY_UP_HANDLE,
}

/// What of an object is copied up.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Copied {
    /// All of it.
    All = raw::VFS_COPIED_ALL,
    /// A file but for its data.
    Metadata = raw::VFS_COPIED_METADATA,
    /// The data of a file whose rest was copied before.
    Data = raw::VFS_COPIED_DATA,
}

/// `ovl_copy_up`: something was copied up, or could not be.
pub struct CopyUp<'a> {
    /// The name.
    pub dentry: &'a Dentry,
    /// The object.
    pub inode: &'a Inode,
    /// Why.
    pub reason: Reason,
    /// What of it.
    pub what: Copied,
    /// Bytes of data that were copied, also if it failed then.
    pub bytes: u64,
    /// How it ended.
    pub result: Result,
}

impl CopyUp<'_> {
    /// The time, if somebody listens.
    #[inline]
    pub fn begin() -> Option<Begin> {
        Begin::when(is_enabled!(__tracepoint_ovl_copy_up))
    }

    /// Tells those who listen.
    #[cold]
    pub fn end(self, begin: &Begin) {
        let duration = begin.nanoseconds();
        let result = self.result.map_or_else(Error::to_errno, |()| 0);
        self.dentry.with_name(|name| {
            let (name, len) = pointer_and_len(name);
            emit!(rust_do_trace_ovl_copy_up(
                self.inode.as_ptr(),
                name,
                len,
                self.reason as c_uint,
                self.what as c_uint,
                self.bytes,
                duration,
                result,
            ));
        });
    }
}

/// `ovl_whiteout`: a whiteout was made that hides `name` in `dir`.
#[inline]
pub fn whiteout(dir: &Inode, name: Name<'_>) {
    if is_enabled!(__tracepoint_ovl_whiteout) {
        let (name, len) = pointer_and_len(name);
        emit!(rust_do_trace_ovl_whiteout(dir.as_ptr(), name, len));
    }
}

/// `ovl_lookup_miss`: `name` is not in `dir`, which took a look at `layers` layers.
#[inline]
pub fn lookup_miss(dir: &Inode, name: Name<'_>, layers: u32) {
    if is_enabled!(__tracepoint_ovl_lookup_miss) {
        let (name, len) = pointer_and_len(name);
        emit!(rust_do_trace_ovl_lookup_miss(
            dir.as_ptr(),
            name,
            len,
            layers
        ));
    }
}

/// When mappings are switched.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Cause {
    /// Just after their file was copied up.
    CopyUp = raw::VFS_SWITCH_COPY_UP,
    /// Some time after that.
    Later = raw::VFS_SWITCH_LATER,
    /// When they are used.
    Fault = raw::VFS_SWITCH_FAULT,
}

/// `ovl_switch_mappings`: mappings were switched to another file.
pub(crate) struct SwitchMappings<'a> {
    /// Whose mappings.
    pub(crate) inode: &'a Inode,
    /// When.
    pub(crate) cause: Cause,
    /// How many were switched.
    pub(crate) switched: usize,
    /// How many could not be; nobody counts them after a fault.
    pub(crate) left: usize,
}

impl SwitchMappings<'_> {
    /// The time, if somebody listens.
    #[inline]
    pub(crate) fn begin() -> Option<Begin> {
        Begin::when(is_enabled!(__tracepoint_ovl_switch_mappings))
    }

    /// Tells those who listen.
    #[cold]
    pub(crate) fn end(self, begin: &Begin) {
        emit!(rust_do_trace_ovl_switch_mappings(
            self.inode.as_ptr(),
            self.cause as c_uint,
            self.switched as u64,
            self.left as u64,
            begin.nanoseconds(),
        ));
    }
}
