// SPDX-License-Identifier: GPL-2.0

//! Tracepoints of the driver under test, by a trace buffer of the test's own.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{create_dir, read_to_string, remove_dir, write};

use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;

/// What is traced while this lives.
pub struct Trace {
    /// tracefs.
    tracefs: Dir,
    /// The buffer.
    instance: Dir,
    /// The driver's events in it.
    system: Dir,
    /// How many events were taken.
    seen: Cell<usize>,
}

/// One event.
#[derive(Debug)]
pub struct Event {
    /// Its name.
    pub event: String,
    fields: BTreeMap<String, String>,
}

impl Event {
    /// Parses a line, of which all but `name` has no spaces; nothing for a comment.
    fn parse(line: &str) -> Option<Self> {
        let at = line.find(": ovl_")?;
        let (event, text) = line[at + 2..].split_once(": ")?;
        let (text, name) = match text.split_once(" name=") {
            Some((text, name)) => (text, Some(name)),
            None => (text, None),
        };
        let mut fields: BTreeMap<_, _> = text
            .split(' ')
            .map(|field| field.split_once('=').expect("a field without a value"))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        if let Some(name) = name {
            fields.insert("name".to_owned(), name.to_owned());
        }
        Some(Self {
            event: event.to_owned(),
            fields,
        })
    }

    /// A field.
    #[track_caller]
    pub fn text(&self, field: &str) -> &str {
        self.fields
            .get(field)
            .unwrap_or_else(|| panic!("no {field} in {self:?}"))
    }

    /// A field that is a number.
    #[track_caller]
    pub fn number(&self, field: &str) -> i64 {
        self.text(field)
            .parse()
            .unwrap_or_else(|_| panic!("{field} is no number in {self:?}"))
    }

    /// Fields, as they are shown.
    #[track_caller]
    pub fn texts<const N: usize>(&self, fields: [&str; N]) -> [&str; N] {
        fields.map(|field| self.text(field))
    }
}

impl Trace {
    /// Traces these events.
    #[track_caller]
    pub fn of(bed: &Bed, events: &[&str]) -> Self {
        let tracefs = bed.aside("tracing");
        must(
            "mount tracefs",
            mount(
                "tracefs",
                tracefs.path(),
                "tracefs",
                MountFlags::empty(),
                c"",
            ),
        );
        // Else the scheduler's code is patched while it runs, which emulated CPUs cannot do. A
        // buffer has the option from when it is made on.
        let names = tracefs.at("options/record-cmd");
        must("record no names of tasks", write(names, "0"));
        let instance = tracefs.join(&format!("instances/suite-{}", std::process::id()));
        must("make a trace buffer", create_dir(instance.path()));
        let system = instance.join("events").join(&bed.fs);
        let trace = Self {
            tracefs,
            instance,
            system,
            seen: Cell::new(0),
        };
        for event in events {
            let path = trace.system.at(&format!("{event}/enable"));
            must(format_args!("enable {event}"), write(path, "1"));
        }
        trace
    }

    /// The events since the last time, the first one first.
    #[track_caller]
    pub fn take(&self) -> Vec<Event> {
        // It is not cleared: something may come in between.
        let path = self.instance.at("trace");
        let text = must("read the trace", read_to_string(path));
        let all = text.lines().filter_map(Event::parse);
        let new: Vec<_> = all.skip(self.seen.get()).collect();
        self.seen.set(self.seen.get() + new.len());
        new
    }

    /// The one event since the last time.
    #[track_caller]
    pub fn one(&self) -> Event {
        let mut events = self.take();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// Fails if there was an event since the last time.
    #[track_caller]
    pub fn assert_silent(&self, after: &str) {
        let events = self.take();
        assert!(events.is_empty(), "after {after}: {events:?}");
    }

    /// How an event is described to programs.
    #[track_caller]
    pub fn format_of(&self, event: &str) -> String {
        let path = self.system.at(&format!("{event}/format"));
        must("read the format", read_to_string(path))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // A failure may be what the test has failed by already.
        let _ = write(self.system.at("enable"), "0");
        let _ = remove_dir(self.instance.path());
        let _ = unmount(self.tracefs.path(), UnmountFlags::DETACH);
    }
}

/// How a filesystem's device is shown.
#[track_caller]
pub fn device(m: &Dir) -> String {
    let dev = m.stat("").st_dev;
    format!("{}:{}", rustix::fs::major(dev), rustix::fs::minor(dev))
}
