// SPDX-License-Identifier: GPL-2.0

//! The kernel itself reads from shared mappings made before the copy-up: for
//! system calls of this process and of others.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{waitpid, Pid, WaitOptions};

use crate::harness::bed::Bed;
use crate::support::board::Board;
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::{Map, PAGE};
use crate::support::must::{must, same_bytes};
use crate::support::process::Child;

tests! {
    EVERYWHERE:
        by_write,
        by_process_vm_readv;
    DISKS:
        by_direct_write,
        by_direct_io_uring;
    TWICE:
        by_proc_mem,
        by_own_proc_mem,
        by_ptrace,
        by_io_uring,
        by_vmsplice,
        by_send;
}

fn checked(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Takes `length` bytes of a mapping to a descriptor, at the file's start.
type Way = fn(map: &Map, length: usize, to: RawFd) -> io::Result<usize>;

/// Writes from an old mapping into another file, before anything else has
/// touched it and after.
fn into_a_file(bed: &Bed, flags: OFlags, length: usize, way: Way) {
    for mut early in Early::both(bed) {
        early.m.file("target", "");
        let target = early.m.open("target", OFlags::RDWR | flags);
        let check = |early: &Early, when: &str| {
            must("truncate", target.set_len(0));
            let got = must(when, way(&early.map, length, target.as_raw_fd()));
            assert_eq!(got, length, "{when}");
            same_bytes(when, &early.m.read("target"), &early.content[..length]);
        };
        check(&early, "before the copy-up");
        drop(early.open_rw());
        check(&early, "after the copy-up");
        for seed in 2..5 {
            early.rewrite(seed);
            check(&early, "after a write");
        }
        early.assert_current("at the end");
    }
}

fn write(map: &Map, length: usize, to: RawFd) -> io::Result<usize> {
    // SAFETY: the kernel reads what the mapping has.
    checked(unsafe { libc::pwrite(to, map.address(), length, 0) })
}

fn by_write(bed: &Bed) {
    into_a_file(bed, OFlags::empty(), LENGTH, write);
}

fn by_direct_write(bed: &Bed) {
    into_a_file(bed, OFlags::DIRECT, 4 * PAGE, write);
}

fn io_uring(map: &Map, length: usize, to: RawFd) -> io::Result<usize> {
    let mut ring = io_uring::IoUring::new(2)?;
    let fd = io_uring::types::Fd(to);
    let size = u32::try_from(length).map_err(io::Error::other)?;
    let request = io_uring::opcode::Write::new(fd, map.pointer(0), size).build();
    // SAFETY: the mapping outlives the request, whose completion is waited
    // for.
    unsafe { ring.submission().push(&request) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    let result = ring.completion().next().expect("a completion").result();
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

fn by_io_uring(bed: &Bed) {
    into_a_file(bed, OFlags::empty(), LENGTH, io_uring);
}

fn by_direct_io_uring(bed: &Bed) {
    into_a_file(bed, OFlags::DIRECT, 4 * PAGE, io_uring);
}

/// Looks at an old mapping in this way, which returns its bytes.
fn into_memory(bed: &Bed, way: impl Fn(&Map) -> Vec<u8>) {
    for mut early in Early::both(bed) {
        let check = |early: &Early, when: &str| {
            same_bytes(when, &way(&early.map), &early.content);
        };
        check(&early, "before the copy-up");
        drop(early.open_rw());
        check(&early, "after the copy-up");
        for seed in 2..5 {
            early.rewrite(seed);
            check(&early, "after a write");
        }
        early.assert_current("at the end");
    }
}

fn by_vmsplice(bed: &Bed) {
    into_memory(bed, |map| {
        let (reader, writer) = must("pipe", rustix::pipe::pipe());
        let piece = libc::iovec {
            iov_base: map.address(),
            iov_len: LENGTH,
        };
        // SAFETY: the kernel only reads from the mapping.
        let got = checked(unsafe { libc::vmsplice(writer.as_raw_fd(), &piece, 1, 0) });
        assert_eq!(must("vmsplice", got), LENGTH);
        let mut bytes = vec![0; LENGTH];
        must("read", File::from(reader).read_exact(&mut bytes));
        bytes
    });
}

fn by_send(bed: &Bed) {
    into_memory(bed, |map| {
        let (mut one, two) = must("socketpair", std::os::unix::net::UnixStream::pair());
        // SAFETY: the kernel only reads from the mapping.
        let got = checked(unsafe { libc::send(two.as_raw_fd(), map.address(), LENGTH, 0) });
        assert_eq!(must("send", got), LENGTH);
        let mut bytes = vec![0; LENGTH];
        must("read", one.read_exact(&mut bytes));
        bytes
    });
}

/// Repeats what may fail for a moment after the copy-up, as access to a
/// process's memory by others may.
#[track_caller]
fn soon<T>(what: &str, mut step: impl FnMut() -> io::Result<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        match step() {
            Err(_) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return must(what, result),
        }
    }
}

fn by_own_proc_mem(bed: &Bed) {
    into_memory(bed, |map| {
        let memory = must("open", File::open("/proc/self/mem"));
        let mut bytes = vec![0; LENGTH];
        soon("read mem", || {
            memory.read_exact_at(&mut bytes, map.address() as u64)
        });
        bytes
    });
}

/// Looks at an old mapping in a child that touches it or not, and else only
/// waits.
fn of_a_child(bed: &Bed, way: impl Fn(Pid, &Map) -> Vec<u8>) {
    const READY: usize = 0;
    const END: usize = 1;

    for mut early in Early::both(bed) {
        let board = Board::new();
        let child = Child::spawn(|| {
            if early.name == "touched" {
                early.assert_current("in the child");
            }
            board.set(READY, 1);
            board.wait(END, 1);
        });
        board.wait(READY, 1);
        let check = |early: &Early, when: &str| {
            same_bytes(when, &way(child.pid(), &early.map), &early.content);
        };
        drop(early.open_rw());
        check(&early, "after the copy-up");
        for seed in 2..5 {
            early.rewrite(seed);
            check(&early, "after a write");
        }
        board.set(END, 1);
        child.join();
    }
}

fn by_process_vm_readv(bed: &Bed) {
    of_a_child(bed, |pid, map| {
        let mut bytes = vec![0_u8; LENGTH];
        let local = libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: LENGTH,
        };
        let remote = libc::iovec {
            iov_base: map.address(),
            iov_len: LENGTH,
        };
        // SAFETY: the kernel writes to the vector.
        let got = checked(unsafe {
            libc::process_vm_readv(pid.as_raw_nonzero().get(), &local, 1, &remote, 1, 0)
        });
        assert_eq!(must("process_vm_readv", got), LENGTH);
        bytes
    });
}

fn by_proc_mem(bed: &Bed) {
    of_a_child(bed, |pid, map| {
        let path = format!("/proc/{}/mem", pid.as_raw_nonzero());
        let memory = must("open", File::open(path));
        let mut bytes = vec![0; LENGTH];
        soon("read mem", || {
            memory.read_exact_at(&mut bytes, map.address() as u64)
        });
        bytes
    });
}

fn by_ptrace(bed: &Bed) {
    const WORD: usize = size_of::<libc::c_long>();

    fn ptrace(request: libc::c_uint, pid: Pid, address: usize) -> io::Result<libc::c_long> {
        let mut word: libc::c_long = 0;
        // SAFETY: as a system call, this returns the word by its last
        // argument, which other requests do not look at.
        let result = unsafe {
            let pid = pid.as_raw_nonzero().get();
            let data = if request == libc::PTRACE_PEEKDATA {
                &raw mut word
            } else {
                std::ptr::null_mut()
            };
            libc::syscall(
                libc::SYS_ptrace,
                libc::c_long::from(request),
                pid,
                address,
                data,
            )
        };
        match result {
            0 => Ok(word),
            _ => Err(io::Error::last_os_error()),
        }
    }

    of_a_child(bed, |pid, map| {
        must("attach", ptrace(libc::PTRACE_ATTACH, pid, 0));
        let (_, status) =
            must("waitpid", waitpid(Some(pid), WaitOptions::UNTRACED)).expect("the child vanished");
        assert!(status.stopped(), "{status:?}");
        let bytes = (0..LENGTH / WORD)
            .flat_map(|index| {
                let address = map.address() as usize + index * WORD;
                let peek = || ptrace(libc::PTRACE_PEEKDATA, pid, address);
                soon("peek", peek).to_ne_bytes()
            })
            .collect();
        must("detach", ptrace(libc::PTRACE_DETACH, pid, 0));
        bytes
    });
}
