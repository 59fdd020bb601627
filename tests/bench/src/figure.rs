// SPDX-License-Identifier: GPL-2.0

//! A result, as it is printed and kept.

use serde::{Deserialize, Serialize};

/// What an operation costs.
#[derive(Clone, Serialize, Deserialize)]
pub struct Figure {
    /// The operation's name.
    pub operation: String,
    /// The filesystem of the layers.
    pub on: String,
    /// How many lower layers there are.
    pub layers: usize,
    /// What was measured: the name of a filesystem.
    pub fs: String,
    /// What the value counts.
    pub unit: String,
    /// The median.
    pub value: u64,
}
