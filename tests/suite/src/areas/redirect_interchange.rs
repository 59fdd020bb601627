// SPDX-License-Identifier: GPL-2.0

//! Redirects written by one driver and followed by another.
//!
//! Without a second driver, the one under test takes over its own layers.

use rustix::fs::{renameat_with, RenameFlags, CWD};

use crate::harness::bed::{copies_directories, Bed};
use crate::support::dir::Dir;
use crate::support::must::must;
use crate::support::{snapshot, upper};

tests! {
    EVERYWHERE: the_same_operations_write_the_same;
    TWICE:
        taken_over,
        work_goes_on,
        copied_directories;
}

/// Options that make every driver do what C overlayfs does.
fn options(lowerdir: &str, upper: &Dir, work: &Dir) -> String {
    format!("lowerdir={lowerdir},upperdir={upper},workdir={work},redirect_dir=on")
}

#[track_caller]
fn mount(bed: &Bed, fs: &str) -> Dir {
    let options = options(&bed.lowerdir(), &bed.upper, &bed.work);
    must("mount", bed.try_mount_at(fs, &options, &bed.mnt))
}

fn tree(bed: &Bed) {
    for layer in [bed.lower.clone(), bed.below(1), bed.below(2)] {
        for top in ["a", "b", "c"] {
            let dir = layer.sub(top);
            for name in ["one", "two", "three"] {
                let inner = dir.sub(name);
                inner.file(&format!("in-{top}-{name}"), format!("{layer}"));
                inner.sub("deep").file("file", name);
            }
            dir.file("file", top);
        }
    }
}

fn exchange(m: &Dir, one: &str, two: &str) {
    must(
        "exchange",
        renameat_with(CWD, m.at(one), CWD, m.at(two), RenameFlags::EXCHANGE),
    );
}

fn first_half(m: &Dir) {
    m.rename("a/one", "a/uno");
    m.rename("a/two", "b/zwei");
    m.rename("b/one/deep", "b/deep");
    m.rename("b", "B");
    m.file("B/zwei/new", "");
    m.unlink("B/zwei/in-a-two");
    m.sub("a/one").file("new", "");
    m.rename("c/one/deep", "c/two/deeper");
    exchange(m, "c/two", "c/three");
    std::fs::remove_dir_all(m.at("c/one")).expect("remove a tree");
}

fn second_half(m: &Dir) {
    m.rename("a/uno", "B/uno");
    m.rename("B/zwei/deep", "zwei-deep");
    m.rename("B", "c/B");
    m.rename("c/three", "c/one");
    m.rename("c/B/uno", "a/uno");
    m.sub("empty");
    m.rename("a/three", "empty");
    exchange(m, "c/one", "a/uno");
    m.rename("a/file", "c/B/zwei/file");
    m.append("empty/in-a-three", b"more");
    m.rename("c", "C");
    m.rename("zwei-deep", "C/deep");
}

fn taken_over(bed: &Bed) {
    tree(bed);
    let m = mount(bed, &bed.fs);
    first_half(&m);
    second_half(&m);
    let before = snapshot::take(&m);
    bed.umount();
    let m = mount(bed, &bed.other);
    snapshot::assert_same(&snapshot::take(&m), &before);
}

fn work_goes_on(bed: &Bed) {
    tree(bed);
    let m = mount(bed, &bed.other);
    first_half(&m);
    let before = snapshot::take(&m);
    bed.umount();
    let m = mount(bed, &bed.fs);
    snapshot::assert_same(&snapshot::take(&m), &before);
    second_half(&m);
    let before = snapshot::take(&m);
    bed.umount();
    let m = mount(bed, &bed.other);
    snapshot::assert_same(&snapshot::take(&m), &before);
    m.rename("C/B/zwei", "last");
    let before = snapshot::take(&m);
    bed.umount();
    let m = mount(bed, &bed.fs);
    snapshot::assert_same(&snapshot::take(&m), &before);
}

fn the_same_operations_write_the_same(bed: &Bed) {
    tree(bed);
    let m = mount(bed, &bed.fs);
    first_half(&m);
    second_half(&m);
    let ours = snapshot::take(&m);
    bed.umount();
    let (other_upper, other_work) = (bed.aside("other-upper"), bed.aside("other-work"));
    let options = options(&bed.lowerdir(), &other_upper, &other_work);
    let m = must("mount", bed.try_mount_at(&bed.other, &options, &bed.mnt));
    first_half(&m);
    second_half(&m);
    let theirs = snapshot::take(&m);
    bed.umount();
    let (ours_upper, theirs_upper) = (upper::take(&bed.upper), upper::take(&other_upper));
    assert_eq!(ours_upper, theirs_upper);
    let names = |tree: &snapshot::Snapshot| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs));
}

fn copied_directories(bed: &Bed) {
    // Without redirects: what a rename copies is nothing special to who takes it over.
    let (copying, other) = if copies_directories(&bed.other) {
        (&bed.other, &bed.fs)
    } else {
        (&bed.fs, &bed.other)
    };
    let mount = |fs| must("mount", bed.try_mount_at(fs, &bed.options(), &bed.mnt));
    tree(bed);
    let m = mount(copying);
    m.unlink("a/one/in-a-one");
    m.rename("a/one", "a/uno");
    m.rename("b", "B");
    m.rename("a/two", "B/zwei");
    exchange(&m, "a", "c");
    m.sub("b").file("new", "");
    let before = snapshot::take(&m);
    bed.umount();
    let m = mount(other);
    snapshot::assert_same(&snapshot::take(&m), &before);
    // They can be moved as any other of upper.
    m.rename("B/zwei", "zwei");
    m.rename("B", "back");
    m.rename("b", "gone");
    m.unlink("back/file");
    m.file("zwei/more", "");
    std::fs::remove_dir_all(m.at("c")).expect("remove a tree");
    let before = snapshot::take(&m);
    bed.umount();
    let m = mount(copying);
    snapshot::assert_same(&snapshot::take(&m), &before);
    m.rename("back", "again");
    let before = snapshot::take(&m);
    bed.umount();
    let m = mount(other);
    snapshot::assert_same(&snapshot::take(&m), &before);
}
