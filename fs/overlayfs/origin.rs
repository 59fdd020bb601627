// SPDX-License-Identifier: GPL-2.0

//! Where an object in upper was copied from: a file handle of the lower object,
//! kept as an attribute.

use crate::{
    format::{
        file_handle::FileHandle,
        xattr::Attribute,
        Side, //
    },
    handle::{self, Find},
    identity::Numbering,
    layers::{LayerIndex, LayerPath, Upper},
    super_block::Super,
    xattr, //
};
use kernel::prelude::*;
use vfs::{
    dentry::Dentry,
    inode::Inode,
    mount::PathRef,
    super_block::SuperBlock, //
};

/// Finds what the file `upper` was copied from; `None` when it is not known,
/// also when the attribute says something that makes no sense.
pub(crate) fn find(sb: &Super, upper: PathRef<'_>) -> Result<Option<LayerPath>> {
    let handle = match handle::read(sb.namespace(), upper, Attribute::Origin)? {
        Some(handle) if handle.side() == Side::Lower => handle,
        _ => return Ok(None),
    };
    let Some(found) = decode(sb, &handle, Find::Any)? else {
        return Ok(None);
    };
    Ok(is_same_type(&found.dentry, upper.dentry()).then_some(found))
}

/// Whether two objects are of one type.
pub(crate) fn is_same_type(a: &Dentry, b: &Dentry) -> bool {
    match (a.inode(), b.inode()) {
        (Some(a), Some(b)) => a.mode().file_type() == b.mode().file_type(),
        _ => false,
    }
}

/// Finds the lower object that a handle means, by the first layer that can be the
/// one.
pub(crate) fn decode(sb: &Super, handle: &FileHandle, how: Find) -> Result<Option<LayerPath>> {
    let layers = Iterator::zip(sb.layers.lower.iter(), sb.layers.lower_roots.iter());
    let mut without: Option<&SuperBlock> = None;
    for (index, (lower, root)) in layers.enumerate() {
        let mount = root.mount();
        // Layers on one filesystem need not be asked again, of which there may be thousands.
        if !lower.unique_uuid || without == Some(mount.super_block()) {
            continue;
        }
        let Some(dentry) = handle::decode(sb.config.uuid, root.borrow(), handle, how)? else {
            if how == Find::Any {
                without = Some(mount.super_block());
            }
            continue;
        };
        // Layers on subvolumes of one filesystem share what decodes handles.
        if lower.numbering != Numbering::of(PathRef::new(mount, &dentry)?)? {
            continue;
        }
        let layer = LayerIndex(u32::try_from(index + 1).map_err(|_| EINVAL)?);
        return Ok(Some(LayerPath { layer, dentry }));
    }
    Ok(None)
}

/// Checks that `upper` was copied from the lower object `origin`: `ENODATA` when
/// that is not known, `ESTALE` when it was from another one.
pub(crate) fn verify(sb: &Super, upper: PathRef<'_>, origin: &Inode) -> Result {
    let handle = handle::encode(sb.config.uuid, Side::Lower, origin)?;
    handle::verify(sb.namespace(), upper, Attribute::Origin, &handle)
}

/// What is written of an origin: nothing for a filesystem without file handles,
/// which still tells a copy from an object that was created in upper.
pub(crate) struct Origin(pub(crate) Option<FileHandle>);

impl Origin {
    /// Describes a lower object of the overlay `sb`.
    pub(crate) fn of(sb: &Super, lower: &Inode) -> Result<Self> {
        // With an index all layers have handles, and nothing else will do.
        if !sb.config.index && !handle::are_there(lower.super_block()) {
            return Ok(Self(None));
        }
        handle::encode(sb.config.uuid, Side::Lower, lower).map(|handle| Self(Some(handle)))
    }

    /// As [`Origin::store`]. Takes write access.
    pub(crate) fn store_now(&self, sb: &Super, dentry: &Dentry) -> Result {
        let upper = sb.layers.upper()?;
        let _write = upper.mount().want_write()?;
        self.store(upper, dentry)
    }

    /// Writes it to an object in upper, or in the work directory. The caller has
    /// write access.
    pub(crate) fn store(&self, upper: &Upper, dentry: &Dentry) -> Result {
        if !upper.features.xattr {
            return Ok(());
        }
        let (namespace, path) = (upper.namespace, upper.path(dentry)?);
        let stored = match &self.0 {
            Some(handle) => handle::store(namespace, path, Attribute::Origin, handle),
            None => xattr::set_own(namespace, path, Attribute::Origin, &[]),
        };
        match stored {
            // A file that takes no such attributes.
            Err(err) if err == EPERM || err == EOPNOTSUPP => Ok(()),
            result => result,
        }
    }
}
