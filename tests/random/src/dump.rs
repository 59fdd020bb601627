// SPDX-License-Identifier: GPL-2.0

//! All that can be seen of a tree, as text to compare.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use crate::{
    exec, show,
    tree::{self, Numbers},
};

/// What each path of a tree is, by fields. An object that cannot be looked at has
/// the error for a field.
pub type Dump = BTreeMap<String, Vec<(&'static str, String)>>;

/// How a tree is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Through the overlay; C lists whiteouts that others made in a directory of one layer.
    Overlay { is_of_c: bool },
    /// From below: the overlay's own attributes are seen.
    Upper,
    /// The index, from below.
    Index,
}

/// Extended attributes whose values are each upper's own.
const OWN_VALUES: [&str; 4] = [
    // Made up at random when first mounted.
    "trusted.overlay.uuid",
    "user.overlay.uuid",
    // A file handle in upper.
    "trusted.overlay.upper",
    "user.overlay.upper",
];

/// Describes a tree; an empty one if there is none.
pub fn take(root: &Path, view: View, numbers: &Numbers) -> Dump {
    let mut walk = Walk {
        view,
        numbers,
        dump: Dump::new(),
        names: HashMap::new(),
    };
    if root.exists() {
        walk.object(root, "", None);
    }
    walk.dump
}

struct Walk<'a> {
    view: View,
    numbers: &'a Numbers,
    dump: Dump,
    /// The first name of each inode that has several.
    names: HashMap<(u64, u64), String>,
}

impl Walk<'_> {
    fn object(&mut self, at: &Path, path: &str, listed: Option<String>) {
        let mut fields = Vec::new();
        if let Err(error) = self.describe(at, path, &mut fields) {
            fields.push(("error", crate::errno::name(error)));
        }
        if let Some(listed) = listed {
            fields.push(("listed as", listed));
        }
        let directory = fields.first().is_some_and(|(_, kind)| kind == "dir");
        self.dump.insert(path.to_owned(), fields);
        if directory {
            if let Err(error) = self.directory(at, path) {
                let error = crate::errno::name(exec::errno(&error));
                self.dump.insert(format!("{path}/"), vec![("error", error)]);
            }
        }
    }

    fn directory(&mut self, at: &Path, path: &str) -> io::Result<()> {
        let mut entries = fs::read_dir(at)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for pair in entries.windows(2) {
            if pair[0].file_name() == pair[1].file_name() {
                let name = pair[0].file_name().to_string_lossy().into_owned();
                self.dump
                    .insert(format!("{path}/{name} (again)"), Vec::new());
            }
        }
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            if self.is_left_out(&entry) {
                continue;
            }
            let path = if path.is_empty() {
                name
            } else {
                format!("{path}/{name}")
            };
            let listed = entry
                .file_type()
                .map_or_else(|error| error.to_string(), |kind| format!("{kind:?}"));
            self.object(&entry.path(), &path, Some(listed));
        }
        Ok(())
    }

    fn is_below(&self) -> bool {
        matches!(self.view, View::Upper | View::Index)
    }

    /// Whether an entry of a directory means nothing.
    fn is_left_out(&self, entry: &fs::DirEntry) -> bool {
        match self.view {
            View::Overlay { is_of_c } => {
                is_of_c && rustix::fs::lstat(entry.path()).err() == Some(Errno::NOENT)
            }
            View::Upper => false,
            // The whiteout that C is going to link next.
            View::Index => entry.file_name().as_encoded_bytes().starts_with(b"#"),
        }
    }

    fn describe(
        &mut self,
        at: &Path,
        path: &str,
        fields: &mut Vec<(&'static str, String)>,
    ) -> Result<(), Errno> {
        let stat = rustix::fs::lstat(at)?;
        let kind = tree::kind(&stat);
        if self.is_below() && kind == "char" && stat.st_rdev == 0 {
            // Drivers may make one and link it, at any time.
            fields.push(("type", String::from("whiteout")));
            return Ok(());
        }
        fields.extend(tree::describe(&stat, self.numbers));
        if kind != "dir" {
            let first = self
                .names
                .entry((stat.st_dev, stat.st_ino))
                .or_insert_with(|| path.to_owned());
            fields.push(("one with", first.clone()));
        }
        match kind {
            "file" => fields.push(("content", content(at)?)),
            "symlink" => {
                let target = rustix::fs::readlink(at, Vec::new())?;
                fields.push(("target", target.to_string_lossy().into_owned()));
            }
            _ => {}
        }
        fields.push(("xattrs", self.xattrs(at)?));
        Ok(())
    }

    fn xattrs(&self, at: &Path) -> Result<String, Errno> {
        let mut list = vec![0; 16384];
        let length = rustix::fs::llistxattr(at, list.as_mut_slice())?;
        let mut text = Vec::new();
        for name in exec::names_in(&list[..length]) {
            let mut value = vec![0; 16384];
            let length = rustix::fs::lgetxattr(at, &name, value.as_mut_slice())?;
            let own = self.is_below() && OWN_VALUES.contains(&name.as_str());
            text.push(if own {
                format!("{name}=({length} bytes)")
            } else {
                format!("{name}={}", show::value(&value[..length]))
            });
        }
        Ok(text.join(" "))
    }
}

fn content(at: &Path) -> Result<String, Errno> {
    let fd = rustix::fs::open(
        at,
        OFlags::RDONLY | OFlags::NOATIME | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut buffer = vec![0; 1 << 16];
    let mut hash = 0;
    let mut length = 0;
    loop {
        let got = rustix::io::read(&fd, &mut buffer)?;
        if got == 0 {
            return Ok(format!("{length} bytes, {hash:016x}"));
        }
        length += got;
        hash = show::hash(&buffer[..got]) ^ u64::rotate_left(hash, 1);
    }
}

/// Leaves the numbers of objects of certain types out, and which are one.
pub fn forget_numbers(dump: &mut Dump, of: impl Fn(&str) -> bool) {
    for fields in dump.values_mut() {
        let is_one = |(field, kind): &(&str, String)| *field == "type" && of(kind);
        if fields.iter().any(is_one) {
            fields.retain(|(field, _)| !matches!(*field, "ino" | "one with"));
        }
    }
}

/// Lines that say where two trees differ; none if they are the same. Two values of a field
/// may be excused.
pub fn differences(
    a: (&str, &Dump),
    b: (&str, &Dump),
    excuse: impl Fn(&str, &str, &str) -> bool,
) -> Vec<String> {
    let mut lines = Vec::new();
    let paths: std::collections::BTreeSet<_> = a.1.keys().chain(b.1.keys()).collect();
    for path in paths {
        match (a.1.get(path), b.1.get(path)) {
            (Some(_), None) => lines.push(format!("'{path}' is not in {}", b.0)),
            (None, Some(_)) => lines.push(format!("'{path}' is not in {}", a.0)),
            (Some(left), Some(right)) if left != right => {
                let get = |fields: &[(&str, String)], name: &str| {
                    fields
                        .iter()
                        .find(|(field, _)| *field == name)
                        .map_or_else(|| String::from("(none)"), |(_, value)| value.clone())
                };
                let mut names: Vec<_> = left.iter().chain(right).map(|(name, _)| *name).collect();
                names.sort_unstable();
                names.dedup();
                for name in names {
                    let (one, other) = (get(left, name), get(right, name));
                    if one != other && !excuse(name, &one, &other) {
                        lines.push(format!(
                            "'{path}' {name}: {one} in {}, {other} in {}",
                            a.0, b.0
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    lines
}
