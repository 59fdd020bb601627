// SPDX-License-Identifier: GPL-2.0

//! Objects of upper that say that they were copied from what they were not.

use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::must::{must, refused};

tests! {
    ONCE: a_file_of_upper, each_of_the_other;
}

/// What a copy came from is moved to upper: which object stands at its place depends on which
/// is looked at first. It is not searched for ever.
fn a_file_of_upper(bed: &Bed) {
    bed.lower.file("low", "lower content");
    bed.mount().append("low", b"!");
    bed.umount();
    must(
        "move the lower file to upper",
        std::fs::rename(bed.lower.at("low"), bed.upper.at("moved")),
    );
    let m = bed.mount();
    assert_eq!(m.text("low"), "lower content!");
    refused(Errno::STALE, rustix::fs::lstat(m.at("moved")));
    assert_eq!(bed.remount_fresh().text("moved"), "lower content");
}

fn each_of_the_other(bed: &Bed) {
    for name in ["a", "b"] {
        bed.lower.file(name, name);
        bed.mount().append(name, b"!");
        bed.umount();
    }
    // Each says that it came from the other one.
    let lower = [bed.lower.at("a"), bed.lower.at("b")];
    let upper = [bed.upper.at("a"), bed.upper.at("b")];
    let origins = ["a", "b"].map(|name| bed.upper.xattr(name, "trusted.overlay.origin"));
    for (from, to) in lower.iter().zip([&upper[1], &upper[0]]) {
        must("move over the copy", std::fs::rename(from, to));
    }
    for (name, origin) in ["b", "a"].iter().zip(origins) {
        let other = if *name == "a" { "b" } else { "a" };
        let origin = origin.expect("an origin");
        bed.upper
            .set_xattr(other, "trusted.overlay.origin", &origin);
    }
    let m = bed.mount();
    assert_eq!(m.text("a"), "b");
    assert_eq!(m.text("b"), "a");
}
