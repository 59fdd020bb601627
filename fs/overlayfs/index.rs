// SPDX-License-Identifier: GPL-2.0

//! The index: finding what a lower object was copied to, whatever its name.
//!
//! The directory `index` beside `work` has an entry for each lower file with
//! several links that was copied up; with `nfs_export`, for whatever was copied up.
//! Its name is the lower object's file handle. A file's entry is a further link of
//! upper's inode, to which a name is added for each of its lower names when that is
//! changed. A directory's entry is an empty directory with a handle of upper's. With
//! `nfs_export` a whiteout stays in place of what was removed.

use crate::{
    config::RedirectMode,
    copy_up,
    entry::OverlayInode,
    format::{
        file_handle::FileHandle,
        index::{write_name, NAME_MAX},
        xattr::Attribute,
        FormatError,
        Side, //
    },
    handle::{self, Find},
    layered::{DataPlace, Objects},
    layers::{LayerPath, Upper},
    lookup::is_whiteout_device,
    metacopy,
    nlink,
    origin::is_same_type,
    redirect,
    remove::{replace_by_whiteout, same_object},
    super_block::Super,
    workdir,
    Overlay, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    attr::FileType,
    cred::with_creds,
    dentry::{Dentry, DentryFlag, DentryOf, Name},
    inode::InodeOf,
    namei::Renaming,
    trace::Reason, //
};

/// Upper has the object under this very name.
const NAMED_IN_UPPER: DentryFlag = DentryFlag::new(0);

/// Notes that upper has the object under the name of `dentry`.
pub(crate) fn set_named_in_upper(dentry: &DentryOf<Overlay>) {
    dentry.set_flag(NAMED_IN_UPPER);
}

/// Whether the object is in upper, under the name of `dentry` if it has one.
pub(crate) fn is_in_upper(dentry: &DentryOf<Overlay>) -> bool {
    let Some(inode) = dentry.inode_of() else {
        return false;
    };
    if inode.upper().is_none() {
        return false;
    }
    // What is not indexed has been copied to the one name that it has.
    !inode.data().is_indexed()
        || inode.mode().is_dir()
        || dentry.has_flag(NAMED_IN_UPPER)
        || dentry.is_disconnected()
        || dentry.is_unhashed()
}

/// Whether copy-up makes an entry for the object.
pub(crate) fn is_needed(inode: &InodeOf<Overlay>) -> bool {
    let config = &inode.super_data().config;
    let lower = inode.lower().first();
    let Some(lower) = lower.and_then(|lower| lower.dentry.inode()) else {
        return false;
    };
    config.index && (config.nfs_export || !lower.mode().is_dir() && lower.nlink() > 1)
}

/// Copies an object up whose name is about to be removed, if an index keeps the
/// count of its names: there is nowhere to keep it otherwise.
pub(crate) fn before_removal(dentry: &DentryOf<Overlay>) -> Result {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    if is_needed(inode) && !is_in_upper(dentry) {
        return copy_up::copy_up(dentry, Reason::Remove);
    }
    Ok(())
}

/// The name of an entry.
pub(crate) struct EntryName {
    buffer: [u8; NAME_MAX],
    len: usize,
}

impl EntryName {
    /// The name of the entry for the object that `handle` means.
    pub(crate) fn of(handle: &FileHandle) -> Result<Self> {
        let mut buffer = [0; NAME_MAX];
        let len = match write_name(handle, &mut buffer) {
            Ok(name) => name.len(),
            Err(FormatError::TooLong) => return Err(ENAMETOOLONG),
            Err(_) => return Err(EIO),
        };
        Ok(Self { buffer, len })
    }

    /// As a name.
    pub(crate) fn name(&self) -> Result<Name<'_>> {
        Name::new(self.buffer.get(..self.len).ok_or(EIO)?)
    }
}

/// Looks the entry for the object up that `handle` means.
fn entry(upper: &Upper, handle: &FileHandle) -> Result<Option<ARef<Dentry>>> {
    let name = EntryName::of(handle)?;
    let index = upper.index()?.ok_or(EIO)?;
    match index.lookup_positive(name.name()?) {
        Ok(entry) => Ok(Some(entry)),
        Err(err) if err == ENOENT => Ok(None),
        Err(err) => {
            vfs::pr_warn_ratelimited!(
                "index: lookup failed: error {}; mount with index=off to go without\n",
                err.to_errno()
            );
            Err(err)
        }
    }
}

/// Finds the entry of a lower object by its handle, for a handle that somebody has:
/// `ESTALE` if the object was removed.
pub(crate) fn find_by_handle(sb: &Super, handle: &FileHandle) -> Result<Option<ARef<Dentry>>> {
    match entry(sb.layers.upper()?, handle)? {
        Some(entry) if is_whiteout_device(&entry) => Err(ESTALE),
        Some(entry) if entry.is_weird() => Err(EIO),
        entry => Ok(entry),
    }
}

/// Adds what the index knows of an object to what a lookup found in the layers: the
/// object in upper of a file whose name is not there.
///
/// Fails with `EIO` if the index contradicts what was found, `EPERM` if the object in
/// upper has something that is not to be followed.
pub(crate) fn complete(sb: &Super, objects: &mut Objects) -> Result {
    let found = match find(sb, objects.upper.as_ref(), &objects.lower) {
        // Lower layers show something else where a moved directory came from.
        Err(err) if err == EIO && objects.opaque => None,
        found => found?,
    };
    let Some(entry) = found else {
        return Ok(());
    };
    objects.indexed = true;
    if objects.upper.is_some() {
        return Ok(());
    }
    let path = sb.layers.upper()?.path(&entry)?;
    let redirect = redirect::read(sb.namespace(), path)?;
    let is_metacopy = path.inode()?.mode().is_reg() && metacopy::is_one(sb.namespace(), path)?;
    if redirect.is_some() && sb.config.redirect_dir == RedirectMode::NoFollow
        || is_metacopy && !sb.config.metacopy
    {
        vfs::pr_warn_ratelimited!("index: refusing to follow what an entry says\n");
        return Err(EPERM);
    }
    objects.redirect = redirect;
    objects.data = match objects.data.take() {
        _ if !is_metacopy => None,
        Some(data) => Some(data),
        None => Some(DataPlace::Lower),
    };
    objects.upper = Some(entry);
    Ok(())
}

/// Finds the entry of the lower object that was found beside `upper`, if that was found.
fn find(
    sb: &Super,
    upper: Option<&ARef<Dentry>>,
    lower: &[LayerPath],
) -> Result<Option<ARef<Dentry>>> {
    let Some(origin) = lower.first() else {
        return Ok(None);
    };
    let is_dir = origin.dentry.is_dir();
    if !sb.config.index || is_dir && !sb.config.nfs_export {
        return Ok(None);
    }
    let inode = origin.dentry.inode().ok_or(ENOENT)?;
    let layer = sb.layers.upper()?;
    let handle = handle::encode(sb.config.uuid, Side::Lower, inode)?;
    let Some(entry) = entry(layer, &handle)? else {
        return Ok(None);
    };
    if entry.is_weird() || is_whiteout_device(&entry) || !is_same_type(&entry, &origin.dentry) {
        vfs::pr_warn_ratelimited!("index: a lower object has an entry that is not of its type\n");
        return Err(EIO);
    }
    if !is_dir {
        // Another object that has the same origin is not the indexed one.
        let is_other = upper.is_some_and(|upper| !same_object(upper, &entry));
        return Ok((!is_other).then_some(entry));
    }
    let Some(upper) = upper else {
        vfs::pr_warn_ratelimited!(
            "index: a lower directory that was copied up is found by its old name\n"
        );
        return Err(EIO);
    };
    let upper = handle::encode(sb.config.uuid, Side::Upper, upper.inode().ok_or(ENOENT)?)?;
    handle::verify(
        sb.namespace(),
        layer.path(&entry)?,
        Attribute::Upper,
        &upper,
    )
    .map_err(|_| {
        vfs::pr_warn_ratelimited!("index: the entry of a directory does not lead to it\n");
        EIO
    })?;
    Ok(Some(entry))
}

/// The object in upper that an entry stands for. `None` for the entry of a directory
/// that does not say, `ESTALE` if that is gone.
pub(crate) fn upper_of(
    sb: &Super,
    entry: &ARef<Dentry>,
    how: Find,
) -> Result<Option<ARef<Dentry>>> {
    if !entry.is_dir() {
        return Ok(Some(entry.clone()));
    }
    let layer = sb.layers.upper()?;
    let Some(handle) = handle::read(sb.namespace(), layer.path(entry)?, Attribute::Upper)? else {
        return Ok(None);
    };
    let upper = handle::decode(sb.config.uuid, layer.root()?, &handle, how)?.ok_or(ESTALE)?;
    if !upper.is_dir() {
        vfs::pr_warn_ratelimited!("index: the entry of a directory leads to something else\n");
        return Err(EIO);
    }
    Ok(Some(upper))
}

/// Makes the entry of a directory that `copy`, in the work directory, is a copy of.
/// The caller has write access.
pub(crate) fn create_for_dir(
    sb: &Super,
    handle: &FileHandle,
    copy: &Dentry,
) -> Result<ARef<Dentry>> {
    let upper = sb.layers.upper()?;
    let name = EntryName::of(handle)?;
    let copy = handle::encode(sb.config.uuid, Side::Upper, copy.inode().ok_or(ENOENT)?)?;
    let entry = workdir::start_temp(upper)?.mkdir(FileType::Directory.mode(0))?;
    let place = || -> Result {
        handle::store(sb.namespace(), upper.path(&entry)?, Attribute::Upper, &copy)?;
        let index = upper.index()?.ok_or(EIO)?;
        Renaming::start_to_new_name(index, &entry, index, name.name()?)?.rename()
    };
    if let Err(err) = place() {
        workdir::discard(upper, &entry);
        return Err(err);
    }
    Ok(entry)
}

/// Removes the entry of an object that has no name any more; with `nfs_export` a
/// whiteout stays, so that handles do not find the lower object.
///
/// The caller holds `copy_up` of `inode`. A failure leaves an entry that the next
/// mount removes.
pub(crate) fn after_removal(inode: &InodeOf<Overlay>) {
    if !inode.data().is_indexed() || inode.nlink() > 0 {
        return;
    }
    let removed = with_creds(&inode.super_data().cred, |_| remove_entry(inode));
    if let Err(err) = removed {
        vfs::pr_err_ratelimited!("index: cannot remove an entry: error {}\n", err.to_errno());
    }
}

fn remove_entry(inode: &InodeOf<Overlay>) -> Result {
    let sb = inode.super_data();
    let upper = sb.layers.upper()?;
    let lower = inode.lower_path()?.ok_or(EIO)?;
    let handle = handle::encode(sb.config.uuid, Side::Lower, lower.inode()?)?;
    let _write = upper.mount().want_write()?;
    let links = inode.upper_path()?.ok_or(EIO)?.inode()?.nlink();
    if !inode.mode().is_dir() && links != 1 {
        // Lower names were added while it was mounted: their removal counted, they did not.
        vfs::pr_warn_ratelimited!("index: the last name is gone, but not the last link in upper\n");
        inode.set_nlink(links.saturating_sub(1));
        return nlink::store(inode, Side::Upper);
    }
    let Some(entry) = entry(upper, &handle)? else {
        return Ok(());
    };
    let index = upper.index()?.ok_or(EIO)?;
    if sb.config.nfs_export {
        replace_by_whiteout(upper, index, &entry)
    } else {
        workdir::remove(index, &entry)
    }
}
