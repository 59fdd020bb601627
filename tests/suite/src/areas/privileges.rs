// SPDX-License-Identifier: GPL-2.0

//! What a change takes away: set-id bits and file capabilities go, or stay, as
//! on a bare filesystem.

use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::fs::{chownat, fallocate, AtFlags, FallocateFlags, Gid, OFlags, Uid, CWD};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::image::CAPABILITY;
use crate::support::mapping::Map;
use crate::support::must::must;
use crate::support::process::{become_user, in_child, Child, OTHER_USER, USER};

tests! {
    EVERYWHERE:
        by_writing,
        by_sizing,
        by_allocating,
        by_copying,
        while_it_is_written;
    TWICE:
        by_attributes,
        by_a_mapping,
        by_names;
    REFLINK:
        by_cloning;
}

const KEY: &str = "security.capability";

/// Modes that matter: all bits; the set-group-id bit without the group's right
/// to execute, which it takes to be one.
const MODES: [u32; 4] = [0o6777, 0o4711, 0o2775, 0o2664];

/// A change of the file `name`, by a user who owns it or by root.
type Change = (&'static str, fn(&Dir, &str));

/// Makes each change to a file of a bare filesystem, and to a lower, an upper
/// and a copied-up one of an overlay, and compares what is left.
fn compare(bed: &Bed, changes: &[Change]) {
    let bare = bed.aside("bare");
    let make = |dir: &Dir, name: &str, mode| {
        dir.file(name, vec![b'c'; 8192]);
        dir.chown(name, USER, USER);
        dir.chmod(name, mode);
        dir.set_xattr(name, KEY, CAPABILITY);
    };
    for dir in [&bed.lower, &bed.upper, &bare] {
        dir.chmod("", 0o777);
    }
    let mut cases = Vec::new();
    for &(what, change) in changes {
        for uid in [USER, 0] {
            for mode in MODES {
                let name = format!("{what}-by-{uid}-of-{mode:o}");
                cases.push((change, uid, name));
                let name = &cases.last().expect("a case").2;
                make(&bare, name, mode);
                make(&bed.lower, &format!("low-{name}"), mode);
                make(&bed.upper, &format!("up-{name}"), mode);
                make(&bed.lower, &format!("copied-{name}"), mode);
            }
        }
    }
    bare.file_mode("source", vec![b's'; 8192], 0o644);
    // On the same filesystem as what it is copied to.
    bed.upper.file_mode("source", vec![b's'; 8192], 0o644);
    let m = bed.mount();
    for (_, _, name) in &cases {
        m.set_times(&format!("copied-{name}"), (1, 0), (1, 0));
    }
    let run = |dir: &Dir, change: fn(&Dir, &str), uid, names: &[String]| {
        in_child(|| {
            if uid != 0 {
                become_user(uid, uid);
            }
            for name in names {
                change(dir, name);
            }
        });
    };
    let left = |dir: &Dir, name: &str| {
        let capable = dir.exists(name).then(|| dir.xattr(name, KEY).is_some());
        capable.map(|capable| (format!("{:o}", dir.mode(name)), capable))
    };
    let mut differences = Vec::new();
    for (change, uid, name) in &cases {
        let names: Vec<_> = ["low-", "up-", "copied-"]
            .iter()
            .map(|prefix| format!("{prefix}{name}"))
            .collect();
        run(&bare, *change, *uid, std::slice::from_ref(name));
        run(&m, *change, *uid, &names);
        let want = left(&bare, name);
        for name in &names {
            for dir in [&m, &bed.upper] {
                let got = left(dir, name);
                // What changes nothing copies nothing up.
                if got != want && (got.is_some() || dir.path() == m.path()) {
                    differences.push(format!("{dir}/{name}: {got:?} instead of {want:?}"));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("; "));
}

fn by_writing(bed: &Bed) {
    compare(
        bed,
        &[
            ("write", |dir, name| dir.write_at(name, 0, b"W")),
            ("append", |dir, name| dir.append(name, b"W")),
            ("writev", |dir, name| {
                let file = dir.open(name, OFlags::WRONLY);
                let parts = [std::io::IoSlice::new(b"W"), std::io::IoSlice::new(b"V")];
                must("writev", rustix::io::writev(file, &parts));
            }),
            ("nothing", |dir, name| {
                must("write", dir.open_rw(name).write_at(b"", 0));
            }),
            ("open", |dir, name| drop(dir.open_rw(name))),
        ],
    );
}

fn truncate(dir: &Dir, name: &str, size: i64) {
    let path = dir.at(name).into_os_string().into_encoded_bytes();
    let path = must("path", std::ffi::CString::new(path));
    // SAFETY: the path is a C string.
    let result = unsafe { libc::truncate(path.as_ptr(), size) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

fn by_sizing(bed: &Bed) {
    compare(
        bed,
        &[
            ("truncate", |dir, name| truncate(dir, name, 3)),
            ("lengthen", |dir, name| truncate(dir, name, 10_000)),
            ("same", |dir, name| truncate(dir, name, 8192)),
            ("ftruncate", |dir, name| {
                must("ftruncate", dir.open_rw(name).set_len(5));
            }),
            ("open-truncate", |dir, name| {
                drop(dir.open(name, OFlags::WRONLY | OFlags::TRUNC));
            }),
            ("read-truncate", |dir, name| {
                drop(dir.open(name, OFlags::RDONLY | OFlags::TRUNC));
            }),
        ],
    );
}

fn by_allocating(bed: &Bed) {
    compare(
        bed,
        &[
            ("allocate", |dir, name| {
                let file = dir.open_rw(name);
                must(
                    "fallocate",
                    fallocate(file, FallocateFlags::empty(), 0, 20_000),
                );
            }),
            ("keep-size", |dir, name| {
                let file = dir.open_rw(name);
                must(
                    "fallocate",
                    fallocate(file, FallocateFlags::KEEP_SIZE, 0, 20_000),
                );
            }),
            ("punch", |dir, name| {
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                must("fallocate", fallocate(dir.open_rw(name), flags, 0, 4096));
            }),
        ],
    );
}

fn by_copying(bed: &Bed) {
    compare(
        bed,
        &[
            ("copy-range", |dir, name| {
                let (from, to) = (dir.open_read("source"), dir.open_rw(name));
                let (mut at, mut to_at) = (0, 0);
                let copied =
                    rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut to_at), 4096);
                assert_eq!(must("copy_file_range", copied), 4096);
            }),
            ("sendfile", |dir, name| {
                let (from, to) = (dir.open_read("source"), dir.open_rw(name));
                assert_eq!(
                    must("sendfile", rustix::fs::sendfile(to, from, None, 4096)),
                    4096
                );
            }),
            ("splice", |dir, name| {
                let (reader, writer) = must("pipe", rustix::pipe::pipe());
                must("write", rustix::io::write(writer, b"spliced"));
                let to = dir.open_rw(name);
                let flags = rustix::pipe::SpliceFlags::empty();
                must(
                    "splice",
                    rustix::pipe::splice(reader, None, to.as_fd(), None, 7, flags),
                );
            }),
        ],
    );
}

fn by_cloning(bed: &Bed) {
    compare(
        bed,
        &[("clone", |dir, name| {
            let (from, to) = (dir.open_read("source"), dir.open_rw(name));
            must("FICLONE", rustix::fs::ioctl_ficlone(to, from));
        })],
    );
}

fn chown(dir: &Dir, name: &str, uid: Option<u32>, gid: Option<u32>) {
    let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
    must(
        "chown",
        chownat(CWD, dir.at(name), uid, gid, AtFlags::empty()),
    );
}

fn by_attributes(bed: &Bed) {
    compare(
        bed,
        &[
            ("chown-nothing", |dir, name| chown(dir, name, None, None)),
            ("chown-same", |dir, name| {
                chown(dir, name, Some(USER), Some(USER))
            }),
            ("chgrp-same", |dir, name| chown(dir, name, None, Some(USER))),
            ("chmod", |dir, name| dir.chmod(name, 0o6775)),
            ("times", |dir, name| dir.set_times(name, (5, 0), (6, 0))),
            ("setxattr", |dir, name| {
                dir.set_xattr(name, "user.note", b"v")
            }),
            ("chown-other", |dir, name| {
                if rustix::process::getuid().is_root() {
                    chown(dir, name, Some(OTHER_USER), Some(OTHER_USER));
                }
            }),
        ],
    );
}

fn by_a_mapping(bed: &Bed) {
    compare(
        bed,
        &[("mapping", |dir, name| {
            let file = dir.open_rw(name);
            let map = Map::shared_write(&file, 4096);
            map.set(1, b"M");
            map.sync();
        })],
    );
}

fn by_names(bed: &Bed) {
    compare(
        bed,
        &[
            ("link", |dir, name| dir.link(name, &format!("{name}-2"))),
            ("there-and-back", |dir, name| {
                let other = format!("{name}-2");
                dir.rename(name, &other);
                dir.rename(&other, name);
            }),
        ],
    );
}

/// A set-id bit that comes while users write does not outlive what is written after: data
/// that was not there when it came. Writers wait for each other, so that some have begun and
/// not written when the bit comes.
fn while_it_is_written(bed: &Bed) {
    const WRITERS: [u64; 4] = [0, 1, 2, 3];
    const PASSES: u8 = 3;
    const SIZE: u64 = 256 << 10;
    /// How often the bit has to come in between, and how often it is tried.
    const ENOUGH: usize = 20;
    const ROUNDS: usize = 1000;

    bed.lower.chmod("", 0o777);
    bed.lower.file_mode("low", [0; 8], 0o666);
    let m = bed.mount();
    let file = m.open_rw("low");
    must("size", file.set_len(WRITERS.len() as u64 * SIZE));
    // What is at the end of each writer's part.
    let written = || {
        WRITERS.map(|writer| {
            let mut byte = [0];
            must(
                "read",
                file.read_exact_at(&mut byte, (writer + 1) * SIZE - 1),
            );
            byte[0]
        })
    };
    let mut overtaken = 0;
    for _ in 0..ROUNDS {
        m.chmod("low", 0o666);
        // As the first writer finds it: nothing is to be taken away.
        must("write", file.write_all_at(b"0", 0));
        let old = written();
        let writers = WRITERS.map(|writer| {
            let (m, old) = (&m, old[writer as usize]);
            Child::spawn(move || {
                become_user(USER, USER);
                let file = m.open_rw("low");
                for pass in 1..=PASSES {
                    let data = vec![old.wrapping_add(pass); SIZE as usize];
                    must("write", file.write_all_at(&data, writer * SIZE));
                }
            })
        });
        let begun = Instant::now();
        while written() == old && begun.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        m.chmod("low", 0o4666);
        let before = written();
        writers.into_iter().for_each(Child::join);
        if before != written() {
            overtaken += 1;
            assert_eq!(m.mode("low"), 0o666, "{before:?}, then {:?}", written());
        }
        if overtaken == ENOUGH {
            return;
        }
    }
    panic!("the bit came in between {overtaken} times, not {ENOUGH}");
}
