// SPDX-License-Identifier: GPL-2.0

//! The data of a metacopy, in a lower layer.
//!
//! Where a metacopy leads to by the names of merged directories is known when
//! it is looked up. What is in a data-only layer is looked for when the data is
//! needed: looking at attributes alone must not cost that. What is found has to
//! have the digest that the metacopy tells, if the option `verity` is given.

use crate::{
    casefold,
    config::VerityMode,
    entry::OverlayInode,
    format::{
        metacopy::Metacopy,
        redirect::Redirect, //
    },
    layers::LayerPath,
    metacopy,
    Overlay, //
};
use kernel::{
    prelude::*,
    sync::{aref::ARef, atomic::ordering, SetOnce},
    time::{delay::fsleep, Delta}, //
};
use vfs::{
    cred::with_creds,
    dentry::{Dentry, DentryOf, Name},
    inode::InodeOf,
    mount::PathRef,
    super_block::{SuperBlock, SuperBlockOf}, //
};

/// As long as a path can be, with its NUL.
const PATH_MAX: usize = 4096;

/// Data that is looked for in data-only layers when it is needed.
pub(crate) struct Deferred {
    /// A value of `overlay.redirect`.
    redirect: KVec<u8>,
    found: SetOnce<LayerPath>,
}

impl Deferred {
    /// Data that is where `redirect` says.
    pub(crate) fn new(redirect: KVec<u8>) -> Self {
        Self {
            redirect,
            found: SetOnce::new(),
        }
    }

    /// The file, if it was looked for.
    pub(crate) fn found(&self) -> Option<&LayerPath> {
        self.found.as_ref()
    }
}

/// Makes sure that the data of a regular file is found, and is what it is to be.
///
/// Fails with `ENOENT` if the data is missing, `EIO` if it is another one. Takes no
/// locks.
#[inline]
pub(crate) fn find(dentry: &DentryOf<Overlay>) -> Result {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    if !inode.is_metacopy() || !inode.mode().is_reg() {
        return Ok(());
    }
    find_for_metacopy(dentry, inode)
}

#[cold]
#[inline(never)]
fn find_for_metacopy(dentry: &DentryOf<Overlay>, inode: &InodeOf<Overlay>) -> Result {
    let sb = inode.super_data();
    let rare = inode.data().rare();
    if let Some(deferred) = rare.and_then(|rare| rare.deferred.get()) {
        if deferred.found().is_none() {
            let found = with_creds(&sb.cred, |_| {
                look_for(inode.super_block_of(), &deferred.redirect)
            })
            .inspect_err(|err| {
                let err = err.to_errno();
                vfs::pr_warn_ratelimited!("the data of a metacopy was not found: error {err}\n");
            })?;
            // If another task is faster, it has found the same, and is about to have put it there.
            if !deferred.found.populate(found) {
                while deferred.found().is_none() {
                    fsleep(Delta::from_micros(10));
                }
            }
            dentry.set_revalidation(inode.objects());
        }
    }
    if sb.config.verity == VerityMode::Off
        || rare.is_some_and(|rare| rare.verified.load(ordering::Relaxed))
    {
        return Ok(());
    }
    with_creds(&sb.cred, |_| verify(inode))?;
    // Without memory to note it in, it is verified again.
    if let Ok(rare) = inode.rare_or_init() {
        rare.verified.store(true, ordering::Relaxed);
    }
    Ok(())
}

/// Looks for a file in the data-only layers, from the highest on.
fn look_for(sb: &SuperBlockOf<Overlay>, redirect: &[u8]) -> Result<LayerPath> {
    let redirect = Redirect::parse(redirect).map_err(|_| EIO)?;
    if !redirect.is_absolute() {
        return Err(EIO);
    }
    if redirect.as_bytes().len() >= PATH_MAX {
        return Err(ENAMETOOLONG);
    }
    let mut result = Err(ENOENT);
    for (layer, root) in sb.data().layers.data_only_roots() {
        match walk(sb, root.borrow(), &redirect) {
            Ok(dentry) => return Ok(LayerPath { layer, dentry }),
            Err(err) => result = Err(err),
        }
    }
    result
}

/// Finds the regular file at a path below `root`: neither symbolic links nor
/// mounts are followed.
fn walk(overlay: &SuperBlock, root: PathRef<'_>, redirect: &Redirect<'_>) -> Result<ARef<Dentry>> {
    let mut at: ARef<Dentry> = root.dentry().into();
    for name in redirect.names() {
        let dir = PathRef::new(root.mount(), &at)?;
        let next = dir.lookup_positive(Name::new(name)?)?;
        if next.is_weird() || casefold::check(overlay, &next).is_err() {
            return Err(EREMOTE);
        }
        at = next;
    }
    if !at.inode().ok_or(ENOENT)?.mode().is_reg() {
        return Err(ENOENT);
    }
    Ok(at)
}

/// Compares the digest that a metacopy tells with that of the data. Called with
/// the mounter's credentials.
fn verify(inode: &InodeOf<Overlay>) -> Result {
    let metacopy = metacopy::read(inode.super_data().namespace(), inode.real_path()?)?;
    let Some((algorithm, expected)) = metacopy.as_ref().and_then(Metacopy::digest) else {
        if inode.super_data().config.verity == VerityMode::Require {
            vfs::pr_warn_ratelimited!("a metacopy has no digest\n");
            return Err(EIO);
        }
        return Ok(());
    };
    let actual = inode.lower_data_path()?.verity_digest().map_err(|_| EIO)?;
    let same = actual
        .is_some_and(|actual| actual.algorithm() == algorithm && actual.as_bytes() == expected);
    if !same {
        vfs::pr_warn_ratelimited!("the data of a metacopy has not the digest that it is to have\n");
        return Err(EIO);
    }
    Ok(())
}
