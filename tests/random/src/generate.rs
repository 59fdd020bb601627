// SPDX-License-Identifier: GPL-2.0

//! Makes up operations, with an eye on what is there.

use std::{collections::VecDeque, path::Path};

use crate::{
    known::{below, Kind, Known},
    op::{Node, Op, Outcome, Step, Target, SLOTS},
    rng::Rng,
    values,
};

/// What a program is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To make a layer by hand: whiteouts and opaque directories are made as they
    /// are on disk.
    Layer,
    /// To make an upper layer by hand. Without whiteouts: one in a directory that is not merged
    /// is nothing that overlays make, and C cannot remove such a directory.
    Upper,
    /// To use an overlay.
    Overlay,
}

/// Few names, so that operations and layers meet.
const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

/// How deep directories go.
const DEPTH: usize = 4;

/// How many paths that were taken away are remembered.
const GONE: usize = 16;

/// So many objects are enough; beyond, more is removed than made.
const ENOUGH: usize = 160;

type Make = fn(&mut Generator) -> Op;

/// Operations with how often they come.
const FOR_LAYERS: &[(usize, Make)] = &[
    (30, Generator::mkdir),
    (30, Generator::create),
    (30, Generator::write),
    (6, Generator::truncate),
    (6, Generator::allocate),
    (8, Generator::symlink),
    (6, Generator::mknod),
    (8, Generator::link),
    (8, Generator::chmod),
    (8, Generator::chown),
    (14, Generator::set_xattr),
    (10, Generator::whiteout),
    (5, Generator::opaque),
    (3, Generator::unlink),
];

const FOR_OVERLAYS: &[(usize, Make)] = &[
    (30, Generator::create),
    (24, Generator::mkdir),
    (30, Generator::write),
    (10, Generator::append),
    (14, Generator::read),
    (10, Generator::map_write),
    (6, Generator::map_read),
    (14, Generator::truncate),
    (8, Generator::allocate),
    (6, Generator::copy_range),
    (3, Generator::clone),
    (2, Generator::sync),
    (10, Generator::symlink),
    (10, Generator::mknod),
    (16, Generator::link),
    (26, Generator::unlink),
    (12, Generator::rmdir),
    (3, Generator::remove_tree),
    (36, Generator::rename),
    (16, Generator::chmod),
    (16, Generator::chown),
    (14, Generator::utimens),
    (20, Generator::set_xattr),
    (8, Generator::get_xattr),
    (6, Generator::list_xattr),
    (8, Generator::remove_xattr),
    (3, Generator::flag),
    (24, Generator::open),
    (5, Generator::tmpfile),
    (5, Generator::link_tmpfile),
    (6, Generator::close),
    (14, Generator::stat),
    (10, Generator::readdir),
    (3, Generator::readlink),
    (1, Generator::drop_caches),
    (1, Generator::remount),
];

/// Makes one operation after the other.
pub struct Generator {
    table: Vec<(usize, Make)>,
    rng: Rng,
    known: Known,
    purpose: Purpose,
    /// By which path each descriptor was opened.
    open: [Option<String>; SLOTS],
    /// Paths that can not be changed, for the flag to be taken away soon.
    flagged: Vec<(String, u32)>,
    /// Paths that were taken away: what comes there next covers what is below.
    gone: Vec<String>,
    /// What is to follow.
    plans: VecDeque<Op>,
}

impl Generator {
    /// A generator that knows nothing.
    pub fn new(mut rng: Rng, purpose: Purpose) -> Self {
        let table = match purpose {
            Purpose::Layer | Purpose::Upper => FOR_LAYERS,
            Purpose::Overlay => FOR_OVERLAYS,
        };
        // Each program has operations that it prefers, and lacks some: with all of them
        // all the time, what one shows is undone by the others before it is seen.
        let table = table
            .iter()
            .map(|(weight, make)| (weight * rng.pick(&[0, 1, 2, 2, 4, 8]), *make))
            .collect();
        Self {
            table,
            rng,
            known: Known::default(),
            purpose,
            open: Default::default(),
            flagged: Vec::new(),
            gone: Vec::new(),
            plans: VecDeque::new(),
        }
    }

    /// Looks at the tree that the next operations are for.
    pub fn look(&mut self, root: &Path) {
        self.known.look(root);
    }

    /// The next operation.
    pub fn next(&mut self) -> Step {
        let sum: usize = self.table.iter().map(|(weight, _)| weight).sum();
        let mut at = self.rng.below(sum.max(1));
        let mut make = self.table[0].1;
        for (weight, next) in &self.table {
            if at < *weight {
                make = *next;
                break;
            }
            at -= weight;
        }
        let op = if let Some(op) = self.plans.pop_front() {
            op
        } else if self.known.len() > ENOUGH && self.rng.percent(15) {
            self.unlink()
        } else {
            make(self)
        };
        let user = if self.purpose == Purpose::Overlay && self.rng.percent(12) {
            values::USER
        } else {
            0
        };
        Step { op, user }
    }

    /// Learns what came of an operation.
    pub fn learn(&mut self, step: &Step, outcome: &Outcome) {
        match &step.op {
            Op::Open { path, slot, .. }
            | Op::Tmpfile {
                directory: path,
                slot,
                ..
            } => self.open[*slot] = outcome.is_ok().then(|| path.clone()),
            Op::Close(slot) => self.open[*slot] = None,
            Op::Remount | Op::Swap => self.open = Default::default(),
            Op::Flag { path, flag, on } if outcome.is_ok() => {
                self.flagged.retain(|(other, _)| other != path);
                if *on {
                    self.flagged.push((path.clone(), *flag));
                }
            }
            _ => {}
        }
        if outcome.is_ok() {
            match &step.op {
                Op::Open { path, slot, .. } => self.plan(path, *slot),
                Op::Unlink(path)
                | Op::Rmdir(path)
                | Op::RemoveTree(path)
                | Op::Rename { from: path, .. } => {
                    if self.gone.len() < GONE {
                        self.gone.push(path.clone());
                    } else {
                        let at = self.rng.below(GONE);
                        self.gone[at] = path.clone();
                    }
                }
                _ => {}
            }
            self.known.note(&step.op);
        }
    }

    /// What a descriptor sees must be what is there, whoever changed it since.
    fn plan(&mut self, path: &str, slot: usize) {
        if self.rng.percent(60) {
            return;
        }
        for _ in 0..1 + self.rng.below(3) {
            let target = Target::Path(path.to_owned());
            let op = match self.rng.below(7) {
                0 | 1 => Op::Write {
                    target,
                    offset: values::offset(&mut self.rng),
                    length: values::length(&mut self.rng),
                    fill: self.rng.next() as u8,
                },
                2 => Op::Truncate {
                    target,
                    length: values::offset(&mut self.rng),
                },
                3 => Op::Chmod {
                    target,
                    mode: values::mode(&mut self.rng),
                },
                4 => Op::Unlink(path.to_owned()),
                5 => Op::Rename {
                    from: path.to_owned(),
                    to: self.fresh(),
                    flags: 0,
                },
                _ => Op::Link {
                    from: target,
                    to: self.fresh(),
                    follow: false,
                },
            };
            self.plans.push_back(op);
        }
        let target = Target::Slot(slot);
        self.plans.push_back(match self.rng.below(4) {
            0 => Op::Stat {
                target,
                follow: false,
            },
            1 => Op::Chmod {
                target,
                mode: values::mode(&mut self.rng),
            },
            _ => Op::Read {
                target,
                offset: 0,
                length: 100_000,
            },
        });
    }

    /// A path that is there, mostly of the type.
    fn path(&mut self, kind: Option<Kind>) -> String {
        if self.rng.percent(7) {
            // What is open already: descriptors from before a change are where drivers err.
            if let Some(path) = self.open_slot().and_then(|slot| self.open[slot].clone()) {
                return path;
            }
        }
        let kind = if self.rng.percent(90) { kind } else { None };
        if self.rng.percent(95) {
            if let Some(path) = self.known.any(&mut self.rng, kind) {
                return path;
            }
        }
        self.fresh()
    }

    fn file(&mut self) -> String {
        self.path(Some(Kind::File))
    }

    fn directory(&mut self) -> String {
        if self.rng.percent(8) {
            // The root, which is never to be removed.
            return String::from(".");
        }
        self.path(Some(Kind::Directory))
    }

    /// A path that need not be there, in a directory that mostly is.
    fn fresh(&mut self) -> String {
        if !self.gone.is_empty() && self.rng.percent(25) {
            return self.rng.pick(&self.gone);
        }
        let mut parent = String::new();
        if self.rng.percent(75) {
            if let Some(path) = self.known.any(&mut self.rng, Some(Kind::Directory)) {
                if path.split('/').count() < DEPTH {
                    parent = path;
                }
            }
        } else if self.rng.percent(4) {
            // Through a symbolic link, or what is no directory at all.
            if let Some(path) = self.known.any(&mut self.rng, None) {
                if path.split('/').count() < DEPTH {
                    parent = path;
                }
            }
        }
        below(&parent, self.rng.pick(&NAMES))
    }

    fn open_slot(&mut self) -> Option<usize> {
        let open: Vec<_> = (0..SLOTS)
            .filter(|slot| self.open[*slot].is_some())
            .collect();
        (!open.is_empty()).then(|| self.rng.pick(&open))
    }

    /// A descriptor, at times, or else a path.
    fn target(&mut self, kind: Option<Kind>) -> Target {
        if self.rng.percent(25) {
            if let Some(slot) = self.open_slot() {
                return Target::Slot(slot);
            }
        }
        Target::Path(self.path(kind))
    }

    fn create(&mut self) -> Op {
        Op::Create {
            path: self.fresh(),
            mode: values::mode(&mut self.rng),
            exclusive: self.rng.percent(50),
        }
    }

    fn mkdir(&mut self) -> Op {
        Op::Mkdir {
            path: self.fresh(),
            mode: values::directory_mode(&mut self.rng),
        }
    }

    fn rmdir(&mut self) -> Op {
        if self.rng.percent(70) {
            if let Some(path) = self.known.empty_directory(&mut self.rng) {
                return Op::Rmdir(path);
            }
        }
        Op::Rmdir(self.path(Some(Kind::Directory)))
    }

    fn unlink(&mut self) -> Op {
        let kind = self
            .rng
            .pick(&[Kind::File, Kind::File, Kind::Symlink, Kind::Other]);
        Op::Unlink(self.path(Some(kind)))
    }

    fn remove_tree(&mut self) -> Op {
        Op::RemoveTree(self.path(Some(Kind::Directory)))
    }

    fn rename(&mut self) -> Op {
        let flags = self.rng.pick(&[
            0,
            0,
            0,
            libc::RENAME_NOREPLACE,
            libc::RENAME_EXCHANGE,
            libc::RENAME_EXCHANGE,
            libc::RENAME_WHITEOUT,
        ]);
        let kind = if self.rng.percent(40) {
            Some(Kind::Directory)
        } else {
            None
        };
        let from = self.path(kind);
        let to = if flags == libc::RENAME_EXCHANGE || self.rng.percent(25) {
            self.path(None)
        } else {
            self.fresh()
        };
        Op::Rename { from, to, flags }
    }

    fn link(&mut self) -> Op {
        let kind = if self.rng.percent(80) {
            Some(Kind::File)
        } else {
            None
        };
        Op::Link {
            from: Target::Path(self.path(kind)),
            to: self.fresh(),
            follow: self.rng.percent(20),
        }
    }

    fn symlink(&mut self) -> Op {
        // Never upwards: the two trees are not in the same place.
        let target = match self.rng.below(3) {
            0 => self.rng.pick(&NAMES).to_owned(),
            1 => format!("{}/{}", self.rng.pick(&NAMES), self.rng.pick(&NAMES)),
            _ => "x".repeat(1 + self.rng.below(200)),
        };
        Op::Symlink {
            target,
            path: self.fresh(),
        }
    }

    fn mknod(&mut self) -> Op {
        let node = self.rng.pick(&[
            Node::Fifo,
            Node::Fifo,
            Node::Socket,
            Node::Character(1, 3),
            Node::Character(0, 0),
            Node::Block(99, 1),
        ]);
        let node = match (self.purpose, node) {
            // Layers get their whiteouts from `whiteout`.
            (Purpose::Layer | Purpose::Upper, Node::Character(0, 0)) => Node::Fifo,
            (_, node) => node,
        };
        Op::Mknod {
            path: self.fresh(),
            node,
            mode: values::mode(&mut self.rng),
        }
    }

    fn whiteout(&mut self) -> Op {
        if self.purpose == Purpose::Upper {
            return self.mkdir();
        }
        Op::Mknod {
            path: self.fresh(),
            node: Node::Character(0, 0),
            mode: 0,
        }
    }

    fn opaque(&mut self) -> Op {
        Op::SetXattr {
            target: Target::Path(self.path(Some(Kind::Directory))),
            name: String::from("trusted.overlay.opaque"),
            value: b"y".to_vec(),
            flags: 0,
        }
    }

    fn write(&mut self) -> Op {
        Op::Write {
            target: self.target(Some(Kind::File)),
            offset: values::offset(&mut self.rng),
            length: values::length(&mut self.rng),
            fill: self.rng.next() as u8,
        }
    }

    fn append(&mut self) -> Op {
        Op::Append {
            path: self.file(),
            length: values::length(&mut self.rng),
            fill: self.rng.next() as u8,
        }
    }

    fn read(&mut self) -> Op {
        Op::Read {
            target: self.target(Some(Kind::File)),
            offset: values::offset(&mut self.rng),
            length: values::length(&mut self.rng),
        }
    }

    fn map_write(&mut self) -> Op {
        Op::MapWrite {
            path: self.file(),
            offset: values::offset(&mut self.rng) as usize,
            length: values::length(&mut self.rng),
            fill: self.rng.next() as u8,
        }
    }

    fn map_read(&mut self) -> Op {
        Op::MapRead(self.file())
    }

    fn truncate(&mut self) -> Op {
        Op::Truncate {
            target: self.target(Some(Kind::File)),
            length: if self.rng.percent(30) {
                0
            } else {
                values::offset(&mut self.rng)
            },
        }
    }

    fn allocate(&mut self) -> Op {
        let keep = libc::FALLOC_FL_KEEP_SIZE as u32;
        let punch = libc::FALLOC_FL_PUNCH_HOLE as u32;
        let zero = libc::FALLOC_FL_ZERO_RANGE as u32;
        Op::Allocate {
            target: self.target(Some(Kind::File)),
            mode: self.rng.pick(&[0, keep, punch | keep, punch | keep, zero]),
            offset: values::offset(&mut self.rng),
            length: values::length(&mut self.rng) as u64,
        }
    }

    fn copy_range(&mut self) -> Op {
        Op::CopyRange {
            from: self.file(),
            to: self.file(),
            from_offset: values::offset(&mut self.rng),
            to_offset: values::offset(&mut self.rng),
            length: values::length(&mut self.rng),
        }
    }

    fn clone(&mut self) -> Op {
        Op::Clone {
            from: self.file(),
            to: self.file(),
        }
    }

    fn sync(&mut self) -> Op {
        Op::Sync(self.open_slot().unwrap_or(0))
    }

    fn chmod(&mut self) -> Op {
        Op::Chmod {
            target: self.target(None),
            mode: if self.rng.percent(50) {
                values::directory_mode(&mut self.rng)
            } else {
                values::mode(&mut self.rng)
            },
        }
    }

    fn chown(&mut self) -> Op {
        Op::Chown {
            target: self.target(None),
            uid: values::id(&mut self.rng),
            gid: values::id(&mut self.rng),
        }
    }

    fn utimens(&mut self) -> Op {
        Op::Utimens {
            target: self.target(None),
            second: self.rng.percent(85).then(|| values::second(&mut self.rng)),
        }
    }

    fn set_xattr(&mut self) -> Op {
        let (name, value) = values::xattr(&mut self.rng, self.purpose);
        Op::SetXattr {
            target: self.target(None),
            name,
            value,
            flags: self.rng.pick(&[0, 0, 0, 0, 1, 2]),
        }
    }

    fn get_xattr(&mut self) -> Op {
        Op::GetXattr {
            target: self.target(None),
            name: values::xattr(&mut self.rng, self.purpose).0,
        }
    }

    fn list_xattr(&mut self) -> Op {
        Op::ListXattr(self.target(None))
    }

    fn remove_xattr(&mut self) -> Op {
        Op::RemoveXattr {
            target: self.target(None),
            name: values::xattr(&mut self.rng, self.purpose).0,
        }
    }

    fn flag(&mut self) -> Op {
        if self.flagged.len() > 1 || (!self.flagged.is_empty() && self.rng.percent(60)) {
            let (path, flag) = self.rng.pick(&self.flagged);
            return Op::Flag {
                path,
                flag,
                on: false,
            };
        }
        let kind = self.rng.pick(&[Kind::File, Kind::File, Kind::Directory]);
        Op::Flag {
            path: self.path(Some(kind)),
            flag: values::flag(&mut self.rng),
            on: self.rng.percent(80),
        }
    }

    fn open(&mut self) -> Op {
        let flags = values::open_flags(&mut self.rng);
        let path = if flags as i32 & libc::O_DIRECTORY != 0 {
            self.directory()
        } else if flags as i32 & libc::O_CREAT != 0 && self.rng.percent(60) {
            self.fresh()
        } else {
            self.file()
        };
        Op::Open {
            path,
            slot: self.rng.below(SLOTS),
            flags,
            mode: values::mode(&mut self.rng),
        }
    }

    fn tmpfile(&mut self) -> Op {
        Op::Tmpfile {
            directory: self.directory(),
            slot: self.rng.below(SLOTS),
            mode: values::mode(&mut self.rng),
        }
    }

    fn link_tmpfile(&mut self) -> Op {
        Op::Link {
            from: Target::Slot(self.open_slot().unwrap_or(0)),
            to: self.fresh(),
            follow: false,
        }
    }

    fn close(&mut self) -> Op {
        Op::Close(self.open_slot().unwrap_or(0))
    }

    fn stat(&mut self) -> Op {
        Op::Stat {
            target: self.target(None),
            follow: self.rng.percent(30),
        }
    }

    fn readdir(&mut self) -> Op {
        if self.rng.percent(25) {
            if let Some(slot) = self.open_slot() {
                return Op::Readdir(Target::Slot(slot));
            }
        }
        Op::Readdir(Target::Path(self.directory()))
    }

    fn readlink(&mut self) -> Op {
        Op::Readlink(self.path(Some(Kind::Symlink)))
    }

    fn drop_caches(&mut self) -> Op {
        Op::DropCaches
    }

    fn remount(&mut self) -> Op {
        Op::Remount
    }
}
