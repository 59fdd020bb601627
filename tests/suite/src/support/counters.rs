// SPDX-License-Identifier: GPL-2.0

//! The counters of a mount, in sysfs.

use std::collections::BTreeMap;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::trace::device;

/// The name of each counter.
pub const NAMES: [&str; 18] = [
    "copy_up_bytes",
    "copy_up_directories",
    "copy_up_failed",
    "copy_up_files",
    "copy_up_metacopy_data",
    "copy_up_metadata",
    "copy_up_others",
    "lookup_layers",
    "lookups",
    "lookups_found_lower_1",
    "lookups_found_lower_16_up",
    "lookups_found_lower_2_3",
    "lookups_found_lower_4_7",
    "lookups_found_lower_8_15",
    "lookups_found_upper",
    "lookups_negative",
    "switched_mappings",
    "whiteouts",
];

/// The directory of a driver, in which each mount has a file.
pub fn of_type(bed: &Bed) -> Dir {
    Dir::new("/sys/fs").join(&bed.fs)
}

/// Which counters a mount shows, in which order.
#[track_caller]
pub fn names(bed: &Bed, m: &Dir) -> Vec<String> {
    let text = of_type(bed).text(&device(m));
    let mut names: Vec<_> = lines(&text).map(|(name, _)| name.to_owned()).collect();
    names.sort();
    names
}

/// The lines of a mount's file.
fn lines(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().map(|line| {
        let number = line
            .split_once(' ')
            .and_then(|(name, number)| Some((name, number.parse().ok()?)));
        number.unwrap_or_else(|| panic!("'{line}' is no name and number"))
    })
}

/// The counters of a mount, and what they were when this was made or they were asked
/// last.
pub struct Counters {
    types: Dir,
    device: String,
    before: BTreeMap<String, u64>,
}

impl Counters {
    /// Begins to look.
    #[track_caller]
    pub fn of(bed: &Bed, m: &Dir) -> Self {
        let mut this = Self {
            types: of_type(bed),
            device: device(m),
            before: BTreeMap::new(),
        };
        this.before = this.now();
        this
    }

    /// All of them, by their names.
    #[track_caller]
    pub fn now(&self) -> BTreeMap<String, u64> {
        let text = self.types.text(&self.device);
        lines(&text)
            .map(|(name, number)| (name.to_owned(), number))
            .collect()
    }

    /// One of them.
    #[track_caller]
    pub fn get(&self, name: &str) -> u64 {
        let now = self.now();
        *now.get(name)
            .unwrap_or_else(|| panic!("there is no {name} in {now:?}"))
    }

    /// What has changed since the last time, and by how much.
    #[track_caller]
    fn changes(&mut self) -> BTreeMap<String, u64> {
        let now = self.now();
        let changed = now
            .iter()
            .filter(|(name, value)| self.before[*name] != **value)
            .map(|(name, value)| {
                let before = self.before[name];
                assert!(before < *value, "{name} went from {before} to {value}");
                (name.clone(), value - before)
            })
            .collect();
        self.before = now;
        changed
    }

    #[track_caller]
    fn assert(&mut self, after: &str, want: &[(&str, u64)], counts: impl Fn(&str) -> bool) {
        let mut changes = self.changes();
        changes.retain(|name, _| counts(name));
        let want = want.iter().map(|(name, by)| ((*name).to_owned(), *by));
        assert_eq!(changes, want.collect(), "after {after}");
    }

    /// Fails unless this is all that has changed since the last time.
    #[track_caller]
    pub fn assert_changed(&mut self, after: &str, want: &[(&str, u64)]) {
        self.assert(after, want, |_| true);
    }

    /// The same, but for how many layers were asked.
    #[track_caller]
    pub fn assert_found(&mut self, after: &str, want: &[(&str, u64)]) {
        self.assert(after, want, |name| name != "lookup_layers");
    }

    /// The same, but for those of lookups.
    #[track_caller]
    pub fn assert_done(&mut self, after: &str, want: &[(&str, u64)]) {
        self.assert(after, want, |name| !name.starts_with("lookup"));
    }
}
