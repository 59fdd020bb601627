// SPDX-License-Identifier: GPL-2.0

//! Many threads that copy up at once.

use std::os::unix::fs::FileExt;
use std::sync::Barrier;
use std::thread;

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::must::{must, same_bytes};

tests! {
    EVERYWHERE: of_one_file, of_many_files_and_renames;
    TWICE:
        of_one_directory,
        readers_see_old_or_new,
        create_and_remove,
        of_one_hard_link;
}

fn of_one_file(bed: &Bed) {
    const THREADS: usize = 16;

    let mut content = pattern(1, 300_000);
    bed.lower.file("low", &content);
    let m = bed.mount();
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (m, start) = (&m, &start);
            scope.spawn(move || {
                start.wait();
                let file = m.open_rw("low");
                let byte = [number as u8];
                must("write", file.write_all_at(&byte, number as u64 * 4096));
            });
        }
    });
    for number in 0..THREADS {
        content[number * 4096] = number as u8;
    }
    same_bytes("low", &m.read("low"), &content);
    same_bytes("in upper", &bed.upper.read("low"), &content);
    assert_eq!(bed.upper.names(""), ["low"]);
    assert_eq!(bed.upper.stat("low").st_nlink, 1);
    bed.assert_work_is_empty();
}

fn of_many_files_and_renames(bed: &Bed) {
    const THREADS: usize = 8;
    const FILES: usize = 12;

    let dir = bed.lower.sub("dir");
    for thread in 0..THREADS {
        for number in 0..FILES {
            dir.file(
                &format!("{thread}-{number}"),
                pattern(number as u64, 10_000),
            );
        }
    }
    let m = bed.mount();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let m = m.join("dir");
            scope.spawn(move || {
                for number in 0..FILES {
                    let name = format!("{thread}-{number}");
                    match number % 3 {
                        0 => m.append(&name, b"more"),
                        1 => m.rename(&name, &format!("{name}-renamed")),
                        _ => {
                            m.append(&name, b"more");
                            m.rename(&name, &format!("{name}-renamed"));
                            m.rename(&format!("{name}-renamed"), &name);
                        }
                    }
                }
            });
        }
    });
    for _ in 0..2 {
        let m = &bed.mnt;
        assert_eq!(m.names("dir").len(), THREADS * FILES);
        for thread in 0..THREADS {
            for number in 0..FILES {
                let mut want = pattern(number as u64, 10_000);
                let mut name = format!("dir/{thread}-{number}");
                if number % 3 == 1 {
                    name.push_str("-renamed");
                } else {
                    want.extend(b"more");
                }
                same_bytes(&name, &m.read(&name), &want);
            }
        }
        bed.remount_fresh();
    }
    bed.assert_work_is_empty();
}

fn of_one_directory(bed: &Bed) {
    const THREADS: usize = 8;

    bed.lower.sub("a").sub("b").sub("c").file("low", "");
    let m = bed.mount();
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (m, start) = (&m, &start);
            scope.spawn(move || {
                start.wait();
                m.file(&format!("a/b/c/new-{number}"), "");
            });
        }
    });
    assert_eq!(m.names("a/b/c").len(), THREADS + 1);
    assert_eq!(bed.upper.names("a/b/c").len(), THREADS);
    bed.assert_work_is_empty();
}

fn readers_see_old_or_new(bed: &Bed) {
    const FILES: usize = 30;
    const SIZE: usize = 20_000;

    for number in 0..FILES {
        bed.lower.file(&number.to_string(), vec![1; SIZE]);
    }
    let m = bed.mount();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..FILES {
                    let file = m.open_read(&number.to_string());
                    let mut bytes = vec![0; SIZE];
                    for _ in 0..4 {
                        must("read", file.read_exact_at(&mut bytes, 0));
                        // The writer changes the last byte alone.
                        assert!(bytes[..SIZE - 1].iter().all(|&byte| byte == 1));
                        assert!(matches!(bytes[SIZE - 1], 1 | 2));
                        thread::yield_now();
                    }
                }
            });
        }
        scope.spawn(|| {
            for number in 0..FILES {
                m.write_at(&number.to_string(), SIZE as u64 - 1, &[2]);
                thread::yield_now();
            }
        });
    });
    for number in 0..FILES {
        assert_eq!(m.read(&number.to_string())[SIZE - 1], 2);
    }
}

fn create_and_remove(bed: &Bed) {
    const THREADS: usize = 4;
    const ROUNDS: usize = 20;

    let dir = bed.lower.sub("dir");
    for number in 0..THREADS {
        dir.file(&format!("own-{number}"), "content");
    }
    let m = bed.mount();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let m = m.join("dir");
            scope.spawn(move || {
                let own = format!("own-{number}");
                for _ in 0..ROUNDS {
                    m.unlink(&own);
                    m.file(&own, "again");
                    let _ = std::fs::create_dir(m.at("shared"));
                    let _ = std::fs::remove_dir(m.at("shared"));
                    m.names("");
                }
            });
        }
    });
    let _ = std::fs::remove_dir(m.at("dir/shared"));
    assert_eq!(m.names("dir").len(), THREADS);
    assert_eq!(bed.remount_fresh().names("dir").len(), THREADS);
    bed.assert_work_is_empty();
}

fn of_one_hard_link(bed: &Bed) {
    const NAMES: usize = 8;

    bed.lower.file("0", "content");
    for number in 1..NAMES {
        bed.lower.link("0", &number.to_string());
    }
    let m = bed.mount();
    thread::scope(|scope| {
        for number in 0..NAMES {
            let m = &m;
            scope.spawn(move || m.append(&number.to_string(), number.to_string().as_bytes()));
        }
    });
    for number in 0..NAMES {
        assert_eq!(m.text(&number.to_string()), format!("content{number}"));
    }
    bed.assert_work_is_empty();
}
