// SPDX-License-Identifier: GPL-2.0

//! Renaming directories of lower layers without redirects, while others work in
//! them, and when it is interrupted.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::fs::{rename, renameat_with, RenameFlags, CWD};
use rustix::io::Errno;

use super::rename_dir::assert_pure;
use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::done::Done;
use crate::support::must::{must, same_bytes};
use crate::support::process::Child;
use crate::support::{metacopy, snapshot};

tests! {
    TWICE:
        killed,
        others_work_in_it,
        others_rename_too,
        others_move_out_and_in,
        others_make_redirects_in_it;
}

fn killed(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    for number in 0..100 {
        dir.file(&format!("{number}"), pattern(number, 4 << 10));
        if number % 10 == 0 {
            dir.sub(&format!("d{number}")).file("x", "");
        }
    }
    let m = bed.mount();
    let before = snapshot::take(&m.join("dir"));
    for attempt in 1..12 {
        let child = Child::spawn(|| {
            let _ = rename(m.at("dir"), m.at("new"));
        });
        std::thread::sleep(std::time::Duration::from_millis(2 * attempt));
        child.kill();
        child.wait();
        let name = if m.exists("new") { "new" } else { "dir" };
        snapshot::assert_same(&snapshot::take(&m.join(name)), &before);
        bed.assert_work_is_empty();
        if name == "new" {
            break;
        }
    }
    if m.exists("dir") {
        m.rename("dir", "new");
    }
    let m = bed.remount_fresh();
    snapshot::assert_same(&snapshot::take(&m.join("new")), &before);
    assert_pure(bed, "new");
}

fn others_work_in_it(bed: &Bed) {
    let top = bed.lower.sub("top");
    for name in ["a", "b", "c"] {
        let dir = top.sub(name);
        for number in 0..60 {
            dir.file(&format!("{number}"), "lower");
        }
    }
    let m = bed.mount();
    let root = m.open_read("top");
    let done = AtomicBool::new(false);
    let made = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let (root, done, made) = (&root, &done, &made);
            scope.spawn(move || {
                use rustix::fs::{openat, renameat, unlinkat, AtFlags, Mode, OFlags};
                let dir = must("open", openat(root, name, OFlags::DIRECTORY, Mode::empty()));
                let mut round = 0;
                while !done.load(Ordering::Relaxed) || round < 60 {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
                    let new = format!("new{round}");
                    must(
                        "create",
                        openat(&dir, &new, flags, Mode::from_raw_mode(0o644)),
                    );
                    made.fetch_add(1, Ordering::Relaxed);
                    if round < 60 {
                        let low = format!("{round}");
                        match round % 3 {
                            0 => must("unlink", unlinkat(&dir, &low, AtFlags::empty())),
                            1 => {
                                let moved = format!("moved{round}");
                                must("rename", renameat(&dir, &low, &dir, &moved));
                            }
                            _ => {
                                must("unlink", unlinkat(&dir, &low, AtFlags::empty()));
                                must("create", openat(&dir, &low, flags, Mode::empty()));
                            }
                        }
                    }
                    round += 1;
                }
            });
        }
        let _done = Done(&done);
        for number in 0..20 {
            let (old, new) = (format!("top{number}"), format!("top{}", number + 1));
            let old = if number == 0 { "top" } else { &old };
            m.rename(old, &new);
        }
    });
    let made = made.load(Ordering::Relaxed);
    let check = |m: &Dir| {
        assert_eq!(m.names(""), ["top20"]);
        let mut new = 0;
        for name in ["a", "b", "c"] {
            let names = m.names(&format!("top20/{name}"));
            new += names.iter().filter(|name| name.starts_with("new")).count();
            for number in 0..60 {
                let low = format!("{number}");
                let moved = format!("moved{number}");
                let want = [number % 3 == 2, number % 3 == 1];
                assert_eq!(
                    [names.contains(&low), names.contains(&moved)],
                    want,
                    "{low}"
                );
            }
        }
        assert_eq!(new as u32, made);
    };
    check(&m);
    drop(root);
    check(&bed.remount_fresh());
}

fn others_rename_too(bed: &Bed) {
    // Trees within trees; each of the renames may fail where another was faster.
    for name in ["a", "b", "c", "d"] {
        let dir = bed.lower.sub(name).sub("dir");
        for number in 0..20 {
            dir.file(&format!("{name}{number}"), name);
        }
        dir.sub("sub").file(&format!("{name}-deep"), name);
    }
    let m = bed.mount();
    std::thread::scope(|scope| {
        for (one, two) in [("a", "b"), ("c", "d"), ("b", "c"), ("d", "a")] {
            let m = &m;
            scope.spawn(move || {
                for _ in 0..30 {
                    let (one, two) = (m.at(&format!("{one}/dir")), m.at(&format!("{two}/dir")));
                    let _ = renameat_with(CWD, &one, CWD, &two, RenameFlags::EXCHANGE);
                    let _ = rename(one.join("sub"), two.join("sub2"));
                    let _ = rename(two.join("sub2"), one.join("sub"));
                    let _ = std::fs::read_dir(&two).map(Iterator::count);
                }
            });
        }
    });
    let all = |m: &Dir| {
        let mut files: Vec<_> = snapshot::take(m)
            .into_iter()
            .filter(|(_, what)| what.starts_with("RegularFile"))
            .map(|(path, _)| path.rsplit('/').next().unwrap_or_default().to_owned())
            .collect();
        files.sort();
        files
    };
    let mut want: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .flat_map(|name| {
            let numbers = (0..20).map(move |number| format!("{name}{number}"));
            numbers.chain([format!("{name}-deep")])
        })
        .collect();
    want.sort();
    assert_eq!(all(&m), want);
    assert_eq!(all(&bed.remount_fresh()), want);
    bed.assert_work_is_empty();
    // Without others, nothing stands in the way.
    bed.mnt.rename("a", "last");
}

fn others_move_out_and_in(bed: &Bed) {
    // Subdirectories change their place while the tree that they are in is renamed.
    for name in ["x", "y"] {
        let dir = bed.lower.sub(name);
        for number in 0..8 {
            let dir = dir.sub(&format!("{name}{number}"));
            for file in 0..5 {
                dir.file(&format!("{file}"), "");
            }
        }
    }
    let m = bed.mount();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (m, done) = (&m, &done);
        for (from, to) in [("x", "y"), ("y", "x")] {
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    for number in 0..8 {
                        let name = format!("{from}{number}");
                        for (from, to) in [(from, to), (to, from)] {
                            let (old, new) = (m.join(from).at(&name), m.join(to).at(&name));
                            let _ = rename(old, new);
                        }
                    }
                }
            });
        }
        let _done = Done(done);
        for round in 0..40 {
            let name = if round % 2 == 0 { "x" } else { "y" };
            let there = rename(m.at(name), m.at("aside"));
            if there.is_ok() {
                m.rename("aside", name);
            }
        }
    });
    let check = |m: &Dir| {
        let tree = snapshot::take(m);
        let count = |kind: &str| tree.values().filter(|what| what.starts_with(kind)).count();
        assert_eq!(count("RegularFile"), 2 * 8 * 5);
        assert_eq!(count("Directory"), 1 + 2 + 2 * 8);
    };
    check(&m);
    let m = bed.remount_fresh();
    check(&m);
    m.rename("x", "last");
}

fn others_make_redirects_in_it(bed: &Bed) {
    // The trees are copied since their own redirects would be too long; what is renamed in them
    // meanwhile gets one.
    let path = vec!["n".repeat(60); 5].join("/");
    must("mkdir", std::fs::create_dir_all(bed.lower.at(&path)));
    bed.lower.sub("to");
    for tree in 0..12 {
        let dir = bed.lower.sub(&format!("{path}/{tree}"));
        for name in 0..8 {
            dir.file(&format!("f{name}"), pattern(name, 5000));
            dir.sub(&format!("d{name}")).file("inside", "content");
        }
    }
    let mount = || {
        let options = format!("{},{}", bed.options(), metacopy::ON);
        must("mount", bed.try_mount(&options))
    };
    let m = mount();
    let trees: Vec<_> = (0..12)
        .map(|tree| m.open_read(&format!("{path}/{tree}")))
        .collect();
    let copied = std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..8 {
                for dir in &trees {
                    use rustix::fs::{chmodat, renameat, AtFlags, Mode};
                    let mode = Mode::from_raw_mode(0o600);
                    let (file, sub) = (format!("f{round}"), format!("d{round}"));
                    must("chmod", chmodat(dir, &file, mode, AtFlags::empty()));
                    let (new_file, new_sub) = (format!("F{round}"), format!("D{round}"));
                    must("rename", renameat(dir, &file, dir, &new_file));
                    must("rename", renameat(dir, &sub, dir, &new_sub));
                }
            }
        });
        let mut copied = 0;
        for tree in 0..12 {
            match rename(m.at(&format!("{path}/{tree}")), m.at(&format!("to/{tree}"))) {
                Err(Errno::XDEV) => {}
                renamed => {
                    must("rename", renamed);
                    copied += 1;
                }
            }
        }
        copied
    });
    drop(trees);
    bed.umount();
    let m = mount();
    assert_eq!(m.names("to").len(), copied);
    for tree in 0..12 {
        let moved = format!("to/{tree}");
        let top = if m.exists(&moved) {
            moved
        } else {
            format!("{path}/{tree}")
        };
        for name in 0..8 {
            same_bytes(
                &top,
                &m.read(&format!("{top}/F{name}")),
                &pattern(name, 5000),
            );
            assert_eq!(m.text(&format!("{top}/D{name}/inside")), "content");
        }
        assert_eq!(m.names(&top).len(), 16);
    }
    // Alone, it works.
    let last = format!("{path}/last");
    m.sub(&last);
    must("mkdir", std::fs::create_dir(m.at("alone")));
    m.rename(&path, "alone/all");
}
