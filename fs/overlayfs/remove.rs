// SPDX-License-Identifier: GPL-2.0

//! Removing objects, and whiteouts: what hides an object of a lower layer.

use crate::{
    copy_up,
    entry::OverlayInode,
    format::whiteout,
    index,
    layers::{SharedWhiteout, Upper},
    listing::Listing,
    lookup::exists_in_lower,
    nlink,
    observe,
    workdir,
    written,
    Overlay, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    attr::{Device, Mode},
    cred::with_creds,
    dentry::{Child, Dentry, Name},
    inode::InodeOf,
    inode_ops::RenameFlags,
    mount::PathRef,
    namei::{Creating, Removing, Renaming},
    trace::Reason, //
};

/// Removes `child`, a directory or anything else.
pub(crate) fn remove(dir: &InodeOf<Overlay>, child: Child<'_, Overlay>) -> Result {
    let inode = child.dentry().inode_of().ok_or(ENOENT)?;
    let is_dir = inode.mode().is_dir();
    let sb = dir.super_data();
    // A directory of upper alone is empty if it can be removed, and looked at if it cannot.
    let tells_itself = is_dir && inode.merged().is_empty() && inode.upper().is_some();
    if is_dir && !tells_itself {
        check_empty(inode)?;
    }
    copy_up::copy_up(child.parent(), Reason::Remove)?;
    index::before_removal(child.dentry())?;
    // Nobody copies it up from here on: what is in upper stays what it is.
    let settled = inode.data().copy_up.lock_killable()?;
    // Lower directories may be an overlay's: their locks rank above the access to write.
    let in_lower =
        inode.upper().is_none() || with_creds(&sb.cred, |_| exists_in_lower(dir, child.name()))?;
    if in_lower && tells_itself {
        check_empty(inode)?;
    }
    let upper = sb.layers.upper()?;
    let write = upper.mount().want_write()?;
    with_creds(&sb.cred, |_| {
        nlink::before_change(inode)?;
        if in_lower {
            hide(upper, dir, child, inode)
        } else {
            remove_from_upper(upper, dir, child, inode)
        }
    })?;
    drop(write);
    dir.dir_changed();
    if is_dir {
        inode.clear_nlink();
    } else {
        drop_link(child.dentry(), inode);
    }
    // Its objects in layers are known to the inode, which may be in use: the name is looked up
    // anew.
    child.unhash();
    index::after_removal(inode);
    written::forget(inode);
    drop(settled);
    if inode.upper().is_some() {
        inode.copy_attr()?;
    }
    Ok(())
}

/// Takes a link from the count, which must not reach zero while there is another
/// name: layers that change underneath may make it wrong.
pub(crate) fn drop_link(dentry: &Dentry, inode: &InodeOf<Overlay>) {
    if inode.nlink() > u32::from(dentry.has_other_alias()) {
        inode.drop_nlink();
    }
}

/// Checks that a directory shows nothing: `ENOTEMPTY`.
pub(crate) fn check_empty(dir: &InodeOf<Overlay>) -> Result {
    let listing = with_creds(&dir.super_data().cred, |_| Listing::read(dir))?;
    if listing.is_empty() {
        Ok(())
    } else {
        Err(ENOTEMPTY)
    }
}

/// Looks the object in upper up, and checks that it is the one that the inode
/// stands for: `ESTALE` if upper was changed underneath.
fn current(
    dir: PathRef<'_>,
    child: Child<'_, Overlay>,
    inode: &InodeOf<Overlay>,
) -> Result<ARef<Dentry>> {
    let found = dir.lookup(child.name())?;
    match inode.upper() {
        Some(upper) if !same_object(upper, &found) => Err(ESTALE),
        _ => Ok(found),
    }
}

/// Whether two dentries of a layer are of one inode.
pub(crate) fn same_object(a: &Dentry, b: &Dentry) -> bool {
    match (a.inode(), b.inode()) {
        (Some(a), Some(b)) => core::ptr::eq(a, b),
        _ => false,
    }
}

/// Removes what is in upper only.
fn remove_from_upper(
    upper: &Upper,
    dir: &InodeOf<Overlay>,
    child: Child<'_, Overlay>,
    inode: &InodeOf<Overlay>,
) -> Result {
    let dir = dir.upper_path()?.ok_or(EIO)?;
    let removed = {
        let removing = Removing::start(dir, child.name())?;
        match inode.upper() {
            Some(upper) if same_object(upper, removing.dentry()) => removing.remove(),
            _ => Err(ESTALE),
        }
    };
    match removed {
        Err(err) if err == ENOTEMPTY => {
            if inode.merged().is_empty() {
                // Others were looked at before there was access to write, below which locks of
                // lower directories do not rank.
                check_empty(inode)?;
            }
            // What it shows is nothing, so what it has is whiteouts.
            let target = current(dir, child, inode)?;
            workdir::take(upper, dir, &target)?;
            workdir::discard_tree(upper, &target);
            Ok(())
        }
        removed => removed,
    }
}

/// Puts a whiteout in place of the object: one step, in which what was in upper
/// goes to the work directory. Where upper has nothing nothing is replaced, and the
/// whiteout needs no other name before.
fn hide(
    upper: &Upper,
    dir: &InodeOf<Overlay>,
    child: Child<'_, Overlay>,
    inode: &InodeOf<Overlay>,
) -> Result {
    let path = dir.upper_path()?.ok_or(EIO)?;
    let is_free = inode.upper().is_none();
    if !is_free || !link_whiteout(upper, path, child.name())? {
        let target = current(path, child, inode)?;
        replace_by_whiteout(upper, path, &target)?;
    }
    observe::whiteout(dir, child.name());
    Ok(())
}

/// Gives the whiteout that is kept another name; `false` if it cannot have it: it is to
/// be replaced, or no link is possible. The caller has write access.
fn link_whiteout(upper: &Upper, dir: PathRef<'_>, name: Name<'_>) -> Result<bool> {
    let Some(kept) = shared_whiteout(upper, &mut upper.whiteout.lock())? else {
        return Ok(false);
    };
    let creating = Creating::start(dir, name)?;
    Ok(creating.dentry().is_negative() && creating.link(&kept).is_ok())
}

/// The whiteout that is kept, which is made if there is none yet; `None` if whiteouts
/// are made one by one.
fn shared_whiteout(upper: &Upper, shared: &mut SharedWhiteout) -> Result<Option<ARef<Dentry>>> {
    if let SharedWhiteout::None = shared {
        *shared = SharedWhiteout::Some(new_whiteout(upper)?);
    }
    match shared {
        SharedWhiteout::Some(kept) => Ok(Some(kept.clone())),
        _ => Ok(None),
    }
}

/// Puts a whiteout in place of `target` in a directory of upper or the index; there
/// may be nothing. The caller has write access.
pub(crate) fn replace_by_whiteout(upper: &Upper, dir: PathRef<'_>, target: &Dentry) -> Result {
    let whiteout = make_whiteout(upper)?;
    // A directory is not replaced by a rename, but exchanged.
    let flags = if target.is_dir() {
        RenameFlags::EXCHANGE
    } else {
        RenameFlags::NONE
    };
    let work = upper.work()?;
    let renaming = if target.is_negative() {
        // The dentry of a name that is not there is not always one to be locked.
        target.with_name(|name| Renaming::start_to_new_name(work, &whiteout, dir, name))
    } else {
        Renaming::start_dentries(work, &whiteout, dir, target, flags)
    };
    if let Err(err) = renaming.and_then(|renaming| renaming.rename()) {
        workdir::discard(upper, &whiteout);
        return Err(err);
    }
    if flags == RenameFlags::EXCHANGE {
        workdir::discard_tree(upper, target);
    }
    Ok(())
}

/// Makes a whiteout in the work directory: a link to one that is kept there,
/// where the filesystem can, since whiteouts are all alike.
fn make_whiteout(upper: &Upper) -> Result<ARef<Dentry>> {
    loop {
        let Some(kept) = shared_whiteout(upper, &mut upper.whiteout.lock())? else {
            return new_whiteout(upper);
        };
        // Without the lock, which is one for the whole mount, as is that of the work directory.
        let err = match workdir::start_temp(upper)?.link(&kept) {
            Err(err) => err,
            linked => return linked,
        };
        let mut shared = upper.whiteout.lock();
        if !matches!(&*shared, SharedWhiteout::Some(now) if core::ptr::eq(&**now, &*kept)) {
            // Another task has used it up, and it may be gone.
            continue;
        }
        // It has all the links that it can have, or there is no room for another one now: the
        // last use of it is itself.
        if [EMLINK, ENOMEM, ENOSPC, EDQUOT].contains(&err) {
            *shared = SharedWhiteout::None;
            return Ok(kept);
        }
        vfs::pr_warn_ratelimited!("whiteouts are made one by one: error {}\n", err.to_errno());
        *shared = SharedWhiteout::Unsupported;
        drop(shared);
        return if kept.is_unhashed() {
            new_whiteout(upper)
        } else {
            Ok(kept)
        };
    }
}

fn new_whiteout(upper: &Upper) -> Result<ARef<Dentry>> {
    let mode = u16::try_from(whiteout::MODE).map_err(|_| EINVAL)?;
    workdir::start_temp(upper)?.mknod(Mode::from_bits(mode), Device::WHITEOUT)
}
