// SPDX-License-Identifier: GPL-2.0

//! Whatever `xino` says, numbers are one for all who look and stay, when the
//! layers are on several filesystems.

use crate::areas::identity_constant::{through_everything, Kept};
use crate::areas::identity_views::mount;
use crate::harness::bed::Bed;
use crate::support::image;
use crate::support::must::must;
use crate::support::snapshot;

tests! {
    SEVERAL_FILESYSTEMS: without_the_option, on, off, auto;
    IMAGES_TOO: of_the_fixed_tree;
}

#[track_caller]
fn with(bed: &Bed, more: &'static str) {
    through_everything(bed, |bed: &Bed| {
        let m = must(more, bed.try_mount(&format!("{}{more}", bed.options())));
        let device = m.stat("").st_dev;
        for name in m.names("") {
            assert_eq!(m.stat(&name).st_dev, device, "{name}");
        }
        m
    });
}

fn without_the_option(bed: &Bed) {
    with(bed, "");
}

fn on(bed: &Bed) {
    with(bed, ",xino=on");
}

fn off(bed: &Bed) {
    with(bed, ",xino=off");
}

fn auto(bed: &Bed) {
    with(bed, ",xino=auto");
}

fn of_the_fixed_tree(bed: &Bed) {
    if !bed.pair.image() {
        image::make(&bed.lower);
    }
    let m = mount(bed);
    let names: Vec<_> = snapshot::take(&m)
        .into_keys()
        .filter(|name| !name.is_empty() && !name.starts_with("many/") && !name.contains("twin"))
        .collect();
    assert!(names.len() > 20);
    let mut kept = Kept::new(&m, names);
    kept.assert_kept();
    kept.evict(true);
    kept.assert_kept();
    for name in [
        "small",
        "link",
        "fifo",
        "null",
        "dir/deep/deeper",
        "bin/program",
    ] {
        m.chown(name, 1, 1);
        assert!(bed.upper.exists(name));
    }
    kept.assert_kept();
    kept.evict(false);
    kept.assert_kept();
}
