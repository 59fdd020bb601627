// SPDX-License-Identifier: GPL-2.0

//! Whiteouts: objects that say "deleted" and hide what the layers below have of that name.
//!
//! There are two forms, both found in any layer:
//!
//! - a character device 0:0, the one that overlayfs creates (`mknod c 0 0`, mode 0);
//! - an empty regular file with the attribute `overlay.whiteout`, whatever its value. Overlayfs
//!   never creates it; images do that are themselves stored in an overlay, where the first form
//!   would take effect. A directory with such files has `overlay.opaque` = `x`, without which a
//!   merged listing does not look for them.

/// `S_IFMT`: the bits of a mode that hold the type.
const TYPE_MASK: u32 = 0o170000;
/// `S_IFCHR`.
const CHARACTER_DEVICE: u32 = 0o020000;
/// `S_IFREG`.
const REGULAR: u32 = 0o100000;

/// The mode that a whiteout is created with: a character device without permissions.
pub const MODE: u32 = CHARACTER_DEVICE;
/// The device number that makes a character device a whiteout: 0:0.
pub const DEVICE: u32 = 0;

/// Tells whether an inode of this mode and device number is a whiteout.
pub const fn is_whiteout(mode: u32, device: u32) -> bool {
    mode & TYPE_MASK == CHARACTER_DEVICE && device == DEVICE
}

/// Tells whether an inode is a whiteout if it has the attribute `overlay.whiteout`.
pub const fn may_be_xattr_whiteout(mode: u32, size: u64) -> bool {
    mode & TYPE_MASK == REGULAR && size == 0
}
