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
    lower_data,
    mapping,
    written,
    Overlay, //
};
use kernel::{
    cred::Credential,
    fs::{file::flags, LocalFile},
    prelude::*, //
};
use vfs::{
    attr::Mode,
    backing::{BackingFile, BackingFiles, BorrowedFile},
    cred::with_creds,
    dentry::Dentry,
    file::Whence,
    file_ops::{
        FileOf,
        FileOperations,
        FlushOwner,
        Iocb,
        IocbFlags,
        Iter,
        NewMapping,
        OpeningFile,
        Pipe,
        RemapFlags, //
    },
    inode::{Access, Inode, InodeFlags, InodeLock, InodeOf, InodeSharedLock},
    mount::PathRef,
    trace::Reason, //
};

/// Operations on open regular files.
pub(crate) struct RegularFile;

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
    let real = path.inode()?;
    let mut open_flags = open_flags | BACKING_FLAGS;
    if !inode.super_data().syncs_writes() {
        open_flags &= !SYNC;
    }
    real.permission_of(cred, path.mount(), Access::for_open(open_flags))?;
    with_creds(cred, |_| {
        // That is its owner's right.
        if !real.owner_or_capable(path.mount().idmap()) {
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
) -> Result<BackingFile> {
    let mut open_flags = user.flags() | BACKING_FLAGS;
    if !user.dentry().super_data().syncs_writes() {
        open_flags &= !SYNC;
    }
    BackingFile::open_tmpfile(user, open_flags, dir, mode, cred)
}

/// The layer's file that does the I/O for `file` now, with the flags that `file`
/// has now.
#[inline]
fn backing(file: &FileOf<RegularFile>) -> Result<BorrowedFile<'_>> {
    let backing = current(file)?;
    backing.follow_flags(file, BACKING_FLAGS | OPEN_ONLY | SYNC)?;
    Ok(backing)
}

/// Whether the layer's file that does the I/O for `file` now is open.
fn is_open(file: &FileOf<RegularFile>) -> bool {
    let private = file.private();
    has_data(file, &private.first()) || private.second().is_some()
}

/// Whether `backing`, which was opened first, has the data of `file` now: until
/// the data is copied up, it is where it was.
fn has_data(file: &FileOf<RegularFile>, backing: &BackingFile) -> bool {
    let upper = file.inode().upper_data();
    upper.is_none_or(|upper| is_open_in(upper, backing))
}

fn is_open_in(dentry: &Dentry, backing: &BackingFile) -> bool {
    dentry
        .inode()
        .is_some_and(|inode| core::ptr::eq::<Inode>(backing.inode(), inode))
}

/// The layer's file that has the data of `file` now.
#[inline]
fn current(file: &FileOf<RegularFile>) -> Result<BorrowedFile<'_>> {
    let first = file.private().first();
    if has_data(file, &first) {
        return Ok(first);
    }
    in_upper(file)
}

/// Upper's file for a `file` that was opened when upper had no such file, or none
/// with the data.
#[cold]
fn in_upper(file: &FileOf<RegularFile>) -> Result<BorrowedFile<'_>> {
    let private = file.private();
    let upper = file.inode().upper_path()?.ok_or(EIO)?;
    if private.second().is_none() {
        // If another task is faster, its file is used.
        let opened = open_layer(file, file.flags(), file.inode(), upper)?;
        private.add_second(opened)?;
    }
    let opened = private.second().ok_or(EIO)?;
    if !is_open_in(upper.dentry(), &opened) {
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
    settle_by_flags(file)?;
    let _lock = inode.lock();
    inode.copy_attr()?;
    let result = backing(file).and_then(|backing| f(&backing));
    inode.copy_attr()?;
    result
}

/// Makes sure that data which is durable will be found, before any is written that has to be:
/// see [`Entry::is_settled`].
///
/// [`Entry::is_settled`]: crate::entry::Entry::is_settled
fn settle(file: &FileOf<RegularFile>) -> Result {
    match file.inode().data().is_settled() {
        true => Ok(()),
        false => RegularFile::fsync(file, 0, 0, false),
    }
}

/// As [`settle`], for an operation that syncs if the file was opened so.
fn settle_by_flags(file: &FileOf<RegularFile>) -> Result {
    match file.flags() & flags::O_DSYNC {
        0 => Ok(()),
        _ => settle(file),
    }
}

/// Whether nothing of `inode` is taken away by writing to it, as far as that was found out.
fn keeps_privs(inode: &InodeOf<Overlay>) -> bool {
    inode.flags().contains(InodeFlags::NOSEC)
}

/// An inode that is locked while its file is written, shared or alone.
type WriteLock<'a> = (Option<InodeSharedLock<'a>>, Option<InodeLock<'a>>);

/// Locks the inode of `file`, which is to be written: `EAGAIN` if it would have to wait, and
/// must not. Set-id bits and capabilities are taken away, which is done alone; where there
/// are none writers go together, and who would add some waits.
#[cold]
fn lock_to_write(file: &FileOf<RegularFile>, flags: IocbFlags) -> Result<WriteLock<'_>> {
    let (inode, nowait) = (file.inode(), flags.nowait());
    // What is refused takes nothing away.
    backing(file)?.check_request(flags)?;
    let shared = match nowait {
        true => inode.try_lock_shared().ok_or(EAGAIN)?,
        false => inode.lock_shared(),
    };
    if keeps_privs(inode) {
        return Ok((Some(shared), None));
    }
    drop(shared);
    let alone = match nowait {
        true => inode.try_lock().ok_or(EAGAIN)?,
        false => inode.lock(),
    };
    file.remove_privs()?;
    Ok((None, Some(alone)))
}

/// Takes away what came while a file was written: by waiting, even if the write must not.
///
/// Nobody has executed the file meanwhile, since it is open to be written. A signal is no way
/// around it; if it fails, upper having no room, say, the caller is told so, though the data
/// is written.
#[cold]
fn remove_privs_after(file: &FileOf<RegularFile>) -> Result {
    let _lock = file.inode().lock();
    file.remove_privs()
}

#[vtable]
impl FileOperations for RegularFile {
    type Fs = Overlay;
    /// What had the data when the file was opened, and upper's, if that is another one, as
    /// soon as it is needed.
    type Private = BackingFiles;

    fn open(inode: &InodeOf<Overlay>, file: &OpeningFile<Overlay>) -> Result<BackingFiles> {
        let open_flags = file.flags();
        lower_data::find(file.dentry())?;
        if changes(open_flags) {
            let truncates = open_flags & flags::O_TRUNC != 0;
            let (data, reason) = if truncates {
                (Data::Truncate, Reason::Truncate)
            } else {
                (Data::Copy, Reason::Open)
            };
            copy_up::copy_up_data(file.dentry(), data, reason)?;
        }
        file.clear_flags(OPEN_ONLY);
        let backing = open_layer(file, file.flags(), inode, inode.data_path()?)?;
        if changes(open_flags) {
            written::note(inode);
        }
        if backing.can_nowait() {
            file.allow_nowait();
        }
        if backing.can_write_atomically() {
            file.allow_atomic_writes();
        }
        Ok(BackingFiles::new(backing))
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

    #[inline]
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

    #[inline]
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
        if flags.syncs() && !inode.data().is_settled() {
            if flags.nowait() {
                return Err(EAGAIN);
            }
            settle(file)?;
        }
        // Upper's inode is locked by its filesystem. Here it takes a lock only to take something
        // away. Whoever adds that clears the flag before locking upper's inode: if that is before
        // the write does, the lock makes it seen afterwards.
        let lock = match iocb.is_sync() && keeps_privs(inode) {
            true => None,
            false => Some(lock_to_write(file, flags)?),
        };
        let written = backing(file)?.write_iter(iocb, iter, flags, cred(file));
        match lock {
            Some(lock) => drop(lock),
            None if keeps_privs(inode) => {}
            None => {
                let removed = remove_privs_after(file);
                return written.and_then(|written| removed.map(|()| written));
            }
        }
        written
    }

    fn mmap(file: &FileOf<Self>, vma: NewMapping<'_, Self>) -> Result {
        let backing = current(file)?;
        let mapped = backing.mmap(vma, cred(file))?;
        mapping::made(file, &backing, mapped)
    }

    fn flush(file: &FileOf<Self>, owner: FlushOwner) -> Result {
        let backing = current(file)?;
        if !backing.has_flush() {
            return Ok(());
        }
        with_creds(cred(file), |_| backing.flush(owner))
    }

    fn fsync(file: &FileOf<Self>, start: i64, end: i64, datasync: bool) -> Result {
        let inode = file.inode();
        if !inode.super_data().syncs()? {
            return Ok(());
        }
        let entry = inode.data();
        let Some(upper) = inode.upper() else {
            // Nothing was written, and a read-only filesystem would refuse.
            return Ok(());
        };
        if datasync && inode.backing() == Backing::Metacopy {
            return Ok(());
        }
        let first = file.private().first();
        let backing = if is_open_in(upper, &first) {
            first
        } else {
            in_upper(file)?
        };
        let has_data = inode.upper_data().is_some();
        let datasync = datasync && entry.is_settled();
        with_creds(cred(file), |_| backing.fsync(start, end, datasync))?;
        if has_data && !datasync {
            entry.set_settled();
        }
        Ok(())
    }

    fn splice_write(
        iocb: &mut Iocb<'_, Self>,
        pipe: &mut Pipe,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        let file = iocb.file();
        let inode = file.inode();
        settle_by_flags(file)?;
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
        let in_upper = from.inode().upper().is_some();
        if flags.is_dedupe() && !(in_upper && to.inode().upper_data().is_some()) {
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
        // A file that is written to was opened in upper.
        file.inode()
            .copy_written_from(file.private().first().inode());
    }
}
