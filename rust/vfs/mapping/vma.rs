// SPDX-License-Identifier: GPL-2.0

//! What is done to one mapping.
//!
//! C headers: `include/linux/mm.h`, `include/linux/mmap_lock.h`

use super::{
    debug::{self, Step},
    table::{self, Tables},
    Switchable, //
};
use crate::{
    backing::BackingFile,
    inode::InodeOf,
    raw, //
};
use core::{ops::Range, ptr::NonNull};
use kernel::{
    error::to_result,
    fs::File,
    mm::Mm,
    prelude::*,
    sync::aref::ARef, //
};

/// Whether `vma` is a mapping of `inode` that may have to be switched.
///
/// # Safety
///
/// `vma` is in the tree of an address space whose `i_mmap_rwsem` is held, or its
/// memory map is locked.
unsafe fn is_switchable<F: Switchable>(vma: *mut raw::vm_area_struct, inode: &InodeOf<F>) -> bool {
    // SAFETY: By the safety requirements these fields do not change; a mapping in a tree has a file.
    unsafe {
        let file = (*vma).vm_file;
        Tables::<F>::made((*vma).vm_ops)
            && !file.is_null()
            && core::ptr::eq(raw::vfs_shim_file_user_inode(file), inode.as_ptr())
    }
}

/// The addresses of a mapping.
///
/// # Safety
///
/// As for [`is_switchable`].
unsafe fn range(vma: *mut raw::vm_area_struct) -> Range<usize> {
    // SAFETY: By the safety requirements.
    let range = unsafe { (*vma).__bindgen_anon_1.__bindgen_anon_1 };
    range.vm_start..range.vm_end
}

/// Calls `f` for each mapping of `inode` in `space` that may have to be switched.
fn for_each<F: Switchable>(
    inode: &InodeOf<F>,
    space: NonNull<raw::address_space>,
    mut f: impl FnMut(*mut raw::vm_area_struct),
) {
    // SAFETY: The address space is valid, and locked during the walk.
    unsafe {
        raw::vfs_shim_i_mmap_lock_read(space.as_ptr());
        let mut vma = raw::vfs_shim_rmap_first(space.as_ptr());
        while !vma.is_null() {
            if is_switchable::<F>(vma, inode) {
                f(vma);
            }
            vma = raw::vfs_shim_rmap_next(vma);
        }
        raw::vfs_shim_i_mmap_unlock_read(space.as_ptr());
    }
}

/// Removes the page table entries of `vma`.
///
/// # Safety
///
/// As for [`is_switchable`].
unsafe fn zap(vma: *mut raw::vm_area_struct) {
    // SAFETY: As `unmap_mapping_range()` does it, under `i_mmap_rwsem`, or under the lock of the
    // memory map.
    unsafe {
        let range = range(vma);
        raw::zap_vma_range(vma, range.start, range.len());
    }
}

/// Removes the page table entries of all mappings of `inode` in `space` that may
/// have to be switched.
pub(super) fn zap_all<F: Switchable>(inode: &InodeOf<F>, space: NonNull<raw::address_space>) {
    // SAFETY: The address space is locked.
    for_each(inode, space, |vma| unsafe { zap(vma) });
}

/// A mapping that was found to be one to switch.
///
/// Its memory map is kept as memory only, so that a process that exits meanwhile
/// gives up its files then.
pub(super) struct Victim {
    mm: ARef<Mm>,
    address: usize,
}

/// How many mappings of `inode` in `space` have to be switched.
pub(super) fn count<F: Switchable>(
    inode: &InodeOf<F>,
    space: NonNull<raw::address_space>,
) -> usize {
    let mut count = 0;
    for_each(inode, space, |_| count += 1);
    count
}

/// Adds the mappings of `inode` in `space` that have to be switched to `victims`,
/// as far as there is memory.
pub(super) fn find<F: Switchable>(
    inode: &InodeOf<F>,
    space: NonNull<raw::address_space>,
    victims: &mut KVVec<Victim>,
) {
    let count = count(inode, space);
    if count == 0 || victims.reserve(count, GFP_KERNEL).is_err() {
        return;
    }
    for_each(inode, space, |vma| {
        // SAFETY: A mapping that is in a tree has a memory map, whose memory outlives that.
        let victim = unsafe {
            Victim {
                mm: Mm::from_raw((*vma).vm_mm).into(),
                address: range(vma).start,
            }
        };
        // More may have come since they were counted: memory cannot be had here.
        let _ = victims.push_within_capacity(victim);
    });
}

/// A file that replaced another, in a mapping.
///
/// Other mappings of the same file are given the same one, so that pieces of one
/// mapping can be merged.
pub(super) struct Replacement {
    of: ARef<File>,
    file: BackingFile,
}

impl Victim {
    /// Switches it if its memory map is not locked. `last` is what was opened for
    /// the one before. Answers how many were switched with it.
    pub(super) fn switch_unlocked<F: Switchable>(
        self,
        inode: &InodeOf<F>,
        last: &mut Option<Replacement>,
    ) -> usize {
        // Once more after opening a file; not for ever for who keeps mapping others there.
        for _ in 0..2 {
            let Some(mm) = WriteLocked::try_lock(self.mm.as_raw()) else {
                return 0;
            };
            // SAFETY: The memory of the map is kept.
            if !unsafe { raw::vfs_shim_mm_has_users(self.mm.as_raw()) } {
                // The process exits.
                return 0;
            }
            let Some(vma) = mm.find::<F>(self.address, inode) else {
                return 0;
            };
            // SAFETY: The memory map is locked, and the mapping has a file.
            let file = unsafe { File::from_raw_file((*vma).vm_file) };
            match last {
                Some(last) if core::ptr::eq(last.of.as_ptr(), file.as_ptr()) => {
                    return mm.switch::<F>(vma, inode, Ok(&last.file));
                }
                _ => {}
            }
            // Files are opened without locks.
            let of: ARef<File> = file.into();
            drop(mm);
            match F::open_moved(inode, &of) {
                Ok(file) => *last = Some(Replacement { of, file }),
                // Who uses the mapping will be told.
                Err(_) => return 0,
            }
        }
        0
    }
}

/// A memory map that is locked for writing.
pub(super) struct WriteLocked(*mut raw::mm_struct);

impl Drop for WriteLocked {
    fn drop(&mut self) {
        // SAFETY: This task has locked it.
        unsafe { raw::vfs_shim_mmap_write_unlock(self.0) };
    }
}

impl WriteLocked {
    /// Locks the map if nobody has.
    ///
    /// A process that exits meanwhile waits for the lock before it tears the map
    /// down.
    fn try_lock(mm: *mut raw::mm_struct) -> Option<Self> {
        // SAFETY: The map is valid: the caller keeps it.
        unsafe { raw::vfs_shim_mmap_write_trylock(mm) }.then(|| Self(mm))
    }

    /// Locks the map; `EINTR` if the task is killed.
    ///
    /// # Safety
    ///
    /// The map is valid, as long as the result lives.
    pub(super) unsafe fn lock_killable(mm: *mut raw::mm_struct) -> Result<Self> {
        // SAFETY: By the safety requirements.
        to_result(unsafe { raw::vfs_shim_mmap_write_lock_killable(mm) })?;
        Ok(Self(mm))
    }

    /// The mapping that has `address`, if it is one of `inode` that may have to be
    /// switched.
    pub(super) fn find<F: Switchable>(
        &self,
        address: usize,
        inode: &InodeOf<F>,
    ) -> Option<*mut raw::vm_area_struct> {
        // SAFETY: The map is locked.
        unsafe {
            let vma = raw::find_vma(self.0, address);
            let found =
                !vma.is_null() && range(vma).contains(&address) && is_switchable::<F>(vma, inode);
            found.then_some(vma)
        }
    }

    /// Switches `vma`, a mapping of `inode`, and those of the same file that adjoin
    /// it, to the file `to`; or if that could not be opened, makes their users
    /// see a bus error. What is locked in memory is read.
    ///
    /// Those for which there was no memory, or the task was killed, are left. Answers
    /// how many show the file `to` now.
    pub(super) fn switch<F: Switchable>(
        self,
        vma: *mut raw::vm_area_struct,
        inode: &InodeOf<F>,
        to: Result<&BackingFile>,
    ) -> usize {
        let mut any_locked = false;
        let mut switched = 0;
        let mut one = |vma: *mut raw::vm_area_struct| {
            // SAFETY: The memory map is locked for writing, and `find` has found the mapping.
            unsafe {
                any_locked |= is_read_when_locked(vma);
                // If it fails it is found again.
                switched += usize::from(switch_one::<F>(vma, inode, to) == Ok(true));
            }
        };
        // SAFETY: The memory map is locked.
        let (file, mut all) = unsafe { ((*vma).vm_file, range(vma)) };
        one(vma);
        // Whether it is of the same file, for the next one.
        let same = |address: usize| {
            self.find::<F>(address, inode)
                // SAFETY: The memory map is locked.
                .filter(|vma| unsafe { core::ptr::eq((**vma).vm_file, file) })
        };
        while let Some(vma) = same(all.end) {
            // SAFETY: As above.
            all.end = unsafe { range(vma) }.end;
            one(vma);
        }
        while let Some(vma) = all.start.checked_sub(1).and_then(same) {
            // SAFETY: As above.
            all.start = unsafe { range(vma) }.start;
            one(vma);
        }
        if any_locked {
            self.populate(all);
        }
        switched
    }

    /// Reads what is locked in memory of a range that is mapped without gaps, as
    /// `mm_populate()` does it.
    fn populate(self, all: Range<usize>) {
        let mm = self.0;
        // A process that exits would have it unmapped while it is being mapped.
        // SAFETY: The map is valid.
        if !unsafe { raw::vfs_shim_mmget_not_zero(mm) } {
            return;
        }
        core::mem::forget(self);
        // SAFETY: The map was locked for writing by this task, and is unlocked below; mappings do
        // not change in between.
        unsafe {
            raw::vfs_shim_mmap_write_downgrade(mm);
            let mut address = all.start;
            while address < all.end {
                let vma = raw::find_vma(mm, address);
                if vma.is_null() {
                    break;
                }
                if is_read_when_locked(vma) {
                    read_pages(mm, range(vma));
                }
                address = range(vma).end;
            }
            raw::vfs_shim_mmap_read_unlock(mm);
            raw::mmput_async(mm);
        }
    }
}

/// Whether the pages of a mapping are read when it is locked in memory.
///
/// # Safety
///
/// The memory map of `vma` is locked.
unsafe fn is_read_when_locked(vma: *mut raw::vm_area_struct) -> bool {
    const ON_FAULT: usize = raw::vfs_const_VM_LOCKONFAULT;
    // SAFETY: By the safety requirements.
    let flags = unsafe { (*vma).__bindgen_anon_2.vm_flags };
    flags & (raw::vfs_const_VM_LOCKED | ON_FAULT) == raw::vfs_const_VM_LOCKED
}

/// Has the pages of a mapping faulted in, up to one that cannot be.
///
/// # Safety
///
/// `mm` is locked shared, and has users.
unsafe fn read_pages(mm: *mut raw::mm_struct, range: Range<usize>) {
    for address in range.step_by(kernel::page::PAGE_SIZE) {
        // SAFETY: By the safety requirements. Without the last argument the lock is not given up.
        let ret = unsafe { raw::fixup_user_fault(mm, address, 0, core::ptr::null_mut()) };
        if ret != 0 || crate::file::killed() {
            return;
        }
    }
}

/// A mapping like one that exists, in no tree, for a filesystem to say how it
/// maps a file.
struct Detached(*mut raw::vm_area_struct);

impl Detached {
    /// Has the filesystem of `file` map it in place of the file of `vma`.
    ///
    /// # Safety
    ///
    /// The memory map of `vma` is locked, and `vma` has a file.
    unsafe fn map(
        vma: *mut raw::vm_area_struct,
        file: &BackingFile,
        cred: &kernel::cred::Credential,
    ) -> Result<Self> {
        // SAFETY: By the safety requirements.
        let copy = unsafe { raw::vfs_shim_vma_copy(vma) };
        if copy.is_null() {
            return Err(ENOMEM);
        }
        let copy = Self(copy);
        let mut ctx = raw::backing_file_ctx {
            cred: cred.as_ptr(),
            // The user has not accessed anything.
            accessed: None,
            end_write: None,
        };
        // SAFETY: All are valid for the call. The copy has a reference to its file, which is
        // replaced by one to `file`.
        to_result(unsafe { raw::backing_file_mmap(file.as_ptr(), copy.0, &mut ctx) })?;
        Ok(copy)
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        // SAFETY: The copy has a reference to whatever file it has, if any, and is in no tree.
        unsafe {
            if !(*self.0).vm_file.is_null() {
                raw::fput((*self.0).vm_file);
            }
            raw::vfs_shim_vma_copy_free(self.0);
        }
    }
}

/// Switches one mapping. Answers whether it shows the file `to` now, and not a bus
/// error.
///
/// # Safety
///
/// `vma` is a mapping of `inode` that may have to be switched, whose memory map is
/// locked for writing.
unsafe fn switch_one<F: Switchable>(
    vma: *mut raw::vm_area_struct,
    inode: &InodeOf<F>,
    to: Result<&BackingFile>,
) -> Result<bool> {
    // SAFETY: By the safety requirements. From here on nobody faults in this mapping.
    to_result(unsafe { raw::vfs_shim_vma_start_write_killable(vma) })?;
    let cred = F::cred(inode.super_data());
    // SAFETY: By the safety requirements.
    let moved = to.and_then(|file| unsafe { Detached::map(vma, file, cred) });
    if moved.as_ref().is_err_and(|err| is_transient(*err)) {
        return Err(ENOMEM);
    }
    // SAFETY: By the safety requirements. Without pages, the mapping can be taken out of one tree
    // and put into another. The references to the files change places with the files.
    unsafe {
        zap(vma);
        if let Some(close) = (*(*vma).vm_ops).close {
            close(vma);
        }
        let Ok(moved) = moved else {
            raw::vfs_shim_vma_set_ops(vma, table::bus_error());
            return Ok(false);
        };
        raw::vfs_shim_rmap_remove(vma, (*(*vma).vm_file).f_mapping);
        debug::step(Step::BetweenTrees);
        core::mem::swap(&mut (*vma).vm_file, &mut (*moved.0).vm_file);
        (*vma).vm_private_data = (*moved.0).vm_private_data;
        (*vma).vm_ops = (*moved.0).vm_ops;
        raw::vfs_shim_vma_add_flags(vma, moved.0);
        raw::vfs_shim_rmap_insert(vma, (*(*vma).vm_file).f_mapping);
    }
    Ok(true)
}

/// Whether it may work at another time, so that a fault is to be tried again.
pub(super) fn is_transient(err: Error) -> bool {
    [ENOMEM, EINTR, EAGAIN, ERESTARTSYS].contains(&err)
}
