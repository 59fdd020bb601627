// SPDX-License-Identifier: GPL-2.0

//! Further ways to read through a descriptor from before the copy-up, and to
//! open its file anew.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSliceMut, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{copy_file_range, ioctl_ficlone};
use rustix::io::{preadv2, Errno, ReadWriteFlags};
use rustix::pipe::{pipe, splice, tee, SpliceFlags};

use crate::areas::holes::data_ranges;
use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::fiemap::extents;
use crate::support::must::{must, refused, same_bytes};

tests! {
    EVERYWHERE: without_waiting, by_tee, reopened_by_proc;
    DISKS: direct_reads_of_the_tail, its_extents, its_holes;
    ONE_FILESYSTEM: into_a_range_of_a_file;
    REFLINK: by_a_clone, by_a_clone_of_a_range;
    TWICE:
        reopened_for_writing_by_proc,
        reopened_when_it_is_renamed_or_removed,
        by_a_link_to_proc,
        with_a_ring_and_direct_descriptors;
}

const LENGTH: usize = 300_000;

/// A lower file, a descriptor from before, and the content since the copy-up.
fn changed(bed: &Bed) -> (Dir, File, Vec<u8>) {
    let mut content = pattern(1, LENGTH);
    bed.lower.file("low", &content);
    must("fsync", bed.lower.open_rw("low").sync_all());
    let m = bed.mount();
    let early = m.open_read("low");
    must("read", early.read_exact_at(&mut [0; 5000], 0));
    let new = pattern(2, 100_000);
    m.write_at("low", 50_000, &new);
    content[50_000..150_000].copy_from_slice(&new);
    (m, early, content)
}

fn without_waiting(bed: &Bed) {
    let (m, early, content) = changed(bed);
    // Now all of it is cached.
    same_bytes("low", &m.read("low"), &content);
    let mut bytes = vec![0; 4096];
    for offset in [0, 60_000, 148_000] {
        let mut read = |flags| {
            let mut buffers = [IoSliceMut::new(&mut bytes)];
            preadv2(&early, &mut buffers, offset as u64, flags)
        };
        match read(ReadWriteFlags::NOWAIT) {
            Ok(length) => {
                same_bytes(
                    "without waiting",
                    &bytes[..length],
                    &content[offset..offset + length],
                );
            }
            Err(error) => assert!([Errno::AGAIN, Errno::OPNOTSUPP].contains(&error), "{error}"),
        }
    }
}

fn by_tee(bed: &Bed) {
    let (_m, early, content) = changed(bed);
    let ((r1, w1), (r2, w2)) = (must("pipe", pipe()), must("pipe", pipe()));
    let flags = SpliceFlags::empty();
    let mut offset = 48_000;
    let moved = must(
        "splice",
        splice(&early, Some(&mut offset), &w1, None, 8000, flags),
    );
    assert_eq!(must("tee", tee(&r1, &w2, moved, flags)), moved);
    for reader in [r1, r2] {
        let mut bytes = vec![0; moved];
        must("read", File::from(reader).read_exact(&mut bytes));
        same_bytes("teed", &bytes, &content[48_000..48_000 + moved]);
    }
}

fn by_proc(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn reopened_by_proc(bed: &Bed) {
    let (m, early, content) = changed(bed);
    let mut again = must("open", File::open(by_proc(&early)));
    let mut bytes = Vec::new();
    must("read", again.read_to_end(&mut bytes));
    same_bytes("by /proc", &bytes, &content);
    m.file("low", "new content");
    for file in [&early, &again] {
        let mut bytes = vec![0; 100];
        let length = must("read", file.read_at(&mut bytes, 0));
        same_bytes("both", &bytes[..length], b"new content");
    }
}

fn reopened_for_writing_by_proc(bed: &Bed) {
    bed.lower.file("low", "old content");
    let m = bed.mount();
    let mut early = m.open_read("low");
    // This is what copies it up.
    let again = OpenOptions::new().write(true).open(by_proc(&early));
    must("write", must("open", again).write_all_at(b"new", 0));
    let mut text = String::new();
    must("read", early.read_to_string(&mut text));
    assert_eq!(text, "new content");
    assert_eq!(bed.upper.text("low"), "new content");
    drop(must("truncate", File::create(by_proc(&early))));
    assert_eq!(must("fstat", early.metadata()).len(), 0);
}

fn reopened_when_it_is_renamed_or_removed(bed: &Bed) {
    let (m, early, content) = changed(bed);
    m.rename("low", "moved");
    m.file("low", "another");
    let reopened = || must("read by /proc", std::fs::read(by_proc(&early)));
    same_bytes("renamed", &reopened(), &content);
    m.unlink("moved");
    same_bytes("removed", &reopened(), &content);
    must("write", std::fs::write(by_proc(&early), "no name"));
    same_bytes("removed and written", &reopened(), b"no name");
}

fn by_a_link_to_proc(bed: &Bed) {
    let (m, early, content) = changed(bed);
    let linked = rustix::fs::linkat(
        rustix::fs::CWD,
        by_proc(&early),
        rustix::fs::CWD,
        m.at("linked"),
        rustix::fs::AtFlags::SYMLINK_FOLLOW,
    );
    must("linkat", linked);
    same_bytes("linked", &m.read("linked"), &content);
    assert_eq!(must("fstat", rustix::fs::fstat(&early)).st_nlink, 2);
}

fn direct_reads_of_the_tail(bed: &Bed) {
    bed.lower.file("low", pattern(1, 20_000));
    must("fsync", bed.lower.open_rw("low").sync_all());
    let m = bed.mount();
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECT;
    let early = m.open("low", flags);
    let mut memory = vec![0; 65536 + 4096];
    let start = memory.as_ptr().align_offset(4096);
    let buffer = &mut memory[start..start + 65536];
    assert_eq!(must("read", early.read_at(buffer, 16384)), 20_000 - 16384);
    m.append("low", &pattern(2, 20_000));
    let mut want = pattern(1, 20_000);
    want.extend(pattern(2, 20_000));
    let length = must("read", early.read_at(buffer, 16384));
    same_bytes("the tail", &buffer[..length], &want[16384..]);
    assert_eq!(must("at the end", early.read_at(buffer, 40_960)), 0);
    // What was written by a descriptor of the same kind.
    let writer = m.open("low", rustix::fs::OFlags::RDWR | rustix::fs::OFlags::DIRECT);
    buffer.fill(7);
    must("write", writer.write_all_at(&buffer[..8192], 0));
    let length = must("read", early.read_at(buffer, 4096));
    assert_eq!(length, 40_000 - 4096);
    assert!(buffer[..4096].iter().all(|&byte| byte == 7));
}

fn its_extents(bed: &Bed) {
    let (m, early, _) = changed(bed);
    m.write_at("low", 4 << 20, b"far away");
    must("fsync", early.sync_all());
    let want = must("fiemap", extents(&bed.upper.open_read("low")));
    let other = must("fiemap", extents(&bed.lower.open_read("low")));
    assert_ne!(want.0, other.0);
    assert_eq!(must("fiemap", extents(&early)), want);
}

fn its_holes(bed: &Bed) {
    let (m, mut early, _) = changed(bed);
    let writer = m.open_rw("low");
    must("ftruncate", writer.set_len(0));
    must("ftruncate", writer.set_len(8 << 20));
    must("write", writer.write_all_at(&[1; 65536], 4 << 20));
    must("fsync", writer.sync_all());
    assert_eq!(data_ranges(&early), [(4 << 20, (4 << 20) + 65536)]);
    assert_eq!(must("lseek", early.seek(SeekFrom::End(0))), 8 << 20);
    // Its position is its own.
    assert_eq!(must("lseek", early.stream_position()), 8 << 20);
    refused(
        Errno::NXIO,
        rustix::fs::seek(&early, rustix::fs::SeekFrom::Data(5 << 20)),
    );
}

fn into_a_range_of_a_file(bed: &Bed) {
    let (m, early, content) = changed(bed);
    let outside = bed.aside("outside").create("copy", 0o600);
    for copy in [&m.create("copy", 0o600), &outside] {
        let (mut from, mut to) = (40_000, 1000);
        while from < 160_000 {
            let left = 160_000 - from as usize;
            let copied = copy_file_range(&early, Some(&mut from), copy, Some(&mut to), left);
            match copied {
                // Not every kernel copies from one filesystem to another.
                Err(Errno::XDEV) => break,
                copied => assert_ne!(must("copy_file_range", copied), 0),
            }
        }
        if from == 160_000 {
            let mut bytes = vec![0; 120_000];
            must("read", copy.read_exact_at(&mut bytes, 1000));
            same_bytes("copy", &bytes, &content[40_000..160_000]);
        } else {
            assert_eq!(copy.metadata().map(|meta| meta.len()).ok(), Some(0));
        }
    }
}

fn by_a_clone(bed: &Bed) {
    let (m, early, content) = changed(bed);
    let clone = m.create("clone", 0o600);
    must("FICLONE", ioctl_ficlone(&clone, &early));
    same_bytes("clone", &m.read("clone"), &content);
    m.file("low", "new content");
    must("ftruncate", clone.set_len(0));
    must("FICLONE again", ioctl_ficlone(&clone, &early));
    assert_eq!(m.text("clone"), "new content");
}

fn by_a_clone_of_a_range(bed: &Bed) {
    #[repr(C)]
    struct Range {
        from: i64,
        offset: u64,
        length: u64,
        to: u64,
    }
    const FICLONERANGE: libc::Ioctl = 0x4020_940d;

    let (m, early, content) = changed(bed);
    let clone = m.create("clone", 0o600);
    let range = Range {
        from: i64::from(early.as_raw_fd()),
        offset: 45_056,
        length: 65_536,
        to: 0,
    };
    // SAFETY: the kernel reads `range`.
    let result = unsafe { libc::ioctl(clone.as_raw_fd(), FICLONERANGE, &raw const range) };
    let cloned = match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    must("FICLONERANGE", cloned);
    same_bytes("clone", &m.read("clone"), &content[45_056..110_592]);
}

fn with_a_ring_and_direct_descriptors(bed: &Bed) {
    bed.lower.file("low", "old content");
    let m = bed.mount();
    let mut ring = must("io_uring", io_uring::IoUring::new(4));
    must("register", ring.submitter().register_files_sparse(2));
    let mut run = |request: io_uring::squeue::Entry| {
        // SAFETY: what the request points to outlives it: its completion is
        // waited for.
        unsafe { ring.submission().push(&request) }.expect("room in the ring");
        must("io_uring_enter", ring.submit_and_wait(1));
        ring.completion().next().expect("a completion").result()
    };
    // Opened by the ring, into the ring: no descriptor of the process has it.
    let path = std::ffi::CString::new(m.at("low").to_string_lossy().as_bytes()).expect("path");
    let slot = io_uring::types::DestinationSlot::try_from_slot_target(1).expect("slot");
    let open = io_uring::opcode::OpenAt::new(io_uring::types::Fd(libc::AT_FDCWD), path.as_ptr())
        .file_index(Some(slot))
        .build();
    assert_eq!(run(open), 0);
    let mut read = || {
        let mut bytes = vec![0_u8; 32];
        let fixed = io_uring::types::Fixed(1);
        let length = run(io_uring::opcode::Read::new(fixed, bytes.as_mut_ptr(), 32).build());
        bytes.truncate(usize::try_from(length).expect("a length"));
        bytes
    };
    same_bytes("before", &read(), b"old content");
    m.file("low", "new and longer content");
    same_bytes("after", &read(), b"new and longer content");
}
