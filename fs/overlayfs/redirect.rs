// SPDX-License-Identifier: GPL-2.0

//! Redirects: where lower layers have an object that was renamed in a higher
//! one.

use crate::{
    format::{
        redirect::Redirect,
        xattr::{Attribute, VALUE_MAX}, //
    },
    xattr, //
};
use core::ops::Range;
use kernel::prelude::*;
use vfs::{
    dentry::Name,
    mount::PathRef, //
};

/// Reads the redirect of an object of a layer; `None` when it has none.
///
/// Fails with `EINVAL` when it is none that could be followed within a layer.
pub(crate) fn read(path: PathRef<'_>) -> Result<Option<KVec<u8>>> {
    // Almost no object has one: nothing is allocated before it is there.
    let Some(len) = xattr::len_of_own(path, Attribute::Redirect)? else {
        return Ok(None);
    };
    let mut value = KVec::new();
    value.resize(len, 0, GFP_KERNEL)?;
    let len = match xattr::get_own(path, Attribute::Redirect, &mut value)? {
        Some(value) => Redirect::parse(value).map(|redirect| redirect.as_bytes().len()),
        None => return Ok(None),
    };
    match len {
        Ok(len) => value.truncate(len),
        Err(_) => {
            pr_warn!("invalid redirect\n");
            return Err(EINVAL);
        }
    }
    Ok(Some(value))
}

/// What is looked for in the next layer.
pub(crate) enum Wanted<'a> {
    /// A name in the parent directory.
    Name(Name<'a>),
    /// What a redirect says: another name there, or a path from the layer's root.
    Redirected(KVec<u8>),
}

impl Wanted<'_> {
    /// The name or path.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Name(name) => name.as_bytes(),
            Self::Redirected(path) => path,
        }
    }

    /// Whether it is a path from the layer's root.
    pub(crate) fn is_absolute(&self) -> bool {
        self.as_bytes().starts_with(b"/")
    }

    /// The place of the name that begins `left` bytes before the end.
    pub(crate) fn name_at(&self, left: usize) -> Result<Range<usize>> {
        let bytes = self.as_bytes();
        let start = bytes.len().checked_sub(left).ok_or(EIO)?;
        let rest = bytes.get(start..).ok_or(EIO)?;
        let len = rest.iter().position(|&byte| byte == b'/');
        Ok(start..start + len.unwrap_or(rest.len()))
    }

    /// Follows the redirect that an object has whose name is at `place`: answers
    /// what is wanted in the layers below.
    pub(crate) fn redirected(&self, place: &Range<usize>, redirect: &[u8]) -> Result<Self> {
        let bytes = self.as_bytes();
        let before = bytes.get(..place.start).ok_or(EIO)?;
        let behind = bytes.get(place.end..).ok_or(EIO)?;
        let redirect = Redirect::parse(redirect).map_err(|_| EINVAL)?;
        let mut path = KVec::new();
        let len = before.len() + redirect.as_bytes().len() + behind.len();
        if len > VALUE_MAX {
            // Only redirects in redirects get there, which nobody has made by renaming.
            pr_warn!("redirects lead to a path that is too long\n");
            return Err(EINVAL);
        }
        path.resize(len, 0, GFP_KERNEL)?;
        let len = redirect
            .apply(before, behind, &mut path)
            .map_err(|_| EINVAL)?
            .as_bytes()
            .len();
        path.truncate(len);
        Ok(Self::Redirected(path))
    }
}
