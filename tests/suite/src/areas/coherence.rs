// SPDX-License-Identifier: GPL-2.0

//! A descriptor opened read-only before copy-up reads what is written after
//! it, by every way of reading.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use rustix::fs::OFlags;

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::must::{must, same_bytes};
use crate::support::readers::{self, Way};

tests! {
    EVERYWHERE:
        by_read,
        by_readv,
        by_pread,
        by_preadv2,
        by_splice,
        by_sendfile,
        by_io_uring,
        by_aio,
        by_a_new_mapping,
        by_direct_reads;
    ONE_FILESYSTEM: by_copy_file_range;
    TWICE:
        without_a_read_before,
        before_any_write,
        in_the_middle_of_a_sequential_read,
        with_a_ring_made_before,
        of_ten_descriptors,
        of_a_duplicate,
        of_a_descriptor_that_is_sent;
}

const LENGTH: usize = 40_003;

/// Opens a lower file, reads it by this way, has it written, and reads again:
/// through the same descriptor the new bytes have to come.
fn by(bed: &Bed, way: Way) {
    let mut content = pattern(1, LENGTH);
    bed.lower.file("low", &content);
    let m = bed.mount();
    let early = m.open_read("low");
    let read = || must("read", way(&early, 0, LENGTH + 10_000, &m));
    same_bytes("before the copy-up", &read(), &content);

    let writer = m.open_rw("low");
    same_bytes("after the copy-up", &read(), &content);
    for (seed, offset) in [(2, 0), (3, 10_000), (4, LENGTH - 100)] {
        let piece = pattern(seed, 5000);
        must("write", writer.write_all_at(&piece, offset as u64));
        content.resize(content.len().max(offset + 5000), 0);
        content[offset..offset + 5000].copy_from_slice(&piece);
        same_bytes("after a write", &read(), &content);
    }
    must("truncate", writer.set_len(1234));
    content.truncate(1234);
    same_bytes("after truncation", &read(), &content);
    same_bytes("in lower", &bed.lower.read("low"), &pattern(1, LENGTH));
}

fn by_read(bed: &Bed) {
    by(bed, readers::by_read);
}

fn by_readv(bed: &Bed) {
    by(bed, readers::by_readv);
}

fn by_pread(bed: &Bed) {
    by(bed, readers::by_pread);
}

fn by_preadv2(bed: &Bed) {
    by(bed, readers::by_preadv2);
}

fn by_splice(bed: &Bed) {
    by(bed, readers::by_splice);
}

fn by_sendfile(bed: &Bed) {
    by(bed, readers::by_sendfile);
}

fn by_copy_file_range(bed: &Bed) {
    by(bed, readers::by_copy_file_range);
}

fn by_io_uring(bed: &Bed) {
    by(bed, readers::by_io_uring);
}

fn by_aio(bed: &Bed) {
    by(bed, readers::by_aio);
}

fn by_a_new_mapping(bed: &Bed) {
    by(bed, readers::by_mmap);
}

fn by_direct_reads(bed: &Bed) {
    bed.lower.file("low", vec![1; 16384]);
    let m = bed.mount();
    let early = m.open("low", OFlags::RDONLY | OFlags::DIRECT);
    let mut memory = vec![0; 16384 + 4096];
    let start = memory.as_ptr().align_offset(4096);
    let buffer = &mut memory[start..start + 16384];
    must("read", early.read_exact_at(buffer, 0));
    same_bytes("before", buffer, &[1; 16384]);
    m.write_at("low", 4096, &[2; 4096]);
    must("read", early.read_exact_at(buffer, 0));
    let mut want = vec![1; 16384];
    want[4096..8192].fill(2);
    same_bytes("after", buffer, &want);
}

fn without_a_read_before(bed: &Bed) {
    for (name, _) in readers::WAYS {
        bed.lower.file(name, "old content");
    }
    let m = bed.mount();
    for (name, way) in readers::WAYS {
        let early = m.open_read(name);
        m.file(name, "new and longer content");
        same_bytes(
            name,
            &must(name, way(&early, 0, 100, &m)),
            b"new and longer content",
        );
    }
}

fn before_any_write(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let early = m.open_read("low");
    m.chmod("low", 0o600);
    for (name, way) in readers::WAYS {
        same_bytes(name, &must(name, way(&early, 0, 100, &m)), b"content");
    }
}

fn in_the_middle_of_a_sequential_read(bed: &Bed) {
    let content = pattern(1, 300_000);
    bed.lower.file("low", &content);
    let m = bed.mount();
    let mut early = m.open_read("low");
    let mut start = vec![0; 100_000];
    must("read", early.read_exact(&mut start));
    same_bytes("the start", &start, &content[..100_000]);
    let new = pattern(2, 300_000);
    m.write_at("low", 0, &new);
    let mut rest = Vec::new();
    must("read", early.read_to_end(&mut rest));
    same_bytes("the rest", &rest, &new[100_000..]);
}

fn with_a_ring_made_before(bed: &Bed) {
    bed.lower.file("low", "old content");
    let m = bed.mount();
    let early = m.open_read("low");
    let mut ring = must("io_uring", io_uring::IoUring::new(4));
    let fd = std::os::fd::AsRawFd::as_raw_fd(&early);
    must("register", ring.submitter().register_files(&[fd]));
    let mut read = || {
        let mut bytes = vec![0_u8; 32];
        let request =
            io_uring::opcode::Read::new(io_uring::types::Fixed(0), bytes.as_mut_ptr(), 32).build();
        // SAFETY: the buffer outlives the request, whose completion is
        // waited for.
        unsafe { ring.submission().push(&request) }.expect("room in the ring");
        must("io_uring_enter", ring.submit_and_wait(1));
        let result = ring.completion().next().expect("a completion").result();
        bytes.truncate(usize::try_from(result).expect("a length"));
        bytes
    };
    assert_eq!(read(), b"old content");
    m.file("low", "new and longer content");
    assert_eq!(read(), b"new and longer content");
}

fn assert_all_read(files: &[File], want: &str) {
    for file in files {
        let mut bytes = vec![0; 100];
        let length = must("read", file.read_at(&mut bytes, 0));
        same_bytes("a descriptor", &bytes[..length], want.as_bytes());
    }
}

fn of_ten_descriptors(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let mut files: Vec<_> = (0..10).map(|_| m.open_read("low")).collect();
    assert_all_read(&files, "content");
    m.append("low", b", more");
    assert_all_read(&files, "content, more");
    files.push(m.open_read("low"));
    m.append("low", b", again");
    assert_all_read(&files, "content, more, again");
}

fn of_a_duplicate(bed: &Bed) {
    bed.lower.file("low", "old content");
    let m = bed.mount();
    let early = m.open_read("low");
    let mut twin = must("dup", early.try_clone());
    drop(early);
    must("lseek", twin.seek(SeekFrom::Start(4)));
    m.write_at("low", 0, b"new CONTENT");
    let mut text = String::new();
    must("read", twin.read_to_string(&mut text));
    assert_eq!(text, "CONTENT");
}

fn of_a_descriptor_that_is_sent(bed: &Bed) {
    bed.lower.file("low", "old content");
    let m: Dir = bed.mount();
    let (one, two) = must("socketpair", std::os::unix::net::UnixStream::pair());
    {
        let early = m.open_read("low");
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
        let fds = [std::os::fd::AsFd::as_fd(&early)];
        assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
        let byte = [std::io::IoSlice::new(b"x")];
        let flags = rustix::net::SendFlags::empty();
        must(
            "sendmsg",
            rustix::net::sendmsg(&one, &byte, &mut control, flags),
        );
    }
    m.file("low", "new content");
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    must(
        "recvmsg",
        rustix::net::recvmsg(
            &two,
            &mut [std::io::IoSliceMut::new(&mut byte)],
            &mut control,
            rustix::net::RecvFlags::empty(),
        ),
    );
    let mut received = Vec::new();
    for message in control.drain() {
        if let rustix::net::RecvAncillaryMessage::ScmRights(fds) = message {
            received.extend(fds.map(File::from));
        }
    }
    assert_eq!(received.len(), 1);
    assert_all_read(&received, "new content");
}
