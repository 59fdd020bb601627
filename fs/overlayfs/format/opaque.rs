// SPDX-License-Identifier: GPL-2.0

//! Values of `overlay.opaque` and `overlay.impure`: one character on a directory.
//!
//! ```text
//! opaque = "y"   nothing below this directory is merged into it
//! opaque = "x"   merged as usual, but files in it may be whiteouts by attribute
//! impure = "y"   an entry of this upper directory may have an origin
//! ```
//!
//! Any other value, of whatever length, is as if the attribute were absent.

/// What `overlay.opaque` says about a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opaque {
    /// Hides the directories below.
    Opaque,
    /// Holds whiteouts by attribute; see [`super::whiteout`].
    XattrWhiteouts,
}

impl Opaque {
    /// Reads a value; `None` if it says nothing.
    pub fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"y" => Some(Self::Opaque),
            b"x" => Some(Self::XattrWhiteouts),
            _ => None,
        }
    }

    /// Returns the value to store.
    pub const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Opaque => b"y",
            Self::XattrWhiteouts => b"x",
        }
    }
}

/// The value of `overlay.impure`.
pub const IMPURE: &[u8] = b"y";

/// Tells whether a value of `overlay.impure` marks the directory.
pub fn is_impure(value: &[u8]) -> bool {
    value == IMPURE
}
