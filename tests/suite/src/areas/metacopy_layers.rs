// SPDX-License-Identifier: GPL-2.0

//! Metacopies that are found in layers, made by a former mount or by somebody
//! with bad intent.

use rustix::fs::{lstat, OFlags};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::metacopy::{assert_with_data, is_one, make, METACOPY, ON, REDIRECT};
use crate::support::must::{must, refused, same_bytes};

tests! {
    EVERYWHERE:
        a_former_upper_as_a_lower_layer,
        a_chain_through_layers;
    TWICE:
        a_chain_of_names,
        a_chain_of_directories,
        without_upper,
        a_metacopy_over_a_directory_that_moved,
        in_a_lower_layer_copied_up_again,
        shown_in_listings,
        shorter_data,
        longer_data,
        no_data,
        data_behind_a_whiteout,
        data_behind_an_opaque_directory,
        data_that_is_a_directory,
        data_that_is_a_link,
        a_redirect_to_nothing,
        a_redirect_that_is_no_path,
        a_redirect_through_a_file,
        a_redirect_to_itself,
        a_value_that_is_too_short,
        other_values,
        the_attribute_on_other_objects,
        leftovers_of_a_copy_are_not_shown;
}

const SIZE: usize = 50_000;

/// Reads through the overlay, and writes.
#[track_caller]
fn assert_works(bed: &Bed, name: &str, content: &[u8]) {
    let m = &bed.mnt;
    assert_eq!(m.stat(name).st_size as usize, content.len());
    same_bytes("read", &m.read(name), content);
    m.chmod(name, 0o600);
    assert!(is_one(&bed.upper, name));
    same_bytes("after chmod", &m.read(name), content);
    m.append(name, b"more");
    let content = [content, b"more"].concat();
    assert_with_data(bed, name, &content);
    same_bytes("written", &m.read(name), &content);
}

fn a_former_upper_as_a_lower_layer(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.lower.sub("dir").file("low", &content);
    bed.lower.file("other", &content);
    let m = bed.mount_with(ON);
    m.chmod("dir/low", 0o640);
    m.rename("dir/low", "renamed");
    m.rename("other", "dir/moved");
    bed.umount();
    let (upper, work) = (bed.aside("u2"), bed.aside("w2"));
    let options = format!(
        "lowerdir={}:{},upperdir={upper},workdir={work},{ON}",
        bed.upper,
        bed.lowerdir()
    );
    let m = must("mount", bed.try_mount(&options));
    for name in ["renamed", "dir/moved"] {
        same_bytes(name, &m.read(name), &content);
        m.set_xattr(name, "user.note", b"1");
        assert!(is_one(&upper, name), "{name}");
        same_bytes(name, &m.read(name), &content);
    }
    assert_eq!(m.mode("renamed"), 0o640);
    m.rename("renamed", "again");
    m.append("dir/moved", b"more");
    assert!(!is_one(&upper, "dir/moved"));
    bed.umount();
    let m = must("mount again", bed.try_mount(&options));
    same_bytes("again", &m.read("again"), &content);
    assert_eq!(m.read("dir/moved").len(), SIZE + 4);
    assert!(!m.exists("renamed"));
    assert!(!m.exists("dir/low"));
}

fn a_chain_through_layers(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.below(3).file("low", &content);
    for depth in [2, 1, 0] {
        let layer = if depth == 0 {
            bed.lower.clone()
        } else {
            bed.below(depth)
        };
        make(&layer, "low", SIZE as u64, None);
        layer.chmod("low", 0o640 | depth as u32);
        layer.chown("low", depth as u32, 5);
    }
    let m = bed.mount_with(ON);
    assert_eq!(m.mode("low"), 0o640);
    assert_eq!(m.stat("low").st_uid, 0);
    let blocks = m.stat("low").st_blocks;
    assert!(blocks * 512 >= SIZE as i64, "{blocks} blocks");
    assert_works(bed, "low", &content);
    same_bytes("lowest", &bed.below(3).read("low"), &content);
}

fn a_chain_of_names(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.below(2).sub("a").file("c", &content);
    bed.below(2).file("b", "another file");
    bed.below(1).sub("a");
    make(&bed.below(1), "a/b", SIZE as u64, Some("c"));
    make(&bed.lower, "top", SIZE as u64, Some("/a/b"));
    bed.mount_with(ON);
    assert_works(bed, "top", &content);
}

fn a_chain_of_directories(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.below(2).sub("x").sub("y").file("f", &content);
    bed.below(1).sub("a");
    bed.below(1).set_xattr("a", REDIRECT, b"/x/y");
    bed.lower.sub("b");
    make(&bed.lower, "b/top", SIZE as u64, Some("/a/f"));
    bed.mount_with(ON);
    assert_works(bed, "b/top", &content);
}

fn without_upper(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.below(1).file("low", &content);
    make(&bed.lower, "low", SIZE as u64, None);
    make(&bed.lower, "renamed", SIZE as u64, Some("low"));
    let m = must(
        "mount",
        bed.try_mount(&format!("lowerdir={},metacopy=on", bed.lowerdir())),
    );
    for name in ["low", "renamed"] {
        same_bytes(name, &m.read(name), &content);
        refused(
            Errno::ROFS,
            rustix::fs::open(m.at(name), OFlags::RDWR, rustix::fs::Mode::empty()),
        );
    }
}

fn a_metacopy_over_a_directory_that_moved(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.lower.sub("dir").file("low", &content);
    let m = bed.mount_with(ON);
    m.chmod("dir/low", 0o640);
    m.rename("dir", "moved");
    same_bytes("moved", &m.read("moved/low"), &content);
    bed.umount();
    let m = bed.mount_with(ON);
    same_bytes("mounted again", &m.read("moved/low"), &content);
    m.rename("moved/low", "low");
    bed.umount();
    bed.mount_with(ON);
    assert_works(bed, "low", &content);
}

fn in_a_lower_layer_copied_up_again(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.below(1).file("low", &content);
    make(&bed.lower, "low", SIZE as u64, None);
    bed.lower.set_times("low", (1, 2), (3, 4));
    bed.lower.set_xattr("low", "user.note", b"1");
    let m = bed.mount_with(ON);
    let before = m.stat("low");
    assert_eq!(before.st_mtime, 3);
    drop(m.open_rw("low"));
    assert_with_data(bed, "low", &content);
    let after = m.stat("low");
    assert_eq!((after.st_ino, after.st_mtime), (before.st_ino, 3));
    assert_eq!(m.xattr("low", "user.note").as_deref(), Some(&b"1"[..]));
}

fn shown_in_listings(bed: &Bed) {
    bed.below(1).file("low", pattern(1, SIZE));
    make(&bed.lower, "low", SIZE as u64, None);
    make(&bed.lower, "renamed", SIZE as u64, Some("low"));
    let m = bed.mount_with(ON);
    m.chmod("renamed", 0o600);
    assert_eq!(m.names(""), ["low", "renamed"]);
}

/// Data that is shorter than the metacopy ends where it ends, until it is
/// copied.
fn shorter_data(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.below(1).file("low", &content);
    make(&bed.lower, "low", SIZE as u64 + 5000, None);
    let m = bed.mount_with(ON);
    assert_eq!(m.stat("low").st_size as usize, SIZE + 5000);
    let got = m.read("low");
    same_bytes("read", &got[..SIZE], &content);
    m.append("low", b"more");
    let mut want = content;
    want.resize(SIZE + 5000, 0);
    want.extend_from_slice(b"more");
    assert_with_data(bed, "low", &want);
}

fn longer_data(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.below(1).file("low", &content);
    make(&bed.lower, "low", 5000, None);
    let m = bed.mount_with(ON);
    assert_eq!(m.stat("low").st_size, 5000);
    m.append("low", b"more");
    let want = [&content[..5000], b"more"].concat();
    assert_with_data(bed, "low", &want);
}

/// Nothing is shown in the place of a file that is not whole.
#[track_caller]
fn assert_broken(bed: &Bed, name: &str, errno: Errno) {
    let m = bed.mount_with(ON);
    refused(errno, lstat(m.at(name)));
    refused(
        errno,
        rustix::fs::open(m.at(name), OFlags::RDONLY, rustix::fs::Mode::empty()),
    );
    // It does no harm to others.
    m.file("new", "content");
    assert_eq!(m.text("new"), "content");
}

fn no_data(bed: &Bed) {
    make(&bed.lower, "low", SIZE as u64, None);
    assert_broken(bed, "low", Errno::IO);
    bed.umount();
    make(&bed.upper, "up", SIZE as u64, None);
    let m = bed.mount_with(ON);
    refused(Errno::IO, lstat(m.at("up")));
}

fn data_behind_a_whiteout(bed: &Bed) {
    bed.below(2).file("low", pattern(1, SIZE));
    bed.below(1).whiteout("low");
    make(&bed.lower, "low", SIZE as u64, None);
    assert_broken(bed, "low", Errno::IO);
}

fn data_behind_an_opaque_directory(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.below(1).sub("dir").file("low", &content);
    bed.lower.sub("dir");
    bed.lower.opaque("dir");
    make(&bed.lower, "dir/low", SIZE as u64, None);
    make(&bed.lower, "dir/by-path", SIZE as u64, Some("/dir/low"));
    assert_broken(bed, "dir/low", Errno::IO);
    // It was moved into the directory when that was opaque already.
    same_bytes("by path", &bed.mnt.read("dir/by-path"), &content);
}

fn data_that_is_a_directory(bed: &Bed) {
    bed.below(1).sub("low");
    make(&bed.lower, "low", SIZE as u64, None);
    assert_broken(bed, "low", Errno::IO);
}

fn data_that_is_a_link(bed: &Bed) {
    bed.below(1).symlink("target", "low");
    bed.below(1).file("target", pattern(1, SIZE));
    make(&bed.lower, "low", SIZE as u64, None);
    assert_broken(bed, "low", Errno::IO);
}

fn a_redirect_to_nothing(bed: &Bed) {
    bed.below(1).file("low", pattern(1, SIZE));
    make(&bed.lower, "a", SIZE as u64, Some("missing"));
    make(&bed.lower, "b", SIZE as u64, Some("/missing/low"));
    let m = bed.mount_with(ON);
    for name in ["a", "b"] {
        refused(Errno::IO, lstat(m.at(name)));
    }
}

fn a_redirect_that_is_no_path(bed: &Bed) {
    bed.below(1).sub("dir").file("low", pattern(1, SIZE));
    bed.below(1).file("low", pattern(1, SIZE));
    let values = ["", "dir/low", "//low", "/low/", "/", "/dir//low"];
    for (number, value) in values.iter().enumerate() {
        make(&bed.lower, &format!("{number}"), SIZE as u64, Some(value));
    }
    let m = bed.mount_with(ON);
    for (number, value) in values.iter().enumerate() {
        let result = lstat(m.at(&format!("{number}")));
        assert_eq!(result.err(), Some(Errno::INVAL), "{value:?}");
    }
    bed.umount();
    for (number, value) in ["..", "/..", "/dir/../low", ".", "/./low"]
        .iter()
        .enumerate()
    {
        let name = format!("dots-{number}");
        make(&bed.lower, &name, SIZE as u64, Some(value));
        let m = bed.mount_with(ON);
        assert!(lstat(m.at(&name)).is_err(), "{value:?}");
        bed.umount();
    }
    bed.mount_with(ON);
}

fn a_redirect_through_a_file(bed: &Bed) {
    bed.below(1).file("low", pattern(1, SIZE));
    bed.below(1).symlink("dir", "link");
    bed.below(1).sub("dir").file("low", pattern(1, SIZE));
    make(&bed.lower, "a", SIZE as u64, Some("/low/low"));
    make(&bed.lower, "b", SIZE as u64, Some("/link/low"));
    let m = bed.mount_with(ON);
    for name in ["a", "b"] {
        refused(Errno::IO, lstat(m.at(name)));
    }
}

fn a_redirect_to_itself(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.below(1).file("low", &content);
    make(&bed.lower, "low", SIZE as u64, Some("low"));
    make(&bed.lower, "alone", SIZE as u64, Some("/alone"));
    let m = bed.mount_with(ON);
    same_bytes("low", &m.read("low"), &content);
    refused(Errno::IO, lstat(m.at("alone")));
}

fn a_value_that_is_too_short(bed: &Bed) {
    bed.below(1).file("low", pattern(1, SIZE));
    make(&bed.lower, "low", SIZE as u64, None);
    for length in 1..4 {
        bed.lower.set_xattr("low", METACOPY, &[0, 4, 0][..length]);
        let m = bed.mount_with(ON);
        refused(Errno::IO, lstat(m.at("low")));
        bed.umount();
    }
    bed.mount_with(ON);
}

/// What a value says is looked at when digests are asked for, and not before.
fn other_values(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.below(1).file("low", &content);
    make(&bed.lower, "low", SIZE as u64, None);
    let long = [0; 200];
    for value in [&[9, 9, 9, 9][..], &[0, 3, 0, 0], &[0, 255, 0, 1, 2], &long] {
        bed.lower.set_xattr("low", METACOPY, value);
        let m = bed.mount_with(ON);
        same_bytes("low", &m.read("low"), &content);
        bed.umount();
    }
    bed.mount_with(ON);
}

fn the_attribute_on_other_objects(bed: &Bed) {
    bed.below(1).sub("dir").file("low", "content");
    bed.lower.sub("dir");
    bed.lower.set_xattr("dir", METACOPY, b"");
    bed.lower.symlink("target", "link");
    bed.lower.set_xattr("link", METACOPY, b"");
    let m = bed.mount_with(ON);
    assert_eq!(m.text("dir/low"), "content");
    assert_eq!(m.target("link"), "target");
    m.chmod("dir", 0o700);
    m.chown("link", 1, 2);
    assert!(!is_one(&bed.upper, "dir"));
    assert!(!is_one(&bed.upper, "link"));
}

/// A copy of the data that was interrupted has left something.
fn leftovers_of_a_copy_are_not_shown(bed: &Bed) {
    let low: Dir = bed.lower.clone();
    let file = low.create("low", 0o644);
    must("ftruncate", file.set_len(1 << 20));
    drop(file);
    low.write_at("low", 600_000, b"data");
    let content = low.read("low");
    let m = bed.mount_with(ON);
    m.chmod("low", 0o600);
    bed.umount();
    // Where the lower file has a hole.
    bed.upper.write_at("low", 100_000, b"leftover");
    let m = bed.mount_with(ON);
    same_bytes("read", &m.read("low"), &content);
    drop(m.open_rw("low"));
    assert_with_data(bed, "low", &content);
}
