// SPDX-License-Identifier: GPL-2.0

//! Which lower layers have a name in a merged directory.
//!
//! With many layers a lookup mostly asks layers that have nothing of that name, each
//! of which takes as long as a lookup in its filesystem. A directory in which that
//! has happened often reads the names that its lower objects have, once, and keeps
//! of each a hash, and which object has it. Two names with one hash cost a lookup
//! in vain, no more.
//!
//! Layers do not change while they are mounted. Should one all the same, its
//! directory's change time tells, and all are asked again.

use crate::{
    entry::OverlayInode,
    layers::LayerRef,
    Overlay, //
};
use core::iter::Peekable;
use kernel::{
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        SetOnce, //
    },
};
use vfs::{
    attr::ChangeTime,
    dentry::Name,
    file::OpenFile,
    hash::NameHash,
    inode::InodeOf, //
};

/// Reading the names of an object begins when as many lookups were in vain as it takes
/// the time of.
const LOOKUPS_TO_OPEN: usize = 4;

/// How many names are read in the time of a lookup in vain.
const NAMES_A_LOOKUP: usize = 8;

/// No more names are kept of a directory; they take 12 bytes each, or up to 16.
const NAMES_MAX: usize = 1 << 20;

/// The names of a merged directory's lower objects, once it is worth to have them.
pub(crate) struct Names {
    known: SetOnce<KBox<LayerNames>>,
    /// How often a lower object was asked in vain.
    in_vain: Atomic<u32>,
    /// How often it has to be before the names are read again, which failed.
    again: Atomic<u32>,
}

/// The names of a directory's lower objects.
struct LayerNames {
    hash: NameHash,
    /// When each object was changed last before it was read.
    times: KVVec<ChangeTime>,
    /// Where the names begin in `items` whose hashes end alike; the last one is where
    /// all end.
    starts: KVVec<u32>,
    /// The names by the end of their hashes, those that end alike by their objects.
    items: KVVec<Item>,
}

/// A name of an object.
#[derive(Clone, Copy, Default)]
struct Item {
    /// Its hash.
    hash: u32,
    /// The place of the object among the directory's lower ones.
    place: u32,
}

/// Lower objects that may have a name, from the highest on, by their places.
struct Having<'a> {
    items: core::slice::Iter<'a, Item>,
    hash: u32,
}

impl Iterator for Having<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let hash = self.hash;
        let item = self.items.find(|item| item.hash == hash)?;
        Some(item.place as usize)
    }
}

/// Which lower objects of a directory are asked for a name.
pub(crate) struct Asked<'a> {
    names: Option<&'a LayerNames>,
    /// Without it all are.
    having: Option<Peekable<Having<'a>>>,
}

impl<'a> Asked<'a> {
    /// Those of `dir`, for this name; without one, each that was not read. With the mounter's
    /// credentials.
    pub(crate) fn new(dir: &'a InodeOf<Overlay>, name: Option<&[u8]>) -> Self {
        let mut asked = Self {
            names: dir.data().rare().and_then(|rare| rare.names.get(dir)),
            having: None,
        };
        asked.set_name(name);
        asked
    }

    /// From here on another name is looked for; or one in each of the objects that was
    /// not read.
    pub(crate) fn set_name(&mut self, name: Option<&[u8]>) {
        let names = self.names.zip(name);
        self.having = names.map(|(names, name)| names.having(name));
    }

    /// The first one from this place on.
    pub(crate) fn from(&mut self, place: usize) -> usize {
        let Some(having) = &mut self.having else {
            return place;
        };
        while having.next_if(|&next| next < place).is_some() {}
        having.peek().copied().unwrap_or(usize::MAX)
    }
}

/// The lower objects of `dir` that may have this name, from the highest on. With the
/// mounter's credentials.
pub(crate) fn objects_having<'a>(
    dir: &'a InodeOf<Overlay>,
    name: Name<'_>,
) -> impl Iterator<Item = LayerRef<'a>> {
    let mut asked = Asked::new(dir, Some(name.as_bytes()));
    let mut place = 0;
    core::iter::from_fn(move || {
        let at = asked.from(place);
        place = at.saturating_add(1);
        dir.merged().get(at)
    })
}

/// Notes that so many lower objects of `dir` were asked in vain.
pub(crate) fn asked_in_vain(dir: &InodeOf<Overlay>, objects: u32) {
    // Without memory to note it in, they are asked the next time, too.
    if let Ok(rare) = dir.rare_or_init() {
        rare.names.asked_in_vain(objects);
    }
}

impl Names {
    /// Nothing is known yet.
    pub(crate) fn new() -> Self {
        Self {
            known: SetOnce::new(),
            in_vain: Atomic::new(0),
            again: Atomic::new(0),
        }
    }

    fn asked_in_vain(&self, objects: u32) {
        // One of several that come at once may get lost, which makes no difference.
        let sum = self.in_vain.load(ordering::Relaxed).saturating_add(objects);
        self.in_vain.store(sum, ordering::Relaxed);
    }

    /// The names of the lower objects of `dir`, which this belongs to, if they are known
    /// and no object was changed since. Reads them when it is time to.
    fn get(&self, dir: &InodeOf<Overlay>) -> Option<&LayerNames> {
        let in_vain = self.in_vain.load(ordering::Relaxed);
        if in_vain == 0 {
            // As in most directories: they were not read.
            return None;
        }
        if self.known.as_ref().is_none() {
            let to_open = dir.merged().len().saturating_mul(LOOKUPS_TO_OPEN);
            if in_vain <= self.again.load(ordering::Relaxed) || (in_vain as usize) < to_open {
                return None;
            }
            // Whoever comes meanwhile asks the layers.
            self.again
                .store(in_vain.saturating_mul(2), ordering::Relaxed);
            let most = (in_vain as usize).saturating_mul(NAMES_A_LOOKUP);
            // It goes without, as long as it does not pay or is not possible.
            let names = LayerNames::read(dir, most.min(NAMES_MAX)).ok()??;
            self.known
                .populate(KBox::new(names, GFP_KERNEL_ACCOUNT).ok()?);
        }
        self.known
            .as_ref()
            .map(|known| &**known)
            .filter(|known| known.is_current(dir))
    }
}

impl LayerNames {
    /// Reads the names of all lower objects of `dir`, with the current task's
    /// credentials. `None` if there are more than `most`, or an object may have some
    /// that it does not tell.
    fn read(dir: &InodeOf<Overlay>, most: usize) -> Result<Option<Self>> {
        let layers = &dir.super_data().layers;
        let mut names = Self {
            hash: NameHash::new(),
            times: KVVec::new(),
            starts: KVVec::new(),
            items: KVVec::new(),
        };
        let mut found: KVVec<(u32, u32)> = KVVec::new();
        for (place, lower) in dir.merged().iter().enumerate() {
            if !lower.dentry.tells_all_names() {
                return Ok(None);
            }
            let place = u32::try_from(place).map_err(|_| EINVAL)?;
            let path = layers.path(lower)?;
            names
                .times
                .push(ChangeTime::note(path)?, GFP_KERNEL_ACCOUNT)?;
            let read = OpenFile::open(path, OpenFile::READ)?.read_dir(&mut |entry| {
                if entry.name == b"." || entry.name == b".." {
                    return Ok(());
                }
                if found.len() >= most {
                    return Err(E2BIG);
                }
                let name = (names.hash.hash(entry.name), place);
                Ok(found.push(name, GFP_KERNEL_ACCOUNT)?)
            });
            match read {
                Err(err) if err == E2BIG => return Ok(None),
                read => read?,
            }
        }
        names.sort(&found)?;
        Ok(Some(names))
    }

    /// Puts the names where they are found by their hashes.
    fn sort(&mut self, found: &[(u32, u32)]) -> Result {
        let ends = found.len().checked_next_power_of_two().ok_or(EOVERFLOW)?;
        self.starts.resize(ends + 1, 0, GFP_KERNEL_ACCOUNT)?;
        self.items
            .resize(found.len(), Item::default(), GFP_KERNEL_ACCOUNT)?;
        for &(hash, _) in found {
            *self.starts.get_mut(Self::end_of(hash, ends)).ok_or(EIO)? += 1;
        }
        // How many there are, then where they end; then each takes the place before, from the
        // lowest object on, until it is where they begin.
        let mut sum = 0;
        for start in self.starts.iter_mut() {
            sum += *start;
            *start = sum;
        }
        for &(hash, place) in found.iter().rev() {
            let start = self.starts.get_mut(Self::end_of(hash, ends)).ok_or(EIO)?;
            *start -= 1;
            let item = self.items.get_mut(*start as usize).ok_or(EIO)?;
            *item = Item { hash, place };
        }
        Ok(())
    }

    /// The end of a hash, of which there are so many: a power of two.
    fn end_of(hash: u32, ends: usize) -> usize {
        hash as usize & ends.wrapping_sub(1)
    }

    fn having(&self, name: &[u8]) -> Peekable<Having<'_>> {
        let hash = self.hash.hash(name);
        let ends = self.starts.len().saturating_sub(1);
        let end = Self::end_of(hash, ends);
        let items = match self.starts.get(end..end.saturating_add(2)) {
            Some(&[start, end]) => self.items.get(start as usize..end as usize),
            _ => None,
        };
        Having {
            items: items.unwrap_or_default().iter(),
            hash,
        }
        .peekable()
    }

    /// Whether the lower objects are as they were when they were read.
    fn is_current(&self, dir: &InodeOf<Overlay>) -> bool {
        dir.merged().all_with(&self.times, |lower, time| {
            let inode = lower.dentry.inode();
            inode.is_some_and(|inode| time.is_still_of(inode))
        })
    }
}
