// SPDX-License-Identifier: GPL-2.0

//! What a former mount left in the work directory: used again as long as it is as it was
//! made, and else made anew.

use rustix::fs::{statx, AtFlags, StatxFlags, CWD};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;

tests! {
    EVERYWHERE:
        used_again,
        made_anew_if_changed;
}

fn born(dir: &Dir) -> (i64, u32) {
    let stat = must(
        "statx",
        statx(CWD, dir.path(), AtFlags::empty(), StatxFlags::BTIME),
    );
    (stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec)
}

#[track_caller]
fn assert_works(bed: &Bed) {
    bed.lower.file("low", "lower");
    let m = bed.mount();
    m.append("low", b" and upper");
    m.sub("dir");
    m.rmdir("dir");
    m.unlink("low");
    m.sub("low");
    assert!(bed.upper.xattr("low", "trusted.overlay.opaque").is_some());
    m.rmdir("low");
    assert!(!m.exists("low"));
    bed.umount();
    bed.upper.unlink("low");
}

fn used_again(bed: &Bed) {
    assert_works(bed);
    let work = bed.work.join("work");
    let before = born(&work);
    for _ in 0..2 {
        work.file("left", "content");
        work.sub("dir").sub("left").file("deep", "content");
        bed.mount();
        assert_eq!(work.names(""), [""; 0]);
        bed.umount();
        assert_works(bed);
        assert_eq!(born(&work), before);
    }
}

fn made_anew_if_changed(bed: &Bed) {
    let changes: [fn(&Bed); 3] = [
        |bed| bed.work.chmod("work", 0o755),
        |bed| bed.work.chown("work", 7, 7),
        |bed| bed.work.set_xattr("work", "trusted.note", b"value"),
    ];
    assert_works(bed);
    let work = bed.work.join("work");
    for change in changes {
        change(bed);
        work.sub("left").file("deep", "content");
        let before = born(&work);
        let m = bed.mount();
        assert_ne!(born(&work), before);
        let stat = bed.work.stat("work");
        assert_eq!(stat.st_mode & 0o7777, 0);
        assert_eq!((stat.st_uid, stat.st_gid), (0, 0));
        assert_eq!(bed.work.xattr("work", "trusted.note"), None);
        assert_eq!(work.names(""), [""; 0]);
        m.file("new", "content");
        m.unlink("new");
        bed.umount();
        assert_works(bed);
    }
}
