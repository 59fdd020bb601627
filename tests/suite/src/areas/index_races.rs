// SPDX-License-Identifier: GPL-2.0

//! Many threads that use names and handles of the same files at once.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::done::Done;
use crate::support::handle::{self, get};
use crate::support::index::{self, remount};
use crate::support::must::must;

tests! {
    EVERYWHERE: of_all_names_of_one_file;
    TWICE:
        of_names_that_come_and_go,
        of_lookups_and_copy_up,
        of_handles_and_copy_up,
        of_directories_found_by_handles;
}

fn name(number: usize) -> String {
    format!("n{number}")
}

fn lower_links(bed: &Bed, file: &str, count: usize) {
    bed.lower.file(file, "");
    for number in 0..count {
        bed.lower.link(file, &format!("{file}-{}", name(number)));
    }
    bed.lower.unlink(file);
}

fn of_all_names_of_one_file(bed: &Bed) {
    const NAMES: usize = 12;
    const FILES: usize = 4;

    for file in 0..FILES {
        lower_links(bed, &format!("f{file}"), NAMES);
    }
    let m = bed.mount_with(index::ON);
    let ino = m.stat("f0-n0").st_ino;
    let start = Barrier::new(NAMES);
    thread::scope(|scope| {
        for number in 0..NAMES {
            let (m, start) = (&m, &start);
            scope.spawn(move || {
                start.wait();
                for file in 0..FILES {
                    m.append(&format!("f{file}-{}", name(number)), b"x");
                }
            });
        }
    });
    for round in 0..2 {
        for file in 0..FILES {
            for number in 0..NAMES {
                let name = format!("f{file}-{}", name(number));
                let stat = bed.mnt.stat(&name);
                assert_eq!(stat.st_nlink as usize, NAMES, "{name}, round {round}");
                assert_eq!(stat.st_size as usize, NAMES, "{name}, round {round}");
            }
        }
        assert_eq!(bed.mnt.stat("f0-n5").st_ino, ino);
        assert_eq!(index::names(bed).len(), FILES);
        remount(bed, index::ON);
    }
}

fn of_names_that_come_and_go(bed: &Bed) {
    const NAMES: usize = 8;

    lower_links(bed, "f", NAMES);
    let m = bed.mount_with(index::ON);
    thread::scope(|scope| {
        for number in 0..NAMES {
            let m = &m;
            scope.spawn(move || {
                let own = format!("f-{}", name(number));
                for round in 0..20 {
                    let other = format!("o{number}-{round}");
                    m.link(&own, &other);
                    m.rename(&own, &format!("{own}-moved"));
                    m.append(&other, b"x");
                    m.rename(&other, &own);
                    m.unlink(&format!("{own}-moved"));
                    if round % 5 == 0 {
                        let temporary = format!("t{number}");
                        m.file(&temporary, "");
                        m.rename(&temporary, &other);
                        m.unlink(&other);
                    }
                }
            });
        }
    });
    for _ in 0..2 {
        for number in 0..NAMES {
            let stat = bed.mnt.stat(&format!("f-{}", name(number)));
            assert_eq!((stat.st_nlink as usize, stat.st_size), (NAMES, 160));
        }
        remount(bed, index::ON);
    }
    for number in 0..NAMES {
        bed.mnt.unlink(&format!("f-{}", name(number)));
    }
    assert!(index::names(bed).is_empty());
}

/// Has the caches dropped all the time while `f` runs.
fn with_caches_dropped(f: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                must("drop", std::fs::write("/proc/sys/vm/drop_caches", "2"));
                // On a slow machine nothing else would happen.
                thread::sleep(Duration::from_millis(20));
            }
        });
        let _done = Done(&done);
        f();
    });
}

fn of_lookups_and_copy_up(bed: &Bed) {
    const FILES: usize = 30;

    let mut numbers = Vec::new();
    for file in 0..FILES {
        lower_links(bed, &format!("f{file}"), 3);
    }
    bed.lower.file("single", "");
    let m = bed.mount_with(index::ON);
    for file in 0..FILES {
        numbers.push(m.stat(&format!("f{file}-n0")).st_ino);
    }
    with_caches_dropped(|| {
        thread::scope(|scope| {
            for number in 0..3 {
                let (m, numbers) = (&m, &numbers);
                scope.spawn(move || {
                    for (file, ino) in numbers.iter().enumerate() {
                        let name = format!("f{file}-n{number}");
                        if number == 0 {
                            m.append(&name, b"x");
                        }
                        assert_eq!(m.stat(&name).st_ino, *ino, "{name}");
                        assert_eq!(m.stat(&name).st_nlink, 3, "{name}");
                    }
                });
            }
        });
    });
    for file in 0..FILES {
        assert_eq!(m.text(&format!("f{file}-n2")), "x");
    }
}

fn of_handles_and_copy_up(bed: &Bed) {
    const FILES: usize = 20;

    let dir = bed.lower.sub("dir");
    for file in 0..FILES {
        dir.file(&name(file), "");
    }
    let m = bed.mount_with(index::EXPORT);
    let handles: Vec<_> = (0..FILES)
        .map(|file| get(&m, &format!("dir/{}", name(file))))
        .collect();
    let m = remount(bed, index::EXPORT);
    with_caches_dropped(|| {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for handle in &handles {
                        let flags = OFlags::WRONLY | OFlags::APPEND;
                        let mut file = must("open", handle::open(&m, handle, flags));
                        must("write", file.write_all(b"h"));
                    }
                });
            }
            scope.spawn(|| {
                for file in 0..FILES {
                    m.append(&format!("dir/{}", name(file)), b"n");
                }
            });
        });
    });
    for _ in 0..2 {
        for file in 0..FILES {
            let stat = bed.mnt.stat(&format!("dir/{}", name(file)));
            assert_eq!((stat.st_size, stat.st_nlink), (3, 1), "{file}");
        }
        remount(bed, index::EXPORT);
    }
}

fn of_directories_found_by_handles(bed: &Bed) {
    bed.lower.sub("a").sub("b").sub("c").file("low", "");
    bed.lower.sub("to");
    let m = bed.mount_with("nfs_export=on,redirect_dir=on");
    let handle = get(&m, "a/b/c");
    with_caches_dropped(|| {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let _done = Done(&done);
                for _ in 0..30 {
                    m.rename("a/b", "to/b");
                    m.rename("to/b", "a/b");
                }
            });
            while !done.load(Ordering::Relaxed) {
                // It may be just on its way.
                match handle::open(&m, &handle, OFlags::RDONLY) {
                    Ok(_) | Err(Errno::STALE) => {}
                    Err(err) => panic!("open: {err}"),
                }
            }
        });
    });
    must("open", handle::open(&m, &handle, OFlags::RDONLY));
}
