// SPDX-License-Identifier: GPL-2.0

//! Shared mappings that move to another file.
//!
//! A shared mapping of a stacked file shows pages of the file in a layer that
//! does its I/O. When the data moves to another file, as in copy-up, mappings
//! that exist have to show that one from the moment on that it can be changed.
//! This module moves them. The C overlay has no counterpart.
//!
//! # Which mappings
//!
//! There is no registry. A shared mapping of a file in a layer has `vm_file` =
//! the backing file, so it is among the mappings (`i_mmap`) of the layer's
//! inode. Those that are an inode's are those whose `file_user_inode()` is that
//! inode. They were made through descriptors that cannot write, whence
//! `do_mmap()` has cleared `VM_SHARED` and `VM_MAYWRITE`: they never have dirty
//! or anonymous pages. [`SharedMappings`] remembers in which address spaces
//! (almost always one) to look.
//!
//! When a mapping is made its `vm_ops` are replaced by a copy with other
//! functions for faults, see `table`. Each first looks whether the data has
//! moved ([`Switchable::has_moved`]); if not the layer's function does the work.
//!
//! # The switch
//!
//! The filesystem publishes where the data is now, makes `has_moved` true, and
//! calls [`switch`], which
//!
//! 1. passes a full barrier;
//! 2. waits until no fault handler is in flight: those that begin later see that
//!    the data has moved. `vfs_shim_in_flight_begin()` has the other barrier;
//! 3. waits for each folio that is locked: a handler has returned it locked, and
//!    its page table entry is only made after that, under the lock;
//! 4. removes the page table entries of all these mappings.
//!
//! From here on every access faults, and no fault finds the old pages: the
//! filesystem may let writers in. A fault that finds that the data has moved
//! *bounces*: it gives up its locks, opens the file that has the data now, locks
//! the memory map for writing, switches the mapping and starts over.
//!
//! 5. As an optimisation, mappings are switched by whoever can lock their memory
//!    map at once, [`switch_unlocked`]. Nobody waits for a memory map's lock but
//!    its own tasks.
//!
//! # What a mapping that is not switched yet cannot do
//!
//! Faults without `FAULT_FLAG_ALLOW_RETRY` (`ptrace()`, `/proc/PID/mem`, drivers that
//! pin pages by `pin_user_pages()`) fail.
//! `MADV_COLLAPSE` asks no function of `vm_ops` and maps a huge folio of the old
//! file, until the mapping is switched. For this reason the filesystem calls
//! [`switch_unlocked`] until nothing is left.
//!
//! # Locks
//!
//! In this order:
//!
//! 1. the caller's locks of its inodes;
//! 2. `mmap_lock`, only ever tried but in a fault's bounce, which has given it up;
//!    the lock of the mapping (`vma_start_write()`) follows;
//! 3. a fault in flight, for lockdep a lock that faults hold shared;
//! 4. `SharedMappings`' list, under which nothing is waited for; `i_mmap_rwsem` of
//!    one address space at a time;
//! 5. what the layer's filesystem takes in a fault.
//!
//! What the switch waits for, it does not have: a fault in flight waits for I/O of
//! the layer, and a locked folio for whoever reads it.

use crate::{
    backing::{BackingFile, Mapped},
    file_ops::{FileOf, FileOperations},
    fs::FileSystem,
    inode::{Inode, InodeOf},
    mutex::Mutex,
    raw,
    set_once::SetOncePtr,
    trace::{Begin, Cause, SwitchMappings}, //
};
use core::ptr::NonNull;
use kernel::{
    cred::Credential,
    fs::LocalFile,
    prelude::*,
    static_lock_class,
    sync::{aref::ARef, SetOnce},
    types::Opaque, //
};

mod debug;
mod table;
mod vma;

use debug::Step;
pub use table::Tables;

/// A filesystem whose files' data may move.
pub trait Switchable: FileSystem {
    /// The inode's shared mappings.
    fn mappings(inode: &InodeOf<Self>) -> &SharedMappings;

    /// The tables of a mounted filesystem's mappings.
    fn tables(sb: &Self::Super) -> &Tables<Self>;

    /// Whether the data has moved. Called on each fault: must not sleep.
    ///
    /// Relaxed ordering is enough, for it is called after a full barrier.
    fn has_moved(inode: &InodeOf<Self>) -> bool;

    /// Opens, for reading, the file that has the data after it has moved, in
    /// place of `old`, whose user's path it takes over: see
    /// [`BackingFile::open`]. Called without locks of the memory map.
    fn open_moved(inode: &InodeOf<Self>, old: &LocalFile) -> Result<BackingFile>;

    /// The credentials to map files of layers with.
    fn cred(sb: &Self::Super) -> &Credential;

    /// Told how many mappings were switched.
    fn switched(sb: &Self::Super, count: usize);
}

/// The address spaces in which an inode has shared mappings that may have to be
/// switched. Part of the inode's private data; empty until one is made.
#[derive(Default)]
pub struct SharedMappings(SetOncePtr<Pin<KBox<Inner>>>);

#[pin_data(PinnedDrop)]
struct Inner {
    /// Fault handlers that may not have seen yet that the data has moved.
    in_flight: Opaque<raw::atomic_t>,
    /// The first inode whose pages were mapped.
    first: SetOnce<ARef<Inode>>,
    /// Others: a layer may itself be stacked, and have moved.
    #[pin]
    others: Mutex<KVec<ARef<Inode>>>,
}

// SAFETY: The count is only used by atomic operations.
unsafe impl Send for Inner {}
// SAFETY: As above.
unsafe impl Sync for Inner {}

#[pinned_drop]
impl PinnedDrop for Inner {
    fn drop(self: Pin<&mut Self>) {
        // A fault handler that gave up its locks may have outlived its mapping. It has nothing left
        // to do but to count itself out.
        // SAFETY: The count was initialised.
        unsafe { raw::vfs_shim_in_flight_drain(self.in_flight.get()) };
    }
}

impl SharedMappings {
    #[inline]
    fn get(&self) -> Option<&Inner> {
        self.0.get().map(Pin::get_ref)
    }

    #[cold]
    fn get_or_init(&self) -> Result<&Inner> {
        if let Some(inner) = self.get() {
            return Ok(inner);
        }
        let inner = KBox::pin_init(
            pin_init!(Inner {
                // An all-zero count is valid.
                in_flight: Opaque::zeroed(),
                first: SetOnce::new(),
                others <- Mutex::new(KVec::new(), c"vfs_shared_mappings", static_lock_class!()),
            }),
            GFP_KERNEL,
        )?;
        // If another task is faster, its own is used.
        self.0.populate(inner);
        self.get().ok_or(EIO)
    }

    /// Notes that pages of `host` are being mapped.
    ///
    /// Who looks for mappings after the data has moved finds it, or the first
    /// fault finds that the data has moved: both have full barriers in between.
    #[inline]
    fn add(&self, host: &Inode) -> Result {
        match self.get().and_then(|inner| inner.first.as_ref()) {
            Some(first) if core::ptr::eq::<Inode>(&**first, host) => Ok(()),
            _ => self.add_slow(host),
        }
    }

    #[cold]
    fn add_slow(&self, host: &Inode) -> Result {
        let inner = self.get_or_init()?;
        loop {
            match inner.first.as_ref() {
                Some(first) if core::ptr::eq::<Inode>(&**first, host) => return Ok(()),
                Some(_) => break,
                None => inner.first.populate(host.into()),
            };
        }
        let mut others = inner.others.lock();
        if !others
            .iter()
            .any(|other| core::ptr::eq::<Inode>(&**other, host))
        {
            others.push(host.into(), GFP_KERNEL)?;
        }
        Ok(())
    }
}

impl Inner {
    /// Calls `f` for each address space with mappings.
    fn for_each(&self, mut f: impl FnMut(NonNull<raw::address_space>)) {
        let mut call = |inode: &Inode| {
            // SAFETY: The inode is valid; an inode always has a mapping.
            f(unsafe { NonNull::new_unchecked((*inode.as_ptr()).i_mapping) });
        };
        if let Some(first) = self.first.as_ref() {
            call(first);
        }
        // It only grows. Who maps another one must not wait for what is done here.
        let other = |index| self.others.lock().get(index).cloned();
        let mut index = 0;
        while let Some(inode) = other(index) {
            call(&inode);
            index += 1;
        }
    }
}

/// Whether mappings that are made now are to be switched: the module parameter
/// `switch_mappings`.
pub fn is_enabled() -> bool {
    // SAFETY: Reads a parameter.
    unsafe { raw::vfs_shim_switch_mappings() }
}

/// A mapping that is being made, shared and only to read: one that shows what
/// others write.
pub struct SharedMapped<'a, T>(Mapped<'a, T>);

impl<'a, T> SharedMapped<'a, T> {
    /// `None` for private mappings, which keep what they show, and for those that
    /// can be written through.
    #[inline]
    pub fn new(mapped: Mapped<'a, T>) -> Option<Self> {
        const WRITES: usize = raw::vfs_const_VM_SHARED | raw::vfs_const_VM_MAYWRITE;
        // SAFETY: The mapping is valid, and the current task's alone.
        let flags = unsafe { (*mapped.as_ptr()).__bindgen_anon_2.vm_flags };
        let is_shared = flags & (raw::vfs_const_VM_MAYSHARE | WRITES) == raw::vfs_const_VM_MAYSHARE;
        is_shared.then_some(Self(mapped))
    }
}

/// Makes a mapping of `file`, of pages of a layer's file that its data may move
/// away from, one that is switched then.
///
/// Called by [`FileOperations::mmap`]; sleeps. Fails with `ENOMEM`.
pub fn prepare<T>(file: &FileOf<T>, mapped: SharedMapped<'_, T>) -> Result
where
    T: FileOperations<Fs: Switchable>,
{
    let (inode, vma) = (file.inode(), mapped.0.as_ptr());
    // SAFETY: The mapping is the current task's alone, and has a file. Its operations are those of a
    // filesystem, which are static.
    unsafe {
        if !core::ptr::eq(
            raw::vfs_shim_file_user_inode((*vma).vm_file),
            inode.as_ptr(),
        ) {
            // It is a layer of another stacked filesystem, whose mapping this is; or its filesystem
            // has put a file of its own there.
            return Ok(());
        }
        let Some(real) = (*vma).vm_ops.as_ref().filter(|ops| ops.fault.is_some()) else {
            return Ok(());
        };
        let prepared = FsOf::<T>::mappings(inode)
            .add(Inode::from_raw((*(*(*vma).vm_file).f_mapping).host))
            .and_then(|()| FsOf::<T>::tables(inode.super_data()).get(real));
        match prepared {
            Ok(ops) => (*vma).vm_ops = ops,
            Err(err) => {
                // The caller undoes what it has done, but knows nothing of this.
                if let Some(close) = real.close {
                    close(vma);
                }
                return Err(err);
            }
        }
    }
    Ok(())
}

/// The filesystem of files of `T`.
type FsOf<T> = <T as FileOperations>::Fs;

/// Makes the shared mappings of `inode` show the file that has its data now. The
/// filesystem has published that, so that [`Switchable::has_moved`] is true, and
/// nobody can write to it yet.
///
/// Mappings that could not be switched are as good as unmapped: they fault. The
/// caller calls [`switch_unlocked`].
///
/// Sleeps, not killable, as long as faults on the inode that began before wait
/// for I/O. Takes no lock of a memory map.
pub fn switch<F: Switchable>(inode: &InodeOf<F>) {
    debug::step(Step::Moved);
    if !debug::skips(Step::Moved) {
        // SAFETY: A barrier.
        unsafe { raw::vfs_shim_smp_mb() };
    }
    let Some(mappings) = F::mappings(inode).get() else {
        return;
    };
    if !debug::skips(Step::InFlight) {
        // SAFETY: The count is initialised, and this task is not counted.
        unsafe { raw::vfs_shim_in_flight_wait(mappings.in_flight.get()) };
    }
    debug::step(Step::InFlight);
    mappings.for_each(|space| {
        if !debug::skips(Step::FolioLocks) {
            // SAFETY: The address space is valid: its inode is referenced.
            unsafe { raw::vfs_shim_wait_for_folio_locks(space.as_ptr()) };
        }
        debug::step(Step::FolioLocks);
        if !debug::skips(Step::Zap) {
            vma::zap_all::<F>(inode, space);
        }
    });
    debug::step(Step::Zap);
}

/// Switches those of the inode's mappings, after [`switch`], whose memory map is
/// not locked. Answers how many are left.
///
/// Only tries to lock memory maps, and then waits for faults in the mapping. Opens
/// files, and reads what is locked in memory (`mlock()`) with the memory map locked
/// shared: the caller holds no locks of upper.
pub fn switch_unlocked<F: Switchable>(inode: &InodeOf<F>, cause: Cause) -> usize {
    let Some(mappings) = F::mappings(inode).get() else {
        return 0;
    };
    let begin = SwitchMappings::begin();
    let mut victims = KVVec::new();
    mappings.for_each(|space| vma::find::<F>(inode, space, &mut victims));
    let (mut last, mut switched) = (None, 0);
    for victim in victims {
        switched += victim.switch_unlocked::<F>(inode, &mut last);
    }
    // Not those that were found: mappings are copied by fork, and moved.
    let mut left = 0;
    mappings.for_each(|space| left += vma::count::<F>(inode, space));
    tell::<F>(inode, cause, switched, left, begin);
    left
}

/// Tells the filesystem, and those who listen, what was switched.
fn tell<F: Switchable>(
    inode: &InodeOf<F>,
    cause: Cause,
    switched: usize,
    left: usize,
    begin: Option<Begin>,
) {
    if switched > 0 {
        F::switched(inode.super_data(), switched);
    }
    // Who tries again and again says so when it works.
    let tells = switched > 0 || left > 0 && cause == Cause::CopyUp;
    if let Some(begin) = begin.filter(|_| tells) {
        let event = SwitchMappings {
            inode,
            cause,
            switched,
            left,
        };
        event.end(&begin);
    }
}
