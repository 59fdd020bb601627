// SPDX-License-Identifier: GPL-2.0

//! Directories in which names are told apart without their case.
//!
//! A filesystem that has such directories has an *encoding*, which says how names
//! are folded. Its dentries have operations to hash and compare names, which do
//! as usual in all other directories.
//!
//! C header: [`include/linux/unicode.h`](srctree/include/linux/unicode.h)

use crate::{
    dentry::Dentry,
    fs::FileSystem,
    raw,
    super_block::{NewSuperBlock, SuperBlock}, //
};
use kernel::{error::to_result, prelude::*};

/// Room for a folded name.
pub type FoldedName = [u8; raw::NAME_MAX as usize + 1];

impl SuperBlock {
    /// Whether names may be case-folded, see `sb_has_encoding()`.
    pub fn has_encoding(&self) -> bool {
        // SAFETY: The super block is valid.
        unsafe { raw::vfs_shim_has_encoding(self.as_ptr()) }
    }

    /// Whether names that the encoding does not know are refused, see
    /// `sb_has_strict_encoding()`.
    pub fn has_strict_encoding(&self) -> bool {
        // SAFETY: The super block is valid.
        unsafe { raw::vfs_shim_has_strict_encoding(self.as_ptr()) }
    }

    /// Folds `name` into `buffer`; `None` when it cannot be folded, and is what
    /// it is. See `utf8_casefold()`.
    pub fn casefold<'a>(&self, name: &[u8], buffer: &'a mut FoldedName) -> Option<&'a [u8]> {
        // SAFETY: The super block is valid; name and buffer have the sizes that are given.
        let len = unsafe {
            raw::vfs_shim_casefold(
                self.as_ptr(),
                name.as_ptr().cast(),
                c_uint::try_from(name.len()).ok()?,
                buffer.as_mut_ptr(),
                buffer.len(),
            )
        };
        // A name that folds to nothing would be the same as others that do.
        let len = usize::try_from(len).ok().filter(|len| *len > 0)?;
        buffer.get(..len)
    }
}

impl<F: FileSystem> NewSuperBlock<F> {
    /// Has names folded as on `other`, in directories that say so.
    ///
    /// Before [`NewSuperBlock::set_dentry_operations`]. `EINVAL` when `other` has
    /// no encoding, or there is one already.
    pub fn load_encoding_of(&mut self, other: &SuperBlock) -> Result {
        // SAFETY: Both are valid and this one is exclusive. The map is one of its own, which
        // `kill_sb` unloads.
        to_result(unsafe { raw::vfs_shim_load_encoding(self.as_ptr(), other.as_ptr()) })
    }

    /// Whether names are folded as on `other`, or on neither: see
    /// `sb_same_encoding()`.
    pub fn same_encoding(&self, other: &SuperBlock) -> bool {
        // SAFETY: Both are valid.
        unsafe { raw::vfs_shim_same_encoding(self.as_ptr(), other.as_ptr()) }
    }
}

impl Dentry {
    /// Whether it is a directory with case-folded names, see `IS_CASEFOLDED()`.
    pub fn is_casefolded(&self) -> bool {
        let flagged = self
            .inode()
            .is_some_and(|inode| inode.flags().is_casefolded());
        flagged && self.super_block().has_encoding()
    }
}
