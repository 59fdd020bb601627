// SPDX-License-Identifier: GPL-2.0

//! Makes programs, all of whose operations succeed.

use std::collections::BTreeMap;

use crate::history::History;
use crate::model::{Attributes, Id, Kind, Model, Step, ROOT};
use crate::op::{Op, Path, Sync};
use crate::rng::Rng;

/// Parts of a seed.
const LAYERS: u64 = 1;
const OPS: u64 = 2;

/// How many bytes the files of layers have.
const SIZES: [usize; 9] = [0, 1, 1000, 4096, 5000, 20_000, 70_000, 150_000, 400_000];
const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
/// Directories are no deeper than this, so that trees stay small.
const DEPTH: usize = 4;
/// Objects, of which there are to be about so many.
const MANY: usize = 90;

/// The program of a seed, with so many operations.
pub fn history(seed: u64, len: usize) -> History {
    let (start, sizes) = layers(&mut Rng::new(seed, LAYERS));
    let mut generator = Generator {
        rng: Rng::new(seed, OPS),
        model: start.clone(),
        sizes: sizes.clone(),
        ops: Vec::new(),
        steps: Vec::new(),
    };
    while generator.ops.len() < len {
        generator.some();
    }
    History {
        start,
        sizes,
        ops: generator.ops,
        steps: generator.steps,
    }
}

fn layers(rng: &mut Rng) -> (Model, BTreeMap<Id, usize>) {
    let (mut model, mut sizes) = (Model::new(), BTreeMap::new());
    let mut dirs = vec![(ROOT, 0)];
    for number in 0..12 {
        let (parent, depth) = rng.pick(&dirs);
        let attributes = Attributes {
            owner: rng.below(3) as u32,
            ..Attributes::new(Kind::Dir)
        };
        let id = model.plant(parent, &format!("dir{number}"), attributes);
        if depth + 1 < DEPTH {
            dirs.push((id, depth + 1));
        }
    }
    for number in 0..60 {
        let (parent, _) = rng.pick(&dirs);
        let kind = match rng.below(8) {
            0 => Kind::Symlink(format!("target{number}")),
            _ => Kind::File,
        };
        let is_file = kind == Kind::File;
        let attributes = Attributes {
            owner: rng.below(3) as u32,
            xattr: (is_file && rng.percent(30)).then(|| format!("lower{number}").into_bytes()),
            mtime: is_file.then_some(1_000_000_000 + number),
            ..Attributes::new(kind)
        };
        let id = model.plant(parent, &format!("file{number}"), attributes);
        if is_file {
            sizes.insert(id, rng.pick(&SIZES));
        }
    }
    (model, sizes)
}

struct Generator {
    rng: Rng,
    model: Model,
    /// How long files are.
    sizes: BTreeMap<Id, usize>,
    ops: Vec<Op>,
    steps: Vec<Step>,
}

impl Generator {
    fn push(&mut self, op: Op) {
        let step = self.model.apply(&op);
        if let Some((id, change)) = &step.change {
            let size = self.sizes.entry(*id).or_default();
            *size = change.size_after(*size);
        }
        self.ops.push(op);
        self.steps.push(step);
    }

    fn one_of(&mut self, wanted: impl Fn(&Attributes) -> bool) -> Option<(Path, Id)> {
        let paths: Vec<_> = self
            .model
            .paths()
            .into_iter()
            .filter(|(_, id)| wanted(self.model.get(*id)))
            .collect();
        (!paths.is_empty()).then(|| self.rng.pick(&paths))
    }

    fn file(&mut self) -> Option<(Path, Id)> {
        self.one_of(|it| it.kind == Kind::File)
    }

    fn object(&mut self) -> Option<(Path, Id)> {
        self.one_of(|_| true)
    }

    /// A directory, perhaps the root.
    fn dir(&mut self) -> (Path, Id) {
        let some = self.one_of(|it| it.kind == Kind::Dir);
        match some {
            Some(dir) if !self.rng.percent(10) => dir,
            _ => (Path::new(), ROOT),
        }
    }

    /// A path where nothing is, or perhaps something.
    fn place(&mut self) -> Path {
        let (dir, _) = self.dir();
        let name = self.rng.pick(&NAMES);
        match dir.as_str() {
            "" => name.to_owned(),
            _ => format!("{dir}/{name}"),
        }
    }

    fn free_place(&mut self) -> Option<Path> {
        let path = self.place();
        let deep = path.split('/').count() > DEPTH;
        (!deep && self.model.find(&path).is_none()).then_some(path)
    }

    /// Adds an operation or several, or none where what was chosen cannot be.
    fn some(&mut self) {
        // Once there are many objects more go than come.
        let crowded = self.model.paths().len() > MANY;
        let _: Option<()> = match self.rng.below(100) {
            0..11 => self.write(),
            11..14 => self.write_mapped(),
            14..18 => self.truncate(),
            18..22 => self.rewrite(),
            22..30 => self.attribute(),
            30..33 => self.change_owners(),
            33..50 if !crowded => self.create(),
            50..56 => self.link(),
            33..64 => self.remove(),
            64..66 => self.remove_tree(),
            66..84 => self.rename(),
            84..87 => self.exchange(),
            87..90 => {
                self.push(Op::SyncAll);
                Some(())
            }
            _ => self.sync(),
        };
    }

    fn write(&mut self) -> Option<()> {
        let (path, id) = self.file()?;
        let size = self.sizes.get(&id).copied().unwrap_or(0);
        let sync = match self.rng.below(10) {
            0 | 1 => Some(Sync::File),
            2 | 3 => Some(Sync::Data),
            4 => Some(Sync::Written),
            _ => None,
        };
        let longest = self.rng.pick(&[10, 5000, 40_000]);
        let len = 1 + self.rng.below(longest);
        let at = match self.rng.below(3) {
            // At the end, or beyond it.
            0 => size + self.rng.below(2) * self.rng.below(9000),
            1 => self.rng.below(size + 1),
            // Inside: all that changes is the data.
            _ => self.rng.below(size.saturating_sub(len) + 1),
        };
        self.push(Op::Write {
            path,
            at: at as u64,
            len,
            sync,
        });
        Some(())
    }

    fn write_mapped(&mut self) -> Option<()> {
        let (path, id) = self.file()?;
        let size = self.sizes.get(&id).copied().filter(|size| *size > 0)?;
        let at = self.rng.below(size);
        let len = 1 + self.rng.below((size - at).min(20_000));
        let sync = self.rng.percent(30).then_some(Sync::Written);
        self.push(Op::WriteMapped {
            path,
            at: at as u64,
            len,
            sync,
        });
        Some(())
    }

    fn truncate(&mut self) -> Option<()> {
        let (path, id) = self.file()?;
        let size = self.sizes.get(&id).copied().unwrap_or(0);
        let len = self.rng.below(size + 3000) as u64;
        self.push(Op::Truncate { path, len });
        Some(())
    }

    fn rewrite(&mut self) -> Option<()> {
        let (path, _) = self.file()?;
        self.push(Op::OpenTruncating { path: path.clone() });
        let len = 1 + self.rng.below(30_000);
        let sync = self.rng.percent(30).then_some(Sync::File);
        self.push(Op::Write {
            path,
            at: 0,
            len,
            sync,
        });
        Some(())
    }

    fn attribute(&mut self) -> Option<()> {
        match self.rng.below(3) {
            0 => {
                let (path, _) = self.one_of(|it| !matches!(it.kind, Kind::Symlink(_)))?;
                let mode = self.rng.pick(&[0o600, 0o640, 0o700, 0o755, 0o664]);
                self.push(Op::Chmod { path, mode });
            }
            1 => {
                let (path, _) = self.object()?;
                let owner = self.rng.below(5) as u32;
                self.push(Op::Chown { path, owner });
            }
            _ => {
                let (path, _) = self.one_of(|it| matches!(it.kind, Kind::File | Kind::Dir))?;
                let value = format!("value{}", self.rng.below(1000)).into_bytes();
                self.push(Op::SetXattr { path, value });
            }
        }
        Some(())
    }

    /// All paths in a directory, parents before their children, and the directory.
    fn tree(&mut self) -> Option<Vec<Path>> {
        let (top, _) = self.one_of(|it| it.kind == Kind::Dir)?;
        let inside = format!("{top}/");
        let below = self.model.paths().into_iter().map(|(path, _)| path);
        let tree: Vec<_> = below
            .filter(|path| *path == top || path.starts_with(&inside))
            .collect();
        // A big one would be all of the program.
        (tree.len() <= 20).then_some(tree)
    }

    fn change_owners(&mut self) -> Option<()> {
        let owner = self.rng.below(5) as u32;
        for path in self.tree()? {
            self.push(Op::Chown { path, owner });
        }
        Some(())
    }

    fn create(&mut self) -> Option<()> {
        let path = self.free_place()?;
        let kind = match self.rng.below(10) {
            0..3 => Kind::Dir,
            3 => Kind::Symlink(format!("to{}", self.rng.below(100))),
            4 => Kind::Fifo,
            _ => Kind::File,
        };
        self.push(Op::Create { path, kind });
        Some(())
    }

    fn link(&mut self) -> Option<()> {
        let (from, _) = self.file()?;
        let to = self.free_place()?;
        self.push(Op::Link { from, to });
        Some(())
    }

    fn remove(&mut self) -> Option<()> {
        let (path, id) = self.object()?;
        if self.model.get(id).kind == Kind::Dir && !self.model.is_empty(id) {
            return None;
        }
        self.push(Op::Remove { path });
        Some(())
    }

    fn remove_tree(&mut self) -> Option<()> {
        let tree = self.tree()?;
        let top = tree[0].clone();
        for path in tree.into_iter().rev() {
            self.push(Op::Remove { path });
        }
        if self.rng.percent(60) {
            // It hides what the layers have under this name.
            self.push(Op::Create {
                path: top,
                kind: Kind::Dir,
            });
        }
        Some(())
    }

    fn rename(&mut self) -> Option<()> {
        let (from, id) = self.object()?;
        let is_dir = self.model.get(id).kind == Kind::Dir;
        if is_dir && self.rng.percent(40) {
            return None;
        }
        let to = match self.rng.below(3) {
            0 => {
                let (to, over) = self.object()?;
                let over_dir = self.model.get(over).kind == Kind::Dir;
                let fits = is_dir == over_dir && (!is_dir || self.model.is_empty(over));
                (fits && over != id).then_some(to)?
            }
            _ => self.free_place()?,
        };
        self.may_move(&from, &to)?;
        self.push(Op::Rename { from, to });
        Some(())
    }

    fn exchange(&mut self) -> Option<()> {
        let ((one, first), (other, second)) = (self.object()?, self.object()?);
        if first == second {
            return None;
        }
        self.may_move(&one, &other)?;
        self.may_move(&other, &one)?;
        self.push(Op::Exchange { one, other });
        Some(())
    }

    /// Refuses to put a directory into itself, and to make trees too deep.
    fn may_move(&self, from: &Path, to: &Path) -> Option<()> {
        let inside = format!("{from}/");
        let height = self.model.paths().iter().fold(0, |height, (path, _)| {
            match path.strip_prefix(&inside) {
                Some(rest) => height.max(rest.split('/').count()),
                None => height,
            }
        });
        let fits = to.split('/').count() + height <= DEPTH + 1;
        (fits && !to.starts_with(&inside)).then_some(())
    }

    fn sync(&mut self) -> Option<()> {
        // What was changed just now is what matters.
        let recent = self.ops.len().saturating_sub(1 + self.rng.below(4));
        let mut touched = self.steps.get(recent)?.touched.clone();
        touched.push(ROOT);
        let id = self.rng.pick(&touched);
        let paths = self.model.paths();
        let path = match id {
            ROOT => Path::new(),
            _ => paths.into_iter().find(|(_, it)| *it == id)?.0,
        };
        if !matches!(self.model.get(id).kind, Kind::File | Kind::Dir) {
            return None;
        }
        let sync = match self.model.get(id).kind == Kind::File && self.rng.percent(40) {
            true => Sync::Data,
            false => Sync::File,
        };
        self.push(Op::Sync { path, sync });
        Some(())
    }
}
