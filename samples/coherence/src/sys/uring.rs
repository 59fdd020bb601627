// SPDX-License-Identifier: GPL-2.0
//! Reads by io_uring.

use super::{
    checked,
    mapping::{Mapping, PROT_READ, PROT_WRITE},
    syscall,
};
use std::{
    ffi::{c_int, c_long},
    fs::File,
    io,
    mem::size_of,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

const SYS_IO_URING_SETUP: c_long = 425;
const SYS_IO_URING_ENTER: c_long = 426;
const SYS_IO_URING_REGISTER: c_long = 427;
const IORING_OFF_SQ_RING: i64 = 0;
const IORING_OFF_CQ_RING: i64 = 0x800_0000;
const IORING_OFF_SQES: i64 = 0x1000_0000;
const IORING_ENTER_GETEVENTS: u32 = 1;
const IORING_REGISTER_FILES: u32 = 2;
const IORING_UNREGISTER_FILES: u32 = 3;
const IORING_OP_READ: u8 = 22;
const IOSQE_FIXED_FILE: u8 = 1;

/// `struct io_sqring_offsets` and `struct io_cqring_offsets`: the places where they differ are
/// not used here, but for the array of either.
#[repr(C)]
#[derive(Default)]
struct RingOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    flags_or_overflow: u32,
    dropped_or_cqes: u32,
    array_or_flags: u32,
    reserved: u32,
    user_addr: u64,
}

/// `struct io_uring_params`.
#[repr(C)]
#[derive(Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread_cpu: u32,
    sq_thread_idle: u32,
    features: u32,
    wq_fd: u32,
    reserved: [u32; 3],
    sq: RingOffsets,
    cq: RingOffsets,
}

/// `struct io_uring_sqe`.
#[repr(C)]
#[derive(Default)]
struct Submission {
    opcode: u8,
    flags: u8,
    ioprio: u16,
    fd: i32,
    offset: u64,
    address: u64,
    len: u32,
    rw_flags: u32,
    user_data: u64,
    rest: [u64; 3],
}

/// `struct io_uring_cqe`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Completion {
    user_data: u64,
    result: i32,
    flags: u32,
}

/// A ring with room for one submission, by which one file is read.
pub(crate) struct Ring {
    file: File,
    is_registered: bool,
    ring: OwnedFd,
    sq: Mapping,
    cq: Mapping,
    sqes: Mapping,
    params: Params,
    /// How many reads are complete.
    complete: u32,
}

impl Ring {
    /// Makes a ring; the kernel is told of the file now if it is to be registered.
    pub(crate) fn new(file: File, is_registered: bool) -> io::Result<Self> {
        let mut params = Params::default();
        // SAFETY: `params` is what the call fills.
        let fd = checked(unsafe { syscall(SYS_IO_URING_SETUP, 1u32, &mut params) } as isize)?;
        // SAFETY: The call succeeded, so this is a descriptor that nobody else owns.
        let ring = unsafe { OwnedFd::from_raw_fd(fd as i32) };

        let both = PROT_READ | PROT_WRITE;
        let sq_end = params.sq.array_or_flags as usize + size_of::<u32>();
        let cq_end = params.cq.dropped_or_cqes as usize
            + params.cq_entries as usize * size_of::<Completion>();
        let ring = Self {
            is_registered,
            sq: Mapping::with(&ring, sq_end, both, IORING_OFF_SQ_RING)?,
            cq: Mapping::with(&ring, cq_end, both, IORING_OFF_CQ_RING)?,
            sqes: Mapping::with(&ring, size_of::<Submission>(), both, IORING_OFF_SQES)?,
            ring,
            file,
            params,
            complete: 0,
        };
        if is_registered {
            ring.register(IORING_REGISTER_FILES, &[ring.file.as_raw_fd()])?;
        }
        Ok(ring)
    }

    fn register(&self, operation: u32, files: &[c_int]) -> io::Result<usize> {
        let ring = self.ring.as_raw_fd();
        // SAFETY: The call reads as many descriptors as it is told.
        checked(unsafe {
            syscall(
                SYS_IO_URING_REGISTER,
                ring,
                operation,
                if files.is_empty() {
                    ptr::null()
                } else {
                    files.as_ptr()
                },
                files.len() as u32,
            )
        } as isize)
    }

    /// Reads from the file, and waits for it.
    pub(crate) fn read(&mut self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let submission = Submission {
            opcode: IORING_OP_READ,
            flags: if self.is_registered {
                IOSQE_FIXED_FILE
            } else {
                0
            },
            fd: if self.is_registered {
                0
            } else {
                self.file.as_raw_fd()
            },
            offset: at,
            address: buf.as_mut_ptr() as u64,
            len: buf.len() as u32,
            ..Submission::default()
        };
        let (sq, array) = (&self.params.sq, self.params.sq.array_or_flags);
        // SAFETY: The three mappings are as long as what is written here, at offsets that the
        // kernel gave and aligned for it, and the kernel looks at them only once the tail has
        // moved. All submissions before are complete.
        unsafe {
            ptr::write_volatile(self.sqes.address.cast(), submission);
            ptr::write_volatile(self.sq.address.add(array as usize).cast(), 0u32);
            (*self.sq.address.add(sq.tail as usize).cast::<AtomicU32>())
                .store(self.complete + 1, Ordering::Release);
        }
        // SAFETY: The call returns when the one read is complete, and `buf` lives until then.
        checked(unsafe {
            syscall(
                SYS_IO_URING_ENTER,
                self.ring.as_raw_fd(),
                1u32,
                1u32,
                IORING_ENTER_GETEVENTS,
                ptr::null::<u8>(),
                0usize,
            )
        } as isize)?;
        let result = self
            .take_completion()
            .ok_or_else(|| io::Error::other("the ring has no completion"))?
            .result;
        usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
    }

    fn take_completion(&mut self) -> Option<Completion> {
        let (cq, entries) = (&self.params.cq, self.params.cq.dropped_or_cqes);
        // The number of entries is a power of two.
        let index = self.complete & (self.params.cq_entries - 1);
        // SAFETY: The mapping holds the completion ring, of which the tail and one entry are read,
        // before the head is moved.
        unsafe {
            let tail = &*self.cq.address.add(cq.tail as usize).cast::<AtomicU32>();
            if tail.load(Ordering::Acquire) == self.complete {
                return None;
            }
            let entries = self.cq.address.add(entries as usize).cast::<Completion>();
            let completion = ptr::read_volatile(entries.add(index as usize));
            self.complete += 1;
            (*self.cq.address.add(cq.head as usize).cast::<AtomicU32>())
                .store(self.complete, Ordering::Release);
            Some(completion)
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // The kernel takes a ring apart later, and would keep the file open, and the filesystem
        // busy, until then.
        if self.is_registered {
            let _ = self.register(IORING_UNREGISTER_FILES, &[]);
        }
    }
}
