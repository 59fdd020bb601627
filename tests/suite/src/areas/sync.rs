// SPDX-License-Identifier: GPL-2.0

//! Making data durable, and advice about caching.

use std::num::NonZeroU64;
use std::os::fd::AsRawFd;

use rustix::fs::{fadvise, syncfs, Advice};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::must::{must, refused};

tests! {
    EVERYWHERE: fsync_of_files, fsync_of_directories, sync_of_the_filesystem;
    TWICE:
        sync_file_range,
        fsync_of_an_old_descriptor,
        fadvise_of_files,
        fadvise_dont_need_keeps_the_data,
        readahead,
        fsync_of_a_read_only_mount;
}

fn fsync_of_files(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    bed.lower.file("copied", "content");
    let m = bed.mount();
    m.append("copied", b", more");
    for name in ["low", "up", "copied"] {
        let file = m.open_read(name);
        must("fsync", file.sync_all());
        must("fdatasync", file.sync_data());
    }
    assert!(!bed.upper.exists("low"));
    for name in ["low", "up", "copied"] {
        let file = m.open_rw(name);
        must("write", rustix::io::pwrite(&file, b"C", 0));
        must("fdatasync", file.sync_data());
        must("fsync", file.sync_all());
    }
}

fn fsync_of_directories(bed: &Bed) {
    bed.lower.sub("low");
    bed.upper.sub("up");
    bed.lower.sub("both");
    bed.upper.sub("both");
    let m = bed.mount();
    for name in ["", "low", "up", "both"] {
        let dir = m.open_read(name);
        must("fsync", dir.sync_all());
        m.join(name).file("new", "");
        must("fsync after a change", dir.sync_all());
        must("fdatasync", dir.sync_data());
    }
}

fn sync_of_the_filesystem(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    m.append("low", b", more");
    m.file("new", "content");
    must("syncfs", syncfs(m.open_read("new")));
    must("syncfs", syncfs(m.open_read("")));
    rustix::fs::sync();
    assert_eq!(bed.upper.text("low"), "content, more");
}

fn fsync_of_a_read_only_mount(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.below(1).sub("dir");
    let m = bed.mount_lowers();
    must("fsync", m.open_read("low").sync_all());
    must("fsync", m.open_read("dir").sync_all());
    must("syncfs", syncfs(m.open_read("low")));
}

fn sync_file_range(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let file = m.open_rw("low");
    must("write", rustix::io::write(&file, b"CONTENT"));
    let flags = libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: the call takes no memory.
    assert_eq!(
        unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, flags) },
        0
    );
}

fn fsync_of_an_old_descriptor(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let early = m.open_read("low");
    m.append("low", b", more");
    must("fsync", early.sync_all());
    must("fdatasync", early.sync_data());
}

fn fadvise_of_files(bed: &Bed) {
    bed.lower.file("low", vec![1; 100_000]);
    bed.upper.file("up", vec![1; 100_000]);
    let m = bed.mount();
    for name in ["low", "up"] {
        let file = m.open_read(name);
        for advice in [
            Advice::Sequential,
            Advice::Random,
            Advice::WillNeed,
            Advice::NoReuse,
            Advice::DontNeed,
            Advice::Normal,
        ] {
            must(
                "fadvise",
                fadvise(&file, 0, NonZeroU64::new(100_000), advice),
            );
        }
    }
    // SAFETY: the call takes no memory.
    let result = unsafe { libc::posix_fadvise(m.open_read("up").as_raw_fd(), 0, 0, 99) };
    assert_eq!(result, libc::EINVAL);
}

fn fadvise_dont_need_keeps_the_data(bed: &Bed) {
    bed.lower.file("low", vec![1; 100_000]);
    let m = bed.mount();
    let early = m.open_read("low");
    m.file("low", vec![2; 100_000]);
    must("fadvise", fadvise(&early, 0, None, Advice::DontNeed));
    assert_eq!(m.read("low"), vec![2; 100_000]);
}

fn readahead(bed: &Bed) {
    bed.lower.file("low", vec![1; 100_000]);
    let m = bed.mount();
    let file = m.open_read("low");
    // SAFETY: the call takes no memory.
    assert_eq!(unsafe { libc::readahead(file.as_raw_fd(), 0, 100_000) }, 0);
    refused(Errno::BADF, rustix::io::write(&file, b"x"));
    assert_eq!(m.read("low"), vec![1; 100_000]);
}
