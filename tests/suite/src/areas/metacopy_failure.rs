// SPDX-License-Identifier: GPL-2.0

//! A copy of a metacopy's data that fails, or is killed, leaves the metacopy as
//! it was.

use std::time::{Duration, Instant};

use rustix::fs::{open, statfs, Mode, OFlags};
use rustix::io::Errno;

use crate::harness::bed::{assert_work_is_empty, Bed};
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::metacopy::{is_one, ON};
use crate::support::must::{must, refused, same_bytes};
use crate::support::process::Child;

tests! {
    TWICE: killed, without_space;
}

/// A mount whose upper filesystem is of its own, so that its space tells how
/// much was copied.
struct Setup {
    tmpfs: Dir,
    upper: Dir,
    work: Dir,
    options: String,
}

impl Setup {
    #[track_caller]
    fn new(bed: &Bed, size: &str) -> Self {
        let tmpfs = bed.mount_tmpfs("upper-of-its-own", &format!("size={size}"));
        let (upper, work) = (tmpfs.sub("u"), tmpfs.sub("w"));
        let options = format!(
            "lowerdir={},upperdir={upper},workdir={work},{ON}",
            bed.lower
        );
        Self {
            tmpfs,
            upper,
            work,
            options,
        }
    }

    fn used(&self) -> u64 {
        let stat = must("statfs", statfs(self.tmpfs.path()));
        (stat.f_blocks - stat.f_bfree) * stat.f_bsize as u64
    }

    /// Waits until the copy has taken this much space.
    #[track_caller]
    fn wait_for_copy(&self, bytes: u64) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.used() < bytes {
            assert!(Instant::now() < deadline, "no copy to be seen");
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

fn killed(bed: &Bed) {
    const SIZE: usize = 16 << 20;
    let content = pattern(1, SIZE);
    for number in 0..6 {
        bed.lower.file(&format!("{number}"), &content[number..]);
    }
    let setup = Setup::new(bed, "128m");
    let m = must("mount", bed.try_mount(&setup.options));
    let mut hits = 0;
    for number in 0..6 {
        let name = format!("{number}");
        m.chmod(&name, 0o4711);
        m.set_times(&name, (1, 2), (3, 4));
        let before = setup.used();
        let child = Child::spawn(|| drop(m.open_rw(&name)));
        setup.wait_for_copy(before + (1 << 20));
        child.kill();
        child.wait();
        assert_work_is_empty(&setup.work);
        if is_one(&setup.upper, &name) {
            hits += 1;
            assert_eq!(setup.used(), before, "space is lost");
        }
        same_bytes("after the kill", &m.read(&name), &content[number..]);
        drop(m.open_rw(&name));
        same_bytes("in upper", &setup.upper.read(&name), &content[number..]);
        assert_eq!(m.mode(&name), 0o4711);
        assert_eq!(m.stat(&name).st_mtime, 3);
        m.unlink(&name);
        if hits == 3 {
            break;
        }
    }
    assert!(hits > 0, "no kill came before the copy was complete");
}

fn without_space(bed: &Bed) {
    let content = pattern(1, 8 << 20);
    bed.lower.file("low", &content);
    let setup = Setup::new(bed, "4m");
    let m = must("mount", bed.try_mount(&setup.options));
    m.chmod("low", 0o640);
    let before = setup.used();
    let early = m.open_read("low");
    for _ in 0..2 {
        refused(
            Errno::NOSPC,
            open(m.at("low"), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()),
        );
        assert_eq!(setup.used(), before, "space is lost");
        assert!(is_one(&setup.upper, "low"));
        same_bytes("low", &m.read("low"), &content);
    }
    m.chmod("low", 0o600);
    assert_eq!(m.stat("low").st_size, 8 << 20);
    let mut got = vec![0; 8 << 20];
    must(
        "read",
        std::os::unix::fs::FileExt::read_exact_at(&early, &mut got, 0),
    );
    same_bytes("early", &got, &content);
    // Without data there is room.
    m.file("low", "new");
    assert_eq!(m.text("low"), "new");
    assert!(!is_one(&setup.upper, "low"));
}
