// SPDX-License-Identifier: GPL-2.0

//! Where an object in upper was copied from: a file handle of the lower object,
//! kept as an attribute.

use crate::{
    format::{
        file_handle::{FileHandle, LEN_MAX},
        xattr::Attribute,
        Side, //
    },
    identity::Numbering,
    layers::{LayerIndex, LayerPath, Upper},
    super_block::Super,
    xattr, //
};
use kernel::prelude::*;
use vfs::{
    dentry::Dentry,
    exportfs::Handle,
    inode::Inode,
    mount::PathRef, //
};

/// Finds what the file `upper` was copied from; `None` when it is not known,
/// also when the attribute says something that makes no sense.
pub(crate) fn find(sb: &Super, upper: PathRef<'_>) -> Result<Option<LayerPath>> {
    let mut buffer = [0; LEN_MAX];
    let value = match xattr::get_own(upper, Attribute::Origin, &mut buffer) {
        Ok(Some(value)) => value,
        // Longer than any handle, or a filesystem that refuses to tell.
        Ok(None) => return Ok(None),
        Err(err) if err == ERANGE || err == EPERM => return Ok(None),
        Err(err) => return Err(err),
    };
    let handle = match FileHandle::from_xattr(value) {
        Ok(Some(handle)) if handle.side() == Side::Lower => handle,
        _ => return Ok(None),
    };
    let fid = Handle::from_words(handle.fid_type(), handle.fid())?;
    let layers = Iterator::zip(sb.layers.lower.iter(), sb.layers.lower_mounts.iter());
    for (index, (lower, mount)) in layers.enumerate() {
        if !lower.unique_uuid {
            continue;
        }
        let lower_sb = mount.super_block();
        if sb.config.uuid.of_lower(lower_sb) != handle.uuid() || !lower_sb.can_decode_handles() {
            continue;
        }
        let Ok(dentry) = fid.decode(mount) else {
            continue;
        };
        let same_type = match (dentry.inode(), upper.inode()) {
            (Some(lower), Ok(upper)) => lower.mode().file_type() == upper.mode().file_type(),
            _ => false,
        };
        if dentry.is_weird() || !same_type {
            continue;
        }
        // Layers on subvolumes of one filesystem share what decodes handles.
        if lower.numbering != Numbering::of(PathRef::new(mount, &dentry)?)? {
            continue;
        }
        let layer = LayerIndex(u32::try_from(index + 1).map_err(|_| EINVAL)?);
        return Ok(Some(LayerPath { layer, dentry }));
    }
    Ok(None)
}

/// What is written of an origin: nothing for a filesystem without file handles,
/// which still tells a copy from an object that was created in upper.
pub(crate) struct Origin {
    value: [u8; LEN_MAX],
    len: usize,
}

impl Origin {
    /// Describes a lower object of the overlay `sb`.
    pub(crate) fn of(sb: &Super, lower: &Inode) -> Result<Self> {
        let mut origin = Self {
            value: [0; LEN_MAX],
            len: 0,
        };
        let lower_sb = lower.super_block();
        if !lower_sb.can_decode_handles() {
            return Ok(origin);
        }
        let handle = Handle::encode(lower)?;
        let uuid = sb.config.uuid.of_lower(lower_sb);
        let handle =
            FileHandle::new(Side::Lower, uuid, handle.kind, handle.words()).map_err(|_| EIO)?;
        origin.len = handle.write(&mut origin.value).map_err(|_| EIO)?.len();
        Ok(origin)
    }

    /// Writes it to an object in upper, or in the work directory. The caller has
    /// write access.
    pub(crate) fn store(&self, upper: &Upper, dentry: &Dentry) -> Result {
        if !upper.features.xattr {
            return Ok(());
        }
        let value = self.value.get(..self.len).unwrap_or_default();
        match xattr::set_own(upper.path(dentry)?, Attribute::Origin, value) {
            // A file that takes no such attributes.
            Err(err) if err == EPERM || err == EOPNOTSUPP => Ok(()),
            result => result,
        }
    }
}
