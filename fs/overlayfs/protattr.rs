// SPDX-License-Identifier: GPL-2.0

//! Immutable and append-only objects.
//!
//! An object in upper that were itself immutable could not be linked to its
//! place, nor marked. The flags are kept in an attribute instead, and enforced
//! by the overlay.

use crate::{
    format::{
        protattr::{ProtAttr, LEN_MAX},
        xattr::Attribute, //
    },
    layers::Upper,
    xattr,
    Overlay, //
};
use kernel::prelude::*;
use vfs::{
    dentry::Dentry,
    inode::{InodeFlags, InodeOf},
    mount::PathRef, //
};

/// Takes over the flags that are recorded at `path`, upper's object, before the inode
/// is published.
pub(crate) fn load(inode: &InodeOf<Overlay>, path: PathRef<'_>) -> Result {
    let mut buffer = [0; LEN_MAX];
    let value = match xattr::get_own(
        inode.super_data().namespace(),
        path,
        Attribute::ProtAttr,
        &mut buffer,
    ) {
        Ok(Some(value)) => value,
        Ok(None) => return Ok(()),
        Err(err) if err == ERANGE || err == EPERM => return Ok(()),
        Err(err) => return Err(err),
    };
    // A value that makes no sense protects nothing.
    let Ok(recorded) = ProtAttr::parse(value) else {
        vfs::pr_warn_ratelimited!("incompatible overlay.protattr attribute\n");
        return Ok(());
    };
    let flags = to_flags(recorded);
    inode.set_flags(flags, flags);
    Ok(())
}

fn to_flags(recorded: ProtAttr) -> InodeFlags {
    let mut flags = InodeFlags::NONE;
    if recorded.append {
        flags = flags.union(InodeFlags::APPEND);
    }
    if recorded.immutable {
        flags = flags.union(InodeFlags::IMMUTABLE);
    }
    flags
}

/// Records flags of an object in upper, or in the work directory; with none
/// the record is removed. The caller has write access.
pub(crate) fn store(upper: &Upper, dentry: &Dentry, flags: InodeFlags) -> Result {
    let recorded = ProtAttr {
        append: !flags.intersection(InodeFlags::APPEND).is_empty(),
        immutable: !flags.intersection(InodeFlags::IMMUTABLE).is_empty(),
    };
    let path = upper.path(dentry)?;
    if flags.intersection(InodeFlags::PROTECTED).is_empty() {
        if !xattr::has_own(upper.namespace, path, Attribute::ProtAttr)? {
            return Ok(());
        }
        return match xattr::remove_own(upper.namespace, path, Attribute::ProtAttr) {
            Err(err) if err == ENODATA || err == EOPNOTSUPP => Ok(()),
            result => result,
        };
    }
    if !upper.features.xattr {
        return Err(EPERM);
    }
    xattr::set_own(
        upper.namespace,
        path,
        Attribute::ProtAttr,
        recorded.as_bytes(),
    )
}
