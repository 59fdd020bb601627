// SPDX-License-Identifier: GPL-2.0

//! File handles of layers' inodes.
//!
//! C header: [`include/linux/exportfs.h`](srctree/include/linux/exportfs.h)

use crate::{
    dentry::Dentry,
    inode::Inode,
    mount::Mount,
    raw, //
};
use kernel::{error::from_err_ptr, prelude::*, sync::aref::ARef};

/// The longest handle in 32-bit words.
pub const MAX_WORDS: usize = raw::vfs_const_MAX_HANDLE_SZ as usize / 4;

/// A filesystem's handle of an inode: opaque words, and the type that says what
/// they mean.
pub struct Handle {
    /// What the words mean to the filesystem.
    pub kind: u8,
    words: [u32; MAX_WORDS],
    len: usize,
}

impl Handle {
    /// Encodes a handle that does not tell the parent: see
    /// `exportfs_encode_inode_fh()`. `EIO` when the filesystem has none.
    pub fn encode(inode: &Inode) -> Result<Self> {
        let mut words = [0u32; MAX_WORDS];
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
        Ok(Self { kind, words, len })
    }

    /// A handle read from somewhere; `EINVAL` when it is longer than any.
    pub fn from_words(kind: u8, fid: &[u32]) -> Result<Self> {
        let mut words = [0u32; MAX_WORDS];
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
        let mut words = self.words;
        // SAFETY: The mount is valid and the buffer is larger than `len` words; filesystems check
        // the length against the type.
        let dentry = from_err_ptr(unsafe {
            raw::exportfs_decode_fh(
                mount.as_ptr(),
                words.as_mut_ptr().cast(),
                self.len as c_int,
                self.kind.into(),
                None,
                core::ptr::null_mut(),
            )
        })?;
        if dentry.is_null() {
            return Err(ESTALE);
        }
        // SAFETY: A reference was returned.
        unsafe { Dentry::from_ret(dentry) }
    }
}
