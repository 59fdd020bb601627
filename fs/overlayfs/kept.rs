// SPDX-License-Identifier: GPL-2.0

//! Listings of directories that are kept for whoever lists them again.
//!
//! Reading and merging the layers takes many times as long as showing the result. It is
//! kept with the directory's inode until the kernel wants the memory back: the shrinker
//! of the super block takes the oldest first.

use crate::{
    entry::{listing_lock_class, OverlayInode},
    listing::Listing,
    Overlay, //
};
use kernel::{
    prelude::*,
    rbtree::{RBTree, RBTreeNodeReservation},
    static_lock_class,
    sync::{
        atomic::{ordering, Atomic},
        Arc, //
    },
};
use vfs::{
    cred::with_creds,
    inode::InodeOf,
    mutex::Mutex, //
};

/// The listings that a mounted overlay keeps.
#[pin_data]
pub(crate) struct Kept {
    /// No memory is allocated under this lock, which is taken to give memory back.
    #[pin]
    by_age: Mutex<ByAge>,
    /// How much they take, in units of [`UNIT`].
    size: Atomic<usize>,
}

/// Of the shrinker: about what a directory entry takes with its inode, the objects beside
/// which listings are counted.
const UNIT: usize = 1024;

struct ByAge {
    /// The places of listings, each with the size of the listing.
    places: RBTree<u64, (Arc<Place>, usize)>,
    /// The number of the youngest.
    last: u64,
}

/// Where the listing of a directory is kept.
#[pin_data]
struct Place {
    kept: Arc<Kept>,
    /// Layers are read under this lock, which allocates memory: whoever has that of
    /// `by_age` only tries it.
    #[pin]
    listing: Mutex<Option<Arc<Listing>>>,
    /// Its number in `by_age`, under the lock of that; 0 if it is not there.
    number: Atomic<u64>,
}

/// The listing that an inode keeps. Dropping it gives it back.
pub(crate) struct KeptListing(Arc<Place>);

impl Kept {
    /// Nothing is kept yet.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let by_age = ByAge {
            places: RBTree::new(),
            last: 0,
        };
        Arc::pin_init(
            pin_init!(Self {
                by_age <- Mutex::new(by_age, c"overlay_kept", static_lock_class!()),
                size: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// How much there is to be given back.
    pub(crate) fn size(&self) -> usize {
        self.size.load(ordering::Relaxed)
    }

    /// Gives back as much as is wanted, or what there is. Answers how much it was.
    ///
    /// An open directory that shows a listing keeps it until it has shown it.
    pub(crate) fn shrink(&self, wanted: usize) -> usize {
        let mut freed = 0;
        let mut by_age = self.by_age.lock();
        let mut next = by_age.places.cursor_front_mut();
        while let Some(cursor) = next.take_if(|_| freed < wanted) {
            let (_, (place, size)) = cursor.current();
            // Who holds it reads the layers, or is about to show the listing.
            let Some(mut listing) = place.listing.try_lock() else {
                next = cursor.move_next();
                continue;
            };
            freed += size;
            place.number.store(0, ordering::Relaxed);
            *listing = None;
            drop(listing);
            (next, _) = cursor.remove_current();
        }
        self.size.fetch_sub(freed, ordering::Relaxed);
        freed
    }

    fn remove(&self, by_age: &mut ByAge, place: &Place) {
        let number = place.number.load(ordering::Relaxed);
        if let Some((_, size)) = by_age.places.remove(&number) {
            place.number.store(0, ordering::Relaxed);
            self.size.fetch_sub(size, ordering::Relaxed);
        }
    }
}

impl Place {
    fn new(dir: &InodeOf<Overlay>) -> Result<Arc<Self>> {
        let class = listing_lock_class(dir.super_block().stack_depth() as c_int);
        Arc::pin_init(
            pin_init!(Self {
                kept: dir.super_data().kept.clone(),
                listing <- Mutex::new(None, c"overlay_listing", class),
                number: Atomic::new(0),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Makes this the place of the youngest listing, which is of this size.
    fn is_youngest(this: &Arc<Self>, size: usize) -> Result {
        let reserved = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        let kept = &this.kept;
        let mut by_age = kept.by_age.lock();
        kept.remove(&mut by_age, this);
        by_age.last += 1;
        let node = reserved.into_node(by_age.last, (this.clone(), size));
        this.number.store(by_age.last, ordering::Relaxed);
        by_age.places.insert(node);
        kept.size.fetch_add(size, ordering::Relaxed);
        Ok(())
    }
}

impl Drop for KeptListing {
    fn drop(&mut self) {
        let kept = &self.0.kept;
        kept.remove(&mut kept.by_age.lock(), &self.0);
    }
}

/// The listing of `dir`: the one that is kept, if nothing has changed since it was read.
pub(crate) fn listing(dir: &InodeOf<Overlay>) -> Result<Arc<Listing>> {
    let kept = &dir.rare_or_init()?.listing;
    if kept.get().is_none() {
        // Whoever comes first makes it.
        kept.populate(KBox::new(
            KeptListing(Place::new(dir)?),
            GFP_KERNEL_ACCOUNT,
        )?);
    }
    let place = &kept.get().ok_or(EIO)?.0;
    let mut listing = place.listing.lock_killable()?;
    if let Some(listing) = listing.as_ref().filter(|listing| listing.is_current(dir)) {
        return Ok(listing.clone());
    }
    let new = with_creds(&dir.super_data().cred, |_| Listing::read(dir))?;
    let new = Arc::new(new, GFP_KERNEL_ACCOUNT)?;
    if new.may_be_kept() {
        Place::is_youngest(place, new.size().div_ceil(UNIT))?;
        *listing = Some(new.clone());
    }
    Ok(new)
}
