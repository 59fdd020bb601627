// SPDX-License-Identifier: GPL-2.0

//! What `index=on` writes: entries, and attributes.

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::index::{self, attributes, name_of, nlink, remount, Attributes};
use crate::support::must::must;

tests! {
    EVERYWHERE: of_a_file_with_several_links, of_everything_for_export;
    TWICE:
        of_the_mount,
        link_counts,
        temporary_objects_are_removed,
        of_removed_objects_for_export,
        of_directories_merged_by_hand;
}

fn of_the_mount(bed: &Bed) {
    bed.mount_with(index::ON);
    assert_eq!(bed.work.names(""), ["index", "work"]);
    assert_eq!(bed.work.mode("index"), 0);
    let upper = attributes(&bed.upper, "");
    let origin = &upper[index::ORIGIN];
    assert_eq!(origin[..2], [0, 0xfb]);
    let index = attributes(&bed.work, "index");
    let value = &index[index::UPPER];
    assert_eq!(value[..2], [0, 0xfb]);
    // Of an object in upper.
    assert_eq!((origin[3] & 4, value[3] & 4), (0, 4));
    assert_eq!(index.len(), 1);
    remount(bed, index::ON);
    assert_eq!(attributes(&bed.work, "index"), index);
    assert_eq!(attributes(&bed.upper, ""), upper);
}

fn of_a_file_with_several_links(bed: &Bed) {
    bed.lower.file("a", "content");
    bed.lower.link("a", "b");
    let m = bed.mount_with(index::ON);
    m.append("b", b"!");
    let own = attributes(&bed.upper, "b");
    let entry = index::only(bed);
    assert_eq!(entry, name_of(&own[index::ORIGIN]));
    let dir = index::dir(bed);
    assert_eq!(dir.stat(&entry).st_ino, bed.upper.stat("b").st_ino);
    assert_eq!(dir.stat(&entry).st_nlink, 2);
    assert_eq!(nlink(&dir, &entry), "U+0");
    let names: Vec<_> = own.keys().map(String::as_str).collect();
    assert_eq!(names, [index::NLINK, index::ORIGIN]);
    assert_eq!(attributes(&bed.upper, "")["trusted.overlay.impure"], b"y");
}

fn link_counts(bed: &Bed) {
    bed.lower.file("a", "content");
    for name in ["b", "c", "d"] {
        bed.lower.link("a", name);
    }
    let m = bed.mount_with(index::ON);
    let steps: [(&dyn Fn(), &str); 7] = [
        (&|| m.append("a", b"!"), "U+2"),
        (&|| m.chmod("b", 0o600), "U+1"),
        (&|| m.link("c", "e"), "U+0"),
        // What is kept is from before the change.
        (&|| m.unlink("e"), "U+0"),
        (&|| m.unlink("d"), "U-1"),
        (&|| m.rename("a", "z"), "U-1"),
        (&|| m.unlink("z"), "U-1"),
    ];
    for (at, (step, want)) in steps.iter().enumerate() {
        step();
        assert_eq!(nlink(&index::dir(bed), &index::only(bed)), *want, "{at}");
    }
}

fn temporary_objects_are_removed(bed: &Bed) {
    bed.mount_with(index::ON);
    bed.umount();
    let dir = index::dir(bed);
    dir.file("#1", "half a copy");
    dir.sub("#2").whiteout("gone");
    dir.sub("#3");
    bed.mount_with(index::ON);
    assert!(dir.names("").is_empty());
}

#[track_caller]
fn entry_of(bed: &Bed, name: &str) -> (String, Attributes) {
    let entry = name_of(&attributes(&bed.upper, name)[index::ORIGIN]);
    let dir = index::dir(bed);
    assert!(dir.exists(&entry), "{name} has no entry");
    let own = attributes(&dir, &entry);
    (entry, own)
}

fn of_everything_for_export(bed: &Bed) {
    bed.lower.file("file", "content");
    bed.lower.sub("dir").sub("inner");
    bed.lower.symlink("x", "link");
    let m = bed.mount_with(index::EXPORT);
    m.append("file", b"!");
    m.file("dir/inner/new", "");
    m.chown("link", 1, 1);
    assert_eq!(index::names(bed).len(), 4);
    let dir = index::dir(bed);
    for name in ["file", "link"] {
        let (entry, own) = entry_of(bed, name);
        assert_eq!(dir.stat(&entry).st_ino, bed.upper.stat(name).st_ino);
        assert_eq!(own[index::NLINK], b"U-1", "{name}");
    }
    for name in ["dir", "dir/inner"] {
        let (entry, own) = entry_of(bed, name);
        assert!(dir.names(&entry).is_empty());
        assert_eq!(dir.mode(&entry), 0);
        assert_eq!(own.len(), 1, "{name}: {own:?}");
        assert_eq!(own[index::UPPER][3] & 4, 4, "{name}: of an upper object");
    }
    assert_eq!(attributes(&bed.upper, "dir/inner/new"), Attributes::new());
}

fn of_removed_objects_for_export(bed: &Bed) {
    bed.lower.file("file", "content");
    bed.lower.file("two", "content");
    bed.lower.link("two", "links");
    bed.lower.sub("dir");
    let m = bed.mount_with(index::EXPORT);
    m.unlink("file");
    m.rmdir("dir");
    m.unlink("two");
    m.file("new", "");
    m.unlink("new");
    let dir = index::dir(bed);
    let count = |dir: &Dir| {
        let names = index::names(bed);
        let whiteouts = names.iter().filter(|name| dir.is_whiteout(name)).count();
        (names.len(), whiteouts)
    };
    assert_eq!(count(&dir), (3, 2));
    m.unlink("links");
    assert_eq!(count(&dir), (3, 3));
    let m = remount(bed, index::EXPORT);
    assert_eq!(count(&dir), (3, 3));
    assert!(m.names("").is_empty());
}

fn of_directories_merged_by_hand(bed: &Bed) {
    bed.lower.sub("dir").file("low", "");
    bed.upper.sub("dir").file("up", "");
    let m = bed.mount_with(index::EXPORT);
    assert_eq!(m.names("dir"), ["low", "up"]);
    assert!(attributes(&bed.upper, "dir").contains_key(index::ORIGIN));
    assert!(index::names(bed).is_empty());
    // Another directory of that name is none of its own.
    bed.umount();
    bed.lower.rename("dir", "other");
    must("mkdir", std::fs::create_dir(bed.lower.at("dir")));
    bed.lower.file("dir/strange", "");
    let m = bed.mount_with(index::EXPORT);
    assert_eq!(m.names("dir"), ["up"]);
}
