// SPDX-License-Identifier: GPL-2.0

//! What a former mount left in the work directory: used again as long as it is as it would
//! be made, and else made anew.

use rustix::fs::{fstat, ioctl_getflags, ioctl_setflags, IFlags, OFlags};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;

tests! {
    EVERYWHERE:
        used_again,
        made_anew_if_changed;
}

/// The work directory `work`, held so that no other has its number.
struct Held {
    work: Dir,
    file: std::fs::File,
}

impl Held {
    fn new(bed: &Bed) -> Self {
        let work = bed.work.join("work");
        let file = work.open("", OFlags::PATH);
        Self { work, file }
    }

    fn is_still_there(&self) -> bool {
        let held = must("fstat", fstat(&self.file));
        held.st_ino == self.work.stat("").st_ino
    }
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
    let held = Held::new(bed);
    for _ in 0..2 {
        held.work.file("left", "content");
        held.work.sub("dir").sub("left").file("deep", "content");
        bed.mount();
        assert_eq!(held.work.names(""), [""; 0]);
        bed.umount();
        assert_works(bed);
        assert!(held.is_still_there());
    }
}

fn made_anew_if_changed(bed: &Bed) {
    let changes: [fn(&Bed); 4] = [
        |bed| bed.work.chmod("work", 0o755),
        |bed| bed.work.chown("work", 7, 7),
        |bed| bed.work.set_xattr("work", "trusted.note", b"value"),
        |bed| {
            // What is made in it would have it too.
            let work = bed.work.open_read("work");
            let flags = must("flags", ioctl_getflags(&work));
            must("set flags", ioctl_setflags(&work, flags | IFlags::NODUMP));
        },
    ];
    assert_works(bed);
    for change in changes {
        change(bed);
        let held = Held::new(bed);
        held.work.sub("left").file("deep", "content");
        let m = bed.mount();
        assert!(!held.is_still_there());
        let stat = bed.work.stat("work");
        assert_eq!(stat.st_mode & 0o7777, 0);
        assert_eq!((stat.st_uid, stat.st_gid), (0, 0));
        assert_eq!(bed.work.xattr("work", "trusted.note"), None);
        assert_eq!(held.work.names(""), [""; 0]);
        m.file("new", "content");
        m.unlink("new");
        bed.umount();
        assert_works(bed);
    }
}
