// SPDX-License-Identifier: GPL-2.0

//! Inodes that are being made, and the inode cache that they are found in.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    attr::{Device, Mode},
    fs::FileSystem,
    inode::{Inode, InodeOf},
    mount::IdMap,
    raw,
    super_block::SuperBlockOf, //
};
use core::{
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        LockClassKey, //
    },
};

/// # Safety
///
/// Called by the inode cache with a valid inode.
unsafe extern "C" fn test_key(inode: *mut raw::inode, key: *mut c_void) -> c_int {
    // SAFETY: Called with a valid inode.
    (unsafe { (*inode).i_private } == key).into()
}

/// # Safety
///
/// Called by the inode cache with a valid inode that nobody else uses yet.
unsafe extern "C" fn set_key(inode: *mut raw::inode, key: *mut c_void) -> c_int {
    // SAFETY: Called with a valid inode that nobody else sees yet.
    unsafe { (*inode).i_private = key };
    0
}

/// What was found in the inode cache.
pub enum Cached<F: FileSystem> {
    /// An inode that is in use already.
    Existing(ARef<InodeOf<F>>),
    /// A new one, to be filled in.
    New(NewInode<F>),
}

/// An inode that nobody else can use yet.
///
/// Lookups that find it in the inode cache wait until [`NewInode::publish`];
/// dropping it instead makes them look again.
///
/// # Invariants
///
/// `inode` is owned exclusively, but for waiters in the inode cache.
pub struct NewInode<F: FileSystem>(ManuallyDrop<ARef<InodeOf<F>>>);

impl<F: FileSystem> NewInode<F> {
    /// A new inode of `sb` that is not in the inode cache.
    pub fn unhashed(sb: &SuperBlockOf<F>) -> Result<Self> {
        // SAFETY: The super block is valid.
        let inode = NonNull::new(unsafe { raw::new_inode(sb.as_ptr()) }).ok_or(ENOMEM)?;
        // SAFETY: `new_inode` returned a reference, and the super block is one of `F`.
        Ok(Self(ManuallyDrop::new(unsafe {
            ARef::from_raw(inode.cast())
        })))
    }

    /// Finds the inode of `sb` that stands for `real` in the inode cache, or
    /// puts a new one there, see `iget5_locked()`.
    pub fn get(sb: &SuperBlockOf<F>, real: &Inode) -> Result<Cached<F>> {
        let key = real.as_ptr();
        // SAFETY: All are valid; the key is only compared.
        let inode = unsafe {
            raw::iget5_locked(
                sb.as_ptr(),
                key as u64,
                Some(test_key),
                Some(set_key),
                key.cast(),
            )
        };
        // SAFETY: `iget5_locked` returned a reference or null.
        unsafe { Self::from_cache(inode) }
    }

    /// Puts this inode into the inode cache as the one that stands for `real`,
    /// unless there is one already: see `inode_insert5()`.
    pub fn insert(self, real: &Inode) -> Result<Cached<F>> {
        let key = real.as_ptr();
        let own = self.as_ptr();
        // SAFETY: All are valid; the key is only compared.
        let inode = unsafe {
            raw::inode_insert5(own, key as u64, Some(test_key), Some(set_key), key.cast())
        };
        if inode == own {
            return Ok(Cached::New(self));
        }
        // SAFETY: `inode_insert5` returned a reference or null; `self` is dropped.
        unsafe { Self::from_cache(inode) }
    }

    /// # Safety
    ///
    /// `inode` is null or a referenced inode of `F`.
    unsafe fn from_cache(inode: *mut raw::inode) -> Result<Cached<F>> {
        let inode = NonNull::new(inode).ok_or(ENOMEM)?;
        // SAFETY: By the safety requirements.
        let (is_new, inode) = unsafe {
            let is_new = raw::vfs_shim_inode_is_new(inode.as_ptr());
            (is_new, ARef::<InodeOf<F>>::from_raw(inode.cast()))
        };
        Ok(if is_new {
            Cached::New(Self(ManuallyDrop::new(inode)))
        } else {
            Cached::Existing(inode)
        })
    }

    /// The inode in the cache that stands for `real`, if there is one: see
    /// `ilookup5()`.
    pub fn find(sb: &SuperBlockOf<F>, real: &Inode) -> Option<ARef<InodeOf<F>>> {
        let key = real.as_ptr();
        // SAFETY: All are valid; the key is only compared.
        let inode = unsafe { raw::ilookup5(sb.as_ptr(), key as u64, Some(test_key), key.cast()) };
        // SAFETY: `ilookup5` returned a reference or null.
        NonNull::new(inode).map(|inode| unsafe { ARef::from_raw(inode.cast()) })
    }

    /// Sets owner and mode as those of a new object in `dir`, created by the
    /// current task: see `inode_init_owner()`.
    pub fn init_owner(&mut self, idmap: IdMap<'_>, dir: &Inode, mode: Mode) {
        // SAFETY: All are valid and the inode is exclusive.
        unsafe { raw::inode_init_owner(idmap.as_ptr(), self.as_ptr(), dir.as_ptr(), mode.bits()) };
    }

    /// Sets the inode number.
    pub fn set_ino(&mut self, ino: u64) {
        // SAFETY: The inode is exclusive.
        unsafe { (*self.as_ptr()).i_ino = ino };
    }

    /// Sets the link count.
    pub fn set_nlink(&mut self, nlink: u32) {
        // SAFETY: The inode is exclusive.
        unsafe { raw::set_nlink(self.as_ptr(), nlink) };
    }

    /// Makes a special file of it, which the VFS opens itself: see
    /// `init_special_inode()`.
    pub fn init_special(&mut self, mode: Mode, rdev: Device) {
        // SAFETY: The inode is exclusive.
        unsafe { raw::init_special_inode(self.as_ptr(), mode.bits(), rdev.as_raw()) };
    }

    /// Sets type and permissions.
    pub fn set_mode(&mut self, mode: Mode) {
        // SAFETY: The inode is exclusive.
        unsafe { (*self.as_ptr()).i_mode = mode.bits() };
    }

    /// Sets the operations on the inode.
    pub fn set_inode_operations(&mut self, ops: &'static crate::inode_ops::InodeOps<F>) {
        // SAFETY: The inode is exclusive, and the table is for inodes of `F`.
        unsafe { (*self.as_ptr()).i_op = ops.as_ptr() };
    }

    /// Sets the operations on files that are opened on the inode.
    pub fn set_file_operations(&mut self, ops: &'static crate::file_ops::FileOps<F>) {
        // SAFETY: The inode is exclusive, and the table is for files of `F`.
        unsafe { (*self.as_ptr()).__bindgen_anon_3.i_fop = ops.as_ptr() };
    }

    /// The file takes `O_DIRECT` although it has no page cache of its own: its
    /// data is another inode's.
    pub fn allow_direct_io(&mut self) {
        // SAFETY: The inode is exclusive and the table is static.
        unsafe { (*(*self.as_ptr()).i_mapping).a_ops = &DIRECT_IO.0 };
    }

    /// ACLs are asked for each time, and not cached in the inode.
    pub fn no_acl_cache(&mut self) {
        // SAFETY: The inode is exclusive.
        unsafe { raw::vfs_shim_no_acl_cache(self.as_ptr()) };
    }

    /// Puts the inode lock into a lock class of its own: stacked filesystems
    /// nest inode locks, a class for each depth tells lockdep so.
    pub fn set_lock_class(&mut self, key: Pin<&'static LockClassKey>, name: &'static CStr) {
        // SAFETY: The lock is not held and key and name are static.
        unsafe {
            raw::vfs_shim_set_inode_lock_class(self.as_ptr(), key.as_ptr(), name.as_char_ptr())
        };
    }

    /// The inode is complete: others may use it.
    pub fn publish(self) -> ARef<InodeOf<F>> {
        let this = ManuallyDrop::new(self);
        // SAFETY: The inode is valid and new; an inode outside of the cache has no waiters.
        unsafe {
            if raw::vfs_shim_inode_is_new(this.as_ptr()) {
                raw::unlock_new_inode(this.as_ptr());
            }
        }
        // SAFETY: `this` is not dropped, so that the reference moves out.
        unsafe { core::ptr::read(&*this.0) }
    }
}

impl<F: FileSystem> Deref for NewInode<F> {
    type Target = InodeOf<F>;

    fn deref(&self) -> &InodeOf<F> {
        &self.0
    }
}

impl<F: FileSystem> Drop for NewInode<F> {
    fn drop(&mut self) {
        // SAFETY: The reference is given up, once.
        unsafe {
            if raw::vfs_shim_inode_is_new(self.as_ptr()) {
                raw::iget_failed(self.as_ptr());
            } else {
                ManuallyDrop::drop(&mut self.0);
            }
        }
    }
}

/// A table of C's operations.
struct Table<T>(T);

// SAFETY: Tables are never written.
unsafe impl<T> Sync for Table<T> {}

static DIRECT_IO: Table<raw::address_space_operations> = Table({
    // SAFETY: All fields are optional function pointers or integers.
    let mut ops: raw::address_space_operations = unsafe { core::mem::zeroed() };
    ops.direct_IO = Some(raw::noop_direct_IO);
    ops
});
