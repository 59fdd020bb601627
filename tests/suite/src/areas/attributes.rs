// SPDX-License-Identifier: GPL-2.0

//! Attributes: what `stat` shows and what can be set.

use std::os::unix::fs::MetadataExt;

use rustix::fs::{
    fchmod, fchown, fstat, ftruncate, futimens, statx, utimensat, AtFlags, Gid, Mode, OFlags,
    StatxFlags, Timespec, Timestamps, Uid, CWD, UTIME_NOW, UTIME_OMIT,
};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused, same_bytes};
use crate::support::process::{as_user, USER};

tests! {
    EVERYWHERE:
        those_of_the_layer_are_shown,
        mode,
        owner,
        times_in_nanoseconds,
        size_by_truncate,
        size_by_ftruncate;
    TWICE:
        through_a_descriptor,
        through_a_read_only_descriptor,
        of_a_directory,
        of_the_root,
        of_a_symlink,
        statx_agrees_with_stat,
        time_omitted_and_now,
        changing_the_owner_drops_set_id,
        chmod_advances_ctime,
        writing_advances_mtime,
        entries_advance_the_directory_mtime,
        reading_advances_atime,
        lengthening_reads_as_zeros,
        truncating_to_nonsense,
        chmod_of_a_symlink,
        a_refused_change_copies_nothing_up,
        blocks_are_counted,
        birth_time_is_kept_at_write;
}

const OLD: (i64, i64) = (1_000_000_000, 123_456_789);
const OLDER: (i64, i64) = (900_000_000, 987_654_321);

/// Runs `change` on a lower, an upper and a copied-up file in turn.
fn on_each(bed: &Bed, change: impl Fn(&Dir, &str)) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    bed.lower.file("copied", "content");
    let m = bed.mount();
    m.append("copied", b"");
    m.chmod("copied", 0o644);
    for name in ["low", "up", "copied"] {
        change(&m, name);
    }
    assert_eq!(bed.lower.mode("low"), 0o644);
    assert_eq!(bed.lower.text("low"), "content");
}

fn those_of_the_layer_are_shown(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file_mode(name, "content", 0o2741);
        layer.chown(name, 12, 34);
        layer.chmod(name, 0o2741);
        layer.set_times(name, OLDER, OLD);
    }
    let m = bed.mount();
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        let (got, want) = (m.stat(name), layer.stat(name));
        assert_eq!(got.st_mode, want.st_mode);
        assert_eq!((got.st_uid, got.st_gid), (12, 34));
        assert_eq!((got.st_mtime, got.st_mtime_nsec as i64), OLD);
        assert_eq!((got.st_atime, got.st_atime_nsec as i64), OLDER);
        assert_eq!(
            (got.st_ctime, got.st_ctime_nsec),
            (want.st_ctime, want.st_ctime_nsec)
        );
        assert_eq!((got.st_size, got.st_nlink), (7, 1));
    }
}

fn mode(bed: &Bed) {
    on_each(bed, |m, name| {
        for mode in [0o600, 0o4755, 0o1777, 0] {
            m.chmod(name, mode);
            assert_eq!(m.mode(name), mode);
            assert_eq!(bed.upper.mode(name), mode);
        }
        assert_eq!(m.text(name), "content");
    });
}

fn owner(bed: &Bed) {
    on_each(bed, |m, name| {
        m.chown(name, 1000, 1001);
        let stat = m.stat(name);
        assert_eq!((stat.st_uid, stat.st_gid), (1000, 1001));
        assert_eq!(bed.upper.stat(name).st_uid, 1000);
        assert_eq!(m.text(name), "content");
    });
}

fn times_in_nanoseconds(bed: &Bed) {
    on_each(bed, |m, name| {
        m.set_times(name, OLDER, OLD);
        for dir in [m, &bed.upper] {
            let stat = dir.stat(name);
            assert_eq!((stat.st_mtime, stat.st_mtime_nsec as i64), OLD);
            assert_eq!((stat.st_atime, stat.st_atime_nsec as i64), OLDER);
        }
    });
}

fn truncate(m: &Dir, name: &str, size: i64) -> std::io::Result<()> {
    let path = std::ffi::CString::new(m.at(name).into_os_string().into_encoded_bytes())?;
    // SAFETY: the path is a C string.
    match unsafe { libc::truncate(path.as_ptr(), size) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn size_by_truncate(bed: &Bed) {
    on_each(bed, |m, name| {
        must("truncate", truncate(m, name, 3));
        assert_eq!(m.text(name), "con");
        must("truncate", truncate(m, name, 5));
        same_bytes(name, &m.read(name), b"con\0\0");
        must("truncate", truncate(m, name, 0));
        assert_eq!(m.stat(name).st_size, 0);
        assert_eq!(bed.upper.stat(name).st_size, 0);
    });
}

fn size_by_ftruncate(bed: &Bed) {
    on_each(bed, |m, name| {
        let file = m.open_rw(name);
        must("ftruncate", ftruncate(&file, 3));
        assert_eq!(m.text(name), "con");
        assert_eq!(must("fstat", fstat(&file)).st_size, 3);
        refused(Errno::INVAL, ftruncate(m.open_read(name), 1));
    });
}

fn through_a_descriptor(bed: &Bed) {
    on_each(bed, |m, name| {
        let file = m.open_rw(name);
        must("fchmod", fchmod(&file, Mode::from_raw_mode(0o640)));
        let ids = (Some(Uid::from_raw(5)), Some(Gid::from_raw(6)));
        must("fchown", fchown(&file, ids.0, ids.1));
        let stat = must("fstat", fstat(&file));
        assert_eq!(stat.st_mode & 0o7777, 0o640);
        assert_eq!((stat.st_uid, stat.st_gid), (5, 6));
        assert_eq!(m.mode(name), 0o640);
    });
}

fn through_a_read_only_descriptor(bed: &Bed) {
    on_each(bed, |m, name| {
        let file = m.open_read(name);
        must("fchmod", fchmod(&file, Mode::from_raw_mode(0o600)));
        let time = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
        let times = Timestamps {
            last_access: time(OLDER),
            last_modification: time(OLD),
        };
        must("futimens", futimens(&file, &times));
        let stat = must("fstat", fstat(&file));
        assert_eq!(stat.st_mode & 0o7777, 0o600);
        assert_eq!(stat.st_mtime, OLD.0);
        assert_eq!(m.mode(name), 0o600);
        assert_eq!(bed.upper.mode(name), 0o600);
    });
}

fn of_a_directory(bed: &Bed) {
    bed.lower.sub("low").file("inside", "");
    bed.lower.sub_mode("both", 0o711).file("a", "");
    bed.upper.sub_mode("both", 0o750).file("b", "");
    let m = bed.mount();
    assert_eq!(m.mode("both"), 0o750);
    for name in ["low", "both"] {
        m.chmod(name, 0o1770);
        m.chown(name, 7, 8);
        m.set_times(name, OLDER, OLD);
        for dir in [&m, &bed.upper] {
            let stat = dir.stat(name);
            assert_eq!(dir.mode(name), 0o1770);
            assert_eq!((stat.st_uid, stat.st_gid), (7, 8));
            assert_eq!((stat.st_mtime, stat.st_mtime_nsec as i64), OLD);
        }
    }
    assert_eq!(m.names("low"), ["inside"]);
    assert_eq!(m.names("both"), ["a", "b"]);
}

fn of_the_root(bed: &Bed) {
    bed.upper.chmod("", 0o710);
    let m = bed.mount();
    assert_eq!(m.mode(""), 0o710);
    m.chmod("", 0o751);
    m.chown("", 3, 4);
    assert_eq!(bed.upper.mode(""), 0o751);
    let m = bed.remount_fresh();
    assert_eq!(m.mode(""), 0o751);
    assert_eq!(m.stat("").st_uid, 3);
}

fn of_a_symlink(bed: &Bed) {
    bed.lower.file("target", "");
    bed.lower.symlink("target", "link");
    let m = bed.mount();
    m.chown("link", 9, 10);
    m.set_times("link", OLDER, OLD);
    let stat = m.stat("link");
    assert_eq!((stat.st_uid, stat.st_gid), (9, 10));
    assert_eq!(stat.st_mtime, OLD.0);
    assert_eq!(m.stat("target").st_uid, 0);
    assert_eq!(m.target("link"), "target");
}

fn statx_agrees_with_stat(bed: &Bed) {
    on_each(bed, |m, name| {
        let stat = m.stat(name);
        let all = StatxFlags::BASIC_STATS;
        let got = must(
            "statx",
            statx(CWD, m.at(name), AtFlags::SYMLINK_NOFOLLOW, all),
        );
        assert!(StatxFlags::from_bits_retain(got.stx_mask).contains(all));
        assert_eq!(got.stx_ino, stat.st_ino);
        assert_eq!(u32::from(got.stx_mode), stat.st_mode);
        assert_eq!(got.stx_size, stat.st_size as u64);
        assert_eq!(u64::from(got.stx_nlink), stat.st_nlink);
        assert_eq!(got.stx_mtime.tv_sec, stat.st_mtime);
        assert_eq!(
            rustix::fs::makedev(got.stx_dev_major, got.stx_dev_minor),
            stat.st_dev
        );
    });
}

fn time_omitted_and_now(bed: &Bed) {
    on_each(bed, |m, name| {
        m.set_times(name, OLDER, OLD);
        let special = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
        let times = Timestamps {
            last_access: special(UTIME_OMIT),
            last_modification: special(UTIME_NOW),
        };
        must(
            "utimensat",
            utimensat(CWD, m.at(name), &times, AtFlags::empty()),
        );
        let stat = m.stat(name);
        assert_eq!((stat.st_atime, stat.st_atime_nsec as i64), OLDER);
        assert!(stat.st_mtime > OLD.0);
    });
}

fn changing_the_owner_drops_set_id(bed: &Bed) {
    on_each(bed, |m, name| {
        m.chmod(name, 0o6755);
        m.chown(name, 1000, 1000);
        assert_eq!(m.mode(name), 0o755);
        assert_eq!(bed.upper.mode(name), 0o755);
    });
}

fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

fn chmod_advances_ctime(bed: &Bed) {
    on_each(bed, |m, name| {
        let before = m.stat(name);
        pause();
        m.chmod(name, 0o600);
        let after = m.stat(name);
        assert!((after.st_ctime, after.st_ctime_nsec) > (before.st_ctime, before.st_ctime_nsec));
        assert_eq!(after.st_mtime_nsec, before.st_mtime_nsec);
    });
}

fn writing_advances_mtime(bed: &Bed) {
    on_each(bed, |m, name| {
        m.set_times(name, OLDER, OLD);
        let reader = m.open_read(name);
        m.append(name, b", and more");
        assert!(m.stat(name).st_mtime > OLD.0);
        assert_eq!(m.stat(name).st_size, 17);
        let stat = must("fstat", fstat(&reader));
        assert!(stat.st_mtime > OLD.0);
        assert_eq!(stat.st_size, 17);
    });
}

fn entries_advance_the_directory_mtime(bed: &Bed) {
    bed.lower.sub("low").file("old", "");
    bed.lower.sub("both").file("old", "");
    bed.upper.sub("both");
    let m = bed.mount();
    for name in ["low", "both"] {
        for change in [
            &|dir: &Dir| dir.file("new", "") as (),
            &|dir: &Dir| dir.rename("new", "newer"),
            &|dir: &Dir| dir.unlink("newer"),
            &|dir: &Dir| dir.unlink("old"),
        ] as [&dyn Fn(&Dir); 4]
        {
            m.set_times(name, OLDER, OLD);
            change(&m.join(name));
            assert!(m.stat(name).st_mtime > OLD.0, "{name}");
        }
    }
}

fn reading_advances_atime(bed: &Bed) {
    bed.upper.file("up", "content");
    bed.upper.set_times("up", OLDER, OLD);
    let m = bed.mount();
    let file = m.open("up", OFlags::RDONLY | OFlags::NOATIME);
    let mut byte = [0];
    must("read", rustix::io::read(&file, &mut byte));
    assert_eq!(m.stat("up").st_atime, OLDER.0, "in spite of O_NOATIME");
    assert_eq!(m.text("up"), "content");
    assert!(m.stat("up").st_atime > OLDER.0);
}

fn lengthening_reads_as_zeros(bed: &Bed) {
    on_each(bed, |m, name| {
        must("truncate", truncate(m, name, 100_000));
        let mut want = b"content".to_vec();
        want.resize(100_000, 0);
        same_bytes(name, &m.read(name), &want);
    });
}

fn truncating_to_nonsense(bed: &Bed) {
    on_each(bed, |m, name| {
        refused(Errno::INVAL, truncate(m, name, -1));
        assert_eq!(m.text(name), "content");
    });
    refused(Errno::ISDIR, truncate(&bed.mnt, "", 0));
}

fn chmod_of_a_symlink(bed: &Bed) {
    bed.lower.file("target", "");
    bed.lower.symlink("target", "link");
    let m = bed.mount();
    let mode = Mode::from_raw_mode(0o600);
    refused(
        Errno::OPNOTSUPP,
        rustix::fs::chmodat(CWD, m.at("link"), mode, AtFlags::SYMLINK_NOFOLLOW),
    );
    m.chmod("link", 0o600);
    assert_eq!(m.mode("target"), 0o600);
}

fn a_refused_change_copies_nothing_up(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    as_user(USER, || {
        let mode = Mode::from_raw_mode(0o777);
        refused(
            Errno::PERM,
            rustix::fs::chmodat(CWD, m.at("low"), mode, AtFlags::empty()),
        );
        let user = Some(Uid::from_raw(USER));
        refused(
            Errno::PERM,
            rustix::fs::chownat(CWD, m.at("low"), user, None, AtFlags::empty()),
        );
        refused(Errno::ACCESS, truncate(&m, "low", 0));
    });
    assert!(bed.upper.names("").is_empty());
}

fn blocks_are_counted(bed: &Bed) {
    let content = vec![1; 65536];
    bed.lower.file("low", &content);
    bed.upper.file("up", &content);
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        must("fsync", layer.open_rw(name).sync_all());
    }
    let m = bed.mount();
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        let meta = must("stat", std::fs::metadata(m.at(name)));
        let real = must("stat", std::fs::metadata(layer.at(name)));
        assert_eq!(meta.blocks(), real.blocks());
        assert_eq!(meta.blksize(), real.blksize());
        assert!(meta.blocks() >= 128);
    }
}

fn birth_time_is_kept_at_write(bed: &Bed) {
    bed.upper.file("up", "content");
    let m = bed.mount();
    let birth = |dir: &Dir| {
        must("stat", std::fs::metadata(dir.at("up")))
            .created()
            .expect("birth time")
    };
    assert_eq!(birth(&m), birth(&bed.upper));
    m.append("up", b"more");
    assert_eq!(birth(&m), birth(&bed.upper));
}
