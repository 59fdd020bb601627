// SPDX-License-Identifier: GPL-2.0

//! Notices what does not come to its end.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long an image may take; on a machine that is emulated and shared, too.
const LIMIT: Duration = Duration::from_secs(180);

static CURRENT: AtomicU64 = AtomicU64::new(0);

/// Says that an image is begun.
pub fn begin(seed: u64) {
    CURRENT.store(seed, Ordering::Relaxed);
}

/// Starts watching.
pub fn start() {
    std::thread::spawn(|| loop {
        let before = CURRENT.load(Ordering::Relaxed);
        std::thread::sleep(LIMIT);
        if CURRENT.load(Ordering::Relaxed) == before {
            println!("not ok seed {before}: it does not end");
            for task in fs::read_dir("/proc/self/task")
                .into_iter()
                .flatten()
                .flatten()
            {
                if let Ok(stack) = fs::read_to_string(task.path().join("stack")) {
                    println!("{stack}");
                }
            }
            std::process::exit(3);
        }
    });
}
