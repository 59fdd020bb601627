// SPDX-License-Identifier: GPL-2.0

//! Names of the entries of `workdir/index`.
//!
//! An entry stands for one lower object that was copied up. Its name is that object's file handle
//! as it is on disk ([`FileHandle::write`]), two lower-case hexadecimal digits a byte.

use super::{
    file_handle::{
        FileHandle,
        LEN_MAX, //
    },
    writer::Writer,
    FormatError,
    Result, //
};

/// `NAME_MAX`: the longest name of a directory entry.
pub const NAME_MAX: usize = 255;

/// Writes the name of the entry of the object that `handle` means.
///
/// The longest handles make names that no filesystem can store: [`FormatError::TooLong`].
pub fn write_name<'b>(handle: &FileHandle, buffer: &'b mut [u8; NAME_MAX]) -> Result<&'b [u8]> {
    let mut bytes = [0; LEN_MAX];
    let mut writer = Writer::new(buffer);
    for byte in handle.write(&mut bytes)? {
        writer.put(&[hex_digit(byte >> 4), hex_digit(byte & 0xf)])?;
    }
    Ok(writer.finish())
}

/// Reads the name of an entry.
///
/// As in C, digits may be in upper case and a last odd one is ignored: such a name is never looked
/// up, it only has to be understood when the index is cleaned.
pub fn parse_name(name: &[u8]) -> Result<FileHandle> {
    let mut bytes = [0; NAME_MAX / 2];
    let mut writer = Writer::new(&mut bytes);
    for digits in name.chunks_exact(2) {
        let mut byte = 0u8;
        for digit in digits {
            let value = char::from(*digit)
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
                .ok_or(FormatError::Invalid)?;
            byte = byte << 4 | value;
        }
        writer.put(&[byte]).map_err(|_| FormatError::Invalid)?;
    }
    FileHandle::parse(writer.finish())
}

/// The digit of a value below 16.
const fn hex_digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0'.wrapping_add(value),
        _ => b'a'.wrapping_add(value.wrapping_sub(10)),
    }
}
