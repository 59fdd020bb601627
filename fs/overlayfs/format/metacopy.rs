// SPDX-License-Identifier: GPL-2.0

//! Values of `overlay.metacopy`: a regular file whose data is in a layer below.
//!
//! The value is empty, or (`struct ovl_metacopy` of C overlayfs)
//!
//! ```text
//! offset size
//!      0    1  version      0
//!      1    1  len          bytes of the value: 4 + size of digest
//!      2    1  flags        0
//!      3    1  digest_algo  FS_VERITY_HASH_ALG_*, 0 for no digest
//!      4    -  digest       fs-verity digest of the data, at most 64 bytes
//! ```
//!
//! The empty value means version 0 without flags and digest, and is what is written then: it is
//! the only one that kernels before fs-verity support know.

use super::{
    writer::Writer,
    FormatError,
    Result, //
};

const VERSION: u8 = 0;
const HEADER_LEN: usize = 4;

/// `FS_VERITY_MAX_DIGEST_SIZE`: bytes of a SHA-512.
pub const DIGEST_MAX: usize = 64;
/// Bytes of the longest value.
pub const LEN_MAX: usize = HEADER_LEN + DIGEST_MAX;

// The length of any value fits the field.
const _: () = assert!(LEN_MAX <= u8::MAX as usize);

/// What a metacopy says about its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metacopy {
    flags: u8,
    digest_algorithm: u8,
    digest_len: u8,
    digest: [u8; DIGEST_MAX],
}

impl Metacopy {
    /// A metacopy of data that nothing is known about.
    pub const PLAIN: Self = Self {
        flags: 0,
        digest_algorithm: 0,
        digest_len: 0,
        digest: [0; DIGEST_MAX],
    };

    /// A metacopy of data with this fs-verity digest.
    ///
    /// Algorithm 0 is [`FormatError::Invalid`].
    pub fn with_digest(algorithm: u8, digest: &[u8]) -> Result<Self> {
        if algorithm == 0 {
            return Err(FormatError::Invalid);
        }
        let mut metacopy = Self {
            digest_algorithm: algorithm,
            digest_len: u8::try_from(digest.len()).map_err(|_| FormatError::TooLong)?,
            ..Self::PLAIN
        };
        metacopy
            .digest
            .get_mut(..digest.len())
            .ok_or(FormatError::TooLong)?
            .copy_from_slice(digest);
        Ok(metacopy)
    }

    /// Tells whether a value of `size` bytes can be a metacopy's, without reading it.
    ///
    /// This is all that C checks at lookup; the value itself is read for its digest only.
    pub fn check_size(size: usize) -> Result<()> {
        match size {
            0 | HEADER_LEN.. => Ok(()),
            _ => Err(FormatError::Invalid),
        }
    }

    /// Reads a value. A later version is [`FormatError::Invalid`]: without its data the file
    /// cannot be read.
    pub fn parse(value: &[u8]) -> Result<Self> {
        if value.is_empty() {
            return Ok(Self::PLAIN);
        }
        let [version, len, flags, digest_algorithm, digest @ ..] = value else {
            return Err(FormatError::Invalid);
        };
        if *version != VERSION || usize::from(*len) != value.len() {
            return Err(FormatError::Invalid);
        }
        let mut metacopy = Self {
            flags: *flags,
            digest_algorithm: *digest_algorithm,
            digest_len: u8::try_from(digest.len()).map_err(|_| FormatError::Invalid)?,
            ..Self::PLAIN
        };
        metacopy
            .digest
            .get_mut(..digest.len())
            .ok_or(FormatError::Invalid)?
            .copy_from_slice(digest);
        Ok(metacopy)
    }

    /// Writes the value to store.
    pub fn write<'b>(&self, buffer: &'b mut [u8; LEN_MAX]) -> Result<&'b [u8]> {
        let mut writer = Writer::new(buffer);
        if self.flags != 0 || self.digest_algorithm != 0 {
            let digest = self.digest_bytes();
            let len = HEADER_LEN.saturating_add(digest.len());
            writer.put(&[
                VERSION,
                u8::try_from(len).map_err(|_| FormatError::TooLong)?,
                self.flags,
                self.digest_algorithm,
            ])?;
            writer.put(digest)?;
        }
        Ok(writer.finish())
    }

    /// The algorithm and the bytes of the digest, if there is one.
    ///
    /// Whether they belong together is for who compares them with the data's.
    pub fn digest(&self) -> Option<(u8, &[u8])> {
        (self.digest_algorithm != 0).then_some((self.digest_algorithm, self.digest_bytes()))
    }

    fn digest_bytes(&self) -> &[u8] {
        self.digest
            .get(..usize::from(self.digest_len))
            .unwrap_or_default()
    }
}
