// SPDX-License-Identifier: GPL-2.0

//! Finding an object in the stack of layers.

use crate::{
    casefold,
    entry::{inode_lock_class, OverlayInode},
    format::{
        opaque::{is_impure, Opaque},
        whiteout,
        xattr::{Attribute, Namespace}, //
    },
    identity::Fsid,
    index,
    inode::set_operations,
    layer_names::{self, objects_having},
    layered::{self, DataPlace, Objects},
    layers::LayerPath,
    lower_data::Deferred,
    metacopy,
    nlink,
    observe,
    protattr,
    super_block::Super,
    xattr,
    Overlay, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    cred::with_creds,
    dentry::{Child, Dentry, Name},
    inode::{InodeFlags, InodeOf},
    mount::PathRef,
    new_inode::{Cached, NewInode},
    super_block::SuperBlockOf, //
};

/// Whether a directory of a layer is marked to have whiteouts of the second kind,
/// which a listing looks for only there: empty files with an attribute, for
/// layers that are made where devices cannot be.
pub(crate) fn has_xattr_whiteouts(namespace: Namespace, dir: PathRef<'_>) -> Result<bool> {
    let mut value = [0; 2];
    match xattr::get_own(namespace, dir, Attribute::Opaque, &mut value) {
        Ok(value) => Ok(value.and_then(Opaque::parse) == Some(Opaque::XattrWhiteouts)),
        Err(err) if err == ERANGE => Ok(false),
        Err(err) => Err(err),
    }
}

/// Whether an object is a whiteout of the first kind, a device. In the index there is
/// no other.
pub(crate) fn is_whiteout_device(dentry: &Dentry) -> bool {
    dentry.inode().is_some_and(|inode| {
        whiteout::is_whiteout(inode.mode().bits().into(), inode.rdev().as_raw())
    })
}

/// Whether an object of a layer is a whiteout of either kind: what it hides does
/// not exist, nor does itself.
pub(crate) fn is_whiteout(namespace: Namespace, path: PathRef<'_>) -> Result<bool> {
    if is_whiteout_device(path.dentry()) {
        return Ok(true);
    }
    let inode = path.inode()?;
    let mode = inode.mode().bits().into();
    let size = u64::try_from(inode.size()).unwrap_or(u64::MAX);
    // Almost no object gets past this.
    if !whiteout::may_be_xattr_whiteout(mode, size) {
        return Ok(false);
    }
    xattr::has_own(namespace, path, Attribute::Whiteout)
}

/// See `InodeOperations::lookup`.
pub(crate) fn lookup(
    dir: &InodeOf<Overlay>,
    child: Child<'_, Overlay>,
) -> Result<Option<ARef<InodeOf<Overlay>>>> {
    let sb = dir.super_block_of();
    let name = child.name();
    if name.as_bytes().len() > sb.data().name_len {
        return Err(ENAMETOOLONG);
    }
    with_creds(&sb.data().cred, |_| {
        let (mut searched, mut objects) = (0, Objects::default());
        let found = layered::find(dir, name, &mut objects, &mut searched);
        observe::lookup(dir, name, searched, found.is_ok().then_some(&objects));
        found?;
        {
            let upper = objects.upper.as_deref();
            let lower = objects.lower.iter().map(|lower| &*lower.dentry);
            child.set_revalidation(Iterator::chain(upper.into_iter(), lower));
        }
        if objects.upper.is_none() && objects.lower.is_empty() {
            return Ok(None);
        }
        if objects.upper.is_some() {
            index::set_named_in_upper(&child);
        }
        get_inode(sb, objects).map(Some)
    })
}

/// Whether the overlay inode is found by its lower object, before and after
/// copy-up: watches stay, and it is one inode for all who look.
///
/// Without an index a lower file with several links has no one place to be copied
/// to, so copying breaks the links, and each name is an object of its own. One that
/// was copied then stays one.
fn by_lower(sb: &Super, objects: &Objects) -> Result<bool> {
    let Some(first) = objects.lower.first() else {
        return Ok(false);
    };
    if objects.indexed || sb.layers.upper.is_none() {
        return Ok(true);
    }
    let inode = first.dentry.inode().ok_or(ENOENT)?;
    let has_links = !inode.mode().is_dir() && inode.nlink() > 1;
    if has_links && (objects.upper.is_some() || !sb.config.index) {
        return Ok(false);
    }
    // Handles lead to what is in upper by upper's, unless there is an entry.
    Ok(!sb.config.nfs_export || objects.upper.is_none())
}

/// Finds the inode that stands for these objects, or makes it. What is not in upper is looked
/// for in the index.
///
/// `ESTALE` when there is a directory that stands for other objects beside them:
/// the layers have changed.
pub(crate) fn get_inode(
    sb: &SuperBlockOf<Overlay>,
    mut objects: Objects,
) -> Result<ARef<InodeOf<Overlay>>> {
    // What is only in lower layers is looked for in the index below, by whoever has the new inode:
    // as long as that is not published nobody can copy the object up. Before, somebody could, and
    // the inode that knows of it be dropped again.
    let only_lower = objects.upper.is_none();
    if !only_lower {
        index::complete(sb.data(), &mut objects)?;
    }
    let by_lower = by_lower(sb.data(), &objects)?;
    let first = objects.lower.first().map(|first| &*first.dentry);
    let key = if by_lower {
        first
    } else {
        objects.upper.as_deref()
    };
    let cached = match key {
        Some(key) => NewInode::get(sb, key.inode().ok_or(ENOENT)?)?,
        None => Cached::New(NewInode::unhashed(sb)?),
    };
    if let Cached::Existing(inode) = &cached {
        if stands_for(inode, objects.upper.as_deref(), first)? {
            return Ok(inode.clone());
        }
    }
    if only_lower {
        index::complete(sb.data(), &mut objects)?;
    }
    match cached {
        Cached::New(inode) => fill_inode(inode, objects, by_lower, None),
        // The origin of a directory lies: it was moved by copying, but lower layers still show
        // what it was copied from.
        Cached::Existing(inode) if inode.data().is_opaque() && !objects.opaque => {
            drop(inode);
            by_upper(sb, objects)
        }
        Cached::Existing(inode) if objects.indexed || inode.mode().is_dir() && !objects.opaque => {
            Err(ESTALE)
        }
        Cached::Existing(inode) => {
            // The origin lies: another object says that it was copied from the same one, or that
            // it was copied from this one. Each is an object of its own then.
            drop(inode);
            let objects = match objects.upper {
                Some(upper) if objects.data.is_none() => Objects {
                    opaque: objects.opaque,
                    ..Objects::of_upper(upper)
                },
                upper => Objects { upper, ..objects },
            };
            by_upper(sb, objects)
        }
    }
}

/// As [`get_inode`], for an object whose place in the cache another one has, which says that it
/// came from the same lower objects.
///
/// `ESTALE` if that place is taken too: by an object of upper that says that it came from this
/// one.
fn by_upper(sb: &SuperBlockOf<Overlay>, objects: Objects) -> Result<ARef<InodeOf<Overlay>>> {
    let Some(upper) = &objects.upper else {
        return fill_inode(NewInode::unhashed(sb)?, objects, true, None);
    };
    let real = upper.inode().ok_or(ENOENT)?;
    let lower = objects.lower.first().map(|first| &*first.dentry);
    match NewInode::get(sb, real)? {
        Cached::New(inode) => fill_inode(inode, objects, false, None),
        Cached::Existing(inode) if stands_for(&inode, Some(upper), lower)? => Ok(inode),
        Cached::Existing(_) => Err(ESTALE),
    }
}

/// Whether an inode in the cache stands for these objects. Waits for a copy-up that is
/// about to add upper's, which was found already.
fn stands_for(
    inode: &InodeOf<Overlay>,
    upper: Option<&Dentry>,
    lower: Option<&Dentry>,
) -> Result<bool> {
    if upper.is_some() && inode.upper().is_none() && !inode.mode().is_dir() {
        drop(inode.data().copy_up.lock_killable()?);
    }
    // Before it is asked whether there is an entry: copy-up sets that first.
    let own_upper = inode.upper();
    let own_lower = inode.lower().first().map(|lower| lower.dentry);
    let same = |a: Option<&Dentry>, b: Option<&Dentry>| {
        let address = |dentry: &Dentry| {
            dentry
                .inode()
                .map(|inode| core::ptr::from_ref(inode) as usize)
        };
        a.and_then(address) == b.and_then(address)
    };
    // A file that was copied up may be found by a name that does not tell where it came from.
    let lower_fits = same(lower, own_lower) || lower.is_none() && !inode.mode().is_dir();
    // A name in a lower layer of an indexed file, which was copied up just now.
    let by_other_name = upper.is_none() && inode.data().is_indexed() && !inode.mode().is_dir();
    Ok(lower_fits && (by_other_name || same(upper, own_upper)))
}

/// Fills a new inode in, and publishes it. Its number is `ino`, or that of what
/// it came from, if it is found by that.
pub(crate) fn fill_inode(
    mut inode: NewInode<Overlay>,
    objects: Objects,
    by_lower: bool,
    ino: Option<u64>,
) -> Result<ARef<InodeOf<Overlay>>> {
    let Objects {
        upper,
        lower,
        data,
        redirect,
        indexed,
        opaque,
        is_new,
    } = objects;
    let ino = match ino {
        Some(ino) => ino,
        None => number(inode.super_data(), upper.as_ref(), &lower, by_lower)?,
    };
    let depth = inode.super_block().stack_depth();
    let layers = &inode.super_data().layers;
    let namespace = inode.super_data().namespace();
    inode.set_lower(lower)?;
    let lower = inode.lower_path()?;
    if indexed {
        inode.data().set_indexed();
    }
    if opaque {
        // Before others see the inode: they would merge what it hides.
        inode.data().set_opaque();
    }
    if redirect.is_some() {
        *inode.rare_or_init()?.redirect.lock() = redirect;
    }
    if let Some(upper) = upper {
        // Looked at again: nobody but this task has the inode now. If it has got its data since
        // the lookup, that of the lower layer is old.
        if data.is_some() && metacopy::is_one(namespace, layers.upper()?.path(&upper)?)? {
            inode.set_metacopy(upper)?;
        } else {
            inode.set_upper(upper)?;
        }
    }
    if let Some(DataPlace::DataOnly(redirect)) = data {
        let deferred = KBox::new(Deferred::new(redirect), GFP_KERNEL_ACCOUNT)?;
        inode.rare_or_init()?.deferred.populate(deferred);
    }

    let real = inode.upper_path()?.or(lower).ok_or(EIO)?;
    let real_inode = real.inode()?;
    casefold::check(inode.super_block(), real.dentry())?;
    let (mode, rdev, nlink) = (real_inode.mode(), real_inode.rdev(), real_inode.nlink());
    let flags = real_inode.flags();
    inode.copy_attr_from(real_inode, real.mount().idmap());
    let is_dir = mode.is_dir();
    inode.set_ino(ino);
    let nlink = match is_dir {
        true => 1,
        false if indexed => indexed_nlink(&inode)?.unwrap_or(nlink),
        false => nlink,
    };
    inode.set_nlink(nlink);
    inode.set_flags(
        flags.union(InodeFlags::NOCMTIME),
        InodeFlags::ATTRIBUTES
            .union(InodeFlags::CASEFOLD)
            .union(InodeFlags::NOCMTIME),
    );
    if let Some(path) = inode.upper_path()?.filter(|_| !is_new) {
        read_upper_attributes(&inode, path)?;
    }
    inode.no_acl_cache();
    let class = inode_lock_class(depth as c_int, is_dir);
    let class_name = if is_dir {
        c"overlay_dir"
    } else {
        c"overlay_inode"
    };
    inode.set_lock_class(class, class_name);
    set_operations(&mut inode, mode, rdev)?;
    Ok(inode.publish())
}

/// The link count that an indexed file keeps in upper, if it is there.
fn indexed_nlink(inode: &InodeOf<Overlay>) -> Result<Option<u32>> {
    match (inode.upper_path()?, inode.lower_path()?) {
        (Some(upper), Some(lower)) => {
            nlink::read(inode.super_data().namespace(), lower.inode()?, upper)
        }
        _ => Ok(None),
    }
}

/// What the object at `path`, upper's, says of itself.
fn read_upper_attributes(inode: &InodeOf<Overlay>, path: PathRef<'_>) -> Result {
    let namespace = inode.super_data().namespace();
    if !path.dentry().is_dir() {
        return protattr::load(inode, path);
    }
    let attributes = xattr::possible(namespace, path.dentry());
    if attributes.contains(Attribute::Impure) {
        let mut value = [0; 2];
        match xattr::get_own(namespace, path, Attribute::Impure, &mut value) {
            Ok(Some(value)) if is_impure(value) => inode.data().set_impure(),
            Err(err) if err != ERANGE => return Err(err),
            _ => {}
        }
    }
    match attributes.contains(Attribute::ProtAttr) {
        true => protattr::load(inode, path),
        false => Ok(()),
    }
}

/// The number of what stands for these objects.
///
/// A copy that is not found by what it came from is an object of its own: a link of a
/// file with several was copied, say.
fn number(
    sb: &Super,
    upper: Option<&ARef<Dentry>>,
    lower: &[LayerPath],
    by_lower: bool,
) -> Result<u64> {
    match (upper, lower.first()) {
        (upper, Some(first)) if by_lower || upper.is_none() => {
            let origin = first.dentry.inode().ok_or(ENOENT)?;
            sb.identity.map(sb.layers.fsid(first.layer)?, origin.ino())
        }
        (Some(upper), _) => {
            let upper = upper.inode().ok_or(ENOENT)?;
            sb.identity.map(Fsid::UPPER, upper.ino())
        }
        (None, _) => Err(EIO),
    }
}

/// Whether lower layers have something under a name of `dir`.
pub(crate) fn exists_in_lower(dir: &InodeOf<Overlay>, name: Name<'_>) -> Result<bool> {
    let layers = &dir.super_data().layers;
    let namespace = dir.super_data().namespace();
    for lower in objects_having(dir, name) {
        let real = layers.path(lower)?;
        match real.lookup_positive(name) {
            Ok(dentry) => {
                let path = PathRef::new(real.mount(), &dentry)?;
                return Ok(!is_whiteout(namespace, path)?);
            }
            Err(err) if err == ENOENT || err == ENAMETOOLONG => layer_names::asked_in_vain(dir, 1),
            // Something is there; it just cannot be reached.
            Err(_) => return Ok(true),
        }
    }
    Ok(false)
}
