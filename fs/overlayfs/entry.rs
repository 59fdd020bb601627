// SPDX-License-Identifier: GPL-2.0

//! What an overlay inode is made of.

use crate::{
    layers::{LayerIndex, LayerPath, LayerRef},
    rare::Rare,
    stack::{LowerObjects, Stack},
    Overlay, //
};
use core::{convert::Infallible, pin::Pin};
use kernel::{
    prelude::*,
    static_lock_class,
    sync::{
        aref::ARef,
        atomic::{ordering, Atomic},
        LockClassKey, //
    },
};
use vfs::{
    dentry::Dentry,
    inode::InodeOf,
    mapping::{self, SharedMappings},
    mount::PathRef,
    mutex::Mutex,
    set_once::SetOncePtr, //
};

/// The private data of an overlay inode, beside the objects in layers, which path walks may
/// see: [`vfs::rcu::RealDentries`].
///
/// Objects in lower layers are known before the inode is published, and never
/// change. Upper is set once: before the inode is published, or by copy-up.
/// What is used of it is told by [`Backing`].
///
/// There are as many as inodes: what few of these need is in [`Rare`].
#[pin_data]
pub struct Entry {
    /// Taken by the task that copies the inode up.
    #[pin]
    pub(crate) copy_up: Mutex<()>,
    /// Of a regular file in a lower layer.
    pub(crate) mappings: SharedMappings,
    rare: SetOncePtr<Pin<KBox<Rare>>>,
    /// Since which sweep upper's file is noted as written, see [`crate::written`].
    pub(crate) written: Atomic<u32>,
    /// Whether upper's directory hides all lower ones.
    opaque: Atomic<bool>,
    /// Whether upper's directory has objects that came from elsewhere, whose
    /// numbers are not upper's.
    impure: Atomic<bool>,
    /// Whether it is found by an entry of the index, too.
    indexed: Atomic<bool>,
    /// Whether upper's file is known to be durable as what it is.
    settled: Atomic<bool>,
}

/// Which objects an inode stands for, in the order in which copy-up goes: the stage of
/// [`InodeOf::upper_dentry`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub(crate) enum Backing {
    /// Lower ones.
    Lower,
    /// Upper's, but for the data of the file, which is a lower object's.
    Metacopy,
    /// As before, for a moment: upper's object is complete, and mappings are being
    /// moved to it.
    Switching,
    /// Upper's.
    Upper,
}

/// Lock classes for one height in a stack of filesystems.
struct Classes {
    copy_up: Pin<&'static LockClassKey>,
    listing: Pin<&'static LockClassKey>,
    open_dir: Pin<&'static LockClassKey>,
    redirect: Pin<&'static LockClassKey>,
    dir: Pin<&'static LockClassKey>,
    other: Pin<&'static LockClassKey>,
}

/// An overlay is 1 or 2 high: `FILESYSTEM_MAX_STACK_DEPTH`.
fn classes(depth: c_int) -> Classes {
    let at_depth = |first, second| if depth < 2 { first } else { second };
    Classes {
        copy_up: at_depth(static_lock_class!(), static_lock_class!()),
        listing: at_depth(static_lock_class!(), static_lock_class!()),
        open_dir: at_depth(static_lock_class!(), static_lock_class!()),
        redirect: at_depth(static_lock_class!(), static_lock_class!()),
        dir: at_depth(static_lock_class!(), static_lock_class!()),
        other: at_depth(static_lock_class!(), static_lock_class!()),
    }
}

/// The lock class of the listing that is kept with a directory.
pub(crate) fn listing_lock_class(depth: c_int) -> Pin<&'static LockClassKey> {
    classes(depth).listing
}

/// The lock class of the listing that an open directory keeps.
pub(crate) fn open_dir_lock_class(depth: c_int) -> Pin<&'static LockClassKey> {
    classes(depth).open_dir
}

/// The lock class of an overlay inode's own lock.
pub(crate) fn inode_lock_class(depth: c_int, is_dir: bool) -> Pin<&'static LockClassKey> {
    let classes = classes(depth);
    if is_dir {
        classes.dir
    } else {
        classes.other
    }
}

impl Entry {
    /// An entry that stands for nothing yet.
    pub(crate) fn new(depth: c_int) -> impl PinInit<Self, Infallible> {
        pin_init!(Self {
            copy_up <- Mutex::new((), c"overlay_copy_up", classes(depth).copy_up),
            mappings: SharedMappings::default(),
            rare: SetOncePtr::new(),
            written: Atomic::new(0),
            opaque: Atomic::new(false),
            impure: Atomic::new(false),
            indexed: Atomic::new(false),
            settled: Atomic::new(false),
        })
    }

    /// What few inodes need, if this one has.
    pub(crate) fn rare(&self) -> Option<&Rare> {
        self.rare.get().map(Pin::get_ref)
    }

    /// Whether upper's directory hides all lower ones.
    pub(crate) fn is_opaque(&self) -> bool {
        self.opaque.load(ordering::Relaxed)
    }

    /// Notes that upper's directory hides all lower ones.
    pub(crate) fn set_opaque(&self) {
        self.opaque.store(true, ordering::Relaxed);
    }

    /// Whether upper's directory has objects that came from elsewhere.
    pub(crate) fn is_impure(&self) -> bool {
        self.impure.load(ordering::Relaxed)
    }

    /// Notes that upper's directory has objects that came from elsewhere.
    pub(crate) fn set_impure(&self) {
        self.impure.store(true, ordering::Relaxed);
    }

    /// Notes that it has none any more. The directory is locked.
    pub(crate) fn unset_impure(&self) {
        self.impure.store(false, ordering::Relaxed);
    }

    /// Whether the index has an entry for it: a file may be in upper without this or
    /// that of its names, and its link count is kept.
    pub(crate) fn is_indexed(&self) -> bool {
        self.indexed.load(ordering::Relaxed)
    }

    /// Notes that the index has an entry for it, before upper's object is there.
    pub(crate) fn set_indexed(&self) {
        self.indexed.store(true, ordering::Relaxed);
    }

    /// Whether upper's file is known to be durable as what it is: under its name, and as one
    /// that has the data.
    ///
    /// Users who make data durable expect it to be found, though what they wrote to may have
    /// got its name just now, by copy-up. `fdatasync()` need not see to that: on ext4 it waits
    /// for the last change of the file's data alone. So until the whole file was synced once,
    /// nothing less will do.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(ordering::Acquire)
    }

    /// Notes that upper's file was synced, after it had its data.
    pub(crate) fn set_settled(&self) {
        self.settled.store(true, ordering::Release);
    }
}

/// What is asked of overlay inodes everywhere.
pub(crate) trait OverlayInode {
    /// Which objects the inode stands for. Who sees a state sees the objects
    /// complete.
    fn backing(&self) -> Backing;

    /// The object in upper, if there is one. Whether it has the data is another
    /// matter.
    fn upper(&self) -> Option<&Dentry>;

    /// The object in upper, if it has the data: it is to be read and written
    /// there.
    fn upper_data(&self) -> Option<&Dentry>;

    /// As [`OverlayInode::upper_data`], already while mappings are being moved.
    fn upper_for_mappings(&self) -> Option<&Dentry>;

    /// The objects in lower layers, the highest first.
    ///
    /// Of a file in upper, and of an opaque directory, it is what it came from:
    /// it has the number of the first one, and nothing else of them is shown.
    fn lower(&self) -> LowerObjects<'_>;

    /// Whether it stands for an object of a lower layer, so that a copy of that in upper is the
    /// same object: not if it is one of several links that was copied alone.
    fn has_origin(&self) -> bool;

    /// The directories of lower layers that are merged into this one.
    fn merged(&self) -> LowerObjects<'_>;

    /// Whether it is a directory that is merged from several, or whose upper has
    /// been merged: it may have whiteouts.
    fn is_merged(&self) -> bool;

    /// The object in a lower layer that has the data of a file; `None` if it was
    /// not looked for yet.
    fn lower_data(&self) -> Option<LayerRef<'_>>;

    /// Whether the object that the inode of a file stands for is a metacopy, whose
    /// data is that of another one.
    fn is_metacopy(&self) -> bool;

    /// All objects in layers, the highest first.
    fn objects(&self) -> impl Iterator<Item = &Dentry>;

    /// What few inodes need: made, if this one has not needed it yet.
    fn rare_or_init(&self) -> Result<&Rare>;

    /// The object that the inode stands for at this moment: upper's if there is
    /// one, else the highest lower one.
    fn real_path(&self) -> Result<PathRef<'_>>;

    /// The object in upper; `None` before copy-up.
    fn upper_path(&self) -> Result<Option<PathRef<'_>>>;

    /// The highest object in lower layers, which for a file in upper is what it
    /// was copied from.
    fn lower_path(&self) -> Result<Option<PathRef<'_>>>;

    /// The object that has the data of a file at this moment. `EIO` if it was not
    /// looked for yet, see [`crate::lower_data::find`].
    fn data_path(&self) -> Result<PathRef<'_>>;

    /// The object in a lower layer that has the data of a file; `EIO` as above.
    fn lower_data_path(&self) -> Result<PathRef<'_>>;

    /// Takes over the attributes of the object that the inode stands for.
    fn copy_attr(&self) -> Result;

    /// Sets the objects in lower layers, before the inode is published.
    fn set_lower(&self, lower: Stack) -> Result;

    /// Upper's object is there, complete: every operation from here on uses it.
    ///
    /// The caller holds `copy_up`, or the inode is not published yet. Mappings of
    /// a lower file are switched first.
    fn set_upper(&self, upper: ARef<Dentry>) -> Result;

    /// Upper's object is there without the data of the file: every operation from
    /// here on uses it, but those on the data. The caller as above.
    fn set_metacopy(&self, upper: ARef<Dentry>) -> Result;

    /// Upper's object, which was a metacopy, has the data now. The caller holds
    /// `copy_up`.
    fn set_upper_data(&self);

    /// Notes a change of the directory.
    fn dir_changed(&self);
}

impl OverlayInode for InodeOf<Overlay> {
    fn backing(&self) -> Backing {
        match self.upper_dentry() {
            None => Backing::Lower,
            Some((_, stage)) if stage == Backing::Metacopy as usize => Backing::Metacopy,
            Some((_, stage)) if stage == Backing::Switching as usize => Backing::Switching,
            Some(_) => Backing::Upper,
        }
    }

    fn upper(&self) -> Option<&Dentry> {
        upper_from(self, Backing::Metacopy)
    }

    fn upper_data(&self) -> Option<&Dentry> {
        upper_from(self, Backing::Upper)
    }

    fn upper_for_mappings(&self) -> Option<&Dentry> {
        upper_from(self, Backing::Switching)
    }

    fn lower(&self) -> LowerObjects<'_> {
        if let Some(several) = self.data().rare().and_then(Rare::lower) {
            return LowerObjects::Several(several);
        }
        match first_lower(self) {
            Some(object) => LowerObjects::One(object),
            None => LowerObjects::NONE,
        }
    }

    fn has_origin(&self) -> bool {
        let first = self.lower().first().and_then(|first| first.dentry.inode());
        first.is_some_and(|first| self.is_found_by(first))
    }

    fn merged(&self) -> LowerObjects<'_> {
        if self.data().is_opaque() {
            LowerObjects::NONE
        } else {
            self.lower()
        }
    }

    fn is_merged(&self) -> bool {
        self.merged().len() + usize::from(self.upper().is_some()) > 1
    }

    fn lower_data(&self) -> Option<LayerRef<'_>> {
        let Some(rare) = self.data().rare() else {
            return first_lower(self);
        };
        match rare.deferred.get() {
            Some(deferred) => deferred.found().map(LayerPath::borrow),
            None => self.lower().last(),
        }
    }

    fn is_metacopy(&self) -> bool {
        match self.upper_dentry() {
            None => self.data().rare().is_some_and(Rare::is_metacopy),
            Some((_, stage)) => stage == Backing::Metacopy as usize,
        }
    }

    fn objects(&self) -> impl Iterator<Item = &Dentry> {
        let deferred = self.data().rare().and_then(|rare| rare.deferred.get());
        let found = deferred.and_then(|deferred| deferred.found().map(LayerPath::borrow));
        let lower = Iterator::chain(self.lower().iter(), found);
        Iterator::chain(self.upper().into_iter(), lower.map(|lower| lower.dentry))
    }

    fn rare_or_init(&self) -> Result<&Rare> {
        let entry = self.data();
        if let Some(rare) = entry.rare() {
            return Ok(rare);
        }
        let class = classes(self.super_block().stack_depth() as c_int).redirect;
        let rare = KBox::pin_init(Rare::new(class), GFP_KERNEL_ACCOUNT)?;
        // If another task is faster, its own is used.
        entry.rare.populate(rare);
        entry.rare().ok_or(EIO)
    }

    fn real_path(&self) -> Result<PathRef<'_>> {
        match self.upper_path()? {
            Some(path) => Ok(path),
            None => self.lower_path()?.ok_or(EIO),
        }
    }

    fn upper_path(&self) -> Result<Option<PathRef<'_>>> {
        let Some(dentry) = self.upper() else {
            return Ok(None);
        };
        let mount = self.super_data().layers.mount(LayerIndex::UPPER)?;
        PathRef::new(mount, dentry).map(Some)
    }

    fn lower_path(&self) -> Result<Option<PathRef<'_>>> {
        let layers = &self.super_data().layers;
        first_lower(self)
            .map(|object| layers.path(object))
            .transpose()
    }

    fn data_path(&self) -> Result<PathRef<'_>> {
        match self.upper_data() {
            Some(upper) => PathRef::new(self.super_data().layers.mount(LayerIndex::UPPER)?, upper),
            None => self.lower_data_path(),
        }
    }

    fn lower_data_path(&self) -> Result<PathRef<'_>> {
        let lower = self.lower_data().ok_or(EIO)?;
        self.super_data().layers.path(lower)
    }

    fn copy_attr(&self) -> Result {
        let real = self.real_path()?;
        self.copy_attr_from(real.inode()?, real.mount().idmap());
        Ok(())
    }

    fn set_lower(&self, lower: Stack) -> Result {
        let first = match lower {
            Stack::Empty => return Ok(()),
            Stack::One([object]) => object,
            Stack::Many(objects) => {
                let first = objects.first().ok_or(EIO)?;
                let first = LayerPath {
                    layer: first.layer,
                    dentry: first.dentry.clone(),
                };
                self.rare_or_init()?.set_lower(objects)?;
                first
            }
        };
        match self.set_lower_dentry(first.dentry, first.layer.0) {
            true => Ok(()),
            false => Err(EIO),
        }
    }

    fn set_upper(&self, upper: ARef<Dentry>) -> Result {
        publish(self, upper, Backing::Switching)?;
        switch(self);
        Ok(())
    }

    fn set_metacopy(&self, upper: ARef<Dentry>) -> Result {
        publish(self, upper, Backing::Metacopy)
    }

    fn set_upper_data(&self) {
        self.set_stage(Backing::Switching as usize);
        switch(self);
    }

    fn dir_changed(&self) {
        self.count_change();
        // Fails only without upper, where nothing changes.
        let _ = self.copy_attr();
    }
}

fn first_lower(inode: &InodeOf<Overlay>) -> Option<LayerRef<'_>> {
    let (dentry, layer) = inode.lower_dentry()?;
    Some(LayerRef {
        layer: LayerIndex(layer),
        dentry,
    })
}

fn upper_from(inode: &InodeOf<Overlay>, backing: Backing) -> Option<&Dentry> {
    let (upper, stage) = inode.upper_dentry()?;
    (stage >= backing as usize).then_some(upper)
}

/// Puts upper's object in its place.
fn publish(inode: &InodeOf<Overlay>, upper: ARef<Dentry>, backing: Backing) -> Result {
    if !inode.set_upper_dentry(upper, backing as usize) {
        return Err(EIO);
    }
    inode.forget_no_acl();
    Ok(())
}

/// Goes on from [`Backing::Switching`].
fn switch(inode: &InodeOf<Overlay>) {
    // Nobody can write to upper before this has passed: no mapping shows the lower file then.
    mapping::switch(inode);
    inode.set_stage(Backing::Upper as usize);
}
