// SPDX-License-Identifier: GPL-2.0

//! Dentries.
//!
//! C header: [`include/linux/dcache.h`](srctree/include/linux/dcache.h)

use crate::{
    fs::FileSystem,
    inode::{Inode, InodeOf},
    raw,
    super_block::{SuperBlock, SuperBlockOf}, //
};
use core::{marker::PhantomData, ops::Deref, ptr::NonNull};
use kernel::{
    prelude::*,
    sync::{
        aref::{ARef, AlwaysRefCounted},
        atomic::{ordering, Atomic}, //
    },
    types::Opaque, //
};

/// One component of a path: not empty, without `/` and NUL.
///
/// Whether it is `.` or `..`, or too long for a filesystem, is checked by the
/// functions that take it.
#[derive(Clone, Copy)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// Checks that `name` is one component.
    pub fn new(name: &'a [u8]) -> Result<Self> {
        if name.is_empty() || name.len() > raw::NAME_MAX as usize {
            return Err(ENAMETOOLONG);
        }
        if name.iter().any(|byte| matches!(byte, b'/' | 0)) {
            return Err(EINVAL);
        }
        Ok(Self(name))
    }

    /// # Safety
    ///
    /// `name` points to a name that the dcache keeps for `'a`.
    pub(crate) unsafe fn from_qstr(name: &raw::qstr) -> Self {
        // SAFETY: The second field of the union is always initialised: length and hash.
        let len = unsafe { name.__bindgen_anon_1.__bindgen_anon_1.len } as usize;
        // SAFETY: By the safety requirements.
        Self(unsafe { core::slice::from_raw_parts(name.name, len) })
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn as_qstr(&self) -> raw::qstr {
        let mut qstr = raw::qstr {
            name: self.0.as_ptr(),
            ..Default::default()
        };
        // A name is never longer than `NAME_MAX`.
        qstr.__bindgen_anon_1.__bindgen_anon_1.len = self.0.len() as u32;
        qstr
    }
}

/// A dentry of any filesystem, see `struct dentry`.
///
/// # Invariants
///
/// Always reference counted, by `dget()` and `dput()`.
#[repr(transparent)]
pub struct Dentry(Opaque<raw::dentry>);

// SAFETY: A dentry may be used and released by any task.
unsafe impl Send for Dentry {}
// SAFETY: The methods of a shared dentry are thread-safe in C.
unsafe impl Sync for Dentry {}

// SAFETY: The type invariants guarantee that a dentry is reference counted.
unsafe impl AlwaysRefCounted for Dentry {
    fn inc_ref(&self) {
        // SAFETY: A shared reference means that the count is not zero.
        unsafe { raw::vfs_shim_dget(self.0.get()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference.
        unsafe { raw::dput(obj.cast().as_ptr()) };
    }
}

impl Dentry {
    /// # Safety
    ///
    /// `ptr` points to a dentry that is referenced for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut raw::dentry) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// Takes over a reference that C returned, or its error.
    ///
    /// # Safety
    ///
    /// `ptr` is a referenced dentry that becomes the caller's, or an error
    /// pointer, and not null.
    pub(crate) unsafe fn from_ret(ptr: *mut raw::dentry) -> Result<ARef<Self>> {
        let ptr = kernel::error::from_err_ptr(ptr)?;
        // SAFETY: By the safety requirements.
        Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(ptr.cast())) })
    }

    pub(crate) fn as_ptr(&self) -> *mut raw::dentry {
        self.0.get()
    }

    pub(crate) fn flags(&self) -> u32 {
        // SAFETY: The dentry is valid; this corresponds to `READ_ONCE`.
        unsafe { core::ptr::addr_of!((*self.as_ptr()).d_flags).read_volatile() }
    }

    /// The inode; `None` when the dentry is negative.
    ///
    /// A dentry in use does not lose its inode: `d_delete()` turns a dentry
    /// negative only when nobody but its caller has a reference.
    pub fn inode(&self) -> Option<&Inode> {
        // SAFETY: The dentry is valid; this corresponds to `READ_ONCE`, and the address dependency
        // orders the reads of the inode.
        let inode = unsafe { core::ptr::addr_of!((*self.as_ptr()).d_inode).read_volatile() };
        // SAFETY: A positive dentry keeps its inode while it is referenced, see above.
        (!inode.is_null()).then(|| unsafe { Inode::from_raw(inode) })
    }

    /// Whether there is no inode.
    pub fn is_negative(&self) -> bool {
        self.inode().is_none()
    }

    /// Whether the dentry is a directory.
    pub fn is_dir(&self) -> bool {
        self.inode().is_some_and(|inode| inode.mode().is_dir())
    }

    /// Whether the dentry is a directory that can be searched, see
    /// `d_can_lookup()`.
    pub fn can_lookup(&self) -> bool {
        self.flags() & raw::dentry_flags_DCACHE_ENTRY_TYPE
            == raw::dentry_flags_DCACHE_DIRECTORY_TYPE
    }

    /// Whether the dentry was made for an inode that was found by a file handle:
    /// it, or an ancestor, has no name.
    pub fn is_disconnected(&self) -> bool {
        self.flags() & raw::dentry_flags_DCACHE_DISCONNECTED != 0
    }

    /// Whether the dentry is not in the hash table: it was removed, or never
    /// found there.
    pub fn is_unhashed(&self) -> bool {
        // SAFETY: The dentry is valid.
        unsafe { raw::vfs_shim_d_unhashed(self.as_ptr()) }
    }

    /// The filesystem.
    pub fn super_block(&self) -> &SuperBlock {
        // SAFETY: A dentry keeps its super block, which never changes.
        unsafe { SuperBlock::from_raw((*self.as_ptr()).d_sb) }
    }

    /// The parent at this moment, with a reference: see `dget_parent()`.
    pub fn parent(&self) -> ARef<Dentry> {
        // SAFETY: The dentry is valid; a parent always exists.
        unsafe {
            ARef::from_raw(NonNull::new_unchecked(
                raw::dget_parent(self.as_ptr()).cast(),
            ))
        }
    }

    /// Whether `self` is `other` or below it at this moment, see `is_subdir()`.
    pub fn is_subdir_of(&self, other: &Dentry) -> bool {
        // SAFETY: Both are valid.
        unsafe { raw::is_subdir(self.as_ptr(), other.as_ptr()) }
    }

    /// Calls `f` with a stable copy of the name, see
    /// `take_dentry_name_snapshot()`.
    pub fn with_name<R>(&self, f: impl FnOnce(Name<'_>) -> R) -> R {
        struct Snapshot(raw::name_snapshot);
        impl Drop for Snapshot {
            fn drop(&mut self) {
                // SAFETY: The snapshot was taken.
                unsafe { raw::release_dentry_name_snapshot(&mut self.0) };
            }
        }
        let mut snapshot = Snapshot(raw::name_snapshot::default());
        // SAFETY: The dentry is valid. The snapshot may point into itself and is not moved from
        // here to its release.
        unsafe { raw::take_dentry_name_snapshot(&mut snapshot.0, self.as_ptr()) };
        // SAFETY: The name is valid until the snapshot is released.
        f(unsafe { Name::from_qstr(&snapshot.0.name) })
    }

    /// Takes the dentry out of the hash table: the next lookup of its name asks
    /// the filesystem. See `d_drop()`.
    pub fn unhash(&self) {
        // SAFETY: The dentry is valid.
        unsafe { raw::d_drop(self.as_ptr()) };
    }

    /// As [`Dentry::unhash`], but only for a negative dentry that nobody else
    /// uses: negative dentries of a layer under a cached overlay dentry are of
    /// no use.
    pub fn unhash_unused_negative(&self) {
        // SAFETY: The dentry is valid.
        unsafe { raw::vfs_shim_d_drop_negative(self.as_ptr()) };
    }

    /// Whether the inode has another name in the dcache, see `d_find_alias()`.
    ///
    /// The dentry has to be positive; a negative one has no other name.
    pub fn has_other_alias(&self) -> bool {
        // SAFETY: The dentry is valid and, being referenced, stays positive.
        !self.is_negative() && unsafe { raw::vfs_shim_d_other_alias(self.as_ptr()) }
    }

    /// Whether the filesystem asks for a check at each use of the dentry, as
    /// network filesystems do.
    pub fn needs_revalidation(&self) -> bool {
        self.flags() & REVALIDATE != 0
    }

    /// Whether the dentry is itself one of a stacked filesystem, which has
    /// `d_real`.
    pub fn is_stacked(&self) -> bool {
        self.flags() & raw::dentry_flags_DCACHE_OP_REAL != 0
    }

    /// Whether the dentry cannot be in a layer: an object of no known kind, an
    /// automount point, or a filesystem with its own idea of names.
    pub fn is_weird(&self) -> bool {
        let flags = self.flags();
        let known = matches!(
            flags & raw::dentry_flags_DCACHE_ENTRY_TYPE,
            raw::dentry_flags_DCACHE_DIRECTORY_TYPE
                | raw::dentry_flags_DCACHE_REGULAR_TYPE
                | raw::dentry_flags_DCACHE_SPECIAL_TYPE
                | raw::dentry_flags_DCACHE_SYMLINK_TYPE
        );
        let mut weird =
            raw::dentry_flags_DCACHE_NEED_AUTOMOUNT | raw::dentry_flags_DCACHE_MANAGE_TRANSIT;
        if !self.super_block().has_encoding() {
            // With an encoding all dentries have these, also where names are not case-folded.
            weird |= raw::dentry_flags_DCACHE_OP_HASH | raw::dentry_flags_DCACHE_OP_COMPARE;
        }
        !known || flags & weird != 0
    }

    /// Whether listing this directory tells all names that a lookup finds in it, and
    /// as they are: not in filesystems that ask somebody else about each name, nor
    /// where case makes no difference.
    pub fn tells_all_names(&self) -> bool {
        self.flags() & REVALIDATE == 0 && !self.is_casefolded()
    }
}

const REVALIDATE: u32 =
    raw::dentry_flags_DCACHE_OP_REVALIDATE | raw::dentry_flags_DCACHE_OP_WEAK_REVALIDATE;

impl PartialEq for Dentry {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

/// A dentry of the filesystem `F` that is being implemented.
///
/// # Invariants
///
/// The dentry belongs to a super block of `F`, so that its inode, if any, is an
/// [`InodeOf<F>`].
#[repr(transparent)]
pub struct DentryOf<F>(Dentry, PhantomData<F>);

// SAFETY: As for `Dentry`.
unsafe impl<F> Send for DentryOf<F> {}
// SAFETY: As for `Dentry`.
unsafe impl<F> Sync for DentryOf<F> {}

// SAFETY: Transparent over `Dentry`.
unsafe impl<F: FileSystem> AlwaysRefCounted for DentryOf<F> {
    fn inc_ref(&self) {
        self.0.inc_ref();
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference; the type is transparent.
        unsafe { Dentry::dec_ref(obj.cast()) };
    }
}

impl<F> Deref for DentryOf<F> {
    type Target = Dentry;

    fn deref(&self) -> &Dentry {
        &self.0
    }
}

impl<F: FileSystem> DentryOf<F> {
    /// # Safety
    ///
    /// `ptr` points to a dentry of `F` that is referenced for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut raw::dentry) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The inode with its private data; `None` when the dentry is negative.
    pub fn inode_of(&self) -> Option<&InodeOf<F>> {
        let inode = self.0.inode()?;
        // SAFETY: By the type invariants.
        Some(unsafe { InodeOf::from_raw(inode.as_ptr()) })
    }

    /// As [`Dentry::parent`].
    pub fn parent_of(&self) -> ARef<DentryOf<F>> {
        let parent = ARef::into_raw(self.0.parent());
        // SAFETY: The parent belongs to the same super block; the type is transparent.
        unsafe { ARef::from_raw(parent.cast()) }
    }

    /// The filesystem.
    pub fn super_block_of(&self) -> &SuperBlockOf<F> {
        // SAFETY: By the type invariants the super block is one of `F`.
        unsafe { SuperBlockOf::from_raw(self.0.super_block().as_ptr()) }
    }

    /// The private data of the super block.
    pub fn super_data(&self) -> &F::Super {
        self.super_block_of().data()
    }

    /// Any dentry of `inode`, if there is one: see `d_find_any_alias()`.
    pub fn any_of(inode: &InodeOf<F>) -> Option<ARef<Self>> {
        // SAFETY: The inode is valid; a reference or null is returned.
        let dentry = NonNull::new(unsafe { raw::d_find_any_alias(inode.as_ptr()) })?;
        // SAFETY: As above, and a dentry of an inode of `F` is one of `F`.
        Some(unsafe { ARef::from_raw(dentry.cast()) })
    }

    /// Any dentry of `inode`, or a new one without a name: see `d_obtain_alias()`.
    pub fn obtain(inode: ARef<InodeOf<F>>) -> Result<ARef<Self>> {
        // SAFETY: The reference to the inode moves, also on failure; one to a dentry, or an error,
        // is returned.
        let dentry = unsafe {
            Dentry::from_ret(raw::d_obtain_alias(ARef::into_raw(inode).cast().as_ptr()))
        }?;
        // SAFETY: A dentry of an inode of `F` is one of `F`; the type is transparent.
        Ok(unsafe { ARef::from_raw(ARef::into_raw(dentry).cast()) })
    }

    /// Looks `name` up in this directory of ours, without asking for permission;
    /// the result may be negative. See `lookup_noperm_unlocked()`.
    ///
    /// Takes the inode lock shared.
    pub fn lookup_unlocked(&self, name: Name<'_>) -> Result<ARef<Self>> {
        if !self.can_lookup() {
            return Err(ENOTDIR);
        }
        let mut name = name.as_qstr();
        // SAFETY: All are valid; a reference or an error is returned.
        let dentry =
            unsafe { Dentry::from_ret(raw::lookup_noperm_unlocked(&mut name, self.as_ptr())) }?;
        // SAFETY: The child belongs to the same super block; the type is transparent.
        Ok(unsafe { ARef::from_raw(ARef::into_raw(dentry).cast()) })
    }

    /// The filesystem's own flags, which are all unset in a new dentry.
    fn own_flags(&self) -> &Atomic<usize> {
        // SAFETY: The dentry is valid, and the VFS leaves the field to the filesystem after
        // zeroing it. Pointers and `usize` have one representation; all accesses are these.
        unsafe { Atomic::from_ptr(core::ptr::addr_of_mut!((*self.as_ptr()).d_fsdata).cast()) }
    }

    /// Whether `flag` was set.
    pub fn has_flag(&self, flag: DentryFlag) -> bool {
        self.own_flags().load(ordering::Acquire) & flag.0 != 0
    }

    /// Sets `flag`; who sees it sees what was done before.
    pub fn set_flag(&self, flag: DentryFlag) {
        let flags = self.own_flags();
        let mut old = flags.load(ordering::Relaxed);
        while let Err(current) = flags.cmpxchg(old, old | flag.0, ordering::Full) {
            old = current;
        }
    }

    /// Gives a new, negative dentry its inode: see `d_instantiate()`, and
    /// `d_add()` for one that was not cached, as where names are case-folded.
    ///
    /// For the creating operations, which hold the parent's lock.
    pub fn instantiate(&self, inode: ARef<InodeOf<F>>) {
        let inode = ARef::into_raw(inode).cast().as_ptr();
        // SAFETY: The dentry is valid and negative, and the reference to the inode moves into it.
        // Under the parent's lock nobody else makes a dentry of the name.
        unsafe {
            if self.is_unhashed() {
                raw::d_add(self.as_ptr(), inode);
            } else {
                raw::d_instantiate(self.as_ptr(), inode);
            }
        }
    }

    /// Sets whether the dentry is checked at each use: it is when one of the
    /// `layers` that it stands for asks for it.
    pub fn set_revalidation<'a>(&self, layers: impl Iterator<Item = &'a Dentry>) {
        let flags = layers.fold(0, |flags, layer| flags | layer.flags());
        if (flags ^ self.flags()) & REVALIDATE != 0 {
            // SAFETY: The dentry is valid.
            unsafe { raw::vfs_shim_d_update_flags(self.as_ptr(), REVALIDATE, flags) };
        }
    }
}

/// A flag that a filesystem gives its dentries.
#[derive(Clone, Copy)]
pub struct DentryFlag(usize);

impl DentryFlag {
    /// The flag in bit `number`, below 32.
    pub const fn new(number: u32) -> Self {
        assert!(number < 32);
        Self(1 << number)
    }
}

/// A dentry whose name and parent do not change: the caller of an operation on
/// a directory holds the lock that renames need.
pub struct Child<'a, F: FileSystem>(&'a DentryOf<F>);

impl<F: FileSystem> Clone for Child<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: FileSystem> Copy for Child<'_, F> {}

impl<'a, F: FileSystem> Child<'a, F> {
    /// # Safety
    ///
    /// `ptr` points to a dentry of `F` whose name and parent are stable for
    /// `'a`.
    pub(crate) unsafe fn from_raw(ptr: *mut raw::dentry) -> Self {
        // SAFETY: By the safety requirements.
        Self(unsafe { DentryOf::from_raw(ptr) })
    }

    /// The dentry.
    pub fn dentry(&self) -> &'a DentryOf<F> {
        self.0
    }

    /// The name.
    pub fn name(&self) -> Name<'a> {
        // SAFETY: By construction the name is stable for `'a`.
        unsafe { Name::from_qstr(&(*self.0.as_ptr()).__bindgen_anon_1.d_name) }
    }

    /// The parent.
    pub fn parent(&self) -> &'a DentryOf<F> {
        // SAFETY: By construction the parent is stable for `'a`; it belongs to the same super
        // block.
        unsafe { DentryOf::from_raw((*self.0.as_ptr()).d_parent) }
    }
}

impl<F: FileSystem> Deref for Child<'_, F> {
    type Target = DentryOf<F>;

    fn deref(&self) -> &DentryOf<F> {
        self.0
    }
}
