// SPDX-License-Identifier: GPL-2.0

//! An upper layer without room for anything more: what needs none works.

use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;

tests! {
    ONCE:
        names_are_removed,
        mounted_again;
}

/// A filesystem with upper and work directory, and a lower layer with three files.
struct Small<'a> {
    bed: &'a Bed,
    disk: Dir,
    options: String,
}

impl<'a> Small<'a> {
    fn new(bed: &'a Bed) -> Self {
        for name in ["a", "b", "c"] {
            bed.lower.file(name, "lower");
        }
        let disk = bed.mount_tmpfs("small", "nr_inodes=40");
        let (upper, work) = (disk.sub("u"), disk.sub("w"));
        let lower = bed.lowerdir();
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work},index=on");
        Self { bed, disk, options }
    }

    #[track_caller]
    fn mount(&self) -> Dir {
        must("mount", self.bed.try_mount(&self.options))
    }

    #[track_caller]
    fn fill(&self, prefix: &str) {
        for number in 0.. {
            match std::fs::write(self.disk.at(&format!("{prefix}{number}")), "") {
                Ok(()) => assert!(number < 40),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(Errno::NOSPC.raw_os_error()));
                    break;
                }
            }
        }
    }
}

#[track_caller]
fn assert_full(m: &Dir) {
    let error = std::fs::write(m.at("new"), "").expect_err("there is no room");
    assert_eq!(error.raw_os_error(), Some(Errno::NOSPC.raw_os_error()));
}

/// The whiteout that is kept for others needs no room.
fn names_are_removed(bed: &Bed) {
    let small = Small::new(bed);
    let m = small.mount();
    m.append("a", b" and upper");
    m.unlink("b");
    small.fill("rest");
    assert_full(&m);
    m.unlink("a");
    assert_eq!(m.names(""), ["c"]);
    bed.umount();
}

fn mounted_again(bed: &Bed) {
    let small = Small::new(bed);
    let m = small.mount();
    m.append("a", b" and upper");
    m.sub("dir");
    m.unlink("b");
    bed.umount();
    small.fill("rest");
    for _ in 0..2 {
        let m = small.mount();
        // The whiteout that was kept is gone.
        small.fill("more");
        assert_full(&m);
        assert_eq!(m.names(""), ["a", "c", "dir"]);
        assert_eq!(m.text("a"), "lower and upper");
        assert_eq!(m.text("c"), "lower");
        bed.umount();
    }
    let m = small.mount();
    m.rmdir("dir");
    assert!(!m.exists("dir"));
    bed.umount();
}
