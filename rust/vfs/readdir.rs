// SPDX-License-Identifier: GPL-2.0

//! Reading directories of layers, and showing entries of our own.
//!
//! C header: `struct dir_context` in
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    file::OpenFile,
    raw, //
};
use kernel::{error::to_result, prelude::*, types::Opaque};

/// An entry of a directory.
pub struct DirEntry<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its inode number.
    pub ino: u64,
    /// Its type, `DT_*`.
    pub d_type: u8,
}

/// Whether a type that a directory entry gives says nothing.
#[inline]
pub fn is_unknown_type(d_type: u8) -> bool {
    u32::from(d_type) == raw::DT_UNKNOWN
}

/// What is called with each entry.
type Actor<'a> = &'a mut dyn FnMut(DirEntry<'_>) -> Result;

#[repr(C)]
struct Reader<'a> {
    // Comes first: `actor` finds the reader by it.
    ctx: raw::dir_context,
    actor: Actor<'a>,
    seen: bool,
    result: Result,
}

/// # Safety
///
/// Called by `iterate_dir` with the context of a [`Reader`] and a name of `len`
/// bytes.
unsafe extern "C" fn actor(
    ctx: *mut raw::dir_context,
    name: *const c_char,
    len: c_int,
    _offset: i64,
    ino: u64,
    d_type: c_uint,
) -> bool {
    // SAFETY: `ctx` is the first field of the reader that `iterate_dir` was given, which nobody
    // else uses meanwhile.
    let reader = unsafe { &mut *ctx.cast::<Reader<'_>>() };
    let Ok(len) = usize::try_from(len) else {
        reader.result = Err(EIO);
        return false;
    };
    // SAFETY: The filesystem gives a name of `len` bytes.
    let name = unsafe { core::slice::from_raw_parts(name.cast::<u8>(), len) };
    reader.seen = true;
    // Flags for the caller are in higher bits.
    let entry = DirEntry {
        name,
        ino,
        d_type: (d_type & 0xf) as u8,
    };
    reader.result = (reader.actor)(entry);
    reader.result.is_ok()
}

impl OpenFile {
    /// Calls `actor` with all entries of an open directory, in the filesystem's
    /// order, until it fails. See `iterate_dir()`.
    pub fn read_dir(&mut self, actor_fn: Actor<'_>) -> Result {
        let mut reader = Reader {
            ctx: raw::dir_context {
                actor: Some(actor),
                count: c_int::MAX,
                ..Default::default()
            },
            actor: actor_fn,
            seen: true,
            result: Ok(()),
        };
        // A filesystem may return before the end; it is there when nothing comes any more.
        while reader.seen {
            reader.seen = false;
            let ctx = core::ptr::from_mut(&mut reader).cast();
            // SAFETY: The file is open, and the context is the first field of `reader`.
            to_result(unsafe { raw::iterate_dir(self.as_ptr(), ctx) })?;
            reader.result?;
        }
        Ok(())
    }
}

/// Where the entries of a directory of ours are shown: the caller of
/// `getdents()`.
#[repr(transparent)]
pub struct DirContext(Opaque<raw::dir_context>);

impl DirContext {
    /// # Safety
    ///
    /// `ctx` is valid and exclusive for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ctx: *mut raw::dir_context) -> &'a mut Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &mut *ctx.cast() }
    }

    /// The position: what `telldir()` answers before the next entry.
    #[inline]
    pub fn pos(&self) -> i64 {
        // SAFETY: The context is valid and the current task's.
        unsafe { (*self.0.get()).pos }
    }

    /// Sets the position.
    #[inline]
    pub fn set_pos(&mut self, pos: i64) {
        // SAFETY: The context is valid and the current task's.
        unsafe { (*self.0.get()).pos = pos };
    }

    /// Shows an entry; false when there is no room for it. See `dir_emit()`.
    #[inline]
    pub fn emit(&mut self, entry: &DirEntry<'_>) -> bool {
        let Ok(len) = c_int::try_from(entry.name.len()) else {
            return false;
        };
        let ctx = self.0.get();
        // SAFETY: The context is valid and the current task's, and always has an actor.
        let (Some(actor), pos) = (unsafe { ((*ctx).actor, (*ctx).pos) }) else {
            return false;
        };
        let name = entry.name.as_ptr().cast();
        // SAFETY: The context is that of the actor, and the name has `len` bytes.
        unsafe { actor(ctx, name, len, pos, entry.ino, entry.d_type.into()) }
    }
}
