// SPDX-License-Identifier: GPL-2.0

//! An overlay as the lower layer of another: the inner one is mounted by the
//! driver that the outer one hands its layers to.

use crate::areas::identity_constant::Kept;
use crate::areas::identity_views::{each, make_each};
use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;

tests! {
    TWICE:
        numbers_are_kept,
        numbers_of_what_the_inner_copied_up_are_kept,
        numbers_last_while_a_descriptor_does,
        unchanged_numbers_outlive_the_caches,
        numbers_are_unique;
}

/// The inner overlay, over all lower layers and an upper one of its own.
fn inner(bed: &Bed) -> Dir {
    let (upper, work, at) = (bed.aside("iu"), bed.aside("iw"), bed.aside("im"));
    make_each(&bed.lower, "low-");
    make_each(&bed.lower, "copied-");
    make_each(&bed.below(1), "bottom-");
    make_each(&upper, "inner-");
    let options = format!(
        "lowerdir={},upperdir={upper},workdir={work},xino=on",
        bed.lowerdir()
    );
    let inner = must(
        "mount the inner overlay",
        bed.try_mount_at(&bed.other, &options, &at),
    );
    Kept::new(&inner, each("copied-")).change();
    inner
}

fn outer(bed: &Bed, inner: &Dir) -> Dir {
    make_each(&bed.upper, "up-");
    let options = format!(
        "lowerdir={inner},upperdir={},workdir={},xino=on",
        bed.upper, bed.work
    );
    must("mount the outer overlay", bed.try_mount(&options))
}

fn all_names() -> impl Iterator<Item = String> {
    let prefixes = ["low-", "copied-", "bottom-", "inner-", "up-"];
    prefixes.into_iter().flat_map(each)
}

fn numbers_are_kept(bed: &Bed) {
    let m = outer(bed, &inner(bed));
    let objects = Kept::new(&m, all_names());
    objects.change();
    objects.assert_kept();
    assert!(bed.upper.exists("inner-socket"));
    drop(objects);
    let mut objects = Kept::new(&m, all_names().filter(|name| !name.ends_with("-dir")));
    objects.rename(|name| format!("renamed-{name}"));
    objects.assert_kept();
}

fn numbers_of_what_the_inner_copied_up_are_kept(bed: &Bed) {
    let inner = inner(bed);
    let in_inner = Kept::new(&inner, each("low-"));
    let m = outer(bed, &inner);
    let objects = Kept::new(&m, each("copied-"));
    objects.change();
    // The inner overlay shows what it did.
    in_inner.assert_kept();
    assert_eq!(inner.text("copied-file"), "content, more");
    objects.assert_kept();
    assert_eq!(m.text("copied-file"), "content, more, more");
}

fn numbers_last_while_a_descriptor_does(bed: &Bed) {
    let m = outer(bed, &inner(bed));
    let mut objects = Kept::new(&m, all_names());
    objects.change();
    objects.evict(false);
    objects.assert_kept();
}

fn unchanged_numbers_outlive_the_caches(bed: &Bed) {
    let inner = inner(bed);
    let m = outer(bed, &inner);
    let mut objects = Kept::new(&m, all_names());
    objects.evict(true);
    objects.assert_kept();
    let mut in_inner = Kept::new(&inner, each("low-").into_iter().chain(each("copied-")));
    in_inner.evict(true);
    in_inner.assert_kept();
}

fn numbers_are_unique(bed: &Bed) {
    let m = outer(bed, &inner(bed));
    make_each(&m, "new-");
    let assert_unique = |count: usize| {
        let mut numbers: Vec<_> = m
            .names("")
            .iter()
            .map(|name| (m.stat(name).st_dev, m.stat(name).st_ino))
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
    };
    assert_unique(6 * 7);
    for name in all_names() {
        m.chown(&name, 1, 1);
    }
    assert_unique(6 * 7);
    rustix::fs::sync();
    must(
        "drop caches",
        std::fs::write("/proc/sys/vm/drop_caches", "3"),
    );
    assert_unique(6 * 7);
}
