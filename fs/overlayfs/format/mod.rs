// SPDX-License-Identifier: GPL-2.0

//! The on-disk format of overlayfs.
//!
//! What overlayfs keeps in its layers beyond plain files: extended attributes with their names and
//! values, whiteouts, file handles, names in `workdir`; and the syntax of the mount options that
//! name the layers. Everything here only turns bytes into values and values into bytes. It does no
//! I/O, allocates nothing and needs only `core`, so the same code runs in the kernel and in the
//! tests and fuzz targets of `tests/format/`.
//!
//! The format is that of C overlayfs, both ways. Bytes from a layer are untrusted: whatever they
//! are, a parser returns, and returns a value only if the value is within the bounds that its type
//! states. Where C accepts something that no version of it has ever written, such as a file handle
//! shorter than its own header, this module refuses it and says so at the place.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

pub mod file_handle;
pub mod index;
pub mod lowerdir;
pub mod metacopy;
pub mod mount_option;
pub mod nlink;
pub mod opaque;
pub mod protattr;
pub mod redirect;
pub mod uuid;
pub mod whiteout;
pub mod workdir;
pub mod xattr;

mod writer;

/// Why bytes are not a value of the format, or a value cannot become bytes.
///
/// The caller knows which errno fits its place; the usual one is given with each variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// The bytes break the format (`EINVAL`, for a metacopy `EIO`).
    Invalid,
    /// The bytes were written by a later version or by a machine of the other byte order.
    ///
    /// They say nothing to this one; C overlayfs goes on as if they were absent (`ENODATA`).
    Unknown,
    /// The result does not fit in the caller's buffer or passes a limit of the format.
    ///
    /// `EOPNOTSUPP` for an attribute's name, `ENAMETOOLONG` for an index entry, `EXDEV` for a
    /// redirect.
    TooLong,
}

/// The result of parsing or building a value of the format.
pub type Result<T> = core::result::Result<T, FormatError>;

/// Which kind of layer something is in, or is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A lower layer.
    Lower,
    /// Upper.
    Upper,
}

/// The part of a value that C, which reads these as strings, looks at.
fn until_nul(value: &[u8]) -> &[u8] {
    value.split(|&byte| byte == 0).next().unwrap_or_default()
}
