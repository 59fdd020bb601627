// SPDX-License-Identifier: GPL-2.0

//! File handles of objects in layers: the values of `overlay.origin` and `overlay.upper`.
//!
//! On disk (`struct ovl_fb` of C overlayfs), without padding:
//!
//! ```text
//! offset size
//!      0    1  version  0
//!      1    1  magic    0xfb
//!      2    1  len      bytes from version to the end of fid: 21 + size of fid
//!      3    1  flags    0x01 fid is big-endian  0x02 fid has no byte order  0x04 upper object
//!      4    1  type     what the filesystem called the fid when it encoded it
//!      5   16  uuid     of the filesystem, or zero (uuid=off)
//!     21    -  fid      the filesystem's file handle: 32-bit words as they lie in memory
//! ```
//!
//! A handle that the overlay gives to NFS and to `name_to_handle_at` (`struct ovl_fh`) is the same
//! with three zero bytes before it, which align the fid; its type is [`WIRE_TYPE`]. Old kernels
//! handed it out without the three bytes, as [`WIRE_TYPE_UNALIGNED`].

use super::{
    uuid::Uuid,
    writer::Writer,
    FormatError,
    Result,
    Side, //
};

/// `OVL_FILEID_V1`: type of a handle given out by the overlay.
pub const WIRE_TYPE: u8 = 0xf8;
/// `OVL_FILEID_V0`: type of a handle given out by an overlay of an old kernel.
pub const WIRE_TYPE_UNALIGNED: u8 = 0xfb;

/// `FILEID_INVALID`: what an encoder returns when it has no handle.
const FID_TYPE_INVALID: u8 = 0xff;

const VERSION: u8 = 0;
const MAGIC: u8 = 0xfb;

const FLAG_BIG_ENDIAN: u8 = 1 << 0;
const FLAG_ANY_ENDIAN: u8 = 1 << 1;
const FLAG_UPPER: u8 = 1 << 2;
const FLAGS_KNOWN: u8 = FLAG_BIG_ENDIAN | FLAG_ANY_ENDIAN | FLAG_UPPER;
const FLAG_CPU_ENDIAN: u8 = if cfg!(target_endian = "big") {
    FLAG_BIG_ENDIAN
} else {
    0
};

const HEADER_LEN: usize = 21;
const WIRE_PADDING: usize = 3;
const WORD: usize = 4;

/// `MAX_HANDLE_SZ` in 32-bit words: the longest fid.
pub const FID_MAX: usize = 32;
/// Bytes of the longest handle on disk.
pub const LEN_MAX: usize = HEADER_LEN + FID_MAX * WORD;
/// Words of the longest handle given out by the overlay.
pub const WIRE_MAX: usize = (WIRE_PADDING + LEN_MAX) / WORD;

// No handle can claim to reach beyond these words; what a caller sent behind them is ignored.
const WIRE_READ_MAX: usize = (WIRE_PADDING + u8::MAX as usize).div_ceil(WORD);

// The length of any handle fits the field, and the padding does what it is for.
const _: () = assert!(LEN_MAX <= u8::MAX as usize);
const _: () = assert!(WIRE_PADDING + HEADER_LEN == 6 * WORD);

/// Names an object of a layer for as long as it exists, whatever its path.
///
/// Two handles are equal if their bytes on disk are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHandle {
    flags: u8,
    fid_type: u8,
    uuid: Uuid,
    // Bytes of the fid. A multiple of four in all that overlayfs writes; the words of `fid` from
    // there on are zero.
    fid_len: u8,
    fid: [u32; FID_MAX],
}

impl FileHandle {
    /// Makes a handle from what a filesystem of UUID `uuid` encoded on this machine.
    ///
    /// The fid is [`FormatError::TooLong`] beyond [`FID_MAX`] words, and the type
    /// `FILEID_INVALID` is [`FormatError::Invalid`].
    #[inline]
    pub fn new(side: Side, uuid: Uuid, fid_type: u8, words: &[u32]) -> Result<Self> {
        if fid_type == FID_TYPE_INVALID {
            return Err(FormatError::Invalid);
        }
        let mut fid = [0; FID_MAX];
        fid.get_mut(..words.len())
            .ok_or(FormatError::TooLong)?
            .copy_from_slice(words);
        let fid_len = words
            .len()
            .checked_mul(WORD)
            .and_then(|len| u8::try_from(len).ok())
            .ok_or(FormatError::TooLong)?;
        let side_flag = match side {
            Side::Lower => 0,
            Side::Upper => FLAG_UPPER,
        };
        Ok(Self {
            flags: FLAG_CPU_ENDIAN | side_flag,
            fid_type,
            uuid,
            fid_len,
            fid,
        })
    }

    /// Reads a value of `overlay.origin` or `overlay.upper`.
    ///
    /// It is `None` if the attribute is there but does not say which object it means: it is empty,
    /// which is written when the filesystem has no handles, or [`FormatError::Unknown`].
    pub fn from_xattr(value: &[u8]) -> Result<Option<Self>> {
        if value.is_empty() {
            return Ok(None);
        }
        match Self::parse(value) {
            Ok(handle) => Ok(Some(handle)),
            Err(FormatError::Unknown) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the form on disk; bytes behind its end are ignored.
    ///
    /// A later version, an unknown flag and the other byte order are [`FormatError::Unknown`]. A
    /// length that holds no header, or a fid longer than the kernel's limit, which C does not
    /// check, is [`FormatError::Invalid`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let (header, rest) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(FormatError::Invalid)?;
        let [version, magic, len, flags, fid_type, uuid @ ..] = *header;

        if bytes.len() < usize::from(len) || magic != MAGIC {
            return Err(FormatError::Invalid);
        }
        if version > VERSION || flags & !FLAGS_KNOWN != 0 {
            return Err(FormatError::Unknown);
        }
        if flags & FLAG_ANY_ENDIAN == 0 && flags & FLAG_BIG_ENDIAN != FLAG_CPU_ENDIAN {
            return Err(FormatError::Unknown);
        }

        let fid_bytes = usize::from(len)
            .checked_sub(HEADER_LEN)
            .and_then(|fid_len| rest.get(..fid_len))
            .ok_or(FormatError::Invalid)?;
        let mut fid = [0; FID_MAX];
        let mut words = fid.iter_mut();
        for chunk in fid_bytes.chunks(WORD) {
            let mut word = [0; WORD];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            *words.next().ok_or(FormatError::Invalid)? = u32::from_ne_bytes(word);
        }
        Ok(Self {
            flags,
            fid_type,
            uuid: Uuid(uuid),
            fid_len: u8::try_from(fid_bytes.len()).map_err(|_| FormatError::Invalid)?,
            fid,
        })
    }

    /// Reads a handle that was given out by the overlay as `wire_type`.
    pub fn from_wire(wire_type: u8, words: &[u32]) -> Result<Self> {
        let mut buffer = [0; WIRE_READ_MAX * WORD];
        let mut writer = Writer::new(&mut buffer);
        for word in words.iter().take(WIRE_READ_MAX) {
            writer.put(&word.to_ne_bytes())?;
        }
        let bytes = writer.finish();

        let handle = match wire_type {
            WIRE_TYPE => bytes.get(WIRE_PADDING..),
            // The caller's length is that of the aligned form.
            WIRE_TYPE_UNALIGNED => bytes
                .len()
                .checked_sub(WIRE_PADDING)
                .and_then(|len| bytes.get(..len)),
            _ => None,
        };
        Self::parse(handle.ok_or(FormatError::Invalid)?)
    }

    /// Writes the form on disk.
    pub fn write<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
        let len = u8::try_from(self.disk_len()).map_err(|_| FormatError::TooLong)?;
        let mut writer = Writer::new(buffer);
        writer.put(&[VERSION, MAGIC, len, self.flags, self.fid_type])?;
        writer.put(self.uuid.as_bytes())?;

        let (words, rest) = (
            usize::from(self.fid_len) / WORD,
            usize::from(self.fid_len) % WORD,
        );
        let mut fid = self.fid.iter();
        for word in fid.by_ref().take(words) {
            writer.put(&word.to_ne_bytes())?;
        }
        if let Some(word) = fid.next().filter(|_| rest > 0) {
            writer.put(word.to_ne_bytes().get(..rest).unwrap_or_default())?;
        }
        Ok(writer.finish())
    }

    /// Writes the form that the overlay gives out as [`WIRE_TYPE`] and returns its length in words.
    ///
    /// [`FileHandle::wire_len`] says how many words it needs.
    pub fn write_wire(&self, words: &mut [u32]) -> Result<usize> {
        let mut buffer = [0; WIRE_MAX * WORD];
        let (_, handle) = buffer
            .split_at_mut_checked(WIRE_PADDING)
            .ok_or(FormatError::TooLong)?;
        self.write(handle)?;

        let target = words
            .get_mut(..self.wire_len())
            .ok_or(FormatError::TooLong)?;
        for (to, from) in target.iter_mut().zip(buffer.chunks_exact(WORD)) {
            *to = u32::from_ne_bytes(from.try_into().map_err(|_| FormatError::TooLong)?);
        }
        Ok(self.wire_len())
    }

    /// Bytes of the form on disk.
    pub fn disk_len(&self) -> usize {
        HEADER_LEN.saturating_add(usize::from(self.fid_len))
    }

    /// Words of the form that the overlay gives out.
    pub fn wire_len(&self) -> usize {
        WIRE_PADDING.saturating_add(self.disk_len()).div_ceil(WORD)
    }

    /// Which kind of layer the object is in.
    pub fn side(&self) -> Side {
        if self.flags & FLAG_UPPER == 0 {
            Side::Lower
        } else {
            Side::Upper
        }
    }

    /// UUID of the filesystem that encoded the fid.
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// Type of the fid.
    pub fn fid_type(&self) -> u8 {
        self.fid_type
    }

    /// The fid, as the filesystem that encoded it wants it back.
    pub fn fid(&self) -> &[u32] {
        let words = usize::from(self.fid_len) / WORD;
        self.fid.get(..words).unwrap_or_default()
    }
}
