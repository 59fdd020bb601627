// SPDX-License-Identifier: GPL-2.0

//! Inode numbers.
//!
//! An object has the number that it has in its layer, on the overlay's own
//! device: the lower layer's for what came from one, also after copy-up, and
//! upper's for what was created there. With layers on one filesystem numbers
//! pass through. With several, high bits tell the filesystem, in another place in an
//! overlay that has an overlay as a layer. A number that needs these bits itself is
//! replaced by one that is remembered for as long as the overlay is mounted.

use kernel::{
    alloc::AllocError,
    prelude::*,
    rbtree::RBTree,
    sync::static_lock_class, //
};
use vfs::{
    attr::{Stat, StatFlags, StatMask},
    mount::PathRef,
    mutex::Mutex, //
};

/// Marks numbers from the map.
const REMEMBERED: u64 = 1 << 63;
/// Bits that tell the filesystem, below that mark. Those of a lower overlay come first.
const FSID_BITS: u32 = 7;
/// How high overlays can be stacked, see `FILESYSTEM_MAX_STACK_DEPTH`.
const DEPTH_MAX: u32 = 2;
/// Filesystems that can be told apart.
const FSID_MAX: usize = 1 << 15;

/// A filesystem among those that the layers are on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fsid(u16);

impl Fsid {
    /// The filesystem of upper, and of lower layers that are on the same one.
    pub(crate) const UPPER: Self = Self(0);

    /// The number of the filesystem at `index` of a list.
    pub(crate) fn new(index: usize) -> Result<Self> {
        if index >= FSID_MAX {
            return Err(EINVAL);
        }
        u16::try_from(index).map(Self).map_err(|_| EINVAL)
    }
}

/// Numbers that were given to objects whose own do not fit.
struct Remembered {
    numbers: RBTree<(Fsid, u64), u64>,
    count: u64,
}

/// How numbers in layers become numbers of the overlay.
#[pin_data]
pub(crate) struct Identity {
    several: bool,
    /// Where the bits begin that tell the filesystem.
    fsid_shift: u32,
    #[pin]
    remembered: Mutex<Remembered>,
}

impl Identity {
    /// For layers on one filesystem, or on several, of an overlay at this stacking depth,
    /// from 1 on.
    pub(crate) fn new(several: bool, depth: u32) -> impl PinInit<Self> {
        let fsid_shift = 63 - FSID_BITS * depth.clamp(1, DEPTH_MAX);
        pin_init!(Self {
            several,
            fsid_shift,
            remembered <- Mutex::new(
                Remembered {
                    numbers: RBTree::new(),
                    count: 0,
                },
                c"overlay_ino_map",
                static_lock_class!(),
            ),
        })
    }

    /// Whether the layers are on several filesystems.
    pub(crate) fn has_several(&self) -> bool {
        self.several
    }

    /// The overlay's number for number `ino` of filesystem `fsid`.
    ///
    /// Fails with `ENOMEM` when a number cannot be remembered.
    pub(crate) fn map(&self, fsid: Fsid, ino: u64) -> Result<u64> {
        if !self.several {
            return Ok(ino);
        }
        let fsid_mask = (1 << FSID_BITS) - 1;
        let taken = REMEMBERED | fsid_mask << self.fsid_shift;
        if ino & taken == 0 && u64::from(fsid.0) <= fsid_mask {
            return Ok(u64::from(fsid.0) << self.fsid_shift | ino);
        }
        let mut remembered = self.remembered.lock();
        if let Some(number) = remembered.numbers.get(&(fsid, ino)) {
            return Ok(*number);
        }
        // Never removed: a number stands for the same object until unmount.
        let count = remembered.count.checked_add(1).ok_or(EOVERFLOW)?;
        let number = REMEMBERED | count;
        remembered
            .numbers
            .try_create_and_insert((fsid, ino), number, GFP_KERNEL_ACCOUNT)?;
        remembered.count = count;
        Ok(number)
    }
}

/// A filesystem that numbers its inodes by itself: a super block, or one of its
/// subvolumes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbering {
    super_block: usize,
    dev: u32,
}

impl Numbering {
    /// What numbers the object at `path`.
    pub(crate) fn of(path: PathRef<'_>) -> Result<Self> {
        let stat = Stat::get(path, StatMask::INO_NLINK, StatFlags::AS_STAT)?;
        Ok(Self {
            super_block: core::ptr::from_ref(path.mount().super_block()) as usize,
            dev: stat.dev().as_raw(),
        })
    }

    /// Whether the directory at `path` has to be numbered by this too, because all of its
    /// filesystem are. Where there are subvolumes, each has a device of its own, and none that
    /// of the filesystem; in a network filesystem anything may have.
    pub(crate) fn is_of_all(&self, path: PathRef<'_>) -> bool {
        let super_block = path.mount().super_block();
        self.super_block == core::ptr::from_ref(super_block) as usize
            && self.dev == super_block.dev().as_raw()
            && !path.dentry().needs_revalidation()
    }
}

/// Finds the place of a filesystem in the list of those seen so far, adding it if it
/// is new.
pub(crate) fn index_of(
    known: &mut KVVec<Numbering>,
    numbering: Numbering,
) -> Result<usize, AllocError> {
    match known.iter().position(|other| *other == numbering) {
        Some(index) => Ok(index),
        None => {
            known.push(numbering, GFP_KERNEL)?;
            Ok(known.len() - 1)
        }
    }
}
