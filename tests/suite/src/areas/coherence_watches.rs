// SPDX-License-Identifier: GPL-2.0

//! Watches set before the copy-up report what happens after it.

use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{fstat, OFlags};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;

tests! {
    EVERYWHERE: inotify_of_the_file, inotify_of_its_directory;
    TWICE:
        inotify_reports_the_copy_up_as_the_change_alone,
        inotify_after_the_caches_are_dropped,
        inotify_of_reads_by_an_old_descriptor,
        fanotify_of_the_inode,
        fanotify_of_the_mount,
        fanotify_of_the_filesystem,
        fanotify_of_the_directory,
        fanotify_reports_identities;
}

/// An instance of inotify.
struct Inotify(OwnedFd);

impl Inotify {
    #[track_caller]
    fn of(path: &Path, events: WatchFlags) -> Self {
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        let instance = must("inotify_init1", inotify::init(flags));
        must(
            "inotify_add_watch",
            inotify::add_watch(&instance, path, events),
        );
        Self(instance)
    }

    /// What happened since the last call, with the names that directories tell.
    #[track_caller]
    fn events(&self) -> Vec<(ReadFlags, String)> {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut space);
        let mut events = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| name.to_string_lossy().into());
                    events.push((event.events(), name.unwrap_or_default()));
                }
                Err(Errno::AGAIN) => return events,
                Err(error) => panic!("read of inotify: {error}"),
            }
        }
    }
}

/// What is done to a file called `low`, and all that inotify has to say of it.
type Action = (&'static str, fn(&Dir), &'static [ReadFlags]);

const ACTIONS: [Action; 4] = [
    (
        "append",
        |m| m.append("low", b", more"),
        &[ReadFlags::OPEN, ReadFlags::MODIFY, ReadFlags::CLOSE_WRITE],
    ),
    ("chmod", |m| m.chmod("low", 0o600), &[ReadFlags::ATTRIB]),
    (
        "setxattr",
        |m| m.set_xattr("low", "trusted.note", b"value"),
        &[ReadFlags::ATTRIB],
    ),
    (
        "read",
        |m| drop(m.read("low")),
        &[ReadFlags::OPEN, ReadFlags::ACCESS, ReadFlags::CLOSE_NOWRITE],
    ),
];

#[track_caller]
fn assert_actions_are_reported(bed: &Bed, m: &Dir, watch: &Inotify, name: &str) {
    for round in 0..2 {
        for (what, action, want) in ACTIONS {
            action(m);
            let mut seen = Vec::new();
            for (events, of) in watch.events() {
                assert_eq!(of, name, "{what}: {events:?}");
                // Reads may come in parts.
                if seen.last() != Some(&events) {
                    seen.push(events);
                }
            }
            assert_eq!(seen, want, "{what}, round {round}");
            assert!(bed.upper.exists("low"));
        }
    }
}

fn inotify_of_the_file(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let watch = Inotify::of(&m.at("low"), WatchFlags::ALL_EVENTS);
    assert_actions_are_reported(bed, &m, &watch, "");
    m.rename("low", "moved");
    assert_eq!(watch.events(), [(ReadFlags::MOVE_SELF, String::new())]);
    m.unlink("moved");
    let kinds: Vec<_> = watch.events().into_iter().map(|event| event.0).collect();
    let want = [
        ReadFlags::ATTRIB,
        ReadFlags::DELETE_SELF,
        ReadFlags::IGNORED,
    ];
    assert_eq!(kinds, want);
}

fn inotify_of_its_directory(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    dir.file("low", "content");
    let upper = bed.upper.join("dir");
    let m = bed.mount();
    let inner = m.join("dir");
    let watch = Inotify::of(&inner.at(""), WatchFlags::ALL_EVENTS);
    for (what, action, want) in ACTIONS {
        action(&inner);
        let mut events: Vec<_> = watch.events();
        events.dedup();
        let want: Vec<_> = want.iter().map(|&event| (event, "low".into())).collect();
        assert_eq!(events, want, "{what}");
    }
    assert!(upper.exists("low"));
    // The directory itself is in upper by now.
    inner.file("new", "");
    inner.unlink("low");
    let created = (ReadFlags::CREATE, "new".into());
    let events = watch.events();
    assert!(events.contains(&created), "{events:?}");
    assert!(events.contains(&(ReadFlags::DELETE, "low".into())));
}

fn inotify_reports_the_copy_up_as_the_change_alone(bed: &Bed) {
    bed.lower.file("low", vec![1; 100_000]);
    let m = bed.mount();
    let watch = Inotify::of(&m.at("low"), WatchFlags::ALL_EVENTS);
    let of_dir = Inotify::of(m.path(), WatchFlags::ALL_EVENTS);
    drop(m.open_rw("low"));
    assert!(bed.upper.exists("low"));
    let want = [ReadFlags::OPEN, ReadFlags::CLOSE_WRITE];
    let kinds = |watch: &Inotify| watch.events().into_iter().map(|event| event.0);
    assert_eq!(kinds(&watch).collect::<Vec<_>>(), want);
    assert_eq!(kinds(&of_dir).collect::<Vec<_>>(), want);
}

fn inotify_after_the_caches_are_dropped(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let watch = Inotify::of(&m.at("low"), WatchFlags::ALL_EVENTS);
    let drop_caches = || {
        rustix::fs::sync();
        must(
            "drop caches",
            std::fs::write("/proc/sys/vm/drop_caches", "3"),
        );
    };
    drop_caches();
    m.append("low", b", more");
    drop_caches();
    watch.events();
    assert_actions_are_reported(bed, &m, &watch, "");
}

fn inotify_of_reads_by_an_old_descriptor(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let mut early = m.open_read("low");
    let watch = Inotify::of(&m.at("low"), WatchFlags::ALL_EVENTS);
    m.append("low", b", more");
    watch.events();
    must("read", early.read_to_end(&mut Vec::new()));
    let events = watch.events();
    assert_eq!(events.first(), Some(&(ReadFlags::ACCESS, String::new())));
    drop(early);
    let events = watch.events();
    assert_eq!(events, [(ReadFlags::CLOSE_NOWRITE, String::new())]);
}

/// What fanotify reports.
pub struct Event {
    /// What happened.
    pub mask: u64,
    /// The numbers of what the event's descriptor is of, if it has one.
    of: Option<(u64, u64)>,
    /// Further information.
    pub more: Vec<u8>,
}

/// A group of fanotify with one mark.
pub struct Fanotify(File);

impl Fanotify {
    /// Makes a group with these flags, and a mark with these.
    #[track_caller]
    pub fn of(path: &Path, group: u32, mark: u32, events: u64) -> Self {
        let group = libc::FAN_CLASS_NOTIF | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK | group;
        let failed = |what: &str| panic!("{what}: {}", std::io::Error::last_os_error());
        // SAFETY: the call takes no memory.
        let fd = unsafe { libc::fanotify_init(group, (libc::O_RDONLY | libc::O_LARGEFILE) as u32) };
        if fd < 0 {
            failed("fanotify_init");
        }
        // SAFETY: a new descriptor, which nobody else owns.
        let group = unsafe { File::from_raw_fd(fd) };
        let path = std::ffi::CString::new(path.to_string_lossy().as_bytes()).expect("path");
        let mark = libc::FAN_MARK_ADD | mark;
        // SAFETY: the kernel reads the path.
        let result = unsafe {
            libc::fanotify_mark(
                group.as_raw_fd(),
                mark,
                events,
                libc::AT_FDCWD,
                path.as_ptr(),
            )
        };
        if result != 0 {
            failed("fanotify_mark");
        }
        Self(group)
    }

    /// What happened since the last call.
    #[track_caller]
    pub fn events(&self) -> Vec<Event> {
        const HEADER: usize = 24;

        let mut events = Vec::new();
        let mut bytes = vec![0; 16384];
        let length = match (&self.0).read(&mut bytes) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
            Err(error) => panic!("read of fanotify: {error}"),
        };
        let mut rest = &bytes[..length];
        while !rest.is_empty() {
            let word = |at: usize| u32::from_ne_bytes(rest[at..at + 4].try_into().expect("word"));
            let mask = u64::from(word(8)) | u64::from(word(12)) << 32;
            let fd = word(16) as i32;
            let of = (fd >= 0).then(|| {
                // SAFETY: the kernel opened it for whoever reads the event.
                let file = unsafe { File::from_raw_fd(fd) };
                let stat = must("fstat", fstat(&file));
                (stat.st_dev, stat.st_ino)
            });
            let length = word(0) as usize;
            let more = rest[HEADER..length].to_vec();
            events.push(Event { mask, of, more });
            rest = &rest[length..];
        }
        events
    }
}

const DATA_EVENTS: u64 =
    libc::FAN_OPEN | libc::FAN_ACCESS | libc::FAN_MODIFY | libc::FAN_CLOSE_WRITE;

/// Sets this mark, and fails unless it reports what is written then.
#[track_caller]
fn fanotify(bed: &Bed, mark: u32, events: u64, target: &str) {
    let dir = bed.lower.sub("dir");
    dir.file("low", "content");
    let m = bed.mount();
    let watch = Fanotify::of(&m.at(target), 0, mark, DATA_EVENTS | events);
    let stat = m.stat("dir/low");
    let identity = (stat.st_dev, stat.st_ino);
    let early = m.open("dir/low", OFlags::RDONLY);
    watch.events();
    for round in 0..2 {
        m.append("dir/low", b", more");
        let mut seen = 0;
        for event in watch.events() {
            assert_eq!(event.of, Some(identity), "{:#x}", event.mask);
            seen |= event.mask;
        }
        let want = libc::FAN_OPEN | libc::FAN_MODIFY | libc::FAN_CLOSE_WRITE;
        assert_eq!(seen, want, "round {round}");
    }
    must("read", (&early).read_exact(&mut [0; 19]));
    let seen = watch.events();
    assert!(!seen.is_empty());
    for event in seen {
        let want = (libc::FAN_ACCESS, Some(identity));
        assert_eq!((event.mask, event.of), want);
    }
}

fn fanotify_of_the_inode(bed: &Bed) {
    fanotify(bed, 0, 0, "dir/low");
}

fn fanotify_of_the_mount(bed: &Bed) {
    fanotify(bed, libc::FAN_MARK_MOUNT, 0, "");
}

fn fanotify_of_the_filesystem(bed: &Bed) {
    fanotify(bed, libc::FAN_MARK_FILESYSTEM, 0, "");
}

fn fanotify_of_the_directory(bed: &Bed) {
    fanotify(bed, 0, libc::FAN_EVENT_ON_CHILD, "dir");
}

fn fanotify_reports_identities(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let events = libc::FAN_ATTRIB | libc::FAN_MODIFY;
    let watch = Fanotify::of(&m.at("low"), libc::FAN_REPORT_FID, 0, events);
    let mut told = Vec::new();
    for _ in 0..2 {
        for (action, want) in [
            (ACTIONS[1].1, libc::FAN_ATTRIB),
            (ACTIONS[0].1, libc::FAN_MODIFY),
        ] {
            action(&m);
            let events = watch.events();
            assert_eq!(events.len(), 1);
            assert_eq!(events[0].mask, want);
            told.push(events[0].more.clone());
        }
    }
    assert!(!told[0].is_empty());
    assert!(told.iter().all(|one| *one == told[0]), "{told:02x?}");
}
