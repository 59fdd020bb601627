// SPDX-License-Identifier: GPL-2.0

//! The module `rovl`: the overlay filesystem as type `rovl`.
#![forbid(unsafe_code)]

use kernel::prelude::*;
use overlayfs::{OverlayRegistration, OverlayType};

module! {
    type: Rovl,
    name: "rovl",
    authors: ["The rovl developers"],
    description: "Coherent overlay filesystem",
    license: "GPL",
    alias: ["fs-rovl"],
}

struct Rovl {
    _registration: OverlayRegistration,
}

static TYPE: OverlayType = OverlayType::new();

impl kernel::Module for Rovl {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let registration = OverlayRegistration::new(&TYPE, c"rovl", c"rovl_inode_cache", module)?;
        Ok(Self {
            _registration: registration,
        })
    }
}
