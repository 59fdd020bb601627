// SPDX-License-Identifier: GPL-2.0

//! Flags of single reads and writes reach the layer: what its filesystem can do
//! works, and what it refuses is refused with the same error.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;

tests! {
    EVERYWHERE: of_upper_files, of_copied_files, of_descriptors_from_before, an_atomic_write_where_statx_promises_it;
}

const SIZE: usize = 4096;
const RWF_ATOMIC: i32 = 0x40;
const RWF_DONTCACHE: i32 = 0x80;

const FLAGS: [(&str, i32); 6] = [
    ("RWF_HIPRI", libc::RWF_HIPRI),
    ("RWF_DSYNC", libc::RWF_DSYNC),
    ("RWF_SYNC", libc::RWF_SYNC),
    ("RWF_NOWAIT", libc::RWF_NOWAIT),
    ("RWF_ATOMIC", RWF_ATOMIC),
    ("RWF_DONTCACHE", RWF_DONTCACHE),
];

/// A block that can be read and written without the page cache.
#[repr(C, align(4096))]
struct Block([u8; SIZE]);

fn vector(block: &mut Block) -> libc::iovec {
    libc::iovec {
        iov_base: block.0.as_mut_ptr().cast(),
        iov_len: SIZE,
    }
}

fn result(count: isize) -> Result<usize, i32> {
    usize::try_from(count).map_err(|_| io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

fn read(file: &File, flags: i32) -> Result<usize, i32> {
    let mut block = Block([0; SIZE]);
    let vector = vector(&mut block);
    // SAFETY: the vector is of memory that outlives the call.
    let got = result(unsafe { libc::preadv2(file.as_raw_fd(), &vector, 1, 0, flags) });
    if got == Ok(SIZE) {
        assert!(block.0.iter().all(|byte| *byte == block.0[0]), "torn");
    }
    got
}

fn write(file: &File, byte: u8, flags: i32) -> Result<usize, i32> {
    let mut block = Block([byte; SIZE]);
    let vector = vector(&mut block);
    // SAFETY: as above.
    result(unsafe { libc::pwritev2(file.as_raw_fd(), &vector, 1, 0, flags) })
}

#[track_caller]
fn open(dir: &Dir, name: &str, writable: bool, custom: i32) -> File {
    let file = OpenOptions::new()
        .read(true)
        .write(writable)
        .custom_flags(custom)
        .open(dir.at(name));
    must(name, file)
}

/// What would have to wait may succeed here and not there.
fn alike(a: Result<usize, i32>, b: Result<usize, i32>) -> bool {
    let waits = |result| result == Err(libc::EAGAIN);
    a == b || waits(a) && b.is_ok() || a.is_ok() && waits(b)
}

/// Fails unless both files take and refuse the same flags.
#[track_caller]
fn compare(bare: &File, overlay: &File, writable: bool, how: &str) {
    for (name, flags) in FLAGS {
        let (there, here) = (read(bare, flags), read(overlay, flags));
        assert!(
            alike(there, here),
            "{how} read with {name}: {here:?}, not {there:?}"
        );
        if !writable {
            continue;
        }
        let (there, here) = (write(bare, b'1', flags), write(overlay, b'1', flags));
        assert!(
            alike(there, here),
            "{how} write with {name}: {here:?}, not {there:?}"
        );
        if here.is_ok() {
            assert_eq!(read(overlay, 0), Ok(SIZE), "{how} after {name}");
        }
    }
}

#[track_caller]
fn compare_files(bed: &Bed, m: &Dir, name: &str) {
    bed.upper.file("bare", [b'0'; SIZE]);
    for (how, custom) in [("buffered", 0), ("direct", libc::O_DIRECT)] {
        let bare = open(&bed.upper, "bare", true, custom);
        compare(&bare, &open(m, name, true, custom), true, how);
    }
}

fn of_upper_files(bed: &Bed) {
    bed.upper.file("up", [b'0'; SIZE]);
    let m = bed.mount();
    compare_files(bed, &m, "up");
}

fn of_copied_files(bed: &Bed) {
    bed.lower.file("low", [b'0'; SIZE]);
    let m = bed.mount();
    compare_files(bed, &m, "low");
}

fn of_descriptors_from_before(bed: &Bed) {
    bed.lower.file("low", [b'0'; SIZE]);
    let m = bed.mount();
    let early = m.open_read("low");
    assert_eq!(read(&early, 0), Ok(SIZE));
    m.open_rw("low");
    bed.upper.file("bare", [b'0'; SIZE]);
    compare(&bed.upper.open_read("bare"), &early, false, "early");
}

/// The smallest and the largest atomic write that statx promises for this file.
#[track_caller]
fn promised(dir: &Dir, name: &str) -> (u32, u32) {
    const STATX_WRITE_ATOMIC: u32 = 0x10000;
    let path = must(
        name,
        std::ffi::CString::new(dir.at(name).into_os_string().into_encoded_bytes()),
    );
    // SAFETY: all zero is a value of the structure, which the kernel fills.
    let (ret, stat) = unsafe {
        let mut stat: libc::statx = std::mem::zeroed();
        (
            libc::statx(
                libc::AT_FDCWD,
                path.as_ptr(),
                0,
                STATX_WRITE_ATOMIC,
                &mut stat,
            ),
            stat,
        )
    };
    assert_eq!(ret, 0, "statx {name}");
    if stat.stx_mask & STATX_WRITE_ATOMIC == 0 {
        return (0, 0);
    }
    (
        stat.stx_atomic_write_unit_min,
        stat.stx_atomic_write_unit_max,
    )
}

fn an_atomic_write_where_statx_promises_it(bed: &Bed) {
    bed.lower.file("low", [b'0'; SIZE]);
    let m = bed.mount();
    let file = open(&m, "low", true, libc::O_DIRECT);
    let (least, most) = promised(&m, "low");
    assert_eq!((least, most), promised(&bed.upper, "low"));
    let holds = (1..=most as usize).contains(&SIZE) && SIZE >= least as usize;
    let written = write(&file, b'1', RWF_ATOMIC);
    assert_eq!(
        written.is_ok(),
        holds,
        "{written:?}, promised {least}..{most}"
    );
}
