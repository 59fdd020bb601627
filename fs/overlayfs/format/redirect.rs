// SPDX-License-Identifier: GPL-2.0

//! Values of `overlay.redirect`: where the layers below have an object that was renamed.
//!
//! ```text
//! "old"       same directory, other name
//! "/a/b/old"  path from the root of the layers
//! ```
//!
//! There is no terminating NUL on disk. A value that has one is read up to it, as C does.
//!
//! No redirect leaves a layer: an absolute one is walked name by name from the layer's root, and
//! `.` and `..` are refused here. (In C the lookup of these names fails.) A name that is longer
//! than any filesystem's is a name that does not exist, not an error of the format.

use super::{
    until_nul,
    writer::Writer,
    FormatError,
    Result, //
};

/// The default of the module parameter `redirect_max`: the longest absolute redirect to write.
///
/// It does not bound what is read.
pub const WRITE_MAX: usize = 256;

/// A path below the root of a layer, or the name of a sibling.
///
/// # Invariants
///
/// `path` is either one name, or names each with a slash before it. A name is not empty, not `.`
/// or `..`, and has neither slash nor NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect<'a> {
    path: &'a [u8],
}

impl<'a> Redirect<'a> {
    /// Reads a value. A single name is a redirect too: that to itself.
    pub fn parse(value: &'a [u8]) -> Result<Self> {
        let path = until_nul(value);
        let valid = match path.strip_prefix(b"/") {
            Some(names) => names.split(|&byte| byte == b'/').all(is_name),
            None => !path.contains(&b'/') && is_name(path),
        };
        // INVARIANT: Just checked.
        valid.then_some(Self { path }).ok_or(FormatError::Invalid)
    }

    /// Whether this is a path from the root of the layers.
    pub fn is_absolute(&self) -> bool {
        self.path.starts_with(b"/")
    }

    /// Returns the value to store.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.path
    }

    /// Returns the names of the path, from the root down.
    pub fn names(&self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let names = self.path.strip_prefix(b"/").unwrap_or(self.path);
        names.split(|&byte| byte == b'/')
    }

    /// Applies the redirect that was found at one name of a path to the whole path.
    ///
    /// `before` is the path up to that name, with the slash if there is one, and `behind` the rest
    /// of it, from the slash on. The result is what to look up in the layers below.
    pub fn apply<'b>(
        &self,
        before: &[u8],
        behind: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<Redirect<'b>> {
        let mut writer = Writer::new(buffer);
        if !self.is_absolute() {
            writer.put(before)?;
        }
        writer.put(self.path)?;
        writer.put(behind)?;
        Redirect::parse(writer.finish())
    }
}

/// Builds an absolute redirect from the object upwards.
///
/// The buffer is as long as the redirect may be.
pub struct RedirectBuilder<'b> {
    buffer: &'b mut [u8],
    start: usize,
}

impl<'b> RedirectBuilder<'b> {
    /// Starts with the empty path.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        let start = buffer.len();
        Self { buffer, start }
    }

    /// Puts the redirect of the next ancestor, or its name if it has none, before the path.
    ///
    /// An absolute one is the last: it says where all the others are.
    pub fn prepend(&mut self, ancestor: Redirect<'_>) -> Result<()> {
        let slash: &[u8] = if ancestor.is_absolute() { b"" } else { b"/" };
        for part in [ancestor.path, slash] {
            let start = self
                .start
                .checked_sub(part.len())
                .ok_or(FormatError::TooLong)?;
            self.buffer
                .get_mut(start..self.start)
                .ok_or(FormatError::TooLong)?
                .copy_from_slice(part);
            self.start = start;
        }
        Ok(())
    }

    /// Returns the redirect; without any ancestor it is [`FormatError::Invalid`].
    pub fn finish(self) -> Result<Redirect<'b>> {
        let buffer: &'b [u8] = self.buffer;
        Redirect::parse(buffer.get(self.start..).unwrap_or_default())
    }
}

/// Tells whether `name` can be an entry of a directory.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
}
