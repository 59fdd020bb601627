// SPDX-License-Identifier: GPL-2.0

//! Renaming.

use crate::{
    config::{RedirectMode, RenameDirMode},
    copy_up,
    copy_xattrs::copy_xattrs,
    detach::detach,
    entry::OverlayInode,
    index,
    layers::Upper,
    lookup::{exists_in_lower, is_whiteout},
    metacopy,
    nlink,
    observe,
    redirect::{self, Reach},
    remove::{check_empty, drop_link, same_object},
    workdir,
    written,
    Overlay, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    attr::{Stat, StatFlags, StatMask},
    cred::with_creds,
    dentry::{Child, Dentry},
    inode::InodeOf,
    inode_ops::{RenameFlags, RenameLocks},
    namei::Renaming,
    trace::Reason, //
};

/// Whether lower layers have objects that are merged into a directory: they stay
/// where they are when it is renamed.
fn is_merged_or_lower(inode: &InodeOf<Overlay>) -> bool {
    inode.mode().is_dir() && !inode.merged().is_empty()
}

/// How far an object is moved.
fn reach(old: Child<'_, Overlay>, new: Child<'_, Overlay>) -> Reach {
    if **old.parent() == **new.parent() {
        Reach::Sibling
    } else {
        Reach::Anywhere
    }
}

/// Whether an object can be moved as it is: all but a directory that lower
/// layers have can, and that with a redirect.
fn can_move(child: Child<'_, Overlay>, inode: &InodeOf<Overlay>, reach: Reach) -> Result<bool> {
    if !is_merged_or_lower(inode) {
        return Ok(true);
    }
    let redirects = inode.super_data().config.redirect_dir == RedirectMode::On;
    Ok(redirects && redirect::is_possible(child.dentry(), reach)?)
}

/// See `InodeOperations::rename`.
pub(crate) fn rename(
    old: Child<'_, Overlay>,
    new: Child<'_, Overlay>,
    flags: RenameFlags,
    locks: RenameLocks<'_, Overlay>,
) -> Result {
    let known = RenameFlags::EXCHANGE.union(RenameFlags::NOREPLACE);
    if flags.without(known) != RenameFlags::NONE {
        return Err(EINVAL);
    }
    let exchange = flags.contains(RenameFlags::EXCHANGE);
    let old_inode = old.dentry().inode_of().ok_or(ENOENT)?;
    let new_inode = new.dentry().inode_of();
    let reach = reach(old, new);
    let moved = [
        (old, Some(old_inode)),
        (new, new_inode.filter(|_| exchange)),
    ];
    let mut copied = [false; 2];
    for (copied, (child, inode)) in copied.iter_mut().zip(moved) {
        if let Some(inode) = inode {
            *copied = !can_move(child, inode, reach)?;
        }
    }
    if copied != [false; 2] && old_inode.super_data().config.rename_dir == RenameDirMode::Exdev {
        return Err(EXDEV);
    }
    if let Some(new_inode) = new_inode.filter(|inode| !exchange && inode.mode().is_dir()) {
        check_empty(new_inode)?;
    }
    for (copied, (child, _)) in copied.into_iter().zip(moved) {
        if copied {
            detach(child.dentry(), locks.moved(child.dentry()))?;
        }
    }
    metacopy::copy_up_to_move(old.dentry(), reach, Reason::Rename)?;
    copy_up::copy_up(new.parent(), Reason::Rename)?;
    if exchange {
        metacopy::copy_up_to_move(new.dentry(), reach, Reason::Rename)?;
    }
    let sb = old_inode.super_data();
    let upper = sb.layers.upper()?;
    let replaced = new_inode.filter(|_| !exchange);
    if replaced.is_some() {
        index::before_removal(new.dentry())?;
    }
    // Nobody copies up what is replaced: what is in upper stays what it is.
    let settled = replaced
        .map(|inode| inode.data().copy_up.lock_killable())
        .transpose()?;
    with_creds(&sb.cred, |_| {
        // Lower directories may be an overlay's: their locks rank above the access to write.
        let old_dir = old.parent().inode_of().ok_or(ENOENT)?;
        let hides_lower = !exchange && exists_in_lower(old_dir, old.name())?;
        let move_up = Move {
            hides_lower,
            upper,
            old,
            new,
            old_inode,
            new_inode,
            exchange,
        };
        move_up.mark_parents()?;
        let _write = upper.mount().want_write()?;
        if let Some(replaced) = replaced {
            nlink::before_change(replaced)?;
        }
        move_up.run()
    })?;

    if let Some(replaced) = replaced {
        new.unhash();
        if replaced.mode().is_dir() {
            replaced.clear_nlink();
        } else {
            drop_link(new.dentry(), replaced);
        }
        index::after_removal(replaced);
        written::forget(replaced);
    }
    drop(settled);
    for parent in [old.parent(), new.parent()] {
        parent.inode_of().ok_or(ENOENT)?.dir_changed();
    }
    old_inode.copy_attr()?;
    if let Some(new_inode) = new_inode.filter(|inode| inode.upper().is_some()) {
        new_inode.copy_attr()?;
    }
    Ok(())
}

/// A rename within upper.
struct Move<'a> {
    upper: &'a Upper,
    old: Child<'a, Overlay>,
    new: Child<'a, Overlay>,
    old_inode: &'a InodeOf<Overlay>,
    new_inode: Option<&'a InodeOf<Overlay>>,
    exchange: bool,
    /// Whether a lower layer has something under the old name.
    hides_lower: bool,
}

impl<'a> Move<'a> {
    fn old_dir(&self) -> Result<&'a InodeOf<Overlay>> {
        self.old.parent().inode_of().ok_or(ENOENT)
    }

    fn new_dir(&self) -> Result<&'a InodeOf<Overlay>> {
        self.new.parent().inode_of().ok_or(ENOENT)
    }

    /// Notes in a directory that gets an object with an origin that it has one.
    fn mark_parents(&self) -> Result {
        let (old_dir, new_dir) = (self.old_dir()?, self.new_dir()?);
        if core::ptr::eq(old_dir, new_dir) {
            return Ok(());
        }
        if self.old_inode.has_origin() {
            copy_up::set_impure(new_dir)?;
        }
        match self.new_inode {
            Some(new_inode) if self.exchange && new_inode.has_origin() => {
                copy_up::set_impure(old_dir)
            }
            _ => Ok(()),
        }
    }

    fn run(&self) -> Result {
        let (old_dir, new_dir) = (self.old_dir()?, self.new_dir()?);
        let old_path = old_dir.upper_path()?.ok_or(EIO)?;
        let new_path = new_dir.upper_path()?.ok_or(EIO)?;
        let is_dir = self.old_inode.mode().is_dir();
        let over_whiteout =
            self.new_inode.is_none() && self.is_whiteout(&*new_path.lookup(self.new.name())?)?;

        // What the old name leaves behind: a whiteout if a lower layer has something there. If
        // there is one at the new name the two are exchanged, also to replace it by a directory.
        let hides_lower = self.hides_lower;
        let exchanges = self.exchange || over_whiteout && (hides_lower || is_dir);
        let flags = if exchanges {
            RenameFlags::EXCHANGE
        } else if hides_lower {
            RenameFlags::WHITEOUT
        } else {
            RenameFlags::NONE
        };

        let replaced = match self.new_inode {
            Some(inode) if !self.exchange && inode.mode().is_dir() => self.emptied(inode)?,
            _ => None,
        };

        let renaming =
            Renaming::start(old_path, self.old.name(), new_path, self.new.name(), flags)?;
        self.check_current(&renaming, replaced.as_deref(), exchanges)?;
        self.keep_merged(self.old, new_dir)?;
        if self.exchange {
            self.keep_merged(self.new, old_dir)?;
        }
        let whiteout = ARef::<Dentry>::from(renaming.new_dentry());
        renaming.rename()?;
        if flags == RenameFlags::WHITEOUT {
            observe::whiteout(old_dir, self.old.name());
        }
        if exchanges && !self.exchange && !hides_lower {
            // Nothing needs hiding at the old name.
            if let Err(err) = workdir::remove(old_path, &whiteout) {
                vfs::pr_err_ratelimited!("cannot remove a whiteout: error {}\n", err.to_errno());
            }
        }
        Ok(())
    }

    fn is_whiteout(&self, dentry: &Dentry) -> Result<bool> {
        Ok(!dentry.is_negative() && is_whiteout(self.upper.namespace, self.upper.path(dentry)?)?)
    }

    /// Checks that upper has under both names what the inodes stand for:
    /// `ESTALE` if it was changed underneath.
    fn check_current(
        &self,
        renaming: &Renaming<'_>,
        replaced: Option<&Dentry>,
        exchanges: bool,
    ) -> Result {
        let old_upper = self.old_inode.upper().ok_or(EIO)?;
        if !same_object(old_upper, renaming.old()) {
            return Err(ESTALE);
        }
        let found = renaming.new_dentry();
        let expected = replaced.or_else(|| self.new_inode.and_then(|inode| inode.upper()));
        let good = match expected {
            Some(expected) => same_object(expected, found),
            None if found.is_negative() => !exchanges,
            None => self.is_whiteout(found)?,
        };
        if !good || same_object(renaming.old(), found) {
            return Err(ESTALE);
        }
        Ok(())
    }

    /// Prepares a directory to be found again in `to`, merged with the same
    /// directories as now: by a redirect, or with none, even if lower layers have
    /// one of its new name. So is a metacopy, with its data.
    fn keep_merged(&self, child: Child<'_, Overlay>, to: &InodeOf<Overlay>) -> Result {
        let inode = child.dentry().inode_of().ok_or(ENOENT)?;
        let entry = inode.data();
        let reach = reach(self.old, self.new);
        if !inode.mode().is_dir() {
            return metacopy::set_redirect(child.dentry(), reach);
        }
        if is_merged_or_lower(inode) {
            return redirect::set(child.dentry(), reach);
        }
        if entry.is_opaque() || !to.is_merged() {
            return Ok(());
        }
        workdir::set_opaque(self.upper, inode.upper().ok_or(EIO)?, EXDEV)?;
        entry.set_opaque();
        Ok(())
    }

    /// A directory that shows nothing but is in upper, with whiteouts in it,
    /// cannot be replaced by a rename: exchanges it for one that is empty.
    fn emptied(&self, inode: &InodeOf<Overlay>) -> Result<Option<ARef<Dentry>>> {
        let Some(path) = inode.upper_path()? else {
            return Ok(None);
        };
        if workdir::is_empty(path)? {
            return Ok(None);
        }
        let stat = Stat::get(path, StatMask::BASIC, StatFlags::AS_STAT)?;
        let empty = workdir::start_temp(self.upper)?.mkdir(stat.mode())?;
        let to = self.upper.path(&empty)?;
        let place = || -> Result {
            copy_xattrs(self.upper.namespace, path, to)?;
            workdir::set_opaque(self.upper, &empty, EIO)?;
            copy_up::set_attributes(to, &stat)?;
            let dir = self.new_dir()?.upper_path()?.ok_or(EIO)?;
            let flags = RenameFlags::EXCHANGE;
            Renaming::start_dentries(self.upper.work()?, &empty, dir, path.dentry(), flags)?
                .rename()
        };
        if let Err(err) = place() {
            workdir::discard(self.upper, &empty);
            return Err(err);
        }
        workdir::discard_tree(self.upper, path.dentry());
        // The inode stands for a directory that is gone.
        self.new.unhash();
        Ok(Some(empty))
    }
}
