// SPDX-License-Identifier: GPL-2.0

//! Many lower layers.

use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};
use crate::support::newmount::Context;
use crate::support::shown;

tests! {
    TWICE:
        five_hundred_by_mount,
        a_thousand_one_by_one,
        a_thousand_with_data_only_ones,
        four_thousand_and_ninety_six,
        more_than_fit_are_refused,
        as_many_as_the_options_have_room_for;
    ONCE:
        a_directory_that_all_have,
        many_filesystems;
}

/// Mounts over `count` lower layers, given one by one from the highest, the last `data` of
/// them data-only.
#[track_caller]
fn mount(bed: &Bed, layers: &[Dir], data: usize) -> Dir {
    let context = Context::open(bed);
    for (number, layer) in layers.iter().enumerate() {
        let key = match number < layers.len() - data {
            true => "lowerdir+",
            false => "datadir+",
        };
        must(key, context.string(key, &layer.to_string()));
    }
    must(
        "upperdir",
        context.string("upperdir", &bed.upper.to_string()),
    );
    must("workdir", context.string("workdir", &bed.work.to_string()));
    must("mount", context.mount(&bed.mnt))
}

/// Layers with one file each, and a file that all of them have.
#[track_caller]
fn make(bed: &Bed, count: usize) -> Vec<Dir> {
    let base = bed.lower.sub("layers");
    (0..count)
        .map(|number| {
            let layer = base.sub(&number.to_string());
            layer.file(&format!("in-{number}"), number.to_string());
            layer.file("in-all", number.to_string());
            layer
        })
        .collect()
}

#[track_caller]
fn assert_layers(m: &Dir, count: usize) {
    assert_eq!(m.text("in-all"), "0");
    for number in [0, 1, count / 2, count - 1] {
        assert_eq!(m.text(&format!("in-{number}")), number.to_string());
    }
    assert_eq!(m.names("").len(), count + 1);
    assert!(!m.exists("missing"));
    let last = format!("in-{}", count - 1);
    m.append(&last, b"!");
    assert_eq!(m.text(&last), format!("{}!", count - 1));
    m.unlink("in-all");
    assert!(!m.exists("in-all"));
    m.unlink("in-0");
    m.file("new", "new");
    assert_eq!(m.names("").len(), count);
}

/// The names in a colon-separated list, as short as a page of options asks for.
fn names(count: usize) -> String {
    let names: Vec<_> = (0..count).map(|number| number.to_string()).collect();
    names.join(":")
}

/// Mounts from within the directory of the layers.
fn try_mount_here(bed: &Bed, lowerdir: &str) -> Result<Dir, Errno> {
    must("chdir", rustix::process::chdir(bed.lower.at("layers")));
    let options = format!(
        "lowerdir={lowerdir},upperdir={},workdir={}",
        bed.upper, bed.work
    );
    let result = bed.try_mount(&options);
    must("chdir", rustix::process::chdir("/"));
    result
}

fn five_hundred_by_mount(bed: &Bed) {
    make(bed, 500);
    let m = must("mount", try_mount_here(bed, &names(500)));
    assert_layers(&m, 500);
}

fn a_thousand_one_by_one(bed: &Bed) {
    let layers = make(bed, 1000);
    let m = mount(bed, &layers, 0);
    assert_eq!(
        shown::list(&m)
            .iter()
            .filter(|option| option.starts_with("lowerdir+="))
            .count(),
        1000
    );
    assert_layers(&m, 1000);
    // And again: what was copied up is found by its origin.
    bed.umount();
    let m = mount(bed, &layers, 0);
    assert_eq!(m.text("in-999"), "999!");
    assert_eq!(m.names("").len(), 1000);
}

fn a_thousand_with_data_only_ones(bed: &Bed) {
    let layers = make(bed, 1000);
    let meta = bed.lower.sub("meta");
    meta.file("file", "");
    must("truncate", meta.open_rw("file").set_len(3));
    meta.set_xattr("file", "trusted.overlay.metacopy", b"");
    meta.set_xattr("file", "trusted.overlay.redirect", b"/in-999");
    let mut all = vec![meta];
    all.extend(layers);
    let m = mount(bed, &all, 1000);
    assert_eq!(m.names(""), ["file"]);
    assert_eq!(m.text("file"), "999");
    m.append("file", b"!");
    assert_eq!(m.text("file"), "999!");
}

fn four_thousand_and_ninety_six(bed: &Bed) {
    let layers = make(bed, 4096);
    let m = mount(bed, &layers, 0);
    assert_layers(&m, 4096);
    // Each of these asks all layers above.
    for number in (0..4096).step_by(128) {
        let name = format!("in-{number}");
        assert_eq!(m.exists(&name), number != 0, "{name}");
    }
}

fn more_than_fit_are_refused(bed: &Bed) {
    let context = Context::open(bed);
    let layer = bed.lower.to_string();
    for _ in 0..4096 {
        must("lowerdir+", context.string("lowerdir+", &layer));
    }
    refused(Errno::INVAL, context.string("lowerdir+", &layer));
    refused(Errno::INVAL, context.string("datadir+", &layer));
    must("lowerdir", context.string("lowerdir", ""));
    must("lowerdir+", context.string("lowerdir+", &layer));
    must(
        "upperdir",
        context.string("upperdir", &bed.upper.to_string()),
    );
    must("workdir", context.string("workdir", &bed.work.to_string()));
    must("mount", context.mount(&bed.mnt));
}

fn as_many_as_the_options_have_room_for(bed: &Bed) {
    make(bed, 900);
    let m = must("mount", try_mount_here(bed, &names(900)));
    assert_layers(&m, 900);
    bed.umount();
    // What does not fit into a page is cut off, or refused.
    let result = try_mount_here(bed, &names(1100));
    assert!(result.is_err(), "more than a page of options was taken");
}

/// Each lookup asks all layers, and each layer's directory is in the listing.
fn a_directory_that_all_have(bed: &Bed) {
    let layers = make(bed, 1000);
    for (number, layer) in layers.iter().enumerate() {
        layer.sub("dir").file(&format!("of-{number}"), "");
        layer.sub("dir/sub").file("deep", number.to_string());
    }
    let m = mount(bed, &layers, 0);
    assert_eq!(m.names("dir").len(), 1001);
    assert_eq!(m.text("dir/sub/deep"), "0");
    m.file("dir/new", "");
    m.unlink("dir/of-999");
    m.unlink("dir/sub/deep");
    assert!(!m.exists("dir/sub/deep"));
    m.rmdir("dir/sub");
    assert_eq!(m.names("dir").len(), 1000);
}

fn many_filesystems(bed: &Bed) {
    let layers: Vec<_> = (0..100)
        .map(|number| {
            let layer = bed.mount_tmpfs(&format!("fs-{number}"), "");
            layer.file(&format!("in-{number}"), "");
            layer.file("in-all", number.to_string());
            layer
        })
        .collect();
    let m = mount(bed, &layers, 0);
    assert_eq!(m.names("").len(), 101);
    assert_eq!(m.text("in-all"), "0");
    let mut numbers: Vec<_> = m
        .names("")
        .iter()
        .map(|name| (m.stat(name).st_dev, m.stat(name).st_ino))
        .collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 101);
}
