// SPDX-License-Identifier: GPL-2.0

//! A disk that fails while a file is copied up.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use self::disk::Disk;
use crate::harness::bed::{assert_work_is_empty, Bed};
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::must::{must, same_bytes};

pub mod disk;

tests! {
    ONCE:
        of_upper_when_opened_for_writing,
        of_upper_when_attributes_change,
        of_upper_when_linked_or_renamed,
        of_upper_when_a_directory_changes,
        of_upper_after_some_requests,
        of_lower_when_opened_for_writing,
        of_lower_after_some_requests,
        of_lower_while_it_is_read;
}

const LENGTH: usize = 1 << 20;

fn ext4(bed: &Bed) -> Disk {
    Disk::new(bed, "ext4", 24 << 20)
}

/// An overlay whose upper layer is on a disk.
struct OnDisk<'a> {
    bed: &'a Bed,
    disk: Disk,
    upper: Dir,
    work: Dir,
    content: Vec<u8>,
}

impl<'a> OnDisk<'a> {
    #[track_caller]
    fn new(bed: &'a Bed) -> Self {
        let content = pattern(1, LENGTH);
        let disk = ext4(bed);
        bed.lower.file("low", &content);
        bed.lower.sub("dir").file("inner", &content);
        let (upper, work) = (disk.dir.sub("u"), disk.dir.sub("w"));
        let this = Self {
            bed,
            disk,
            upper,
            work,
            content,
        };
        this.mount();
        rustix::fs::sync();
        this
    }

    #[track_caller]
    fn mount(&self) {
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            self.bed.lower, self.upper, self.work
        );
        must("mount", self.bed.try_mount(&options));
    }

    /// Fails unless the overlay shows both files as they were, now and when
    /// everything is mounted again, and they can be copied up then.
    #[track_caller]
    fn assert_untouched(&mut self) {
        let m = &self.bed.mnt;
        same_bytes("low", &m.read("low"), &self.content);
        same_bytes("inner", &m.read("dir/inner"), &self.content);
        self.bed.umount();
        self.disk.remount(self.bed);
        self.mount();
        let left = |name: &str| self.upper.exists(name);
        assert!(!left("low") && !left("new") && !left("dir/inner"));
        assert_work_is_empty(&self.work);
        assert_eq!(m.names(""), ["dir", "low"]);
        assert_eq!(m.names("dir"), ["inner"]);
        for name in ["low", "dir/inner"] {
            same_bytes(name, &m.read(name), &self.content);
            assert_eq!((m.mode(name), m.stat(name).st_nlink), (0o644, 1), "{name}");
            m.append(name, b"more");
            assert_eq!(m.stat(name).st_size, LENGTH as i64 + 4);
        }
    }
}

/// Fails unless the disk's error was handed on.
#[track_caller]
fn failed<T: std::fmt::Debug>(what: &str, result: Result<T, impl Into<io::Error>>) {
    match result.map_err(Into::into) {
        Ok(value) => panic!("{what} succeeded on a failing disk: {value:?}"),
        Err(error) => {
            // A journal that cannot be written makes the filesystem read-only.
            let codes = [Errno::IO, Errno::ROFS].map(Errno::raw_os_error);
            let code = error.raw_os_error().unwrap_or(0);
            assert!(codes.contains(&code), "{what}: {error}");
        }
    }
}

fn of_upper_when_opened_for_writing(bed: &Bed) {
    let mut on = OnDisk::new(bed);
    let failing = on.disk.fail(0);
    for name in ["low", "dir/inner", "low"] {
        failed(name, OpenOptions::new().write(true).open(bed.mnt.at(name)));
        assert!(!on.upper.exists(name));
    }
    same_bytes("low", &bed.mnt.read("low"), &on.content);
    drop(failing);
    on.assert_untouched();
}

fn of_upper_when_attributes_change(bed: &Bed) {
    let mut on = OnDisk::new(bed);
    let failing = on.disk.fail(0);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    failed("chmod", rustix::fs::chmod(bed.mnt.at("low"), mode));
    let attribute = rustix::fs::setxattr(
        bed.mnt.at("dir/inner"),
        "user.note",
        b"value",
        rustix::fs::XattrFlags::empty(),
    );
    failed("setxattr", attribute);
    assert_eq!(bed.mnt.mode("low"), 0o644);
    drop(failing);
    on.assert_untouched();
}

fn of_upper_when_linked_or_renamed(bed: &Bed) {
    let mut on = OnDisk::new(bed);
    let failing = on.disk.fail(0);
    let (low, new) = (bed.mnt.at("low"), bed.mnt.at("new"));
    failed("rename", rustix::fs::rename(&low, &new));
    failed("link", rustix::fs::link(&low, &new));
    assert!(bed.mnt.exists("low") && !bed.mnt.exists("new"));
    drop(failing);
    on.assert_untouched();
}

fn of_upper_when_a_directory_changes(bed: &Bed) {
    let mut on = OnDisk::new(bed);
    let failing = on.disk.fail(0);
    // The disk need not be asked for this yet.
    let made = rustix::fs::mkdir(bed.mnt.at("dir/new"), rustix::fs::Mode::RWXU);
    assert_eq!(bed.mnt.exists("dir/new"), made.is_ok());
    let synced = rustix::fs::syncfs(bed.mnt.open_read("dir"));
    if made.is_ok() {
        failed("syncfs", synced);
    }
    drop(failing);
    bed.umount();
    on.disk.remount(bed);
    on.mount();
    if bed.mnt.exists("dir/new") {
        bed.mnt.rmdir("dir/new");
    }
    on.assert_untouched();
}

/// How much the disk does before it fails; in the end, all that is asked for.
const AMOUNTS: [usize; 9] = [
    0,
    4096,
    16384,
    65536,
    LENGTH / 4,
    LENGTH / 2,
    LENGTH,
    LENGTH + 65536,
    8 * LENGTH,
];

fn of_upper_after_some_requests(bed: &Bed) {
    let mut on = OnDisk::new(bed);
    let mut failures = 0;
    for amount in AMOUNTS {
        let failing = on.disk.fail(amount);
        let opened = OpenOptions::new().write(true).open(bed.mnt.at("low"));
        drop(failing);
        let copied = opened.map(drop);
        if copied.is_err() {
            failed("open", copied);
            assert!(!on.upper.exists("low"), "after {amount} bytes");
            failures += 1;
        }
        same_bytes("low", &bed.mnt.read("low"), &on.content);
        bed.umount();
        on.disk.remount(bed);
        on.mount();
        assert_work_is_empty(&on.work);
        same_bytes("low", &bed.mnt.read("low"), &on.content);
        // The copy's name may not have come to the disk.
        if on.upper.exists("low") {
            bed.umount();
            on.upper.unlink("low");
            on.mount();
        }
    }
    assert!(
        (3..AMOUNTS.len()).contains(&failures),
        "{failures} failures"
    );
    on.assert_untouched();
}

/// An overlay whose lower layer is on a disk, of which names and attributes are
/// cached and no data is.
#[track_caller]
fn lower_on_disk(bed: &Bed) -> (Disk, Vec<u8>) {
    let content = pattern(2, LENGTH);
    let mut disk = ext4(bed);
    let lower = disk.dir.sub("l");
    lower.file("low", &content);
    lower.sub("dir").file("inner", &content);
    disk.remount(bed);
    let options = format!(
        "lowerdir={lower},upperdir={},workdir={}",
        bed.upper, bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    for name in ["low", "dir/inner"] {
        assert_eq!(m.stat(name).st_size, LENGTH as i64);
        assert!(m.xattr_names(name).is_empty());
    }
    (disk, content)
}

#[track_caller]
fn assert_nothing_in_upper(bed: &Bed) {
    assert!(!bed.upper.exists("low") && !bed.upper.exists("dir/inner"));
    bed.assert_work_is_empty();
}

fn of_lower_when_opened_for_writing(bed: &Bed) {
    let (disk, content) = lower_on_disk(bed);
    let failing = disk.fail(0);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    for name in ["low", "dir/inner", "low"] {
        failed(name, OpenOptions::new().write(true).open(bed.mnt.at(name)));
        failed("chmod", rustix::fs::chmod(bed.mnt.at(name), mode));
        let new = bed.mnt.at("new");
        failed("rename", rustix::fs::rename(bed.mnt.at(name), new));
        assert_nothing_in_upper(bed);
    }
    drop(failing);
    for name in ["low", "dir/inner"] {
        same_bytes(name, &bed.mnt.read(name), &content);
        assert_eq!(bed.mnt.mode(name), 0o644);
        bed.mnt.chmod(name, 0o600);
        same_bytes(name, &bed.upper.read(name), &content);
    }
    bed.assert_work_is_empty();
}

fn of_lower_after_some_requests(bed: &Bed) {
    let (disk, content) = lower_on_disk(bed);
    let mut failures = 0;
    for amount in AMOUNTS {
        must(
            "drop caches",
            std::fs::write("/proc/sys/vm/drop_caches", "1"),
        );
        let failing = disk.fail(amount);
        let opened = OpenOptions::new().write(true).open(bed.mnt.at("low"));
        drop(failing);
        let copied = opened.map(drop);
        if copied.is_ok() {
            break;
        }
        failed("open", copied);
        assert_nothing_in_upper(bed);
        failures += 1;
    }
    assert!(
        (3..AMOUNTS.len()).contains(&failures),
        "{failures} failures"
    );
    same_bytes("low", &bed.upper.read("low"), &content);
    bed.mnt.append("low", b"more");
    assert_eq!(bed.upper.stat("low").st_size, LENGTH as i64 + 4);
    bed.assert_work_is_empty();
}

fn of_lower_while_it_is_read(bed: &Bed) {
    let (disk, content) = lower_on_disk(bed);
    let early = bed.mnt.open_read("low");
    let failing = disk.fail(0);
    let mut bytes = vec![0; LENGTH];
    failed("read", early.read_exact_at(&mut bytes, 0));
    failed(
        "open",
        OpenOptions::new().write(true).open(bed.mnt.at("low")),
    );
    failed("read", early.read_exact_at(&mut bytes, 0));
    drop(failing);
    must("read", early.read_exact_at(&mut bytes, 0));
    same_bytes("low", &bytes, &content);
    bed.mnt.write_at("low", 0, b"new");
    must("read", early.read_exact_at(&mut bytes, 0));
    same_bytes("the new part", &bytes[..3], b"new");
    same_bytes("the rest", &bytes[3..], &content[3..]);
}
