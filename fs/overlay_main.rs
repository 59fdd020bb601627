// SPDX-License-Identifier: GPL-2.0

//! The module `overlay`: the overlay filesystem as type `overlay`.
#![forbid(unsafe_code)]

use kernel::prelude::*;
use overlayfs::{OverlayRegistration, OverlayType};

module! {
    type: OverlayModule,
    name: "overlay",
    authors: ["The rovl developers"],
    description: "Coherent overlay filesystem",
    license: "GPL",
    alias: ["fs-overlay"],
}

struct OverlayModule {
    _registration: OverlayRegistration,
}

static TYPE: OverlayType = OverlayType::new();

impl kernel::Module for OverlayModule {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let registration =
            OverlayRegistration::new(&TYPE, c"overlay", c"overlay_inode_cache", module)?;
        Ok(Self {
            _registration: registration,
        })
    }
}
