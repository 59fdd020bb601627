// SPDX-License-Identifier: GPL-2.0

//! A copy-up that fails leaves the old file, and nothing behind.

use std::fs::File;
use std::io::Read;

use rustix::fs::{OFlags, Timestamps};
use rustix::io::Errno;

use crate::harness::bed::{assert_work_is_empty, Bed};
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::must::{must, refused, same_bytes};
use crate::support::process::USER;

tests! {
    TWICE:
        no_space,
        no_space_again_and_again,
        no_inodes,
        no_space_for_an_attribute_change,
        no_space_for_a_rename,
        a_reader_is_not_disturbed,
        leftovers_are_removed_at_mount,
        leftover_directories_are_removed_at_mount;
    ONCE: over_quota, a_read_error_of_the_lower_file;
}

/// An overlay whose upper layer is a tmpfs of its own, with these options.
struct Small {
    tmpfs: Dir,
    upper: Dir,
    work: Dir,
    m: Dir,
}

fn small(bed: &Bed, options: &str) -> Small {
    let tmpfs = bed.mount_tmpfs("small", options);
    let (upper, work) = (tmpfs.sub("u"), tmpfs.sub("w"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let m = must("mount", bed.try_mount(&options));
    Small {
        tmpfs,
        upper,
        work,
        m,
    }
}

impl Small {
    /// Fails unless `low` has its old content, and no trace of a copy exists.
    #[track_caller]
    fn assert_untouched(&self, content: &[u8]) {
        same_bytes("low", &self.m.read("low"), content);
        assert!(!self.upper.exists("low"), "upper has the file");
        assert_work_is_empty(&self.work);
    }
}

fn no_space(bed: &Bed) {
    let content = pattern(1, 1 << 20);
    bed.lower.file("low", &content);
    let small = small(bed, "size=768k");
    let open = || rustix::fs::open(small.m.at("low"), OFlags::RDWR, rustix::fs::Mode::empty());
    refused(Errno::NOSPC, open());
    small.assert_untouched(&content);
    must(
        "make room",
        rustix::mount::mount_remount(
            small.tmpfs.path(),
            rustix::mount::MountFlags::empty(),
            c"size=4m",
        ),
    );
    small.m.append("low", b"more");
    let mut want = content;
    want.extend(b"more");
    same_bytes("low", &small.m.read("low"), &want);
}

fn no_space_again_and_again(bed: &Bed) {
    let content = pattern(1, 200_000);
    bed.lower.file("low", &content);
    let small = small(bed, "size=512k");
    small.m.file("filler", vec![0; 400_000]);
    for _ in 0..50 {
        refused(
            Errno::NOSPC,
            rustix::fs::open(small.m.at("low"), OFlags::RDWR, rustix::fs::Mode::empty()),
        );
        small.assert_untouched(&content);
    }
    small.m.unlink("filler");
    drop(small.m.open_rw("low"));
    same_bytes("low", &small.upper.read("low"), &content);
}

fn no_inodes(bed: &Bed) {
    bed.lower.file("low", "content");
    let small = small(bed, "size=4m,nr_inodes=20");
    let mut fillers = Vec::new();
    while fillers.len() < 30 {
        let name = format!("filler-{}", fillers.len());
        if std::fs::write(small.m.at(&name), "").is_err() {
            break;
        }
        fillers.push(name);
    }
    assert!(fillers.len() < 30);
    refused(
        Errno::NOSPC,
        rustix::fs::open(small.m.at("low"), OFlags::RDWR, rustix::fs::Mode::empty()),
    );
    small.assert_untouched(b"content");
    for name in &fillers[..3] {
        small.m.unlink(name);
    }
    small.m.append("low", b", more");
    assert_eq!(small.m.text("low"), "content, more");
}

fn no_space_for_an_attribute_change(bed: &Bed) {
    let content = pattern(2, 1 << 20);
    bed.lower.file("low", &content);
    let small = small(bed, "size=512k");
    let chmod = rustix::fs::chmod(small.m.at("low"), rustix::fs::Mode::from_raw_mode(0o600));
    refused(Errno::NOSPC, chmod);
    small.assert_untouched(&content);
    assert_eq!(small.m.mode("low"), 0o644);
    let zero = rustix::fs::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: zero,
        last_modification: zero,
    };
    refused(
        Errno::NOSPC,
        rustix::fs::utimensat(
            rustix::fs::CWD,
            small.m.at("low"),
            &times,
            rustix::fs::AtFlags::empty(),
        ),
    );
    refused(
        Errno::NOSPC,
        rustix::fs::setxattr(
            small.m.at("low"),
            "user.note",
            b"value",
            rustix::fs::XattrFlags::empty(),
        ),
    );
    small.assert_untouched(&content);
}

fn no_space_for_a_rename(bed: &Bed) {
    let content = pattern(3, 1 << 20);
    bed.lower.file("low", &content);
    let small = small(bed, "size=512k");
    refused(
        Errno::NOSPC,
        rustix::fs::rename(small.m.at("low"), small.m.at("new")),
    );
    refused(
        Errno::NOSPC,
        rustix::fs::link(small.m.at("low"), small.m.at("new")),
    );
    small.assert_untouched(&content);
    assert_eq!(small.m.names(""), ["low"]);
}

fn a_reader_is_not_disturbed(bed: &Bed) {
    let content = pattern(4, 1 << 20);
    bed.lower.file("low", &content);
    let small = small(bed, "size=512k");
    let mut reader = small.m.open_read("low");
    let mut got = vec![0; 1000];
    must("read", reader.read_exact(&mut got));
    refused(
        Errno::NOSPC,
        rustix::fs::open(small.m.at("low"), OFlags::RDWR, rustix::fs::Mode::empty()),
    );
    must("read on", reader.read_to_end(&mut got));
    same_bytes("low", &got, &content);
}

/// The mounter's rights count, so it gives up the one that quotas do not bind.
fn drop_resource_capability() {
    const CAP_SYS_RESOURCE: u32 = 24;

    let mut sets = must("capget", rustix::thread::capabilities(None));
    let drop = rustix::thread::CapabilitySet::from_bits_retain(1 << CAP_SYS_RESOURCE);
    sets.effective.remove(drop);
    sets.permitted.remove(drop);
    sets.inheritable.remove(drop);
    must("capset", rustix::thread::set_capabilities(None, sets));
}

fn over_quota(bed: &Bed) {
    let content = pattern(5, 1 << 20);
    bed.lower.file("low", &content);
    bed.lower.chown("low", USER, USER);
    drop_resource_capability();
    let small = small(bed, "size=16m,usrquota,usrquota_block_hardlimit=512k");
    refused(
        Errno::DQUOT,
        rustix::fs::open(small.m.at("low"), OFlags::RDWR, rustix::fs::Mode::empty()),
    );
    small.assert_untouched(&content);
}

fn a_read_error_of_the_lower_file(bed: &Bed) {
    // An attribute file of sysfs that has a size and cannot be read.
    const DIR: &str = "/sys/devices/virtual/net/lo";
    const FILE: &str = "speed";

    let error = File::open(format!("{DIR}/{FILE}"))
        .and_then(|mut file| file.read(&mut [0; 16]))
        .expect_err("reading the speed of the loopback device");
    let options = format!("lowerdir={DIR},upperdir={},workdir={}", bed.upper, bed.work);
    let m = must("mount over sysfs", bed.try_mount(&options));
    let opened = std::fs::OpenOptions::new().write(true).open(m.at(FILE));
    let got = opened.expect_err("copy-up of an unreadable file");
    assert_eq!(got.raw_os_error(), error.raw_os_error());
    assert!(!bed.upper.exists(FILE));
    bed.assert_work_is_empty();
    assert!(m.exists(FILE));
    m.unlink(FILE);
    assert!(bed.upper.is_whiteout(FILE));
}

fn leftovers_are_removed_at_mount(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.mount();
    bed.umount();
    let work = bed.work.join("work");
    work.file("#1", "half a copy");
    work.symlink("x", "#2");
    work.whiteout("#3");
    work.node("#4", rustix::fs::FileType::Fifo, 0o600, (0, 0));
    work.sub_mode("#5", 0o000);
    let m = bed.mount();
    assert!(bed.work.names("work").is_empty());
    m.append("low", b", more");
    assert_eq!(m.text("low"), "content, more");
}

fn leftover_directories_are_removed_at_mount(bed: &Bed) {
    bed.mount();
    bed.umount();
    let dir = bed.work.join("work").sub("#1");
    dir.whiteout("gone");
    dir.file("file", "");
    dir.sub("inner");
    bed.mount();
    assert!(bed.work.names("work").is_empty());
    bed.mnt.file("new", "");
}
