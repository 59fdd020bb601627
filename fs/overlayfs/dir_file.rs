// SPDX-License-Identifier: GPL-2.0

//! Open directories.

use crate::{
    copy_up,
    entry::{open_dir_lock_class, OverlayInode},
    kept,
    listing::{Entry, Listing},
    Overlay, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        Arc, //
    },
};
use vfs::{
    attr::FileType,
    cred::with_creds,
    dentry::Name,
    file::{OpenFile, Whence},
    file_ops::{FileOf, FileOperations, OpeningFile},
    inode::InodeOf,
    mutex::Mutex,
    namei::LockedDir,
    readdir::{is_unknown_type, DirContext, DirEntry}, //
};

/// An open directory keeps the listing that it began to show until it is
/// rewound.
#[pin_data]
pub(crate) struct OpenDirectory {
    #[pin]
    listing: Mutex<Option<Arc<Listing>>>,
    /// Whether all objects that the listing has shown from its begin on were looked up,
    /// and have the numbers that they have in upper.
    is_pure: Atomic<bool>,
}

/// Operations on open directories.
pub(crate) struct DirectoryFile;

/// Positions: `.` and `..` come first, then the entries of the listing.
const DOTS: i64 = 2;

impl OpenDirectory {
    /// The listing to show from position `pos` on. The directory's inode is
    /// locked shared.
    fn listing(&self, dir: &InodeOf<Overlay>, pos: i64) -> Result<Arc<Listing>> {
        let mut own = self.listing.lock();
        if let Some(listing) = &*own {
            if pos > DOTS || listing.is_current(dir) {
                return Ok(listing.clone());
            }
        }
        let listing = kept::listing(dir)?;
        *own = Some(listing.clone());
        Ok(listing)
    }
}

/// An entry's number.
enum Number {
    /// There is no such object any more.
    Gone,
    /// It was looked up, and follows from that in upper.
    AsInUpper(u64),
    /// It was not looked up, or is that of what it was copied up from.
    Other(u64),
}

/// The overlay's number for an entry whose object may have come from elsewhere.
#[inline(never)]
fn number(
    dir: &InodeOf<Overlay>,
    locked: LockedDir<'_, Overlay>,
    entry: &Entry,
    name: &[u8],
) -> Result<Number> {
    let in_layer = dir.super_data().identity.map(entry.fsid, entry.ino);
    let name = Name::new(name)?;
    match with_creds(&dir.super_data().cred, |_| locked.lookup(name)) {
        Ok(child) => {
            let Some(ino) = child.inode().map(|inode| inode.ino()) else {
                return Ok(Number::Gone);
            };
            Ok(match in_layer {
                Ok(same) if same == ino => Number::AsInUpper(ino),
                _ => Number::Other(ino),
            })
        }
        Err(err) if err == EINTR || err == ENOMEM => Err(err),
        // An object that cannot be opened is shown all the same, beside the others.
        Err(_) => in_layer.map(Number::Other),
    }
}

/// Shows entries of `dir`. Answers whether there was room for all of them; `is_pure` becomes
/// false if it is not true of one, see [`OpenDirectory`].
fn show<'a>(
    dir: &InodeOf<Overlay>,
    locked: LockedDir<'_, Overlay>,
    entries: impl Iterator<Item = (&'a Entry, &'a [u8])>,
    ctx: &mut DirContext,
    is_pure: &mut bool,
) -> Result<bool> {
    // They are shown by the thousand: what does not change meanwhile is looked at before.
    let identity = &dir.super_data().identity;
    let passes_through = !identity.has_several();
    let mut pos = ctx.pos();
    let (is_impure, is_merged) = (dir.data().is_impure(), dir.is_merged());
    for (entry, name) in entries {
        let is_dir =
            || entry.d_type == FileType::Directory.as_dirent() || is_unknown_type(entry.d_type);
        let came_from_elsewhere = entry.in_upper && (is_impure || is_merged && is_dir());
        let number = match came_from_elsewhere {
            true => number(dir, locked, entry, name)?,
            false if passes_through => Number::Other(entry.ino),
            false => Number::Other(identity.map(entry.fsid, entry.ino)?),
        };
        let ino = match number {
            Number::Gone => None,
            Number::AsInUpper(ino) => Some(ino),
            Number::Other(ino) => {
                *is_pure = false;
                Some(ino)
            }
        };
        if let Some(ino) = ino {
            if !ctx.emit(&DirEntry {
                name,
                ino,
                d_type: entry.d_type,
            }) {
                return Ok(false);
            }
        }
        // It counts entries in memory.
        pos = pos.wrapping_add(1);
        ctx.set_pos(pos);
    }
    Ok(true)
}

#[vtable]
impl FileOperations for DirectoryFile {
    type Fs = Overlay;
    type Private = Pin<KBox<OpenDirectory>>;

    fn open(inode: &InodeOf<Overlay>, _file: &OpeningFile<Overlay>) -> Result<Self::Private> {
        // What cannot be opened fails here, also if others have it open, and who watches the layer
        // is told.
        with_creds(&inode.super_data().cred, |_| {
            OpenFile::open(inode.real_path()?, OpenFile::READ).map(drop)
        })?;
        let class = open_dir_lock_class(inode.super_block().stack_depth() as c_int);
        KBox::pin_init(
            pin_init!(OpenDirectory {
                listing <- Mutex::new(None, c"overlay_open_dir", class),
                is_pure: Atomic::new(false),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    fn iterate(
        file: &FileOf<Self>,
        locked: LockedDir<'_, Overlay>,
        ctx: &mut DirContext,
    ) -> Result {
        let dir = file.inode();
        let listing = file.private().listing(dir, ctx.pos())?;
        let directory = FileType::Directory.as_dirent();
        if ctx.pos() == 0 {
            let dot = DirEntry {
                name: b".",
                ino: dir.ino(),
                d_type: directory,
            };
            if !ctx.emit(&dot) {
                return Ok(());
            }
            ctx.set_pos(1);
        }
        if ctx.pos() == 1 {
            let ino = file.dentry().parent().inode().ok_or(EIO)?.ino();
            if !ctx.emit(&DirEntry {
                name: b"..",
                ino,
                d_type: directory,
            }) {
                return Ok(());
            }
            ctx.set_pos(DOTS);
        }
        let index = usize::try_from(ctx.pos().saturating_sub(DOTS)).map_err(|_| EINVAL)?;
        let is_pure = &file.private().is_pure;
        if index == 0 {
            is_pure.store(true, ordering::Relaxed);
        }
        let mut rest_is_pure = true;
        let entries = listing.entries_from(index);
        let is_complete = show(dir, locked, entries, ctx, &mut rest_is_pure);
        if !rest_is_pure {
            is_pure.store(false, ordering::Relaxed);
        }
        if !is_complete? {
            return Ok(());
        }
        // Objects come into a directory that is not merged only while it is locked. A lookup,
        // which shares the lock, may note where one came from that was not looked up before.
        if is_pure.load(ordering::Relaxed) && listing.is_current(dir) {
            copy_up::unset_impure(dir);
        }
        Ok(())
    }

    fn llseek(file: &FileOf<Self>, at: i64, whence: Whence) -> Result<i64> {
        let pos = match whence {
            Whence::SET => at,
            Whence::CUR => file.pos().checked_add(at).ok_or(EOVERFLOW)?,
            _ => return Err(EINVAL),
        };
        if pos < 0 {
            return Err(EINVAL);
        }
        file.set_pos(pos);
        if pos != 0 {
            // Something may be left out.
            file.private().is_pure.store(false, ordering::Relaxed);
        }
        Ok(pos)
    }

    fn fsync(file: &FileOf<Self>, start: i64, end: i64, datasync: bool) -> Result {
        let inode = file.inode();
        if !inode.super_data().syncs()? {
            return Ok(());
        }
        let Some(upper) = inode.upper_path()? else {
            return Ok(());
        };
        with_creds(&inode.super_data().cred, |_| {
            OpenFile::open(upper, OpenFile::READ)?.fsync(start, end, datasync)
        })
    }
}
