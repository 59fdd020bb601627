// SPDX-License-Identifier: GPL-2.0

//! Operations of mappings that may have to be switched.
//!
//! C header: `include/linux/mm.h`

use super::{
    debug::{self, Step},
    tell,
    vma::{self, WriteLocked},
    Switchable, //
};
use crate::{
    inode::InodeOf,
    raw,
    trace::{Cause, SwitchMappings}, //
};
use core::marker::PhantomData;
use kernel::{
    fs::File,
    prelude::*,
    sync::{aref::ARef, SetOnce},
};

/// Operations of a layer's filesystem, but for those that fault in pages.
#[repr(C)]
struct Table {
    // Comes first: it is found by the address of this.
    ops: raw::vm_operations_struct,
    real: *const raw::vm_operations_struct,
    next: Link,
}

type Link = SetOnce<KBox<Table>>;

// SAFETY: The tables are never written, and those of the layers' filesystems are static.
unsafe impl Send for Table {}
// SAFETY: As above.
unsafe impl Sync for Table {}

/// The tables of one mounted filesystem, one for each that its layers have: two
/// or three.
///
/// A mapping keeps its file, and that the mount: when the filesystem goes away
/// nobody uses its tables.
pub struct Tables<F> {
    first: Link,
    _fs: PhantomData<fn() -> F>,
}

impl<F> Default for Tables<F> {
    fn default() -> Self {
        Self {
            first: Link::new(),
            _fs: PhantomData,
        }
    }
}

/// The operations of a mapping whose data has moved to where it cannot be read.
pub(super) fn bus_error() -> *const raw::vm_operations_struct {
    /// # Safety
    ///
    /// `vm_operations_struct.fault`.
    unsafe extern "C" fn fault(_vmf: *mut raw::vm_fault) -> raw::vm_fault_t {
        raw::vm_fault_reason_VM_FAULT_SIGBUS
    }
    struct Ops(raw::vm_operations_struct);
    // SAFETY: The table is never written.
    unsafe impl Sync for Ops {}
    static BUS_ERROR: Ops = Ops(raw::vm_operations_struct {
        fault: Some(fault),
        // SAFETY: All other fields are optional function pointers, or null.
        ..unsafe { core::mem::zeroed() }
    });
    &BUS_ERROR.0
}

type FaultFn = unsafe extern "C" fn(*mut raw::vm_fault) -> raw::vm_fault_t;

impl<F: Switchable> Tables<F> {
    /// Whether `ops` is a table that was made here.
    ///
    /// # Safety
    ///
    /// `ops` is null, or valid.
    pub(super) unsafe fn made(ops: *const raw::vm_operations_struct) -> bool {
        let own: FaultFn = Self::fault;
        // SAFETY: By the safety requirements.
        !ops.is_null()
            && unsafe { (*ops).fault }.is_some_and(|fault| core::ptr::fn_addr_eq(fault, own))
    }

    /// The table that stands for `real`, which is static.
    #[inline]
    pub(super) fn get(
        &self,
        real: &'static raw::vm_operations_struct,
    ) -> Result<&raw::vm_operations_struct> {
        match self.first.as_ref() {
            Some(table) if core::ptr::eq(table.real, real) => Ok(&table.ops),
            _ => self.get_slow(real),
        }
    }

    #[cold]
    fn get_slow(
        &self,
        real: &'static raw::vm_operations_struct,
    ) -> Result<&raw::vm_operations_struct> {
        let mut link = &self.first;
        loop {
            match link.as_ref() {
                Some(table) if core::ptr::eq(table.real, real) => return Ok(&table.ops),
                Some(table) => link = &table.next,
                None => {
                    let table = Table {
                        ops: raw::vm_operations_struct {
                            fault: Some(Self::fault),
                            map_pages: real.map_pages.and(Some(Self::map_pages)),
                            huge_fault: real.huge_fault.and(Some(Self::huge_fault)),
                            // It was called when the mapping was made.
                            mapped: None,
                            ..*real
                        },
                        real,
                        next: Link::new(),
                    };
                    // If another task is faster, its own is there in a moment.
                    link.populate(KBox::new(table, GFP_KERNEL)?);
                }
            }
        }
    }

    /// The inode that a mapping is of, and the operations that it had.
    ///
    /// # Safety
    ///
    /// `vmf` is a fault in a mapping with a table of `Self`; the inode is used as
    /// long as the mapping is locked, or its file referenced.
    unsafe fn of<'a>(
        vmf: *mut raw::vm_fault,
    ) -> (&'a InodeOf<F>, &'static raw::vm_operations_struct) {
        // SAFETY: By the safety requirements: only mappings of backing files of inodes of `F` get a
        // table, and such a file keeps its user's path, which has an inode.
        unsafe {
            let vma = (*vmf).__bindgen_anon_1.vma;
            let user = raw::backing_file_user_path((*vma).vm_file);
            let table = (*vma).vm_ops.cast::<Table>();
            (
                InodeOf::from_raw((*(*user).dentry).d_inode),
                &*(*table).real,
            )
        }
    }

    /// Begins a fault on `inode`, unless its data has moved.
    #[inline]
    fn begin(inode: &InodeOf<F>) -> Option<InFlight> {
        let mappings = F::mappings(inode).get()?;
        let fault = InFlight(mappings.in_flight.get());
        // SAFETY: The count is initialised. The barrier in this is the other one of `switch`.
        unsafe { raw::vfs_shim_in_flight_begin(fault.0) };
        if F::has_moved(inode) && !debug::skips(Step::Bounce) {
            return None;
        }
        Some(fault)
    }

    /// # Safety
    ///
    /// `vm_operations_struct.fault` of a mapping with a table of `Self`.
    unsafe extern "C" fn fault(vmf: *mut raw::vm_fault) -> raw::vm_fault_t {
        // SAFETY: By the safety requirements. After the mapping is unlocked, only the count is used,
        // which waits for that before it is freed.
        unsafe {
            let (inode, real) = Self::of(vmf);
            let Some(in_flight) = Self::begin(inode) else {
                return Self::bounce(vmf, inode);
            };
            let Some(fault) = real.fault else {
                return raw::vm_fault_reason_VM_FAULT_SIGBUS;
            };
            debug::step(Step::Handler);
            let mut ret = fault(vmf);
            if ret & raw::vfs_const_VM_FAULT_NO_UNLOCKED_PAGE == 0 {
                // The table entry has to be made under the lock, which `switch` waits for.
                raw::vfs_shim_fault_lock_folio(vmf);
                ret |= raw::vm_fault_reason_VM_FAULT_LOCKED;
            }
            drop(in_flight);
            debug::step(Step::Returned);
            ret
        }
    }

    /// # Safety
    ///
    /// `vm_operations_struct.map_pages` of a mapping with a table of `Self`.
    unsafe extern "C" fn map_pages(
        vmf: *mut raw::vm_fault,
        start: usize,
        end: usize,
    ) -> raw::vm_fault_t {
        // SAFETY: By the safety requirements; the mapping stays locked.
        unsafe {
            let (inode, real) = Self::of(vmf);
            // If nothing is mapped here, `fault` is called.
            let Some(_in_flight) = Self::begin(inode) else {
                return 0;
            };
            match real.map_pages {
                Some(map_pages) if !debug::skips(Step::MapPages) => {
                    debug::step(Step::MapPages);
                    map_pages(vmf, start, end)
                }
                _ => 0,
            }
        }
    }

    /// # Safety
    ///
    /// `vm_operations_struct.huge_fault` of a mapping with a table of `Self`.
    unsafe extern "C" fn huge_fault(vmf: *mut raw::vm_fault, order: c_uint) -> raw::vm_fault_t {
        // SAFETY: As for `fault`.
        unsafe {
            let (inode, real) = Self::of(vmf);
            match (Self::begin(inode), real.huge_fault) {
                (Some(_in_flight), Some(huge_fault)) => huge_fault(vmf, order),
                // `fault` is called.
                _ => raw::vm_fault_reason_VM_FAULT_FALLBACK,
            }
        }
    }

    /// Switches the mapping, whose inode's data has moved, and has the fault
    /// tried again.
    ///
    /// # Safety
    ///
    /// As for `fault`; `inode` is the mapping's.
    unsafe fn bounce(vmf: *mut raw::vm_fault, inode: &InodeOf<F>) -> raw::vm_fault_t {
        // SAFETY: By the safety requirements.
        let flags = unsafe { (*vmf).flags };
        if flags & raw::fault_flag_FAULT_FLAG_ALLOW_RETRY == 0 {
            return raw::vm_fault_reason_VM_FAULT_SIGBUS;
        }
        if flags & raw::fault_flag_FAULT_FLAG_RETRY_NOWAIT != 0 {
            return raw::vm_fault_reason_VM_FAULT_RETRY;
        }
        // SAFETY: By the safety requirements. The mapping has a file, which keeps the inode when the
        // mapping is gone; the memory map is that of the current task or kept by the caller.
        unsafe {
            let vma = (*vmf).__bindgen_anon_1.vma;
            let (mm, address) = ((*vma).vm_mm, (*vmf).__bindgen_anon_1.address);
            let file: ARef<File> = File::from_raw_file((*vma).vm_file).into();
            raw::vfs_shim_release_fault_lock(vmf);

            let begin = SwitchMappings::begin();
            let to = F::open_moved(inode, &file);
            debug::step(Step::Bounce);
            if to.as_ref().is_err_and(|err| vma::is_transient(*err)) {
                return raw::vm_fault_reason_VM_FAULT_RETRY;
            }
            let mut switched = 0;
            if let Ok(mm) = WriteLocked::lock_killable(mm) {
                // If it is not found, another task was faster, or it is gone.
                if let Some(vma) = mm.find::<F>(address, inode) {
                    switched = mm.switch::<F>(vma, inode, to.as_ref().map_err(|err| *err));
                }
            }
            tell::<F>(inode, Cause::Fault, switched, 0, begin);
            drop(file);
        }
        raw::vm_fault_reason_VM_FAULT_RETRY
    }
}

/// A fault handler that has begun before the data moved.
struct InFlight(*mut raw::atomic_t);

impl Drop for InFlight {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The count is freed when it is zero, see `Inner::drop`, and this is counted.
        unsafe { raw::vfs_shim_in_flight_end(self.0) };
    }
}
