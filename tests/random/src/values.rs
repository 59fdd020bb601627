// SPDX-License-Identifier: GPL-2.0

//! Made-up arguments: those where something happens, not just any.

use crate::{generate::Purpose, rng::Rng};

/// A user without rights.
pub const USER: u32 = 1000;

const PAGE: usize = 4096;

/// Permissions of a file.
pub fn mode(rng: &mut Rng) -> u32 {
    rng.pick(&[
        0o644, 0o644, 0o666, 0o600, 0o777, 0o755, 0o4755, 0o2755, 0o6711, 0o444, 0o000,
    ])
}

/// Permissions of a directory.
pub fn directory_mode(rng: &mut Rng) -> u32 {
    rng.pick(&[0o755, 0o755, 0o777, 0o777, 0o1777, 0o2775, 0o700, 0o555])
}

/// An owner; none leaves it.
pub fn id(rng: &mut Rng) -> Option<u32> {
    rng.pick(&[Some(0), Some(USER), Some(USER), Some(1001), None])
}

/// A place in a file.
pub fn offset(rng: &mut Rng) -> u64 {
    let offset = match rng.below(8) {
        0..=2 => 0,
        3 => rng.below(100),
        4 => rng.below(PAGE * 2),
        5 => PAGE * rng.below(16),
        6 => PAGE * rng.below(16) + rng.below(3) - rng.below(1),
        _ => rng.below(200_000),
    };
    offset as u64
}

/// A length of data, never zero.
pub fn length(rng: &mut Rng) -> usize {
    1 + match rng.below(8) {
        0..=3 => rng.below(64),
        4 => rng.below(PAGE),
        5 => PAGE * rng.below(4),
        6 => rng.below(4 * PAGE),
        _ => rng.below(20 * PAGE),
    }
}

/// A time of long ago.
pub fn second(rng: &mut Rng) -> i64 {
    100_000_000 + rng.below(1_000_000_000) as i64
}

/// How a file is opened.
pub fn open_flags(rng: &mut Rng) -> u32 {
    let access = rng.pick(&[libc::O_RDONLY, libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR]);
    let more = rng.pick(&[
        0,
        0,
        0,
        libc::O_CREAT,
        libc::O_CREAT,
        libc::O_CREAT | libc::O_EXCL,
        libc::O_CREAT | libc::O_TRUNC,
        libc::O_TRUNC,
        libc::O_APPEND,
        libc::O_DIRECTORY,
        libc::O_NOFOLLOW,
        libc::O_PATH,
    ]);
    (access | more) as u32
}

/// One of the flags of `chattr`: immutable, append-only, no access times, no dump.
pub fn flag(rng: &mut Rng) -> u32 {
    rng.pick(&[0x10, 0x20, 0x80, 0x40])
}

/// An extended attribute's name and a value that suits it.
pub fn xattr(rng: &mut Rng, purpose: Purpose) -> (String, Vec<u8>) {
    let name = rng.pick(&[
        "user.a",
        "user.a",
        "user.b",
        "user.overlay.foo",
        "trusted.a",
        "trusted.overlay.foo",
        "trusted.overlay.opaque",
        "trusted.overlay.overlay.foo",
        "security.a",
        "security.capability",
        "system.posix_acl_access",
        "system.posix_acl_access",
        "system.posix_acl_default",
        "nonsense",
    ]);
    // In a layer these would be the overlay's own, and nonsense to it.
    let name = match (purpose, name) {
        (Purpose::Layer | Purpose::Upper, name) if name.contains(".overlay.") => "trusted.b",
        (_, name) => name,
    };
    let value = match name {
        "system.posix_acl_access" | "system.posix_acl_default" => acl(rng),
        "security.capability" => capability(rng),
        _ => {
            let letter = b'a' + rng.below(26) as u8;
            let length = match rng.below(10) {
                0 => 0,
                1 => 300,
                _ => 1 + rng.below(12),
            };
            vec![letter; length]
        }
    };
    (name.to_owned(), value)
}

/// A list that names a user, or is invalid in one of eight cases.
fn acl(rng: &mut Rng) -> Vec<u8> {
    let none = u32::MAX;
    let version: u32 = if rng.percent(88) { 2 } else { 3 };
    let mut value = version.to_le_bytes().to_vec();
    for (tag, id) in [
        (1u16, none),
        (2, rng.pick(&[USER, 1001])),
        (4, none),
        (0x10, none),
        (0x20, none),
    ] {
        value.extend(tag.to_le_bytes());
        value.extend((rng.below(8) as u16).to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

/// Capabilities of the second version, permitted only.
fn capability(rng: &mut Rng) -> Vec<u8> {
    let mut value = 0x0200_0000u32.to_le_bytes().to_vec();
    value.extend((1u32 << rng.below(20)).to_le_bytes());
    value.extend([0; 12]);
    value
}
