// SPDX-License-Identifier: GPL-2.0

//! Values of `overlay.protattr`: inode flags that forbid changes.
//!
//! An upper inode that was itself append-only or immutable could not be linked or renamed by the
//! overlay, so these flags are kept beside it, one character each: `a` and `i`, written in this
//! order and read in any. Without flags there is no attribute.

use super::{
    FormatError,
    Result, //
};

/// The longest value that is read; C keeps the room for flags to come.
pub const LEN_MAX: usize = 32;

/// The flags of an inode that the overlay keeps itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProtAttr {
    /// `FS_APPEND_FL`: data can only be appended.
    pub append: bool,
    /// `FS_IMMUTABLE_FL`: nothing can be changed.
    pub immutable: bool,
}

impl ProtAttr {
    /// Reads a value.
    ///
    /// An unknown flag, or none, makes the whole value [`FormatError::Invalid`]; C then sets none.
    pub fn parse(value: &[u8]) -> Result<Self> {
        if value.is_empty() || value.len() > LEN_MAX {
            return Err(FormatError::Invalid);
        }
        let mut flags = Self::default();
        for flag in value {
            match flag {
                b'a' => flags.append = true,
                b'i' => flags.immutable = true,
                _ => return Err(FormatError::Invalid),
            }
        }
        Ok(flags)
    }

    /// Returns the value to store; an empty one stands for "remove the attribute".
    pub const fn as_bytes(self) -> &'static [u8] {
        match (self.append, self.immutable) {
            (false, false) => b"",
            (true, false) => b"a",
            (false, true) => b"i",
            (true, true) => b"ai",
        }
    }
}
