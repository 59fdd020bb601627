// SPDX-License-Identifier: GPL-2.0

//! Reading and writing.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::io::{preadv2, pwritev2, Errno, ReadWriteFlags};

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::must::{must, refused, same_bytes};
use crate::support::readers::{by_mmap, Way, WAYS};

tests! {
    EVERYWHERE: every_way_reads_a_lower_file, every_way_reads_an_upper_file, write_and_read_back;
    TWICE:
        at_offsets,
        in_pieces,
        beyond_the_end,
        writing_beyond_the_end_leaves_a_hole,
        the_position_is_shared_by_duplicates,
        the_position_survives_copy_up,
        two_descriptors_see_each_other,
        nowait,
        append_by_pwritev2,
        by_io_uring,
        no_space,
        the_file_size_limit,
        bad_addresses;
}

const LENGTH: usize = 100_003;

fn every_way_reads(bed: &Bed, layer: &crate::support::dir::Dir) {
    let content = pattern(1, LENGTH);
    layer.file("file", &content);
    let m = bed.mount();
    let file = m.open_read("file");
    for (name, way) in WAYS.iter().copied().chain([("mmap", by_mmap as Way)]) {
        if name == "copy_file_range" && !bed.pair.one_filesystem() {
            // The kernel does not copy from one filesystem's file to another's.
            continue;
        }
        for (offset, length) in [(0, LENGTH), (4096, 4096), (4095, 5000), (LENGTH - 3, 3)] {
            let got = must(name, way(&file, offset as u64, length, &m));
            same_bytes(name, &got, &content[offset..offset + length]);
        }
        let past = must(name, way(&file, LENGTH as u64 - 3, 100, &m));
        same_bytes(name, &past, &content[LENGTH - 3..]);
        let nothing = must(name, way(&file, LENGTH as u64 + 10, 100, &m));
        assert!(nothing.is_empty(), "{name}");
    }
}

fn every_way_reads_a_lower_file(bed: &Bed) {
    every_way_reads(bed, &bed.lower);
    assert!(!bed.upper.exists("file"));
}

fn every_way_reads_an_upper_file(bed: &Bed) {
    every_way_reads(bed, &bed.upper);
}

fn write_and_read_back(bed: &Bed) {
    let m = bed.mount();
    let content = pattern(2, LENGTH);
    let mut file = m.create("file", 0o644);
    for piece in content.chunks(7777) {
        must("write", file.write_all(piece));
    }
    same_bytes("through the overlay", &m.read("file"), &content);
    same_bytes("in upper", &bed.upper.read("file"), &content);
}

fn at_offsets(bed: &Bed) {
    let mut content = pattern(3, LENGTH);
    bed.lower.file("file", &content);
    let m = bed.mount();
    let file = m.open_rw("file");
    for (number, offset) in [0, 4090, 50_000, LENGTH - 10].into_iter().enumerate() {
        let piece = pattern(10 + number as u64, 20);
        must("pwrite", file.write_all_at(&piece, offset as u64));
        content.resize(content.len().max(offset + 20), 0);
        content[offset..offset + 20].copy_from_slice(&piece);
    }
    same_bytes("file", &m.read("file"), &content);
    assert_eq!(must("lseek", (&file).stream_position()), 0);
}

fn in_pieces(bed: &Bed) {
    bed.lower.file("file", "0123456789");
    let m = bed.mount();
    let mut file = m.open_rw("file");
    must(
        "writev",
        file.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")]),
    );
    must("lseek", file.seek(SeekFrom::Start(1)));
    let (mut one, mut two) = ([0; 3], [0; 4]);
    let got = must(
        "readv",
        file.read_vectored(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)]),
    );
    assert_eq!((got, &one, &two), (7, b"bcd", b"e567"));
}

fn beyond_the_end(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    for name in ["low", "up"] {
        let file = m.open_read(name);
        let mut buffer = [0; 16];
        assert_eq!(must("pread", file.read_at(&mut buffer, 7)), 0);
        assert_eq!(must("pread", file.read_at(&mut buffer, 1 << 40)), 0);
        assert_eq!(must("pread", file.read_at(&mut buffer, 5)), 2);
    }
}

fn writing_beyond_the_end_leaves_a_hole(bed: &Bed) {
    bed.lower.file("file", "content");
    let m = bed.mount();
    m.write_at("file", 10_000, b"end");
    let mut want = b"content".to_vec();
    want.resize(10_000, 0);
    want.extend(b"end");
    same_bytes("file", &m.read("file"), &want);
}

fn the_position_is_shared_by_duplicates(bed: &Bed) {
    bed.lower.file("file", "0123456789");
    let m = bed.mount();
    let mut file = m.open_rw("file");
    let mut twin = must("dup", file.try_clone());
    let mut byte = [0];
    must("read", file.read_exact(&mut byte));
    must("write", twin.write_all(b"ab"));
    must("read", file.read_exact(&mut byte));
    assert_eq!(&byte, b"3");
    assert_eq!(m.text("file"), "0ab3456789");
}

fn the_position_survives_copy_up(bed: &Bed) {
    bed.lower.file("file", "0123456789");
    let m = bed.mount();
    let mut file = m.open_read("file");
    let mut start = [0; 4];
    must("read", file.read_exact(&mut start));
    m.write_at("file", 0, b"abcdefgh");
    let mut rest = String::new();
    must("read", file.read_to_string(&mut rest));
    assert_eq!(rest, "efgh89");
    assert_eq!(must("lseek", file.seek(SeekFrom::Current(-2))), 8);
    assert_eq!(must("lseek", file.seek(SeekFrom::End(-1))), 9);
}

fn two_descriptors_see_each_other(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    for name in ["low", "up"] {
        let (one, two) = (m.open_rw(name), m.open_rw(name));
        must("write", one.write_all_at(b"C", 0));
        must("write", two.write_all_at(b"T", 6));
        for file in [&one, &two] {
            let mut text = [0; 7];
            must("read", file.read_exact_at(&mut text, 0));
            assert_eq!(&text, b"ContenT");
        }
    }
}

fn nowait(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    for name in ["low", "up"] {
        let file = m.open_read(name);
        assert_eq!(m.text(name), "content");
        let mut buffer = [0; 7];
        let got = preadv2(
            &file,
            &mut [IoSliceMut::new(&mut buffer)],
            0,
            ReadWriteFlags::NOWAIT,
        );
        // Whether a driver can tell that it need not wait is its own affair.
        match got {
            Ok(length) => assert_eq!((length, &buffer), (7, b"content")),
            Err(error) => assert!(matches!(error, Errno::AGAIN | Errno::OPNOTSUPP), "{error}"),
        }
    }
}

fn append_by_pwritev2(bed: &Bed) {
    bed.lower.file("file", "content");
    let m = bed.mount();
    let file = m.open_rw("file");
    let piece = [IoSlice::new(b", more")];
    must(
        "pwritev2",
        pwritev2(&file, &piece, 0, ReadWriteFlags::APPEND),
    );
    must(
        "pwritev2",
        pwritev2(&file, &piece, 7, ReadWriteFlags::DSYNC),
    );
    assert_eq!(m.text("file"), "content, more");
}

fn by_io_uring(bed: &Bed) {
    bed.lower.file("file", "content");
    let m = bed.mount();
    let file = m.open_rw("file");
    let mut ring = must("io_uring", io_uring::IoUring::new(4));
    let data = b"CONTENT, and more";
    let fd = io_uring::types::Fd(file.as_raw_fd());
    let write = io_uring::opcode::Write::new(fd, data.as_ptr(), data.len() as u32).build();
    let sync = io_uring::opcode::Fsync::new(fd).build();
    for request in [write, sync] {
        // SAFETY: the buffer and the file outlive the request, whose
        // completion is waited for.
        unsafe { ring.submission().push(&request) }.expect("room in the ring");
        must("io_uring_enter", ring.submit_and_wait(1));
        let result = ring.completion().next().expect("a completion").result();
        assert!(
            result >= 0,
            "{}",
            std::io::Error::from_raw_os_error(-result)
        );
    }
    assert_eq!(m.text("file"), "CONTENT, and more");
    assert_eq!(bed.upper.text("file"), "CONTENT, and more");
}

fn no_space(bed: &Bed) {
    let small = bed.mount_tmpfs("small", "size=256k");
    let (upper, work) = (small.sub("u"), small.sub("w"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let m = must("mount", bed.try_mount(&options));
    refused(Errno::NOSPC, std::fs::write(m.at("big"), vec![1; 1 << 20]));
    m.unlink("big");
    m.file("small", "fits");
    assert_eq!(m.text("small"), "fits");
}

fn the_file_size_limit(bed: &Bed) {
    bed.lower.file("file", "content");
    let m = bed.mount();
    let limit = libc::rlimit {
        rlim_cur: 8192,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: both calls only change this process's own state.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
    let file = m.open_rw("file");
    assert_eq!(must("short write", file.write_at(&[1; 8192], 4096)), 4096);
    refused(Errno::FBIG, file.write_at(&[1; 10], 8192));
    assert_eq!(m.stat("file").st_size, 8192);
}

fn bad_addresses(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    for name in ["low", "up"] {
        let file: File = m.open_read(name);
        // SAFETY: the kernel checks the address, which nothing is mapped at.
        let got = unsafe { libc::read(file.as_raw_fd(), 16 as *mut libc::c_void, 7) };
        assert_eq!(got, -1);
        assert_eq!(
            std::io::Error::last_os_error().raw_os_error(),
            Some(libc::EFAULT)
        );
    }
}
