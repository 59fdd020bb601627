// SPDX-License-Identifier: GPL-2.0

//! The stack of layers of a mounted overlay.

use crate::{
    config::Config,
    format::xattr::Namespace,
    identity::{Fsid, Numbering},
    params::Shown,
    text::Text, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    context::{FsContext, Refused},
    dentry::Dentry,
    mount::{Mount, Path, PathRef, PrivateMount, PrivateMounts},
    mutex::Mutex,
    super_block::WritebackErrors, //
};

/// The place of a layer in the stack: 0 is upper, whether there is one or not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct LayerIndex(pub(crate) u32);

impl LayerIndex {
    /// The place of upper.
    pub(crate) const UPPER: Self = Self(0);
}

/// An object in a layer.
pub(crate) struct LayerPath {
    /// The layer.
    pub(crate) layer: LayerIndex,
    /// The object.
    pub(crate) dentry: ARef<Dentry>,
}

impl LayerPath {
    /// The object, borrowed.
    pub(crate) fn borrow(&self) -> LayerRef<'_> {
        LayerRef {
            layer: self.layer,
            dentry: &self.dentry,
        }
    }
}

/// An object in a layer that belongs to somebody else.
#[derive(Clone, Copy)]
pub(crate) struct LayerRef<'a> {
    /// The layer.
    pub(crate) layer: LayerIndex,
    /// The object.
    pub(crate) dentry: &'a Dentry,
}

/// A lower layer.
pub(crate) struct Lower {
    /// The filesystem that it is on.
    pub(crate) fsid: Fsid,
    /// Whether an origin that names the filesystem's UUID means this one: no
    /// other filesystem among the lower layers has the same UUID, or none as
    /// well.
    pub(crate) unique_uuid: bool,
    /// What numbers its inodes: a filesystem or a subvolume.
    pub(crate) numbering: Numbering,
}

/// The writable layer.
///
/// What is temporary is made in `workdir`, on the same mount, and moved to its
/// place by one rename or link.
pub(crate) struct Upper {
    /// `work` below the directory that the option `workdir` names. Without it nothing can
    /// be changed: the mount is read-only.
    pub(crate) workdir: Option<ARef<Dentry>>,
    /// `index` beside it, which is the work directory too then.
    pub(crate) index: Option<ARef<Dentry>>,
    /// The directory that the option `workdir` names.
    pub(crate) workbase: ARef<Dentry>,
    /// Marks on upper and work directory.
    pub(crate) _marks: [InUse; 2],
    /// Where the overlay's own attributes are kept.
    pub(crate) namespace: Namespace,
    /// What upper's filesystem can do.
    pub(crate) features: Features,
    /// Of a volatile mount: the errors of upper's filesystem before it.
    pub(crate) volatile: Option<WritebackErrors>,
    /// A whiteout that new ones are links to.
    pub(crate) whiteout: Pin<KBox<Mutex<SharedWhiteout>>>,
    /// The mount, whose root is the layer's. What belongs to it is dropped before.
    pub(crate) mount: PrivateMount,
    /// The options, to show them.
    pub(crate) upperdir: Text,
    /// As above.
    pub(crate) workdir_option: Text,
}

/// A mark on a directory that says that an overlay writes to it, taken back when
/// it is dropped. There is none on a directory that another overlay has marked.
pub(crate) struct InUse(Option<ARef<Dentry>>);

impl InUse {
    /// Marks the directory that the option `key` names; see [`in_use`].
    pub(crate) fn mark(
        fc: &FsContext,
        config: &Config,
        key: &str,
        path: &Path,
    ) -> Result<Self, Refused> {
        let dentry = path.dentry();
        if dentry.inode().is_some_and(|inode| inode.try_mark_in_use()) {
            return Ok(Self(Some(dentry.clone())));
        }
        in_use(fc, config, key, path)?;
        Ok(Self(None))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(inode) = self.0.as_ref().and_then(|dentry| dentry.inode()) {
            inode.clear_in_use();
        }
    }
}

/// Warns of a layer that another overlay writes to. An index would be spoiled:
/// `EBUSY`.
pub(crate) fn in_use(
    fc: &FsContext,
    config: &Config,
    key: &str,
    path: &Path,
) -> Result<(), Refused> {
    let shown = Shown::new(path.borrow());
    if config.index {
        return Err(fc.error(
            EBUSY,
            fmt!(
                "{key}: '{shown}' is in use as upperdir or workdir of another mount; with \
                 index=off it can be used all the same"
            ),
        ));
    }
    fc.warn(fmt!(
        "{key}: '{shown}' is in use as upperdir or workdir of another mount, accessing files from \
         both mounts will result in undefined behavior"
    ));
    Ok(())
}

/// What upper's filesystem can do.
#[derive(Clone, Copy)]
pub(crate) struct Features {
    /// `O_TMPFILE`.
    pub(crate) tmpfile: bool,
    /// Attributes in the overlay's namespace.
    pub(crate) xattr: bool,
}

/// A whiteout in `workdir` that new whiteouts are links to.
pub(crate) enum SharedWhiteout {
    /// None has been made yet.
    None,
    /// This one.
    Some(ARef<Dentry>),
    /// The filesystem has no links to devices: each is made anew.
    Unsupported,
}

impl Upper {
    /// The mount.
    pub(crate) fn mount(&self) -> &Mount {
        &self.mount
    }

    /// The root of the layer.
    pub(crate) fn root(&self) -> Result<PathRef<'_>> {
        self.path(self.mount.root())
    }

    /// The path of an object in upper, or in the work directory.
    pub(crate) fn path<'a>(&'a self, dentry: &'a Dentry) -> Result<PathRef<'a>> {
        PathRef::new(&self.mount, dentry)
    }

    /// The work directory; `EROFS` if there is none.
    pub(crate) fn work(&self) -> Result<PathRef<'_>> {
        match self.index()? {
            Some(index) => Ok(index),
            None => self.path(self.workdir.as_ref().ok_or(EROFS)?),
        }
    }

    /// The index, if there is one.
    pub(crate) fn index(&self) -> Result<Option<PathRef<'_>>> {
        self.index
            .as_ref()
            .map(|index| self.path(index))
            .transpose()
    }
}

/// The stack of layers.
pub(crate) struct LayerStack {
    /// The writable layer, if there is one.
    pub(crate) upper: Option<KBox<Upper>>,
    /// The lower layers that are merged, the highest first.
    pub(crate) lower: KVVec<Lower>,
    /// How many more there are below, which are not merged, but only hold data that
    /// metacopies lead to.
    pub(crate) data_only: usize,
    /// Their roots, and after them those of the data-only layers, which are not
    /// merged. They are dropped before their mounts.
    pub(crate) lower_roots: KVVec<Path>,
    /// The mounts that the lower layers are in, which several may share.
    pub(crate) lower_mounts: PrivateMounts,
}

impl LayerStack {
    /// The writable layer; `EROFS` without.
    pub(crate) fn upper(&self) -> Result<&Upper> {
        self.upper.as_deref().ok_or(EROFS)
    }

    /// Whether nothing can be changed, however it is mounted.
    pub(crate) fn forces_readonly(&self) -> bool {
        self.upper
            .as_ref()
            .is_none_or(|upper| upper.workdir.is_none())
    }

    /// The mount of a layer.
    pub(crate) fn mount(&self, layer: LayerIndex) -> Result<&Mount> {
        match layer.0.checked_sub(1) {
            None => Ok(&self.upper()?.mount),
            Some(index) => Ok(self.lower_root(index as usize)?.mount()),
        }
    }

    /// The root of a layer.
    pub(crate) fn root(&self, layer: LayerIndex) -> Result<PathRef<'_>> {
        match layer.0.checked_sub(1) {
            None => self.upper()?.root(),
            Some(index) => Ok(self.lower_root(index as usize)?.borrow()),
        }
    }

    fn lower_root(&self, index: usize) -> Result<&Path> {
        self.lower_roots.get(index).ok_or(EIO)
    }

    /// The root of the highest layer.
    pub(crate) fn highest_root(&self) -> Result<PathRef<'_>> {
        match self.upper() {
            Ok(upper) => upper.root(),
            Err(_) => Ok(self.lower_root(0)?.borrow()),
        }
    }

    /// How many lower layers are merged: their indices are 1 to this number.
    pub(crate) fn merged(&self) -> usize {
        self.lower.len()
    }

    /// The roots of the lower layers that are merged, the highest first.
    pub(crate) fn merged_roots(&self) -> impl Iterator<Item = (LayerIndex, &Path)> {
        self.indexed_roots().take(self.merged())
    }

    /// The roots of the data-only layers, the highest first.
    pub(crate) fn data_only_roots(&self) -> impl Iterator<Item = (LayerIndex, &Path)> {
        self.indexed_roots().skip(self.merged())
    }

    fn indexed_roots(&self) -> impl Iterator<Item = (LayerIndex, &Path)> {
        // Upper is the layer before.
        Iterator::zip((1..).map(LayerIndex), self.lower_roots.iter())
    }

    /// The filesystem that a layer is on; `EIO` for data-only layers, whose inode
    /// numbers are not shown.
    pub(crate) fn fsid(&self, layer: LayerIndex) -> Result<Fsid> {
        match layer.0.checked_sub(1) {
            None => Ok(Fsid::UPPER),
            Some(index) => self
                .lower
                .get(index as usize)
                .map(|lower| lower.fsid)
                .ok_or(EIO),
        }
    }

    /// The path of an object in a layer.
    pub(crate) fn path<'a>(&'a self, object: LayerRef<'a>) -> Result<PathRef<'a>> {
        PathRef::new(self.mount(object.layer)?, object.dentry)
    }
}
