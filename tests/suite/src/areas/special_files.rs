// SPDX-License-Identifier: GPL-2.0

//! Device nodes, fifos and sockets.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::fs::{makedev, mknodat, FileType, Mode, OFlags, CWD};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::must::{must, refused};
use crate::support::process::{as_user, Child, USER};

tests! {
    EVERYWHERE: nodes_are_shown, nodes_are_made;
    TWICE:
        a_device_is_used,
        opening_a_device_copies_nothing_up,
        data_through_a_lower_fifo,
        data_through_a_new_fifo,
        a_fifo_stays_one_when_it_is_copied_up,
        a_socket_is_bound_and_connected,
        a_lower_socket_has_nobody,
        device_nodes_are_for_root,
        whiteouts_cannot_be_made,
        nodes_are_removed_and_replaced;
}

fn nodes_are_shown(bed: &Bed) {
    for (layer, prefix) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.node(
            &format!("{prefix}-char"),
            FileType::CharacterDevice,
            0o640,
            (1, 3),
        );
        layer.node(
            &format!("{prefix}-block"),
            FileType::BlockDevice,
            0o600,
            (259, 12345),
        );
        layer.node(&format!("{prefix}-fifo"), FileType::Fifo, 0o622, (0, 0));
        layer.node(&format!("{prefix}-sock"), FileType::Socket, 0o600, (0, 0));
        layer.chmod(&format!("{prefix}-fifo"), 0o622);
    }
    let m = bed.mount();
    for prefix in ["low", "up"] {
        let char = m.stat(&format!("{prefix}-char"));
        assert_eq!(char.st_rdev, makedev(1, 3));
        assert_eq!(char.st_mode, libc::S_IFCHR | 0o640);
        let block = m.stat(&format!("{prefix}-block"));
        assert_eq!(block.st_rdev, makedev(259, 12345));
        assert_eq!(block.st_mode, libc::S_IFBLK | 0o600);
        assert_eq!(m.mode(&format!("{prefix}-fifo")), 0o622);
        assert_eq!(m.kind(&format!("{prefix}-sock")), FileType::Socket);
    }
}

fn nodes_are_made(bed: &Bed) {
    bed.lower.sub("dir");
    let m = bed.mount().join("dir");
    m.node("char", FileType::CharacterDevice, 0o640, (1, 3));
    m.node("block", FileType::BlockDevice, 0o600, (259, 12345));
    m.node("fifo", FileType::Fifo, 0o644, (0, 0));
    m.node("sock", FileType::Socket, 0o644, (0, 0));
    m.node("file", FileType::RegularFile, 0o644, (0, 0));
    for root in [&m, &bed.upper.join("dir")] {
        assert_eq!(root.stat("char").st_rdev, makedev(1, 3));
        assert_eq!(root.stat("char").st_mode, libc::S_IFCHR | 0o640);
        assert_eq!(root.stat("block").st_rdev, makedev(259, 12345));
        assert_eq!(root.kind("fifo"), FileType::Fifo);
        assert_eq!(root.kind("sock"), FileType::Socket);
        assert_eq!(root.kind("file"), FileType::RegularFile);
    }
}

fn a_device_is_used(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.node(name, FileType::CharacterDevice, 0o666, (1, 5));
        layer.chmod(name, 0o666);
    }
    let m = bed.mount();
    m.node("new", FileType::CharacterDevice, 0o666, (1, 5));
    for name in ["low", "up", "new"] {
        let mut zeros = [1; 16];
        let mut zero = m.open_rw(name);
        must("read", zero.read_exact(&mut zeros));
        assert_eq!(zeros, [0; 16]);
        must("write", zero.write_all(b"into the void"));
    }
}

fn opening_a_device_copies_nothing_up(bed: &Bed) {
    bed.lower
        .node("null", FileType::CharacterDevice, 0o666, (1, 3));
    let m = bed.mount();
    must(
        "write",
        m.open("null", OFlags::WRONLY | OFlags::TRUNC)
            .write_all(b"x"),
    );
    assert!(bed.upper.names("").is_empty());
}

fn through_fifo(m: &crate::support::dir::Dir, name: &str) {
    let writer = Child::spawn(|| {
        must(
            "write",
            m.open(name, OFlags::WRONLY).write_all(b"through the fifo"),
        );
    });
    let mut text = String::new();
    must("read", m.open_read(name).read_to_string(&mut text));
    assert_eq!(text, "through the fifo");
    writer.join();
}

fn data_through_a_lower_fifo(bed: &Bed) {
    bed.lower.node("fifo", FileType::Fifo, 0o644, (0, 0));
    let m = bed.mount();
    through_fifo(&m, "fifo");
    assert!(bed.upper.names("").is_empty());
}

fn data_through_a_new_fifo(bed: &Bed) {
    let m = bed.mount();
    m.node("fifo", FileType::Fifo, 0o644, (0, 0));
    through_fifo(&m, "fifo");
}

fn a_fifo_stays_one_when_it_is_copied_up(bed: &Bed) {
    bed.lower.node("fifo", FileType::Fifo, 0o644, (0, 0));
    let m = bed.mount();
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let mut reader = m.open("fifo", flags);
    m.chmod("fifo", 0o666);
    assert!(bed.upper.exists("fifo"));
    let mut writer = m.open("fifo", OFlags::WRONLY | OFlags::NONBLOCK);
    must("write", writer.write_all(b"x"));
    let mut byte = [0];
    must("read", reader.read_exact(&mut byte));
    assert_eq!(&byte, b"x");
}

fn a_socket_is_bound_and_connected(bed: &Bed) {
    bed.lower.sub("dir");
    let m = bed.mount().join("dir");
    must("chdir", rustix::process::chdir(m.path()));
    let listener = must("bind", UnixListener::bind("socket"));
    assert_eq!(m.kind("socket"), FileType::Socket);
    let mut one = must("connect", UnixStream::connect("socket"));
    m.chmod("socket", 0o777);
    m.rename("socket", "renamed");
    let mut two = must("connect", UnixStream::connect("renamed"));
    for (number, stream) in [&mut one, &mut two].into_iter().enumerate() {
        let mut accepted = must("accept", listener.accept()).0;
        must("write", stream.write_all(&[number as u8]));
        let mut byte = [9];
        must("read", accepted.read_exact(&mut byte));
        assert_eq!(usize::from(byte[0]), number);
    }
    m.unlink("renamed");
    refused(Errno::NOENT, UnixStream::connect("renamed"));
    must("chdir", rustix::process::chdir("/"));
}

fn a_lower_socket_has_nobody(bed: &Bed) {
    bed.lower.node("socket", FileType::Socket, 0o666, (0, 0));
    let m = bed.mount();
    must("chdir", rustix::process::chdir(m.path()));
    refused(Errno::CONNREFUSED, UnixStream::connect("socket"));
    refused(Errno::ADDRINUSE, UnixListener::bind("socket"));
    must("chdir", rustix::process::chdir("/"));
    refused(Errno::NXIO, std::fs::read(m.at("socket")));
}

fn device_nodes_are_for_root(bed: &Bed) {
    bed.lower.sub_mode("dir", 0o777);
    let m = bed.mount();
    as_user(USER, || {
        let mode = Mode::from_raw_mode(0o644);
        for kind in [FileType::CharacterDevice, FileType::BlockDevice] {
            refused(
                Errno::PERM,
                mknodat(CWD, m.at("dir/device"), kind, mode, makedev(1, 3)),
            );
        }
        m.node("dir/fifo", FileType::Fifo, 0o644, (0, 0));
    });
}

fn whiteouts_cannot_be_made(bed: &Bed) {
    let m = bed.mount();
    let mode = Mode::from_raw_mode(0o644);
    refused(
        Errno::PERM,
        mknodat(
            CWD,
            m.at("device"),
            FileType::CharacterDevice,
            mode,
            makedev(0, 0),
        ),
    );
    assert!(bed.upper.names("").is_empty());
    bed.assert_work_is_empty();
}

fn nodes_are_removed_and_replaced(bed: &Bed) {
    bed.lower
        .node("char", FileType::CharacterDevice, 0o644, (1, 3));
    bed.lower.node("fifo", FileType::Fifo, 0o644, (0, 0));
    let m = bed.mount();
    m.unlink("char");
    m.file("new", "a file now");
    m.rename("new", "fifo");
    let m = bed.remount_fresh();
    assert_eq!(m.names(""), ["fifo"]);
    assert_eq!(m.text("fifo"), "a file now");
    assert!(bed.upper.is_whiteout("char"));
}
