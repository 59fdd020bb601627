// SPDX-License-Identifier: GPL-2.0

//! Parameters of the module.

use crate::harness::bed::Bed;
use crate::support::must::must;

/// The file of a parameter of the driver under test.
pub fn path(bed: &Bed, name: &str) -> String {
    format!("/sys/module/{}/parameters/{name}", bed.fs)
}

/// Calls `f` with a parameter set.
#[track_caller]
pub fn with(bed: &Bed, name: &str, value: &str, f: impl FnOnce()) {
    let path = path(bed, name);
    let before = must("read the parameter", std::fs::read(&path));
    must("set the parameter", std::fs::write(&path, value));
    f();
    must("restore the parameter", std::fs::write(&path, before));
}
