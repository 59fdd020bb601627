// SPDX-License-Identifier: GPL-2.0

//! Renaming directories of lower layers, and merged ones, without redirects: all
//! that is in them is copied up first.
//!
//! C overlayfs refuses with `EXDEV`, so it fails the tests in which the rename
//! succeeds.

use std::io::Write;
use std::os::unix::fs::FileExt;

use rustix::fs::{fstat, rename, renameat_with, RenameFlags, CWD};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::attribute::{IMPURE, OPAQUE, ORIGIN, REDIRECT};
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::must::{must, refused, same_bytes};
use crate::support::{acl, image, metacopy, snapshot, upper};

tests! {
    EVERYWHERE:
        a_lower_directory,
        a_merged_directory,
        with_all_that_a_layer_holds;
    TWICE:
        into_another_directory,
        what_was_removed_stays_so,
        upper_has_the_tree_alone,
        exchange,
        exchange_across_directories,
        over_an_emptied_directory,
        over_a_whiteout,
        over_a_directory_with_entries_is_refused,
        again_and_again,
        the_old_name_is_free,
        a_directory_in_it,
        below_a_directory_of_upper,
        times_and_attributes_of_directories,
        open_files,
        open_directories,
        mappings,
        numbers_stay,
        names_of_one_file,
        names_of_an_indexed_file,
        a_deep_tree,
        many_files,
        redirects_in_it,
        a_redirect_that_is_too_long,
        metacopies_get_their_data,
        of_an_overlay_below;
    ONCE:
        whiteouts_by_attribute_in_upper,
        two_claim_one_origin;
}

/// Renames, and fails unless what is in the directory is the same, at once and
/// after a remount, and all of it in upper.
#[track_caller]
fn moved(bed: &Bed, old: &str, new: &str) -> Dir {
    let m = &bed.mnt;
    let before = snapshot::take(&m.join(old));
    m.rename(old, new);
    assert!(!m.exists(old), "{old} is still there");
    snapshot::assert_same(&snapshot::take(&m.join(new)), &before);
    let m = bed.remount_fresh();
    assert!(!m.exists(old), "{old} is there again");
    snapshot::assert_same(&snapshot::take(&m.join(new)), &before);
    assert_pure(bed, new);
    bed.assert_work_is_empty();
    m
}

/// Fails unless upper has the tree alone: opaque, without whiteouts, without
/// redirects, and all that the overlay shows.
#[track_caller]
pub fn assert_pure(bed: &Bed, name: &str) {
    let tree = upper::take(&bed.upper.join(name));
    assert!(tree[""].contains(" opaque=y"), "{name} is {}", tree[""]);
    for (path, what) in &tree {
        assert!(!what.contains("whiteout"), "{name}/{path} is {what}");
        assert!(!what.contains("redirect"), "{name}/{path} is {what}");
    }
    let shown = snapshot::take(&bed.mnt.join(name));
    assert!(tree.keys().eq(shown.keys()), "{name}: {tree:?}");
}

fn swap(m: &Dir, one: &str, two: &str) {
    must(
        format_args!("exchange {one} and {two}"),
        renameat_with(CWD, m.at(one), CWD, m.at(two), RenameFlags::EXCHANGE),
    );
}

fn a_lower_directory(bed: &Bed) {
    bed.lower.sub("old").file("low", "content");
    bed.lower.sub("old/inner").file("deeper", "more");
    bed.mount();
    moved(bed, "old", "new");
    assert!(bed.upper.is_whiteout("old"));
    assert_eq!(bed.upper.names(""), ["new", "old"]);
    for name in ["new", "new/low", "new/inner", "new/inner/deeper"] {
        assert!(bed.upper.xattr(name, ORIGIN).is_some(), "{name}");
    }
    for name in ["new", "new/inner"] {
        assert_eq!(
            bed.upper.xattr(name, IMPURE).as_deref(),
            Some(&b"y"[..]),
            "{name}"
        );
    }
    assert_eq!(bed.lower.names("old"), ["inner", "low"]);
}

fn a_merged_directory(bed: &Bed) {
    for depth in 0..3 {
        let dir = bed.below(depth).sub("old");
        dir.file(&format!("{depth}"), "lower");
        dir.file("hidden", format!("{depth}"));
        dir.sub("both").file(&format!("in-{depth}"), "");
    }
    let dir = bed.upper.sub("old");
    dir.file("up", "upper");
    dir.sub("both").file("in-up", "");
    bed.mount();
    let m = moved(bed, "old", "new");
    assert_eq!(m.names("new"), ["0", "1", "2", "both", "hidden", "up"]);
    assert_eq!(m.names("new/both"), ["in-0", "in-1", "in-2", "in-up"]);
    assert_eq!(m.text("new/hidden"), "0");
}

fn with_all_that_a_layer_holds(bed: &Bed) {
    image::make(&bed.lower.sub("tree"));
    must("rm", std::fs::remove_dir_all(bed.lower.at("tree/many")));
    let dir = bed.below(1).sub("tree");
    dir.file("lowest", "content");
    let dir = bed.lower.join("tree");
    dir.set_xattr("dir", acl::DEFAULT, &acl::with_user(5, 6));
    dir.set_xattr("small", acl::ACCESS, &acl::with_user(5, 6));
    dir.set_xattr("small", "trusted.overlay.overlay.opaque", b"nested");
    let m = bed.mount();
    let mut before = snapshot::take(&m.join("tree"));
    m.rename("tree", "moved");
    for _ in 0..2 {
        let mut after = snapshot::take(&bed.mnt.join("moved"));
        for tree in [&mut before, &mut after] {
            // Copying a name of several breaks the link, as copy-up always does.
            tree.retain(|name, _| !name.contains("twin"));
        }
        snapshot::assert_same(&after, &before);
        let nested = bed.mnt.xattr("moved/small", OPAQUE);
        assert_eq!(nested.as_deref(), Some(&b"nested"[..]));
        bed.remount_fresh();
    }
    assert_pure(bed, "moved");
}

fn into_another_directory(bed: &Bed) {
    bed.lower
        .sub("a")
        .sub("b")
        .sub("old")
        .file("low", "content");
    bed.lower.sub("to");
    let m = bed.mount();
    m.sub("fresh");
    moved(bed, "a/b/old", "to/new");
    assert!(bed.upper.is_whiteout("a/b/old"));
    assert_eq!(bed.upper.xattr("to", IMPURE).as_deref(), Some(&b"y"[..]));
    moved(bed, "to/new", "fresh/newer");
    assert!(!bed.upper.exists("to/new"));
    moved(bed, "a", "fresh/newer/a");
}

fn what_was_removed_stays_so(bed: &Bed) {
    for layer in [bed.lower.clone(), bed.below(1)] {
        let dir = layer.sub("dir");
        for name in ["gone", "replaced", "moved", "file-then-dir"] {
            dir.file(name, "lower");
        }
        dir.sub("gone-dir").file("x", "");
        dir.sub("again").file("not", "");
        dir.sub("emptied").file("gone", "");
    }
    bed.lower.join("dir").file("whited-below", "");
    bed.below(1).join("dir").file("below-a-whiteout", "");
    bed.lower.join("dir").whiteout("below-a-whiteout");
    let m = bed.mount();
    m.unlink("dir/gone");
    m.unlink("dir/replaced");
    m.file("dir/replaced", "new");
    m.rename("dir/moved", "elsewhere");
    std::fs::remove_dir_all(m.at("dir/gone-dir")).expect("remove a tree");
    std::fs::remove_dir_all(m.at("dir/again")).expect("remove a tree");
    m.sub("dir/again").file("new", "");
    m.unlink("dir/emptied/gone");
    m.unlink("dir/file-then-dir");
    m.sub("dir/file-then-dir");
    m.unlink("dir/whited-below");
    let m = moved(bed, "dir", "new");
    assert_eq!(
        m.names("new"),
        ["again", "emptied", "file-then-dir", "replaced"]
    );
    assert!(m.names("new/emptied").is_empty());
    assert_eq!(m.names("new/again"), ["new"]);
}

fn upper_has_the_tree_alone(bed: &Bed) {
    bed.lower.sub("dir").sub("sub").file("low", "content");
    bed.lower.file("dir/file", "");
    let m = bed.mount();
    m.unlink("dir/file");
    m.rename("dir", "new");
    bed.umount();
    // What tools see that look at upper alone: a removed name, and a new tree.
    let mut tree = upper::take(&bed.upper);
    tree.remove("");
    let tree: Vec<_> = tree.into_iter().collect();
    let as_text: Vec<_> = tree
        .iter()
        .map(|(path, what)| (path.as_str(), what.as_str()))
        .collect();
    assert_eq!(
        as_text,
        [
            ("dir", "whiteout"),
            ("new", "Directory impure=y opaque=y origin"),
            ("new/sub", "Directory impure=y opaque=y origin"),
            ("new/sub/low", "RegularFile origin"),
        ]
    );
}

fn exchange(bed: &Bed) {
    bed.lower.sub("low").file("1", "");
    bed.lower.sub("both").file("2", "");
    bed.upper.sub("both").file("3", "");
    bed.upper.sub("up").file("4", "");
    bed.lower.file("file", "5");
    let m = bed.mount();
    swap(&m, "low", "both");
    swap(&m, "up", "low");
    swap(&m, "both", "file");
    for _ in 0..2 {
        let m = &bed.mnt;
        assert_eq!(m.names("low"), ["4"]);
        assert_eq!(m.names("up"), ["2", "3"]);
        assert_eq!(m.names("file"), ["1"]);
        assert_eq!(m.text("both"), "5");
        assert_eq!(m.names(""), ["both", "file", "low", "up"]);
        bed.remount_fresh();
    }
}

fn exchange_across_directories(bed: &Bed) {
    bed.lower.sub("a").sub("one").file("1", "");
    bed.lower.sub("b").sub("two").file("2", "");
    bed.lower.sub("a/one/deep").file("3", "");
    let m = bed.mount();
    swap(&m, "a/one", "b/two");
    for _ in 0..2 {
        assert_eq!(bed.mnt.names("a/one"), ["2"]);
        assert_eq!(bed.mnt.names("b/two"), ["1", "deep"]);
        bed.remount_fresh();
    }
    assert_pure(bed, "a/one");
    assert_pure(bed, "b/two");
}

fn over_an_emptied_directory(bed: &Bed) {
    bed.lower.sub("old").file("low", "content");
    bed.lower.sub("target").file("gone", "");
    bed.lower.sub("low-target");
    let m = bed.mount();
    m.unlink("target/gone");
    m.rename("old", "target");
    m.rename("target", "low-target");
    for _ in 0..2 {
        assert_eq!(bed.mnt.names(""), ["low-target"]);
        assert_eq!(bed.mnt.names("low-target"), ["low"]);
        bed.remount_fresh();
    }
}

fn over_a_whiteout(bed: &Bed) {
    bed.lower.sub("old").file("low", "content");
    bed.lower.sub("gone").file("hidden", "");
    let m = bed.mount();
    std::fs::remove_dir_all(m.at("gone")).expect("remove a tree");
    moved(bed, "old", "gone");
}

fn over_a_directory_with_entries_is_refused(bed: &Bed) {
    bed.lower.sub("old").file("low", "content");
    bed.lower.sub("target").file("inside", "");
    bed.lower.sub("old/inner");
    let m = bed.mount();
    if bed.copies_directories() {
        refused(Errno::NOTEMPTY, rename(m.at("old"), m.at("target")));
        refused(Errno::NOTEMPTY, rename(m.at("old/inner"), m.at("old")));
    }
    refused(Errno::INVAL, rename(m.at("old"), m.at("old/inner/old")));
    assert!(bed.upper.names("").is_empty());
    m.rename("old", "new");
}

fn again_and_again(bed: &Bed) {
    bed.lower.sub("n0").file("low", "content");
    bed.lower.sub("to");
    let m = bed.mount();
    for number in 0..5 {
        m.rename(&format!("n{number}"), &format!("n{}", number + 1));
    }
    moved(bed, "n5", "to/n0");
    moved(bed, "to/n0", "n0");
    assert_eq!(bed.upper.names(""), ["n0", "to"]);
}

fn the_old_name_is_free(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    let m = bed.mount();
    m.rename("dir", "moved");
    m.sub("dir").file("new", "");
    for _ in 0..2 {
        assert_eq!(bed.mnt.names("dir"), ["new"]);
        assert_eq!(bed.mnt.names("moved"), ["low"]);
        bed.remount_fresh();
    }
    let m = &bed.mnt;
    m.unlink("dir/new");
    m.rmdir("dir");
    moved(bed, "moved", "dir");
}

fn a_directory_in_it(bed: &Bed) {
    bed.lower.sub("a").sub("b").sub("c").file("low", "content");
    bed.mount();
    moved(bed, "a/b", "a/B");
    moved(bed, "a/B/c", "c");
    moved(bed, "a", "A");
    moved(bed, "c", "A/B/c");
}

fn below_a_directory_of_upper(bed: &Bed) {
    // It is upper's, but what was moved into it came from elsewhere.
    bed.lower.sub("low").sub("inner").file("file", "content");
    let m = bed.mount();
    m.sub("up");
    m.rename("low", "up/low");
    moved(bed, "up/low/inner", "up/inner");
    let m = bed.remount_fresh();
    m.rename("up", "UP");
    assert_eq!(m.text("UP/inner/file"), "content");
    assert_eq!(bed.remount_fresh().text("UP/inner/file"), "content");
}

fn times_and_attributes_of_directories(bed: &Bed) {
    let low = bed.lower.sub("dir");
    low.sub("sub").file("low", "");
    low.file("gone", "");
    for name in ["dir", "dir/sub"] {
        bed.lower.chmod(name, 0o2750);
        bed.lower.chown(name, 5, 6);
        bed.lower.set_xattr(name, "trusted.note", b"1");
        bed.lower
            .set_xattr(name, acl::DEFAULT, &acl::with_user(5, 6));
        bed.lower.set_times(name, (1, 2), (3, 4));
    }
    let m = bed.mount();
    m.unlink("dir/gone");
    m.set_times("dir", (1, 2), (3, 4));
    m.rename("dir", "new");
    for _ in 0..2 {
        for name in ["new", "new/sub"] {
            let stat = bed.mnt.stat(name);
            assert_eq!(stat.st_mode & 0o7777, 0o2750, "{name}");
            assert_eq!((stat.st_uid, stat.st_gid), (5, 6), "{name}");
            assert_eq!((stat.st_mtime, stat.st_mtime_nsec), (3, 4), "{name}");
            let note = bed.mnt.xattr(name, "trusted.note");
            assert_eq!(note.as_deref(), Some(&b"1"[..]), "{name}");
            assert!(bed.mnt.xattr(name, acl::DEFAULT).is_some(), "{name}");
            assert_eq!(bed.mnt.xattr(name, OPAQUE), None, "{name}");
        }
        bed.remount_fresh();
    }
}

fn open_files(bed: &Bed) {
    bed.lower.sub("dir").sub("sub").file("low", "content");
    bed.lower.file("dir/removed", "content");
    let m = bed.mount();
    let reader = m.open_read("dir/sub/low");
    let removed = m.open_read("dir/removed");
    m.unlink("dir/removed");
    m.rename("dir", "new");
    let mut writer = m.open_rw("new/sub/low");
    must("write", writer.write_all(b"CON"));
    for (file, want) in [(&reader, b"CONtent"), (&removed, b"content")] {
        let mut text = [0; 7];
        must("read", file.read_exact_at(&mut text, 0));
        assert_eq!(&text, want);
    }
    let number = must("fstat", fstat(&reader)).st_ino;
    assert_eq!(number, m.stat("new/sub/low").st_ino);
}

fn open_directories(bed: &Bed) {
    bed.lower.sub("dir").sub("sub").file("low", "");
    let m = bed.mount();
    let (dir, sub) = (m.open_read("dir"), m.open_read("dir/sub"));
    let names = |dir| {
        let entries = crate::support::listing::all(dir);
        let mut names: Vec<_> = entries.into_iter().map(|entry| entry.name).collect();
        names.sort();
        names
    };
    assert_eq!(names(&dir), [".", "..", "sub"]);
    m.rename("dir", "new");
    m.file("new/more", "");
    m.unlink("new/sub/low");
    assert_eq!(names(&dir), [".", "..", "more", "sub"]);
    assert_eq!(names(&sub), [".", ".."]);
    must(
        "openat",
        rustix::fs::openat(
            &dir,
            "more",
            rustix::fs::OFlags::RDONLY,
            rustix::fs::Mode::empty(),
        ),
    );
}

fn mappings(bed: &Bed) {
    bed.lower.sub("dir").file("low", pattern(1, 8192));
    let m = bed.mount();
    let file = m.open_read("dir/low");
    let mapping = crate::support::mapping::Map::shared_read(&file, 8192);
    assert_eq!(mapping.byte(0), pattern(1, 8192)[0]);
    m.rename("dir", "new");
    m.write_at("new/low", 0, b"\x55");
    assert_eq!(mapping.byte(0), 0x55);
}

fn numbers_stay(bed: &Bed) {
    let names = ["", "/sub", "/sub/low", "/sub/deep", "/link", "/fifo"];
    let dir = bed.lower.sub("a").sub("dir");
    dir.sub("sub").file("low", "");
    dir.sub("sub/deep");
    dir.symlink("x", "link");
    dir.node("fifo", rustix::fs::FileType::Fifo, 0o644, (0, 0));
    bed.below(1).sub("a").sub("dir").sub("sub");
    bed.lower.sub("b");
    let m = bed.mount();
    let numbers = |m: &Dir, top: &str| names.map(|name| m.stat(&format!("{top}{name}")).st_ino);
    let before = numbers(&m, "a/dir");
    // Somebody holds an inode, somebody does not.
    let held = m.open_read("a/dir/sub");
    m.rename("a/dir", "b/new");
    let drop_caches = || {
        rustix::fs::sync();
        must("drop", std::fs::write("/proc/sys/vm/drop_caches", "3"));
    };
    for _ in 0..2 {
        assert_eq!(numbers(&m, "b/new"), before);
        drop_caches();
    }
    assert_eq!(must("fstat", fstat(&held)).st_ino, before[1]);
    drop(held);
    drop_caches();
    assert_eq!(numbers(&m, "b/new"), before);
    for (dir, name, want) in [("b", "new", before[0]), ("b/new", "sub", before[1])] {
        let open = m.open_read(dir);
        let entries = crate::support::listing::all(&open);
        let entry = entries.iter().find(|entry| entry.name == name);
        assert_eq!(entry.map(|entry| entry.ino), Some(want), "{dir}/{name}");
    }
    let m = bed.remount_fresh();
    assert_eq!(numbers(&m, "b/new"), before);
    m.rename("b/new", "again");
    assert_eq!(numbers(&bed.remount_fresh(), "again"), before);
}

fn names_of_one_file(bed: &Bed) {
    // As copy-up does, each becomes a file of its own; a link of upper stays one.
    bed.lower.sub("dir").file("one", "content");
    bed.lower.join("dir").link("one", "two");
    let m = bed.mount();
    m.file("dir/new", "new");
    m.link("dir/new", "linked");
    m.rename("dir", "moved");
    m.append("moved/one", b", more");
    m.append("linked", b", more");
    for _ in 0..2 {
        assert_eq!(bed.mnt.text("moved/one"), "content, more");
        assert_eq!(bed.mnt.text("moved/new"), "new, more");
        bed.remount_fresh();
    }
}

fn names_of_an_indexed_file(bed: &Bed) {
    bed.lower.sub("dir").file("one", "content");
    bed.lower.join("dir").link("one", "two");
    let mount = || {
        let options = format!("{},index=on", bed.options());
        must("mount", bed.try_mount(&options))
    };
    let m = mount();
    m.rename("dir", "moved");
    m.append("moved/one", b", more");
    for _ in 0..2 {
        assert_eq!(bed.mnt.text("moved/two"), "content, more");
        let [one, two] = ["moved/one", "moved/two"].map(|name| bed.mnt.stat(name));
        assert_eq!((one.st_nlink, one.st_ino), (2, two.st_ino));
        bed.umount();
        mount();
    }
    assert_pure(bed, "moved");
}

fn a_deep_tree(bed: &Bed) {
    let mut dir = bed.lower.sub("top");
    for level in 0..30 {
        dir.file(&format!("f{level}"), "");
        dir = dir.sub("d");
    }
    bed.mount();
    moved(bed, "top", "new");
}

fn many_files(bed: &Bed) {
    let dir = bed.lower.sub("top");
    for sub in 0..4 {
        let dir = dir.sub(&format!("{sub}"));
        for number in 0..50 {
            dir.file(&format!("{number}"), format!("{sub} {number}"));
        }
    }
    bed.mount();
    moved(bed, "top", "new");
}

fn redirects_in_it(bed: &Bed) {
    // Left by another mount: directories that are found elsewhere below.
    bed.lower.sub("far").file("far", "");
    bed.lower.sub("dir").sub("near").file("near", "");
    bed.upper.sub("dir").sub("was-near");
    bed.upper.set_xattr("dir/was-near", REDIRECT, b"near");
    bed.upper.whiteout("dir/near");
    bed.upper.sub("dir/was-far");
    bed.upper.set_xattr("dir/was-far", REDIRECT, b"/far");
    bed.upper.whiteout("far");
    // One in a directory that is upper's alone.
    bed.lower.sub("other").file("other", "");
    bed.upper.whiteout("other");
    bed.upper.sub("dir/pure").sub("in-pure");
    bed.upper.set_xattr("dir/pure/in-pure", REDIRECT, b"/other");
    let options = format!("{},redirect_dir=follow", bed.options());
    let m = must("mount", bed.try_mount(&options));
    m.rename("dir", "new");
    for _ in 0..2 {
        let m = &bed.mnt;
        assert_eq!(m.names("new"), ["pure", "was-far", "was-near"]);
        assert_eq!(m.names("new/was-near"), ["near"]);
        assert_eq!(m.names("new/was-far"), ["far"]);
        assert_eq!(m.names("new/pure/in-pure"), ["other"]);
        // Nobody needs to follow anything any more.
        bed.remount_fresh();
    }
    assert_eq!(bed.upper.xattr("new/was-near", REDIRECT), None);
}

fn a_redirect_that_is_too_long(bed: &Bed) {
    let path = vec!["n".repeat(60); 5].join("/");
    must(
        "mkdir",
        std::fs::create_dir_all(bed.lower.at(&format!("{path}/dir"))),
    );
    bed.lower.file(&format!("{path}/dir/low"), "content");
    bed.lower.sub("to");
    let options = format!("{},redirect_dir=on", bed.options());
    let m = must("mount", bed.try_mount(&options));
    m.rename(&format!("{path}/dir"), "to/dir");
    assert_eq!(m.text("to/dir/low"), "content");
    assert_eq!(bed.upper.xattr("to/dir", REDIRECT), None);
    assert_pure(bed, "to/dir");
}

fn metacopies_get_their_data(bed: &Bed) {
    let path = vec!["n".repeat(60); 5].join("/");
    let dir = format!("{path}/dir");
    must("mkdir", std::fs::create_dir_all(bed.lower.at(&dir)));
    let content = pattern(1, 100_000);
    for name in ["changed", "untouched"] {
        bed.lower.file(&format!("{dir}/{name}"), &content);
    }
    bed.lower.sub("to");
    let mount = || {
        let options = format!("{},{}", bed.options(), metacopy::ON);
        must("mount", bed.try_mount(&options))
    };
    let m = mount();
    m.chmod(&format!("{dir}/changed"), 0o600);
    assert!(metacopy::is_one(&bed.upper, &format!("{dir}/changed")));
    m.rename(&dir, "to/dir");
    bed.umount();
    let m = mount();
    for name in ["to/dir/changed", "to/dir/untouched"] {
        same_bytes(name, &m.read(name), &content);
        metacopy::assert_with_data(bed, name, &content);
    }
    assert_eq!(m.mode("to/dir/changed"), 0o600);
}

fn of_an_overlay_below(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    bed.lower.sub("dir/sub").file("gone", "");
    let (upper, work, inner) = (bed.aside("iu"), bed.aside("iw"), bed.aside("im"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let i = must("mount", bed.try_mount_at(&bed.fs, &options, &inner));
    i.unlink("dir/sub/gone");
    i.file("dir/sub/up", "");
    for mode in ["nofollow", "on"] {
        let (upper, work) = (
            bed.aside(&format!("u-{mode}")),
            bed.aside(&format!("w-{mode}")),
        );
        let options =
            format!("lowerdir={inner},upperdir={upper},workdir={work},redirect_dir={mode}");
        let m = must("mount", bed.try_mount(&options));
        let before = snapshot::take(&m.join("dir"));
        m.rename("dir", "new");
        snapshot::assert_same(&snapshot::take(&m.join("new")), &before);
        bed.umount();
        let m = must("mount", bed.try_mount(&options));
        snapshot::assert_same(&snapshot::take(&m.join("new")), &before);
        assert_eq!(m.names(""), ["new"]);
        bed.umount();
    }
}

fn whiteouts_by_attribute_in_upper(bed: &Bed) {
    bed.lower.sub("dir").file("low", "");
    bed.lower.file("dir/hidden", "");
    bed.upper.sub("dir").file("hidden", "");
    bed.upper
        .set_xattr("dir/hidden", "trusted.overlay.whiteout", b"");
    bed.upper.set_xattr("dir", OPAQUE, b"x");
    bed.mount();
    moved(bed, "dir", "new");
    assert_eq!(bed.upper.names("new"), ["low"]);
}

fn two_claim_one_origin(bed: &Bed) {
    bed.lower.sub("dir").file("low", "");
    let m = bed.mount();
    m.rename("dir", "moved");
    bed.umount();
    // Somebody brings the lower directory back.
    bed.upper.unlink("dir");
    for names in [["dir", "moved"], ["moved", "dir"]] {
        let m = bed.mount();
        for name in names {
            assert_eq!(m.names(name), ["low"], "{name} of {names:?}");
        }
        m.file("dir/new", "");
        m.unlink("dir/new");
        assert_eq!(m.names("moved"), ["low"]);
        bed.umount();
    }
    // Somebody copies the moved one.
    must(
        "cp",
        std::process::Command::new("cp")
            .args(["-a"])
            .arg(bed.upper.at("moved"))
            .arg(bed.upper.at("copy"))
            .status(),
    );
    let m = bed.mount();
    for name in ["moved", "copy", "dir"] {
        assert_eq!(m.names(name), ["low"], "{name}");
    }
}
