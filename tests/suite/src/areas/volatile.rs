// SPDX-License-Identifier: GPL-2.0

//! The option `fsync`: what is made durable, and volatile mounts.

use std::fs::remove_dir_all;

use rustix::fs::{syncfs, FileType};
use rustix::io::Errno;

use super::copy_up_io_error::disk::Disk;
use super::mount_options::shown_options;
use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};

tests! {
    TWICE: works_as_any_other, leaves_a_note, is_refused_after_another, a_note_is_looked_for, an_empty_note_is_not_one;
    ONCE:
        strict_copies_all_kinds,
        is_shown,
        without_upper_it_is_ignored,
        fails_every_sync_after_an_error,
        is_refused_after_an_unseen_error;
}

const DIRTY: &str = "work/incompat/volatile/dirty";

#[track_caller]
fn mount(bed: &Bed, option: &str) -> Dir {
    must(option, try_mount(bed, option))
}

fn try_mount(bed: &Bed, option: &str) -> Result<Dir, Errno> {
    bed.try_mount(&format!("{},{option}", bed.options()))
}

#[track_caller]
fn copies_up(bed: &Bed, m: &Dir) {
    assert!(!bed.upper.exists("low"));
    m.append("low", b", more");
    m.chmod("dir", 0o711);
    must("fsync", m.open_rw("low").sync_all());
    must("fdatasync", m.open_rw("low").sync_data());
    must("fsync of a directory", m.open_read("dir").sync_all());
    must("syncfs", syncfs(m.open_read("")));
    assert_eq!(bed.upper.text("low"), "content, more");
    assert_eq!(bed.upper.mode("dir"), 0o711);
}

fn fill(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.sub("dir").file("inner", "content");
}

fn works_as_any_other(bed: &Bed) {
    fill(bed);
    let m = mount(bed, "volatile");
    copies_up(bed, &m);
}

fn leaves_a_note(bed: &Bed) {
    let m = mount(bed, "fsync=volatile");
    m.file("new", "content");
    assert!(bed.work.exists(DIRTY));
    assert_eq!(bed.work.stat(DIRTY).st_size, 0);
    bed.umount();
    assert!(bed.work.exists(DIRTY));
}

fn is_refused_after_another(bed: &Bed) {
    let m = mount(bed, "volatile");
    m.file("new", "content");
    bed.umount();
    refused(Errno::INVAL, try_mount(bed, "volatile"));
    refused(Errno::INVAL, bed.try_mount(&bed.options()));
    // What container engines do that know their machine has not crashed.
    must(
        "remove the note",
        remove_dir_all(bed.work.at("work/incompat/volatile")),
    );
    let m = mount(bed, "volatile");
    assert_eq!(m.text("new"), "content");
    bed.umount();
    must(
        "remove the note",
        remove_dir_all(bed.work.at("work/incompat")),
    );
    let m = bed.mount();
    assert_eq!(m.text("new"), "content");
    assert!(!bed.work.exists("work/incompat"));
}

fn a_note_is_looked_for(bed: &Bed) {
    bed.work.sub("work").sub("incompat").sub("whatever");
    refused(Errno::INVAL, bed.try_mount(&bed.options()));
    assert!(bed.work.exists("work/incompat/whatever"));
}

fn an_empty_note_is_not_one(bed: &Bed) {
    bed.work.sub("work").sub("incompat");
    bed.mount();
    assert!(!bed.work.exists("work/incompat"));
}

fn strict_copies_all_kinds(bed: &Bed) {
    fill(bed);
    bed.lower.file("empty", "");
    bed.lower.symlink("low", "link");
    bed.lower.node("fifo", FileType::Fifo, 0o644, (0, 0));
    let m = mount(bed, "fsync=strict");
    copies_up(bed, &m);
    m.chmod("empty", 0o600);
    m.chmod("fifo", 0o600);
    m.chown("link", 1, 1);
    assert_eq!(bed.upper.stat("link").st_uid, 1);
    assert_eq!(bed.upper.mode("fifo"), 0o600);
    assert_eq!(bed.upper.mode("empty"), 0o600);
}

fn is_shown(bed: &Bed) {
    for (option, shown) in [
        ("volatile", ",fsync=volatile"),
        ("fsync=strict", ",fsync=strict"),
        ("fsync=auto", ""),
    ] {
        let options = shown_options(&mount(bed, option));
        assert_eq!(options.contains("fsync="), !shown.is_empty(), "{options}");
        assert!(options.contains(shown), "{options}");
        bed.umount();
        let _ = remove_dir_all(bed.work.at("work/incompat"));
    }
    refused(Errno::INVAL, try_mount(bed, "fsync=never"));
    refused(Errno::INVAL, try_mount(bed, "fsync"));
    refused(Errno::INVAL, try_mount(bed, "volatile=1"));
}

fn without_upper_it_is_ignored(bed: &Bed) {
    bed.below(1).file("low", "content");
    let m = must(
        "mount without upper",
        bed.try_mount(&format!("lowerdir={},volatile", bed.lowerdir())),
    );
    must("syncfs", syncfs(m.open_read("")));
    assert!(!shown_options(&m).contains("fsync="));
}

/// An upper layer on a disk that can fail.
struct OnDisk {
    disk: Disk,
    options: String,
}

impl OnDisk {
    #[track_caller]
    fn new(bed: &Bed) -> Self {
        let disk = Disk::new(bed, "ext4", 24 << 20);
        let (upper, work) = (disk.dir.sub("u"), disk.dir.sub("w"));
        rustix::fs::sync();
        let options = format!(
            "lowerdir={},upperdir={upper},workdir={work},volatile",
            bed.lower
        );
        Self { disk, options }
    }

    /// Writes what cannot be written to the disk.
    #[track_caller]
    fn lose_data(&self, dir: &Dir, name: &str) {
        dir.file(name, vec![1; 100_000]);
        let failing = self.disk.fail(0);
        let file = self.disk.dir.open_read("");
        assert!(syncfs(file).is_err(), "a failing disk was synced");
        drop(failing);
    }
}

fn fails_every_sync_after_an_error(bed: &Bed) {
    let on = OnDisk::new(bed);
    let m = must("mount", bed.try_mount(&on.options));
    m.file("early", "content");
    must("syncfs", syncfs(m.open_read("")));
    on.lose_data(&m, "lost");
    for _ in 0..3 {
        refused(Errno::IO, syncfs(m.open_read("")));
        assert!(m.open_read("early").sync_all().is_err());
        assert!(m.open_read("").sync_all().is_err());
    }
}

fn is_refused_after_an_unseen_error(bed: &Bed) {
    let on = OnDisk::new(bed);
    // Nobody is told of this one: the filesystem's descriptor is opened later.
    on.disk.dir.file("lost", vec![1; 100_000]);
    let failing = on.disk.fail(0);
    rustix::fs::sync();
    drop(failing);
    let result = bed.try_mount(&on.options);
    assert!(
        matches!(result, Err(Errno::IO | Errno::ROFS | Errno::INVAL)),
        "{result:?}"
    );
}
