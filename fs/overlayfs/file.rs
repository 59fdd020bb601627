// SPDX-License-Identifier: GPL-2.0

//! Open regular files.
//!
//! A file's I/O is done by a file of the layer that has the data of its inode at
//! that moment. A file that was opened before the data was copied up goes on with
//! upper's after, so that it sees what is written there: an overlay inode has one
//! set of data at a time, whoever looks. Copying attributes alone makes no
//! difference to it.

use crate::{
    copy_up::{self, Data},
    entry::{Backing, OverlayInode},
    inode::may_open,
    lower_data,
    mapping,
    Overlay, //
};
use kernel::{
    cred::Credential,
    fs::{file::flags, LocalFile},
    prelude::*,
    static_lock_class,
    sync::SetOnce, //
};
use vfs::{
    attr::Mode,
    backing::BackingFile,
    cred::with_creds,
    dentry::Dentry,
    file::Whence,
    file_ops::{
        FileOf,
        FileOperations,
        FlushOwner,
        Iocb,
        Iter,
        NewMapping,
        OpeningFile,
        Pipe,
        RemapFlags, //
    },
    inode::{Inode, InodeOf},
    mount::PathRef,
    mutex::Mutex, //
};

/// Operations on open regular files.
pub(crate) struct RegularFile;

/// The layers' files that work for an open file.
#[pin_data]
pub(crate) struct OpenRegular {
    /// What had the data when the file was opened.
    first: BackingFile,
    /// Upper's, if that is another one, as soon as it is needed.
    upper: SetOnce<BackingFile>,
    /// Taken by the task that opens it.
    #[pin]
    opening: Mutex<()>,
}

impl OpenRegular {
    fn new(first: BackingFile) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            pin_init!(Self {
                first,
                upper: SetOnce::new(),
                opening <- Mutex::new((), c"overlay_open_file", static_lock_class!()),
            }),
            GFP_KERNEL,
        )
    }

    /// The dentry of the layer's file that is open.
    pub(crate) fn backing_dentry(&self) -> &Dentry {
        self.first.dentry()
    }
}

/// Layers' access times are not the users' business.
const BACKING_FLAGS: u32 = flags::O_NOATIME;

/// Flags that were acted upon when the file was opened.
const OPEN_ONLY: u32 = flags::O_CREAT | flags::O_EXCL | flags::O_NOCTTY | flags::O_TRUNC;

/// Flags of files that a volatile mount does not write through.
const SYNC: u32 = flags::O_SYNC | flags::O_DSYNC;

/// Whether opening with `open_flags` changes the file.
fn changes(open_flags: u32) -> bool {
    let access = open_flags & flags::O_ACCMODE;
    access == flags::O_WRONLY || access == flags::O_RDWR || open_flags & flags::O_TRUNC != 0
}

/// Opens the object `path` of a layer that `inode` stands for, for `user`.
pub(crate) fn open_layer(
    user: &LocalFile,
    open_flags: u32,
    inode: &InodeOf<Overlay>,
    path: PathRef<'_>,
) -> Result<BackingFile> {
    let cred = &inode.super_data().cred;
    with_creds(cred, |_| {
        let mut open_flags = open_flags | BACKING_FLAGS;
        if !inode.super_data().syncs_writes() {
            open_flags &= !SYNC;
        }
        if !may_open(path, open_flags)? {
            open_flags &= !flags::O_NOATIME;
        }
        BackingFile::open(user, open_flags, path, cred)
    })
}

/// Makes a file without a name in upper's directory `dir`, for `user`. The
/// caller acts as whoever creates, by the credentials `cred`.
pub(crate) fn open_tmpfile(
    user: &OpeningFile<Overlay>,
    dir: PathRef<'_>,
    mode: Mode,
    cred: &Credential,
) -> Result<Pin<KBox<OpenRegular>>> {
    let mut open_flags = user.flags() | BACKING_FLAGS;
    if !user.dentry().super_data().syncs_writes() {
        open_flags &= !SYNC;
    }
    OpenRegular::new(BackingFile::open_tmpfile(
        user, open_flags, dir, mode, cred,
    )?)
}

/// The layer's file that does the I/O for `file` now, with the flags that `file`
/// has now.
fn backing(file: &FileOf<RegularFile>) -> Result<&BackingFile> {
    let backing = current(file)?;
    backing.follow_flags(file, BACKING_FLAGS | OPEN_ONLY | SYNC)?;
    Ok(backing)
}

/// Whether the layer's file that does the I/O for `file` now is open.
fn is_open(file: &FileOf<RegularFile>) -> bool {
    let private = file.private();
    has_data(file, &private.first) || private.upper.as_ref().is_some()
}

/// Whether `backing`, which was opened first, has the data of `file` now: until
/// the data is copied up, it is where it was.
fn has_data(file: &FileOf<RegularFile>, backing: &BackingFile) -> bool {
    let upper = file.inode().data().upper_data();
    upper.is_none_or(|upper| is_open_in(upper, backing))
}

fn is_open_in(dentry: &Dentry, backing: &BackingFile) -> bool {
    dentry
        .inode()
        .is_some_and(|inode| core::ptr::eq::<Inode>(backing.inode(), inode))
}

/// The layer's file that has the data of `file` now.
fn current(file: &FileOf<RegularFile>) -> Result<&BackingFile> {
    let private = file.private();
    if has_data(file, &private.first) {
        return Ok(&private.first);
    }
    in_upper(file)
}

/// Upper's file for a `file` that was opened when upper had no such file, or none
/// with the data.
#[cold]
fn in_upper(file: &FileOf<RegularFile>) -> Result<&BackingFile> {
    let private = file.private();
    let upper = file.inode().upper_path()?.ok_or(EIO)?;
    if private.upper.as_ref().is_none() {
        let _opening = private.opening.lock();
        if private.upper.as_ref().is_none() {
            let opened = open_layer(file, file.flags(), file.inode(), upper)?;
            private.upper.populate(opened);
        }
    }
    let opened = private.upper.as_ref().ok_or(EAGAIN)?;
    if !is_open_in(upper.dentry(), opened) {
        return Err(EIO);
    }
    Ok(opened)
}

fn cred(file: &FileOf<RegularFile>) -> &Credential {
    &file.inode().super_data().cred
}

/// Calls `f` with the layer's file, for an operation that changes it: with the
/// inode locked and its attributes those of the layer, before and after.
fn modify<R>(file: &FileOf<RegularFile>, f: impl FnOnce(&BackingFile) -> Result<R>) -> Result<R> {
    let inode = file.inode();
    let _lock = inode.lock();
    inode.copy_attr()?;
    let result = backing(file).and_then(f);
    inode.copy_attr()?;
    result
}

#[vtable]
impl FileOperations for RegularFile {
    type Fs = Overlay;
    type Private = OpenRegular;

    fn open(
        inode: &InodeOf<Overlay>,
        file: &OpeningFile<Overlay>,
    ) -> Result<Pin<KBox<OpenRegular>>> {
        let open_flags = file.flags();
        lower_data::find(file.dentry())?;
        if changes(open_flags) {
            let truncates = open_flags & flags::O_TRUNC != 0;
            let data = if truncates {
                Data::Truncate
            } else {
                Data::Copy
            };
            copy_up::copy_up_data(file.dentry(), data)?;
        }
        file.clear_flags(OPEN_ONLY);
        let backing = open_layer(file, file.flags(), inode, inode.data_path()?)?;
        if backing.can_nowait() {
            file.allow_nowait();
        }
        if backing.can_write_atomically() {
            file.allow_atomic_writes();
        }
        OpenRegular::new(backing)
    }

    fn llseek(file: &FileOf<Self>, at: i64, whence: Whence) -> Result<i64> {
        if at == 0 && whence == Whence::CUR {
            return Ok(file.pos());
        }
        if at == 0 && whence == Whence::SET {
            return file.seek_to(0);
        }
        // Only the layer's filesystem knows about holes, and how far one may seek.
        let backing = backing(file)?;
        let pos = with_creds(cred(file), |_| backing.seek_from(file.pos(), at, whence))?;
        file.set_pos(pos);
        Ok(pos)
    }

    fn read_iter(iocb: &mut Iocb<'_, Self>, iter: &mut Iter) -> Result<usize> {
        if iter.is_empty() {
            return Ok(0);
        }
        let file = iocb.file();
        if iocb.flags().nowait() && !is_open(file) {
            return Err(EAGAIN);
        }
        backing(file)?.read_iter(iocb, iter, cred(file))
    }

    fn write_iter(iocb: &mut Iocb<'_, Self>, iter: &mut Iter) -> Result<usize> {
        if iter.is_empty() {
            return Ok(0);
        }
        let file = iocb.file();
        let inode = file.inode();
        let mut flags = iocb.flags();
        if !inode.super_data().syncs_writes() {
            flags = flags.without_sync();
        }
        let _lock = match flags.nowait() {
            true => inode.try_lock().ok_or(EAGAIN)?,
            false => inode.lock(),
        };
        inode.copy_attr()?;
        backing(file)?.write_iter(iocb, iter, flags, cred(file))
    }

    fn mmap(file: &FileOf<Self>, vma: NewMapping<'_, Self>) -> Result {
        let backing = current(file)?;
        let mapped = backing.mmap(vma, cred(file))?;
        mapping::made(file, backing, mapped)
    }

    fn flush(file: &FileOf<Self>, owner: FlushOwner) -> Result {
        let backing = backing(file)?;
        with_creds(cred(file), |_| backing.flush(owner))
    }

    fn fsync(file: &FileOf<Self>, start: i64, end: i64, datasync: bool) -> Result {
        if !file.inode().super_data().syncs()? {
            return Ok(());
        }
        let entry = file.inode().data();
        let Some(upper) = entry.upper() else {
            // Nothing was written, and a read-only filesystem would refuse.
            return Ok(());
        };
        if datasync && entry.backing() == Backing::Metacopy {
            return Ok(());
        }
        let first = &file.private().first;
        let backing = if is_open_in(upper, first) {
            first
        } else {
            in_upper(file)?
        };
        with_creds(cred(file), |_| backing.fsync(start, end, datasync))
    }

    fn splice_write(
        iocb: &mut Iocb<'_, Self>,
        pipe: &mut Pipe,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        let file = iocb.file();
        let inode = file.inode();
        let _lock = inode.lock();
        inode.copy_attr()?;
        backing(file)?.splice_write(iocb, pipe, len, flags, cred(file))
    }

    fn splice_read(
        iocb: &mut Iocb<'_, Self>,
        pipe: &mut Pipe,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        let file = iocb.file();
        backing(file)?.splice_read(iocb, pipe, len, flags, cred(file))
    }

    fn fallocate(file: &FileOf<Self>, mode: c_int, at: i64, len: i64) -> Result {
        modify(file, |backing| {
            file.remove_privs()?;
            with_creds(cred(file), |_| backing.fallocate(mode, at, len))
        })
    }

    fn copy_file_range(
        from: &FileOf<Self>,
        at: i64,
        to: &FileOf<Self>,
        to_at: i64,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        modify(to, |to_backing| {
            to.remove_privs()?;
            let from_backing = backing(from)?;
            if !core::ptr::eq(from.inode().super_data(), to.inode().super_data()) {
                // The copy is made with the rights of the target's mounter.
                let len = i64::try_from(len).unwrap_or(i64::MAX);
                with_creds(cred(from), |_| from_backing.verify_read(at, len))?;
            }
            with_creds(cred(to), |_| {
                from_backing.copy_range(at, to_backing, to_at, len, flags)
            })
        })
    }

    fn remap_file_range(
        from: &FileOf<Self>,
        at: i64,
        to: &FileOf<Self>,
        to_at: i64,
        len: i64,
        flags: RemapFlags,
    ) -> Result<i64> {
        if flags.has_unknown() {
            return Err(EINVAL);
        }
        let in_upper = from.inode().data().upper().is_some();
        if flags.is_dedupe() && !(in_upper && to.inode().data().upper_data().is_some()) {
            // It would be copied up to save space.
            return Err(EPERM);
        }
        modify(to, |to_backing| {
            if !flags.is_dedupe() {
                to.remove_privs()?;
            }
            let from_backing = backing(from)?;
            let raw = flags.as_raw();
            with_creds(cred(to), |_| {
                if flags.is_dedupe() {
                    from_backing.dedupe_range(at, to_backing, to_at, len, raw)
                } else {
                    from_backing.clone_range(at, to_backing, to_at, len, raw)
                }
            })
        })
    }

    fn fadvise(file: &FileOf<Self>, at: i64, len: i64, advice: c_int) -> Result {
        let backing = backing(file)?;
        with_creds(cred(file), |_| backing.fadvise(at, len, advice))
    }

    fn backing_accessed(file: &FileOf<Self>) {
        if file.flags() & flags::O_NOATIME != 0 {
            return;
        }
        let inode = file.inode();
        if let Ok(Some(upper)) = inode.upper_path() {
            if let Ok(upper) = upper.inode() {
                inode.copy_times_from(upper);
            }
            file.touch_atime();
        }
    }

    fn backing_written(file: &FileOf<Self>) {
        // Fails only for an inode that stands for nothing, which has no file.
        let _ = file.inode().copy_attr();
    }
}
