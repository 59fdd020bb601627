// SPDX-License-Identifier: GPL-2.0

//! UUIDs: the value of `overlay.uuid`, and the part of a file handle that names a filesystem.

use super::{
    FormatError,
    Result, //
};

/// The 16 bytes of a `uuid_t`, in the order in which they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uuid(pub [u8; Self::SIZE]);

impl Uuid {
    /// Bytes of a UUID, in memory and on disk.
    pub const SIZE: usize = 16;

    /// Stands for "none": in a file handle with `uuid=off`, or of a filesystem that has none.
    pub const NULL: Self = Self([0; Self::SIZE]);

    /// Reads a value of `overlay.uuid`, which is the 16 bytes and nothing else.
    pub fn parse(value: &[u8]) -> Result<Self> {
        value.try_into().map(Self).map_err(|_| FormatError::Invalid)
    }

    /// Returns the value to store.
    pub const fn as_bytes(&self) -> &[u8; Self::SIZE] {
        &self.0
    }

    /// Tells whether this is [`Uuid::NULL`].
    pub fn is_null(&self) -> bool {
        *self == Self::NULL
    }
}
