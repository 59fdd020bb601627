// SPDX-License-Identifier: GPL-2.0

//! POSIX access control lists.

use rustix::fs::{setxattr, XattrFlags};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::acl::{encode, with_user, Who, ACCESS, DEFAULT};
use crate::support::must::refused;
use crate::support::process::{as_user, OTHER_USER, USER};

tests! {
    EVERYWHERE:
        set_get_and_remove,
        a_named_user_gets_the_right,
        a_list_counts_from_when_it_is_set,
        a_default_list_is_inherited,
        of_a_lower_file_survives_copy_up,
        of_a_lower_directory_survives_copy_up;
    TWICE:
        chmod_changes_the_mask,
        a_named_user_is_denied,
        the_umask_gives_way_to_a_default_list,
        only_the_owner_sets_it,
        nonsense_is_refused,
        a_default_list_is_for_directories,
        is_listed,
        a_plain_list_becomes_the_mode;
}

fn set_get_and_remove(bed: &Bed) {
    bed.lower.file_mode("low", "content", 0o640);
    bed.upper.file_mode("up", "content", 0o640);
    let m = bed.mount();
    let list = with_user(USER, 6);
    for name in ["low", "up"] {
        assert_eq!(m.xattr(name, ACCESS), None);
        m.set_xattr(name, ACCESS, &list);
        assert_eq!(m.xattr(name, ACCESS).as_ref(), Some(&list));
        assert_eq!(bed.upper.xattr(name, ACCESS).as_ref(), Some(&list));
        assert_eq!(m.mode(name), 0o660);
        m.remove_xattr(name, ACCESS);
        assert_eq!(m.xattr(name, ACCESS), None);
        assert_eq!(bed.upper.xattr(name, ACCESS), None);
    }
    assert_eq!(bed.lower.xattr("low", ACCESS), None);
}

fn a_named_user_gets_the_right(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file_mode(name, "content", 0o640);
        layer.set_xattr(name, ACCESS, &with_user(USER, 6));
    }
    let m = bed.mount();
    for name in ["low", "up"] {
        as_user(OTHER_USER, || {
            refused(Errno::ACCESS, std::fs::read(m.at(name)))
        });
        as_user(USER, || {
            assert_eq!(m.text(name), "content");
            m.append(name, b", more");
        });
        assert_eq!(m.text(name), "content, more");
    }
    as_user(OTHER_USER, || {
        refused(Errno::ACCESS, std::fs::read(m.at("low")))
    });
}

fn a_named_user_is_denied(bed: &Bed) {
    bed.lower.file_mode("low", "content", 0o644);
    let deny = encode(&[
        (Who::Owner, 6),
        (Who::User(USER), 0),
        (Who::Group, 4),
        (Who::Mask, 4),
        (Who::Others, 4),
    ]);
    bed.lower.set_xattr("low", ACCESS, &deny);
    let m = bed.mount();
    as_user(USER, || refused(Errno::ACCESS, std::fs::read(m.at("low"))));
    as_user(OTHER_USER, || assert_eq!(m.text("low"), "content"));
}

fn a_list_counts_from_when_it_is_set(bed: &Bed) {
    for (layer, dir) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.sub(dir).file_mode("file", "content", 0o644);
    }
    let m = bed.mount();
    let deny = |rights| {
        encode(&[
            (Who::Owner, rights | 2),
            (Who::User(USER), 0),
            (Who::Group, rights),
            (Who::Mask, rights),
            (Who::Others, rights),
        ])
    };
    // Repeated, for what is learned by one check may answer the next.
    let reads = |user, file: &str| {
        as_user(user, || {
            for _ in 0..3 {
                assert_eq!(m.text(file), "content", "{file}");
            }
        })
    };
    for dir in ["low", "up"] {
        let file = format!("{dir}/file");
        // The file is copied up with its directory, and after it.
        for (name, list) in [(dir, deny(5)), (&file, deny(4))] {
            reads(USER, &file);
            m.set_xattr(name, ACCESS, &list);
            as_user(USER, || {
                for _ in 0..3 {
                    refused(Errno::ACCESS, std::fs::read(m.at(&file)));
                }
            });
            reads(OTHER_USER, &file);
            m.remove_xattr(name, ACCESS);
        }
        reads(USER, &file);
    }
}

/// A default list that gives a user everything.
fn default_list() -> Vec<u8> {
    encode(&[
        (Who::Owner, 7),
        (Who::User(USER), 7),
        (Who::Group, 5),
        (Who::Mask, 7),
        (Who::Others, 0),
    ])
}

fn a_default_list_is_inherited(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.sub(name).set_xattr("", DEFAULT, &default_list());
    }
    let m = bed.mount();
    m.sub("made").set_xattr("", DEFAULT, &default_list());
    for name in ["low", "up", "made"] {
        assert_eq!(m.xattr(name, DEFAULT), Some(default_list()), "{name}");
        let dir = m.join(name);
        drop(dir.create("file", 0o666));
        let want = encode(&[
            (Who::Owner, 6),
            (Who::User(USER), 7),
            (Who::Group, 5),
            (Who::Mask, 6),
            (Who::Others, 0),
        ]);
        for dir in [&dir, &bed.upper.join(name)] {
            assert_eq!(dir.xattr("file", ACCESS), Some(want.clone()), "{name}");
            assert_eq!(dir.mode("file"), 0o660);
            assert_eq!(dir.xattr("file", DEFAULT), None);
        }
        must_mkdir(&dir, "sub", 0o777);
        assert_eq!(dir.xattr("sub", DEFAULT), Some(default_list()));
        assert_eq!(dir.xattr("sub", ACCESS), Some(default_list()));
        assert_eq!(dir.mode("sub"), 0o770);
    }
}

#[track_caller]
fn must_mkdir(dir: &crate::support::dir::Dir, name: &str, mode: u32) {
    crate::support::must::must(
        "mkdir",
        rustix::fs::mkdir(dir.at(name), rustix::fs::Mode::from_raw_mode(mode)),
    );
}

fn of_a_lower_file_survives_copy_up(bed: &Bed) {
    bed.lower.file_mode("low", "content", 0o640);
    let list = with_user(USER, 4);
    bed.lower.set_xattr("low", ACCESS, &list);
    let m = bed.mount();
    m.append("low", b", more");
    for dir in [&m, &bed.upper] {
        assert_eq!(dir.xattr("low", ACCESS).as_ref(), Some(&list));
        assert_eq!(dir.mode("low"), 0o640);
    }
}

fn of_a_lower_directory_survives_copy_up(bed: &Bed) {
    let list = encode(&[
        (Who::Owner, 7),
        (Who::User(USER), 5),
        (Who::Group, 5),
        (Who::Mask, 5),
        (Who::Others, 0),
    ]);
    let dir = bed.lower.sub("dir");
    dir.set_xattr("", ACCESS, &list);
    dir.set_xattr("", DEFAULT, &default_list());
    let m = bed.mount();
    m.file("dir/new", "");
    for root in [&m, &bed.upper] {
        assert_eq!(root.xattr("dir", ACCESS).as_ref(), Some(&list));
        assert_eq!(root.xattr("dir", DEFAULT), Some(default_list()));
    }
}

fn chmod_changes_the_mask(bed: &Bed) {
    bed.lower.file_mode("low", "content", 0o640);
    bed.lower.set_xattr("low", ACCESS, &with_user(USER, 6));
    let m = bed.mount();
    as_user(USER, || m.append("low", b"1"));
    m.chmod("low", 0o640);
    as_user(USER, || {
        assert_eq!(m.text("low"), "content1");
        refused(Errno::ACCESS, std::fs::write(m.at("low"), ""));
    });
    m.chmod("low", 0o600);
    as_user(USER, || refused(Errno::ACCESS, std::fs::read(m.at("low"))));
}

fn the_umask_gives_way_to_a_default_list(bed: &Bed) {
    bed.lower.sub("dir").set_xattr("", DEFAULT, &default_list());
    let m = bed.mount();
    let old = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    drop(m.create("dir/file", 0o666));
    drop(m.create("file", 0o666));
    rustix::process::umask(old);
    assert_eq!(m.mode("dir/file"), 0o660);
    assert_eq!(m.mode("file"), 0o600);
}

fn only_the_owner_sets_it(bed: &Bed) {
    bed.lower.file_mode("low", "content", 0o666);
    bed.lower.file_mode("own", "content", 0o600);
    bed.lower.chown("own", USER, USER);
    let m = bed.mount();
    let list = with_user(OTHER_USER, 4);
    as_user(USER, || {
        refused(
            Errno::PERM,
            setxattr(m.at("low"), ACCESS, &list, XattrFlags::empty()),
        );
        m.set_xattr("own", ACCESS, &list);
    });
    assert!(!bed.upper.exists("low"));
    as_user(OTHER_USER, || assert_eq!(m.text("own"), "content"));
}

fn nonsense_is_refused(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let without_mask = encode(&[
        (Who::Owner, 6),
        (Who::User(USER), 6),
        (Who::Group, 4),
        (Who::Others, 0),
    ]);
    for list in [&without_mask[..], b"123"] {
        refused(
            Errno::INVAL,
            setxattr(m.at("low"), ACCESS, list, XattrFlags::empty()),
        );
    }
    refused(
        Errno::OPNOTSUPP,
        setxattr(m.at("low"), ACCESS, b"12345678", XattrFlags::empty()),
    );
}

fn a_default_list_is_for_directories(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    refused(
        Errno::ACCESS,
        setxattr(m.at("low"), DEFAULT, &default_list(), XattrFlags::empty()),
    );
    assert_eq!(m.xattr("low", DEFAULT), None);
}

fn is_listed(bed: &Bed) {
    bed.lower.sub("dir").set_xattr("", DEFAULT, &default_list());
    bed.lower.set_xattr("dir", ACCESS, &default_list());
    let m = bed.mount();
    assert_eq!(m.xattr_names("dir"), [ACCESS, DEFAULT]);
    m.file("dir/new", "");
    assert_eq!(m.xattr_names("dir"), [ACCESS, DEFAULT]);
}

fn a_plain_list_becomes_the_mode(bed: &Bed) {
    bed.lower.file_mode("low", "content", 0o644);
    let m = bed.mount();
    let plain = encode(&[(Who::Owner, 7), (Who::Group, 5), (Who::Others, 1)]);
    m.set_xattr("low", ACCESS, &plain);
    assert_eq!(m.mode("low"), 0o751);
    assert_eq!(m.xattr("low", ACCESS), None);
}
