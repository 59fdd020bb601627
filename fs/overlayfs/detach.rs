// SPDX-License-Identifier: GPL-2.0

//! Detaching a directory from the lower layers, so that it can be renamed where
//! there are no redirects.
//!
//! All that is in it is copied up, each object in its place, and a directory
//! whose lower objects are all copied becomes opaque, from the leaves up. It
//! shows the same before and after each step, so nothing is to be undone when one
//! fails, nor after a crash: more has been copied up, that is all. In the end
//! the directory is upper's alone, and is moved as any other, by one rename.
//! Inodes stay what they are, with their numbers, open files, watches and
//! mappings.
//!
//! # Others that change the tree meanwhile
//!
//! The caller has locked the parents of the directory, and the directory itself
//! if it gets another parent. What is below is locked to look a name up, not
//! longer, and only tried: waiting for a directory that somebody has moved out
//! meanwhile could be a deadlock. Each name that lower layers show in a directory
//! is looked up once. From then on upper has something of this name, whatever
//! others do: the copy, or the whiteout that removing or moving it away has left,
//! or what was made instead. What is new is upper's anyway. So in the end all
//! names of lower layers are hidden, and opaque makes no difference.
//!
//! A directory that is moved in from elsewhere is opaque already, as every
//! directory is that was renamed without a redirect; or it has an absolute one,
//! by which it is found anywhere. With `redirect_dir=on`, which comes here only
//! when a redirect would be too long, somebody may have given an object a new
//! name in its directory: this is looked for again, and refused, before the
//! directory becomes opaque.

use crate::{
    config::RedirectMode,
    copy_up::{copy_up, copy_up_data, Data},
    entry::OverlayInode,
    format::xattr::Attribute,
    layers::Upper,
    listing::Listing,
    lookup::{has_xattr_whiteouts, is_whiteout},
    name_list::NameList,
    workdir,
    xattr,
    Overlay, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef,
    time::{delay::fsleep, Delta}, //
};
use vfs::{
    attr::{FileType, SetAttr, Stat, StatFlags, StatMask},
    cred::with_creds,
    dentry::{DentryOf, Name},
    file::killed,
    mount::PathRef,
    namei::{DirLock, LockedDir},
    params,
    readdir::is_unknown_type,
    trace::Reason, //
};

/// How often it is tried to lock a directory, ..
const TRIES: u32 = 500;
/// .. and how long is waited in between.
const PAUSE: Delta = Delta::from_millis(2);

/// Makes the directory `top` upper's alone. If it is `locked` already that is
/// told.
///
/// The caller has locked its parent for a rename. Fails with `EXDEV` when there
/// is too much to copy, when something in it cannot be had or is locked for
/// long, or when upper cannot say of a directory that it is opaque; `EINTR` if
/// killed; or as [`copy_up`] does.
pub(crate) fn detach(top: &DentryOf<Overlay>, locked: Option<LockedDir<'_, Overlay>>) -> Result {
    let sb = top.super_data();
    if !sb.layers.upper()?.features.xattr {
        return Err(EXDEV);
    }
    let tree = Tree {
        top,
        locked,
        has_redirects: sb.config.redirect_dir == RedirectMode::On,
    };
    let mut size = Size::default();
    tree.walk(&mut |visit| match visit {
        Visit::Enter(dentry) | Visit::Object(dentry) => size.add(dentry),
        Visit::Leave(_) => Ok(()),
    })?;
    tree.walk(&mut |visit| match visit {
        Visit::Enter(dentry) => copy_up(dentry, Reason::Rename),
        // A metacopy would look for its data under its new name.
        Visit::Object(dentry) => copy_up_data(dentry, Data::Copy, Reason::Rename),
        Visit::Leave(dir) => tree.settle(dir),
    })?;
    // Somebody has it removed, or its entries cannot be hidden.
    let inode = top.inode_of().ok_or(ENOENT)?;
    if inode.merged().is_empty() {
        Ok(())
    } else {
        Err(EXDEV)
    }
}

/// What is to be copied.
#[derive(Default)]
struct Size {
    objects: u32,
    bytes: u64,
}

impl Size {
    /// Counts an object that is not in upper: `EXDEV` when there are too many.
    fn add(&mut self, dentry: &DentryOf<Overlay>) -> Result {
        let inode = dentry.inode_of().ok_or(ENOENT)?;
        let is_file = inode.mode().is_reg();
        if inode.upper().is_some() && !(is_file && inode.is_metacopy()) {
            return Ok(());
        }
        self.objects = self.objects.saturating_add(1);
        if is_file {
            let bytes = u64::try_from(inode.size()).unwrap_or(u64::MAX);
            self.bytes = self.bytes.saturating_add(bytes);
        }
        let limit = u64::from(params::rename_dir_mib()) << 20;
        if self.objects > params::rename_dir_objects() || self.bytes > limit {
            return Err(EXDEV);
        }
        Ok(())
    }
}

/// A step of a walk through a tree.
enum Visit<'a> {
    /// A directory, before what is in it.
    Enter(&'a DentryOf<Overlay>),
    /// Anything else.
    Object(&'a DentryOf<Overlay>),
    /// A directory, after what is in it.
    Leave(&'a DentryOf<Overlay>),
}

/// A directory whose entries are being visited.
struct Open {
    dir: ARef<DentryOf<Overlay>>,
    listing: Listing,
    next: usize,
}

/// A directory and what is below it.
struct Tree<'a> {
    top: &'a DentryOf<Overlay>,
    locked: Option<LockedDir<'a, Overlay>>,
    /// Whether there may be metacopies in it, and others may make redirects: it is
    /// one for `top` alone that would be too long.
    has_redirects: bool,
}

impl Tree<'_> {
    /// Visits everything that may have something in lower layers.
    fn walk(&self, visit: &mut dyn FnMut(Visit<'_>) -> Result) -> Result {
        // An explicit stack: nothing bounds how deep directories are.
        let mut stack = KVec::new();
        self.enter(self.top.into(), visit, &mut stack)?;
        while let Some(open) = stack.last_mut() {
            if killed() {
                return Err(EINTR);
            }
            let Some((entry, name)) = open.listing.entries_from(open.next).next() else {
                visit(Visit::Leave(&open.dir))?;
                stack.pop();
                continue;
            };
            open.next = open.next.saturating_add(1);
            let is_dir =
                entry.d_type == FileType::Directory.as_dirent() || is_unknown_type(entry.d_type);
            if entry.in_upper && !is_dir && !self.has_redirects {
                continue;
            }
            let child = self.with_locked(&open.dir, |dir| {
                with_creds(&self.top.super_data().cred, |_| {
                    dir.lookup(Name::new(name)?)
                })
            });
            let child = match child {
                Ok(child) => child,
                Err(err) if err == ENOENT => continue,
                Err(err) if err == EINTR || err == ENOMEM => return Err(err),
                // It is shown, but not to be had.
                Err(_) => return Err(EXDEV),
            };
            let visited = match child.inode_of() {
                None => Ok(()),
                Some(inode) if inode.mode().is_dir() => {
                    self.enter(child.clone(), visit, &mut stack)
                }
                Some(_) => visit(Visit::Object(&child)),
            };
            match visited {
                // It is being removed, and leaves a whiteout.
                Err(err) if err != EINTR && child.is_unhashed() => {}
                visited => visited?,
            }
        }
        Ok(())
    }

    fn enter(
        &self,
        dir: ARef<DentryOf<Overlay>>,
        visit: &mut dyn FnMut(Visit<'_>) -> Result,
        stack: &mut KVec<Open>,
    ) -> Result {
        visit(Visit::Enter(&dir))?;
        let listing = self.with_locked(&dir, |_| {
            let inode = dir.inode_of().ok_or(ENOENT)?;
            with_creds(&inode.super_data().cred, |_| Listing::read(inode))
        })?;
        stack.push(
            Open {
                dir,
                listing,
                next: 0,
            },
            GFP_KERNEL,
        )?;
        Ok(())
    }

    /// Calls `f` with a directory of the tree locked; `EXDEV` if that takes too
    /// long.
    fn with_locked<R>(
        &self,
        dir: &DentryOf<Overlay>,
        f: impl FnOnce(LockedDir<'_, Overlay>) -> Result<R>,
    ) -> Result<R> {
        if let Some(locked) = self.locked.filter(|_| **dir == **self.top) {
            return f(locked);
        }
        for _ in 0..TRIES {
            if let Some(lock) = DirLock::try_shared(dir) {
                return f(lock.dir());
            }
            if killed() {
                return Err(EINTR);
            }
            fsleep(PAUSE);
        }
        Err(EXDEV)
    }

    /// Makes a directory opaque, all lower objects in which are hidden by what is
    /// in upper.
    fn settle(&self, dir: &DentryOf<Overlay>) -> Result {
        let inode = dir.inode_of().ok_or(ENOENT)?;
        let entry = inode.data();
        if inode.merged().is_empty() || dir.is_unhashed() {
            return Ok(());
        }
        let upper = inode.super_data().layers.upper()?;
        let path = inode.upper_path()?.ok_or(EIO)?;
        let is_locked = self.locked.is_some() && **dir == **self.top;
        // Others may be about to replace a whiteout. If so, they stay: they hide nothing any more.
        let lock = DirLock::try_exclusive(dir);
        let lock = match &lock {
            Some(lock) => Some(lock.dir()),
            None => self.locked.filter(|_| is_locked),
        };
        let removes_whiteouts = lock.is_some();
        with_creds(&inode.super_data().cred, |_| {
            if self.has_redirects {
                check_redirects(path, lock.ok_or(EXDEV)?)?;
            }
            let by_xattr = has_xattr_whiteouts(upper.namespace, path)?;
            if by_xattr && !removes_whiteouts {
                // Nothing says any more that they are not to be listed.
                return Err(EXDEV);
            }
            let times = Stat::get(path, StatMask::TIMES, StatFlags::AS_STAT)?;
            let _write = upper.mount().want_write()?;
            workdir::set_opaque(upper, path.dentry(), EXDEV)?;
            entry.set_opaque();
            if entry
                .rare()
                .and_then(|rare| rare.redirect.lock().take())
                .is_some()
            {
                // An opaque directory is where it is.
                let _ = xattr::remove_own(upper.namespace, path, Attribute::Redirect);
            }
            if removes_whiteouts {
                let _ = remove_whiteouts(upper, path, by_xattr);
            }
            let _ = SetAttr::times_of(&times).apply(path);
            Ok(())
        })?;
        inode.dir_changed();
        Ok(())
    }
}

/// Checks that nothing in a directory, which is locked against changes, needs its
/// lower objects to be found: somebody may have renamed it since the directory was
/// read. `path` is upper's directory. Called with the mounter's credentials.
fn check_redirects(path: PathRef<'_>, dir: LockedDir<'_, Overlay>) -> Result {
    let may_be = |d_type| {
        let is_file = d_type == FileType::Regular.as_dirent();
        let is_dir = d_type == FileType::Directory.as_dirent();
        is_file || is_dir || is_unknown_type(d_type)
    };
    for name in NameList::read_of_type(path, may_be)?.iter() {
        let child = dir.lookup(Name::new(name)?).map_err(|_| EXDEV)?;
        let Some(inode) = child.inode_of() else {
            continue;
        };
        let needs_lower = if inode.mode().is_dir() {
            !inode.merged().is_empty()
        } else {
            inode.mode().is_reg() && inode.is_metacopy()
        };
        let rare = inode.data().rare();
        let is_absolute = rare.is_some_and(|rare| rare.has_redirect(|path| path.starts_with(b"/")));
        if needs_lower && !is_absolute {
            return Err(EXDEV);
        }
    }
    Ok(())
}

/// Removes the whiteouts from an opaque directory of upper, where they hide
/// nothing; those that are attributes if it had such. The caller has write access
/// and the lock of the overlay's directory.
fn remove_whiteouts(upper: &Upper, dir: PathRef<'_>, by_xattr: bool) -> Result {
    let may_be = |d_type| {
        let is_file = d_type == FileType::Regular.as_dirent();
        let is_device = d_type == FileType::CharDevice.as_dirent();
        is_device || is_unknown_type(d_type) || by_xattr && is_file
    };
    for name in NameList::read_of_type(dir, may_be)?.iter() {
        let dentry = dir.lookup(Name::new(name)?)?;
        if is_whiteout(upper.namespace, upper.path(&dentry)?)? {
            workdir::remove(dir, &dentry)?;
        }
    }
    Ok(())
}
