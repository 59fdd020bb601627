// SPDX-License-Identifier: GPL-2.0

//! Filling a caller's buffer front to back.

use super::{
    FormatError,
    Result, //
};
use core::fmt;

/// Appends to a borrowed buffer and refuses what does not fit.
pub(super) struct Writer<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> Writer<'b> {
    /// Starts at the front of `buffer`.
    pub(super) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Appends all of `bytes`, or nothing.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self
            .len
            .checked_add(bytes.len())
            .ok_or(FormatError::TooLong)?;
        self.buffer
            .get_mut(self.len..end)
            .ok_or(FormatError::TooLong)?
            .copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// Returns what was written.
    pub(super) fn finish(self) -> &'b [u8] {
        let buffer: &'b [u8] = self.buffer;
        buffer.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes()).map_err(|_| fmt::Error)
    }
}
