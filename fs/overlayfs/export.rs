// SPDX-License-Identifier: GPL-2.0

//! File handles of the overlay's own objects.
//!
//! A handle is that of an object in a layer: of the lower one for what is in a lower
//! layer or was copied up from there, so that it stays valid, and of upper's for what
//! was created there. The index leads from the lower object to what became of it.
//!
//! A file is found as an inode without a name. A directory has to be found with all
//! its ancestors: by the path that it has in upper, or else by the one that it has in
//! its lower layer, from the lowest ancestor that is known, or in the index. For that
//! to work, all directories between have to be found by the same lower layer; where
//! they are not, making the handle copies one up, which puts it into the index.

use crate::{
    copy_up,
    entry::OverlayInode,
    format::{
        file_handle::{FileHandle, WIRE_MAX, WIRE_TYPE},
        Side, //
    },
    handle::{self, Find},
    index,
    layered::Objects,
    layers::{LayerIndex, LayerRef},
    lookup::{get_inode, is_whiteout_device},
    origin,
    remove::same_object,
    stack::Stack,
    super_block::Super,
    Overlay, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    cred::with_creds,
    dentry::{Dentry, DentryFlag, DentryOf},
    exportfs::{ExportOperations, Handle},
    file::killed,
    inode::{Inode, InodeOf},
    new_inode::NewInode,
    super_block::SuperBlockOf,
    trace::Reason, //
};

/// All directories between this one and the root, or the next one in the index, are
/// found by the same lower layer.
const CONNECTED: DentryFlag = DentryFlag::new(1);

/// Handles that can be decoded, with `nfs_export`.
pub(crate) struct Export;

/// Handles that only tell objects apart.
pub(crate) struct Identify;

#[vtable]
impl ExportOperations for Identify {
    type Fs = Overlay;

    fn encode_fh(inode: &InodeOf<Overlay>, parent: Option<&InodeOf<Overlay>>) -> Result<Handle> {
        encode(inode, parent)
    }
}

#[vtable]
impl ExportOperations for Export {
    type Fs = Overlay;

    fn encode_fh(inode: &InodeOf<Overlay>, parent: Option<&InodeOf<Overlay>>) -> Result<Handle> {
        encode(inode, parent)
    }

    fn fh_to_dentry(
        sb: &SuperBlockOf<Overlay>,
        handle: &Handle,
    ) -> Result<ARef<DentryOf<Overlay>>> {
        let handle = FileHandle::from_wire(handle.kind, handle.words()).map_err(|_| EINVAL)?;
        with_creds(&sb.data().cred, |_| match handle.side() {
            Side::Upper => decode_upper(sb, &handle),
            Side::Lower => decode_lower(sb, &handle),
        })
    }

    fn fh_to_parent(
        _sb: &SuperBlockOf<Overlay>,
        _handle: &Handle,
    ) -> Result<ARef<DentryOf<Overlay>>> {
        // Handles do not tell the parent.
        Err(EACCES)
    }
}

fn encode(inode: &InodeOf<Overlay>, parent: Option<&InodeOf<Overlay>>) -> Result<Handle> {
    if parent.is_some() {
        return Err(EOPNOTSUPP);
    }
    let sb = inode.super_data();
    let side = side_of(inode)?;
    let real = match side {
        Side::Upper => inode.upper_path()?,
        Side::Lower => inode.lower_path()?,
    };
    let real = real.ok_or(EIO)?.inode()?;
    let handle = with_creds(&sb.cred, |_| handle::encode(sb.config.uuid, side, real))?;
    let mut words = [0; WIRE_MAX];
    let len = handle.write_wire(&mut words).map_err(|_| EIO)?;
    Handle::from_words(WIRE_TYPE, words.get(..len).ok_or(EIO)?)
}

/// By which object a handle is made. Copies a directory up where it could not be
/// found otherwise.
fn side_of(inode: &InodeOf<Overlay>) -> Result<Side> {
    let sb = inode.super_data();
    if sb.layers.upper.is_none() {
        return Ok(Side::Lower);
    }
    let (in_upper, in_lower) = (inode.upper().is_some(), !inode.lower().is_empty());
    if !in_lower {
        return Ok(Side::Upper);
    }
    if !sb.config.nfs_export {
        let is_root = is_root(inode);
        return Ok(if is_root { Side::Upper } else { Side::Lower });
    }
    // It was copied up when nobody could have a handle of it, or is the root.
    if in_upper && !inode.data().is_indexed() {
        return Ok(Side::Upper);
    }
    if inode.mode().is_dir() {
        connect(&*DentryOf::any_of(inode).ok_or(ENOENT)?)?;
    }
    Ok(Side::Lower)
}

fn is_root(inode: &InodeOf<Overlay>) -> bool {
    let root = inode.super_block_of().root();
    root.and_then(|root| root.inode_of())
        .is_some_and(|root| core::ptr::eq(root, inode))
}

/// The lowest layer from whose objects a directory is found.
fn connectable(dir: &DentryOf<Overlay>) -> Result<u32> {
    let inode = dir.inode_of().ok_or(ENOENT)?;
    if is_root(inode) {
        return u32::try_from(inode.lower().len()).map_err(|_| EINVAL);
    }
    if inode.upper().is_some() && !inode.data().is_indexed() {
        return Ok(0);
    }
    Ok(first_lower(inode)?.layer.0)
}

fn first_lower(inode: &InodeOf<Overlay>) -> Result<LayerRef<'_>> {
    inode.lower().first().ok_or(EIO)
}

/// Sees to it that the directory is found from its object in the highest lower layer
/// that has it.
fn connect(dir: &DentryOf<Overlay>) -> Result {
    let inode = dir.inode_of().ok_or(ENOENT)?;
    let layer = first_lower(inode)?.layer.0;
    if dir.has_flag(CONNECTED) {
        return Ok(());
    }
    let mut next: ARef<DentryOf<Overlay>> = dir.into();
    loop {
        let parent = next.parent_of();
        if **parent == **next {
            return Err(EIO);
        }
        if connectable(&parent)? < layer {
            if next.inode_of().ok_or(ENOENT)?.upper().is_none() {
                copy_up::copy_up(&next, Reason::Handle)?;
            }
            break;
        }
        let parent_inode = parent.inode_of().ok_or(ENOENT)?;
        if is_root(parent_inode) || parent.has_flag(CONNECTED) || parent_inode.data().is_indexed() {
            break;
        }
        next = parent;
    }
    dir.set_flag(CONNECTED);
    Ok(())
}

/// Finds what a handle of an object in upper stands for.
fn decode_upper(
    sb: &SuperBlockOf<Overlay>,
    handle: &FileHandle,
) -> Result<ARef<DentryOf<Overlay>>> {
    let data = sb.data();
    let layer = data.layers.upper().map_err(|_| EACCES)?;
    let uuid = data.config.uuid;
    let upper = handle::decode(uuid, layer.root()?, handle, Find::Connected)?.ok_or(ESTALE)?;
    if upper.is_dir() {
        return connected(sb, &upper, LayerIndex::UPPER);
    }
    if is_whiteout_device(&upper) {
        return Err(ESTALE);
    }
    let mut lower = Stack::default();
    if let Some(origin) = origin::find(data, layer.path(&upper)?)? {
        lower.push(origin)?;
    }
    obtain(sb, Some(upper), lower)
}

/// Finds what a handle of a lower object stands for: by the object that it became in
/// upper if the index has that, else by itself.
fn decode_lower(
    sb: &SuperBlockOf<Overlay>,
    handle: &FileHandle,
) -> Result<ARef<DentryOf<Overlay>>> {
    let data = sb.data();
    let origin = origin::decode(data, handle, Find::Any)?.ok_or(ESTALE)?;
    let is_root = *origin.dentry == *data.layers.highest_root()?.dentry();
    if data.layers.upper.is_none() && is_root {
        return Ok(sb.root().ok_or(EIO)?.into());
    }
    let is_dir = origin.dentry.is_dir();
    if !is_dir || !origin.dentry.is_disconnected() {
        let real = origin.dentry.inode().ok_or(ESTALE)?;
        if let Some(found) = in_cache(sb, real, origin.layer)? {
            return Ok(found);
        }
    }
    let entry = match data.config.index {
        true => index::find_by_handle(data, handle)?,
        false => None,
    };
    if let Some(entry) = entry.as_ref().filter(|entry| entry.is_dir()) {
        let upper = index::upper_of(data, entry, Find::Connected)?.ok_or(ESTALE)?;
        return connected(sb, &upper, LayerIndex::UPPER);
    }
    if is_dir {
        // This time with its ancestors, and within a layer.
        let origin = origin::decode(data, handle, Find::Connected)?.ok_or(ESTALE)?;
        return connected(sb, &origin.dentry, origin.layer);
    }
    if let Some(entry) = &entry {
        let inode = origin.dentry.inode().ok_or(ESTALE)?;
        origin::verify(data, data.layers.upper()?.path(entry)?, inode)?;
    }
    obtain(sb, None, Stack::of(origin))
}

/// A dentry of the file that stands for these objects, with a name or without.
fn obtain(
    sb: &SuperBlockOf<Overlay>,
    upper: Option<ARef<Dentry>>,
    lower: Stack,
) -> Result<ARef<DentryOf<Overlay>>> {
    let objects = Objects {
        upper,
        lower,
        ..Objects::default()
    };
    DentryOf::obtain(get_inode(sb, objects)?)
}

/// A dentry of the inode that stands for `real`, if one is in use: `ESTALE` if that
/// stands for another object beside it.
fn in_cache(
    sb: &SuperBlockOf<Overlay>,
    real: &Inode,
    layer: LayerIndex,
) -> Result<Option<ARef<DentryOf<Overlay>>>> {
    let Some(inode) = NewInode::find(sb, real) else {
        return Ok(None);
    };
    let own = match layer {
        LayerIndex::UPPER => inode.upper().and_then(|upper| upper.inode()),
        _ => inode.lower().first().and_then(|lower| lower.dentry.inode()),
    };
    if own.is_some_and(|own| core::ptr::eq(own, real)) {
        Ok(DentryOf::any_of(&inode))
    } else {
        Err(ESTALE)
    }
}

/// The object of a directory in a layer.
fn object_in<'a>(dir: &'a DentryOf<Overlay>, layer: LayerIndex) -> Option<&'a Dentry> {
    let inode = dir.inode_of()?;
    if layer == LayerIndex::UPPER {
        return inode.upper();
    }
    let lower = inode.lower().iter().find(|lower| lower.layer == layer)?;
    Some(lower.dentry)
}

fn is_object_in(dir: &DentryOf<Overlay>, layer: LayerIndex, real: &Dentry) -> bool {
    object_in(dir, layer).is_some_and(|object| same_object(object, real))
}

/// Finds the directory whose object in a layer is `real`, with all its ancestors.
fn connected(
    sb: &SuperBlockOf<Overlay>,
    real: &ARef<Dentry>,
    layer: LayerIndex,
) -> Result<ARef<DentryOf<Overlay>>> {
    if real.is_disconnected() || real.is_unhashed() {
        return Err(ENOENT);
    }
    let root = sb.data().layers.root(layer)?.dentry();
    let mut at = known_ancestor(sb, real, layer)?;
    while !is_object_in(&at, layer, real) {
        // Whoever moves directories all the time keeps this from ending.
        if killed() {
            return Err(EINTR);
        }
        let next = child_towards(sb, &mut at, real, layer, root)?;
        match lookup_by_object(&at, &next, layer) {
            // It was moved to another directory meanwhile.
            Err(err) if err == ECHILD => at = known_ancestor(sb, real, layer)?,
            found => at = found?,
        }
    }
    Ok(at)
}

/// The ancestor of `real`, or itself, whose parent is the object of `at` in the layer. If
/// `real` is not below that any more, `at` becomes the root.
fn child_towards(
    sb: &SuperBlockOf<Overlay>,
    at: &mut ARef<DentryOf<Overlay>>,
    real: &ARef<Dentry>,
    layer: LayerIndex,
    root: &Dentry,
) -> Result<ARef<Dentry>> {
    let mut next = real.clone();
    loop {
        let parent = next.parent();
        if is_object_in(at, layer, &parent) {
            return Ok(next);
        }
        if *parent == *root {
            *at = sb.root().ok_or(EIO)?.into();
            return Ok(next);
        }
        if *parent == *next {
            // It was moved out of the layer.
            return Err(EXDEV);
        }
        next = parent;
    }
}

/// Looks a child of `dir` up by the name that its object `real` has in a layer. `ECHILD`
/// if that is in another directory now, `ESTALE` if the child is something else.
fn lookup_by_object(
    dir: &DentryOf<Overlay>,
    real: &Dentry,
    layer: LayerIndex,
) -> Result<ARef<DentryOf<Overlay>>> {
    let child = real.with_name(|name| dir.lookup_unlocked(name));
    if !is_object_in(dir, layer, &real.parent()) {
        return Err(ECHILD);
    }
    let child = child?;
    if child.is_negative() {
        return Err(ENOENT);
    }
    if !is_object_in(&child, layer, real) {
        return Err(ESTALE);
    }
    Ok(child)
}

/// The next ancestor of `real`, or itself, that is in use, or that the index knows; the
/// root if there is none.
fn known_ancestor(
    sb: &SuperBlockOf<Overlay>,
    real: &ARef<Dentry>,
    layer: LayerIndex,
) -> Result<ARef<DentryOf<Overlay>>> {
    let layer_root = sb.data().layers.root(layer)?.dentry();
    let root = || sb.root().map(ARef::from).ok_or(EIO);
    if **real == *layer_root {
        return root();
    }
    let mut next = real.clone();
    loop {
        let parent = next.parent();
        if let Some(known) = known(sb, &next, layer)? {
            return Ok(known);
        }
        if *parent == *layer_root {
            return root();
        }
        if *parent == *next {
            return Err(EXDEV);
        }
        next = parent;
    }
}

/// The directory whose object in a layer is `real`, if it is in use or in the index.
fn known(
    sb: &SuperBlockOf<Overlay>,
    real: &ARef<Dentry>,
    layer: LayerIndex,
) -> Result<Option<ARef<DentryOf<Overlay>>>> {
    let data = sb.data();
    let inode = real.inode().ok_or(ESTALE)?;
    let mut found = in_cache(sb, inode, layer)?;
    if found.is_none() && layer != LayerIndex::UPPER && data.config.index {
        found = by_index(sb, data, inode)?;
    }
    match found {
        Some(found) if !is_object_in(&found, layer, real) => Err(EIO),
        found => Ok(found),
    }
}

/// The directory that a lower one was copied up to, if the index knows it. The path from
/// there on is that in upper.
fn by_index(
    sb: &SuperBlockOf<Overlay>,
    data: &Super,
    lower: &Inode,
) -> Result<Option<ARef<DentryOf<Overlay>>>> {
    let handle = handle::encode(data.config.uuid, Side::Lower, lower)?;
    let Some(entry) = index::find_by_handle(data, &handle)? else {
        return Ok(None);
    };
    match index::upper_of(data, &entry, Find::Connected)? {
        // Goes no further than this: upper's objects are not looked for in the index.
        Some(upper) => connected(sb, &upper, LayerIndex::UPPER).map(Some),
        None => Ok(None),
    }
}
