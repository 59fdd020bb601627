// SPDX-License-Identifier: GPL-2.0

//! Data that moves between descriptors without a copy in the program.

use std::io::{Read, Write};

use rustix::fs::{copy_file_range, ioctl_ficlone, sendfile};
use rustix::io::Errno;
use rustix::pipe::{pipe, splice, tee, SpliceFlags};

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::fiemap::extents;
use crate::support::must::{must, refused, same_bytes};

tests! {
    ONE_FILESYSTEM: copy_file_range_within_the_overlay, copy_file_range_from_lower_to_copied_up;
    REFLINK: clone_of_a_lower_file;
    SEVERAL_FILESYSTEMS: clone_between_filesystems, copy_file_range_between_filesystems;
    TWICE:
        splice_from_a_pipe,
        splice_from_a_lower_file_by_position,
        sendfile_between_files,
        sendfile_into_a_socket,
        tee_from_a_lower_file,
        copy_file_range_to_a_layer,
        copy_file_range_onto_itself;
}

const LENGTH: usize = 70_001;

fn splice_from_a_pipe(bed: &Bed) {
    bed.lower.file("low", "0123456789");
    let m = bed.mount();
    let file = m.open_rw("low");
    let (reader, writer) = must("pipe", pipe());
    must("write", rustix::io::write(&writer, b"spliced"));
    let mut position = 2;
    let flags = SpliceFlags::empty();
    let moved = must(
        "splice",
        splice(&reader, None, &file, Some(&mut position), 7, flags),
    );
    assert_eq!((moved, position), (7, 9));
    assert_eq!(m.text("low"), "01spliced9");
    assert_eq!(bed.upper.text("low"), "01spliced9");
    assert_eq!(m.stat("low").st_size, 10);
}

fn splice_from_a_lower_file_by_position(bed: &Bed) {
    bed.lower.file("low", "0123456789");
    let m = bed.mount();
    let mut file = m.open_read("low");
    let (reader, writer) = must("pipe", pipe());
    let flags = SpliceFlags::empty();
    assert_eq!(
        must("splice", splice(&file, None, &writer, None, 4, flags)),
        4
    );
    let mut bytes = [0; 4];
    must("read", rustix::io::read(&reader, &mut bytes));
    assert_eq!(&bytes, b"0123");
    let mut rest = String::new();
    must("read", file.read_to_string(&mut rest));
    assert_eq!(rest, "456789");
}

fn sendfile_between_files(bed: &Bed) {
    let content = pattern(1, LENGTH);
    bed.lower.file("low", &content);
    bed.lower.file("to", "old");
    let m = bed.mount();
    let (from, to) = (m.open_read("low"), m.open_rw("to"));
    let mut left = LENGTH;
    while left > 0 {
        left -= must("sendfile", sendfile(&to, &from, None, left));
    }
    same_bytes("copy", &m.read("to"), &content);
    same_bytes("copy in upper", &bed.upper.read("to"), &content);
}

fn sendfile_into_a_socket(bed: &Bed) {
    let content = pattern(2, LENGTH);
    bed.lower.file("low", &content);
    let m = bed.mount();
    let (one, mut two) = must("socketpair", std::os::unix::net::UnixStream::pair());
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        must("read", two.read_to_end(&mut bytes));
        bytes
    });
    let from = m.open_read("low");
    let mut left = LENGTH;
    while left > 0 {
        left -= must("sendfile", sendfile(&one, &from, None, left));
    }
    drop(one);
    same_bytes("received", &reader.join().expect("reader"), &content);
}

fn tee_from_a_lower_file(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let ((r1, w1), (r2, w2)) = (must("pipe", pipe()), must("pipe", pipe()));
    let flags = SpliceFlags::empty();
    must(
        "splice",
        splice(m.open_read("low"), None, &w1, None, 7, flags),
    );
    assert_eq!(must("tee", tee(&r1, &w2, 7, flags)), 7);
    m.file("low", "changed");
    for reader in [&r1, &r2] {
        let mut bytes = [0; 7];
        must("read", rustix::io::read(reader, &mut bytes));
        assert_eq!(&bytes, b"content");
    }
}

fn copy_file_range_within_the_overlay(bed: &Bed) {
    let content = pattern(3, LENGTH);
    bed.lower.file("low", &content);
    bed.upper.file("up", &content);
    let m = bed.mount();
    for name in ["low", "up"] {
        let copy = m.create(&format!("copy-of-{name}"), 0o644);
        let from = m.open_read(name);
        let mut left = LENGTH;
        while left > 0 {
            let copied = must(
                "copy_file_range",
                copy_file_range(&from, None, &copy, None, left),
            );
            assert_ne!(copied, 0);
            left -= copied;
        }
        assert_eq!(
            must("at the end", copy_file_range(&from, None, &copy, None, 1)),
            0
        );
        same_bytes(name, &m.read(&format!("copy-of-{name}")), &content);
        assert_eq!(m.stat(&format!("copy-of-{name}")).st_size, LENGTH as i64);
    }
}

fn copy_file_range_from_lower_to_copied_up(bed: &Bed) {
    let content = pattern(4, LENGTH);
    bed.lower.file("from", &content);
    bed.lower.file("to", pattern(5, LENGTH));
    let m = bed.mount();
    let (from, to) = (m.open_read("from"), m.open_rw("to"));
    let (mut source, mut target) = (1000, 2000);
    let copied = copy_file_range(&from, Some(&mut source), &to, Some(&mut target), 5000);
    assert_eq!(must("copy_file_range", copied), 5000);
    let mut want = pattern(5, LENGTH);
    want[2000..7000].copy_from_slice(&content[1000..6000]);
    same_bytes("to", &m.read("to"), &want);
    assert!(!bed.upper.exists("from"));
}

fn copy_file_range_between_filesystems(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let (from, to) = (m.open_read("low"), m.create("copy", 0o644));
    // The layers' filesystems may not know each other: then the caller copies.
    match copy_file_range(&from, None, &to, None, 7) {
        Ok(length) => assert_eq!((length, m.text("copy")), (7, "content".into())),
        Err(error) => assert_eq!((error, m.text("copy")), (Errno::XDEV, String::new())),
    }
    m.chmod("low", 0o600);
    let (mut source, mut target) = (0, 0);
    let copied = copy_file_range(&from, Some(&mut source), &to, Some(&mut target), 7);
    assert_eq!(must("copy_file_range after the copy-up", copied), 7);
    assert_eq!(m.text("copy"), "content");
}

fn clone_of_a_lower_file(bed: &Bed) {
    let content = pattern(6, 1 << 20);
    bed.lower.file("low", &content);
    let m = bed.mount();
    let clone = m.create("clone", 0o644);
    must("FICLONE", ioctl_ficlone(&clone, m.open_read("low")));
    same_bytes("clone", &m.read("clone"), &content);
    assert!(!bed.upper.exists("low"));
    let (all, shared) = must("fiemap", extents(&bed.upper.open_read("clone")));
    assert!(all > 0);
    assert_eq!(shared, all, "extents shared with the lower file");
    m.file("clone", "changed");
    same_bytes("lower", &m.read("low"), &content);
}

fn clone_between_filesystems(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let clone = m.create("clone", 0o644);
    refused(Errno::XDEV, ioctl_ficlone(&clone, m.open_read("low")));
    assert_eq!(m.text("clone"), "");
}

fn copy_file_range_to_a_layer(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let outside = bed.aside("outside");
    let to = outside.create("copy", 0o644);
    let from = m.open_read("low");
    refused(Errno::XDEV, copy_file_range(&from, None, &to, None, 7));
    must("write", (&to).write_all(b"still usable"));
}

fn copy_file_range_onto_itself(bed: &Bed) {
    bed.lower.file("low", "0123456789");
    let m = bed.mount();
    let file = m.open_rw("low");
    let (mut source, mut target) = (0, 10);
    let copied = copy_file_range(&file, Some(&mut source), &file, Some(&mut target), 10);
    assert_eq!(must("copy_file_range", copied), 10);
    assert_eq!(m.text("low"), "01234567890123456789");
    let (mut source, mut target) = (0, 5);
    refused(
        Errno::INVAL,
        copy_file_range(&file, Some(&mut source), &file, Some(&mut target), 10),
    );
}
