// SPDX-License-Identifier: GPL-2.0

//! Telling threads that they may stop.

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets a flag when it is dropped: also when the test fails, whose threads would
/// otherwise run for ever and hide why.
pub struct Done<'a>(pub &'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
