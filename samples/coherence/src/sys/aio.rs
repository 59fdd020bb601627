// SPDX-License-Identifier: GPL-2.0
//! A read by the kernel's AIO.

use super::{checked, syscall};
use std::{ffi::c_long, fs::File, io, os::fd::AsRawFd, ptr};

#[cfg(target_arch = "x86_64")]
mod number {
    pub(super) const IO_SETUP: i64 = 206;
    pub(super) const IO_DESTROY: i64 = 207;
    pub(super) const IO_GETEVENTS: i64 = 208;
    pub(super) const IO_SUBMIT: i64 = 209;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub(super) const IO_SETUP: i64 = 0;
    pub(super) const IO_DESTROY: i64 = 1;
    pub(super) const IO_SUBMIT: i64 = 2;
    pub(super) const IO_GETEVENTS: i64 = 4;
}

const IOCB_CMD_PREAD: u16 = 0;

/// `struct iocb` of a little-endian machine.
#[repr(C)]
#[derive(Default)]
struct Request {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    fd: u32,
    buf: u64,
    len: u64,
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
    request: u64,
    result: i64,
    result2: i64,
}

/// An AIO context, as io_setup(2) makes it.
struct Context(usize);

impl Context {
    fn new() -> io::Result<Self> {
        let mut id = 0;
        // SAFETY: `id` is what the call fills.
        checked(unsafe { syscall(number::IO_SETUP as c_long, 1usize, &mut id) } as isize)?;
        Ok(Self(id))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: The context was made by io_setup(2); this waits for what is under way.
        unsafe { syscall(number::IO_DESTROY as c_long, self.0) };
    }
}

/// Reads from a file by one request to a context of its own.
pub(crate) fn read(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let context = Context::new()?;
    let mut request = Request {
        opcode: IOCB_CMD_PREAD,
        fd: file.as_raw_fd() as u32,
        buf: buf.as_mut_ptr() as u64,
        len: buf.len() as u64,
        offset: at as i64,
        ..Request::default()
    };
    let requests = [ptr::from_mut(&mut request)];
    let mut event = Event::default();
    // SAFETY: The request, and the memory it tells the kernel to fill, live until the request is
    // complete: the second call waits for it, and dropping the context would too.
    unsafe {
        checked(syscall(
            number::IO_SUBMIT as c_long,
            context.0,
            1usize,
            requests.as_ptr(),
        ) as isize)?;
        checked(syscall(
            number::IO_GETEVENTS as c_long,
            context.0,
            1usize,
            1usize,
            &mut event,
            ptr::null_mut::<u8>(),
        ) as isize)?;
    }
    usize::try_from(event.result).map_err(|_| io::Error::from_raw_os_error(-event.result as i32))
}
