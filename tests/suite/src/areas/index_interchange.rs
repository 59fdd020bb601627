// SPDX-License-Identifier: GPL-2.0

//! Layers with an index, written by one driver and taken over by another.

use std::collections::BTreeMap;

use rustix::fs::{FileType, OFlags};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::handle::{self, get};
use crate::support::index::{self, attributes, Attributes};
use crate::support::must::must;
use crate::support::snapshot;

tests! {
    EVERYWHERE: links_partly_copied_up, the_same_is_written;
    TWICE:
        counts_go_on,
        the_same_is_written_for_export,
        handles_are_the_same,
        removed_objects_stay_removed;
}

fn tree(lower: &Dir) {
    lower.file("a", "content");
    for name in ["b", "c", "d"] {
        lower.link("a", name);
    }
    lower.sub("dir").file("one", "one");
    must(
        "link",
        rustix::fs::link(lower.at("dir/one"), lower.sub("to").at("two")),
    );
    lower.symlink("x", "link");
    lower.node("fifo", FileType::Fifo, 0o600, (0, 0));
    lower.file("single", "single");
    lower.sub("empty");
}

fn work_on(m: &Dir) {
    m.append("b", b"!");
    m.link("c", "to/e");
    m.unlink("d");
    m.chmod("dir/one", 0o600);
    m.rename("to/two", "dir/moved");
    m.chown("link", 1, 1);
    m.append("single", b"!");
    m.chmod("empty", 0o700);
    m.file("new", "");
}

fn counts(m: &Dir) -> Vec<(String, u64)> {
    ["a", "b", "c", "to/e", "dir/one", "dir/moved", "single"]
        .into_iter()
        .map(|name| (name.to_owned(), m.stat(name).st_nlink))
        .collect()
}

fn links_partly_copied_up(bed: &Bed) {
    tree(&bed.lower);
    let m = bed.mount_with(index::ON);
    work_on(&m);
    let (before, links) = (snapshot::take(&m), counts(&m));
    bed.umount();
    let m = bed.mount_by_other_with(index::ON);
    snapshot::assert_same(&snapshot::take(&m), &before);
    assert_eq!(counts(&m), links);
    m.append("a", b"?");
    for name in ["b", "c", "to/e"] {
        assert_eq!(m.text(name), "content!?", "{name}");
    }
    let (before, links) = (snapshot::take(&m), counts(&m));
    bed.umount();
    let m = bed.mount_with(index::ON);
    snapshot::assert_same(&snapshot::take(&m), &before);
    assert_eq!(counts(&m), links);
}

fn counts_go_on(bed: &Bed) {
    tree(&bed.lower);
    let mut m = bed.mount_with(index::ON);
    type Step = (fn(&Dir), u64);
    let steps: [Step; 8] = [
        (|m| m.append("a", b"!"), 4),
        (|m| m.unlink("b"), 3),
        (|m| m.link("c", "e"), 4),
        (|m| m.rename("d", "f"), 4),
        (|m| m.unlink("c"), 3),
        (|m| m.unlink("e"), 2),
        (|m| m.rename("single", "f"), 1),
        (|m| m.link("a", "b"), 2),
    ];
    for (at, (step, want)) in steps.into_iter().enumerate() {
        step(&m);
        assert_eq!(m.stat("a").st_nlink, want, "after step {at}");
        bed.umount();
        m = if at % 2 == 0 {
            bed.mount_by_other_with(index::ON)
        } else {
            bed.mount_with(index::ON)
        };
        assert_eq!(m.stat("a").st_nlink, want, "remounted after step {at}");
    }
    m.unlink("b");
    m.unlink("a");
    assert!(index::names(bed).is_empty());
}

/// Every object's own attributes, by path. The values of those in `opaque` are left
/// out: they name objects of upper.
fn dump(dir: &Dir, path: &str, into: &mut BTreeMap<String, Attributes>) {
    let mut own = attributes(dir, path);
    own.remove("trusted.overlay.uuid");
    if let Some(value) = own.get_mut(index::UPPER) {
        value.truncate(4);
    }
    into.insert(path.to_owned(), own);
    if dir.kind(path) != FileType::Directory {
        return;
    }
    for name in dir.names(path) {
        // One whiteout is kept to make others of.
        if !name.starts_with('#') {
            let below = if path.is_empty() {
                name
            } else {
                format!("{path}/{name}")
            };
            dump(dir, &below, into);
        }
    }
}

fn compare(bed: &Bed, option: &str, more: impl Fn(&Dir)) {
    tree(&bed.lower);
    let mut dumps = Vec::new();
    for (fs, name) in [(&bed.fs, "one"), (&bed.other, "two")] {
        let place = bed.aside(name);
        let (upper, work) = (place.sub("u"), place.sub("w"));
        let options = format!(
            "lowerdir={},upperdir={upper},workdir={work},{option}",
            bed.lower
        );
        let m = must("mount", bed.try_mount_at(fs, &options, &bed.mnt));
        work_on(&m);
        more(&m);
        let links = counts(&m);
        bed.umount();
        let mut dumped = BTreeMap::new();
        dump(&upper, "", &mut dumped);
        dump(&work, "index", &mut dumped);
        dumps.push((dumped, links));
    }
    assert_eq!(dumps[0].1, dumps[1].1);
    for (path, own) in &dumps[0].0 {
        assert_eq!(dumps[1].0.get(path), Some(own), "{path}");
    }
    assert_eq!(dumps[0].0.len(), dumps[1].0.len());
}

fn the_same_is_written(bed: &Bed) {
    compare(bed, index::ON, |_| {});
}

fn the_same_is_written_for_export(bed: &Bed) {
    compare(bed, index::EXPORT, |m| {
        m.unlink("fifo");
        m.rmdir("empty");
        get(m, "dir");
        get(m, "to");
    });
}

fn handles_are_the_same(bed: &Bed) {
    tree(&bed.lower);
    let names = ["", "a", "dir", "dir/one", "fifo", "single", "new", "empty"];
    let m = bed.mount_with(index::EXPORT);
    work_on(&m);
    let before = names.map(|name| get(&m, name));
    bed.umount();
    let m = bed.mount_by_other_with(index::EXPORT);
    assert_eq!(names.map(|name| get(&m, name)), before);
    for (name, handle) in names.iter().zip(&before) {
        let found = must("open", handle::open(&m, handle, OFlags::PATH));
        let found = must("fstat", rustix::fs::fstat(&found));
        assert_eq!(found.st_ino, m.stat(name).st_ino, "{name}");
    }
}

fn removed_objects_stay_removed(bed: &Bed) {
    tree(&bed.lower);
    let m = bed.mount_with(index::EXPORT);
    let handles = ["single", "empty", "link"].map(|name| get(&m, name));
    m.unlink("single");
    m.rmdir("empty");
    m.unlink("link");
    bed.umount();
    let m = bed.mount_by_other_with(index::EXPORT);
    for handle in &handles {
        let found = handle::open(&m, handle, OFlags::PATH);
        assert_eq!(found.err(), Some(rustix::io::Errno::STALE));
    }
}
