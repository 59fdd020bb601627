// SPDX-License-Identifier: GPL-2.0

//! The list of intended differences.
//!
//! Each line reads `[LOWER/UPPER/]AREA::TEST REASON`; with the layer
//! filesystems in front, the line speaks of these only. A listed test has to
//! fail: one that passes is a stale line, unless the reason says that it is a race.

use std::collections::BTreeMap;
use std::path::Path;

/// How the reason begins for a test that fails at times.
pub const RACE: &str = "race: ";

/// Tests that must fail, with the reason.
#[derive(Default)]
pub struct Intended {
    reasons: BTreeMap<String, String>,
}

impl Intended {
    /// Reads the list; a line without a reason is an error.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let mut reasons = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, reason) = line
                .split_once(char::is_whitespace)
                .ok_or_else(|| format!("{}: '{line}' gives no reason", path.display()))?;
            reasons.insert(name.to_owned(), reason.trim().to_owned());
        }
        Ok(Self { reasons })
    }

    /// Why the test must fail, if it must.
    pub fn reason(&self, pair: &str, test: &str) -> Option<&str> {
        self.reasons
            .get(&format!("{pair}/{test}"))
            .or_else(|| self.reasons.get(test))
            .map(String::as_str)
    }

    /// The names of all listed tests, without layer filesystems.
    pub fn tests(&self) -> impl Iterator<Item = &str> {
        self.reasons.keys().map(|name| match name.rfind('/') {
            Some(slash) => &name[slash + 1..],
            None => name,
        })
    }
}
