// SPDX-License-Identifier: GPL-2.0

//! Redirects that are in the layers, as another mount or driver left them there.

use rustix::fs::{lstat, stat};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::attribute::{OPAQUE, REDIRECT};
use crate::support::dir::Dir;
use crate::support::must::{must, refused};

tests! {
    TWICE:
        relative,
        absolute,
        absolute_from_below_the_parent,
        in_a_lower_layer,
        without_upper,
        a_chain_of_names,
        a_chain_through_parents,
        a_redirect_of_a_directory_on_the_way,
        an_absolute_redirect_passes_an_opaque_directory,
        a_layer_between_without_the_directory,
        to_what_is_no_directory,
        to_a_whiteout,
        to_nothing,
        through_what_is_no_directory,
        an_opaque_directory_is_not_redirected,
        the_lowest_layer_redirects_nowhere;
    ONCE:
        nofollow_refuses,
        nofollow_shows_what_redirects_nowhere,
        off_is_nofollow_unless_always_followed,
        two_names_for_one_directory,
        invalid_values,
        names_as_long_as_can_be,
        paths_that_are_too_long_for_the_layer,
        bytes_that_are_no_text,
        loops,
        towards_another_layer_within,
        growing_paths;
}

fn redirect(dir: &Dir, name: &str, to: &str) {
    dir.sub(name);
    dir.set_xattr(name, REDIRECT, to.as_bytes());
}

#[track_caller]
fn mount(bed: &Bed, mode: &str) -> Dir {
    let options = format!("{},redirect_dir={mode}", bed.options());
    must("mount", bed.try_mount(&options))
}

#[track_caller]
fn follow(bed: &Bed) -> Dir {
    mount(bed, "follow")
}

#[track_caller]
fn lowers(bed: &Bed, mode: &str) -> Dir {
    let options = format!("lowerdir={},redirect_dir={mode}", bed.lowerdir());
    must("mount without upper", bed.try_mount(&options))
}

fn relative(bed: &Bed) {
    bed.lower.sub("old").file("low", "content");
    bed.lower.sub("new").file("other", "");
    redirect(&bed.upper, "new", "old");
    bed.upper.file("new/up", "");
    let m = follow(bed);
    assert_eq!(m.names("new"), ["low", "up"]);
    assert_eq!(m.text("new/low"), "content");
    m.append("new/low", b", more");
    assert_eq!(bed.upper.text("new/low"), "content, more");
}

fn absolute(bed: &Bed) {
    bed.lower
        .sub("a")
        .sub("b")
        .sub("old")
        .file("low", "content");
    bed.upper.sub("c");
    redirect(&bed.upper, "c/new", "/a/b/old");
    bed.upper.file("c/new/up", "");
    let m = follow(bed);
    assert_eq!(m.names("c/new"), ["low", "up"]);
    assert_eq!(m.text("c/new/low"), "content");
    m.unlink("c/new/low");
    assert!(bed.upper.is_whiteout("c/new/low"));
}

fn absolute_from_below_the_parent(bed: &Bed) {
    // The parent is in one layer only; the redirect leads to all of them.
    bed.below(2).sub("parent");
    bed.lower.sub("a").file("0", "");
    bed.below(1).sub("a").file("1", "");
    bed.below(2).sub("a").file("2", "");
    bed.upper.sub("parent");
    redirect(&bed.upper, "parent/new", "/a");
    let m = follow(bed);
    assert_eq!(m.names("parent/new"), ["0", "1", "2"]);
}

fn in_a_lower_layer(bed: &Bed) {
    bed.below(2).sub("a").sub("old").file("2", "");
    bed.below(2).sub("b").sub("new").file("not", "");
    bed.below(1).sub("b");
    redirect(&bed.below(1), "b/new", "/a/old");
    bed.below(1).file("b/new/1", "");
    bed.lower.sub("b").sub("new").file("0", "");
    let m = follow(bed);
    assert_eq!(m.names("b/new"), ["0", "1", "2"]);
}

fn without_upper(bed: &Bed) {
    bed.below(1).sub("old").file("1", "");
    redirect(&bed.lower, "new", "old");
    bed.lower.file("new/0", "");
    for mode in ["on", "follow"] {
        let m = lowers(bed, mode);
        assert_eq!(m.names("new"), ["0", "1"], "{mode}");
        bed.umount();
    }
}

fn a_chain_of_names(bed: &Bed) {
    for depth in 0..8 {
        let layer = bed.below(depth);
        redirect(&layer, &format!("n{depth}"), &format!("n{}", depth + 1));
        layer.file(&format!("n{depth}/{depth}"), "");
        // What has the same name is something else.
        layer.sub("n").file("not", "");
    }
    redirect(&bed.upper, "n", "n0");
    let m = follow(bed);
    assert_eq!(m.names("n"), ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

fn a_chain_through_parents(bed: &Bed) {
    for depth in 0..6 {
        let layer = bed.below(depth);
        layer.sub(&format!("p{depth}"));
        let name = format!("p{depth}/n");
        redirect(&layer, &name, &format!("/p{}/n", depth + 1));
        layer.file(&format!("{name}/{depth}"), "");
    }
    redirect(&bed.upper, "top", "/p0/n");
    let m = follow(bed);
    assert_eq!(m.names("top"), ["0", "1", "2", "3", "4", "5"]);
}

fn a_redirect_of_a_directory_on_the_way(bed: &Bed) {
    // "/a/b" of the highest layer is "/x/b" of the second, and "/x/y" below.
    redirect(&bed.lower, "a", "x");
    bed.lower.sub("a/b").file("0", "");
    bed.below(1).sub("x");
    redirect(&bed.below(1), "x/b", "y");
    bed.below(1).file("x/b/1", "");
    bed.below(2).sub("x").sub("y").file("2", "");
    bed.below(2).sub("a").sub("b").file("not", "");
    redirect(&bed.upper, "new", "/a/b");
    let m = follow(bed);
    assert_eq!(m.names("new"), ["0", "1", "2"]);
    // By the path itself it is the same.
    bed.umount();
    bed.upper.remove_xattr("new", REDIRECT);
    let m = follow(bed);
    assert_eq!(m.names("a/b"), ["0", "1", "2"]);
}

fn an_absolute_redirect_passes_an_opaque_directory(bed: &Bed) {
    // The directory on the way hides what is below it, but for what came from elsewhere.
    bed.lower.sub("a");
    bed.lower.set_xattr("a", OPAQUE, b"y");
    redirect(&bed.lower, "a/b", "/old");
    bed.lower.file("a/b/0", "");
    bed.below(1).sub("old").file("1", "");
    redirect(&bed.upper, "new", "/a/b");
    let m = follow(bed);
    assert_eq!(m.names("new"), ["0", "1"]);
}

fn a_layer_between_without_the_directory(bed: &Bed) {
    bed.below(2).sub("a").sub("old").file("2", "");
    bed.below(1).sub("a");
    bed.lower.file("unrelated", "");
    redirect(&bed.upper, "new", "/a/old");
    let m = follow(bed);
    assert_eq!(m.names("new"), ["2"]);
}

fn to_what_is_no_directory(bed: &Bed) {
    bed.below(1).sub("old").file("hidden", "");
    bed.lower.file("old", "a file");
    redirect(&bed.upper, "new", "old");
    redirect(&bed.upper, "other", "/old");
    bed.upper.file("new/up", "");
    let m = follow(bed);
    assert_eq!(m.names("new"), ["up"]);
    assert!(m.names("other").is_empty());
}

fn to_a_whiteout(bed: &Bed) {
    bed.below(1).sub("old").file("hidden", "");
    bed.lower
        .node("old", rustix::fs::FileType::CharacterDevice, 0, (0, 0));
    redirect(&bed.upper, "new", "old");
    redirect(&bed.upper, "other", "/old");
    let m = follow(bed);
    assert!(m.names("new").is_empty());
    assert!(m.names("other").is_empty());
}

fn to_nothing(bed: &Bed) {
    redirect(&bed.upper, "new", "nowhere");
    redirect(&bed.upper, "other", "/no/where");
    bed.upper.file("other/up", "");
    let m = follow(bed);
    assert!(m.names("new").is_empty());
    assert_eq!(m.names("other"), ["up"]);
    m.file("new/file", "content");
    assert_eq!(m.text("new/file"), "content");
}

fn through_what_is_no_directory(bed: &Bed) {
    bed.below(1).sub("a").sub("b").file("hidden", "");
    bed.lower.file("a", "a file");
    bed.below(1).sub("dir").file("inside", "");
    bed.lower.symlink("dir", "link");
    redirect(&bed.upper, "new", "/a/b");
    redirect(&bed.upper, "linked", "/link");
    let m = follow(bed);
    assert!(m.names("new").is_empty());
    assert!(m.names("linked").is_empty());
}

fn an_opaque_directory_is_not_redirected(bed: &Bed) {
    bed.lower.sub("old").file("hidden", "");
    redirect(&bed.upper, "new", "old");
    bed.upper.set_xattr("new", OPAQUE, b"y");
    let m = follow(bed);
    assert!(m.names("new").is_empty());
}

fn the_lowest_layer_redirects_nowhere(bed: &Bed) {
    redirect(&bed.lower, "dir", "../../etc");
    bed.lower.file("dir/file", "");
    let m = follow(bed);
    assert_eq!(m.names("dir"), ["file"]);
}

fn nofollow_refuses(bed: &Bed) {
    bed.lower.sub("old").file("low", "");
    bed.lower.sub("dir");
    bed.below(1).sub("old").file("low", "");
    redirect(&bed.upper, "new", "old");
    redirect(&bed.lower, "between", "old");
    bed.upper.sub("dir");
    redirect(&bed.upper, "dir/new", "/old");
    let m = mount(bed, "nofollow");
    for name in ["new", "between", "dir/new"] {
        refused(Errno::PERM, lstat(m.at(name)));
    }
    assert_eq!(m.names("old"), ["low"]);
}

fn nofollow_shows_what_redirects_nowhere(bed: &Bed) {
    // Nothing is below that could be merged.
    bed.upper.sub("pure");
    redirect(&bed.upper, "pure/new", "old");
    redirect(&bed.below(1), "lowest", "old");
    let m = mount(bed, "nofollow");
    assert!(m.names("pure/new").is_empty());
    assert!(m.names("lowest").is_empty());
}

fn off_is_nofollow_unless_always_followed(bed: &Bed) {
    let parameter = format!("/sys/module/{}/parameters/redirect_always_follow", bed.fs);
    let before = must("read the parameter", std::fs::read(&parameter));
    bed.lower.sub("old").file("low", "");
    redirect(&bed.upper, "new", "old");
    for (value, works) in [("Y", true), ("N", false)] {
        must("set the parameter", std::fs::write(&parameter, value));
        let m = mount(bed, "off");
        assert_eq!(lstat(m.at("new")).is_ok(), works, "{value}");
        bed.umount();
    }
    must("restore the parameter", std::fs::write(&parameter, before));
}

fn two_names_for_one_directory(bed: &Bed) {
    bed.lower.sub("old").file("low", "");
    redirect(&bed.upper, "one", "old");
    redirect(&bed.upper, "two", "/old");
    let m = follow(bed);
    assert_eq!(m.names("one"), ["low"]);
    // They are one directory of the lower layer, which cannot be in two places.
    refused(Errno::STALE, lstat(m.at("two")));
    refused(Errno::STALE, lstat(m.at("old")));
}

fn invalid_values(bed: &Bed) {
    let values: [&[u8]; 9] = [
        b"", b"/", b"//a", b"/a/", b"/a//b", b"a/b", b"a/", b"./a", b"../a",
    ];
    bed.lower.sub("a").sub("b");
    for (number, value) in values.iter().enumerate() {
        let name = format!("dir{number}");
        bed.upper.sub(&name);
        bed.upper.set_xattr(&name, REDIRECT, value);
    }
    let m = follow(bed);
    for number in 0..values.len() {
        refused(Errno::INVAL, lstat(m.at(&format!("dir{number}"))));
    }
    bed.umount();
    // Names that lead upwards: whatever the error, nothing is shown.
    let upwards: [&[u8]; 9] = [
        b"\0",
        b".",
        b"..",
        b"/.",
        b"/..",
        b"/../a",
        b"/a/..",
        b"/a/../..",
        b"/a/./b",
    ];
    for (number, value) in upwards.iter().enumerate() {
        let name = format!("up{number}");
        bed.upper.sub(&name);
        bed.upper.set_xattr(&name, REDIRECT, value);
    }
    let m = follow(bed);
    for (number, value) in upwards.iter().enumerate() {
        let result = stat(m.at(&format!("up{number}")));
        assert!(
            matches!(result, Err(Errno::INVAL | Errno::ACCESS)),
            "{value:?}: {result:?}"
        );
    }
}

fn names_as_long_as_can_be(bed: &Bed) {
    let long = "n".repeat(255);
    bed.lower.sub(&long).sub(&long).file("low", "");
    redirect(&bed.upper, "new", &format!("/{long}/{long}"));
    let m = follow(bed);
    assert_eq!(m.names("new"), ["low"]);
}

fn paths_that_are_too_long_for_the_layer(bed: &Bed) {
    // No such name exists, whatever it says.
    let longer = "n".repeat(256);
    redirect(&bed.upper, "name", &longer);
    redirect(&bed.upper, "first", &format!("/{longer}/a"));
    redirect(&bed.upper, "path", &"/a".repeat(2000));
    bed.lower.sub("a");
    let m = follow(bed);
    for name in ["name", "first", "path"] {
        assert!(m.names(name).is_empty(), "{name}");
    }
}

fn bytes_that_are_no_text(bed: &Bed) {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let name: &[u8] = b"\xff\xfe \x01\n\\";
    let path = bed.lower.path().join(OsStr::from_bytes(name));
    must("mkdir", std::fs::create_dir(&path));
    must("write", std::fs::write(path.join("low"), ""));
    bed.upper.sub("new");
    bed.upper.set_xattr("new", REDIRECT, name);
    // A NUL ends the value.
    bed.lower.sub("old").file("other", "");
    bed.upper.sub("ended");
    bed.upper.set_xattr("ended", REDIRECT, b"old\0/../..");
    let m = follow(bed);
    assert_eq!(m.names("new"), ["low"]);
    assert_eq!(m.names("ended"), ["other"]);
}

fn loops(bed: &Bed) {
    // Each layer leads back to where it came from; every layer is looked at once.
    for depth in 0..6 {
        let layer = bed.below(depth);
        for (name, to) in [("a", "b"), ("b", "a"), ("self", "self"), ("abs", "/abs")] {
            redirect(&layer, name, to);
            layer.file(&format!("{name}/{name}{depth}"), "");
        }
    }
    let m = follow(bed);
    assert_eq!(m.names("a"), ["a0", "a2", "a4", "b1", "b3", "b5"]);
    assert_eq!(m.names("self").len(), 6);
    assert_eq!(m.names("abs").len(), 6);
    bed.umount();
    // A directory that leads into itself.
    redirect(&bed.lower, "outer", "/outer/inner");
    bed.below(1).sub("outer").sub("inner").file("low", "");
    redirect(&bed.lower, "outer/inner", "/outer");
    let m = follow(bed);
    assert_eq!(m.names("outer"), ["inner", "low"]);
    // The same directory of a lower layer again, now below itself.
    let _ = lstat(m.at("outer/inner"));
}

fn towards_another_layer_within(bed: &Bed) {
    // The upper layer was moved into the lower one since the mount was set up.
    bed.lower.sub("deep");
    redirect(&bed.upper, "new", "/deep/u");
    let m = follow(bed);
    must(
        "move a layer",
        rustix::fs::rename(bed.upper.path(), bed.lower.at("deep/u")),
    );
    refused(Errno::LOOP, lstat(m.at("new")));
    must(
        "move it back",
        rustix::fs::rename(bed.lower.at("deep/u"), bed.upper.path()),
    );
}

fn growing_paths(bed: &Bed) {
    // Each name on the way is replaced by one that is as long as can be, again and again.
    let long = "n".repeat(255);
    for depth in 0..4 {
        let mut dir = bed.below(depth);
        for _ in 0..8 {
            redirect(&dir, &long, &long);
            dir = dir.join(&long);
        }
    }
    let path = format!("/{long}").repeat(8);
    redirect(&bed.upper, "new", &path);
    let m = follow(bed);
    assert!(m.names("new").is_empty());
}
