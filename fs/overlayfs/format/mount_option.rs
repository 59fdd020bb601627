// SPDX-License-Identifier: GPL-2.0

//! Escapes in mount options.
//!
//! In the options of `mount(2)` a backslash takes the meaning from the character behind it: from a
//! comma, which else ends the option; from a colon, which else ends a layer of `lowerdir`; from a
//! backslash. The options `lowerdir`, `upperdir` and `workdir` keep their backslashes until the
//! path is looked up. When shown, as in `/proc/self/mountinfo`, what was given is printed with
//! octal escapes of the kernel's.

use super::{
    writer::Writer,
    Result, //
};

/// Splits the options of `mount(2)` at the commas that are not escaped.
///
/// The parts keep their escapes. Empty ones are among them, as in `index=on,,xino=off`; to the
/// kernel these mean nothing.
pub fn split(options: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut escaped = false;
    options.split(move |&byte| {
        if escaped {
            escaped = false;
            return false;
        }
        escaped = byte == b'\\';
        byte == b','
    })
}

/// Removes one level of backslashes from a path.
///
/// The result is never longer than `escaped`. A backslash at the very end vanishes.
pub fn unescape<'b>(escaped: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let mut writer = Writer::new(buffer);
    let mut rest = escaped;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        let (before, behind) = rest.split_at(at);
        writer.put(before)?;
        let behind = behind.get(1..).unwrap_or_default();
        let (literal, behind) = behind.split_at(behind.len().min(1));
        writer.put(literal)?;
        rest = behind;
    }
    writer.put(rest)?;
    Ok(writer.finish())
}

/// Returns a value that [`unescape`] makes `path` of, and that [`split`] does not cut.
///
/// It is for `upperdir` and `workdir`: in a layer of `lowerdir` a colon has to be escaped too.
pub fn escape(path: &[u8]) -> impl Iterator<Item = u8> + '_ {
    path.iter().flat_map(|&byte| {
        let escape = matches!(byte, b',' | b'\\').then_some(b'\\');
        escape.into_iter().chain([byte])
    })
}

/// Returns a value that means the same as `value`, and that [`split`] does not cut: `fsconfig(2)` takes
/// commas as they are.
pub fn protect(value: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut escaped = false;
    value.iter().flat_map(move |&byte| {
        let escape = (!escaped && byte == b',').then_some(b'\\');
        escaped = !escaped && byte == b'\\';
        escape.into_iter().chain([byte])
    })
}

/// Returns `value` as the kernel shows the value of an option.
///
/// Comma, space, tab, newline and backslash become a backslash and three octal digits.
pub fn show(value: &[u8]) -> impl Iterator<Item = u8> + '_ {
    value.iter().flat_map(|&byte| {
        let octal = [
            b'\\',
            octal_digit(byte >> 6),
            octal_digit(byte >> 3),
            octal_digit(byte),
        ];
        match byte {
            b',' | b' ' | b'\t' | b'\n' | b'\\' => octal.into_iter().take(4),
            _ => [byte, 0, 0, 0].into_iter().take(1),
        }
    })
}

/// The octal digit of the low three bits.
const fn octal_digit(bits: u8) -> u8 {
    b'0' | (bits & 7)
}
