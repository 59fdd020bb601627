// SPDX-License-Identifier: GPL-2.0

//! What may be found of files, given what was said of each operation on them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What is in a file.
pub type Content = Vec<u8>;

/// A file, and all states that it may be in.
#[derive(Clone)]
pub struct Object {
    /// Its name now.
    pub name: String,
    /// What is in it now.
    pub content: Content,
    /// Its permissions now.
    pub mode: u32,
    /// Names that it may have when the disk is mounted again.
    names: BTreeSet<String>,
    /// Whether it may be gone.
    may_be_gone: bool,
    /// What may be in it; anything without.
    contents: Option<BTreeSet<Content>>,
    modes: BTreeSet<u32>,
    /// Whether something failed, so that nobody knows what it is now.
    pub is_lost: bool,
}

impl Object {
    /// A file that is durable.
    pub fn new(name: String, content: Content, mode: u32) -> Self {
        Self {
            names: BTreeSet::from([name.clone()]),
            may_be_gone: false,
            contents: Some(BTreeSet::from([content.clone()])),
            modes: BTreeSet::from([mode]),
            is_lost: false,
            name,
            content,
            mode,
        }
    }

    /// It may be as it is now, besides how it may have been.
    fn may_be_now(&mut self) {
        self.names.insert(self.name.clone());
        self.modes.insert(self.mode);
    }

    /// It is being created.
    pub fn created(&mut self) {
        self.may_be_gone = true;
        self.contents = None;
    }

    /// Its mode is changed.
    pub fn set_mode(&mut self, mode: u32) {
        self.mode = mode;
        self.may_be_now();
    }

    /// It is renamed.
    pub fn rename(&mut self, name: String) {
        self.name = name;
        self.may_be_now();
    }

    /// It is removed.
    pub fn remove(&mut self) {
        self.may_be_gone = true;
        self.is_lost = true;
    }

    /// It is written to: until it is synced, anything may be in it.
    pub fn write(&mut self, content: Content) {
        self.content = content;
        self.contents = None;
    }

    /// It is on the disk as it is now.
    pub fn settle(&mut self) {
        if !self.is_lost {
            *self = Self::new(self.name.clone(), self.content.clone(), self.mode);
        }
    }

    /// Whether there is one state only that it may be in.
    pub fn is_known(&self) -> bool {
        let contents = self.contents.as_ref().map(BTreeSet::len);
        !self.may_be_gone && self.names.len() == 1 && contents == Some(1)
    }

    /// The names that it may have.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.names.iter()
    }

    /// Fails unless it is found below `root` in a state that it may be in.
    pub fn check(&self, root: &Path) -> Result<(), String> {
        let mut found = Vec::new();
        for name in &self.names {
            match fs::symlink_metadata(root.join(name)) {
                Ok(data) => found.push((name, data)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{name}: {error}")),
            }
        }
        let [(name, data)] = found.as_slice() else {
            if found.is_empty() && self.may_be_gone {
                return Ok(());
            }
            return Err(format!(
                "of the names {:?} there are {}",
                self.names,
                found.len()
            ));
        };
        let mode = data.permissions().mode() & 0o7777;
        let is_new = self.may_be_gone && self.contents.is_none();
        if !self.modes.contains(&mode) && !is_new {
            return Err(format!("{name}: mode {mode}, not of {:?}", self.modes));
        }
        let Some(contents) = &self.contents else {
            return Ok(());
        };
        let content = fs::read(root.join(name)).map_err(|error| format!("{name}: {error}"))?;
        match contents.contains(&content) {
            true => Ok(()),
            false => Err(format!("{name}: {} bytes that it never had", content.len())),
        }
    }
}
