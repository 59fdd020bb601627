// SPDX-License-Identifier: GPL-2.0

//! Filesystem types: what a filesystem consists of, and its registration.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    context::{ContextVTable, FsContext, ParamValue, Refused},
    dentry::{Dentry, DentryOf},
    inode::InodeBox,
    mount::PrivateMount,
    raw,
    rcu::RcuData,
    super_block::{NewSuperBlock, Options, RealKind, StatFs, SuperBlockOf, SuperVTable},
    sysfs, //
};
use core::{cell::UnsafeCell, convert::Infallible, marker::PhantomData};
use kernel::{
    error::to_result,
    prelude::*,
    sync::atomic::{ordering, Atomic},
    types::Opaque, //
};

/// A filesystem: its private types, and the operations on its super blocks.
///
/// What it keeps of layers, dentries and inodes, it drops before their mount, and
/// what it keeps of its own before `put_super` returns: a reference to them does
/// not keep their super block.
///
/// Operations on inodes and files are not here: they belong to tables that are
/// chosen for each inode, see [`crate::inode_ops`] and [`crate::file_ops`].
pub trait FileSystem: Sized + 'static {
    /// Whether it can be mounted in any user namespace, by whoever has rights there
    /// and none outside, see `FS_USERNS_MOUNT`. It has to be safe from them.
    const USERNS_MOUNT: bool = false;

    /// The options of a mount that is being set up.
    type Context: Send + Sync;
    /// The private data of a super block.
    type Super: Send + Sync;
    /// The private data of an inode.
    type Inode: Send + Sync;
    /// The part of an inode's private data that RCU walks may see.
    type Rcu: RcuData;

    /// A context without options.
    fn new_context() -> Result<KBox<Self::Context>>;

    /// Takes the option `key`.
    ///
    /// [`Refused::UNKNOWN_OPTION`] if there is none of the name.
    fn parse_param(
        context: &mut Self::Context,
        fc: &FsContext,
        key: &CStr,
        value: ParamValue<'_>,
    ) -> Result<(), Refused>;

    /// As `parse_param`, for a change of a filesystem that is mounted: what has been said
    /// of the change so far is in `context`, a new one.
    fn reparse_param(
        context: &mut Self::Context,
        sb: &SuperBlockOf<Self>,
        fc: &FsContext,
        key: &CStr,
        value: ParamValue<'_>,
    ) -> Result<(), Refused>;

    /// Sets up a super block from the options.
    fn fill_super(
        context: &mut Self::Context,
        fc: &FsContext,
        sb: &mut NewSuperBlock<Self>,
    ) -> Result<(), Refused>;

    /// Remounts; `fc` says whether read-only. `s_umount` is held exclusively.
    fn reconfigure(sb: &SuperBlockOf<Self>, fc: &FsContext) -> Result<(), Refused>;

    /// The filesystem is going away: gives up references to its inodes. Nobody
    /// has files of it any more.
    fn kill_super(sb: &SuperBlockOf<Self>);

    /// The private mounts of a super block whose dentries are gone. Its data is still looked at
    /// by RCU walks.
    fn private_mounts(data: &Self::Super) -> impl Iterator<Item = &PrivateMount>;

    /// Drops the private data of a super block whose dentries are gone.
    fn put_super(data: KBox<Self::Super>);

    /// Initialises the private data of an inode on a filesystem that is stacked
    /// `depth` high.
    fn inode_data(depth: c_int) -> impl PinInit<Self::Inode, Infallible>;

    /// Reports usage.
    fn statfs(dentry: &DentryOf<Self>, buf: &mut StatFs) -> Result;

    /// How many objects there are in caches of this filesystem, beside its inodes and
    /// dentries. Called at any time while it is mounted, also where a memory cgroup alone has
    /// to give memory back: who they are charged to is not known, and they have to go for it.
    fn cached_objects(_data: &Self::Super) -> usize {
        0
    }

    /// Frees about so many of these objects. Answers how many it was.
    ///
    /// Called by whoever allocates memory, whatever else that task holds: it must take no
    /// lock under which memory is allocated. `s_umount` is held shared.
    fn free_cached_objects(_data: &Self::Super, _wanted: usize) -> usize {
        0
    }

    /// Writes what is dirty; with `wait`, until it is done.
    fn sync_fs(sb: &SuperBlockOf<Self>, wait: bool) -> Result;

    /// Shows the mount options.
    fn show_options(sb: &SuperBlockOf<Self>, options: &Options<'_>) -> Result;

    /// The dentry that a regular file's `dentry` stands for.
    fn real(dentry: &DentryOf<Self>, kind: RealKind) -> Result<&Dentry>;

    /// Whether the dentry is still good, for one whose layers want to be asked;
    /// see [`DentryOf::set_revalidation`].
    fn revalidate(dentry: &DentryOf<Self>, check: Revalidation) -> Result<bool>;
}

/// How a dentry is to be checked, see `d_revalidate()` and
/// `d_weak_revalidate()`.
#[derive(Clone, Copy)]
pub struct Revalidation {
    flags: c_uint,
    weak: bool,
}

impl Revalidation {
    /// Checks a dentry of a layer, if its filesystem wants to be asked.
    pub fn check(&self, dentry: &Dentry) -> Result<bool> {
        // SAFETY: The dentry is valid and the walk is not an RCU walk.
        let ret = unsafe { raw::vfs_shim_d_revalidate(dentry.as_ptr(), self.flags, self.weak) };
        if ret < 0 {
            return Err(Error::from_errno(ret));
        }
        Ok(ret > 0)
    }
}

pub(crate) struct DentryVTable<F>(PhantomData<F>);

impl<F: FileSystem> DentryVTable<F> {
    const OPS: raw::dentry_operations = raw::dentry_operations {
        d_real: Some(Self::d_real),
        d_revalidate: Some(Self::d_revalidate),
        d_weak_revalidate: Some(Self::d_weak_revalidate),
        // SAFETY: All other fields are optional function pointers.
        ..unsafe { core::mem::zeroed() }
    };

    /// As above, for a filesystem that has case-folded directories.
    const CASEFOLD_OPS: raw::dentry_operations = raw::dentry_operations {
        d_hash: Some(raw::vfs_shim_ci_d_hash),
        d_compare: Some(raw::vfs_shim_ci_d_compare),
        ..Self::OPS
    };

    pub(crate) const fn ops(casefold: bool) -> &'static raw::dentry_operations {
        if casefold {
            &Self::CASEFOLD_OPS
        } else {
            &Self::OPS
        }
    }

    /// # Safety
    ///
    /// `dentry_operations.d_real`.
    unsafe extern "C" fn d_real(
        dentry: *mut raw::dentry,
        kind: raw::d_real_type,
    ) -> *mut raw::dentry {
        // SAFETY: Called with a valid, positive dentry of `F`.
        let this = unsafe { DentryOf::<F>::from_raw(dentry) };
        if this.inode().is_some_and(|inode| inode.mode().is_reg()) {
            if let Some(Ok(real)) = RealKind::from_raw(kind).map(|kind| F::real(this, kind)) {
                return real.as_ptr();
            }
        }
        dentry
    }

    /// # Safety
    ///
    /// `dentry_operations.d_revalidate`.
    unsafe extern "C" fn d_revalidate(
        _dir: *mut raw::inode,
        _name: *const raw::qstr,
        dentry: *mut raw::dentry,
        flags: c_uint,
    ) -> c_int {
        // SAFETY: Called with a valid dentry of `F`.
        unsafe { Self::revalidate(dentry, flags, false) }
    }

    /// # Safety
    ///
    /// `dentry_operations.d_weak_revalidate`.
    unsafe extern "C" fn d_weak_revalidate(dentry: *mut raw::dentry, flags: c_uint) -> c_int {
        // SAFETY: Called with a valid dentry of `F`.
        unsafe { Self::revalidate(dentry, flags, true) }
    }

    /// # Safety
    ///
    /// `dentry` is a valid dentry of `F`.
    unsafe fn revalidate(dentry: *mut raw::dentry, flags: c_uint, weak: bool) -> c_int {
        if flags & raw::vfs_const_LOOKUP_RCU != 0 {
            return ECHILD.to_errno();
        }
        // SAFETY: By the safety requirements; outside of RCU walks it is referenced.
        let dentry = unsafe { DentryOf::<F>::from_raw(dentry) };
        match F::revalidate(dentry, Revalidation { flags, weak }) {
            Ok(good) => good.into(),
            Err(err) => err.to_errno(),
        }
    }
}

/// Static memory for a filesystem type.
///
/// It holds lock classes, which have to be static.
#[repr(C)]
pub struct FsType<F> {
    // Comes first: `inode_cache` finds the rest by it.
    fs_type: Opaque<raw::file_system_type>,
    cache: UnsafeCell<*mut raw::kmem_cache>,
    dir: UnsafeCell<Option<sysfs::Dir>>,
    taken: Atomic<bool>,
    _fs: PhantomData<F>,
}

// SAFETY: The fields are written by the one `Registration` that has taken the memory, before the
// type is registered; the C side serialises its use of a registered type.
unsafe impl<F> Sync for FsType<F> {}

impl<F> FsType<F> {
    /// Memory that is not used yet.
    pub const fn new() -> Self {
        Self {
            fs_type: Opaque::zeroed(),
            cache: UnsafeCell::new(core::ptr::null_mut()),
            dir: UnsafeCell::new(None),
            taken: Atomic::new(false),
            _fs: PhantomData,
        }
    }
}

impl<F> Default for FsType<F> {
    fn default() -> Self {
        Self::new()
    }
}

/// A registered filesystem type, the cache of its inodes, and its directory
/// `/sys/fs/TYPE`. Dropping it unregisters the type.
///
/// The module that owns it cannot be unloaded while the type is mounted.
///
/// # Invariants
///
/// `0` is taken by this registration, its cache and its directory exist and its type
/// is registered.
pub struct Registration<F: FileSystem>(&'static FsType<F>);

impl<F: FileSystem> Registration<F> {
    const FLAGS: u32 = raw::FS_ALLOW_IDMAP
        | if F::USERNS_MOUNT {
            raw::FS_USERNS_MOUNT
        } else {
            0
        };

    /// Registers the filesystem as type `name`, with its inodes in a slab cache
    /// called `cache_name`.
    ///
    /// Fails with `EBUSY` when there is such a type already, or the memory is
    /// taken.
    ///
    /// The result has to live as long as the module is loaded: leaking it is a
    /// bug.
    pub fn new(
        memory: &'static FsType<F>,
        name: &'static CStr,
        cache_name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result<Self> {
        if cfg!(MODULE) && module.as_ptr().is_null() {
            // Nothing would hold the code while it is mounted.
            return Err(EINVAL);
        }
        if memory.taken.xchg(true, ordering::Full) {
            return Err(EBUSY);
        }
        let cache = Self::create_cache(cache_name)
            .inspect_err(|_| memory.taken.store(false, ordering::Release))?;
        let slot = memory.fs_type.get();
        // SAFETY: The memory is this registration's alone; name, module and functions are static.
        // An all-zero type is valid.
        let registered = sysfs::Dir::new(name).and_then(|dir| unsafe {
            *memory.cache.get() = cache;
            *memory.dir.get() = Some(dir);
            (*slot).name = name.as_char_ptr();
            (*slot).owner = module.as_ptr();
            (*slot).init_fs_context = Some(ContextVTable::<F>::init);
            (*slot).kill_sb = Some(Self::kill_sb);
            (*slot).fs_flags = Self::FLAGS as c_int;
            to_result(raw::register_filesystem(slot))
        });
        if let Err(err) = registered {
            // SAFETY: The memory is still this registration's alone. The cache is empty: nobody
            // could make inodes.
            unsafe {
                *memory.dir.get() = None;
                raw::kmem_cache_destroy(cache);
            }
            memory.taken.store(false, ordering::Release);
            return Err(err);
        }
        // INVARIANT: See above.
        Ok(Self(memory))
    }

    fn create_cache(name: &'static CStr) -> Result<*mut raw::kmem_cache> {
        let size = core::mem::size_of::<InodeBox<F>>() as u32;
        let align = core::mem::align_of::<InodeBox<F>>() as u32;
        // SAFETY: The name is static and the constructor fits the objects.
        let cache = unsafe {
            raw::vfs_shim_create_inode_cache(
                name.as_char_ptr(),
                size,
                align,
                Some(InodeBox::<F>::init_once),
            )
        };
        if cache.is_null() {
            return Err(ENOMEM);
        }
        Ok(cache)
    }

    /// # Safety
    ///
    /// `fs_type` is the type of a registration for `F`.
    pub(crate) unsafe fn inode_cache(fs_type: *mut raw::file_system_type) -> *mut raw::kmem_cache {
        // SAFETY: By the safety requirements it is the first field of an `FsType`, whose cache does
        // not change while the type is registered.
        unsafe { *(*fs_type.cast::<FsType<F>>()).cache.get() }
    }

    /// # Safety
    ///
    /// `fs_type` is the type of a registration for `F`, which lives for `'a`.
    pub(crate) unsafe fn dir<'a>(fs_type: *mut raw::file_system_type) -> Option<&'a sysfs::Dir> {
        // SAFETY: As above.
        unsafe { (*(*fs_type.cast::<FsType<F>>()).dir.get()).as_ref() }
    }

    /// # Safety
    ///
    /// `file_system_type.kill_sb`.
    unsafe extern "C" fn kill_sb(sb: *mut raw::super_block) {
        // SAFETY: Called once with a super block of `F` that is going away. If it never got its
        // root, `put_super` is not called, and `fill_super` dropped the data.
        unsafe {
            if !(*sb).s_root.is_null() {
                F::kill_super(SuperBlockOf::from_raw(sb));
            }
            raw::kill_anon_super(sb);
            raw::vfs_shim_unload_encoding(sb);
        }
    }
}

impl<F: FileSystem> Drop for Registration<F> {
    fn drop(&mut self) {
        // SAFETY: The type was registered and is not mounted: a mount holds the module. Inodes are
        // freed by RCU callbacks, which have run after `rcu_barrier`; then the cache is empty.
        unsafe {
            raw::unregister_filesystem(self.0.fs_type.get());
            *self.0.dir.get() = None;
            raw::rcu_barrier();
            raw::kmem_cache_destroy(*self.0.cache.get());
        }
        self.0.taken.store(false, ordering::Release);
    }
}

/// The table of operations on super blocks, for [`crate::context`].
pub(crate) type SuperOps<F> = SuperVTable<F>;
