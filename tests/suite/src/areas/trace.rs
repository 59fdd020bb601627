// SPDX-License-Identifier: GPL-2.0

//! Tracepoints: what was copied up and why, whiteouts, names that are not there,
//! mappings that were switched.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, OFlags, RenameFlags, CWD};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use crate::harness::bed::Bed;
use crate::support::acl::{with_user, ACCESS};
use crate::support::board::Board;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::early::{Early, LENGTH};
use crate::support::fuse;
use crate::support::mapping::{Map, PAGE};
use crate::support::metacopy::ON;
use crate::support::must::{must, refused};
use crate::support::process::Child;
use crate::support::trace::{device, Event, Trace};

tests! {
    EVERYWHERE: a_file, a_sparse_file, a_name_that_is_not_there, a_mapping;
    TWICE:
        reasons,
        a_name_of_several,
        a_directory_that_is_renamed,
        what_is_above,
        what_is_no_file,
        without_its_data,
        a_metacopy,
        a_failure,
        a_long_name,
        silent_without_a_copy_up,
        silent_when_off,
        a_whiteout,
        no_whiteout,
        layers_that_are_searched,
        several_mappings;
    ONCE: formats, a_mount_each, a_mapping_switched_later, a_mapping_switched_by_a_fault;
}

const COPY_UP: &str = "ovl_copy_up";
const WHITEOUT: &str = "ovl_whiteout";
const MISS: &str = "ovl_lookup_miss";
const SWITCH: &str = "ovl_switch_mappings";

/// Fails unless the event says this, and that it went well.
#[track_caller]
fn assert_copied(event: &Event, name: &str, reason: &str, what: &str, bytes: usize) {
    assert_eq!(event.event, COPY_UP);
    assert_eq!(
        event.texts(["name", "reason", "what", "result"]),
        [name, reason, what, "0"],
        "{event:?}"
    );
    assert_eq!(event.number("bytes"), bytes as i64, "{event:?}");
}

fn a_file(bed: &Bed) {
    let content = pattern(1, 300_000);
    bed.lower.file_mode("low", &content, 0o640);
    let trace = Trace::of(bed, &[COPY_UP]);
    let m = bed.mount();
    drop(m.open_rw("low"));
    let event = trace.one();
    assert_copied(&event, "low", "open", "all", content.len());
    assert_eq!(event.text("dev"), device(&m));
    assert_eq!(event.text("ino"), m.stat("low").st_ino.to_string());
    assert_eq!(event.text("mode"), "0100640");
    let second = 1_000_000_000;
    let duration = event.number("duration");
    assert!((1..60 * second).contains(&duration), "{duration} ns");
}

fn a_sparse_file(bed: &Bed) {
    let file = bed.lower.create("low", 0o644);
    must("ftruncate", file.set_len(8 << 20));
    drop(file);
    bed.lower.write_at("low", 4 << 20, &pattern(1, 65536));
    let trace = Trace::of(bed, &[COPY_UP]);
    let m = bed.mount();
    drop(m.open_rw("low"));
    let bytes = trace.one().number("bytes");
    // What is copied at once may end with a hole. Where data is shared, so are the holes.
    let copied = (65536..=1 << 20).contains(&bytes);
    assert!(copied || bytes == 8 << 20, "{bytes} bytes");
}

fn reasons(bed: &Bed) {
    /// What is done to a file or directory, and in what it is told.
    type Case = (&'static str, &'static str, fn(&Dir, &str));
    let of_files: [Case; 12] = [
        ("open", "open", |m, name| drop(m.open_rw(name))),
        ("append", "open", |m, name| m.append(name, b"more")),
        ("open-trunc", "truncate", |m, name| {
            drop(m.open(name, OFlags::WRONLY | OFlags::TRUNC));
        }),
        ("truncate", "truncate", |m, name| {
            let path = std::ffi::CString::new(m.at(name).into_os_string().into_encoded_bytes());
            let path = path.expect("a path");
            // SAFETY: the path is a valid string.
            assert_eq!(unsafe { libc::truncate(path.as_ptr(), 2) }, 0);
        }),
        ("chmod", "attributes", |m, name| m.chmod(name, 0o600)),
        ("chown", "attributes", |m, name| m.chown(name, 1, 1)),
        ("times", "attributes", |m, name| {
            m.set_times(name, (1, 0), (2, 0));
        }),
        ("xattr", "xattr", |m, name| {
            m.set_xattr(name, "user.note", b"x")
        }),
        ("acl", "acl", |m, name| {
            m.set_xattr(name, ACCESS, &with_user(1234, 4));
        }),
        ("flags", "flags", |m, name| {
            let file = m.open_read(name);
            let flags = rustix::fs::IFlags::NODUMP;
            must("FS_IOC_SETFLAGS", rustix::fs::ioctl_setflags(&file, flags));
        }),
        ("link", "link", |m, name| m.link(name, "linked")),
        ("rename", "rename", |m, name| m.rename(name, "renamed")),
    ];
    let of_dirs: [Case; 5] = [
        ("create", "create", |m, name| {
            m.file(&format!("{name}/new"), "")
        }),
        ("mkdir", "create", |m, name| {
            m.sub(&format!("{name}/new"));
        }),
        ("temporary", "create", |m, name| {
            drop(m.open_temporary(name))
        }),
        ("unlink", "remove", |m, name| {
            m.unlink(&format!("{name}/inside"))
        }),
        ("rename-into", "rename", |m, name| {
            m.rename("pure", &format!("{name}/moved"));
        }),
    ];
    for (name, ..) in of_files {
        bed.lower.file(name, "from lower");
    }
    for (name, ..) in of_dirs {
        bed.lower.sub(name).file("inside", "");
    }
    bed.upper.file("pure", "");
    let trace = Trace::of(bed, &[COPY_UP]);
    let m = bed.mount();
    for (name, reason, act) in of_files.into_iter().chain(of_dirs) {
        act(&m, name);
        let event = trace.one();
        assert_eq!(event.text("reason"), reason, "{name}: {event:?}");
        // By the name that it has when it is copied.
        assert_eq!(event.text("name"), name);
    }
}

fn a_name_of_several(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.lower.link("low", "other");
    let trace = Trace::of(bed, &[COPY_UP]);
    let m = bed.mount_with("index=on");
    m.unlink("other");
    assert_copied(&trace.one(), "other", "remove", "all", 10);
    // The copy gets its other name.
    m.append("low", b"more");
    trace.assert_silent("an append to what is in the index");
}

fn a_directory_that_is_renamed(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    dir.file("a", "12345");
    dir.sub("b");
    let trace = Trace::of(bed, &[COPY_UP]);
    let m = bed.mount_with("redirect_dir=off");
    m.rename("dir", "renamed");
    let mut events = trace.take();
    events.sort_by_key(|event| event.text("name").to_owned());
    let [a, b, dir] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_copied(a, "a", "rename", "all", 5);
    assert_copied(b, "b", "rename", "all", 0);
    assert_copied(dir, "dir", "rename", "all", 0);
}

fn what_is_above(bed: &Bed) {
    bed.lower.sub("a").sub("b").file("low", "content");
    let trace = Trace::of(bed, &[COPY_UP]);
    let m = bed.mount();
    m.append("a/b/low", b"more");
    let events = trace.take();
    let [a, b, low] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_copied(a, "a", "child", "all", 0);
    assert_copied(b, "b", "child", "all", 0);
    assert_copied(low, "low", "open", "all", 7);
    for (event, name) in [(a, "a"), (b, "a/b"), (low, "a/b/low")] {
        assert_eq!(event.text("ino"), m.stat(name).st_ino.to_string(), "{name}");
    }
}

fn what_is_no_file(bed: &Bed) {
    bed.lower.symlink("target", "link");
    bed.lower.node("fifo", FileType::Fifo, 0o600, (0, 0));
    bed.lower.sub("dir");
    let trace = Trace::of(bed, &[COPY_UP]);
    let m = bed.mount();
    for (name, mode) in [("link", "0120"), ("fifo", "010"), ("dir", "040")] {
        m.chown(name, 1, 1);
        let event = trace.one();
        assert_copied(&event, name, "attributes", "all", 0);
        assert!(event.text("mode").starts_with(mode), "{event:?}");
    }
}

fn without_its_data(bed: &Bed) {
    bed.lower.file("low", pattern(1, 100_000));
    let trace = Trace::of(bed, &[COPY_UP]);
    let m = bed.mount();
    drop(m.open("low", OFlags::WRONLY | OFlags::TRUNC));
    assert_copied(&trace.one(), "low", "truncate", "metadata", 0);
}

fn a_metacopy(bed: &Bed) {
    let content = pattern(1, 100_000);
    bed.lower.file("low", &content);
    let trace = Trace::of(bed, &[COPY_UP]);
    let m = bed.mount_with(ON);
    m.chmod("low", 0o600);
    assert_copied(&trace.one(), "low", "attributes", "metadata", 0);
    m.chmod("low", 0o640);
    trace.assert_silent("another chmod");
    drop(m.open_rw("low"));
    assert_copied(&trace.one(), "low", "open", "data", content.len());
    drop(m.open_rw("low"));
    trace.assert_silent("another open");
}

fn a_failure(bed: &Bed) {
    let content = pattern(1, 2 << 20);
    bed.lower.file("low", &content);
    let trace = Trace::of(bed, &[COPY_UP]);
    let tmpfs = bed.mount_tmpfs("small", "size=1536k");
    let (upper, work) = (tmpfs.sub("u"), tmpfs.sub("w"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let m = must("mount", bed.try_mount(&options));
    refused(Errno::NOSPC, File::options().write(true).open(m.at("low")));
    let event = trace.one();
    assert_eq!(event.text("result"), "-28");
    assert_eq!(
        event.texts(["name", "reason", "what"]),
        ["low", "open", "all"]
    );
    let bytes = event.number("bytes");
    assert!((0..content.len() as i64).contains(&bytes), "{bytes} bytes");
}

fn a_long_name(bed: &Bed) {
    // With what a reader might take for the end of it.
    let name = format!("{} name= 100% ", "n".repeat(200));
    bed.lower.file(&name, "");
    let trace = Trace::of(bed, &[COPY_UP, MISS]);
    let m = bed.mount();
    drop(m.open_rw(&name));
    assert_eq!(trace.one().text("name"), name);
    let other = format!("{name}more");
    assert!(!m.exists(&other));
    assert_eq!(trace.one().text("name"), other);
}

fn silent_without_a_copy_up(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.upper.file("up", "from upper");
    let trace = Trace::of(bed, &[COPY_UP, WHITEOUT, SWITCH]);
    let m = bed.mount();
    assert_eq!(m.text("low"), "from lower");
    m.stat("low");
    m.names("");
    m.append("up", b"more");
    m.chmod("up", 0o600);
    m.file("new", "new");
    m.rename("new", "newer");
    m.unlink("newer");
    trace.assert_silent("everything but a copy-up");
    m.append("low", b", more");
    trace.one();
    m.append("low", b", and more");
    m.chmod("low", 0o600);
    trace.assert_silent("a change of what is in upper");
}

fn silent_when_off(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let trace = Trace::of(bed, &[COPY_UP]);
    let m = bed.mount();
    // Neither was asked for.
    assert!(!m.exists("none"));
    m.unlink("low");
    trace.assert_silent("events that are off");
}

fn a_whiteout(bed: &Bed) {
    for name in ["file", "moved", "replaced"] {
        bed.lower.file(name, "");
    }
    bed.lower.sub("dir");
    bed.lower.sub("inside").file("low", "");
    let trace = Trace::of(bed, &[WHITEOUT]);
    let m = bed.mount();
    let root = m.stat("").st_ino.to_string();
    let dev = device(&m);
    let told = |name: &str, dir: &str| {
        let event = trace.one();
        assert_eq!(event.event, WHITEOUT);
        assert_eq!(
            event.texts(["name", "dir", "dev"]),
            [name, dir, dev.as_str()]
        );
    };
    m.unlink("file");
    told("file", &root);
    m.rmdir("dir");
    told("dir", &root);
    m.rename("moved", "elsewhere");
    told("moved", &root);
    let inside = m.stat("inside").st_ino.to_string();
    m.unlink("inside/low");
    told("low", &inside);
    m.rename("elsewhere", "replaced");
    trace.assert_silent("a rename over another name");
    m.unlink("replaced");
    told("replaced", &root);
}

fn no_whiteout(bed: &Bed) {
    for name in ["a", "b", "gone"] {
        bed.lower.file(name, "");
    }
    bed.upper.file("pure", "");
    let trace = Trace::of(bed, &[WHITEOUT]);
    let m = bed.mount();
    m.unlink("pure");
    m.file("new", "");
    m.rename("new", "newer");
    m.unlink("newer");
    m.append("a", b"more");
    m.append("b", b"more");
    must(
        "exchange",
        rustix::fs::renameat_with(CWD, m.at("a"), CWD, m.at("b"), RenameFlags::EXCHANGE),
    );
    trace.assert_silent("what hides nothing");
    m.unlink("gone");
    trace.one();
    m.file("gone", "");
    trace.assert_silent("a file in place of a whiteout");
    // The whiteout of `gone` is in the place of the file then.
    m.unlink("gone");
    trace.one();
}

fn a_name_that_is_not_there(bed: &Bed) {
    bed.lower.file("low", "");
    let trace = Trace::of(bed, &[MISS]);
    let m = bed.mount();
    m.stat("low");
    trace.assert_silent("a name that is there");
    assert!(!m.exists("none"));
    let event = trace.one();
    assert_eq!(event.event, MISS);
    let root = m.stat("").st_ino.to_string();
    assert_eq!(
        event.texts(["name", "dir", "dev", "layers"]),
        ["none", root.as_str(), device(&m).as_str(), "2"]
    );
    assert!(!m.exists("none"));
    trace.assert_silent("a name that is known not to be there");
}

fn layers_that_are_searched(bed: &Bed) {
    for depth in 0..5 {
        bed.below(depth).sub("everywhere");
    }
    bed.below(3).sub("one");
    bed.below(2).sub("opaque");
    bed.below(1).sub("opaque");
    bed.below(1).opaque("opaque");
    bed.upper.sub("pure");
    bed.upper.sub("hides").whiteout("gone");
    bed.lower.sub("hides");
    let trace = Trace::of(bed, &[MISS]);
    let m = bed.mount();
    for (name, layers) in [
        ("none", "6"),
        // Upper does not have the directory.
        ("everywhere/none", "5"),
        ("one/none", "1"),
        ("opaque/none", "1"),
        ("pure/none", "1"),
        ("hides/none", "2"),
        // Nothing below a whiteout is looked at.
        ("hides/gone", "1"),
    ] {
        assert!(!m.exists(name));
        assert_eq!(trace.one().text("layers"), layers, "{name}");
    }
}

/// Fails unless the mappings were switched, so many in all.
#[track_caller]
fn assert_switched(events: &[Event], count: i64) {
    let switched: i64 = events.iter().map(|event| event.number("switched")).sum();
    assert_eq!(switched, count, "{events:?}");
    for event in events {
        assert_eq!(event.event, SWITCH);
        assert!(event.number("duration") > 0, "{event:?}");
        let cause = event.text("cause");
        assert!(["copy_up", "later", "fault"].contains(&cause), "{event:?}");
    }
}

fn a_mapping(bed: &Bed) {
    let trace = Trace::of(bed, &[SWITCH]);
    for early in Early::both(bed) {
        trace.assert_silent("mapping a file");
        drop(early.open_rw());
        early.assert_current("after the copy-up");
        let events = trace.take();
        assert_switched(&events, 1);
        let first = &events[0];
        assert_eq!(first.text("dev"), device(&early.m));
        assert_eq!(
            first.text("ino"),
            early.m.stat(&early.name).st_ino.to_string()
        );
        drop(early.open_rw());
        early.assert_current("after another open");
        trace.assert_silent("a mapping that was switched");
    }
}

fn several_mappings(bed: &Bed) {
    let trace = Trace::of(bed, &[SWITCH]);
    let early = Early::touched(bed);
    let maps: Vec<_> = (0..7)
        .map(|_| {
            let file = early.m.open_read(&early.name);
            Map::shared_read(&file, LENGTH)
        })
        .collect();
    drop(early.open_rw());
    for map in &maps {
        early.assert_shown_by(map, "after the copy-up");
    }
    early.assert_current("after the copy-up");
    assert_switched(&trace.take(), 8);
}

/// Waits, not for ever.
#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not yet");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Copies a file up while another process that has it mapped has its memory map locked;
/// it may also be about to use the mapping. Tells what is traced until that is
/// switched.
#[track_caller]
fn in_the_way(bed: &Bed, uses: bool) -> Vec<Event> {
    let trace = Trace::of(bed, &[SWITCH]);
    let aside = bed.aside("aside");
    aside.file(fuse::STUCK, [0; PAGE]);
    let slow = fuse::mount(bed, &aside, "fuse", fuse::ALL);
    let cached = slow.open_read(fuse::STUCK);
    let direct = slow.open(fuse::STUCK, OFlags::RDONLY | OFlags::DIRECT);
    // Has the page of the file locked.
    let reader = Child::spawn(|| {
        must("read", cached.read_at(&mut [0; 16], 0));
    });
    // When the test fails it is dropped first, so that nobody waits for those who wait for it.
    let stuck = Stuck(aside.clone());
    wait_until("a read", || aside.exists(fuse::ASKED));

    let mut early = Early::touched(bed);
    let board = Board::new();
    let holder = Child::spawn(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // What is used later is in memory then: nothing else has to wait for the lock.
                early.assert_current("in the child, before the copy-up");
                board.set(READY, 1);
                board.wait(SEEN, 1);
                board.set(READY, 2);
                board.wait(COPIED, 1);
                if uses {
                    early.assert_current("in the child");
                }
            });
            board.wait(READY, 1);
            std::thread::sleep(Duration::from_millis(10));
            board.set(SEEN, 1);
            board.wait(READY, 2);
            // Waits for the page in mmap().
            let (prot, flags) = (ProtFlags::READ, MapFlags::PRIVATE);
            drop(must("mmap", Map::new(&direct, PAGE, prot, flags)));
        });
        board.wait(SWITCHED, 1);
        early.assert_current("in the child, after the switch");
    });
    let stuck = stuck;
    // So many tasks of it wait, and not just for a moment.
    let waiting = |count| {
        (0..300).all(|_| {
            std::thread::sleep(Duration::from_millis(1));
            let tasks = Dir::new(format!("/proc/{}/task", holder.pid().as_raw_nonzero()));
            let stats = tasks.names("").into_iter();
            let stats = stats.map(|task| tasks.text(&format!("{task}/stat")));
            stats.filter(|stat| stat.contains(") D ")).count() == count
        })
    };
    wait_until("a task that waits", || waiting(1));

    drop(early.open_rw());
    let mut events = trace.take();
    board.set(COPIED, 1);
    if uses {
        wait_until("both tasks wait", || waiting(2));
    }
    drop(stuck);
    reader.join();
    wait_until("the switch", || {
        events.extend(trace.take());
        events
            .iter()
            .map(|event| event.number("switched"))
            .sum::<i64>()
            == 2
    });
    board.set(SWITCHED, 1);
    holder.join();
    early.rewrite(2);
    early.assert_current("after a write");
    events
}

/// Numbers on the board: a thread is ready, and has waited once; the file was copied up,
/// its mappings were switched.
const READY: usize = 0;
const SEEN: usize = 1;
const COPIED: usize = 2;
const SWITCHED: usize = 3;

/// Lets the reader of a stuck file go on, also when the test fails.
struct Stuck(Dir);

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0.at(fuse::GO), "");
    }
}

/// Fails unless the mapping here was switched at once, and the other for this cause.
#[track_caller]
fn assert_switched_for(cause: &str, events: &[Event]) {
    let told: Vec<_> = events
        .iter()
        .map(|event| event.texts(["cause", "switched", "left"]))
        .collect();
    assert_eq!(told, [["copy_up", "1", "1"], [cause, "1", "0"]]);
}

fn a_mapping_switched_later(bed: &Bed) {
    assert_switched_for("later", &in_the_way(bed, false));
}

fn a_mapping_switched_by_a_fault(bed: &Bed) {
    // Who waits for the lock gets it before others who try.
    assert_switched_for("fault", &in_the_way(bed, true));
}

fn formats(bed: &Bed) {
    let trace = Trace::of(bed, &[]);
    for (event, fields) in [
        (
            COPY_UP,
            &[
                "dev", "mode", "ino", "bytes", "duration", "reason", "what", "result", "name",
            ][..],
        ),
        (WHITEOUT, &["dev", "dir", "name"]),
        (MISS, &["dev", "layers", "dir", "name"]),
        (
            SWITCH,
            &["dev", "cause", "ino", "switched", "left", "duration"],
        ),
    ] {
        let format = trace.format_of(event);
        let declared: Vec<_> = format
            .lines()
            .filter_map(|line| line.trim().strip_prefix("field:")?.split(';').next())
            .filter_map(|field| field.split(' ').next_back())
            .map(|field| field.trim_end_matches("[]"))
            .filter(|field| !field.starts_with("common_"))
            .collect();
        assert_eq!(declared, fields, "{event}");
        // Programs see no names of constants.
        assert!(!format.contains("VFS_"), "{format}");
    }
}

fn a_mount_each(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let trace = Trace::of(bed, &[COPY_UP]);
    let m = bed.mount();
    let at = bed.aside("other");
    let (upper, work) = (bed.aside("other-upper"), bed.aside("other-work"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let other = must("mount", bed.try_mount_at(&bed.fs, &options, &at));
    for m in [&m, &other] {
        m.append("low", b"more");
        assert_eq!(trace.one().text("dev"), device(m));
    }
    assert_ne!(device(&m), device(&other));
}
