// SPDX-License-Identifier: GPL-2.0

//! Linux AIO (`io_submit`), which no maintained crate offers.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

const IOCB_CMD_PREAD: u16 = 0;

/// `struct iocb` of `linux/aio_abi.h`, as on little-endian machines.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event_fd: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Default)]
struct Event {
    data: u64,
    object: u64,
    result: i64,
    result2: i64,
}

fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// An AIO context for one request at a time.
struct Context(libc::c_ulong);

impl Context {
    fn new() -> io::Result<Self> {
        let mut id: libc::c_ulong = 0;
        // SAFETY: the kernel writes the context's id to `id`.
        checked(unsafe { libc::syscall(libc::SYS_io_setup, 1, &mut id) })?;
        Ok(Self(id))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is ours and has no request in flight.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}

/// Reads at an offset, and returns what came, which may be less.
pub fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let context = Context::new()?;
    let mut bytes = vec![0_u8; length];
    let mut request = Iocb {
        opcode: IOCB_CMD_PREAD,
        fd: file.as_raw_fd() as u32,
        buffer: bytes.as_mut_ptr() as u64,
        bytes: length as u64,
        offset: offset as i64,
        ..Iocb::default()
    };
    let mut requests = [&raw mut request];
    let mut event = Event::default();
    // SAFETY: `request`, `event` and the buffer outlive the request, which has
    // ended when io_getevents has returned its event.
    unsafe {
        checked(libc::syscall(
            libc::SYS_io_submit,
            context.0,
            1,
            requests.as_mut_ptr(),
        ))?;
        checked(libc::syscall(
            libc::SYS_io_getevents,
            context.0,
            1,
            1,
            &raw mut event,
            std::ptr::null_mut::<libc::timespec>(),
        ))?;
    }
    let got = usize::try_from(event.result)
        .map_err(|_| io::Error::from_raw_os_error(-(event.result as i32)))?;
    bytes.truncate(got);
    Ok(bytes)
}
