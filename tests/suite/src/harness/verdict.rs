// SPDX-License-Identifier: GPL-2.0

//! How a test's failure becomes one line of text.
//!
//! Tests fail by panicking, in any thread. The first panic of a process is
//! the one that tells what went wrong; later ones are its consequences.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;

static FIRST_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Records panics instead of printing them.
pub fn record_panics() {
    panic::set_hook(Box::new(|info| {
        let what = info
            .payload()
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| info.payload().downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panic".to_owned());
        let place = info
            .location()
            .map(|at| format!("{}:{}: ", at.file(), at.line()))
            .unwrap_or_default();
        let mut first = FIRST_PANIC.lock().unwrap_or_else(|e| e.into_inner());
        first.get_or_insert_with(|| one_line(&format!("{place}{what}")));
    }));
}

/// Calls `f`; the error is the first panic's message.
pub fn catch(f: impl FnOnce()) -> Result<(), String> {
    panic::catch_unwind(AssertUnwindSafe(f)).map_err(|_| {
        let mut first = FIRST_PANIC.lock().unwrap_or_else(|e| e.into_inner());
        first.take().unwrap_or_else(|| "panic".to_owned())
    })
}

fn one_line(text: &str) -> String {
    const LIMIT: usize = 600;

    let mut line = text
        .split('\n')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" | ");
    if line.len() > LIMIT {
        let end = (0..=LIMIT).rev().find(|&i| line.is_char_boundary(i));
        line.truncate(end.unwrap_or(0));
        line.push_str("..");
    }
    line
}
