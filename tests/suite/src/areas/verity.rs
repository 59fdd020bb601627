// SPDX-License-Identifier: GPL-2.0

//! With `verity=on` or `require`, a metacopy tells the fs-verity digest of its
//! data, and other data is not read.

use rustix::fs::{open, Mode, OFlags};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::metacopy::{assert_no_blocks, assert_with_data, is_one, make, METACOPY, ON};
use crate::support::must::{must, refused, same_bytes};
use crate::support::verity::{digest, enable, metacopy, SHA256, SHA512};

tests! {
    VERITY:
        digests_are_written,
        digests_are_written_of_files_not_in_the_cache,
        files_without_are_metacopies,
        files_without_are_copied_when_required,
        off_writes_no_digest,
        a_right_digest,
        a_wrong_digest,
        a_digest_without_bytes,
        no_digest,
        data_without_verity,
        values_that_make_no_sense,
        written_afterwards,
        a_metacopy_of_a_metacopy,
        in_a_data_only_layer,
        attributes_need_no_digest_to_be_looked_at,
        truncation_needs_the_digest_too;
    ONCE: shown_options;
}

const SIZE: usize = 50_000;

fn with(mode: &str) -> String {
    format!("{ON},verity={mode}")
}

fn try_open(m: &Dir, name: &str, flags: OFlags) -> Result<(), Errno> {
    open(m.at(name), flags | OFlags::CLOEXEC, Mode::empty()).map(drop)
}

/// A lower file with verity; answers its digest.
#[track_caller]
fn lower(dir: &Dir, name: &str, algorithm: u32) -> Vec<u8> {
    dir.file(name, pattern(1, SIZE));
    enable(dir, name, algorithm);
    digest(dir, name)
}

fn digests_are_written(bed: &Bed) {
    for (name, algorithm, length) in [("a", SHA256, 32), ("b", SHA512, 64)] {
        for mode in ["on", "require"] {
            let name = format!("{name}-{mode}");
            let digest = lower(&bed.lower, &name, algorithm);
            assert_eq!(digest.len(), length);
            let m = bed.mount_with(&with(mode));
            m.chmod(&name, 0o600);
            let want = metacopy(algorithm, &digest);
            assert_eq!(bed.upper.xattr(&name, METACOPY), Some(want));
            assert_no_blocks(bed, &name);
            same_bytes(&name, &m.read(&name), &pattern(1, SIZE));
            bed.umount();
            let m = bed.mount_with(&with(mode));
            same_bytes(&name, &m.read(&name), &pattern(1, SIZE));
            bed.umount();
        }
    }
    bed.mount();
}

fn digests_are_written_of_files_not_in_the_cache(bed: &Bed) {
    let digest = lower(&bed.lower, "low", SHA256);
    must("sync", std::fs::File::open("/").map(|_| rustix::fs::sync()));
    must(
        "drop caches",
        std::fs::write("/proc/sys/vm/drop_caches", "3"),
    );
    let m = bed.mount_with(&with("on"));
    m.chown("low", 1, 2);
    let want = metacopy(SHA256, &digest);
    assert_eq!(bed.upper.xattr("low", METACOPY), Some(want));
    must(
        "drop caches",
        std::fs::write("/proc/sys/vm/drop_caches", "3"),
    );
    same_bytes("low", &m.read("low"), &pattern(1, SIZE));
}

fn files_without_are_metacopies(bed: &Bed) {
    bed.lower.file("low", pattern(1, SIZE));
    let m = bed.mount_with(&with("on"));
    m.chmod("low", 0o600);
    assert_eq!(bed.upper.xattr("low", METACOPY), Some(vec![]));
    same_bytes("low", &m.read("low"), &pattern(1, SIZE));
}

fn files_without_are_copied_when_required(bed: &Bed) {
    bed.lower.file("low", pattern(1, SIZE));
    let m = bed.mount_with(&with("require"));
    m.chmod("low", 0o600);
    assert_with_data(bed, "low", &pattern(1, SIZE));
    same_bytes("low", &m.read("low"), &pattern(1, SIZE));
}

fn off_writes_no_digest(bed: &Bed) {
    lower(&bed.lower, "low", SHA256);
    let m = bed.mount_with(&with("off"));
    m.chmod("low", 0o600);
    assert_eq!(bed.upper.xattr("low", METACOPY), Some(vec![]));
}

fn a_right_digest(bed: &Bed) {
    for (name, algorithm) in [("a", SHA256), ("b", SHA512)] {
        let digest = lower(&bed.below(1), name, algorithm);
        make(&bed.lower, name, SIZE as u64, None);
        bed.lower
            .set_xattr(name, METACOPY, &metacopy(algorithm, &digest));
    }
    for mode in ["off", "on", "require"] {
        let m = bed.mount_with(&with(mode));
        for name in ["a", "b"] {
            same_bytes(name, &m.read(name), &pattern(1, SIZE));
            same_bytes(name, &m.read(name), &pattern(1, SIZE));
        }
        bed.umount();
    }
    bed.mount_with(&with("on"));
}

/// Fails unless data is refused when digests are looked at, and only then.
#[track_caller]
fn assert_refused(bed: &Bed, name: &str) {
    for mode in ["on", "require"] {
        let m = bed.mount_with(&with(mode));
        assert_eq!(m.stat(name).st_size as usize, SIZE, "verity={mode}");
        for flags in [OFlags::RDONLY, OFlags::RDWR, OFlags::WRONLY] {
            refused(Errno::IO, try_open(&m, name, flags));
        }
        assert!(!bed.upper.exists(name), "verity={mode}");
        bed.umount();
    }
    let m = bed.mount_with(&with("off"));
    same_bytes("verity=off", &m.read(name), &pattern(1, SIZE));
    bed.umount();
}

fn a_wrong_digest(bed: &Bed) {
    let digest = lower(&bed.below(1), "low", SHA256);
    make(&bed.lower, "low", SIZE as u64, None);
    let mut wrong = digest.clone();
    wrong[31] ^= 1;
    let longer = [&digest[..], &[0; 32]].concat();
    for value in [
        metacopy(SHA256, &wrong),
        metacopy(SHA512, &digest),
        metacopy(77, &digest),
        metacopy(SHA512, &longer),
        metacopy(SHA256, &longer),
        metacopy(SHA256, &digest[..31]),
    ] {
        bed.lower.set_xattr("low", METACOPY, &value);
        assert_refused(bed, "low");
    }
    bed.mount();
}

fn a_digest_without_bytes(bed: &Bed) {
    lower(&bed.below(1), "low", SHA256);
    make(&bed.lower, "low", SIZE as u64, None);
    bed.lower.set_xattr("low", METACOPY, &metacopy(SHA256, &[]));
    assert_refused(bed, "low");
    bed.mount();
}

fn no_digest(bed: &Bed) {
    lower(&bed.below(1), "low", SHA256);
    make(&bed.lower, "low", SIZE as u64, None);
    for value in [&[][..], &[0, 4, 0, 0]] {
        bed.lower.set_xattr("low", METACOPY, value);
        let m = bed.mount_with(&with("on"));
        same_bytes("low", &m.read("low"), &pattern(1, SIZE));
        bed.umount();
        let m = bed.mount_with(&with("require"));
        assert_eq!(m.stat("low").st_size as usize, SIZE);
        refused(Errno::IO, try_open(&m, "low", OFlags::RDONLY));
        refused(Errno::IO, try_open(&m, "low", OFlags::RDWR));
        bed.umount();
    }
    bed.mount();
}

fn data_without_verity(bed: &Bed) {
    let digest = lower(&bed.below(1), "with", SHA256);
    bed.below(1).file("low", pattern(1, SIZE));
    make(&bed.lower, "low", SIZE as u64, None);
    bed.lower
        .set_xattr("low", METACOPY, &metacopy(SHA256, &digest));
    assert_refused(bed, "low");
    bed.mount();
}

fn values_that_make_no_sense(bed: &Bed) {
    let digest = lower(&bed.below(1), "low", SHA256);
    make(&bed.lower, "low", SIZE as u64, None);
    let good = metacopy(SHA256, &digest);
    let mut version = good.clone();
    version[0] = 1;
    let mut length = good.clone();
    length[1] = 35;
    let mut longer = good.clone();
    longer.push(0);
    for value in [version, length, longer] {
        bed.lower.set_xattr("low", METACOPY, &value);
        assert_refused(bed, "low");
    }
    // More than any digest.
    bed.lower.set_xattr("low", METACOPY, &[0; 200]);
    let m = bed.mount_with(&with("on"));
    assert!(try_open(&m, "low", OFlags::RDONLY).is_err());
}

fn written_afterwards(bed: &Bed) {
    lower(&bed.lower, "low", SHA256);
    let m = bed.mount_with(&with("require"));
    let early = m.open_read("low");
    m.chmod("low", 0o600);
    m.append("low", b"more");
    let want = [pattern(1, SIZE), b"more".to_vec()].concat();
    assert_with_data(bed, "low", &want);
    let mut got = vec![0; SIZE + 4];
    must(
        "read",
        std::os::unix::fs::FileExt::read_exact_at(&early, &mut got, 0),
    );
    same_bytes("early", &got, &want);
    drop(early);
    bed.umount();
    let m = bed.mount_with(&with("require"));
    same_bytes("low", &m.read("low"), &want);
}

fn a_metacopy_of_a_metacopy(bed: &Bed) {
    let digest = lower(&bed.below(1), "low", SHA256);
    make(&bed.lower, "low", SIZE as u64, None);
    let value = metacopy(SHA256, &digest);
    bed.lower.set_xattr("low", METACOPY, &value);
    let m = bed.mount_with(&with("require"));
    m.chown("low", 3, 4);
    assert_eq!(bed.upper.xattr("low", METACOPY), Some(value));
    same_bytes("low", &m.read("low"), &pattern(1, SIZE));
}

fn in_a_data_only_layer(bed: &Bed) {
    let data = bed.below(1).sub("data");
    let digest = lower(&data, "blob", SHA256);
    for (name, redirect) in [("good", "/blob"), ("bad", "/blob"), ("none", "/blob")] {
        make(&bed.lower, name, SIZE as u64, Some(redirect));
    }
    let value = metacopy(SHA256, &digest);
    bed.lower.set_xattr("good", METACOPY, &value);
    bed.lower
        .set_xattr("bad", METACOPY, &metacopy(SHA256, &[7; 32]));
    let options = format!(
        "lowerdir={}::{data},upperdir={},workdir={},{}",
        bed.lower,
        bed.upper,
        bed.work,
        with("require")
    );
    let m = must("mount", bed.try_mount(&options));
    same_bytes("good", &m.read("good"), &pattern(1, SIZE));
    for name in ["bad", "none"] {
        assert_eq!(m.stat(name).st_size as usize, SIZE);
        refused(Errno::IO, try_open(&m, name, OFlags::RDONLY));
    }
    m.chmod("good", 0o600);
    assert_eq!(bed.upper.xattr("good", METACOPY), Some(value));
}

fn attributes_need_no_digest_to_be_looked_at(bed: &Bed) {
    lower(&bed.below(1), "low", SHA256);
    make(&bed.lower, "low", SIZE as u64, None);
    bed.lower
        .set_xattr("low", METACOPY, &metacopy(SHA256, &[7; 32]));
    bed.lower.set_xattr("low", "user.note", b"1");
    let m = bed.mount_with(&with("on"));
    assert_eq!(m.xattr("low", "user.note").as_deref(), Some(&b"1"[..]));
    assert_eq!(m.names(""), ["low"]);
    m.unlink("low");
    assert!(!m.exists("low"));
}

fn truncation_needs_the_digest_too(bed: &Bed) {
    lower(&bed.below(1), "low", SHA256);
    make(&bed.lower, "low", SIZE as u64, None);
    bed.lower
        .set_xattr("low", METACOPY, &metacopy(SHA256, &[7; 32]));
    let m = bed.mount_with(&with("on"));
    let flags = OFlags::WRONLY | OFlags::TRUNC;
    refused(Errno::IO, try_open(&m, "low", flags));
    assert!(!bed.upper.exists("low"));
    assert!(!is_one(&bed.below(1), "low"));
}

fn shown_options(bed: &Bed) {
    for (mode, want) in [
        ("off", None),
        ("on", Some("on")),
        ("require", Some("require")),
    ] {
        let m = bed.mount_with(&with(mode));
        let mounts = must("read mounts", std::fs::read_to_string("/proc/self/mounts"));
        let line = mounts
            .lines()
            .rfind(|line| line.split(' ').nth(1) == Some(&m.to_string()))
            .expect("a mount");
        assert!(line.contains(",metacopy=on"), "{line}");
        let shown = line
            .split([' ', ','])
            .find_map(|option| option.strip_prefix("verity="));
        assert_eq!(shown, want);
        bed.umount();
    }
    let options = format!("{},verity=maybe", bed.options());
    refused(Errno::INVAL, bed.try_mount(&options));
}
