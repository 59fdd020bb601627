// SPDX-License-Identifier: GPL-2.0

//! Directories in which names are told apart without their case.
//!
//! A name has to mean the same in all layers that are merged, so either all
//! directories of all layers are case-folded, in the same way, or none is.

use crate::{
    params::{Context, Shown},
    Overlay, //
};
use kernel::prelude::*;
use vfs::{
    casefold::FoldedName,
    context::{FsContext, Refused},
    dentry::Dentry,
    mount::Path,
    super_block::{NewSuperBlock, SuperBlock}, //
};

/// The directories of all layers, each with the option that names it: the one
/// that decides for all comes first.
fn layers(context: &Context) -> impl Iterator<Item = (&'static str, &Path)> {
    let upper = context.upper.iter().map(|upper| ("upperdir", &upper.path));
    let work = context.work.iter().map(|work| ("workdir", &work.path));
    let lower = context.lower.iter().map(|path| ("lowerdir", path));
    Iterator::chain(Iterator::chain(upper, work), lower)
}

/// Checks that all layers are case-folded, or none is.
pub(crate) fn check_layers(context: &Context, fc: &FsContext) -> Result<(), Refused> {
    let Some((_, first)) = layers(context).next() else {
        return Ok(());
    };
    let casefold = first.dentry().is_casefolded();
    match layers(context).find(|(_, path)| path.dentry().is_casefolded() != casefold) {
        None => Ok(()),
        Some((key, path)) => {
            let kind = if casefold { "sensitive" } else { "insensitive" };
            let shown = Shown::new(path.borrow());
            Err(fc.invalid(fmt!("{key}: '{shown}' is case-{kind}, unlike other layers")))
        }
    }
}

/// Has the overlay fold names as its layers do, which have to agree.
pub(crate) fn set_encoding(
    sb: &mut NewSuperBlock<Overlay>,
    context: &Context,
    fc: &FsContext,
) -> Result<(), Refused> {
    let Some((key, first)) = layers(context).next() else {
        return Ok(());
    };
    if !first.dentry().is_casefolded() {
        return Ok(());
    }
    let encoding = first.mount().super_block();
    if encoding.has_strict_encoding() {
        let shown = Shown::new(first.borrow());
        return Err(fc.invalid(fmt!(
            "{key}: the filesystem of '{shown}' has a strict encoding, which is not supported"
        )));
    }
    sb.load_encoding_of(encoding)
        .map_err(fc.failed("fold names as the layers do"))?;
    match layers(context).find(|(_, path)| !sb.same_encoding(path.mount().super_block())) {
        None => Ok(()),
        Some((key, path)) => {
            let shown = Shown::new(path.borrow());
            Err(fc.invalid(fmt!(
                "{key}: the filesystem of '{shown}' has another encoding than those of other layers"
            )))
        }
    }
}

/// Checks that `dentry`, if it is a directory, folds names as the overlay does;
/// `ESTALE` when somebody has changed that.
pub(crate) fn check(overlay: &SuperBlock, dentry: &Dentry) -> Result {
    if dentry.is_dir() && dentry.is_casefolded() != overlay.has_encoding() {
        vfs::pr_warn_ratelimited!("a layer has directories with case-folded names and without\n");
        return Err(ESTALE);
    }
    Ok(())
}

/// Names that are the same if their folded forms are: those of a listing, by
/// their index.
pub(crate) struct FoldedNames {
    names: KVVec<u8>,
    ends: KVVec<u32>,
}

impl FoldedNames {
    /// Folds `names` as `overlay` does.
    pub(crate) fn new<'a>(
        overlay: &SuperBlock,
        names: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self> {
        let mut this = Self {
            names: KVVec::new(),
            ends: KVVec::new(),
        };
        let mut buffer: KBox<FoldedName> = KBox::new([0; size_of::<FoldedName>()], GFP_KERNEL)?;
        for name in names {
            let folded = overlay.casefold(name, &mut buffer).unwrap_or(name);
            this.names.extend_from_slice(folded, GFP_KERNEL)?;
            let end = u32::try_from(this.names.len()).map_err(|_| EOVERFLOW)?;
            this.ends.push(end, GFP_KERNEL)?;
        }
        Ok(this)
    }

    /// The folded form of the name at `index`.
    pub(crate) fn get(&self, index: usize) -> &[u8] {
        let end_of = |index: usize| self.ends.get(index).map_or(0, |end| *end as usize);
        let start = index.checked_sub(1).map_or(0, end_of);
        self.names.get(start..end_of(index)).unwrap_or_default()
    }
}
