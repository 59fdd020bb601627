// SPDX-License-Identifier: GPL-2.0

//! What an overlay inode is made of.

use crate::{
    kept::KeptListing,
    layer_names::Names,
    layers::{LayerIndex, LayerPath},
    lower_data::Deferred,
    stack::Stack,
    Overlay, //
};
use core::{convert::Infallible, pin::Pin};
use kernel::{
    prelude::*,
    static_lock_class,
    sync::{
        aref::ARef,
        atomic::{ordering, Atomic},
        LockClassKey,
        SetOnce, //
    },
};
use vfs::{
    dentry::Dentry,
    inode::{Inode, InodeOf},
    mapping::{self, SharedMappings},
    mount::PathRef,
    mutex::Mutex, //
};

/// The private data of an overlay inode.
///
/// Objects in lower layers are known before the inode is published, and never
/// change. Upper is set once: before the inode is published, or by copy-up.
/// What is used of it is told by [`Backing`].
#[pin_data]
pub struct Entry {
    lower: SetOnce<Stack>,
    upper: SetOnce<ARef<Dentry>>,
    /// A [`Backing`], which only grows.
    backing: Atomic<u32>,
    /// Of a file whose data is to be looked for in data-only layers.
    pub(crate) deferred: SetOnce<KBox<Deferred>>,
    /// Whether the digest that a metacopy has of its data was found right.
    pub(crate) verified: Atomic<bool>,
    /// Of a regular file in a lower layer.
    pub(crate) mappings: SharedMappings,
    /// Taken by the task that copies the inode up.
    #[pin]
    pub(crate) copy_up: Mutex<()>,
    /// A directory's entries, once it has been listed.
    pub(crate) listing: SetOnce<KeptListing>,
    /// The names in a merged directory's lower objects, if they are known.
    pub(crate) names: Names,
    /// The redirect of upper's object: where lower layers have it. Taken last.
    #[pin]
    pub(crate) redirect: Mutex<Option<KVec<u8>>>,
    /// Counts changes of a directory.
    version: Atomic<u64>,
    /// Whether upper's directory hides all lower ones.
    opaque: Atomic<bool>,
    /// Whether upper's directory has objects that came from elsewhere, whose
    /// numbers are not upper's.
    impure: Atomic<bool>,
    /// Since which sweep upper's file is noted as written, see [`crate::written`].
    pub(crate) written: Atomic<u32>,
    /// Whether it is found by an entry of the index, too.
    indexed: Atomic<bool>,
    /// Whether upper's file is known to be durable as what it is.
    settled: Atomic<bool>,
}

/// Which objects an inode stands for, in the order in which copy-up goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
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
        let classes = classes(depth);
        pin_init!(Self {
            lower: SetOnce::new(),
            upper: SetOnce::new(),
            backing: Atomic::new(Backing::Lower as u32),
            deferred: SetOnce::new(),
            verified: Atomic::new(false),
            mappings: SharedMappings::default(),
            copy_up <- Mutex::new((), c"overlay_copy_up", classes.copy_up),
            listing: SetOnce::new(),
            names: Names::new(),
            redirect <- Mutex::new(None, c"overlay_redirect", classes.redirect),
            version: Atomic::new(0),
            opaque: Atomic::new(false),
            impure: Atomic::new(false),
            written: Atomic::new(0),
            indexed: Atomic::new(false),
            settled: Atomic::new(false),
        })
    }

    /// The objects in lower layers, the highest first.
    ///
    /// Of a file in upper, and of an opaque directory, it is what it came from:
    /// it has the number of the first one, and nothing else of them is shown.
    pub(crate) fn lower(&self) -> &[LayerPath] {
        self.lower.as_ref().map_or(&[], |lower| lower)
    }

    /// The directories of lower layers that are merged into this one.
    pub(crate) fn merged(&self) -> &[LayerPath] {
        if self.is_opaque() {
            &[]
        } else {
            self.lower()
        }
    }

    /// Which objects the inode stands for. Who sees a state sees the objects
    /// complete.
    pub(crate) fn backing(&self) -> Backing {
        match self.backing.load(ordering::Acquire) {
            0 => Backing::Lower,
            1 => Backing::Metacopy,
            2 => Backing::Switching,
            _ => Backing::Upper,
        }
    }

    fn set_backing(&self, backing: Backing) {
        self.backing.store(backing as u32, ordering::Release);
    }

    fn upper_from(&self, backing: Backing) -> Option<&ARef<Dentry>> {
        if self.backing() < backing {
            return None;
        }
        self.upper.as_ref()
    }

    /// The object in upper, if there is one. Whether it has the data is another
    /// matter.
    pub(crate) fn upper(&self) -> Option<&ARef<Dentry>> {
        self.upper_from(Backing::Metacopy)
    }

    /// The object in upper, if it has the data: it is to be read and written
    /// there.
    pub(crate) fn upper_data(&self) -> Option<&ARef<Dentry>> {
        self.upper_from(Backing::Upper)
    }

    /// As [`Entry::upper_data`], already while mappings are being moved.
    pub(crate) fn upper_for_mappings(&self) -> Option<&ARef<Dentry>> {
        self.upper_from(Backing::Switching)
    }

    /// The object in a lower layer that has the data of a file; `None` if it was
    /// not looked for yet.
    pub(crate) fn lower_data(&self) -> Option<&LayerPath> {
        match self.deferred.as_ref() {
            Some(deferred) => deferred.found(),
            None => self.lower().last(),
        }
    }

    /// Whether the object that the inode of a file stands for is a metacopy, whose
    /// data is that of another one.
    pub(crate) fn is_metacopy(&self) -> bool {
        match self.backing() {
            Backing::Lower => self.lower().len() > 1 || self.deferred.as_ref().is_some(),
            Backing::Metacopy => true,
            Backing::Switching | Backing::Upper => false,
        }
    }

    /// Sets the objects in lower layers, before the inode is published.
    pub(crate) fn set_lower(&self, lower: Stack) -> bool {
        self.lower.populate(lower)
    }

    /// All objects in layers, the highest first.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Dentry> {
        let upper = self.upper().map(|upper| &**upper).into_iter();
        let found = self.deferred.as_ref().and_then(|deferred| deferred.found());
        let lower = Iterator::chain(self.lower().iter(), found);
        Iterator::chain(upper, lower.map(|lower| &*lower.dentry))
    }

    /// How often the directory has changed.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(ordering::Acquire)
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

    /// Whether it is a directory that is merged from several, or whose upper has
    /// been merged: it may have whiteouts.
    pub(crate) fn is_merged(&self) -> bool {
        self.merged().len() + usize::from(self.upper().is_some()) > 1
    }
}

/// What is asked of overlay inodes everywhere.
pub(crate) trait OverlayInode {
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
    fn real_path(&self) -> Result<PathRef<'_>> {
        match self.upper_path()? {
            Some(path) => Ok(path),
            None => self.lower_path()?.ok_or(EIO),
        }
    }

    fn upper_path(&self) -> Result<Option<PathRef<'_>>> {
        let Some(dentry) = self.data().upper() else {
            return Ok(None);
        };
        let mount = self.super_data().layers.mount(LayerIndex::UPPER)?;
        PathRef::new(mount, dentry).map(Some)
    }

    fn lower_path(&self) -> Result<Option<PathRef<'_>>> {
        let Some(path) = self.data().lower().first() else {
            return Ok(None);
        };
        self.super_data().layers.path(path).map(Some)
    }

    fn data_path(&self) -> Result<PathRef<'_>> {
        match self.data().upper_data() {
            Some(upper) => PathRef::new(self.super_data().layers.mount(LayerIndex::UPPER)?, upper),
            None => self.lower_data_path(),
        }
    }

    fn lower_data_path(&self) -> Result<PathRef<'_>> {
        let lower = self.data().lower_data().ok_or(EIO)?;
        self.super_data().layers.path(lower)
    }

    fn copy_attr(&self) -> Result {
        let real = self.real_path()?;
        self.copy_attr_from(real.inode()?, real.mount().idmap());
        Ok(())
    }

    fn set_upper(&self, upper: ARef<Dentry>) -> Result {
        publish(self, upper)?;
        self.set_upper_data();
        Ok(())
    }

    fn set_metacopy(&self, upper: ARef<Dentry>) -> Result {
        publish(self, upper)?;
        self.data().set_backing(Backing::Metacopy);
        Ok(())
    }

    fn set_upper_data(&self) {
        self.data().set_backing(Backing::Switching);
        // Nobody can write to upper before this has passed: no mapping shows the lower file then.
        mapping::switch(self);
        self.data().set_backing(Backing::Upper);
    }

    fn dir_changed(&self) {
        self.data().version.fetch_add(1, ordering::Release);
        // Fails only without upper, where nothing changes.
        let _ = self.copy_attr();
    }
}

/// Puts upper's object in its place, where RCU walks and nobody else sees it yet.
fn publish(inode: &InodeOf<Overlay>, upper: ARef<Dentry>) -> Result {
    let mount = inode.super_data().layers.mount(LayerIndex::UPPER)?;
    let real: ARef<Inode> = upper.inode().ok_or(ENOENT)?.into();
    if !inode.data().upper.populate(upper) || !inode.rcu_data().set_upper(&real, mount) {
        return Err(EIO);
    }
    inode.forget_no_acl();
    Ok(())
}
