// SPDX-License-Identifier: GPL-2.0

//! POSIX ACLs as the extended attributes that carry them.

/// The attribute of a file's own list.
pub const ACCESS: &str = "system.posix_acl_access";

/// The attribute of the list that new objects in a directory get.
pub const DEFAULT: &str = "system.posix_acl_default";

const VERSION: u32 = 2;
const NO_ID: u32 = u32::MAX;

/// Who an entry is about. The order is the one that the format demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The owner.
    Owner,
    /// A user by number.
    User(u32),
    /// The owning group.
    Group,
    /// What all entries but the owner's and the others' are limited to.
    Mask,
    /// Everybody else.
    Others,
}

/// The attribute's value for these entries, each with its rwx bits.
pub fn encode(entries: &[(Who, u16)]) -> Vec<u8> {
    let mut value = VERSION.to_le_bytes().to_vec();
    for &(who, bits) in entries {
        let (tag, id): (u16, u32) = match who {
            Who::Owner => (0x01, NO_ID),
            Who::User(id) => (0x02, id),
            Who::Group => (0x04, NO_ID),
            Who::Mask => (0x10, NO_ID),
            Who::Others => (0x20, NO_ID),
        };
        value.extend(tag.to_le_bytes());
        value.extend(bits.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

/// A list that gives one more user these rights on a file of mode 0640.
pub fn with_user(user: u32, bits: u16) -> Vec<u8> {
    encode(&[
        (Who::Owner, 6),
        (Who::User(user), bits),
        (Who::Group, 4),
        (Who::Mask, bits | 4),
        (Who::Others, 0),
    ])
}
