// SPDX-License-Identifier: GPL-2.0

//! The value of the option `lowerdir`: the lower layers, uppermost first.
//!
//! ```text
//! lowerdir=/l1:/l2::/data1::/data2
//! ```
//!
//! A colon ends a layer; two colons end a layer and make the next one a data-only layer, which is
//! not merged and is only reached by the redirect of a metacopy. Data-only layers stand last. A
//! backslash escapes the character behind it; see [`super::mount_option`].

use super::FormatError;
use core::fmt;

/// The most lower layers of a mount, data-only ones included. C overlayfs takes 500
/// (`OVL_MAX_STACK`).
pub const LAYERS_MAX: usize = 4096;

/// Why a value of `lowerdir` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LowerdirError {
    /// It begins with a colon; once that meant to append to the layers given before.
    LeadingColon,
    /// It ends with a colon that is not escaped.
    TrailingColon,
    /// It has three or more colons in a row that are not escaped.
    TooManyColons,
    /// It ends with a backslash that escapes nothing.
    TrailingBackslash,
    /// It names more than [`LAYERS_MAX`] layers.
    TooManyLayers,
    /// A layer that is not data-only follows one that is.
    LayerAfterData,
}

impl fmt::Display for LowerdirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeadingColon => f.write_str("lowerdir: begins with a colon"),
            Self::TrailingColon => f.write_str("lowerdir: ends with an unescaped colon"),
            Self::TooManyColons => f.write_str("lowerdir: more than two unescaped colons in a row"),
            Self::TrailingBackslash => f.write_str("lowerdir: ends with a single backslash"),
            Self::TooManyLayers => {
                write!(f, "lowerdir: too many layers, the limit is {LAYERS_MAX}")
            }
            Self::LayerAfterData => {
                f.write_str("lowerdir: a regular layer cannot follow a data-only layer")
            }
        }
    }
}

impl From<LowerdirError> for FormatError {
    fn from(_: LowerdirError) -> Self {
        Self::Invalid
    }
}

/// One layer of a `lowerdir`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowerdirLayer<'a> {
    /// The path as it was given: not empty, escapes kept.
    ///
    /// [`super::mount_option::unescape`] makes it the path to look up.
    pub escaped: &'a [u8],
    /// Whether the layer is data-only.
    pub data_only: bool,
}

/// A valid value of `lowerdir`, as an iterator over its layers.
#[derive(Clone, Debug)]
pub struct Lowerdir<'a> {
    /// What is left of the value, and whether its first layer is data-only.
    rest: Option<(&'a [u8], bool)>,
}

impl<'a> Lowerdir<'a> {
    /// Reads a value; an empty one has no layers.
    pub fn parse(value: &'a [u8]) -> Result<Self, LowerdirError> {
        let lowerdir = Self {
            rest: Some((value, false)).filter(|(value, _)| !value.is_empty()),
        };

        let mut seen_data = false;
        let mut count = 0usize;
        let mut rest = lowerdir.rest;
        while let Some((value, data_only)) = rest {
            let (escaped, next) = split_layer(value)?;
            if escaped.is_empty() {
                return Err(match next {
                    _ if count == 0 => LowerdirError::LeadingColon,
                    Some(_) => LowerdirError::TooManyColons,
                    None => LowerdirError::TrailingColon,
                });
            }
            if seen_data && !data_only {
                return Err(LowerdirError::LayerAfterData);
            }
            if count == LAYERS_MAX {
                return Err(LowerdirError::TooManyLayers);
            }
            seen_data = data_only;
            count = count.saturating_add(1);
            rest = next;
        }
        Ok(lowerdir)
    }
}

impl<'a> Iterator for Lowerdir<'a> {
    type Item = LowerdirLayer<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (value, data_only) = self.rest.take()?;
        let (escaped, next) = split_layer(value).ok()?;
        self.rest = next;
        Some(LowerdirLayer { escaped, data_only })
    }
}

/// A layer, and if a separator follows it, what is behind that and whether it is a double colon.
type Split<'a> = (&'a [u8], Option<(&'a [u8], bool)>);

/// Splits `value` behind its first layer.
fn split_layer(value: &[u8]) -> Result<Split<'_>, LowerdirError> {
    let mut searched = 0;
    let colon = loop {
        let rest = value.get(searched..).unwrap_or_default();
        match rest.iter().position(|&byte| byte == b':' || byte == b'\\') {
            None => return Ok((value, None)),
            Some(at) if rest.get(at) == Some(&b':') => break searched.saturating_add(at),
            Some(at) if at.saturating_add(1) == rest.len() => {
                return Err(LowerdirError::TrailingBackslash);
            }
            // What is behind a backslash is no separator.
            Some(at) => searched = searched.saturating_add(at).saturating_add(2),
        }
    };
    let Some((layer, rest)) = value.split_at_checked(colon) else {
        return Ok((value, None));
    };
    // `rest` begins with the colon that was found.
    Ok(match rest {
        [_, b':', rest @ ..] => (layer, Some((rest, true))),
        [_, rest @ ..] => (layer, Some((rest, false))),
        [] => (layer, None),
    })
}
