// SPDX-License-Identifier: GPL-2.0

//! What a mount says about itself.

use crate::harness::bed::Bed;
use crate::support::must::must;
use crate::support::shown::fields as shown;
pub use crate::support::shown::raw as shown_options;

tests! {
    TWICE:
        shown_options_mount_again,
        shown_options_without_upper_mount_again,
        odd_characters_are_shown_escaped;
    ONCE: the_type_is_registered, bind_mounts_show_the_same;
}

fn shown_options_mount_again(bed: &Bed) {
    bed.lower.file("a", "first");
    bed.below(1).file("b", "second");
    let m = bed.mount();
    m.append("b", b", changed");
    let fields = shown(&m);
    assert_eq!(fields[2], bed.fs);
    assert!(fields[3].starts_with("rw,"), "{}", fields[3]);
    let options = shown_options(&m);
    assert!(options.starts_with(&bed.options()), "{options}");
    bed.umount();

    let m = must("mount with the shown options", bed.try_mount(&options));
    assert_eq!(m.text("a"), "first");
    assert_eq!(m.text("b"), "second, changed");
    assert_eq!(shown_options(&m), options);
}

fn shown_options_without_upper_mount_again(bed: &Bed) {
    bed.below(1).file("b", "second");
    let m = bed.mount_lowers();
    assert!(shown(&m)[3].starts_with("ro,"), "{}", shown(&m)[3]);
    let options = shown_options(&m);
    assert!(!options.contains("upperdir"), "{options}");
    assert!(!options.contains("workdir"), "{options}");
    bed.umount();

    let m = must("mount with the shown options", bed.try_mount(&options));
    assert_eq!(m.text("b"), "second");
}

fn odd_characters_are_shown_escaped(bed: &Bed) {
    let lower = bed.lower.sub("a b\tc");
    lower.file("low", "from lower");
    let options = format!(
        "lowerdir={lower},upperdir={},workdir={}",
        bed.upper, bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    let shown = shown_options(&m);
    assert!(shown.contains("/a\\040b\\011c,"), "{shown}");
}

fn the_type_is_registered(bed: &Bed) {
    let list = must("read", std::fs::read_to_string("/proc/filesystems"));
    assert!(list
        .lines()
        .any(|line| line == format!("nodev\t{}", bed.fs)));
}

fn bind_mounts_show_the_same(bed: &Bed) {
    bed.lower.sub("dir").file("low", "from lower");
    let m = bed.mount();
    let at = bed.aside("bound");
    must("bind", rustix::mount::mount_bind(m.at("dir"), at.path()));
    bed.mounted(&at);
    at.file("low", "changed");
    assert_eq!(m.text("dir/low"), "changed");
    assert_eq!(at.stat("low").st_ino, m.stat("dir/low").st_ino);
}
