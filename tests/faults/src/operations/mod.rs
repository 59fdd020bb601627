// SPDX-License-Identifier: GPL-2.0

//! What is done while memory fails.

mod attributes;
pub mod c_overlay;
mod copy_up;
mod create;
mod handles;
mod mapping;
mod mounts;
mod read;
mod remove;
mod rename;

use crate::operation::Operation;

/// All of it.
pub fn all() -> Vec<Operation> {
    let parts = [
        mounts::all(),
        read::all(),
        copy_up::all(),
        attributes::all(),
        create::all(),
        rename::all(),
        remove::all(),
        mapping::all(),
        handles::all(),
    ];
    parts.into_iter().flatten().collect()
}
