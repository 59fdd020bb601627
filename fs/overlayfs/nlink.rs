// SPDX-License-Identifier: GPL-2.0

//! Link counts of indexed files.
//!
//! An indexed file is one inode of the overlay, whatever names it has, and its
//! count is that of the union: names in upper, and names in the lower layer that
//! nothing in upper covers. The count is kept as an attribute of upper's inode,
//! relative to a count of a layer's inode: before a name is added or removed in
//! upper, to that of upper's inode, which changes with it; before a lower name is
//! copied up, to that of the lower inode, which does not. So it is right whether
//! the change happens or not.

use crate::{
    entry::OverlayInode,
    format::{
        nlink::{Nlink, LEN_MAX},
        xattr::{Attribute, Namespace},
        Side, //
    },
    xattr,
    Overlay, //
};
use kernel::prelude::*;
use vfs::{
    inode::{Inode, InodeOf},
    mount::PathRef, //
};

/// Writes the count of `inode`, which is indexed, relative to that of its inode in
/// upper or in the lower layer.
///
/// The caller holds `copy_up` and has write access.
pub(crate) fn store(inode: &InodeOf<Overlay>, relative_to: Side) -> Result {
    let upper = inode.upper_path()?.ok_or(EIO)?;
    let real = match relative_to {
        Side::Upper => upper,
        Side::Lower => inode.lower_path()?.ok_or(EIO)?,
    };
    store_at(
        inode.super_data().namespace(),
        upper,
        relative_to,
        inode.nlink(),
        real.inode()?.nlink(),
    )
}

/// Writes to `path`, in upper or in the work directory, that the union has `union`
/// links where an inode has `real`. The caller has write access.
pub(crate) fn store_at(
    namespace: Namespace,
    path: PathRef<'_>,
    relative_to: Side,
    union: u32,
    real: u32,
) -> Result {
    let nlink = Nlink::new(relative_to, union, real).map_err(|_| EIO)?;
    let mut buffer = [0; LEN_MAX];
    let value = nlink.write(&mut buffer).map_err(|_| EIO)?;
    xattr::set_own(namespace, path, Attribute::Nlink, value)
}

/// Before the number of names in upper changes: see [`store`]. Does nothing for
/// what is not indexed.
pub(crate) fn before_change(inode: &InodeOf<Overlay>) -> Result {
    if inode.mode().is_dir() || !inode.data().is_indexed() {
        return Ok(());
    }
    store(inode, Side::Upper)
}

/// Reads the count of an indexed file: `None` if there is none that makes sense.
pub(crate) fn read(namespace: Namespace, lower: &Inode, upper: PathRef<'_>) -> Result<Option<u32>> {
    let mut buffer = [0; LEN_MAX];
    let value = match xattr::get_own(namespace, upper, Attribute::Nlink, &mut buffer) {
        Err(err) if err == ERANGE => None,
        result => result?,
    };
    let union = value
        .and_then(|value| Nlink::parse(value).ok())
        .zip(upper.inode().ok())
        .and_then(|(nlink, upper)| nlink.union(lower.nlink(), upper.nlink()));
    if union.is_none() {
        vfs::pr_warn_ratelimited!("an index entry has no valid link count\n");
    }
    Ok(union)
}
