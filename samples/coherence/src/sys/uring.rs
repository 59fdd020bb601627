// SPDX-License-Identifier: GPL-2.0
//! A read by io_uring.

use super::{checked, syscall, Mapping, PROT_READ, PROT_WRITE};
use std::{
    ffi::c_long,
    fs::File,
    io,
    mem::size_of,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

const SYS_IO_URING_SETUP: c_long = 425;
const SYS_IO_URING_ENTER: c_long = 426;
const IORING_OFF_SQ_RING: i64 = 0;
const IORING_OFF_CQ_RING: i64 = 0x800_0000;
const IORING_OFF_SQES: i64 = 0x1000_0000;
const IORING_ENTER_GETEVENTS: u32 = 1;
const IORING_OP_READ: u8 = 22;

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

/// Reads from a file by one submission to a ring of its own.
pub(crate) fn read(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let mut params = Params::default();
    // SAFETY: `params` is what the call fills.
    let fd = checked(unsafe { syscall(SYS_IO_URING_SETUP, 1u32, &mut params) } as isize)?;
    // SAFETY: The call succeeded, so this is a descriptor that nobody else owns.
    let ring = unsafe { OwnedFd::from_raw_fd(fd as i32) };

    let both = PROT_READ | PROT_WRITE;
    let array_end = params.sq.array_or_flags as usize + size_of::<u32>();
    let sq = Mapping::with(&ring, array_end, both, IORING_OFF_SQ_RING)?;
    let cqes_end =
        params.cq.dropped_or_cqes as usize + params.cq_entries as usize * size_of::<Completion>();
    let cq = Mapping::with(&ring, cqes_end, both, IORING_OFF_CQ_RING)?;
    let sqes = Mapping::with(&ring, size_of::<Submission>(), both, IORING_OFF_SQES)?;

    // The ring is new and has one entry: submission and completion are number zero.
    let submission = Submission {
        opcode: IORING_OP_READ,
        fd: file.as_raw_fd(),
        offset: at,
        address: buf.as_mut_ptr() as u64,
        len: buf.len() as u32,
        ..Submission::default()
    };
    // SAFETY: The three mappings are as long as what is written here, at offsets that the kernel
    // gave and aligned for it, and the kernel looks at them only once the tail has moved.
    unsafe {
        ptr::write_volatile(sqes.address.cast(), submission);
        ptr::write_volatile(
            sq.address.add(params.sq.array_or_flags as usize).cast(),
            0u32,
        );
        (*sq.address.add(params.sq.tail as usize).cast::<AtomicU32>()).store(1, Ordering::Release);
    }
    // SAFETY: The call returns when the one read is complete, and `buf` lives until then.
    checked(unsafe {
        syscall(
            SYS_IO_URING_ENTER,
            ring.as_raw_fd(),
            1u32,
            1u32,
            IORING_ENTER_GETEVENTS,
            ptr::null::<u8>(),
            0usize,
        )
    } as isize)?;
    // SAFETY: The mapping holds the completion ring, of which the tail and the first entry are
    // read.
    let completion = unsafe {
        let tail = &*cq.address.add(params.cq.tail as usize).cast::<AtomicU32>();
        (tail.load(Ordering::Acquire) == 1).then(|| {
            ptr::read_volatile(
                cq.address
                    .add(params.cq.dropped_or_cqes as usize)
                    .cast::<Completion>(),
            )
        })
    };
    let result = completion
        .ok_or_else(|| io::Error::other("the ring has no completion"))?
        .result;
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}
