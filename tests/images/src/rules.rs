// SPDX-License-Identifier: GPL-2.0

//! Compares what two filesystem types make of an image: the one that is tested, and C overlayfs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::plan::{Plan, Source};
use crate::trial::Report;
use crate::walk::Facts;

/// Differences that are meant, with how often they were met.
pub type Excused = BTreeMap<&'static str, usize>;

/// The differences that are not meant.
pub fn differences(plan: &Plan, mine: &Report, its: &Report, excused: &mut Excused) -> Vec<String> {
    let mut excuse = |reason| *excused.entry(reason).or_default() += 1;
    if let Some(reason) = other_mount(plan, mine, its) {
        excuse(reason);
        return Vec::new();
    }
    if mine.refused != its.refused {
        return vec![format!(
            "mount: {:?} {}, on C {:?}",
            mine.refused, mine.words, its.refused
        )];
    }
    for (number, (left, right)) in mine.looks.iter().zip(&its.looks).enumerate() {
        let (lines, reasons) = facts(plan, number, left, right);
        let is_other = reasons
            .iter()
            .any(|reason| ![NUMBER, ROOT].contains(reason));
        reasons.into_iter().for_each(&mut excuse);
        if !lines.is_empty() {
            return vec![format!("look {number}: {}", lines.join("\n        "))];
        }
        if is_other {
            // What follows is about another tree.
            return lines;
        }
        if number == 0 {
            if plan.copies_directories {
                return Vec::new();
            }
            let differs = |(left, right): &(&String, &String)| left != right;
            if let Some((left, right)) = mine.changes.iter().zip(&its.changes).find(differs) {
                return match other_change(left, right) {
                    // What follows is about another tree.
                    Some(reason) => {
                        excuse(reason);
                        Vec::new()
                    }
                    None => vec![format!("{left}, on C {right}")],
                };
            }
        }
    }
    Vec::new()
}

const NUMBER: &str = "C lists another number than it shows";
const ROOT: &str = "C cannot open the handle of the root that it makes";
const FLAGS: &str = "C does not show flags of the root";

/// Why a mount may be another one, or not be.
fn other_mount(plan: &Plan, mine: &Report, its: &Report) -> Option<&'static str> {
    let read_only = |report: &Report| {
        let look = report.looks.first()?;
        look.get(&(PathBuf::new(), "read-only")).cloned()
    };
    if plan.upper.is_some()
        && read_only(its).is_some_and(|is| is == "true")
        && read_only(mine) != read_only(its)
    {
        return Some(
            "C mounts read-only and without index where it cannot clear the work directory",
        );
    }
    if mine.words.contains("was used with another upperdir") && its.refused.is_none() {
        return Some("C forgets that the index has the origin of another upper layer");
    }
    // C compares as many bytes as it says, rovl knows none.
    if mine.words.contains("cannot be cleaned: error -61")
        || mine.refused.is_none() && its.refused.as_deref() == Some("ESTALE")
    {
        return Some("C takes a handle without its end for that of another object");
    }
    None
}

/// Why a change may end otherwise.
fn other_change(mine: &str, its: &str) -> Option<&'static str> {
    if mine.starts_with("rmdir") && mine.ends_with(": done") && its.ends_with(": ENOTEMPTY") {
        return Some(
            "C does not remove a directory in which upper has whiteouts that hide nothing",
        );
    }
    let cannot = |how: &str| {
        ["EINVAL", "EIO", "EPERM", "ESTALE"]
            .iter()
            .any(|error| how.ends_with(error))
    };
    if cannot(mine) && cannot(its) {
        return Some("C finds another mistake first");
    }
    if mine.ends_with(": EINVAL") && its.ends_with(": EACCES") {
        return Some("C looks for a dot that a redirect has as a name, which nobody may");
    }
    None
}

/// Compares what was seen of names: the differences, and reasons of those that are meant.
fn facts(plan: &Plan, look: usize, mine: &Facts, its: &Facts) -> (Vec<String>, Vec<&'static str>) {
    let (mine_failed, its_failed) = (failed(mine), failed(its));
    let (mine_named, its_named) = (named(mine, &mine_failed), named(its, &its_failed));
    let (mut lines, mut reasons) = (Vec::new(), Vec::new());
    let keys: BTreeSet<_> = mine_named.keys().chain(its_named.keys()).collect();
    for key in keys {
        let (path, what) = (key.0, key.1);
        let (left, right) = (mine_named.get(key), its_named.get(key));
        if left == right {
            continue;
        }
        let reason = match what {
            "ino" | "listed number" if look > 0 || !is_written(plan) => continue,
            "listed number" if left.is_none() => Some(NUMBER),
            "statx" if path.as_os_str().is_empty() => Some(FLAGS),
            "handle" if path.as_os_str().is_empty() && plan.upper.is_none() => Some(ROOT),
            "handle" if left == Some(&"EOPNOTSUPP") && plan.has_several_filesystems() => {
                Some("C makes file handles where lower filesystems are not told apart")
            }
            _ if is_one_of_several(path, its) && !has_links(path, mine) => {
                Some("C takes a file for the one in upper that says that it was copied from it")
            }
            _ if left.is_none() && fails(path, &mine_failed, "ESTALE")
                || right.is_none() && fails(path, &its_failed, "ESTALE") =>
            {
                Some("of two objects that say that they are one the first is shown")
            }
            _ if left.is_none() && fails(path, &mine_failed, "EINVAL") => {
                Some("C takes a redirect that is none where it need not be followed")
            }
            _ if right.is_none()
                && [&mine_failed, &its_failed]
                    .iter()
                    .any(|failed| hides_others(path, failed)) =>
            {
                Some("C does not list all of a directory in which something cannot be looked up")
            }
            _ if is_unlisted(path, its) => {
                Some("C does not list what it notes the origin of where nothing may be noted")
            }
            _ => None,
        };
        match reason {
            Some(reason) => reasons.push(reason),
            None => lines.push(format!(
                "'{}' {what}: {left:?}, on C {right:?}",
                path.display()
            )),
        }
    }
    reasons.sort_unstable();
    reasons.dedup();
    (lines, reasons)
}

/// Whether drivers alone have made the image. They give numbers to what has an origin that
/// lies, each in its way.
fn is_written(plan: &Plan) -> bool {
    let mut sources = plan
        .lower
        .iter()
        .rev()
        .skip(1)
        .map(|layer| layer.source)
        .chain(plan.upper);
    plan.mistakes == 0
        && !plan.has_several_filesystems()
        && sources.all(|source| source != Source::Raw)
}

/// Names that cannot be looked up, with the error.
fn failed(facts: &Facts) -> BTreeMap<&Path, &str> {
    facts
        .iter()
        .filter_map(|((path, what), how)| match (*what, how.as_str()) {
            ("lookup", error) => Some((path.as_path(), error)),
            ("listed", "cannot be looked at") => {
                let error = facts.get(&(path.clone(), "stat"))?;
                Some((path.as_path(), error.as_str()))
            }
            _ => None,
        })
        .collect()
}

/// What is seen of names, without those that cannot be looked up: C lists whiteouts of a
/// directory that one layer alone has, and does not list what it fails to look up elsewhere.
fn named<'a>(
    facts: &'a Facts,
    failed: &BTreeMap<&Path, &str>,
) -> BTreeMap<(&'a Path, &'static str), &'a str> {
    facts
        .iter()
        .filter(|((path, what), _)| *what != "list" && !failed.contains_key(path.as_path()))
        // Names of an index are of random numbers.
        .filter(|((path, _), _)| !path.iter().any(|name| name.len() > 30))
        .map(|((path, what), value)| ((path.as_path(), *what), value.as_str()))
        .collect()
}

/// Whether a file has several names.
fn has_links(path: &Path, facts: &Facts) -> bool {
    let stat = facts.get(&(path.to_owned(), "stat"));
    stat.is_some_and(|stat| !stat.contains(" nlink 1 "))
}

/// Whether a name is one of an inode that several have.
fn is_one_of_several(path: &Path, facts: &Facts) -> bool {
    let number = facts.get(&(path.to_owned(), "ino"));
    let is_same = |((other, what), value): (&(PathBuf, &str), &String)| {
        *what == "ino" && other != path && Some(value) == number
    };
    facts.iter().any(is_same)
}

/// Whether the name, or that of a directory above, fails so.
fn fails(path: &Path, failed: &BTreeMap<&Path, &str>, error: &str) -> bool {
    path.ancestors()
        .any(|path| failed.get(path) == Some(&error))
}

/// Whether the name, or that of a directory above, is not listed though it can be looked up,
/// in a directory that nobody may change: the first lookup fails there, and leaves an origin.
fn is_unlisted(path: &Path, facts: &Facts) -> bool {
    let says = |path: &Path, what, test: fn(&str) -> bool| {
        let fact = facts.get(&(path.to_owned(), what));
        fact.is_some_and(|value| test(value))
    };
    path.ancestors().any(|path| {
        says(path, "listed", |how| how == "not")
            && path.parent().is_some_and(|dir| {
                says(dir, "statx", |attributes| {
                    u64::from_str_radix(attributes, 16).is_ok_and(|bits| bits & PROTECTED != 0)
                })
            })
    })
}

/// `STATX_ATTR_IMMUTABLE` and `STATX_ATTR_APPEND`.
const PROTECTED: u64 = 0x30;

/// Whether there is a name beside it, or beside a directory above, that cannot be looked up.
fn hides_others(path: &Path, failed: &BTreeMap<&Path, &str>) -> bool {
    path.ancestors()
        .filter_map(Path::parent)
        .any(|dir| failed.keys().any(|name| name.parent() == Some(dir)))
}
