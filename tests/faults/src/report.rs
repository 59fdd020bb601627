// SPDX-License-Identifier: GPL-2.0

//! What is told of each test.

/// Counts what has been told.
#[derive(Default)]
pub struct Report {
    pub passed: usize,
    pub failed: usize,
}

impl Report {
    /// Prints a line for a test.
    pub fn tell(&mut self, what: &str, result: Result<String, String>) {
        match result {
            Ok(how) => {
                self.passed += 1;
                println!("ok {what}: {how}");
            }
            Err(why) => {
                self.failed += 1;
                println!("not ok {what}: {why}");
            }
        }
    }
}
