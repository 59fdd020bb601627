// SPDX-License-Identifier: GPL-2.0

//! Mounting with an index: what has to fit, and entries that say what is not so.

use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::index::{self, attributes, nlink};
use crate::support::must::{must, refused};

tests! {
    TWICE:
        another_lower_is_refused,
        another_upper_is_refused,
        layers_in_use_are_refused,
        a_file_called_index_is_refused,
        an_origin_that_makes_no_sense_is_replaced,
        names_that_make_no_sense_are_refused,
        entries_of_a_later_version_are_refused,
        an_entry_of_another_origin_is_removed,
        an_entry_without_an_origin_is_refused,
        whiteouts_stay,
        directories_stay_without_export,
        a_directory_that_leads_nowhere_for_export,
        a_directory_with_something_in_it_for_export,
        a_directory_that_leads_elsewhere_for_export,
        a_directory_of_another_name_for_export,
        an_orphan_is_removed,
        an_orphan_becomes_a_whiteout_for_export,
        counts_that_make_no_sense,
        a_whiteout_where_a_lower_file_is,
        an_entry_of_another_type,
        an_entry_of_another_file,
        conflicts_of_options;
    SEVERAL_FILESYSTEMS:
        falls_back_where_lower_has_no_handles,
        falls_back_where_upper_has_no_handles,
        falls_back_where_two_lowers_have_one_uuid;
}

/// Makes layers with a copied-up hard link, unmounted; answers its entry.
#[track_caller]
fn used(bed: &Bed, options: &str) -> String {
    bed.lower.file("a", "content");
    bed.lower.link("a", "b");
    bed.mount_with(options).append("a", b"!");
    bed.umount();
    index::only(bed)
}

/// The name of an entry for another object.
fn other_name(entry: &str) -> String {
    let (most, last) = entry.split_at(entry.len() - 1);
    format!("{most}{}", if last == "7" { '8' } else { '7' })
}

#[track_caller]
fn refuse(bed: &Bed, want: Errno, options: &str) {
    refused(want, bed.try_mount(&format!("{},{options}", bed.options())));
}

fn shown(m: &Dir) -> String {
    let mounts = must("read mounts", std::fs::read_to_string("/proc/self/mounts"));
    let of = |line: &&str| line.split(' ').nth(1) == Some(&m.to_string());
    mounts.lines().rfind(of).expect("mounted").to_owned()
}

#[track_caller]
fn assert_off(m: &Dir) {
    let shown = shown(m);
    assert!(!shown.contains("index=on"), "{shown}");
    assert!(!shown.contains("nfs_export=on"), "{shown}");
}

fn another_lower_is_refused(bed: &Bed) {
    used(bed, index::ON);
    let other = bed.below(1);
    let options = |lower: &Dir, more: &str| {
        format!(
            "lowerdir={lower},upperdir={},workdir={},{more}",
            bed.upper, bed.work
        )
    };
    refused(Errno::STALE, bed.try_mount(&options(&other, index::ON)));
    must(
        "mount without",
        bed.try_mount(&options(&other, "index=off")),
    );
    bed.umount();
    must(
        "mount with its own",
        bed.try_mount(&options(&bed.lower, index::ON)),
    );
}

fn another_upper_is_refused(bed: &Bed) {
    used(bed, index::ON);
    let other = bed.aside("u2");
    let options = format!(
        "lowerdir={},upperdir={other},workdir={},index=on",
        bed.lower, bed.work
    );
    refused(Errno::STALE, bed.try_mount(&options));
}

fn layers_in_use_are_refused(bed: &Bed) {
    used(bed, index::ON);
    bed.mount_with(index::ON);
    let at = bed.aside("m2");
    let (u2, w2) = (bed.aside("u2"), bed.aside("w2"));
    let try_mount = |lower: &Dir, upper: &Dir, work: &Dir, more: &str| {
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work},{more}");
        bed.try_mount_at(&bed.fs, &options, &at)
    };
    refused(
        Errno::BUSY,
        try_mount(&bed.lower, &bed.upper, &w2, index::ON),
    );
    refused(
        Errno::BUSY,
        try_mount(&bed.lower, &u2, &bed.work, index::ON),
    );
    refused(Errno::BUSY, try_mount(&bed.upper, &u2, &w2, index::ON));
    let inside = bed.upper.sub("inside");
    refused(Errno::BUSY, try_mount(&inside, &u2, &w2, index::ON));
    let (u3, w3) = (bed.aside("u3"), bed.aside("w3"));
    must("mount", try_mount(&bed.lower, &u3, &w3, index::ON));
}

fn a_file_called_index_is_refused(bed: &Bed) {
    bed.work.file("index", "");
    refuse(bed, Errno::NOTDIR, index::ON);
}

fn an_origin_that_makes_no_sense_is_replaced(bed: &Bed) {
    bed.upper.set_xattr("", index::ORIGIN, b"nonsense");
    bed.mount_with(index::ON);
    let origin = &attributes(&bed.upper, "")[index::ORIGIN];
    assert_eq!(origin[..2], [0, 0xfb]);
}

fn names_that_make_no_sense_are_refused(bed: &Bed) {
    used(bed, index::ON);
    let dir = index::dir(bed);
    for name in [
        "name".to_owned(),
        "0".repeat(41),
        "g".repeat(42),
        "00fa".repeat(20),
        "0".repeat(200),
    ] {
        dir.file(&name, "");
        refuse(bed, Errno::INVAL, index::ON);
        assert!(dir.exists(&name), "{name}");
        dir.unlink(&name);
    }
    bed.mount_with(index::ON);
}

fn entries_of_a_later_version_are_refused(bed: &Bed) {
    let entry = used(bed, index::ON);
    let dir = index::dir(bed);
    dir.file(&format!("01{}", &entry[2..]), "");
    refuse(bed, Errno::NODATA, index::ON);
}

fn an_entry_of_another_origin_is_removed(bed: &Bed) {
    let entry = used(bed, index::ON);
    let dir = index::dir(bed);
    dir.link(&entry, &other_name(&entry));
    let m = bed.mount_with(index::ON);
    assert_eq!(index::only(bed), entry);
    assert_eq!(m.text("b"), "content!");
}

fn an_entry_without_an_origin_is_refused(bed: &Bed) {
    let entry = used(bed, index::ON);
    let dir = index::dir(bed);
    dir.remove_xattr(&entry, index::ORIGIN);
    refuse(bed, Errno::NODATA, index::ON);
}

fn whiteouts_stay(bed: &Bed) {
    let entry = used(bed, index::ON);
    let dir = index::dir(bed);
    let gone = other_name(&entry);
    dir.whiteout(&gone);
    bed.mount_with(index::ON);
    assert!(dir.is_whiteout(&gone));
}

fn directories_stay_without_export(bed: &Bed) {
    let entry = used(bed, index::ON);
    let dir = index::dir(bed);
    let other = other_name(&entry);
    dir.sub(&other);
    bed.mount_with(index::ON);
    assert!(dir.exists(&other));
}

/// Makes layers with a copied-up directory, unmounted; answers its entry.
#[track_caller]
fn used_dir(bed: &Bed) -> String {
    bed.lower.sub("dir").file("low", "");
    bed.lower.sub("other");
    bed.mount_with(index::EXPORT).chmod("dir", 0o700);
    bed.umount();
    index::only(bed)
}

fn a_directory_that_leads_nowhere_for_export(bed: &Bed) {
    let entry = used_dir(bed);
    let dir = index::dir(bed);
    dir.remove_xattr(&entry, index::UPPER);
    bed.mount_with(index::EXPORT);
    assert!(!dir.exists(&entry));
}

fn a_directory_with_something_in_it_for_export(bed: &Bed) {
    let entry = used_dir(bed);
    let dir = index::dir(bed);
    dir.remove_xattr(&entry, index::UPPER);
    dir.file(&format!("{entry}/file"), "");
    bed.mount_with(index::EXPORT);
    assert!(dir.exists(&entry), "it is not removed with what is in it");
}

fn a_directory_that_leads_elsewhere_for_export(bed: &Bed) {
    let entry = used_dir(bed);
    let dir = index::dir(bed);
    // Upper's root has an origin too.
    let root = &attributes(&bed.work, "index")[index::UPPER];
    dir.set_xattr(&entry, index::UPPER, root);
    bed.mount_with(index::EXPORT);
    assert!(!dir.exists(&entry));
}

fn a_directory_of_another_name_for_export(bed: &Bed) {
    let entry = used_dir(bed);
    let dir = index::dir(bed);
    dir.rename(&entry, &other_name(&entry));
    bed.mount_with(index::EXPORT);
    assert!(index::names(bed).is_empty());
}

/// Leaves an entry whose names are all gone.
#[track_caller]
fn orphan(bed: &Bed, options: &str) -> String {
    let entry = used(bed, options);
    let dir = index::dir(bed);
    bed.upper.unlink("a");
    bed.upper.whiteout("a");
    bed.upper.whiteout("b");
    dir.set_xattr(&entry, index::NLINK, b"U-1");
    entry
}

fn an_orphan_is_removed(bed: &Bed) {
    orphan(bed, index::ON);
    bed.mount_with(index::ON);
    assert!(index::names(bed).is_empty());
}

fn an_orphan_becomes_a_whiteout_for_export(bed: &Bed) {
    let entry = orphan(bed, index::EXPORT);
    bed.mount_with(index::EXPORT);
    assert!(index::dir(bed).is_whiteout(&entry));
}

fn counts_that_make_no_sense(bed: &Bed) {
    let entry = used(bed, index::ON);
    let dir = index::dir(bed);
    for value in [
        &b""[..],
        b"U",
        b"U+",
        b"X+1",
        b"U1",
        b"U+99999999999",
        b"U-99",
        b"L-2",
        b"U+1x",
        b"U+1+1",
        b"UUUUUUUUUUUUUUUUUUUUUUUUUUU",
    ] {
        dir.set_xattr(&entry, index::NLINK, value);
        let m = bed.mount_with(index::ON);
        // What upper has.
        assert_eq!(m.stat("a").st_nlink, 2, "{value:?}");
        assert_eq!(m.stat("b").st_nlink, 2, "{value:?}");
        m.chmod("a", 0o600);
        bed.umount();
    }
    dir.remove_xattr(&entry, index::NLINK);
    let m = bed.mount_with(index::ON);
    m.unlink("a");
    assert_eq!(nlink(&dir, &entry), "U+0");
    assert_eq!(m.stat("b").st_nlink, 1);
    assert_eq!(m.text("b"), "content!");
}

/// Puts something else in the place of the entry while it is mounted, where nobody
/// has looked yet.
#[track_caller]
fn replaced(bed: &Bed, replace: impl FnOnce(&Dir, &str)) -> Dir {
    let entry = used(bed, index::ON);
    let m = bed.mount_with(index::ON);
    let dir = index::dir(bed);
    dir.unlink(&entry);
    replace(&dir, &entry);
    m
}

fn a_whiteout_where_a_lower_file_is(bed: &Bed) {
    let m = replaced(bed, |dir, entry| dir.whiteout(entry));
    for name in ["a", "b"] {
        refused(Errno::IO, rustix::fs::lstat(m.at(name)));
    }
}

fn an_entry_of_another_type(bed: &Bed) {
    let m = replaced(bed, |dir, entry| drop(dir.sub(entry)));
    for name in ["a", "b"] {
        refused(Errno::IO, rustix::fs::lstat(m.at(name)));
    }
}

fn an_entry_of_another_file(bed: &Bed) {
    let m = replaced(bed, |dir, entry| dir.file(entry, "strange"));
    // Upper's file is not that of the entry, and stands alone.
    assert_eq!(m.text("a"), "content!");
    assert_eq!(m.stat("a").st_nlink, 1);
}

fn conflicts_of_options(bed: &Bed) {
    refuse(bed, Errno::INVAL, "nfs_export=on,index=off");
    refuse(bed, Errno::INVAL, "nfs_export=on,metacopy=on");
    let m = bed.mount_with("nfs_export=on");
    assert!(shown(&m).contains("index=on,"), "{}", shown(&m));
    assert!(shown(&m).contains("nfs_export=on"), "{}", shown(&m));
}

fn falls_back_where_lower_has_no_handles(bed: &Bed) {
    bed.lower.file("low", "content");
    let inner = bed.aside("inner");
    let lowers = format!("lowerdir={}:{}", bed.lower, bed.below(1));
    must("mount below", bed.try_mount_at(&bed.fs, &lowers, &inner));
    for option in [index::ON, index::EXPORT] {
        let options = format!(
            "lowerdir={inner},upperdir={},workdir={},{option}",
            bed.upper, bed.work
        );
        let m = must("mount", bed.try_mount(&options));
        assert_off(&m);
        assert!(!bed.work.exists("index"));
        bed.umount();
    }
}

fn falls_back_where_upper_has_no_handles(bed: &Bed) {
    let ramfs = bed.aside("ramfs");
    must("mount ramfs", bed.try_mount_at("ramfs", "", &ramfs));
    let (upper, work) = (ramfs.sub("u"), ramfs.sub("w"));
    bed.lower.file("low", "content");
    let options = format!(
        "lowerdir={},upperdir={upper},workdir={work},nfs_export=on",
        bed.lower
    );
    let m = must("mount", bed.try_mount(&options));
    assert_off(&m);
    m.append("low", b"!");
    assert_eq!(m.text("low"), "content!");
}

fn falls_back_where_two_lowers_have_one_uuid(bed: &Bed) {
    let other = bed.mount_tmpfs("other", "");
    // Without UUIDs, whatever they have.
    let options = format!(
        "lowerdir={}:{other},upperdir={},workdir={},uuid=off,nfs_export=on",
        bed.lower, bed.upper, bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    assert_off(&m);
}
