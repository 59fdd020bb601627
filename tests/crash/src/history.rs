// SPDX-License-Identifier: GPL-2.0

//! What a program does from its beginning to its end.

use std::collections::BTreeMap;

use crate::data;
use crate::model::{Id, Model, Step};
use crate::op::{Op, Sync};

/// A program and what each of its operations changes.
pub struct History {
    /// The tree at the beginning.
    pub start: Model,
    /// How long the files of the layers are.
    pub sizes: BTreeMap<Id, usize>,
    pub ops: Vec<Op>,
    pub steps: Vec<Step>,
}

impl History {
    /// What a file has in it at the beginning, or is created with.
    pub fn initial(&self, id: Id) -> Vec<u8> {
        match self.sizes.get(&id) {
            Some(len) => data::initial(id, *len),
            None => Vec::new(),
        }
    }

    /// How many operations are durable, for names and attributes, when so many are
    /// completed.
    ///
    /// Both ext4 and xfs bring back the changes of names and attributes in the order in
    /// which they were made. So whoever syncs an object has all that came before the
    /// last change of it, but not what came after.
    pub fn durable(&self, completed: usize) -> usize {
        let (mut touched, mut created) = (BTreeMap::new(), BTreeMap::new());
        let mut durable = 0;
        for (number, step) in self.steps.iter().enumerate().take(completed) {
            for id in &step.touched {
                touched.insert(*id, number + 1);
            }
            if let Some(id) = step.created {
                created.insert(id, number + 1);
            }
            let now = match step.sync {
                Some((Sync::All, _)) | Some((_, None)) => Some(number),
                Some((Sync::File, Some(id))) => touched.get(&id).copied(),
                // A name given later, and attributes, need not be.
                Some((Sync::Data | Sync::Written, Some(id))) => created.get(&id).copied(),
                None => None,
            };
            durable = durable.max(now.unwrap_or(0));
        }
        durable
    }
}
