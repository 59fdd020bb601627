// SPDX-License-Identifier: GPL-2.0

//! Values of `overlay.nlink`: how many links an indexed object has in the union.
//!
//! The number is stored relative to the link count of an inode that the same operation is about to
//! change, or that never changes, so that it is right whether or not the operation happens:
//!
//! ```text
//! "U+1"  one more than the upper inode has   before link, unlink and rename
//! "L-2"  two less than the lower inode has   before copy-up
//! ```
//!
//! The sign is always there and zero is `+0`. There is no terminating NUL on disk.

use super::{
    until_nul,
    writer::Writer,
    FormatError,
    Result,
    Side, //
};
use core::fmt::Write as _;

/// Bytes of the longest value: `U-2147483648`.
pub const LEN_MAX: usize = 12;

/// The link count of a union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nlink {
    /// The inode whose link count it is relative to.
    pub relative_to: Side,
    /// The union's link count minus that inode's.
    pub difference: i32,
}

impl Nlink {
    /// Expresses `union` links relative to the `real` ones of an inode.
    pub fn new(relative_to: Side, union: u32, real: u32) -> Result<Self> {
        let difference = i64::from(union).saturating_sub(i64::from(real));
        Ok(Self {
            relative_to,
            difference: i32::try_from(difference).map_err(|_| FormatError::TooLong)?,
        })
    }

    /// Reads a value.
    ///
    /// As in C, a newline may end it, and so does a NUL whatever follows.
    pub fn parse(value: &[u8]) -> Result<Self> {
        if value.len() > LEN_MAX {
            return Err(FormatError::Invalid);
        }
        let text = until_nul(value);
        let (side, sign, digits) = match text.strip_suffix(b"\n").unwrap_or(text) {
            [side, sign, digits @ ..] if !digits.is_empty() => (side, sign, digits),
            _ => return Err(FormatError::Invalid),
        };
        let relative_to = match side {
            b'L' => Side::Lower,
            b'U' => Side::Upper,
            _ => return Err(FormatError::Invalid),
        };

        let mut difference = 0i64;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return Err(FormatError::Invalid);
            }
            // At most ten digits: far from saturation.
            difference = difference
                .saturating_mul(10)
                .saturating_add(i64::from(digit & 0xf));
        }
        if *sign == b'-' {
            difference = difference.saturating_neg();
        } else if *sign != b'+' {
            return Err(FormatError::Invalid);
        }
        Ok(Self {
            relative_to,
            difference: i32::try_from(difference).map_err(|_| FormatError::Invalid)?,
        })
    }

    /// Writes the value to store.
    pub fn write<'b>(&self, buffer: &'b mut [u8; LEN_MAX]) -> Result<&'b [u8]> {
        let side = match self.relative_to {
            Side::Lower => 'L',
            Side::Upper => 'U',
        };
        let mut writer = Writer::new(buffer);
        write!(writer, "{side}{:+}", self.difference).map_err(|_| FormatError::TooLong)?;
        Ok(writer.finish())
    }

    /// Returns the union's link count, given those of its two inodes.
    ///
    /// A value that makes it less than one, or more than C's `int`, says nothing.
    pub fn union(&self, lower: u32, upper: u32) -> Option<u32> {
        let real = match self.relative_to {
            Side::Lower => lower,
            Side::Upper => upper,
        };
        let union = i64::from(real).saturating_add(i64::from(self.difference));
        i32::try_from(union)
            .ok()
            .and_then(|union| u32::try_from(union).ok())
            .filter(|&union| union > 0)
    }
}
