// SPDX-License-Identifier: GPL-2.0

//! Counters in sysfs: they say what was done, of one mount, as long as it is there.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::FileExt;

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::counters::{names, of_type, Counters, NAMES};
use crate::support::early::Early;
use crate::support::metacopy::ON;
use crate::support::must::{must, refused};
use crate::support::process::{as_user, USER};
use crate::support::trace::device;

tests! {
    EVERYWHERE: copied_files, copied_others, whiteouts, lookups, switched_mappings;
    TWICE:
        a_metacopy,
        a_copy_up_that_fails,
        no_copy_up,
        layers_that_are_searched,
        a_mount_without_upper,
        each_mount_has_its_own,
        gone_with_the_mount,
        open_across_umount,
        open_across_umount_and_mount;
    ONCE:
        one_number_a_line,
        found_by_the_device,
        found_in_each_depth,
        root_alone_reads_them,
        a_mount_that_fails_has_none,
        mounting_without_memory,
        mounting_counts_nothing;
}

fn one_number_a_line(bed: &Bed) {
    let m = bed.mount();
    assert_eq!(names(bed, &m), NAMES);
    let text = of_type(bed).text(&device(&m));
    assert!(text.ends_with('\n') && text.lines().all(|line| line.ends_with(" 0")));
}

fn found_by_the_device(bed: &Bed) {
    let m = bed.mount();
    let info = must(
        "read mountinfo",
        std::fs::read_to_string("/proc/self/mountinfo"),
    );
    let at = m.to_string();
    let line = info
        .lines()
        .find(|line| line.split(' ').nth(4) == Some(&at))
        .expect("the mount is not in mountinfo");
    let dev = line.split(' ').nth(2).expect("a device");
    assert_eq!(dev, device(&m));
    assert!(of_type(bed).names("").contains(&dev.to_owned()));
}

fn root_alone_reads_them(bed: &Bed) {
    let m = bed.mount();
    let (types, device) = (of_type(bed), device(&m));
    let stat = types.stat(&device);
    assert_eq!((stat.st_mode & 0o7777, stat.st_uid), (0o400, 0));
    as_user(USER, || {
        refused(Errno::ACCESS, File::open(types.at(&device)));
    });
    // They are not to be reset, by nobody.
    let open = File::options().write(true).open(types.at(&device));
    refused(Errno::ACCESS, open);
}

fn mounting_counts_nothing(bed: &Bed) {
    bed.lower.file("low", "");
    bed.upper.file("up", "");
    for more in ["index=on", "nfs_export=on", ON] {
        let m = bed.mount_with(more);
        let counters = Counters::of(bed, &m);
        assert!(counters.now().values().all(|&value| value == 0), "{more}");
        bed.umount();
    }
}

fn copied_files(bed: &Bed) {
    for name in ["read-write", "chmod", "truncated", "renamed"] {
        bed.lower.file(name, pattern(1, 50_000));
    }
    bed.lower.file("empty", "");
    let m = bed.mount();
    let mut counters = Counters::of(bed, &m);
    drop(m.open_rw("read-write"));
    counters.assert_done(
        "an open",
        &[("copy_up_bytes", 50_000), ("copy_up_files", 1)],
    );
    m.chmod("chmod", 0o600);
    counters.assert_done("chmod", &[("copy_up_bytes", 50_000), ("copy_up_files", 1)]);
    drop(m.open("truncated", OFlags::WRONLY | OFlags::TRUNC));
    counters.assert_done("O_TRUNC", &[("copy_up_metadata", 1)]);
    m.append("empty", b"no more");
    counters.assert_done("an append", &[("copy_up_files", 1)]);
    m.rename("renamed", "other");
    counters.assert_done(
        "a rename",
        &[
            ("copy_up_bytes", 50_000),
            ("copy_up_files", 1),
            ("whiteouts", 1),
        ],
    );
}

fn copied_others(bed: &Bed) {
    bed.lower.sub("a").sub("b").file("low", "12345");
    bed.lower.symlink("target", "link");
    bed.lower.node("fifo", FileType::Fifo, 0o600, (0, 0));
    let m = bed.mount();
    let mut counters = Counters::of(bed, &m);
    m.chown("link", 1, 1);
    counters.assert_done("chown", &[("copy_up_others", 1)]);
    m.chmod("fifo", 0o644);
    counters.assert_done("chmod", &[("copy_up_others", 1)]);
    m.file("a/new", "");
    counters.assert_done("a new file", &[("copy_up_directories", 1)]);
    m.append("a/b/low", b"6");
    counters.assert_done(
        "an append",
        &[
            ("copy_up_bytes", 5),
            ("copy_up_directories", 1),
            ("copy_up_files", 1),
        ],
    );
}

fn a_metacopy(bed: &Bed) {
    bed.lower.file("low", pattern(1, 50_000));
    bed.lower.file("truncated", pattern(1, 50_000));
    let m = bed.mount_with(ON);
    let mut counters = Counters::of(bed, &m);
    m.chmod("low", 0o600);
    m.chmod("truncated", 0o600);
    counters.assert_done("chmod", &[("copy_up_metadata", 2)]);
    drop(m.open_rw("low"));
    counters.assert_done(
        "an open",
        &[("copy_up_bytes", 50_000), ("copy_up_metacopy_data", 1)],
    );
    drop(m.open("truncated", OFlags::WRONLY | OFlags::TRUNC));
    counters.assert_done("O_TRUNC", &[("copy_up_metacopy_data", 1)]);
}

fn a_copy_up_that_fails(bed: &Bed) {
    bed.lower.file("low", pattern(1, 2 << 20));
    let tmpfs = bed.mount_tmpfs("small", "size=1536k");
    let (upper, work) = (tmpfs.sub("u"), tmpfs.sub("w"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let m = must("mount", bed.try_mount(&options));
    let counters = Counters::of(bed, &m);
    for times in 1..=3 {
        refused(Errno::NOSPC, File::options().write(true).open(m.at("low")));
        assert_eq!(counters.get("copy_up_failed"), times);
        assert_eq!(counters.get("copy_up_files"), 0);
        assert!(counters.get("copy_up_bytes") < times * (2 << 20));
    }
}

fn no_copy_up(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.upper.file("up", "from upper");
    let m = bed.mount();
    m.append("low", b", more");
    m.names("");
    let mut counters = Counters::of(bed, &m);
    for _ in 0..10 {
        assert_eq!(m.text("low"), "from lower, more");
        m.stat("up");
        m.names("");
    }
    let low = m.open_rw("low");
    must("write", low.write_all_at(b"F", 0));
    m.chmod("low", 0o600);
    counters.assert_changed("what is in the caches, and in upper", &[]);
}

fn whiteouts(bed: &Bed) {
    for name in ["a", "b", "c"] {
        bed.lower.file(name, "");
    }
    bed.lower.sub("dir");
    bed.upper.file("pure", "");
    let m = bed.mount();
    let mut counters = Counters::of(bed, &m);
    m.unlink("a");
    m.unlink("b");
    m.rmdir("dir");
    counters.assert_done("removals", &[("whiteouts", 3)]);
    m.unlink("pure");
    m.file("a", "");
    counters.assert_done("what hides nothing", &[]);
    m.rename("a", "c");
    // That of `a` is made anew.
    counters.assert_done("a rename", &[("whiteouts", 1)]);
}

fn lookups(bed: &Bed) {
    bed.lower.file("low", "");
    bed.lower.sub("both");
    bed.upper.file("up", "");
    bed.upper.sub("both");
    let m = bed.mount();
    let mut counters = Counters::of(bed, &m);
    m.stat("low");
    counters.assert_changed(
        "a lower file",
        &[
            ("lookup_layers", 2),
            ("lookups", 1),
            ("lookups_found_lower_1", 1),
        ],
    );
    m.stat("up");
    counters.assert_changed(
        "an upper file",
        &[
            ("lookup_layers", 1),
            ("lookups", 1),
            ("lookups_found_upper", 1),
        ],
    );
    m.stat("both");
    counters.assert_changed(
        "a merged directory",
        &[
            ("lookup_layers", 2),
            ("lookups", 1),
            ("lookups_found_upper", 1),
        ],
    );
    assert!(!m.exists("none"));
    counters.assert_changed(
        "a name that is not there",
        &[
            ("lookup_layers", 2),
            ("lookups", 1),
            ("lookups_negative", 1),
        ],
    );
    for name in ["low", "up", "both", "none"] {
        m.exists(name);
    }
    counters.assert_changed("names that are known", &[]);
}

fn layers_that_are_searched(bed: &Bed) {
    for depth in 0..5 {
        bed.below(depth).sub("everywhere");
    }
    bed.below(4).file("deepest", "");
    bed.upper.sub("pure");
    let m = bed.mount();
    let mut counters = Counters::of(bed, &m);
    m.stat("deepest");
    counters.assert_changed(
        "the lowest layer's",
        &[
            ("lookup_layers", 6),
            ("lookups", 1),
            ("lookups_found_lower_4_7", 1),
        ],
    );
    m.stat("everywhere");
    counters.assert_changed(
        "one that all have",
        &[
            ("lookup_layers", 6),
            ("lookups", 1),
            ("lookups_found_lower_1", 1),
        ],
    );
    assert!(!m.exists("everywhere/none"));
    counters.assert_changed(
        "what is in none of five",
        &[
            ("lookup_layers", 5),
            ("lookups", 1),
            ("lookups_negative", 1),
        ],
    );
    m.stat("pure");
    assert!(!m.exists("pure/none"));
    counters.assert_changed(
        "what upper alone could have",
        &[
            ("lookup_layers", 7),
            ("lookups", 2),
            ("lookups_found_upper", 1),
            ("lookups_negative", 1),
        ],
    );
}

fn found_in_each_depth(bed: &Bed) {
    for depth in 0..20 {
        bed.below(depth).file(&format!("{}", depth + 1), "");
    }
    bed.upper.file("0", "");
    let m = bed.mount();
    let mut counters = Counters::of(bed, &m);
    for layer in 0..=20 {
        m.stat(&layer.to_string());
    }
    counters.assert_found(
        "one name in each layer",
        &[
            ("lookups", 21),
            ("lookups_found_lower_1", 1),
            ("lookups_found_lower_16_up", 5),
            ("lookups_found_lower_2_3", 2),
            ("lookups_found_lower_4_7", 4),
            ("lookups_found_lower_8_15", 8),
            ("lookups_found_upper", 1),
        ],
    );
}

fn switched_mappings(bed: &Bed) {
    let [touched, untouched] = Early::both(bed);
    let mut counters = Counters::of(bed, &touched.m);
    for early in [touched, untouched] {
        drop(early.open_rw());
        early.assert_current("after the copy-up");
        let length = early.content.len() as u64;
        counters.assert_done(
            "a copy-up",
            &[
                ("copy_up_bytes", length),
                ("copy_up_files", 1),
                ("switched_mappings", 1),
            ],
        );
    }
}

fn a_mount_without_upper(bed: &Bed) {
    bed.below(1).file("low", "");
    let m = bed.mount_lowers();
    let mut counters = Counters::of(bed, &m);
    m.stat("low");
    counters.assert_changed(
        "a lookup",
        &[
            ("lookup_layers", 2),
            ("lookups", 1),
            ("lookups_found_lower_2_3", 1),
        ],
    );
    refused(Errno::ROFS, File::options().write(true).open(m.at("low")));
    counters.assert_changed("a refusal", &[]);
}

fn each_mount_has_its_own(bed: &Bed) {
    bed.lower.file("low", "12345");
    let m = bed.mount();
    let at = bed.aside("other");
    let (upper, work) = (bed.aside("other-upper"), bed.aside("other-work"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let other = must("mount", bed.try_mount_at(&bed.fs, &options, &at));
    let mut here = Counters::of(bed, &m);
    let mut there = Counters::of(bed, &other);
    m.append("low", b"more");
    here.assert_done("an append", &[("copy_up_bytes", 5), ("copy_up_files", 1)]);
    there.assert_changed("an append elsewhere", &[]);
    bed.umount();
    here.assert_changed("an umount elsewhere", &[]);
}

fn gone_with_the_mount(bed: &Bed) {
    bed.lower.file("low", "");
    let before = of_type(bed).names("");
    let m = bed.mount();
    let device = device(&m);
    m.append("low", b"more");
    assert!(of_type(bed).exists(&device));
    bed.umount();
    assert!(!of_type(bed).exists(&device));
    assert_eq!(of_type(bed).names(""), before);
    // They do not go on where others ended.
    let m = bed.mount();
    assert_eq!(Counters::of(bed, &m).get("copy_up_files"), 0);
}

/// Fails unless nothing can be read any more.
#[track_caller]
fn assert_dead(file: &mut File) {
    let mut text = String::new();
    refused(
        Errno::NODEV,
        file.rewind().and_then(|()| file.read_to_string(&mut text)),
    );
    refused(Errno::NODEV, file.read_at(&mut [0; 16], 0));
}

fn open_across_umount(bed: &Bed) {
    let m = bed.mount();
    let (types, device) = (of_type(bed), device(&m));
    let mut fresh = types.open_read(&device);
    let mut read = types.open_read(&device);
    let mut text = String::new();
    must("read", read.read_to_string(&mut text));
    assert!(text.contains("whiteouts 0\n"), "{text}");
    // Who reads numbers does not keep the mount busy.
    bed.umount();
    assert_dead(&mut fresh);
    assert_dead(&mut read);
    refused(Errno::NOENT, File::open(types.at(&device)));
}

fn open_across_umount_and_mount(bed: &Bed) {
    let m = bed.mount();
    let mut old = of_type(bed).open_read(&device(&m));
    let m = bed.remount_fresh();
    // It may have the same device number.
    m.exists("none");
    assert_eq!(Counters::of(bed, &m).get("lookups"), 1);
    assert_dead(&mut old);
}

fn a_mount_that_fails_has_none(bed: &Bed) {
    let before = of_type(bed).names("");
    for options in [
        format!("{},nonsense", bed.options()),
        format!(
            "lowerdir={0}:{0},upperdir={1},workdir={2}",
            bed.lower, bed.upper, bed.work
        ),
    ] {
        assert!(bed.try_mount(&options).is_err(), "{options}");
        assert_eq!(of_type(bed).names(""), before, "{options}");
    }
}

/// Allocations of this task can be made to fail, one by one, while this lives.
struct Failslab;

impl Failslab {
    const PATH: &str = "/sys/kernel/debug/failslab";

    #[track_caller]
    fn new() -> Self {
        for (name, value) in [("verbose", "0"), ("ignore-gfp-wait", "N")] {
            must(
                name,
                std::fs::write(format!("{}/{name}", Self::PATH), value),
            );
        }
        Self
    }

    /// Calls `f`, in which the nth allocation fails. Tells whether there was one.
    #[track_caller]
    fn nth<R>(&self, nth: u32, f: impl FnOnce() -> R) -> (R, bool) {
        let path = "/proc/thread-self/fail-nth";
        let mut text = [0; 16];
        let mut file = must(
            "open fail-nth",
            File::options().read(true).write(true).open(path),
        );
        must(
            "fail-nth",
            std::io::Write::write_all(&mut file, nth.to_string().as_bytes()),
        );
        let result = f();
        let len = must("fail-nth", file.read_at(&mut text, 0));
        must("fail-nth", file.write_at(b"0", 0));
        (result, text[..len].trim_ascii_end() == b"0")
    }
}

impl Drop for Failslab {
    fn drop(&mut self) {
        let _ = std::fs::write(format!("{}/ignore-gfp-wait", Self::PATH), "Y");
    }
}

fn mounting_without_memory(bed: &Bed) {
    bed.below(1);
    let before = of_type(bed).names("");
    let failslab = Failslab::new();
    for nth in 1..10_000 {
        let (mounted, failed) = failslab.nth(nth, || bed.try_mount(&bed.options()));
        match mounted {
            // Not everything is needed.
            Ok(m) => {
                assert_eq!(names(bed, &m), NAMES);
                bed.umount();
            }
            Err(error) => assert!(failed, "allocation {nth}: {error}"),
        }
        assert_eq!(of_type(bed).names(""), before, "allocation {nth}");
        if !failed {
            assert!(nth > 20, "only {nth} allocations");
            return;
        }
    }
    panic!("it never ends");
}
