// SPDX-License-Identifier: GPL-2.0

//! Names of extended attributes: private ones, and escaped ones for nesting.
//!
//! In a layer, a name below the overlay's prefix is one of three:
//!
//! ```text
//! trusted.overlay.opaque          private: means something to this overlay, invisible through it
//! trusted.overlay.overlay.opaque  escaped: seen through this overlay as trusted.overlay.opaque
//! trusted.foo, user.bar, ...      other:   seen as it is
//! ```
//!
//! Whatever is written through the overlay below the prefix is escaped once on its way down. So an
//! overlay can be stored in an overlay, and each level sees its own attributes only.

use super::{
    writer::Writer,
    FormatError,
    Result, //
};
use core::ffi::CStr;

/// `XATTR_NAME_MAX`: the longest name of an attribute, without the NUL.
pub const NAME_MAX: usize = 255;

/// `XATTR_SIZE_MAX`: the longest value of an attribute.
pub const VALUE_MAX: usize = 65536;

/// Room for any attribute's name and its NUL.
pub type NameBuffer = [u8; NAME_MAX + 1];

/// What is inserted behind the prefix to escape a name.
const ESCAPE: &[u8] = b"overlay.";

/// What only the superuser of the initial user namespace sees in a list of names.
const TRUSTED: &[u8] = b"trusted.";

/// The private attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// Hides the directories of the same name below; see [`super::opaque`].
    Opaque,
    /// Where the layers below have this object.
    Redirect,
    /// File handle of the lower object that was copied up; see [`super::file_handle`].
    Origin,
    /// `y` on an upper directory that may hold objects with an origin.
    Impure,
    /// Link count of the union, relative to that of a layer's inode.
    Nlink,
    /// On the index entry of a directory: file handle of the upper directory.
    Upper,
    /// On the root of upper: UUID of the overlay.
    Uuid,
    /// Marks a file whose data is still in a lower layer.
    Metacopy,
    /// Append-only and immutable flags of an upper inode, which must not be so itself.
    ProtAttr,
    /// Makes an empty regular file a whiteout; see [`super::whiteout`].
    Whiteout,
}

impl Attribute {
    /// Every attribute once.
    pub const ALL: [Self; 10] = [
        Self::Opaque,
        Self::Redirect,
        Self::Origin,
        Self::Impure,
        Self::Nlink,
        Self::Upper,
        Self::Uuid,
        Self::Metacopy,
        Self::ProtAttr,
        Self::Whiteout,
    ];
}

/// Some of the private attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(u16);

impl Attributes {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(u16::MAX);

    /// Whether this is one of them.
    pub const fn contains(self, attribute: Attribute) -> bool {
        self.0 & 1 << attribute as u16 != 0
    }

    /// These, and another one.
    pub const fn with(self, attribute: Attribute) -> Self {
        Self(self.0 | 1 << attribute as u16)
    }
}

/// The attributes among which an overlay keeps its own: option `userxattr` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// `trusted.overlay.`, which needs `CAP_SYS_ADMIN`.
    Trusted,
    /// `user.overlay.`, for mounts in a user namespace.
    User,
}

/// What a layer's attribute is to the overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameClass {
    /// Below the prefix, not escaped: invisible through the overlay.
    Private,
    /// Below the prefix and escaped: visible with one escape removed.
    Escaped,
    /// Not below the prefix: visible as it is.
    Other,
}

impl Namespace {
    /// What the names of this namespace begin with.
    pub const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Trusted => b"trusted.overlay.",
            Self::User => b"user.overlay.",
        }
    }

    /// Returns the full name of a private attribute.
    pub const fn name(self, attribute: Attribute) -> &'static CStr {
        match self {
            Self::Trusted => match attribute {
                Attribute::Opaque => c"trusted.overlay.opaque",
                Attribute::Redirect => c"trusted.overlay.redirect",
                Attribute::Origin => c"trusted.overlay.origin",
                Attribute::Impure => c"trusted.overlay.impure",
                Attribute::Nlink => c"trusted.overlay.nlink",
                Attribute::Upper => c"trusted.overlay.upper",
                Attribute::Uuid => c"trusted.overlay.uuid",
                Attribute::Metacopy => c"trusted.overlay.metacopy",
                Attribute::ProtAttr => c"trusted.overlay.protattr",
                Attribute::Whiteout => c"trusted.overlay.whiteout",
            },
            Self::User => match attribute {
                Attribute::Opaque => c"user.overlay.opaque",
                Attribute::Redirect => c"user.overlay.redirect",
                Attribute::Origin => c"user.overlay.origin",
                Attribute::Impure => c"user.overlay.impure",
                Attribute::Nlink => c"user.overlay.nlink",
                Attribute::Upper => c"user.overlay.upper",
                Attribute::Uuid => c"user.overlay.uuid",
                Attribute::Metacopy => c"user.overlay.metacopy",
                Attribute::ProtAttr => c"user.overlay.protattr",
                Attribute::Whiteout => c"user.overlay.whiteout",
            },
        }
    }

    /// Returns the private attributes in a layer's list of names, each with its NUL.
    pub fn private_in(self, list: &[u8]) -> Attributes {
        let mut found = Attributes::NONE;
        // What is behind the last NUL is not a name.
        for name in list.split_inclusive(|&byte| byte == 0) {
            if !name.starts_with(self.prefix()) {
                continue;
            }
            for attribute in Attribute::ALL {
                if self.name(attribute).to_bytes_with_nul() == name {
                    found = found.with(attribute);
                }
            }
        }
        found
    }

    /// Tells what the attribute `name` of an object in a layer is to the overlay.
    pub fn classify(self, name: &[u8]) -> NameClass {
        match name.strip_prefix(self.prefix()) {
            None => NameClass::Other,
            Some(rest) if rest.starts_with(ESCAPE) => NameClass::Escaped,
            Some(_) => NameClass::Private,
        }
    }

    /// Returns the name under which a layer has what the overlay's user calls `name`.
    ///
    /// A name below the prefix is escaped into `buffer`; any other is returned as it is. A name
    /// that is the bare prefix is [`FormatError::Invalid`], one that would be too long with the
    /// escape is [`FormatError::TooLong`].
    pub fn layer_name<'a>(self, name: &'a CStr, buffer: &'a mut NameBuffer) -> Result<&'a CStr> {
        let Some(rest) = name.to_bytes().strip_prefix(self.prefix()) else {
            return Ok(name);
        };
        if rest.is_empty() {
            return Err(FormatError::Invalid);
        }
        write_name(buffer, &[self.prefix(), ESCAPE, rest])
    }

    /// Returns the name under which the overlay's user sees a layer's attribute `name`.
    ///
    /// It is `None` for a private attribute. An escaped name is unescaped once into `buffer`; any
    /// other is returned as it is.
    pub fn overlay_name<'a>(
        self,
        name: &'a CStr,
        buffer: &'a mut NameBuffer,
    ) -> Result<Option<&'a CStr>> {
        let Some(rest) = name.to_bytes().strip_prefix(self.prefix()) else {
            return Ok(Some(name));
        };
        let Some(unescaped) = rest.strip_prefix(ESCAPE) else {
            return Ok(None);
        };
        write_name(buffer, &[self.prefix(), unescaped]).map(Some)
    }

    /// Turns a layer's list of names into the overlay's, in place, and returns its new length.
    ///
    /// `list` is what `listxattr` of the layer returned: names, each with its NUL. Private names
    /// are dropped, escaped ones unescaped once, and `trusted.` ones are dropped unless
    /// `show_trusted`. A last name without NUL is [`FormatError::Invalid`]; `list` then holds
    /// nothing of use.
    pub fn filter_list(self, list: &mut [u8], show_trusted: bool) -> Result<usize> {
        let mut kept = 0usize;
        let mut start = 0usize;

        while let Some(rest) = list.get(start..) {
            if rest.is_empty() {
                break;
            }
            let name_len = rest
                .iter()
                .position(|&byte| byte == 0)
                .ok_or(FormatError::Invalid)?;
            let name = rest.get(..name_len).unwrap_or_default();

            let class = self.classify(name);
            let visible =
                class != NameClass::Private && (show_trusted || !name.starts_with(TRUSTED));
            // The escape is the part of a visible name that stays behind.
            let escape = match class {
                NameClass::Escaped => {
                    self.prefix().len()..self.prefix().len().saturating_add(ESCAPE.len())
                }
                NameClass::Private | NameClass::Other => 0..0,
            };

            for offset in 0..=name_len {
                if !visible || escape.contains(&offset) {
                    continue;
                }
                // `kept` never passes `start + offset`: what is overwritten was read before.
                let byte = list
                    .get(start.saturating_add(offset))
                    .copied()
                    .unwrap_or_default();
                if let Some(slot) = list.get_mut(kept) {
                    *slot = byte;
                }
                kept = kept.saturating_add(1);
            }
            start = start.saturating_add(name_len).saturating_add(1);
        }
        Ok(kept)
    }
}

/// Writes `parts` and a NUL into `buffer`.
fn write_name<'a>(buffer: &'a mut NameBuffer, parts: &[&[u8]]) -> Result<&'a CStr> {
    let mut writer = Writer::new(buffer);
    for part in parts {
        writer.put(part)?;
    }
    writer.put(&[0])?;
    CStr::from_bytes_with_nul(writer.finish()).map_err(|_| FormatError::Invalid)
}
