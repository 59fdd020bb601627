// SPDX-License-Identifier: GPL-2.0

//! The filesystem's number that `statfs` tells.

use rustix::fs::{statfs, StatFs};

use crate::harness::bed::Bed;
use crate::support::must::must;

tests! {
    EVERYWHERE: stays_over_remounts, without_a_uuid_is_that_of_upper;
}

/// The two words of `f_fsid`, which no crate lets out.
fn fsid(path: &std::path::Path) -> [u32; 2] {
    let found: StatFs = must("statfs", statfs(path));
    // SAFETY: `fsid_t` is two 32-bit words.
    unsafe { std::mem::transmute_copy(&found.f_fsid) }
}

fn stays_over_remounts(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let first = fsid(m.path());
    assert_ne!(first, [0, 0]);
    assert_eq!(fsid(&m.at("low")), first);
    m.append("low", b", more");
    assert_eq!(fsid(&m.at("low")), first);
    for _ in 0..2 {
        let m = bed.remount_fresh();
        assert_eq!(fsid(m.path()), first);
    }
}

fn without_a_uuid_is_that_of_upper(bed: &Bed) {
    bed.lower.file("low", "content");
    let options = format!("{},uuid=null", bed.options());
    let m = must("mount with uuid=null", bed.try_mount(&options));
    assert_eq!(fsid(m.path()), fsid(bed.upper.path()));
    assert_eq!(fsid(&m.at("low")), fsid(bed.upper.path()));
}
