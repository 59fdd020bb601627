// SPDX-License-Identifier: GPL-2.0

//! Inodes.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)
//!
//! # Lifetime of an inode of a filesystem that is implemented here
//!
//! `alloc_inode` takes memory for the C object and the private data together
//! from the filesystem's cache and initialises both. When the last reference is
//! gone `destroy_inode` drops the private data, which may sleep. The memory is
//! freed by `free_inode` after an RCU grace period; until then RCU walks may
//! look at the C object and at [`FileSystem::Rcu`], and at nothing else.

use crate::{
    attr::{Device, FileType, Mode},
    fast_permission,
    fs::FileSystem,
    mount::{IdMap, Mount},
    raw,
    rcu::{Destroying, RcuData},
    super_block::{SuperBlock, SuperBlockOf}, //
};
use core::{
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    cred::Credential,
    prelude::*,
    sync::aref::AlwaysRefCounted,
    types::{NotThreadSafe, Opaque}, //
};

/// An inode of any filesystem, see `struct inode`.
///
/// # Invariants
///
/// Always reference counted, by `ihold()` and `iput()`.
#[repr(transparent)]
pub struct Inode(Opaque<raw::inode>);

// SAFETY: An inode may be used and released by any task.
unsafe impl Send for Inode {}
// SAFETY: The methods of a shared inode are thread-safe in C.
unsafe impl Sync for Inode {}

// SAFETY: The type invariants guarantee that an inode is reference counted.
unsafe impl AlwaysRefCounted for Inode {
    fn inc_ref(&self) {
        // SAFETY: A shared reference means that the count is not zero.
        unsafe { raw::ihold(self.0.get()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference.
        unsafe { raw::iput(obj.cast().as_ptr()) };
    }
}

impl Inode {
    /// # Safety
    ///
    /// `ptr` points to an inode that is referenced for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut raw::inode) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    pub(crate) fn as_ptr(&self) -> *mut raw::inode {
        self.0.get()
    }

    /// Type and permissions at this moment.
    pub fn mode(&self) -> Mode {
        // SAFETY: The inode is valid; this corresponds to `READ_ONCE`.
        Mode::from_bits(unsafe { core::ptr::addr_of!((*self.as_ptr()).i_mode).read_volatile() })
    }

    /// The inode number within its filesystem.
    pub fn ino(&self) -> u64 {
        // SAFETY: The inode is valid; this corresponds to `READ_ONCE`.
        unsafe { core::ptr::addr_of!((*self.as_ptr()).i_ino).read_volatile() }
    }

    /// The link count at this moment.
    pub fn nlink(&self) -> u32 {
        // SAFETY: The inode is valid; this corresponds to `READ_ONCE`.
        unsafe { core::ptr::addr_of!((*self.as_ptr()).__bindgen_anon_1.i_nlink).read_volatile() }
    }

    /// The device that a special file stands for.
    pub fn rdev(&self) -> Device {
        // SAFETY: The inode is valid, and the device is set before it is shared.
        Device::from_raw(unsafe { (*self.as_ptr()).i_rdev })
    }

    /// The size in bytes at this moment, see `i_size_read()`.
    pub fn size(&self) -> i64 {
        // SAFETY: The inode is valid.
        unsafe { raw::vfs_shim_i_size_read(self.as_ptr()) }
    }

    /// The filesystem.
    pub fn super_block(&self) -> &SuperBlock {
        // SAFETY: An inode keeps its super block, which never changes.
        unsafe { SuperBlock::from_raw((*self.as_ptr()).i_sb) }
    }

    /// The flags at this moment, `S_*`.
    pub fn flags(&self) -> InodeFlags {
        // SAFETY: The inode is valid; this corresponds to `READ_ONCE`.
        InodeFlags(unsafe { core::ptr::addr_of!((*self.as_ptr()).i_flags).read_volatile() })
    }

    /// Replaces the flags in `mask`, see `inode_set_flags()`.
    pub fn set_flags(&self, flags: InodeFlags, mask: InodeFlags) {
        // SAFETY: The inode is valid; the update is atomic.
        unsafe { raw::inode_set_flags(self.as_ptr(), flags.0 & mask.0, mask.0) };
    }

    /// Whether POSIX ACLs apply to the inode, see `IS_POSIXACL()`.
    pub fn has_posix_acl(&self) -> bool {
        // SAFETY: The inode is valid.
        unsafe { fast_permission::is_posixacl(self.as_ptr()) }
    }

    /// Locks the inode for modification, see `inode_lock()`.
    pub fn lock(&self) -> InodeLock<'_> {
        // SAFETY: The inode is valid.
        unsafe { raw::vfs_shim_inode_lock(self.as_ptr()) };
        InodeLock {
            inode: self,
            _task: NotThreadSafe,
        }
    }

    /// Locks the inode for modification if nobody has, see `inode_trylock()`.
    pub fn try_lock(&self) -> Option<InodeLock<'_>> {
        // SAFETY: The inode is valid.
        unsafe { raw::vfs_shim_inode_trylock(self.as_ptr()) }.then(|| InodeLock {
            inode: self,
            _task: NotThreadSafe,
        })
    }

    /// Locks the inode shared with others, see `inode_lock_shared()`.
    pub fn lock_shared(&self) -> InodeSharedLock<'_> {
        // SAFETY: The inode is valid.
        unsafe { raw::vfs_shim_inode_lock_shared(self.as_ptr()) };
        InodeSharedLock {
            inode: self,
            _task: NotThreadSafe,
        }
    }

    /// Locks the inode shared with others if nobody modifies it, see
    /// `inode_trylock_shared()`.
    pub fn try_lock_shared(&self) -> Option<InodeSharedLock<'_>> {
        // SAFETY: The inode is valid.
        unsafe { raw::vfs_shim_inode_trylock_shared(self.as_ptr()) }.then(|| InodeSharedLock {
            inode: self,
            _task: NotThreadSafe,
        })
    }

    /// Whether the current task owns the inode or has the right to act as its
    /// owner, see `inode_owner_or_capable()`.
    #[inline]
    pub fn owner_or_capable(&self, idmap: IdMap<'_>) -> bool {
        // SAFETY: Both are valid.
        unsafe { raw::inode_owner_or_capable(idmap.as_ptr(), self.as_ptr()) }
    }

    /// Whether setting an ACL by the current task drops the set-group-id bit.
    pub fn acl_drops_sgid(&self, idmap: IdMap<'_>) -> bool {
        // SAFETY: Both are valid.
        u32::from(self.mode().bits()) & raw::S_ISGID != 0
            && !unsafe { raw::vfs_shim_in_group_or_capable(idmap.as_ptr(), self.as_ptr()) }
    }

    /// Asks the filesystem and the security modules whether the current task
    /// may access the inode as `mask` says, see `inode_permission()`.
    pub fn permission(&self, idmap: IdMap<'_>, mask: Access) -> Result {
        // SAFETY: Both are valid.
        kernel::error::to_result(unsafe {
            raw::inode_permission(idmap.as_ptr(), self.as_ptr(), mask.0)
        })
    }

    /// As [`Inode::permission`] through `mount`, of a task that acts as `cred`.
    #[inline]
    pub fn permission_of(&self, cred: &Credential, mount: &Mount, mask: Access) -> Result {
        // SAFETY: The inode is valid.
        if unsafe { fast_permission::allows_everybody(self.as_ptr(), mask) } {
            return Ok(());
        }
        crate::cred::with_creds(cred, |_| self.permission(mount.idmap(), mask))
    }

    /// Checks the inode's own mode and ACL, see `generic_permission()`.
    #[inline]
    pub fn generic_permission(&self, idmap: IdMap<'_>, mask: Access) -> Result {
        // SAFETY: Both are valid.
        kernel::error::to_result(unsafe {
            raw::generic_permission(idmap.as_ptr(), self.as_ptr(), mask.0)
        })
    }

    /// Whether owner and group are those that the current task would give to a new object,
    /// through a mount with `idmap`.
    pub fn is_as_own(&self, idmap: IdMap<'_>) -> bool {
        // SAFETY: Both are valid.
        unsafe { raw::vfs_shim_is_as_own(idmap.as_ptr(), self.as_ptr()) }
    }

    /// Takes part in the count of writers, `ETXTBSY` while the file is being
    /// executed: see `get_write_access()`.
    pub fn write_access(&self) -> Result<InodeWriteAccess<'_>> {
        // SAFETY: The inode is valid.
        kernel::error::to_result(unsafe { raw::vfs_shim_get_write_access(self.as_ptr()) })?;
        Ok(InodeWriteAccess(self))
    }

    /// Whether somebody has the file open for writing, or mapped so: see
    /// `inode_is_open_for_write()`.
    pub fn is_open_for_write(&self) -> bool {
        // SAFETY: The inode is valid.
        unsafe { raw::vfs_shim_is_open_for_write(self.as_ptr()) }
    }

    /// Whether data or attributes have still to be written, or just are.
    pub fn is_dirty(&self) -> bool {
        // SAFETY: The inode is valid.
        unsafe { raw::vfs_shim_inode_is_dirty(self.as_ptr()) }
    }

    /// Has all dirty data written, see `filemap_fdatawrite()`. Errors are noted in the
    /// inode.
    pub fn write_data(&self) {
        // SAFETY: The inode is valid, and so is its mapping.
        unsafe { raw::filemap_fdatawrite((*self.as_ptr()).i_mapping) };
    }

    /// Waits for data that is being written, see `filemap_fdatawait_keep_errors()`. Errors
    /// stay noted in the inode.
    pub fn wait_for_writeback(&self) {
        // SAFETY: The inode is valid, and so is its mapping.
        unsafe { raw::filemap_fdatawait_keep_errors((*self.as_ptr()).i_mapping) };
    }

    /// Whether a directory is used by a stacked filesystem as upper or work
    /// directory: see [`Inode::try_mark_in_use`].
    pub fn is_in_use(&self) -> bool {
        // SAFETY: The inode is valid.
        unsafe {
            raw::vfs_shim_inode_has_flag(self.as_ptr(), raw::inode_state_flags_enum_I_OVL_INUSE)
        }
    }

    /// Marks a directory as used by a stacked filesystem as upper or work
    /// directory; false when another has done so. See `I_OVL_INUSE`.
    pub fn try_mark_in_use(&self) -> bool {
        // SAFETY: The inode is valid.
        unsafe {
            raw::vfs_shim_inode_flag_trylock(self.as_ptr(), raw::inode_state_flags_enum_I_OVL_INUSE)
        }
    }

    /// Takes back [`Inode::try_mark_in_use`].
    pub fn clear_in_use(&self) {
        // SAFETY: The inode is valid.
        unsafe {
            raw::vfs_shim_inode_flag_unlock(self.as_ptr(), raw::inode_state_flags_enum_I_OVL_INUSE)
        };
    }
}

/// An inode is counted as being written to while this lives.
pub struct InodeWriteAccess<'a>(&'a Inode);

impl Drop for InodeWriteAccess<'_> {
    fn drop(&mut self) {
        // SAFETY: Pairs with `get_write_access` in `write_access`.
        unsafe { raw::vfs_shim_put_write_access(self.0.as_ptr()) };
    }
}

/// An inode is locked while this lives.
pub struct InodeLock<'a> {
    inode: &'a Inode,
    _task: NotThreadSafe,
}

impl Drop for InodeLock<'_> {
    fn drop(&mut self) {
        // SAFETY: Pairs with `inode_lock` in `lock`.
        unsafe { raw::vfs_shim_inode_unlock(self.inode.as_ptr()) };
    }
}

/// An inode is locked shared while this lives.
pub struct InodeSharedLock<'a> {
    inode: &'a Inode,
    _task: NotThreadSafe,
}

impl Drop for InodeSharedLock<'_> {
    fn drop(&mut self) {
        // SAFETY: Pairs with the lock in `lock_shared` or `try_lock_shared`.
        unsafe { raw::vfs_shim_inode_unlock_shared(self.inode.as_ptr()) };
    }
}

/// A kind of access, `MAY_*`.
#[derive(Clone, Copy)]
pub struct Access(c_int);

impl Access {
    /// Reading.
    pub const READ: Self = Self(raw::MAY_READ as c_int);
    /// Adding names to a directory.
    pub const ADD_NAMES: Self = Self((raw::MAY_WRITE | raw::MAY_EXEC) as c_int);
    /// Opening, beside what the open flags say.
    pub const OPEN: Self = Self(raw::MAY_OPEN as c_int);

    pub(crate) fn from_raw(mask: c_int) -> Self {
        Self(mask)
    }

    pub(crate) fn as_raw(self) -> c_int {
        self.0
    }

    /// What opening with `flags` needs, see `ACC_MODE()` and `MAY_OPEN`.
    pub fn for_open(flags: u32) -> Self {
        let mut mask = raw::MAY_OPEN
            | match flags & raw::O_ACCMODE {
                raw::O_WRONLY => raw::MAY_WRITE,
                raw::O_RDWR => raw::MAY_READ | raw::MAY_WRITE,
                _ => raw::MAY_READ,
            };
        if flags & raw::O_APPEND != 0 {
            mask |= raw::MAY_APPEND;
        }
        Self(mask as c_int)
    }

    /// Whether it includes writing.
    pub fn writes(self) -> bool {
        self.0 & raw::MAY_WRITE as c_int != 0
    }

    /// The access to a file that will be copied before it is written: reading
    /// instead of writing.
    pub fn as_copy_source(self) -> Self {
        Self(self.0 & !((raw::MAY_WRITE | raw::MAY_APPEND) as c_int) | raw::MAY_READ as c_int)
    }
}

/// Flags of an inode, `S_*`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InodeFlags(u32);

impl InodeFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Times are not updated by the VFS.
    pub const NOCMTIME: Self = Self(raw::S_NOCMTIME);
    /// The directory was removed.
    pub const DEAD: Self = Self(raw::S_DEAD);
    /// What file attributes show: synchronous, no access time, append-only,
    /// immutable.
    pub const ATTRIBUTES: Self =
        Self(raw::S_SYNC | raw::S_NOATIME | raw::S_APPEND | raw::S_IMMUTABLE);
    /// Writing takes no set-id bits and no capabilities away, see `IS_NOSEC()`.
    pub const NOSEC: Self = Self(raw::S_NOSEC);
    /// Names in the directory are case-folded.
    pub const CASEFOLD: Self = Self(raw::S_CASEFOLD);
    /// What keeps a file from being changed.
    pub const PROTECTED: Self = Self(raw::S_APPEND | raw::S_IMMUTABLE);
    /// Append-only.
    pub const APPEND: Self = Self(raw::S_APPEND);
    /// Immutable.
    pub const IMMUTABLE: Self = Self(raw::S_IMMUTABLE);

    /// Those that are in both.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are in either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether those in `other` are among them.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether names in the directory are case-folded.
    pub const fn is_casefolded(self) -> bool {
        self.0 & raw::S_CASEFOLD != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The memory of an inode of `F`: what its cache hands out.
#[repr(C)]
pub(crate) struct InodeBox<F: FileSystem> {
    inode: Opaque<raw::inode>,
    rcu: F::Rcu,
    data: ManuallyDrop<F::Inode>,
}

impl<F: FileSystem> InodeBox<F> {
    /// What the cache does once with each new piece of memory.
    ///
    /// # Safety
    ///
    /// `ptr` points to new memory for an `InodeBox`.
    pub(crate) unsafe extern "C" fn init_once(ptr: *mut c_void) {
        // SAFETY: Called with memory for an `InodeBox`, whose first field is the inode.
        unsafe { raw::inode_init_once(ptr.cast()) };
    }

    /// # Safety
    ///
    /// `super_operations.alloc_inode`: `sb` is a super block of `F`.
    pub(crate) unsafe extern "C" fn alloc(sb: *mut raw::super_block) -> *mut raw::inode {
        // SAFETY: `sb` was created by the filesystem type that `F`'s registration holds.
        let cache = unsafe { crate::fs::Registration::<F>::inode_cache((*sb).s_type) };
        // SAFETY: Both are valid.
        let this = unsafe { raw::vfs_shim_alloc_inode(sb, cache) }.cast::<Self>();
        if this.is_null() {
            return core::ptr::null_mut();
        }
        // SAFETY: The depth is set before inodes that can nest are made.
        let depth = unsafe { (*sb).s_stack_depth };
        // SAFETY: The memory is valid for writes, and stays in place until it is freed: private
        // data in it may be pinned. No initialiser fails.
        unsafe {
            core::ptr::addr_of_mut!((*this).rcu).write(F::Rcu::default());
            let data = core::ptr::addr_of_mut!((*this).data).cast::<F::Inode>();
            let Ok(()) = F::inode_data(depth).__init(data);
        }
        this.cast()
    }

    /// The phase of teardown that may sleep.
    ///
    /// # Safety
    ///
    /// `super_operations.destroy_inode`: nobody has a reference any more.
    pub(crate) unsafe extern "C" fn destroy(inode: *mut raw::inode) {
        let this = inode.cast::<Self>();
        // SAFETY: The inode was made by `alloc`. RCU walks that still see it use `rcu` only, which
        // stays readable; nobody uses `data` any more, and it is dropped once.
        unsafe {
            (*this).rcu.release(&Destroying(()));
            ManuallyDrop::drop(&mut (*this).data);
        }
    }

    /// The phase of teardown after the RCU grace period.
    ///
    /// # Safety
    ///
    /// `super_operations.free_inode`: called once, last.
    pub(crate) unsafe extern "C" fn free(inode: *mut raw::inode) {
        // The super block may be gone, and with it the way to the cache; the memory knows its own.
        // SAFETY: The memory came from a cache that lives until unloading the module has waited for
        // RCU callbacks, and this is one. `kfree` takes what any cache handed out.
        unsafe { raw::kfree(inode.cast()) };
    }

    /// Where the part is that RCU walks may see.
    ///
    /// # Safety
    ///
    /// `inode` is the inode of an `InodeBox<F>` whose memory is not freed.
    pub(crate) unsafe fn rcu_ptr(inode: *mut raw::inode) -> *const F::Rcu {
        // SAFETY: By the safety requirements; only an address is computed.
        unsafe { core::ptr::addr_of!((*inode.cast::<Self>()).rcu) }
    }
}

/// An inode of the filesystem `F` that is being implemented, with its private
/// data.
///
/// # Invariants
///
/// The inode was allocated by `F`'s `alloc_inode`, and is reference counted.
#[repr(transparent)]
pub struct InodeOf<F: FileSystem>(InodeBox<F>);

// SAFETY: As for `Inode`; the private data is `Send` and `Sync`.
unsafe impl<F: FileSystem> Send for InodeOf<F> {}
// SAFETY: As above.
unsafe impl<F: FileSystem> Sync for InodeOf<F> {}

// SAFETY: The first field is the C object, which is reference counted.
unsafe impl<F: FileSystem> AlwaysRefCounted for InodeOf<F> {
    fn inc_ref(&self) {
        Inode::inc_ref(self);
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference; the C object comes first.
        unsafe { Inode::dec_ref(obj.cast()) };
    }
}

impl<F: FileSystem> Deref for InodeOf<F> {
    type Target = Inode;

    fn deref(&self) -> &Inode {
        // SAFETY: The inode is valid as long as `self`.
        unsafe { Inode::from_raw(self.0.inode.get()) }
    }
}

impl<F: FileSystem> InodeOf<F> {
    /// # Safety
    ///
    /// `ptr` points to an inode of `F` that is referenced for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut raw::inode) -> &'a Self {
        // SAFETY: By the safety requirements it is the first field of an `InodeBox<F>`.
        unsafe { &*ptr.cast() }
    }

    /// The private data.
    pub fn data(&self) -> &F::Inode {
        &self.0.data
    }

    /// The part of the private data that RCU walks may see.
    pub fn rcu_data(&self) -> &F::Rcu {
        &self.0.rcu
    }

    /// The filesystem.
    pub fn super_block_of(&self) -> &SuperBlockOf<F> {
        // SAFETY: By the type invariants the super block is one of `F`.
        unsafe { SuperBlockOf::from_raw(self.super_block().as_ptr()) }
    }

    /// The private data of the super block.
    pub fn super_data(&self) -> &F::Super {
        self.super_block_of().data()
    }

    /// Takes over owner, mode, times and size of the inode that this one stands
    /// for, seen through a mount with `idmap`.
    pub fn copy_attr_from(&self, real: &Inode, idmap: IdMap<'_>) {
        // SAFETY: All are valid; the fields are written under `i_lock`.
        unsafe { raw::vfs_shim_copy_attr(self.as_ptr(), real.as_ptr(), idmap.as_ptr()) };
    }

    /// Takes over what writing to the inode that this one stands for has changed: set-id
    /// bits, size and times.
    pub fn copy_written_from(&self, real: &Inode) {
        // SAFETY: Both are valid; the fields are written under `i_lock`.
        unsafe { raw::vfs_shim_copy_written(self.as_ptr(), real.as_ptr()) };
    }

    /// Takes over the times of the inode that this one stands for.
    pub fn copy_times_from(&self, real: &Inode) {
        // SAFETY: Both are valid.
        unsafe { raw::vfs_shim_copy_times(self.as_ptr(), real.as_ptr()) };
    }

    /// Puts an inode that is not in the inode cache there, as the one that stands
    /// for `real`, which nobody looks for yet.
    pub fn hash_by(&self, real: &Inode) {
        // SAFETY: Both are valid, and the key of an inode outside of the cache is not used.
        unsafe {
            if raw::vfs_shim_inode_unhashed(self.as_ptr()) {
                (*self.as_ptr()).i_private = real.as_ptr().cast();
                raw::__insert_inode_hash(self.as_ptr(), real.as_ptr() as u64);
            }
        }
    }

    /// Whether this inode is the one that stands for `real`, by which it is found in the inode
    /// cache, or was.
    pub fn is_found_by(&self, real: &Inode) -> bool {
        // SAFETY: The inode is valid; this corresponds to `READ_ONCE`.
        let key = unsafe { core::ptr::addr_of!((*self.as_ptr()).i_private).read_volatile() };
        key == real.as_ptr().cast()
    }

    /// Changes the inode number of an inode in use: what was a link of another
    /// object became one of its own.
    pub fn change_ino(&self, ino: u64) {
        // SAFETY: The inode is valid; this corresponds to `WRITE_ONCE`.
        unsafe { core::ptr::addr_of_mut!((*self.as_ptr()).i_ino).write_volatile(ino) };
    }

    /// Adds a link to the count, see `inc_nlink()`; the caller holds the inode
    /// lock.
    pub fn inc_nlink(&self) {
        // SAFETY: The inode is valid.
        unsafe { raw::inc_nlink(self.as_ptr()) };
    }

    /// Takes a link from the count if there is one, see `drop_nlink()`; the
    /// caller holds the inode lock.
    pub fn drop_nlink(&self) {
        if self.nlink() > 0 {
            // SAFETY: The inode is valid and has a link.
            unsafe { raw::drop_nlink(self.as_ptr()) };
        }
    }

    /// Sets the link count, see `set_nlink()`; the caller holds what keeps others
    /// from changing it.
    pub fn set_nlink(&self, nlink: u32) {
        // SAFETY: The inode is valid.
        unsafe { raw::set_nlink(self.as_ptr(), nlink) };
    }

    /// How often the directory has changed, by [`InodeOf::count_change`]. Who sees a count sees
    /// the changes that were counted.
    pub fn changes(&self) -> u64 {
        // SAFETY: The inode is valid.
        unsafe { raw::vfs_shim_inode_changes(self.as_ptr()) }
    }

    /// Counts a change, in `i_version`, which nobody else uses without `SB_I_VERSION`.
    pub fn count_change(&self) {
        // SAFETY: The inode is valid.
        unsafe { raw::vfs_shim_inode_count_change(self.as_ptr()) };
    }

    /// No link is left, see `clear_nlink()`.
    pub fn clear_nlink(&self) {
        // SAFETY: The inode is valid.
        unsafe { raw::clear_nlink(self.as_ptr()) };
    }
}

impl FileType {
    /// The type as directory entries have it, `DT_*`.
    pub fn as_dirent(self) -> u8 {
        (match self {
            FileType::Regular => raw::DT_REG,
            FileType::Directory => raw::DT_DIR,
            FileType::Symlink => raw::DT_LNK,
            FileType::CharDevice => raw::DT_CHR,
            FileType::BlockDevice => raw::DT_BLK,
            FileType::Fifo => raw::DT_FIFO,
            FileType::Socket => raw::DT_SOCK,
        }) as u8
    }
}
