// SPDX-License-Identifier: GPL-2.0

//! File handles of objects in layers, and the attributes that keep them.

use crate::{
    format::{
        file_handle::{FileHandle, LEN_MAX},
        xattr::{Attribute, Namespace},
        Side, //
    },
    uuid::UuidMode,
    xattr, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    cred::capable_dac_read_search,
    dentry::Dentry,
    exportfs::{Handle, MAX_WORDS},
    inode::Inode,
    mount::PathRef,
    super_block::SuperBlock, //
};

/// Whether a filesystem has handles that the current task may decode.
pub(crate) fn are_there(sb: &SuperBlock) -> bool {
    capable_dac_read_search() && sb.can_decode_handles()
}

/// The handle of an object of a layer. `EIO` when its filesystem has none.
#[inline]
pub(crate) fn encode(uuid: UuidMode, side: Side, inode: &Inode) -> Result<FileHandle> {
    let mut words = [0; MAX_WORDS];
    let (kind, len) = Handle::encode(inode, &mut words)?;
    let uuid = uuid.of_lower(inode.super_block());
    FileHandle::new(side, uuid, kind, words.get(..len).ok_or(EIO)?).map_err(|_| EIO)
}

/// How an object is to be found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Find {
    /// By any dentry.
    Any,
    /// A directory only within the layer, by a dentry that has all its ancestors.
    Connected,
}

/// Finds the object that a handle means in the layer with this root. `None` when
/// it is of another one, gone, or nothing for a layer; but `ESTALE` when it is
/// gone from upper, which is to be known.
pub(crate) fn decode(
    uuid: UuidMode,
    root: PathRef<'_>,
    handle: &FileHandle,
    how: Find,
) -> Result<Option<ARef<Dentry>>> {
    let sb = root.mount().super_block();
    if uuid.of_lower(sb) != handle.uuid() || !are_there(sb) {
        return Ok(None);
    }
    let fid = Handle::from_words(handle.fid_type(), handle.fid())?;
    let found = match how {
        Find::Any => fid.decode(root.mount()),
        Find::Connected => fid.decode_connected(root),
    };
    match found {
        Ok(dentry) if dentry.is_weird() => Ok(None),
        Ok(dentry) => Ok(Some(dentry)),
        Err(err) if err == ESTALE && handle.side() == Side::Lower => Ok(None),
        Err(err) => Err(err),
    }
}

/// Reads the handle that an attribute keeps; `None` when there is none, also when
/// the attribute says something that makes no sense.
pub(crate) fn read(
    namespace: Namespace,
    path: PathRef<'_>,
    attribute: Attribute,
) -> Result<Option<FileHandle>> {
    let mut buffer = [0; LEN_MAX];
    match xattr::get_own(namespace, path, attribute, &mut buffer) {
        Ok(Some(value)) => Ok(FileHandle::from_xattr(value).unwrap_or_default()),
        Ok(None) => Ok(None),
        // Longer than any handle, or a filesystem that refuses to tell.
        Err(err) if err == ERANGE || err == EPERM => Ok(None),
        Err(err) => Err(err),
    }
}

/// Writes a handle to an attribute. The caller has write access.
pub(crate) fn store(
    namespace: Namespace,
    path: PathRef<'_>,
    attribute: Attribute,
    handle: &FileHandle,
) -> Result {
    let mut buffer = [0; LEN_MAX];
    let value = handle.write(&mut buffer).map_err(|_| EIO)?;
    xattr::set_own(namespace, path, attribute, value)
}

/// Checks that an attribute keeps this handle: `ENODATA` if it keeps none,
/// `ESTALE` if another one.
pub(crate) fn verify(
    namespace: Namespace,
    path: PathRef<'_>,
    attribute: Attribute,
    handle: &FileHandle,
) -> Result {
    match read(namespace, path, attribute)? {
        Some(kept) if kept == *handle => Ok(()),
        Some(_) => Err(ESTALE),
        None => Err(ENODATA),
    }
}

/// As [`verify`], but writes the handle if there is none. The caller has write
/// access.
pub(crate) fn verify_or_store(
    namespace: Namespace,
    path: PathRef<'_>,
    attribute: Attribute,
    handle: &FileHandle,
) -> Result {
    match verify(namespace, path, attribute, handle) {
        Err(err) if err == ENODATA => store(namespace, path, attribute, handle),
        result => result,
    }
}
