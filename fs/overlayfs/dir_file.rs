// SPDX-License-Identifier: GPL-2.0

//! Open directories.

use crate::{
    entry::{open_dir_lock_class, OverlayInode},
    listing::{Entry, Listing},
    Overlay, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
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
        let mut shared = dir.data().listing.lock();
        let listing = match &*shared {
            Some(listing) if listing.is_current(dir) => listing.clone(),
            _ => {
                let listing = with_creds(&dir.super_data().cred, |_| Listing::read(dir))?;
                let listing = Arc::new(listing, GFP_KERNEL)?;
                *shared = Some(listing.clone());
                listing
            }
        };
        *own = Some(listing.clone());
        Ok(listing)
    }
}

/// The overlay's number for an entry; `None` if there is no such object any
/// more.
fn number(
    dir: &InodeOf<Overlay>,
    locked: LockedDir<'_, Overlay>,
    entry: &Entry,
    name: &[u8],
) -> Result<Option<u64>> {
    let is_dir = entry.d_type == FileType::Directory.as_dirent() || is_unknown_type(entry.d_type);
    let came_from_elsewhere =
        entry.in_upper && (dir.data().is_impure() || is_dir && dir.data().is_merged());
    if came_from_elsewhere {
        let name = Name::new(name)?;
        match with_creds(&dir.super_data().cred, |_| locked.lookup(name)) {
            Ok(child) => return Ok(child.inode().map(|inode| inode.ino())),
            Err(err) if err == EINTR || err == ENOMEM => return Err(err),
            // An object that cannot be opened is shown all the same, beside the others.
            Err(_) => {}
        }
    }
    dir.super_data()
        .identity
        .map(entry.fsid, entry.ino)
        .map(Some)
}

#[vtable]
impl FileOperations for DirectoryFile {
    type Fs = Overlay;
    type Private = OpenDirectory;

    fn open(
        inode: &InodeOf<Overlay>,
        _file: &OpeningFile<Overlay>,
    ) -> Result<Pin<KBox<Self::Private>>> {
        let class = open_dir_lock_class(inode.super_block().stack_depth() as c_int);
        KBox::pin_init(
            pin_init!(OpenDirectory {
                listing <- Mutex::new(None, c"overlay_open_dir", class),
            }),
            GFP_KERNEL,
        )
    }

    fn release(inode: &InodeOf<Overlay>, private: Pin<KBox<Self::Private>>) {
        drop(private);
        // Others that show it keep it; otherwise it would take memory until the inode goes.
        *inode.data().listing.lock() = None;
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
        for (entry, name) in listing.entries_from(index) {
            if let Some(ino) = number(dir, locked, entry, name)? {
                if !ctx.emit(&DirEntry {
                    name,
                    ino,
                    d_type: entry.d_type,
                }) {
                    return Ok(());
                }
            }
            ctx.set_pos(ctx.pos().saturating_add(1));
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
