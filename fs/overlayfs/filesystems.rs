// SPDX-License-Identifier: GPL-2.0

//! The filesystems that lower layers are on: whether they tell objects by file handles,
//! and themselves by a UUID.

use crate::{
    config::Config,
    format::uuid::Uuid,
    handle,
    layers::Upper,
    params::{Context, Shown},
    uuid::UuidMode, //
};
use kernel::prelude::*;
use vfs::{
    context::FsContext,
    mount::Path,
    super_block::SuperBlock, //
};

/// A filesystem that lower layers are on.
struct Filesystem<'a> {
    super_block: &'a SuperBlock,
    /// The highest layer on it.
    layer: &'a Path,
    /// Whether a layer on it is merged.
    is_merged: bool,
    uuid: Uuid,
}

/// Those of all lower layers, each once.
pub(crate) struct Filesystems<'a>(KVVec<Filesystem<'a>>);

impl<'a> Filesystems<'a> {
    /// Those of the lower layers of `context`.
    pub(crate) fn of(
        context: &'a Context,
        mode: UuidMode,
    ) -> Result<Self, kernel::alloc::AllocError> {
        let mut all: KVVec<Filesystem<'a>> = KVVec::new();
        let merged = context.merged();
        for (index, layer) in context.lower.iter().enumerate() {
            let super_block = layer.mount().super_block();
            // Layers that follow each other are often on one.
            if !all
                .iter()
                .rev()
                .any(|known| known.super_block == super_block)
            {
                all.push(
                    Filesystem {
                        super_block,
                        layer,
                        // Data-only layers come last.
                        is_merged: index < merged,
                        uuid: mode.of_lower(super_block),
                    },
                    GFP_KERNEL,
                )?;
            }
        }
        Ok(Self(all))
    }

    /// Whether no other filesystem has the same UUID, or none as well.
    pub(crate) fn has_unique_uuid(&self, super_block: &SuperBlock) -> bool {
        let own = self.0.iter().find(|known| known.super_block == super_block);
        own.is_some_and(|own| {
            let same = self.0.iter().filter(|other| other.uuid == own.uuid);
            same.count() == 1
        })
    }

    /// Falls back to what goes without file handles where there are none, or where they do
    /// not tell the filesystem. Answers whether all layers have some.
    pub(crate) fn check(&self, fc: &FsContext, config: &mut Config, upper: Option<&Upper>) -> bool {
        let mut all = true;
        let may_grow = config.lower_may_grow();
        if let Some(upper) = upper {
            all = handle::are_there(upper.mount().super_block());
            if config.index && !all {
                fc.warn(fmt!(
                    "upperdir: the filesystem does not support file handles, falling back to \
                     index=off"
                ));
                config.index = false;
            }
            if config.nfs_export && !config.index {
                fc.warn(fmt!(
                    "nfs_export needs an index, falling back to nfs_export=off"
                ));
                config.nfs_export = false;
            }
        } else {
            // There is nothing to be found by an index.
            config.index = false;
        }
        for (index, filesystem) in self.0.iter().enumerate() {
            let shown = || Shown::new(filesystem.layer.borrow());
            if !handle::are_there(filesystem.super_block) {
                all = false;
                config.without_index(
                    fc,
                    fmt!(
                        "lowerdir: the filesystem of '{}' does not support file handles",
                        shown()
                    ),
                );
                if upper.is_some() {
                    config.without_xino(fc, "lower layers have no file handles");
                }
            }
            let before = self.0.get(..index).unwrap_or_default();
            let is_of_upper =
                upper.is_some_and(|upper| upper.mount().super_block() == filesystem.super_block);
            // An image without one may have been replaced, unless a feature forbids that.
            let is_anonymous = filesystem.uuid == Uuid::NULL && may_grow && !is_of_upper;
            let is_told_apart = !filesystem.is_merged
                || !is_anonymous && before.iter().all(|other| other.uuid != filesystem.uuid);
            // Without upper nothing was copied up that would have to be found again.
            if !is_told_apart && (config.nfs_export || upper.is_some()) {
                config.without_index(
                    fc,
                    fmt!(
                        "lowerdir: the filesystem of '{}' has no uuid of its own",
                        shown()
                    ),
                );
                config.without_xino(fc, "lower filesystems are not told apart by a uuid");
            }
        }
        all
    }
}
