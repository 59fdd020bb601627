// SPDX-License-Identifier: GPL-2.0

//! Rights: the caller's on the overlay, the mounter's on the layers.

use rustix::fs::{
    accessat, chmodat, chownat, Access, AtFlags, Gid, Mode, OFlags, Timestamps, Uid, CWD,
};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::must::{must, refused};
use crate::support::process::{as_user, become_user, in_child, OTHER_USER, USER};

tests! {
    EVERYWHERE:
        a_private_file_is_private,
        a_user_writes_a_lower_file,
        a_new_file_belongs_to_its_maker;
    TWICE:
        a_private_directory_is_private,
        a_directory_without_search_right,
        group_rights,
        a_refused_write_copies_nothing_up,
        only_the_owner_changes_the_mode,
        only_root_gives_files_away,
        times_need_ownership_or_write_right,
        a_sticky_directory,
        removal_needs_the_right_to_the_directory,
        a_set_group_id_directory_gives_its_group,
        the_umask_counts,
        a_write_by_a_user_drops_set_id,
        access_asks_for_the_real_user,
        root_needs_an_execute_bit,
        a_descriptor_keeps_its_right,
        the_mounter_is_not_the_caller,
        trusted_attributes_are_for_root,
        no_atime_needs_ownership,
        copy_up_by_a_user_keeps_the_owner,
        read_only_objects_refuse_the_owner_too;
}

fn user_file(bed: &Bed, name: &str, mode: u32) {
    bed.lower.file(name, "content");
    bed.lower.chown(name, USER, USER);
    bed.lower.chmod(name, mode);
}

fn a_private_file_is_private(bed: &Bed) {
    bed.lower.file_mode("low", "secret", 0o600);
    bed.upper.file_mode("up", "secret", 0o600);
    let m = bed.mount();
    as_user(USER, || {
        for name in ["low", "up"] {
            refused(Errno::ACCESS, std::fs::read(m.at(name)));
            refused(Errno::ACCESS, std::fs::write(m.at(name), ""));
            assert_eq!(m.mode(name), 0o600);
        }
    });
    assert_eq!(m.text("low"), "secret");
}

fn a_user_writes_a_lower_file(bed: &Bed) {
    bed.lower.file_mode("open to all", "content", 0o666);
    user_file(bed, "own", 0o600);
    let m = bed.mount();
    as_user(USER, || {
        m.append("open to all", b", more");
        m.append("own", b", more");
    });
    for (name, owner) in [("open to all", 0), ("own", USER)] {
        assert_eq!(m.text(name), "content, more");
        assert_eq!(bed.upper.text(name), "content, more");
        assert_eq!(bed.upper.stat(name).st_uid, owner);
    }
}

fn a_new_file_belongs_to_its_maker(bed: &Bed) {
    bed.lower.sub_mode("low", 0o777);
    bed.upper.sub_mode("up", 0o777);
    let m = bed.mount();
    in_child(|| {
        become_user(USER, OTHER_USER);
        for dir in ["low", "up"] {
            m.file(&format!("{dir}/file"), "");
            m.sub(&format!("{dir}/dir"));
            m.symlink("x", &format!("{dir}/link"));
            m.node(
                &format!("{dir}/fifo"),
                rustix::fs::FileType::Fifo,
                0o644,
                (0, 0),
            );
        }
    });
    for dir in ["low", "up"] {
        for name in ["file", "dir", "link", "fifo"] {
            for root in [&m, &bed.upper] {
                let stat = root.stat(&format!("{dir}/{name}"));
                assert_eq!(
                    (stat.st_uid, stat.st_gid),
                    (USER, OTHER_USER),
                    "{dir}/{name}"
                );
            }
        }
    }
}

fn a_private_directory_is_private(bed: &Bed) {
    bed.lower.sub_mode("low", 0o700).file("inside", "");
    bed.lower.sub_mode("both", 0o755).file("inside", "");
    bed.upper.sub_mode("both", 0o700);
    let m = bed.mount();
    as_user(USER, || {
        for name in ["low", "both"] {
            refused(Errno::ACCESS, std::fs::read_dir(m.at(name)).map(|_| ()));
            refused(Errno::ACCESS, std::fs::read(m.at(name).join("inside")));
            refused(Errno::ACCESS, std::fs::write(m.at(name).join("new"), ""));
        }
    });
}

fn a_directory_without_search_right(bed: &Bed) {
    bed.lower.sub_mode("dir", 0o744).file("inside", "");
    let m = bed.mount();
    as_user(USER, || {
        assert_eq!(m.names("dir"), ["inside"]);
        refused(Errno::ACCESS, std::fs::metadata(m.at("dir/inside")));
        refused(Errno::ACCESS, std::fs::metadata(m.at("dir/none")));
    });
}

fn group_rights(bed: &Bed) {
    bed.lower.file_mode("low", "content", 0o660);
    bed.lower.chown("low", 0, USER);
    let m = bed.mount();
    as_user(OTHER_USER, || {
        refused(Errno::ACCESS, std::fs::read(m.at("low")))
    });
    as_user(USER, || m.append("low", b", more"));
    assert_eq!(m.text("low"), "content, more");
    assert_eq!(bed.upper.stat("low").st_gid, USER);
}

fn a_refused_write_copies_nothing_up(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.sub("dir").file("low", "content");
    let m = bed.mount();
    as_user(USER, || {
        for name in ["low", "dir/low"] {
            refused(Errno::ACCESS, std::fs::write(m.at(name), ""));
            refused(Errno::ACCESS, std::fs::remove_file(m.at(name)));
        }
        refused(Errno::ACCESS, std::fs::write(m.at("dir/new"), ""));
        refused(
            Errno::ACCESS,
            rustix::fs::rename(m.at("low"), m.at("moved")),
        );
        refused(Errno::ACCESS, std::fs::create_dir(m.at("dir/sub")));
    });
    assert!(bed.upper.names("").is_empty());
}

fn only_the_owner_changes_the_mode(bed: &Bed) {
    user_file(bed, "own", 0o644);
    let m = bed.mount();
    let chmod = || {
        chmodat(
            CWD,
            m.at("own"),
            Mode::from_raw_mode(0o600),
            AtFlags::empty(),
        )
    };
    as_user(OTHER_USER, || refused(Errno::PERM, chmod()));
    assert!(!bed.upper.exists("own"));
    as_user(USER, || must("chmod", chmod()));
    assert_eq!(m.mode("own"), 0o600);
}

fn only_root_gives_files_away(bed: &Bed) {
    user_file(bed, "own", 0o644);
    let m = bed.mount();
    as_user(USER, || {
        let other = Some(Uid::from_raw(OTHER_USER));
        refused(
            Errno::PERM,
            chownat(CWD, m.at("own"), other, None, AtFlags::empty()),
        );
        let group = Some(Gid::from_raw(OTHER_USER));
        refused(
            Errno::PERM,
            chownat(CWD, m.at("own"), None, group, AtFlags::empty()),
        );
    });
    m.chown("own", OTHER_USER, OTHER_USER);
    as_user(OTHER_USER, || m.append("own", b", more"));
}

fn times_need_ownership_or_write_right(bed: &Bed) {
    user_file(bed, "own", 0o666);
    let m = bed.mount();
    let now = rustix::fs::Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_NOW,
    };
    let past = rustix::fs::Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let set = |time| {
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(CWD, m.at("own"), &times, AtFlags::empty())
    };
    as_user(OTHER_USER, || {
        refused(Errno::PERM, set(past));
        must("set the time to now", set(now));
    });
    as_user(USER, || must("set any time", set(past)));
    assert_eq!(m.stat("own").st_mtime, 1);
}

fn a_sticky_directory(bed: &Bed) {
    let dir = bed.lower.sub_mode("dir", 0o1777);
    dir.file_mode("of-root", "", 0o666);
    dir.file("of-user", "");
    dir.chown("of-user", USER, USER);
    let m = bed.mount();
    as_user(USER, || {
        refused(Errno::PERM, std::fs::remove_file(m.at("dir/of-root")));
        refused(
            Errno::PERM,
            rustix::fs::rename(m.at("dir/of-root"), m.at("dir/x")),
        );
        m.rename("dir/of-user", "dir/renamed");
        refused(
            Errno::PERM,
            rustix::fs::rename(m.at("dir/renamed"), m.at("dir/of-root")),
        );
        m.unlink("dir/renamed");
    });
    assert_eq!(m.names("dir"), ["of-root"]);
}

fn removal_needs_the_right_to_the_directory(bed: &Bed) {
    user_file(bed, "own", 0o666);
    let dir = bed.lower.sub_mode("dir", 0o777);
    dir.file_mode("private", "", 0o600);
    let m = bed.mount();
    as_user(USER, || {
        refused(Errno::ACCESS, std::fs::remove_file(m.at("own")));
        m.unlink("dir/private");
    });
    assert!(m.exists("own"));
    assert!(m.names("dir").is_empty());
}

fn a_set_group_id_directory_gives_its_group(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.sub(name);
        layer.chown(name, 0, OTHER_USER);
        layer.chmod(name, 0o2777);
    }
    let m = bed.mount();
    as_user(USER, || {
        for name in ["low", "up"] {
            m.join(name).file("file", "");
            let mode = Mode::from_raw_mode(0o755);
            must("mkdir", rustix::fs::mkdir(m.join(name).at("dir"), mode));
        }
    });
    for name in ["low", "up"] {
        assert_eq!(m.join(name).stat("file").st_gid, OTHER_USER);
        assert_eq!(m.join(name).stat("dir").st_gid, OTHER_USER);
        assert_eq!(bed.upper.join(name).mode("dir") & 0o2000, 0o2000);
    }
}

fn the_umask_counts(bed: &Bed) {
    let m = bed.mount();
    in_child(|| {
        rustix::process::umask(Mode::from_raw_mode(0o027));
        drop(m.create("file", 0o666));
        must(
            "mkdir",
            rustix::fs::mkdir(m.at("dir"), Mode::from_raw_mode(0o777)),
        );
        m.node("fifo", rustix::fs::FileType::Fifo, 0o666, (0, 0));
    });
    assert_eq!(m.mode("file"), 0o640);
    assert_eq!(m.mode("dir"), 0o750);
    assert_eq!(m.mode("fifo"), 0o640);
}

fn a_write_by_a_user_drops_set_id(bed: &Bed) {
    bed.lower.file_mode("low", "content", 0o6777);
    bed.upper.file_mode("up", "content", 0o6777);
    let m = bed.mount();
    as_user(USER, || {
        m.append("low", b"more");
        m.append("up", b"more");
    });
    for name in ["low", "up"] {
        assert_eq!(m.mode(name), 0o777, "{name}");
        assert_eq!(bed.upper.mode(name), 0o777, "{name}");
    }
}

fn access_asks_for_the_real_user(bed: &Bed) {
    bed.lower.file_mode("low", "content", 0o600);
    let m = bed.mount();
    in_child(|| {
        // SAFETY: setreuid takes no memory.
        assert_eq!(unsafe { libc::setreuid(USER, 0) }, 0);
        let access = |flags| accessat(CWD, m.at("low"), Access::READ_OK, flags);
        refused(Errno::ACCESS, access(AtFlags::empty()));
        must("as the effective user", access(AtFlags::EACCESS));
    });
}

fn root_needs_an_execute_bit(bed: &Bed) {
    bed.lower.file_mode("low", "content", 0o644);
    let m = bed.mount();
    let exec = || accessat(CWD, m.at("low"), Access::EXEC_OK, AtFlags::empty());
    refused(Errno::ACCESS, exec());
    m.chmod("low", 0o645);
    must("access", exec());
}

fn a_descriptor_keeps_its_right(bed: &Bed) {
    bed.lower.file_mode("low", "content", 0o644);
    let m = bed.mount();
    as_user(USER, || {
        let file = m.open_read("low");
        refused(Errno::BADF, rustix::io::write(&file, b"x"));
    });
    let file = m.open_rw("low");
    m.chmod("low", 0);
    in_child(|| {
        become_user(USER, USER);
        must(
            "write by an inherited descriptor",
            rustix::io::write(&file, b"CONTENT"),
        );
        let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        refused(Errno::ACCESS, std::fs::read(again));
    });
    assert_eq!(m.text("low"), "CONTENT");
}

fn the_mounter_is_not_the_caller(bed: &Bed) {
    // The layers are in directories that only root may enter, so this works
    // only by the mounter's rights.
    bed.lower
        .sub_mode("dir", 0o777)
        .file_mode("low", "content", 0o666);
    let m = bed.mount();
    as_user(USER, || {
        refused(Errno::ACCESS, std::fs::read(bed.lower.at("dir/low")));
        assert_eq!(m.text("dir/low"), "content");
        m.append("dir/low", b", more");
        m.file("dir/new", "new");
        m.rename("dir/new", "dir/newer");
        m.unlink("dir/low");
        assert_eq!(m.names("dir"), ["newer"]);
    });
    assert!(bed.upper.is_whiteout("dir/low"));
}

fn trusted_attributes_are_for_root(bed: &Bed) {
    user_file(bed, "own", 0o644);
    bed.lower.set_xattr("own", "trusted.note", b"1");
    let m = bed.mount();
    as_user(USER, || {
        assert_eq!(m.xattr("own", "trusted.note"), None);
        assert!(m.xattr_names("own").is_empty());
        refused(
            Errno::PERM,
            rustix::fs::setxattr(
                m.at("own"),
                "trusted.note",
                b"2",
                rustix::fs::XattrFlags::empty(),
            ),
        );
    });
    assert_eq!(m.xattr("own", "trusted.note").as_deref(), Some(&b"1"[..]));
}

fn no_atime_needs_ownership(bed: &Bed) {
    user_file(bed, "own", 0o644);
    let m = bed.mount();
    let flags = OFlags::RDONLY | OFlags::NOATIME;
    as_user(OTHER_USER, || {
        refused(
            Errno::PERM,
            rustix::fs::open(m.at("own"), flags, Mode::empty()),
        );
    });
    as_user(USER, || drop(m.open("own", flags)));
}

fn copy_up_by_a_user_keeps_the_owner(bed: &Bed) {
    let dir = bed.lower.sub_mode("dir", 0o777);
    dir.chown("", 12, 34);
    dir.chmod("", 0o777);
    dir.file("low", "content");
    dir.chown("low", 56, 78);
    dir.chmod("low", 0o646);
    let m = bed.mount();
    as_user(USER, || m.append("dir/low", b", more"));
    for root in [&m, &bed.upper] {
        let (dir, low) = (root.stat("dir"), root.stat("dir/low"));
        assert_eq!((dir.st_uid, dir.st_gid, root.mode("dir")), (12, 34, 0o777));
        assert_eq!(
            (low.st_uid, low.st_gid, root.mode("dir/low")),
            (56, 78, 0o646)
        );
    }
}

fn read_only_objects_refuse_the_owner_too(bed: &Bed) {
    user_file(bed, "own", 0o444);
    let m = bed.mount();
    as_user(USER, || {
        refused(Errno::ACCESS, std::fs::write(m.at("own"), ""));
        m.chmod("own", 0o644);
        m.file("own", "changed");
    });
    assert_eq!(m.text("own"), "changed");
}
