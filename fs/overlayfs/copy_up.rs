// SPDX-License-Identifier: GPL-2.0

//! Copy-up: making a lower object one of upper.
//!
//! The copy is made where nobody sees it, complete with data and attributes, and
//! then gets its name by one link or rename. From then on the inode stands for
//! it: every operation, also of files that were opened before, uses upper. If
//! anything fails before, the object stays as it was; what a crash leaves in the
//! work directory is removed by the next mount.

use crate::{
    copy_xattrs::copy_xattrs,
    data,
    entry::{Backing, OverlayInode},
    format::{
        metacopy::Metacopy,
        opaque::IMPURE,
        xattr::Attribute,
        Side, //
    },
    identity::Fsid,
    index::{self, EntryName},
    layers::Upper,
    lower_data,
    mapping,
    metacopy,
    nlink,
    observe::{self, Progress},
    origin::Origin,
    protattr,
    workdir,
    xattr,
    Overlay, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    attr::{FileType, SetAttr, Stat, StatFlags, StatMask},
    cred::with_creds,
    dentry::{Dentry, DentryOf},
    file::{copy_up_creds, OpenFile},
    fileattr::FileAttr,
    inode::{InodeFlags, InodeOf},
    inode_ops::{DelayedCall, LinkTarget},
    mount::PathRef,
    mutex::MutexGuard,
    namei::{Creating, Renaming},
    trace::{Copied, Reason}, //
};

/// What is to be done with the data of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// Nothing: it may stay in the lower layer.
    Unused,
    /// It is needed, all of it.
    Copy,
    /// It is not copied: the file is about to be truncated.
    Truncate,
}

impl Data {
    /// Whether the inode is in upper as far as is needed.
    fn is_in_upper(self, inode: &InodeOf<Overlay>) -> bool {
        match self {
            Self::Unused => inode.upper().is_some(),
            Self::Copy | Self::Truncate => inode.upper_data().is_some(),
        }
    }
}

/// Makes sure that `dentry` is in upper, and the directories above it. The data of
/// a file may be left where it is.
///
/// Takes `copy_up` of one inode after the other; the caller may hold inode locks
/// of the overlay, but no access to write to upper. Fails with `EROFS` without
/// upper, `EINTR` if killed, and what upper's filesystem says: the object is
/// then as it was.
pub(crate) fn copy_up(dentry: &DentryOf<Overlay>, reason: Reason) -> Result {
    copy_up_data(dentry, Data::Unused, reason)
}

/// As [`copy_up`], for a change of attributes. While the result lives the data of a
/// metacopy is not copied, which changes attributes and puts them back.
pub(crate) fn copy_up_for_change<'a>(
    dentry: &'a DentryOf<Overlay>,
    reason: Reason,
) -> Result<Option<MutexGuard<'a, ()>>> {
    copy_up(dentry, reason)?;
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    if inode.backing() != Backing::Metacopy {
        return Ok(None);
    }
    inode.data().copy_up.lock_killable().map(Some)
}

/// As [`copy_up`], telling whether the data is needed. Where it is copied, it is
/// that which [`lower_data::find`] finds.
pub(crate) fn copy_up_data(dentry: &DentryOf<Overlay>, data: Data, reason: Reason) -> Result {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    if data.is_in_upper(inode) && index::is_in_upper(dentry) {
        return Ok(());
    }
    copy_up_path(dentry, inode, data, reason)
}

/// Copies `dentry` up, and before it the directories above it that are not in upper.
#[cold]
#[inline(never)]
fn copy_up_path(
    dentry: &DentryOf<Overlay>,
    inode: &InodeOf<Overlay>,
    data: Data,
    reason: Reason,
) -> Result {
    lower_data::find(dentry)?;
    while !data.is_in_upper(inode) || !index::is_in_upper(dentry) {
        let sb = inode.super_data();
        sb.layers.upper()?;
        if dentry.is_disconnected() {
            // It was found by a handle, and has no name to be copied to.
            with_creds(&sb.cred, |_| copy_up_one(None, dentry, data, reason))?;
            continue;
        }
        // The topmost object that is not in upper goes first.
        let mut next: ARef<DentryOf<Overlay>> = dentry.into();
        let mut parent = next.parent_of();
        while parent.inode_of().ok_or(ENOENT)?.upper().is_none() {
            if **parent == **next {
                return Err(EIO);
            }
            next = parent;
            parent = next.parent_of();
        }
        let (what, why) = if **next == **dentry {
            (data, reason)
        } else {
            (Data::Unused, Reason::Child)
        };
        with_creds(&sb.cred, |_| copy_up_one(Some(&parent), &next, what, why))?;
    }
    Ok(())
}

/// What is needed to copy one object.
struct CopyUp<'a> {
    upper: &'a Upper,
    to: Place<'a>,
    dentry: &'a DentryOf<Overlay>,
    inode: &'a InodeOf<Overlay>,
    lower: PathRef<'a>,
    stat: &'a Stat,
    /// Bytes of the file; [`Data::Truncate`] leaves none.
    size: i64,
    /// What the copy says of itself, if its data is not copied.
    metacopy: Option<&'a Metacopy>,
    origin: Option<&'a Origin>,
    /// Of the directory that it goes to, to be put back.
    parent_times: Option<&'a ParentTimes<'a>>,
    progress: &'a Progress,
}

/// Where the copy goes.
enum Place<'a> {
    /// To the name that it has, in this directory.
    Name(&'a InodeOf<Overlay>),
    /// To an entry of the index. Its names become links of that one by one.
    Entry(&'a EntryName),
}

/// Copies `dentry`, whose `parent` is in upper, with the mounter's credentials. Without
/// a parent it has no name, and is copied to the index only.
fn copy_up_one(
    parent: Option<&DentryOf<Overlay>>,
    dentry: &DentryOf<Overlay>,
    data: Data,
    reason: Reason,
) -> Result {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    let parent = parent.and_then(|parent| parent.inode_of());
    let _copying = inode.data().copy_up.lock_killable()?;
    if inode.upper().is_none() {
        observe::copy_up(dentry, inode, reason, Copied::All, |progress| {
            copy_inode(parent, dentry, inode, data, progress)
        })?;
    }
    if let Some(parent) = parent.filter(|_| !index::is_in_upper(dentry)) {
        link_up(parent, dentry, inode)?;
    }
    if data.is_in_upper(inode) {
        return Ok(());
    }
    observe::copy_up(dentry, inode, reason, Copied::Data, |progress| {
        metacopy::complete(inode, data, progress)
    })
}

/// Times of a directory of upper that are put back: to those who look at the overlay it
/// has not changed.
struct ParentTimes<'a> {
    dir: PathRef<'a>,
    times: Stat,
}

impl<'a> ParentTimes<'a> {
    fn of(parent: &'a InodeOf<Overlay>) -> Result<Self> {
        let dir = parent.upper_path()?.ok_or(EIO)?;
        let times = Stat::get(dir, StatMask::TIMES, StatFlags::AS_STAT)?;
        Ok(Self { dir, times })
    }

    /// If this fails, it has changed. The caller has write access.
    fn restore(&self) {
        let _ = SetAttr::times_of(&self.times).apply(self.dir);
    }
}

/// Copies an inode, which has no object in upper yet.
fn copy_inode(
    parent: Option<&InodeOf<Overlay>>,
    dentry: &DentryOf<Overlay>,
    inode: &InodeOf<Overlay>,
    data: Data,
    progress: &Progress,
) -> Result {
    let upper = inode.super_data().layers.upper()?;
    let lower = inode.lower_path()?.ok_or(EIO)?;
    let mut stat = Stat::empty();
    stat.read(lower, StatMask::BASIC, StatFlags::AS_STAT)?;
    if !stat.owner_is_mapped() {
        return Err(EOVERFLOW);
    }

    // A link of a file with several is copied alone, unless there is an index: what it came from
    // would not tell which.
    let indexed = index::is_needed(inode);
    let has_origin = indexed || stat.mode().is_dir() || stat.nlink() == 1;
    let origin = if has_origin {
        Some(Origin::of(inode.super_data(), lower.inode()?)?)
    } else {
        None
    };
    let entry;
    let to = match (&origin, parent) {
        (Some(Origin(Some(handle))), _) if indexed && !stat.mode().is_dir() => {
            entry = EntryName::of(handle)?;
            Place::Entry(&entry)
        }
        (_, Some(parent)) => Place::Name(parent),
        (_, None) => return Err(EIO),
    };
    let times;
    let parent_times = match &to {
        Place::Name(parent) => {
            times = ParentTimes::of(parent)?;
            if has_origin {
                set_impure(parent)?;
            }
            Some(&times)
        }
        Place::Entry(_) => None,
    };
    let size = match data {
        Data::Unused | Data::Copy if stat.mode().is_reg() => stat.size(),
        _ => 0,
    };
    let metacopy = metacopy::suffices(inode, data, &stat)?;
    let is_metacopy = metacopy.is_some();
    if is_metacopy || stat.mode().is_reg() && data == Data::Truncate {
        progress.without_data();
    }
    let this = CopyUp {
        upper,
        to,
        dentry,
        inode,
        lower,
        stat: &stat,
        size,
        metacopy: metacopy.as_ref(),
        origin: origin.as_ref(),
        parent_times,
        progress,
    };
    let copy = if stat.mode().is_reg() && upper.features.tmpfile {
        this.by_tmpfile()?
    } else {
        this.by_workdir()?
    };
    // The copy has its name: the inode stands for it from here on, and nothing fails.
    inode.hash_by(copy.inode().ok_or(EIO)?);
    if indexed {
        inode.data().set_indexed();
    }
    if is_metacopy {
        inode.set_metacopy(copy)?;
    } else {
        inode.set_upper(copy)?;
    }
    if !has_origin {
        // A link of its own now. Without memory for a number it keeps the old one.
        if let Ok(ino) = own_number(inode) {
            inode.change_ino(ino);
        }
        if let Some(parent) = parent {
            parent.dir_changed();
        }
    }
    dentry.set_revalidation(inode.objects());
    mapping::switch_eagerly(inode);
    Ok(())
}

/// Gives an indexed file, which is in upper, one of its names there.
fn link_up(
    parent: &InodeOf<Overlay>,
    dentry: &DentryOf<Overlay>,
    inode: &InodeOf<Overlay>,
) -> Result {
    let upper = inode.super_data().layers.upper()?;
    let times = ParentTimes::of(parent)?;
    set_impure(parent)?;
    let _write = upper.mount().want_write()?;
    let link = || -> Result {
        nlink::store(inode, Side::Lower)?;
        let real = inode.upper_path()?.ok_or(EIO)?;
        let linked = dentry.with_name(|name| {
            let creating = Creating::start(times.dir, name)?;
            if !creating.dentry().is_negative() {
                return Err(EEXIST);
            }
            creating.link(real.dentry())
        });
        match linked {
            // Removed just now: its whiteout has the name.
            Err(err) if err == EEXIST && dentry.is_unhashed() => return Ok(()),
            linked => linked?,
        };
        index::set_named_in_upper(dentry);
        dentry.set_revalidation(inode.objects());
        nlink::store(inode, Side::Upper)
    };
    let linked = link();
    // If only the count could not be written, there is the name.
    times.restore();
    linked
}

/// The number of an inode that is upper's alone.
fn own_number(inode: &InodeOf<Overlay>) -> Result<u64> {
    let ino = inode.real_path()?.inode()?.ino();
    inode.super_data().identity.map(Fsid::UPPER, ino)
}

impl CopyUp<'_> {
    /// Calls `f` with the credentials that the security modules want the copy to
    /// be created with.
    fn creating<R>(&self, f: impl FnOnce() -> Result<R>) -> Result<R> {
        match copy_up_creds(self.dentry)? {
            Some(cred) => with_creds(&cred, |_| f()),
            None => f(),
        }
    }

    /// Whether there is data to be copied. That is done without access to write: a frozen upper
    /// must not stop readers of an overlay above.
    fn has_data(&self) -> bool {
        self.metacopy.is_none() && self.size > 0
    }

    /// By a file without a name, which vanishes if it does not get one.
    fn by_tmpfile(&self) -> Result<ARef<Dentry>> {
        let mut write = self.upper.mount().want_write()?;
        let tmpfile = self.creating(|| OpenFile::tmpfile(self.upper.work()?, self.stat.mode()))?;
        if self.has_data() {
            drop(write);
            self.copy_data(&tmpfile)?;
            write = self.upper.mount().want_write()?;
        }
        let copy = self.finish_tmpfile(&tmpfile)?;
        self.restore_parent_times();
        drop(write);
        Ok(copy)
    }

    /// Gives the file its attributes and its name. The caller has write access.
    fn finish_tmpfile(&self, tmpfile: &OpenFile) -> Result<ARef<Dentry>> {
        self.metadata(tmpfile.dentry())?;
        let parent = match &self.to {
            Place::Entry(entry) => {
                let index = self.upper.index()?.ok_or(EIO)?;
                let creating = Creating::start(index, entry.name()?)?;
                if !creating.dentry().is_negative() {
                    return Err(EEXIST);
                }
                return creating.link(tmpfile.dentry());
            }
            Place::Name(parent) => parent,
        };
        if self.dentry.is_unhashed() {
            // It was removed while it is still open: the copy needs no name either.
            return Ok(tmpfile.dentry().into());
        }
        let dir = parent.upper_path()?.ok_or(EIO)?;
        let linked = self.dentry.with_name(|name| {
            let creating = Creating::start(dir, name)?;
            if !creating.dentry().is_negative() {
                return Err(EEXIST);
            }
            creating.link(tmpfile.dentry())
        });
        match linked {
            // Removed just now: its whiteout has the name.
            Err(err) if err == EEXIST && self.dentry.is_unhashed() => Ok(tmpfile.dentry().into()),
            linked => linked,
        }
    }

    /// By an object in the work directory, which is renamed.
    fn by_workdir(&self) -> Result<ARef<Dentry>> {
        let write = self.upper.mount().want_write()?;
        let temp = self.creating(|| self.create_temp())?;
        if self.has_data() {
            drop(write);
            let file = self.upper.path(&temp);
            let file = file.and_then(|path| OpenFile::open(path, OpenFile::WRITE));
            let copied = file.and_then(|file| self.copy_data(&file));
            let _write = self.upper.mount().want_write()?;
            self.finish_temp(&temp, copied)?;
        } else {
            self.finish_temp(&temp, Ok(()))?;
        }
        Ok(temp)
    }

    /// Gives the object its attributes and its name, or removes it. The caller has write
    /// access.
    fn finish_temp(&self, temp: &Dentry, copied: Result) -> Result {
        match copied.and_then(|()| self.place(temp)) {
            Ok(()) => self.restore_parent_times(),
            Err(err) => {
                workdir::discard(self.upper, temp);
                return Err(err);
            }
        }
        Ok(())
    }

    fn restore_parent_times(&self) {
        if let Some(times) = self.parent_times {
            times.restore();
        }
    }

    fn create_temp(&self) -> Result<ARef<Dentry>> {
        let creating = workdir::start_temp(self.upper)?;
        // Permissions come with the other attributes.
        let kind = self.stat.mode().file_type().ok_or(EIO)?;
        let mode = kind.mode(0);
        match kind {
            FileType::Regular => creating.create(mode),
            FileType::Directory => creating.mkdir(mode),
            FileType::Symlink => {
                let mut done = DelayedCall::none();
                let target = LinkTarget::get(self.lower.dentry(), &mut done)?;
                creating.symlink(target.as_cstr()?)
            }
            _ => creating.mknod(mode, self.stat.rdev()),
        }
    }

    fn place(&self, temp: &Dentry) -> Result {
        self.metadata(temp)?;
        let work = self.upper.work()?;
        let parent = match &self.to {
            Place::Entry(entry) => {
                let index = self.upper.index()?.ok_or(EIO)?;
                return Renaming::start_to_new_name(work, temp, index, entry.name()?)?.rename();
            }
            Place::Name(parent) => parent,
        };
        if self.dentry.is_unhashed() {
            // It was removed while it is still open: the copy needs no name either.
            return workdir::remove(work, temp);
        }
        let entry = self.index_dir(temp)?;
        let dir = parent.upper_path()?.ok_or(EIO)?;
        let placed = self
            .dentry
            .with_name(|name| Renaming::start_to_new_name(work, temp, dir, name)?.rename());
        if let (Err(_), Some(entry)) = (&placed, &entry) {
            workdir::discard(self.upper, entry);
        }
        placed
    }

    /// Makes the entry of a directory, if it is to have one.
    fn index_dir(&self, copy: &Dentry) -> Result<Option<ARef<Dentry>>> {
        match self.origin {
            Some(Origin(Some(handle))) if index::is_needed(self.inode) => {
                index::create_for_dir(self.inode.super_data(), handle, copy).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Copies the data. The caller has no access to write, which this takes for each piece.
    fn copy_data(&self, to: &OpenFile) -> Result {
        data::copy(self.inode.lower_data_path()?, to, self.size, self.progress)?;
        let sb = self.inode.super_data();
        // Once is enough: with the attributes, if these are made durable too.
        if sb.syncs_copied_metadata() {
            return Ok(());
        }
        sb.settle_copied_data(to)
    }

    /// Copies all that is not data. The caller has write access.
    fn metadata(&self, copy: &Dentry) -> Result {
        let to = self.upper.path(copy)?;
        copy_xattrs(self.upper.namespace, self.lower, to)?;
        let mode = self.stat.mode();
        let flags = self.inode.flags();
        if (mode.is_reg() || mode.is_dir())
            && !flags.intersection(InodeFlags::ATTRIBUTES).is_empty()
        {
            self.copy_fileattr(to, flags)?;
        }
        if let Some(origin) = self.origin {
            origin.store(self.upper, copy)?;
        }
        if let Some(metacopy) = self.metacopy {
            metacopy::store(self.upper, copy, metacopy)?;
        }
        if let Place::Entry(_) = self.to {
            // The entry will be its one link.
            nlink::store_at(self.upper.namespace, to, Side::Upper, self.inode.nlink(), 1)?;
        }
        if mode.is_reg() && to.inode()?.size() != self.size {
            // Holes at the end were not copied, or the data is not.
            SetAttr::size(self.size).apply(to)?;
        }
        set_attributes(to, self.stat)?;
        if (mode.is_reg() || mode.is_dir()) && self.inode.super_data().syncs_copied_metadata() {
            OpenFile::open(to, OpenFile::READ)?.fsync_all()?;
        }
        Ok(())
    }

    /// Copies flags of `chattr`; those that would protect the copy from being
    /// placed are recorded instead.
    fn copy_fileattr(&self, to: PathRef<'_>, flags: InodeFlags) -> Result {
        let mut from = FileAttr::empty();
        match from.get(self.lower) {
            Err(err) if err == ENOTTY || err == EINVAL => return Ok(()),
            result => result?,
        }
        let protection = flags.intersection(InodeFlags::PROTECTED);
        if !protection.is_empty() {
            match protattr::store(self.upper, to.dentry(), protection) {
                Err(err) if err == EPERM => {
                    vfs::pr_warn_ratelimited!("upper takes no protattr attribute\n")
                }
                result => result?,
            }
        }
        if !from.has_copied_flags() {
            return Ok(());
        }
        let mut own = FileAttr::empty();
        match own.get(to) {
            Err(err) if err == ENOTTY || err == EINVAL => return Ok(()),
            result => result?,
        }
        own.copy_flags_from(&from);
        own.set(to)
    }
}

/// Sets permissions, owner and times to those of `stat`. The caller has write
/// access.
pub(crate) fn set_attributes(to: PathRef<'_>, stat: &Stat) -> Result {
    SetAttr::all_of(stat).apply(to)
}

/// Notes that `dir`, which is in upper, has objects that came from elsewhere.
pub(crate) fn set_impure(dir: &InodeOf<Overlay>) -> Result {
    let upper = dir.super_data().layers.upper()?;
    if dir.data().is_impure() {
        return Ok(());
    }
    // Without attributes it is known as long as the inodes are that know where they came from.
    if upper.features.xattr {
        let path = dir.upper_path()?.ok_or(EIO)?;
        let _write = upper.mount().want_write()?;
        xattr::set_own(upper.namespace, path, Attribute::Impure, IMPURE)?;
    }
    dir.data().set_impure();
    Ok(())
}

/// Takes the note back from a directory of upper alone, which is locked: none of its
/// objects came from elsewhere, so that listing it is cheap from now on. It may fail,
/// and is tried again when the directory is listed again.
pub(crate) fn unset_impure(dir: &InodeOf<Overlay>) {
    if !dir.data().is_impure() || dir.is_merged() || dir.super_block_of().is_readonly() {
        return;
    }
    let (Ok(upper), Ok(Some(path))) = (dir.super_data().layers.upper(), dir.upper_path()) else {
        return;
    };
    if upper.features.xattr {
        let Ok(_write) = upper.mount().want_write() else {
            return;
        };
        let removed = with_creds(&dir.super_data().cred, |_| {
            xattr::remove_own(upper.namespace, path, Attribute::Impure)
        });
        if removed.is_err_and(|err| err != ENODATA) {
            return;
        }
    }
    dir.data().unset_impure();
}
