// SPDX-License-Identifier: GPL-2.0

//! Operations by another user than root.

/// While it lives, filesystems see another user, who may not override modes.
pub struct AsUser(());

/// Becomes this user for filesystems; nothing for root.
pub fn as_user(user: u32) -> Option<AsUser> {
    if user == 0 {
        return None;
    }
    set(user);
    Some(AsUser(()))
}

impl Drop for AsUser {
    fn drop(&mut self) {
        set(0);
    }
}

fn set(id: u32) {
    // SAFETY: Changes numbers of this thread only; root may set any. The group goes
    // first, since leaving root drops what is needed for it.
    unsafe {
        libc::setfsgid(id);
        libc::setfsuid(id);
    }
}
