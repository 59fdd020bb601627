// SPDX-License-Identifier: GPL-2.0

//! Redirects: where lower layers have an object that was renamed in a higher
//! one.

use crate::{
    entry::OverlayInode,
    format::{
        redirect::{Redirect, RedirectBuilder},
        xattr::{Attribute, Namespace, VALUE_MAX}, //
    },
    xattr,
    Overlay, //
};
use core::ops::Range;
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    dentry::{DentryOf, Name},
    mount::PathRef,
    params, //
};

/// Reads the redirect of an object of a layer; `None` when it has none.
///
/// Fails with `EINVAL` when it is none that could be followed within a layer.
pub(crate) fn read(namespace: Namespace, path: PathRef<'_>) -> Result<Option<KVec<u8>>> {
    // Almost no object has one: nothing is allocated before it is there.
    let Some(len) = xattr::len_if_readable(namespace, path, Attribute::Redirect)? else {
        return Ok(None);
    };
    let mut value = KVec::new();
    value.resize(len, 0, GFP_KERNEL_ACCOUNT)?;
    let len = match xattr::get_own(namespace, path, Attribute::Redirect, &mut value)? {
        Some(value) => Redirect::parse(value).map(|redirect| redirect.as_bytes().len()),
        None => return Ok(None),
    };
    match len {
        Ok(len) => value.truncate(len),
        Err(_) => {
            vfs::pr_warn_ratelimited!("invalid redirect\n");
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

    /// The name, if it is one in the parent directory.
    pub(crate) fn as_sibling(&self) -> Option<&[u8]> {
        let bytes = self.as_bytes();
        match self {
            Self::Redirected(path) if path.contains(&b'/') => None,
            _ => Some(bytes),
        }
    }

    /// The name at `place`.
    pub(crate) fn name(&self, place: &Range<usize>) -> Result<Name<'_>> {
        match self {
            // Almost always, and then it has been checked.
            Self::Name(name) if place.len() == name.as_bytes().len() => Ok(*name),
            _ => Name::new(self.as_bytes().get(place.clone()).ok_or(EIO)?),
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
            vfs::pr_warn_ratelimited!("redirects lead to a path that is too long\n");
            return Err(EINVAL);
        }
        path.resize(len, 0, GFP_KERNEL_ACCOUNT)?;
        let len = redirect
            .apply(before, behind, &mut path)
            .map_err(|_| EINVAL)?
            .as_bytes()
            .len();
        path.truncate(len);
        Ok(Self::Redirected(path))
    }
}

/// How far a redirect has to lead.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To another name in the same directory.
    Sibling,
    /// Anywhere.
    Anywhere,
}

/// The redirect that an object needs to be found by the lower layers' objects
/// after it was moved; `None` when the one that it has is as good.
///
/// Fails with `EXDEV` when it would be too long.
fn needed(dentry: &DentryOf<Overlay>, reach: Reach) -> Result<Option<KVec<u8>>> {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    let is_good = |redirect: &[u8]| reach == Reach::Sibling || redirect.starts_with(b"/");
    if inode
        .data()
        .rare()
        .is_some_and(|rare| rare.has_redirect(is_good))
    {
        return Ok(None);
    }
    match reach {
        Reach::Sibling => dentry.with_name(|name| copy(name.as_bytes())),
        Reach::Anywhere => absolute(dentry),
    }
    .map(Some)
}

/// Whether the redirect that an object needs to be moved is not too long.
pub(crate) fn is_possible(dentry: &DentryOf<Overlay>, reach: Reach) -> Result<bool> {
    match needed(dentry, reach) {
        Err(err) if err == EXDEV => Ok(false),
        result => result.map(|_| true),
    }
}

/// Gives an object of upper, which is about to be moved, a redirect to where
/// lower layers have it, unless it has one that is as good.
///
/// The caller has write access, holds the locks of the overlay's rename, and
/// sees to it that the object has lower ones that are merged into it. Fails with
/// `EXDEV` when the redirect is too long, or upper does not take it.
pub(crate) fn set(dentry: &DentryOf<Overlay>, reach: Reach) -> Result {
    let Some(redirect) = needed(dentry, reach)? else {
        return Ok(());
    };
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    let upper = inode.upper_path()?.ok_or(EIO)?;
    let layer = inode.super_data().layers.upper()?;
    if !layer.features.xattr {
        return Err(EXDEV);
    }
    let rare = inode.rare_or_init()?;
    match xattr::set_own(layer.namespace, upper, Attribute::Redirect, &redirect) {
        // Whoever renames should try again, and not copy.
        Err(err) if err == ENOMEM => return Err(err),
        Err(err) => {
            vfs::pr_warn_ratelimited!("failed to set redirect: error {}\n", err.to_errno());
            return Err(EXDEV);
        }
        Ok(()) => {}
    }
    *rare.redirect.lock() = Some(redirect);
    Ok(())
}

/// The path at which lower layers have an object.
///
/// An object that was renamed has a redirect, which says where it was; one that
/// was not has its name. The name of each ancestor is read before its redirect,
/// which a rename sets first: so what is read together belongs together.
fn absolute(dentry: &DentryOf<Overlay>) -> Result<KVec<u8>> {
    let mut buffer = KVec::new();
    buffer.resize(params::redirect_max() as usize, 0, GFP_KERNEL)?;
    let mut builder = RedirectBuilder::new(&mut buffer);
    let mut at = ARef::<DentryOf<Overlay>>::from(dentry);
    loop {
        let parent = at.parent_of();
        if **parent == **at {
            break;
        }
        let name = at.with_name(|name| copy(name.as_bytes()))?;
        if *at.parent() != **parent {
            // It was moved in between.
            continue;
        }
        let is_last = {
            let rare = at.inode_of().ok_or(ENOENT)?.data().rare();
            let redirect = rare.map(|rare| rare.redirect.lock());
            let redirect = redirect.as_ref().and_then(|redirect| redirect.as_ref());
            let part = Redirect::parse(redirect.unwrap_or(&name)).map_err(|_| EIO)?;
            builder.prepend(part).map_err(|_| EXDEV)?;
            part.is_absolute()
        };
        if is_last {
            break;
        }
        at = parent;
    }
    let redirect = builder.finish().map_err(|_| EXDEV)?;
    copy(redirect.as_bytes())
}

fn copy(bytes: &[u8]) -> Result<KVec<u8>> {
    let mut copy = KVec::new();
    copy.extend_from_slice(bytes, GFP_KERNEL_ACCOUNT)?;
    Ok(copy)
}
