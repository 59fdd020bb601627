// SPDX-License-Identifier: GPL-2.0

//! The kernel crate's module `format` as a userspace library.
//!
//! The source is the very file that kbuild compiles; nothing is copied or configured differently.

#![no_std]
#![forbid(unsafe_code)]

#[path = "../../../fs/overlayfs/format/mod.rs"]
pub mod format;

pub mod check;
