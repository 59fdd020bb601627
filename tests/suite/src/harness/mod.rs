// SPDX-License-Identifier: GPL-2.0

//! What runs the tests; the tests themselves are in [`crate::areas`].

pub mod bed;
pub mod cli;
pub mod intended;
pub mod matrix;
pub mod runner;
pub mod verdict;
