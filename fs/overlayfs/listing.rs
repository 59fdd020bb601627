// SPDX-License-Identifier: GPL-2.0

//! The entries of a directory, merged from its layers.

use crate::{
    casefold::FoldedNames,
    entry::OverlayInode,
    format::xattr::Namespace,
    identity::Fsid,
    lookup::{has_xattr_whiteouts, is_whiteout},
    Overlay, //
};
use core::ops::Range;
use kernel::prelude::*;
use vfs::{
    attr::{ChangeTime, FileType},
    dentry::Name,
    file::OpenFile,
    hash::NameHash,
    inode::InodeOf,
    mount::PathRef,
    readdir::is_unknown_type,
    super_block::SuperBlock, //
};

/// For how many entries there is room at first, and how long names are then.
const FEW_ENTRIES: usize = 32;
const NAME_LEN: usize = 16;

/// An entry of a merged directory.
#[derive(Clone)]
pub(crate) struct Entry {
    /// Where its name begins.
    name: u32,
    name_len: u16,
    /// The number of its inode in its layer.
    pub(crate) ino: u64,
    /// Its type, `DT_*`.
    pub(crate) d_type: u8,
    /// The filesystem of its layer.
    pub(crate) fsid: Fsid,
    /// Where it was found: 0 is the highest layer that has the directory.
    layer: u32,
    /// Whether it was found in upper.
    pub(crate) in_upper: bool,
}

impl Entry {
    /// Where its name is.
    fn name_range(&self) -> Range<usize> {
        let start = self.name as usize;
        start..start + usize::from(self.name_len)
    }
}

/// The entries of a directory, each name once, without `.` and `..`, and without
/// what is hidden by whiteouts, in the order of the layers.
pub(crate) struct Listing {
    version: u64,
    /// When the directory of each layer was changed last before it was read; `None` if it is
    /// on a filesystem that has to be asked about that.
    times: Option<KVVec<ChangeTime>>,
    entries: KVVec<Entry>,
    names: KVVec<u8>,
}

impl Listing {
    /// Reads a directory's layers, with the current task's credentials.
    pub(crate) fn read(dir: &InodeOf<Overlay>) -> Result<Self> {
        // A change while it is read makes the listing one of the past, and it says so.
        let mut listing = Self {
            version: dir.changes(),
            times: None,
            entries: KVVec::with_capacity(FEW_ENTRIES, GFP_KERNEL_ACCOUNT)?,
            names: KVVec::with_capacity(FEW_ENTRIES * NAME_LEN, GFP_KERNEL_ACCOUNT)?,
        };
        let (layers, namespace) = (&dir.super_data().layers, dir.super_data().namespace());
        let mut sources = KVVec::new();
        if let Some(upper) = dir.upper_path()? {
            sources.push(
                Source::new(namespace, upper, Fsid::UPPER, true)?,
                GFP_KERNEL,
            )?;
        }
        for lower in dir.merged().iter() {
            let (path, fsid) = (layers.path(lower)?, layers.fsid(lower.layer)?);
            sources.push(Source::new(namespace, path, fsid, false)?, GFP_KERNEL)?;
        }
        if !sources
            .iter()
            .any(|source| source.path.dentry().needs_revalidation())
        {
            let mut times = KVVec::with_capacity(sources.len(), GFP_KERNEL_ACCOUNT)?;
            for source in &sources {
                times.push(ChangeTime::note(source.path)?, GFP_KERNEL_ACCOUNT)?;
            }
            listing.times = Some(times);
        }
        for (index, source) in sources.iter().enumerate() {
            let layer = u32::try_from(index).map_err(|_| EINVAL)?;
            listing.read_layer(source, layer)?;
        }
        listing.merge(dir.super_block(), &mut sources)?;
        Ok(listing)
    }

    fn read_layer(&mut self, source: &Source<'_>, layer: u32) -> Result {
        let (fsid, in_upper) = (source.fsid, source.in_upper);
        let mut file = OpenFile::open(source.path, OpenFile::READ)?;
        file.read_dir(&mut |entry| {
            if entry.name == b"." || entry.name == b".." {
                return Ok(());
            }
            let start = u32::try_from(self.names.len()).map_err(|_| EOVERFLOW)?;
            self.names
                .extend_from_slice(entry.name, GFP_KERNEL_ACCOUNT)?;
            let name_len = u16::try_from(entry.name.len()).map_err(|_| EIO)?;
            let (ino, d_type) = (entry.ino, entry.d_type);
            let entry = Entry {
                name: start,
                name_len,
                ino,
                d_type,
                fsid,
                layer,
                in_upper,
            };
            self.entries.push(entry, GFP_KERNEL_ACCOUNT)?;
            Ok(())
        })
    }

    /// Leaves of each name the entry of the highest layer, which comes first, and
    /// none if that is a whiteout.
    fn merge(&mut self, overlay: &SuperBlock, sources: &mut [Source<'_>]) -> Result {
        let Self { entries, names, .. } = self;
        let folded = if overlay.has_encoding() && sources.len() > 1 {
            let names = entries.iter().map(|entry| name_in(names, entry));
            Some(FoldedNames::new(overlay, names)?)
        } else {
            None
        };
        // What an entry is told apart by.
        let key = |index: usize| match &folded {
            Some(folded) => folded.get(index),
            None => entries
                .get(index)
                .map_or(&[][..], |entry| name_in(names, entry)),
        };
        if let [source] = &*sources {
            // It is as it is to be, unless half of it would be kept empty.
            let is_filled = entries.capacity() / 2 <= entries.len();
            if is_filled && !entries.iter().any(|entry| source.may_be_whiteout(entry)) {
                return Ok(());
            }
        }
        let are_merged = sources.len() > 1;
        let mut seen = Seen::new(if are_merged { entries.len() } else { 0 })?;
        let mut kept: KVVec<Entry> = KVVec::with_capacity(entries.len(), GFP_KERNEL_ACCOUNT)?;
        for (index, entry) in entries.iter().enumerate() {
            if are_merged && !seen.insert(index, key(index), key)? {
                continue;
            }
            let name = name_in(names, entry);
            let source = sources.get_mut(entry.layer as usize).ok_or(EIO)?;
            if source.may_be_whiteout(entry) && source.is_whiteout(entry, name)? {
                continue;
            }
            kept.push(entry.clone(), GFP_KERNEL_ACCOUNT)?;
        }
        *entries = kept;
        Ok(())
    }

    /// Whether the directory has not changed since it was read, as far as is known: neither
    /// here nor, which nobody should do, in a layer.
    pub(crate) fn is_current(&self, dir: &InodeOf<Overlay>) -> bool {
        if self.version != dir.changes() {
            return false;
        }
        let Some(times) = &self.times else {
            return true;
        };
        let upper = dir.upper().into_iter();
        let lower = dir.merged().iter().map(|lower| lower.dentry);
        let mut objects = Iterator::chain(upper, lower);
        let unchanged = times.iter().all(|time| {
            let inode = objects.next().and_then(|object| object.inode());
            inode.is_some_and(|inode| time.is_still_of(inode))
        });
        unchanged && objects.next().is_none()
    }

    /// Whether it is noticed when it is not current any more.
    pub(crate) fn may_be_kept(&self) -> bool {
        self.times.is_some()
    }

    /// How much memory it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.names.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Whether the directory shows nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries from the one at `index` on, with their names.
    pub(crate) fn entries_from(&self, index: usize) -> impl Iterator<Item = (&Entry, &[u8])> {
        let entries = self.entries.get(index..).unwrap_or_default();
        // Each has one.
        entries
            .iter()
            .map_while(|entry| Some((entry, self.names.get(entry.name_range())?)))
    }
}

/// The names that were seen: a hash table of indices.
///
/// A table and not a sort: the sort of `core` needs more stack than the kernel
/// has.
struct Seen {
    hash: NameHash,
    /// 0 is free, otherwise an index plus one. At most half of it is used.
    slots: KVVec<u32>,
}

impl Seen {
    /// A table for `count` names.
    fn new(count: usize) -> Result<Self> {
        let size = count
            .checked_mul(2)
            .and_then(usize::checked_next_power_of_two);
        let mut slots = KVVec::new();
        slots.resize(size.ok_or(EOVERFLOW)?, 0, GFP_KERNEL)?;
        Ok(Self {
            hash: NameHash::new(),
            slots,
        })
    }

    /// Notes that the entry at `index` is called `name`; false if another, whose
    /// name `name_of` tells, already is.
    fn insert<'a>(
        &mut self,
        index: usize,
        name: &[u8],
        name_of: impl Fn(usize) -> &'a [u8],
    ) -> Result<bool> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = self.hash.hash(name) as usize & mask;
        loop {
            let slot = self.slots.get_mut(at).ok_or(EIO)?;
            match slot.checked_sub(1) {
                None => {
                    *slot = u32::try_from(index + 1).map_err(|_| EOVERFLOW)?;
                    return Ok(true);
                }
                Some(other) if name_of(other as usize) == name => return Ok(false),
                Some(_) => at = (at + 1) & mask,
            }
        }
    }
}

fn name_in<'a>(names: &'a [u8], entry: &Entry) -> &'a [u8] {
    names.get(entry.name_range()).unwrap_or_default()
}

/// One of the directories that are merged.
struct Source<'a> {
    namespace: Namespace,
    path: PathRef<'a>,
    fsid: Fsid,
    in_upper: bool,
    xattr_whiteouts: bool,
    /// The number of the inode of a whiteout that was found.
    whiteout: Option<u64>,
}

impl<'a> Source<'a> {
    fn new(namespace: Namespace, path: PathRef<'a>, fsid: Fsid, in_upper: bool) -> Result<Self> {
        Ok(Self {
            namespace,
            path,
            fsid,
            in_upper,
            xattr_whiteouts: has_xattr_whiteouts(namespace, path)?,
            whiteout: None,
        })
    }

    /// Whether the type that the layer gives leaves it possible.
    fn may_be_whiteout(&self, entry: &Entry) -> bool {
        let is_file = entry.d_type == FileType::Regular.as_dirent();
        let is_device = entry.d_type == FileType::CharDevice.as_dirent();
        is_device || is_unknown_type(entry.d_type) || self.xattr_whiteouts && is_file
    }

    /// Whiteouts are mostly links of one device, of which one is looked at: what is no directory
    /// and has one number in one directory of a layer is one object.
    fn is_whiteout(&mut self, entry: &Entry, name: &[u8]) -> Result<bool> {
        let is_device = entry.d_type == FileType::CharDevice.as_dirent();
        if is_device && self.whiteout == Some(entry.ino) {
            return Ok(true);
        }
        let dentry = match self.path.lookup_positive_killable(Name::new(name)?) {
            Ok(dentry) => dentry,
            Err(err) if err == EINTR => return Err(err),
            // Gone, or not to be had: it is shown, and a lookup will tell.
            Err(_) => return Ok(false),
        };
        let path = PathRef::new(self.path.mount(), &dentry)?;
        let is_whiteout = is_whiteout(self.namespace, path)?;
        // Not every filesystem has the numbers of inodes in its directories.
        if is_whiteout && is_device && path.inode()?.ino() == entry.ino {
            self.whiteout = Some(entry.ino);
        }
        Ok(is_whiteout)
    }
}
