// SPDX-License-Identifier: GPL-2.0

//! A copy-up that is killed leaves the old file whole, and nothing behind.

use std::time::{Duration, Instant};

use rustix::fs::statfs;

use crate::harness::bed::{assert_work_is_empty, Bed};
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::must::{must, same_bytes};
use crate::support::process::Child;

tests! {
    TWICE: by_sigkill;
}

const SIZE: usize = 32 << 20;

fn used(tmpfs: &Dir) -> u64 {
    let stat = must("statfs", statfs(tmpfs.path()));
    (stat.f_blocks - stat.f_bfree) * stat.f_bsize as u64
}

/// Waits until the copy has taken this much space; tells whether it has.
fn wait_for_copy(tmpfs: &Dir, bytes: u64) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if used(tmpfs) >= bytes {
            return true;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    false
}

fn by_sigkill(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.lower.file("low", &content);
    // A filesystem of its own, whose space tells how far the copy has come.
    let tmpfs = bed.mount_tmpfs("upper-of-its-own", "size=128m");
    let (upper, work) = (tmpfs.sub("u"), tmpfs.sub("w"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let m = must("mount", bed.try_mount(&options));
    let before = used(&tmpfs);
    let mut hits = 0;
    for attempt in 0..20 {
        let child = Child::spawn(|| drop(m.open_rw("low")));
        assert!(
            wait_for_copy(&tmpfs, before + ((attempt % 4 + 1) << 20)),
            "no copy to be seen"
        );
        child.kill();
        child.wait();
        assert_work_is_empty(&work);
        if upper.exists("low") {
            // The kill came too late: then the copy is whole.
            same_bytes("copied file", &upper.read("low"), &content);
            bed.umount();
            upper.unlink("low");
            must("mount", bed.try_mount(&options));
        } else {
            hits += 1;
            assert_eq!(used(&tmpfs), before, "space is lost");
            same_bytes("low", &m.read("low"), &content);
        }
        if hits == 4 {
            break;
        }
    }
    assert!(hits > 0, "no kill came before the copy was complete");
    drop(m.open_rw("low"));
    same_bytes("copied up at last", &upper.read("low"), &content);
}
