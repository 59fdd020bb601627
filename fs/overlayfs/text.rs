// SPDX-License-Identifier: GPL-2.0

//! Texts that are kept.

use kernel::{
    alloc::AllocError,
    prelude::*, //
};

/// A text in memory that is charged to whoever gives it: users can mount, and give
/// thousands of layers. `kernel::str::CString` is not charged.
pub(crate) struct Text(KVec<u8>);

impl Text {
    /// A copy.
    pub(crate) fn new(text: &CStr) -> Result<Self, AllocError> {
        let mut copy = KVec::new();
        copy.extend_from_slice(text.to_bytes_with_nul(), GFP_KERNEL_ACCOUNT)?;
        Ok(Self(copy))
    }

    /// What is in a buffer before the first NUL.
    pub(crate) fn of_buffer(buffer: KVec<u8>) -> Self {
        Self(buffer)
    }

    /// Of bytes up to the NUL that is the last of them. Most often there are `expected`.
    pub(crate) fn collect(
        bytes: impl Iterator<Item = u8>,
        expected: usize,
    ) -> Result<Self, AllocError> {
        let mut text = KVec::with_capacity(expected, GFP_KERNEL_ACCOUNT)?;
        for byte in bytes {
            text.push(byte, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Self(text))
    }
}

impl core::ops::Deref for Text {
    type Target = CStr;

    fn deref(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}
