// SPDX-License-Identifier: GPL-2.0

//! The names of the overlay's own attributes in layers.

/// `overlay.impure`.
pub const IMPURE: &str = "trusted.overlay.impure";
/// `overlay.metacopy`.
pub const METACOPY: &str = "trusted.overlay.metacopy";
/// `overlay.nlink`.
pub const NLINK: &str = "trusted.overlay.nlink";
/// `overlay.opaque`.
pub const OPAQUE: &str = "trusted.overlay.opaque";
/// `overlay.origin`.
pub const ORIGIN: &str = "trusted.overlay.origin";
/// `overlay.protattr`.
pub const PROTATTR: &str = "trusted.overlay.protattr";
/// `overlay.redirect`.
pub const REDIRECT: &str = "trusted.overlay.redirect";
/// `overlay.upper`.
pub const UPPER: &str = "trusted.overlay.upper";
/// `overlay.whiteout`.
pub const WHITEOUT: &str = "trusted.overlay.whiteout";
