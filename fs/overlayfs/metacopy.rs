// SPDX-License-Identifier: GPL-2.0

//! Metacopies: files in upper without their data.
//!
//! With the option `metacopy`, changing attributes of a lower file copies the
//! attributes alone. The data is copied when somebody is to write to it; until
//! then it is read in the lower layer.

use crate::{
    config::VerityMode,
    copy_up::{self, Data},
    copy_xattrs::{is_no_capability, read_value, CAPABILITY},
    data,
    entry::{Backing, OverlayInode},
    format::{
        metacopy::{Metacopy, LEN_MAX},
        xattr::{Attribute, Namespace}, //
    },
    layers::Upper,
    mapping,
    observe::Progress,
    redirect::{self, Reach},
    xattr,
    Overlay, //
};
use kernel::prelude::*;
use vfs::{
    attr::{SetAttr, Stat, StatFlags, StatMask},
    dentry::{Dentry, DentryOf},
    file::OpenFile,
    inode::InodeOf,
    mount::PathRef,
    trace::Reason,
    xattr::SetFlags, //
};

/// Reads what says that an object of a layer is a metacopy; `None` if it is not.
///
/// Fails with `EIO` if it is something that no version has written.
pub(crate) fn read(namespace: Namespace, path: PathRef<'_>) -> Result<Option<Metacopy>> {
    let mut buffer = [0; LEN_MAX];
    match xattr::get_own(namespace, path, Attribute::Metacopy, &mut buffer) {
        Ok(None) => Ok(None),
        Ok(Some(value)) => Metacopy::parse(value).map(Some).map_err(|_| {
            vfs::pr_warn_ratelimited!("invalid overlay.metacopy attribute\n");
            EIO
        }),
        Err(err) if err == ERANGE => Err(EIO),
        Err(err) => Err(err),
    }
}

/// Whether a regular file of a layer is a metacopy. What it says of its data is
/// not looked at; `EIO` if it cannot be a metacopy's.
pub(crate) fn is_one(namespace: Namespace, path: PathRef<'_>) -> Result<bool> {
    let Some(len) = xattr::len_of_own(namespace, path, Attribute::Metacopy)? else {
        return Ok(false);
    };
    Metacopy::check_size(len).map_err(|_| {
        vfs::pr_warn_ratelimited!("invalid overlay.metacopy attribute\n");
        EIO
    })?;
    Ok(true)
}

/// What a copy of a regular lower file without its data says of that, if such a
/// copy is good enough. Called with the mounter's credentials, when the data was
/// found.
pub(crate) fn suffices(
    inode: &InodeOf<Overlay>,
    data: Data,
    stat: &Stat,
) -> Result<Option<Metacopy>> {
    let sb = inode.super_data();
    if !sb.config.metacopy || data != Data::Unused || !stat.mode().is_reg() {
        return Ok(None);
    }
    if sb.config.verity == VerityMode::Off {
        return Ok(Some(Metacopy::PLAIN));
    }
    let lower = inode.lower_data_path()?;
    match lower.verity_digest().map_err(|_| EIO)? {
        Some(digest) => Metacopy::with_digest(digest.algorithm(), digest.as_bytes())
            .map(Some)
            .map_err(|_| EIO),
        // A metacopy without a digest would be refused: all is copied.
        None if sb.config.verity == VerityMode::Require => Ok(None),
        None => Ok(Some(Metacopy::PLAIN)),
    }
}

/// Makes an object in the work directory a metacopy. The caller has write access.
pub(crate) fn store(upper: &Upper, dentry: &Dentry, metacopy: &Metacopy) -> Result {
    let mut buffer = [0; LEN_MAX];
    let value = metacopy.write(&mut buffer).map_err(|_| EIO)?;
    xattr::set_own(
        upper.namespace,
        upper.path(dentry)?,
        Attribute::Metacopy,
        value,
    )
}

/// Copies up an object that is about to get another name. If it becomes a metacopy,
/// or is one, it can have the redirect that it needs then; else its data is copied.
///
/// Locks and errors are those of [`copy_up::copy_up`].
pub(crate) fn copy_up_to_move(dentry: &DentryOf<Overlay>, reach: Reach, reason: Reason) -> Result {
    copy_up::copy_up(dentry, reason)?;
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    if inode.backing() == Backing::Metacopy
        && !redirect::is_possible(dentry, reach_of_file(inode, reach)?)?
    {
        copy_up::copy_up_data(dentry, Data::Copy, reason)?;
    }
    Ok(())
}

/// Gives a file of upper that is about to get another name a redirect to where its
/// data is, if it is a metacopy.
///
/// Locks and errors are those of [`redirect::set`].
pub(crate) fn set_redirect(dentry: &DentryOf<Overlay>, reach: Reach) -> Result {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    if inode.backing() != Backing::Metacopy {
        return Ok(());
    }
    redirect::set(dentry, reach_of_file(inode, reach)?)
}

/// What a file with several names was copied from may be in another directory than
/// it is itself.
fn reach_of_file(inode: &InodeOf<Overlay>, reach: Reach) -> Result<Reach> {
    let lower = inode.lower_path()?.ok_or(EIO)?;
    if lower.inode()?.nlink() == 1 {
        Ok(reach)
    } else {
        Ok(Reach::Anywhere)
    }
}

/// Gives the inode of a metacopy in upper its data, or none if it is about to be
/// truncated. Called with the mounter's credentials and `copy_up`, which keeps
/// attributes as they are, and without write access.
///
/// A failure leaves the metacopy as it is, as does a crash, but for capabilities: it
/// stops being one when the data is complete, and on the disk.
pub(crate) fn complete(inode: &InodeOf<Overlay>, data: Data, progress: &Progress) -> Result {
    let upper = inode.super_data().layers.upper()?;
    let to = inode.upper_path()?.ok_or(EIO)?;
    let stat = Stat::get(to, StatMask::BASIC, StatFlags::AS_STAT)?;
    // Writing takes it away.
    let mut capability = KVVec::new();
    let capability = match read_value(to, CAPABILITY, &mut capability) {
        Ok(len) => capability.get(..len),
        Err(err) if is_no_capability(err) => None,
        Err(err) => return Err(err),
    };
    if data == Data::Copy && stat.size() > 0 {
        let file = OpenFile::open(to, OpenFile::WRITE)?;
        if stat.blocks() > 0 {
            // Something is left of an attempt before a crash: holes would show it.
            discard(&file, stat.size())?;
        }
        copy_data(inode, &file, stat.size(), progress).inspect_err(|_| {
            // The space may be needed for something else.
            let _ = discard(&file, stat.size());
            if let Ok(_write) = upper.mount().want_write() {
                let _ = restore(to, &stat, capability);
            }
        })?;
    }
    let write = upper.mount().want_write()?;
    if data == Data::Copy {
        restore(to, &stat, capability)?;
    } else {
        SetAttr::size(0).apply(to)?;
    }
    match xattr::remove_own(upper.namespace, to, Attribute::Metacopy) {
        Err(err) if err == ENODATA => {}
        result => result?,
    }
    drop(write);
    // From here on the inode stands for upper's file.
    inode.set_upper_data();
    mapping::switch_eagerly(inode);
    if inode.super_data().syncs_copied_metadata() {
        OpenFile::open(to, OpenFile::READ)?.fsync_all()?;
    }
    Ok(())
}

/// Copies `len` bytes of data to upper's file, and makes them durable.
fn copy_data(inode: &InodeOf<Overlay>, to: &OpenFile, len: i64, progress: &Progress) -> Result {
    data::copy(inode.lower_data_path()?, to, len, progress)?;
    inode.super_data().settle_copied_data(to)
}

/// Discards data that nobody looks at, if the filesystem can.
fn discard(file: &OpenFile, len: i64) -> Result {
    match file.punch_hole(0, len) {
        Err(err) if err == EOPNOTSUPP => Ok(()),
        result => result,
    }
}

/// Puts back what copying the data has changed: whoever opened the file has not
/// written to it yet. The caller has write access.
fn restore(to: PathRef<'_>, stat: &Stat, capability: Option<&[u8]>) -> Result {
    if stat.size() == 0 {
        return Ok(());
    }
    if to.inode()?.mode() != stat.mode() {
        SetAttr::mode(stat.mode()).apply(to)?;
    }
    SetAttr::mtime_of(stat).apply(to)?;
    match capability {
        Some(value) => to.set_xattr(CAPABILITY, value, SetFlags::NONE),
        None => Ok(()),
    }
}
