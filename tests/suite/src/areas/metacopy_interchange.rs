// SPDX-License-Identifier: GPL-2.0

//! Metacopies written by one driver and taken over by another.
//!
//! Without a second driver, the one under test takes over its own layers.

use crate::harness::bed::Bed;
use crate::support::acl;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::image::CAPABILITY;
use crate::support::metacopy::{assert_with_data, assert_without_data, is_one, make, METACOPY, ON};
use crate::support::must::{must, same_bytes};
use crate::support::snapshot;
use crate::support::verity::{digest, enable, metacopy, SHA256};

tests! {
    EVERYWHERE: files_whose_attributes_changed;
    TWICE:
        data_that_is_copied_by_the_other,
        data_that_was_copied,
        names,
        a_chain_of_both,
        a_data_only_layer;
    VERITY: digests;
}

const SIZE: usize = 60_000;

/// Mounts what is mounted by the other driver, and fails unless that shows the same.
#[track_caller]
fn assert_same_by_other(bed: &Bed, options: &str) -> Dir {
    let before = snapshot::take(&bed.mnt);
    bed.umount();
    let m = must(
        "mount by the other",
        bed.try_mount_at(&bed.other, options, &bed.mnt),
    );
    snapshot::assert_same(&snapshot::take(&m), &before);
    m
}

#[track_caller]
fn lower_files(bed: &Bed) -> Vec<u8> {
    let content = pattern(1, SIZE);
    let dir = bed.lower.sub("dir");
    for number in 0..6 {
        bed.lower.file(&format!("{number}"), &content);
        dir.file(&format!("{number}"), &content);
    }
    content
}

/// Fails unless the next driver shows the same tree as the last one.
#[track_caller]
fn take_over(bed: &Bed) {
    let before = snapshot::take(&bed.mnt);
    bed.umount();
    let m = bed.mount_by_other_with(ON);
    snapshot::assert_same(&snapshot::take(&m), &before);
}

/// The same in the other direction.
#[track_caller]
fn take_back(bed: &Bed) {
    let before = snapshot::take(&bed.mnt);
    bed.umount();
    let m = bed.mount_with(ON);
    snapshot::assert_same(&snapshot::take(&m), &before);
}

fn files_whose_attributes_changed(bed: &Bed) {
    let content = lower_files(bed);
    let m = bed.mount_with(ON);
    m.chmod("0", 0o640);
    m.chown("1", 12, 34);
    m.set_times("2", (1, 2), (3, 4));
    m.set_xattr("3", "user.note", b"1");
    m.set_xattr("4", acl::ACCESS, &acl::with_user(77, 6));
    m.chmod("dir/0", 0o600);
    let blocks = m.stat("0").st_blocks;
    take_over(bed);
    assert_eq!(m.stat("0").st_blocks, blocks);
    for name in ["0", "1", "2", "3", "4", "dir/0"] {
        assert_without_data(bed, name);
        m.set_xattr(name, "user.other", b"2");
        assert_without_data(bed, name);
        same_bytes(name, &m.read(name), &content);
    }
    m.chmod("5", 0o640);
    take_back(bed);
    for name in ["0", "5", "dir/0"] {
        assert_without_data(bed, name);
    }
}

fn data_that_is_copied_by_the_other(bed: &Bed) {
    let mut content = lower_files(bed);
    let m = bed.mount_with(ON);
    m.chmod("0", 0o4711);
    m.set_xattr("0", "security.capability", CAPABILITY);
    m.chmod("1", 0o600);
    m.chmod("2", 0o600);
    take_over(bed);
    drop(m.open_rw("0"));
    assert_with_data(bed, "0", &content);
    assert_eq!(
        m.xattr("0", "security.capability").as_deref(),
        Some(CAPABILITY)
    );
    assert_eq!(m.mode("0"), 0o4711);
    m.append("1", b"more");
    m.file("2", "new");
    take_back(bed);
    same_bytes("0", &m.read("0"), &content);
    content.extend_from_slice(b"more");
    same_bytes("1", &m.read("1"), &content);
    assert_eq!(m.text("2"), "new");
}

fn data_that_was_copied(bed: &Bed) {
    let mut content = lower_files(bed);
    let m = bed.mount_with(ON);
    m.chmod("0", 0o640);
    m.rename("0", "renamed");
    m.append("renamed", b"more");
    content.extend_from_slice(b"more");
    assert_with_data(bed, "renamed", &content);
    take_over(bed);
    same_bytes("renamed", &m.read("renamed"), &content);
    m.rename("renamed", "dir/again");
    m.chmod("dir/again", 0o600);
    take_back(bed);
    same_bytes("again", &m.read("dir/again"), &content);
}

fn names(bed: &Bed) {
    let content = lower_files(bed);
    let m = bed.mount_with(ON);
    m.rename("0", "renamed");
    m.rename("1", "dir/moved");
    m.rename("dir/0", "up");
    must("link", rustix::fs::link(m.at("dir/1"), m.at("linked")));
    m.unlink("dir/1");
    let names = ["renamed", "dir/moved", "up", "linked"];
    take_over(bed);
    for name in names {
        assert_without_data(bed, name);
    }
    m.rename("renamed", "dir/renamed");
    m.rename("dir/moved", "moved");
    m.rename("up", "again");
    m.rename("linked", "dir/linked");
    take_back(bed);
    for name in ["dir/renamed", "moved", "again", "dir/linked"] {
        assert_without_data(bed, name);
        same_bytes(name, &m.read(name), &content);
        m.append(name, b"more");
    }
    take_over(bed);
}

/// Each driver has its own upper layer, above the other's.
fn a_chain_of_both(bed: &Bed) {
    let content = lower_files(bed);
    let m = bed.mount_with(ON);
    m.chmod("0", 0o640);
    m.rename("0", "renamed");
    m.rename("dir/0", "moved");
    let before = snapshot::take(&m);
    bed.umount();
    let (upper, work) = (bed.aside("u2"), bed.aside("w2"));
    let options = format!(
        "lowerdir={}:{},upperdir={upper},workdir={work},{ON}",
        bed.upper,
        bed.lowerdir()
    );
    let m = must(
        "mount by the other",
        bed.try_mount_at(&bed.other, &options, &bed.mnt),
    );
    snapshot::assert_same(&snapshot::take(&m), &before);
    m.rename("renamed", "dir/again");
    m.chown("moved", 3, 4);
    assert!(is_one(&upper, "dir/again"));
    assert!(is_one(&upper, "moved"));
    let before = snapshot::take(&m);
    bed.umount();
    let m = must("mount", bed.try_mount(&options));
    snapshot::assert_same(&snapshot::take(&m), &before);
    same_bytes("again", &m.read("dir/again"), &content);
    m.append("dir/again", b"more");
    m.append("moved", b"more");
    assert_same_by_other(bed, &options);
}

fn a_data_only_layer(bed: &Bed) {
    let data = bed.aside("data");
    let content = pattern(1, SIZE);
    data.file("blob", &content);
    bed.lower.sub("dir");
    for name in ["a", "b", "c"] {
        make(&bed.lower, name, SIZE as u64, Some("/blob"));
    }
    let options = format!(
        "lowerdir={}::{data},upperdir={},workdir={},{ON}",
        bed.lower, bed.upper, bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    m.chmod("a", 0o640);
    m.rename("b", "dir/renamed");
    m.append("c", b"more");
    let m = assert_same_by_other(bed, &options);
    same_bytes("renamed", &m.read("dir/renamed"), &content);
    m.append("a", b"more");
    m.append("dir/renamed", b"more");
    let before = snapshot::take(&m);
    bed.umount();
    let m = must("mount", bed.try_mount(&options));
    snapshot::assert_same(&snapshot::take(&m), &before);
}

fn digests(bed: &Bed) {
    let content = pattern(1, SIZE);
    let require = format!("{ON},verity=require");
    for name in ["a", "b", "c"] {
        bed.lower.file(name, &content);
        enable(&bed.lower, name, SHA256);
    }
    let want = metacopy(SHA256, &digest(&bed.lower, "a"));
    let m = bed.mount_with(&require);
    m.chmod("a", 0o600);
    bed.umount();
    let m2 = bed.mount_by_other_with(&require);
    same_bytes("a", &m2.read("a"), &content);
    m2.chmod("b", 0o600);
    bed.umount();
    assert_eq!(bed.upper.xattr("a", METACOPY).as_ref(), Some(&want));
    assert_eq!(bed.upper.xattr("b", METACOPY).as_ref(), Some(&want));
    bed.mount_with(&require);
    same_bytes("b", &m.read("b"), &content);
    m.append("b", b"more");
    m.append("a", b"more");
    bed.umount();
    bed.mount_by_other_with(&require);
    for name in ["a", "b"] {
        assert_eq!(m.read(name).len(), SIZE + 4);
    }
}
