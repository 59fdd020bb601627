// SPDX-License-Identifier: GPL-2.0

//! The stack of layers of a mounted overlay.

use crate::{
    config::Config,
    identity::{Fsid, Numbering}, //
};
use kernel::{
    prelude::*,
    str::CString,
    sync::{aref::ARef, SetOnce}, //
};
use vfs::{
    context::FsContext,
    dentry::Dentry,
    mount::{Mount, PathRef, PrivateMount},
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
#[pin_data]
pub(crate) struct Upper {
    /// `work` below the directory that the option `workdir` names.
    pub(crate) workdir: ARef<Dentry>,
    /// `index` beside it, which is the work directory too then.
    pub(crate) index: SetOnce<ARef<Dentry>>,
    /// The directory that the option `workdir` names.
    pub(crate) workbase: ARef<Dentry>,
    /// Marks on upper and work directory.
    pub(crate) _marks: [InUse; 2],
    /// What upper's filesystem can do.
    pub(crate) features: Features,
    /// Of a volatile mount: the errors of upper's filesystem before it.
    pub(crate) volatile: Option<WritebackErrors>,
    /// A whiteout that new ones are links to.
    #[pin]
    pub(crate) whiteout: Mutex<SharedWhiteout>,
    /// The mount, whose root is the layer's. What belongs to it is dropped before.
    pub(crate) mount: PrivateMount,
    /// The options, to show them.
    pub(crate) upperdir: CString,
    /// As above.
    pub(crate) workdir_option: CString,
}

/// A mark on a directory that says that an overlay writes to it, taken back when
/// it is dropped. There is none on a directory that another overlay has marked.
pub(crate) struct InUse(Option<ARef<Dentry>>);

impl InUse {
    /// Marks `dentry`, which is what the option `what` names; see [`in_use`].
    pub(crate) fn mark(
        fc: &FsContext,
        config: &Config,
        what: &str,
        dentry: &ARef<Dentry>,
    ) -> Result<Self> {
        if dentry.inode().is_some_and(|inode| inode.try_mark_in_use()) {
            return Ok(Self(Some(dentry.clone())));
        }
        in_use(fc, config, what)?;
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

/// Warns of a directory that another overlay writes to. An index would be spoiled:
/// `EBUSY`.
pub(crate) fn in_use(fc: &FsContext, config: &Config, what: &str) -> Result {
    if config.index {
        return Err(fc.error(
            EBUSY,
            fmt!(
                "{what} is in use as upperdir or workdir of another mount, mount with index=off to \
                 use it all the same"
            ),
        ));
    }
    fc.warn(fmt!(
        "{what} is in use as upperdir or workdir of another mount, accessing files from both \
         mounts will result in undefined behavior"
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

    /// The path of an object in upper, or in the work directory.
    pub(crate) fn path<'a>(&'a self, dentry: &'a Dentry) -> Result<PathRef<'a>> {
        PathRef::new(&self.mount, dentry)
    }

    /// The work directory.
    pub(crate) fn work(&self) -> Result<PathRef<'_>> {
        match self.index()? {
            Some(index) => Ok(index),
            None => self.path(&self.workdir),
        }
    }

    /// The index, if there is one.
    pub(crate) fn index(&self) -> Result<Option<PathRef<'_>>> {
        self.index
            .as_ref()
            .map(|index| self.path(index))
            .transpose()
    }

    /// Sets the index, once, while the mount is set up.
    pub(crate) fn set_index(&self, index: ARef<Dentry>) -> Result {
        match self.index.populate(index) {
            true => Ok(()),
            false => Err(EBUSY),
        }
    }
}

/// The stack of layers.
pub(crate) struct LayerStack {
    /// The writable layer, if there is one.
    pub(crate) upper: Option<Pin<KBox<Upper>>>,
    /// The lower layers that are merged, the highest first.
    pub(crate) lower: KVec<Lower>,
    /// How many more there are below, which are not merged, but only hold data that
    /// metacopies lead to.
    pub(crate) data_only: usize,
    /// Their mounts, and after them those of the data-only layers, which are not
    /// merged; released together.
    pub(crate) lower_mounts: KVec<PrivateMount>,
}

impl LayerStack {
    /// The writable layer; `EROFS` without.
    pub(crate) fn upper(&self) -> Result<&Upper> {
        self.upper.as_deref().ok_or(EROFS)
    }

    /// The mount of a layer.
    pub(crate) fn mount(&self, layer: LayerIndex) -> Result<&Mount> {
        match layer.0.checked_sub(1) {
            None => Ok(&self.upper()?.mount),
            Some(index) => {
                let mount = self.lower_mounts.get(index as usize).ok_or(EIO)?;
                Ok(mount)
            }
        }
    }

    /// How many lower layers are merged: their indices are 1 to this number.
    pub(crate) fn merged(&self) -> usize {
        self.lower.len()
    }

    /// The mounts of the lower layers that are merged, the highest first.
    pub(crate) fn merged_mounts(&self) -> impl Iterator<Item = (LayerIndex, &PrivateMount)> {
        self.indexed_mounts().take(self.merged())
    }

    /// The mounts of the data-only layers, the highest first.
    pub(crate) fn data_only_mounts(&self) -> impl Iterator<Item = (LayerIndex, &PrivateMount)> {
        self.indexed_mounts().skip(self.merged())
    }

    fn indexed_mounts(&self) -> impl Iterator<Item = (LayerIndex, &PrivateMount)> {
        // Upper is the layer before.
        Iterator::zip((1..).map(LayerIndex), self.lower_mounts.iter())
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
    pub(crate) fn path<'a>(&'a self, path: &'a LayerPath) -> Result<PathRef<'a>> {
        PathRef::new(self.mount(path.layer)?, &path.dentry)
    }
}
