// SPDX-License-Identifier: GPL-2.0

//! Compares what is there after a crash with what may be.
//!
//! For names and attributes there is a number of operations after which the tree was
//! what it is now: at least those that are durable, at most those that were begun. So
//! each of them is done or not, and never half. For the data of files see
//! [`crate::data`].

use std::collections::BTreeMap;

use crate::data::Permitted;
use crate::history::History;
use crate::model::{Id, Kind, Model};
use crate::op::Path;
use crate::tree::{Seen, Tree};

/// Says what is wrong with a tree that was found when so many operations were complete, or
/// how many are done: the most, if it is the same after several.
pub fn check(history: &History, completed: usize, tree: &Tree) -> Result<usize, String> {
    let durable = history.durable(completed);
    let begun = (completed + 1).min(history.ops.len());
    let mut model = history.start.clone();
    let (mut latest, mut wrong_data) = (None, None);
    let mut best: Option<(usize, Vec<String>)> = None;
    for done in 0..=begun {
        if done >= durable {
            let wrong = compare(&model, tree);
            if wrong.is_empty() {
                match check_data(history, completed, &model, tree) {
                    Ok(()) => latest = Some(done),
                    Err(why) => wrong_data = Some(why),
                }
            } else if best
                .as_ref()
                .is_none_or(|(_, least)| wrong.len() < least.len())
            {
                best = Some((done, wrong));
            }
        }
        if let Some(op) = history.ops.get(done) {
            model.apply(op);
        }
    }
    latest.ok_or_else(|| {
        wrong_data.unwrap_or_else(|| {
            let (nearest, wrong) = best.unwrap_or_default();
            format!(
                "not the tree after {durable} to {begun} operations; after {nearest} it would be \
                 but for: {}",
                wrong.join("; ")
            )
        })
    })
}

fn compare(model: &Model, tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut links: BTreeMap<Id, Vec<&Seen>> = BTreeMap::new();
    let expected: BTreeMap<Path, Id> = model.paths().into_iter().collect();
    for (path, id) in &expected {
        let Some(seen) = tree.get(path) else {
            wrong.push(format!("{path} is missing"));
            continue;
        };
        let want = model.get(*id);
        let mut have = seen.attributes.clone();
        if want.mtime.is_none() {
            have.mtime = None;
        }
        if have != *want {
            wrong.push(format!("{path} is {have:?}, not {want:?}"));
        }
        links.entry(*id).or_default().push(seen);
    }
    for path in tree.keys().filter(|path| !expected.contains_key(*path)) {
        wrong.push(format!("{path} is there"));
    }
    for (id, names) in links {
        let is_dir = model.get(id).kind == Kind::Dir;
        let one = names.iter().all(|seen| seen.ino == names[0].ino);
        if !is_dir && (!one || names[0].links != names.len() as u64) {
            wrong.push(format!("object {id} is not one with {} names", names.len()));
        }
    }
    wrong
}

fn check_data(
    history: &History,
    completed: usize,
    model: &Model,
    tree: &Tree,
) -> Result<(), String> {
    for (path, id) in model.paths() {
        let Some(found) = tree.get(&path).and_then(|seen| seen.data.as_ref()) else {
            continue;
        };
        Permitted::of(history, id, completed)
            .check(found)
            .map_err(|why| format!("{path} {why}"))?;
    }
    Ok(())
}
