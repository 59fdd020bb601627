// SPDX-License-Identifier: GPL-2.0

//! Mounts, and paths: a dentry in a mount.
//!
//! C headers: [`include/linux/mount.h`](srctree/include/linux/mount.h),
//! [`include/linux/path.h`](srctree/include/linux/path.h)

use crate::{
    dentry::Dentry,
    inode::Inode,
    raw,
    super_block::SuperBlock, //
};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    alloc::AllocError,
    error::{from_err_ptr, to_result},
    fs::LocalFile,
    prelude::*,
    str::CString,
    sync::{
        aref::{ARef, AlwaysRefCounted},
        atomic::{ordering, Atomic}, //
    },
    types::{NotThreadSafe, Opaque}, //
};

/// A mapping between the ids of a mount and those of its filesystem, see
/// `struct mnt_idmap`. It belongs to a mount and lives as long.
#[derive(Clone, Copy)]
pub struct IdMap<'a> {
    ptr: NonNull<raw::mnt_idmap>,
    _mount: PhantomData<&'a Mount>,
}

impl IdMap<'_> {
    /// # Safety
    ///
    /// `ptr` is a valid idmap for the lifetime of the result.
    pub(crate) unsafe fn from_raw(ptr: *mut raw::mnt_idmap) -> Self {
        Self {
            // SAFETY: By the safety requirements, `ptr` is not null.
            ptr: unsafe { NonNull::new_unchecked(ptr) },
            _mount: PhantomData,
        }
    }

    pub(crate) fn as_ptr(&self) -> *mut raw::mnt_idmap {
        self.ptr.as_ptr()
    }

    /// The mapping that changes nothing.
    pub fn nop() -> IdMap<'static> {
        // SAFETY: `nop_mnt_idmap` is a static object; only its address is taken.
        unsafe { IdMap::from_raw(core::ptr::addr_of_mut!(raw::nop_mnt_idmap)) }
    }
}

/// A mount, see `struct vfsmount`.
///
/// # Invariants
///
/// Always reference counted, by `mntget()` and `mntput()`.
#[repr(transparent)]
pub struct Mount(Opaque<raw::vfsmount>);

// SAFETY: A mount may be used and released by any task.
unsafe impl Send for Mount {}
// SAFETY: The methods of a shared mount are thread-safe in C.
unsafe impl Sync for Mount {}

// SAFETY: The type invariants guarantee that a mount is reference counted.
unsafe impl AlwaysRefCounted for Mount {
    fn inc_ref(&self) {
        // SAFETY: A shared reference means that the count is not zero.
        unsafe { raw::mntget(self.0.get()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference.
        unsafe { raw::mntput(obj.cast().as_ptr()) };
    }
}

impl Mount {
    /// # Safety
    ///
    /// `ptr` points to a mount that is referenced for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut raw::vfsmount) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    pub(crate) fn as_ptr(&self) -> *mut raw::vfsmount {
        self.0.get()
    }

    /// The mount's idmap, see `mnt_idmap()`.
    pub fn idmap(&self) -> IdMap<'_> {
        // SAFETY: A mount always has an idmap, which lives as long as the mount: it is set before
        // the mount is used, and never replaced after. This corresponds to `READ_ONCE`.
        unsafe { IdMap::from_raw(core::ptr::addr_of!((*self.as_ptr()).mnt_idmap).read_volatile()) }
    }

    /// Whether the mount's idmap changes anything.
    pub fn is_idmapped(&self) -> bool {
        // SAFETY: The mount is valid.
        unsafe { raw::vfs_shim_is_idmapped_mnt(self.as_ptr()) }
    }

    /// Whether the mount, or its filesystem, is read-only now.
    pub fn is_readonly(&self) -> bool {
        // SAFETY: The mount is valid.
        unsafe { raw::__mnt_is_readonly(self.as_ptr()) }
    }

    /// The filesystem that is mounted.
    pub fn super_block(&self) -> &SuperBlock {
        // SAFETY: A mount keeps its super block, which never changes.
        unsafe { SuperBlock::from_raw((*self.as_ptr()).mnt_sb) }
    }

    /// The dentry at the root of the mount.
    pub fn root(&self) -> &Dentry {
        // SAFETY: A mount keeps its root, which never changes.
        unsafe { Dentry::from_raw((*self.as_ptr()).mnt_root) }
    }

    /// Access to write to the mount: waits while its filesystem is frozen,
    /// `EROFS` when it is read-only. See `mnt_want_write()`.
    pub fn want_write(&self) -> Result<WriteAccess<'_>> {
        // SAFETY: The mount is valid.
        to_result(unsafe { raw::mnt_want_write(self.as_ptr()) })?;
        Ok(WriteAccess {
            mount: self,
            _task: NotThreadSafe,
        })
    }
}

/// Nobody makes the mount read-only, or freezes its filesystem, while this
/// lives.
///
/// Lock order: `s_writers` of the mount's super block ranks above the inode
/// locks of that filesystem and below those of filesystems stacked upon it.
pub struct WriteAccess<'a> {
    mount: &'a Mount,
    _task: NotThreadSafe,
}

impl Drop for WriteAccess<'_> {
    fn drop(&mut self) {
        // SAFETY: Pairs with `mnt_want_write` in `want_write`.
        unsafe { raw::mnt_drop_write(self.mount.as_ptr()) };
    }
}

/// A mount that a filesystem keeps for itself, in no namespace, see
/// `clone_private_mount()`.
///
/// If it was not [retired](retire), dropping it waits for an RCU grace period.
pub struct PrivateMount {
    mount: ARef<Mount>,
    retired: Atomic<bool>,
}

impl PrivateMount {
    /// Clones the mount of `path`, with the path's dentry as root.
    ///
    /// Needs `CAP_SYS_ADMIN` over the namespace of the mount; `EINVAL` if that is not the
    /// current task's, the mount is unbindable, or mounts below the dentry are locked.
    pub fn clone_from(path: PathRef<'_>) -> Result<Self> {
        let raw_path = path.as_raw();
        // SAFETY: The path is valid for the call.
        let mount = from_err_ptr(unsafe { raw::clone_private_mount(&raw_path) })?;
        let mount = NonNull::new(mount).ok_or(ENOMEM)?;
        Ok(Self {
            // SAFETY: `clone_private_mount` returns a reference that moves into the `ARef`.
            mount: unsafe { ARef::from_raw(mount.cast()) },
            retired: Atomic::new(false),
        })
    }

    /// Sets and clears `MNT_*` flags.
    ///
    /// Needs the mount exclusively: flags of a mount in use are changed under
    /// `mount_lock`.
    pub fn update_flags(&mut self, set: MountFlags, clear: MountFlags) {
        let mount = self.mount.as_ptr();
        // SAFETY: The mount is in no namespace and `self` is borrowed exclusively, so that nobody
        // else looks at it yet.
        unsafe { (*mount).mnt_flags = ((*mount).mnt_flags & !clear.0) | set.0 };
    }
}

impl core::ops::Deref for PrivateMount {
    type Target = Mount;

    fn deref(&self) -> &Mount {
        &self.mount
    }
}

impl Drop for PrivateMount {
    fn drop(&mut self) {
        if !self.retired.load(ordering::Relaxed) {
            retire(core::iter::once(&*self));
        }
    }
}

/// Waits until no RCU walk can be in any of `mounts`, nor in anything else that no walk
/// could find any more when this was called; those of them that were waited for before do
/// not count. They can still be used.
///
/// Fewer than 32 mounts wait for one grace period together. See `kern_unmount_array()`.
pub fn retire<'a>(mounts: impl Iterator<Item = &'a PrivateMount>) {
    let mut mounts = mounts.filter(|mount| !mount.retired.xchg(true, ordering::Relaxed));
    let mut raw_mounts = [core::ptr::null_mut(); 32];
    loop {
        let mut len: c_uint = 0;
        for (place, mount) in Iterator::zip(raw_mounts.iter_mut(), mounts.by_ref()) {
            // The array gives a reference up; that of `mount` goes with it.
            *place = ARef::into_raw(mount.mount.clone()).cast().as_ptr();
            len += 1;
        }
        // SAFETY: The first `len` are referenced mounts in no namespace that nobody has given up
        // in this way before.
        unsafe { raw::kern_unmount_array(raw_mounts.as_mut_ptr(), len) };
        if (len as usize) < raw_mounts.len() {
            break;
        }
    }
}

/// Private mounts that are released together, so that they wait for one grace period and
/// not for one each.
#[derive(Default)]
pub struct PrivateMounts(KVVec<PrivateMount>);

impl PrivateMounts {
    /// Adds a mount.
    pub fn push(&mut self, mount: PrivateMount) -> Result<(), AllocError> {
        self.0.push(mount, GFP_KERNEL_ACCOUNT)
    }
}

impl core::ops::Deref for PrivateMounts {
    type Target = [PrivateMount];

    fn deref(&self) -> &[PrivateMount] {
        &self.0
    }
}

impl Drop for PrivateMounts {
    fn drop(&mut self) {
        let is_retired = |mount: &PrivateMount| mount.retired.load(ordering::Relaxed);
        if !self.iter().all(is_retired) {
            retire(self.iter());
        }
    }
}

/// Flags of a mount, `MNT_*`.
#[derive(Clone, Copy)]
pub struct MountFlags(c_int);

impl MountFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Nothing may be written through the mount.
    pub const READONLY: Self = Self(raw::mount_flags_MNT_READONLY as c_int);
    /// Access times are not updated.
    pub const NOATIME: Self = Self(raw::mount_flags_MNT_NOATIME as c_int);
    /// All flags that say when access times are updated.
    pub const ATIME_POLICY: Self = Self(
        (raw::mount_flags_MNT_NOATIME
            | raw::mount_flags_MNT_NODIRATIME
            | raw::mount_flags_MNT_RELATIME) as c_int,
    );

    /// Both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A dentry in a mount, borrowed: see `struct path`.
///
/// # Invariants
///
/// The dentry belongs to the filesystem of the mount, and is positive: being
/// referenced, it stays so.
#[derive(Clone, Copy)]
pub struct PathRef<'a> {
    mount: &'a Mount,
    dentry: &'a Dentry,
}

impl<'a> PathRef<'a> {
    /// A path of `dentry` in `mount`: `ENOENT` if it is negative, `EXDEV` if it
    /// belongs to another filesystem.
    pub fn new(mount: &'a Mount, dentry: &'a Dentry) -> Result<Self> {
        if dentry.super_block() != mount.super_block() {
            return Err(EXDEV);
        }
        dentry.inode().ok_or(ENOENT)?;
        // INVARIANT: Checked above.
        Ok(Self { mount, dentry })
    }

    /// The mount.
    pub fn mount(&self) -> &'a Mount {
        self.mount
    }

    /// The dentry.
    pub fn dentry(&self) -> &'a Dentry {
        self.dentry
    }

    /// The dentry, if it is a directory that can be searched: `ENOTDIR`.
    pub(crate) fn dir(&self) -> Result<&'a Dentry> {
        if self.dentry.can_lookup() {
            Ok(self.dentry)
        } else {
            Err(ENOTDIR)
        }
    }

    pub(crate) fn as_raw(&self) -> raw::path {
        raw::path {
            mnt: self.mount.as_ptr(),
            dentry: self.dentry.as_ptr(),
        }
    }

    /// Updates the access time if the mount's policy asks for it: see
    /// `touch_atime()`.
    pub fn touch_atime(&self) {
        let path = self.as_raw();
        // SAFETY: The path is valid and positive: layers' paths are.
        unsafe { raw::touch_atime(&path) };
    }

    /// The path as text, as `d_path()` gives it to `/proc`.
    pub fn to_text(&self) -> Result<CString> {
        let mut buffer = KVec::<u8>::new();
        buffer.resize(raw::PATH_MAX as usize, 0, GFP_KERNEL)?;
        let path = self.as_raw();
        // SAFETY: The buffer is valid for writes of its length.
        let text = from_err_ptr(unsafe {
            raw::d_path(&path, buffer.as_mut_ptr().cast(), buffer.len() as c_int)
        })?;
        // SAFETY: `d_path` returns a NUL-terminated string within the buffer.
        let text = unsafe { CStr::from_char_ptr(text) };
        Ok(text.try_into()?)
    }

    /// The inode, or `ENOENT` when the dentry is negative.
    pub fn inode(&self) -> Result<&'a Inode> {
        self.dentry.inode().ok_or(ENOENT)
    }
}

impl From<PathRef<'_>> for Path {
    fn from(path: PathRef<'_>) -> Self {
        Self {
            dentry: path.dentry.into(),
            mount: path.mount.into(),
        }
    }
}

/// A dentry in a mount, with references to both: see `struct path`.
pub struct Path {
    // Dropped before the mount, whose filesystem it belongs to.
    dentry: ARef<Dentry>,
    mount: ARef<Mount>,
}

impl Path {
    /// Takes over the references of a path that C filled in.
    ///
    /// # Safety
    ///
    /// `path` is valid and its references belong to the caller.
    unsafe fn from_raw(path: raw::path) -> Self {
        // SAFETY: By the safety requirements both are valid and referenced.
        unsafe {
            Self {
                mount: ARef::from_raw(NonNull::new_unchecked(path.mnt.cast())),
                dentry: ARef::from_raw(NonNull::new_unchecked(path.dentry.cast())),
            }
        }
    }

    /// Looks up `name` as the current task would, following symbolic links: see
    /// `kern_path()`.
    pub fn lookup(name: &CStr) -> Result<Self> {
        let mut path = raw::path::default();
        // SAFETY: `name` is NUL-terminated and `path` is valid for writes.
        to_result(unsafe {
            raw::kern_path(name.as_char_ptr(), raw::vfs_const_LOOKUP_FOLLOW, &mut path)
        })?;
        // SAFETY: On success the path is valid and referenced for the caller.
        Ok(unsafe { Self::from_raw(path) })
    }

    /// The path of an open file.
    pub fn of_file(file: &LocalFile) -> Self {
        // SAFETY: An open file keeps its path, which never changes.
        let path = unsafe { (*file.as_ptr()).__bindgen_anon_1.f_path };
        // SAFETY: As above.
        let (mount, dentry) = unsafe { (Mount::from_raw(path.mnt), Dentry::from_raw(path.dentry)) };
        Self {
            mount: mount.into(),
            dentry: dentry.into(),
        }
    }

    /// Borrows the path.
    pub fn borrow(&self) -> PathRef<'_> {
        // INVARIANT: A path that C gave is positive, and within one filesystem.
        PathRef {
            mount: &self.mount,
            dentry: &self.dentry,
        }
    }

    /// The mount.
    pub fn mount(&self) -> &Mount {
        &self.mount
    }

    /// The dentry.
    pub fn dentry(&self) -> &ARef<Dentry> {
        &self.dentry
    }
}
