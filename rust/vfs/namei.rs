// SPDX-License-Identifier: GPL-2.0

//! Looking up, creating, removing and renaming in directories of layers.
//!
//! C header: [`include/linux/namei.h`](srctree/include/linux/namei.h)
//!
//! Operations that change a directory are in two steps. The first takes the
//! locks and finds the dentries; the second consumes what the first returned.
//! Dropping it instead undoes the first.

use crate::{
    attr::{Device, Mode},
    dentry::{Dentry, DentryOf, Name},
    fs::FileSystem,
    inode::{InodeLock, InodeSharedLock},
    inode_ops::RenameFlags,
    mount::{Mount, PathRef},
    raw, //
};
use core::{marker::PhantomData, mem::ManuallyDrop};
use kernel::{
    error::{from_err_ptr, to_result},
    prelude::*,
    sync::aref::ARef,
    types::NotThreadSafe, //
};

impl PathRef<'_> {
    /// Looks `name` up in this directory; the result may be negative. See
    /// `lookup_one_unlocked()`.
    pub fn lookup(&self, name: Name<'_>) -> Result<ARef<Dentry>> {
        let dir = self.dir()?;
        let mut name = name.as_qstr();
        // SAFETY: All are valid; a reference is returned.
        unsafe {
            Dentry::from_ret(raw::lookup_one_unlocked(
                self.mount().idmap().as_ptr(),
                &mut name,
                dir.as_ptr(),
            ))
        }
    }

    /// Looks `name` up in this directory: `ENOENT` when there is none, `EINTR`
    /// when the task is killed. See `lookup_one_positive_killable()`.
    pub fn lookup_positive_killable(&self, name: Name<'_>) -> Result<ARef<Dentry>> {
        let dir = self.dir()?;
        let mut name = name.as_qstr();
        // SAFETY: All are valid; a reference is returned.
        unsafe {
            Dentry::from_ret(raw::lookup_one_positive_killable(
                self.mount().idmap().as_ptr(),
                &mut name,
                dir.as_ptr(),
            ))
        }
    }

    /// As [`PathRef::lookup`], but `ENOENT` for a negative dentry. See
    /// `lookup_one_positive_unlocked()`.
    pub fn lookup_positive(&self, name: Name<'_>) -> Result<ARef<Dentry>> {
        let dir = self.dir()?;
        let mut name = name.as_qstr();
        // SAFETY: All are valid; a reference is returned.
        unsafe {
            Dentry::from_ret(raw::lookup_one_positive_unlocked(
                self.mount().idmap().as_ptr(),
                &mut name,
                dir.as_ptr(),
            ))
        }
    }
}

/// A directory of ours whose inode is locked, at least shared.
pub struct LockedDir<'a, F: FileSystem>(&'a DentryOf<F>);

impl<F: FileSystem> Clone for LockedDir<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: FileSystem> Copy for LockedDir<'_, F> {}

impl<'a, F: FileSystem> LockedDir<'a, F> {
    /// # Safety
    ///
    /// The inode lock of `dir` is held at least shared for `'a`.
    pub(crate) unsafe fn new(dir: &'a DentryOf<F>) -> Self {
        Self(dir)
    }

    /// Looks `name` up in the directory; the result may be negative. See
    /// `lookup_one()`.
    pub fn lookup(&self, name: Name<'_>) -> Result<ARef<DentryOf<F>>> {
        if !self.0.can_lookup() {
            return Err(ENOTDIR);
        }
        let mut name = name.as_qstr();
        // SAFETY: All are valid, and the directory is locked; a reference is returned.
        let dentry = unsafe {
            Dentry::from_ret(raw::lookup_one(
                crate::mount::IdMap::nop().as_ptr(),
                &mut name,
                self.0.as_ptr(),
            ))
        }?;
        // SAFETY: The child belongs to the same super block; the type is transparent.
        Ok(unsafe { ARef::from_raw(ARef::into_raw(dentry).cast()) })
    }
}

/// A directory of ours whose inode is locked while this lives, by a lock `L`.
pub struct DirLock<'a, F: FileSystem, L> {
    dir: &'a DentryOf<F>,
    _lock: L,
}

impl<'a, F: FileSystem> DirLock<'a, F, InodeSharedLock<'a>> {
    /// Locks a directory shared if nobody modifies it: see
    /// `inode_trylock_shared()`.
    pub fn try_shared(dir: &'a DentryOf<F>) -> Option<Self> {
        let lock = dir.inode()?.try_lock_shared()?;
        Some(Self { dir, _lock: lock })
    }
}

impl<'a, F: FileSystem> DirLock<'a, F, InodeLock<'a>> {
    /// Locks a directory if nobody has: see `inode_trylock()`.
    pub fn try_exclusive(dir: &'a DentryOf<F>) -> Option<Self> {
        let lock = dir.inode()?.try_lock()?;
        Some(Self { dir, _lock: lock })
    }
}

impl<F: FileSystem, L> DirLock<'_, F, L> {
    /// The directory.
    pub fn dir(&self) -> LockedDir<'_, F> {
        LockedDir(self.dir)
    }
}

/// A name in a directory, locked for creating it: see `start_creating()`.
///
/// # Invariants
///
/// `dentry` is what `start_creating` returned, and `end_dirop` was not called.
pub struct Creating<'a> {
    dentry: *mut raw::dentry,
    parent: &'a Dentry,
    mount: &'a Mount,
    _task: NotThreadSafe,
}

impl<'a> Creating<'a> {
    /// Locks `name` in the directory `dir`. There may be an object already.
    ///
    /// The caller has write access to the mount. Takes the inode lock of `dir`.
    pub fn start(dir: PathRef<'a>, name: Name<'_>) -> Result<Self> {
        let parent = dir.dir()?;
        let mut name = name.as_qstr();
        // SAFETY: All are valid, and the parent is a directory.
        let dentry = from_err_ptr(unsafe {
            raw::start_creating(dir.mount().idmap().as_ptr(), parent.as_ptr(), &mut name)
        })?;
        Ok(Self {
            dentry,
            parent,
            mount: dir.mount(),
            _task: NotThreadSafe,
        })
    }

    /// The dentry, negative unless there is an object already.
    pub fn dentry(&self) -> &Dentry {
        // SAFETY: The guard has a reference.
        unsafe { Dentry::from_raw(self.dentry) }
    }

    /// Unlocks and returns the dentry.
    pub fn keep(self) -> ARef<Dentry> {
        ARef::from(self.dentry())
    }

    fn finish(self, ret: c_int) -> Result<ARef<Dentry>> {
        to_result(ret)?;
        if self.dentry().is_negative() {
            // The filesystem created something that it does not show.
            return Err(EIO);
        }
        let (parent, mount) = (self.parent, self.mount);
        let made = self.keep();
        if !made.is_unhashed() {
            return Ok(made);
        }
        // Filesystems do not cache what is not there where names are case-folded: the dentry that
        // stands for the object is another one.
        let dir = PathRef::new(mount, parent)?;
        let found = made.with_name(|name| dir.lookup_positive(name))?;
        match (found.inode(), made.inode()) {
            (Some(found), Some(made)) if core::ptr::eq(found, made) => {}
            _ => return Err(EIO),
        }
        Ok(found)
    }

    /// Creates a regular file.
    pub fn create(self, mode: Mode) -> Result<ARef<Dentry>> {
        let idmap = self.mount.idmap().as_ptr();
        // SAFETY: The name is locked.
        let ret =
            unsafe { raw::vfs_create(idmap, self.dentry, mode.bits(), core::ptr::null_mut()) };
        self.finish(ret)
    }

    /// Makes a directory.
    pub fn mkdir(self, mode: Mode) -> Result<ARef<Dentry>> {
        let dir = self.parent.inode().ok_or(ENOENT)?;
        let this = ManuallyDrop::new(self);
        // SAFETY: The name is locked. On failure the dentry is gone and nothing is locked; on
        // success the result, which may be another dentry, stands for it.
        let dentry = from_err_ptr(unsafe {
            raw::vfs_mkdir(
                this.mount.idmap().as_ptr(),
                dir.as_ptr(),
                this.dentry,
                mode.bits(),
                core::ptr::null_mut(),
            )
        })?;
        // INVARIANT: `vfs_mkdir` passed on the lock and the reference.
        Creating {
            dentry,
            parent: this.parent,
            mount: this.mount,
            _task: NotThreadSafe,
        }
        .finish(0)
    }

    /// Makes a special file.
    pub fn mknod(self, mode: Mode, rdev: Device) -> Result<ARef<Dentry>> {
        let dir = self.parent.inode().ok_or(ENOENT)?;
        // SAFETY: The name is locked.
        let ret = unsafe {
            raw::vfs_mknod(
                self.mount.idmap().as_ptr(),
                dir.as_ptr(),
                self.dentry,
                mode.bits(),
                rdev.as_raw(),
                core::ptr::null_mut(),
            )
        };
        self.finish(ret)
    }

    /// Makes a symbolic link.
    pub fn symlink(self, target: &CStr) -> Result<ARef<Dentry>> {
        let dir = self.parent.inode().ok_or(ENOENT)?;
        // SAFETY: The name is locked.
        let ret = unsafe {
            raw::vfs_symlink(
                self.mount.idmap().as_ptr(),
                dir.as_ptr(),
                self.dentry,
                target.as_char_ptr(),
                core::ptr::null_mut(),
            )
        };
        self.finish(ret)
    }

    /// Makes a link to `old`, which is in the same mount.
    pub fn link(self, old: &Dentry) -> Result<ARef<Dentry>> {
        let dir = self.parent.inode().ok_or(ENOENT)?;
        // SAFETY: The name is locked.
        let ret = unsafe {
            raw::vfs_link(
                old.as_ptr(),
                self.mount.idmap().as_ptr(),
                dir.as_ptr(),
                self.dentry,
                core::ptr::null_mut(),
            )
        };
        self.finish(ret)
    }
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { raw::end_dirop(self.dentry) };
    }
}

/// An object in a directory, locked for its removal: see `start_removing()`.
///
/// # Invariants
///
/// `dentry` is what `start_removing` returned, and `end_dirop` was not called.
pub struct Removing<'a> {
    dentry: *mut raw::dentry,
    parent: PathRef<'a>,
    _task: NotThreadSafe,
}

impl<'a> Removing<'a> {
    /// Locks the object `name` in the directory `dir`; `ENOENT` when there is
    /// none.
    ///
    /// The caller has write access to the mount. Takes the inode lock of `dir`.
    pub fn start(dir: PathRef<'a>, name: Name<'_>) -> Result<Self> {
        let parent = dir.dir()?;
        let mut name = name.as_qstr();
        // SAFETY: All are valid, and the parent is a directory.
        let dentry = from_err_ptr(unsafe {
            raw::start_removing(dir.mount().idmap().as_ptr(), parent.as_ptr(), &mut name)
        })?;
        Ok(Self {
            dentry,
            parent: dir,
            _task: NotThreadSafe,
        })
    }

    /// As [`Removing::start`] for the object `child`; `EINVAL` when it is in
    /// `dir` no more. See `start_removing_dentry()`.
    pub fn start_dentry(dir: PathRef<'a>, child: &Dentry) -> Result<Self> {
        let parent = dir.dir()?;
        // SAFETY: All are valid, and the parent is a directory.
        let dentry =
            from_err_ptr(unsafe { raw::start_removing_dentry(parent.as_ptr(), child.as_ptr()) })?;
        Ok(Self {
            dentry,
            parent: dir,
            _task: NotThreadSafe,
        })
    }

    /// The dentry.
    pub fn dentry(&self) -> &Dentry {
        // SAFETY: The guard has a reference.
        unsafe { Dentry::from_raw(self.dentry) }
    }

    /// Unlocks and returns the dentry.
    pub fn keep(self) -> ARef<Dentry> {
        ARef::from(self.dentry())
    }

    /// Removes the object: a directory, which has to be empty, or anything else.
    pub fn remove(self) -> Result {
        let dir = self.parent.inode()?;
        let idmap = self.parent.mount().idmap().as_ptr();
        let is_dir = self.dentry().is_dir();
        // The guard's reference goes with the lock, so one more keeps the dentry from losing its
        // inode to somebody who looks at it.
        let _keep = ARef::from(self.dentry());
        // SAFETY: The object is locked.
        to_result(unsafe {
            if is_dir {
                raw::vfs_rmdir(idmap, dir.as_ptr(), self.dentry, core::ptr::null_mut())
            } else {
                raw::vfs_unlink(idmap, dir.as_ptr(), self.dentry, core::ptr::null_mut())
            }
        })
    }
}

impl Drop for Removing<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { raw::end_dirop(self.dentry) };
    }
}

/// Two names within one mount, locked for a rename: see `start_renaming()`.
///
/// # Invariants
///
/// `rd` was set up by one of the `start_renaming` functions, and `end_renaming`
/// was not called.
pub struct Renaming<'a> {
    rd: raw::renamedata,
    _dirs: PhantomData<&'a Dentry>,
    _task: NotThreadSafe,
}

impl<'a> Renaming<'a> {
    fn data(old_dir: PathRef<'a>, new_dir: PathRef<'a>) -> Result<raw::renamedata> {
        if old_dir.mount().super_block() != new_dir.mount().super_block() {
            return Err(EXDEV);
        }
        Ok(raw::renamedata {
            mnt_idmap: old_dir.mount().idmap().as_ptr(),
            old_parent: old_dir.dir()?.as_ptr(),
            new_parent: new_dir.dir()?.as_ptr(),
            ..Default::default()
        })
    }

    fn started(rd: raw::renamedata, ret: c_int) -> Result<Self> {
        to_result(ret)?;
        Ok(Self {
            rd,
            _dirs: PhantomData,
            _task: NotThreadSafe,
        })
    }

    /// Locks `old_name`, which exists, and `new_name`, which may.
    ///
    /// The caller has write access to the mount. Takes the inode locks of both
    /// directories, and `s_vfs_rename_mutex` when they differ.
    pub fn start(
        old_dir: PathRef<'a>,
        old_name: Name<'_>,
        new_dir: PathRef<'a>,
        new_name: Name<'_>,
        flags: RenameFlags,
    ) -> Result<Self> {
        let mut rd = Self::data(old_dir, new_dir)?;
        rd.flags = flags.as_raw();
        let (mut old_name, mut new_name) = (old_name.as_qstr(), new_name.as_qstr());
        // SAFETY: All are valid.
        let ret = unsafe { raw::start_renaming(&mut rd, 0, &mut old_name, &mut new_name) };
        Self::started(rd, ret)
    }

    /// Locks the object `old` and `new_name`, which must not exist: `EEXIST`.
    /// Nothing is replaced.
    pub fn start_to_new_name(
        old_dir: PathRef<'a>,
        old: &Dentry,
        new_dir: PathRef<'a>,
        new_name: Name<'_>,
    ) -> Result<Self> {
        let mut rd = Self::data(old_dir, new_dir)?;
        rd.flags = RenameFlags::NOREPLACE.as_raw();
        let mut new_name = new_name.as_qstr();
        // SAFETY: All are valid.
        let ret = unsafe {
            raw::start_renaming_dentry(
                &mut rd,
                raw::vfs_const_LOOKUP_EXCL as c_int,
                old.as_ptr(),
                &mut new_name,
            )
        };
        Self::started(rd, ret)
    }

    /// Locks the objects, or names without an object, `old` and `new`.
    pub fn start_dentries(
        old_dir: PathRef<'a>,
        old: &Dentry,
        new_dir: PathRef<'a>,
        new: &Dentry,
        flags: RenameFlags,
    ) -> Result<Self> {
        let mut rd = Self::data(old_dir, new_dir)?;
        rd.flags = flags.as_raw();
        // SAFETY: All are valid.
        let ret = unsafe { raw::start_renaming_two_dentries(&mut rd, old.as_ptr(), new.as_ptr()) };
        Self::started(rd, ret)
    }

    /// The dentry that is moved.
    pub fn old(&self) -> &Dentry {
        // SAFETY: The guard has a reference.
        unsafe { Dentry::from_raw(self.rd.old_dentry) }
    }

    /// The dentry that it is moved to.
    pub fn new_dentry(&self) -> &Dentry {
        // SAFETY: The guard has a reference.
        unsafe { Dentry::from_raw(self.rd.new_dentry) }
    }

    /// Renames, as the flags say that it was started with: see `vfs_rename()`.
    /// `ENOENT` for an exchange with nothing.
    pub fn rename(mut self) -> Result {
        let exchange = self.rd.flags & RenameFlags::EXCHANGE.as_raw() != 0;
        if exchange && self.new_dentry().is_negative() {
            return Err(ENOENT);
        }
        // A replaced object may still be looked at by whoever has its dentry; see
        // `Removing::remove`.
        let _keep = ARef::from(self.new_dentry());
        // SAFETY: Both names are locked.
        to_result(unsafe { raw::vfs_rename(&mut self.rd) })
    }
}

impl Drop for Renaming<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { raw::end_renaming(&mut self.rd) };
    }
}
