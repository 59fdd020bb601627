// SPDX-License-Identifier: GPL-2.0

//! What a tree is like after each operation, if nothing crashes.

use std::collections::BTreeMap;

use crate::op::{Op, Path, Sync};

/// Names an object for as long as a program runs, whatever it is called.
pub type Id = usize;

/// The object that everything is in.
pub const ROOT: Id = 0;

/// What an object is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    Dir,
    File,
    Symlink(String),
    Fifo,
}

/// All of an object but the data of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attributes {
    pub kind: Kind,
    pub mode: u32,
    pub owner: u32,
    pub xattr: Option<Vec<u8>>,
    /// When the data of a file was changed, while that is what the layer says.
    pub mtime: Option<i64>,
}

impl Attributes {
    /// Those of a new object.
    pub fn new(kind: Kind) -> Self {
        let mode = match kind {
            Kind::Dir => 0o755,
            Kind::File | Kind::Fifo => 0o644,
            Kind::Symlink(_) => 0o777,
        };
        Self {
            kind,
            mode,
            owner: 0,
            xattr: None,
            mtime: None,
        }
    }
}

/// A change of the data of a file.
#[derive(Clone, Debug)]
pub enum Change {
    Write { at: u64, len: usize },
    Truncate { len: u64 },
}

impl Change {
    /// How long a file is that was so long.
    pub fn size_after(&self, size: usize) -> usize {
        match self {
            Self::Write { at, len } => size.max(*at as usize + len),
            Self::Truncate { len } => *len as usize,
        }
    }
}

/// What an operation did to whom.
#[derive(Default)]
pub struct Step {
    /// Objects whose attributes, link count or entries it changed.
    pub touched: Vec<Id>,
    pub created: Option<Id>,
    pub change: Option<(Id, Change)>,
    /// What it makes durable; without an object all there is.
    pub sync: Option<(Sync, Option<Id>)>,
}

/// A tree.
#[derive(Clone, Default)]
pub struct Model {
    objects: BTreeMap<Id, Attributes>,
    /// By directory and name.
    names: BTreeMap<(Id, String), Id>,
    next: Id,
}

impl Model {
    /// A tree that has a root only.
    pub fn new() -> Self {
        let mut model = Self::default();
        model.add(Attributes::new(Kind::Dir));
        model
    }

    fn add(&mut self, attributes: Attributes) -> Id {
        let id = self.next;
        self.next += 1;
        self.objects.insert(id, attributes);
        id
    }

    /// Adds an object that is there from the beginning.
    pub fn plant(&mut self, dir: Id, name: &str, attributes: Attributes) -> Id {
        let id = self.add(attributes);
        self.names.insert((dir, name.to_owned()), id);
        id
    }

    pub fn get(&self, id: Id) -> &Attributes {
        &self.objects[&id]
    }

    /// The object that a path leads to.
    pub fn find(&self, path: &str) -> Option<Id> {
        path.split('/')
            .filter(|name| !name.is_empty())
            .try_fold(ROOT, |dir, name| {
                self.names.get(&(dir, name.to_owned())).copied()
            })
    }

    pub fn is_empty(&self, dir: Id) -> bool {
        self.children(dir).next().is_none()
    }

    fn children(&self, dir: Id) -> impl Iterator<Item = (&String, Id)> {
        self.names
            .range((dir, String::new())..(dir + 1, String::new()))
            .map(|((_, name), id)| (name, *id))
    }

    /// All paths, parents before their children, without the root.
    pub fn paths(&self) -> Vec<(Path, Id)> {
        let mut paths = Vec::new();
        self.collect(ROOT, "", &mut paths);
        paths
    }

    fn collect(&self, dir: Id, prefix: &str, paths: &mut Vec<(Path, Id)>) {
        for (name, id) in self.children(dir) {
            let path = match prefix {
                "" => name.clone(),
                _ => format!("{prefix}/{name}"),
            };
            paths.push((path.clone(), id));
            if self.get(id).kind == Kind::Dir {
                self.collect(id, &path, paths);
            }
        }
    }

    /// The directory and the name that a path ends with. Operations are made so that
    /// it is there.
    fn place(&self, path: &str) -> (Id, String) {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        (self.find(dir).expect("a directory"), name.to_owned())
    }

    fn target(&self, path: &str) -> Id {
        self.find(path).expect("an object")
    }

    /// Does an operation, which succeeds.
    pub fn apply(&mut self, op: &Op) -> Step {
        let mut step = Step::default();
        match op {
            Op::Write {
                path,
                at,
                len,
                sync,
            }
            | Op::WriteMapped {
                path,
                at,
                len,
                sync,
            } => {
                let id = self.target(path);
                self.changed(&mut step, id, Change::Write { at: *at, len: *len });
                step.sync = sync.map(|sync| (sync, Some(id)));
            }
            Op::Truncate { path, len } => {
                let id = self.target(path);
                self.changed(&mut step, id, Change::Truncate { len: *len });
            }
            Op::OpenTruncating { path } => {
                let id = self.target(path);
                self.changed(&mut step, id, Change::Truncate { len: 0 });
            }
            Op::Chmod { path, mode } => self.attribute(&mut step, path, |it| it.mode = *mode),
            Op::Chown { path, owner } => self.attribute(&mut step, path, |it| it.owner = *owner),
            Op::SetXattr { path, value } => {
                self.attribute(&mut step, path, |it| it.xattr = Some(value.clone()));
            }
            Op::Create { path, kind } => {
                let (dir, name) = self.place(path);
                let id = self.plant(dir, &name, Attributes::new(kind.clone()));
                step.created = Some(id);
                step.touched = vec![dir, id];
            }
            Op::Link { from, to } => {
                let id = self.target(from);
                let (dir, name) = self.place(to);
                self.names.insert((dir, name), id);
                step.touched = vec![dir, id];
            }
            Op::Remove { path } => {
                let (dir, name) = self.place(path);
                let id = self.names.remove(&(dir, name)).expect("an object");
                step.touched = vec![dir, id];
            }
            Op::Rename { from, to } => {
                let (old, new) = (self.place(from), self.place(to));
                let id = self.names.remove(&old).expect("an object");
                step.touched = vec![old.0, new.0, id];
                step.touched.extend(self.names.insert(new, id));
            }
            Op::Exchange { one, other } => {
                let (one, other) = (self.place(one), self.place(other));
                let (first, second) = (self.names[&one], self.names[&other]);
                step.touched = vec![one.0, other.0, first, second];
                self.names.insert(one, second);
                self.names.insert(other, first);
            }
            Op::Sync { path, sync } => step.sync = Some((*sync, Some(self.target(path)))),
            Op::SyncAll => step.sync = Some((Sync::All, None)),
        }
        step
    }

    fn attribute(&mut self, step: &mut Step, path: &str, set: impl FnOnce(&mut Attributes)) {
        let id = self.target(path);
        set(self.objects.get_mut(&id).expect("an object"));
        step.touched = vec![id];
    }

    fn changed(&mut self, step: &mut Step, id: Id, change: Change) {
        self.objects.get_mut(&id).expect("an object").mtime = None;
        step.touched = vec![id];
        step.change = Some((id, change));
    }
}
