// SPDX-License-Identifier: GPL-2.0

//! Which layer filesystems a test runs on.

/// A pair of filesystems: of the lower layers and of the upper layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair {
    /// Directory in the scratch folder that holds the lower layers.
    pub lower: &'static str,
    /// Directory in the scratch folder that holds upper and work directory.
    pub upper: &'static str,
}

impl Pair {
    /// The name on the command line and in front of each test's name.
    pub fn name(self) -> String {
        format!("{}/{}", self.lower, self.upper)
    }

    /// Whether all layers are on one filesystem.
    pub fn one_filesystem(self) -> bool {
        self.lower == self.upper
    }

    /// Whether the lower layer is a read-only image of the fixed tree.
    pub fn image(self) -> bool {
        matches!(self.lower, "erofs" | "squashfs")
    }
}

const fn pair(lower: &'static str, upper: &'static str) -> Pair {
    Pair { lower, upper }
}

const TMPFS: Pair = pair("tmpfs", "tmpfs");
const EXT4: Pair = pair("ext4", "ext4");
const XFS: Pair = pair("xfs", "xfs");
const BTRFS: Pair = pair("btrfs", "btrfs");
const MIXED: Pair = pair("ext4", "tmpfs");
const EROFS: Pair = pair("erofs", "ext4");
const SQUASHFS: Pair = pair("squashfs", "tmpfs");
const TMPFS_CI: Pair = pair("tmpfs-ci", "tmpfs-ci");
const EXT4_CI: Pair = pair("ext4-ci", "ext4-ci");
const MIXED_CI: Pair = pair("ext4-ci", "tmpfs-ci");

/// Every combination, in the order in which they run.
pub const ALL: &[Pair] = &[
    TMPFS, MIXED, EXT4, XFS, BTRFS, EROFS, SQUASHFS, TMPFS_CI, MIXED_CI, EXT4_CI,
];

/// The number by which `statfs` tells a layer filesystem.
pub fn magic(name: &str) -> Option<i64> {
    Some(match name {
        "tmpfs" | "tmpfs-ci" => 0x0102_1994,
        "ext4" | "ext4-ci" => 0xef53,
        "xfs" => 0x5846_5342,
        "btrfs" => 0x9123_683e,
        "erofs" => 0xe0f5_e1e2,
        "squashfs" => 0x7371_7368,
        _ => return None,
    })
}

/// A named choice of combinations.
#[derive(Clone, Copy)]
pub struct Selection {
    full: &'static [Pair],
    quick: &'static [Pair],
}

impl Selection {
    /// The combinations of this choice.
    pub fn pairs(&self, quick: bool) -> &'static [Pair] {
        if quick {
            self.quick
        } else {
            self.full
        }
    }
}

/// What involves no layer filesystem's particular behaviour.
pub const ONCE: Selection = Selection {
    full: &[TMPFS],
    quick: &[TMPFS],
};
/// What differs between one filesystem and several.
pub const TWICE: Selection = Selection {
    full: &[TMPFS, MIXED],
    quick: &[MIXED],
};
/// What needs layers on different filesystems.
pub const SEVERAL_FILESYSTEMS: Selection = Selection {
    full: &[MIXED],
    quick: &[MIXED],
};
/// What needs all layers on one filesystem.
pub const ONE_FILESYSTEM: Selection = Selection {
    full: &[TMPFS, EXT4, XFS, BTRFS],
    quick: &[EXT4],
};
/// What depends on how each filesystem does its part.
pub const EVERYWHERE: Selection = Selection {
    full: &[TMPFS, MIXED, EXT4, XFS, BTRFS],
    quick: &[EXT4],
};
/// What needs filesystems that keep files on a disk.
pub const DISKS: Selection = Selection {
    full: &[EXT4, XFS, BTRFS],
    quick: &[EXT4],
};
/// What needs filesystems that can share extents.
pub const REFLINK: Selection = Selection {
    full: &[XFS, BTRFS],
    quick: &[XFS],
};
/// What needs a filesystem with project numbers.
pub const PROJECTS: Selection = Selection {
    full: &[XFS],
    quick: &[XFS],
};
/// What needs lower layers on a filesystem with fs-verity.
pub const VERITY: Selection = Selection {
    full: &[EXT4, BTRFS, MIXED],
    quick: &[EXT4],
};
/// What works on the fixed tree, and so on read-only images too.
pub const IMAGES_TOO: Selection = Selection {
    full: &[TMPFS, MIXED, EXT4, XFS, BTRFS, EROFS, SQUASHFS],
    quick: &[EXT4, EROFS, SQUASHFS],
};
/// What needs filesystems that can have case-folded directories.
pub const CASEFOLD: Selection = Selection {
    full: &[TMPFS_CI, MIXED_CI, EXT4_CI],
    quick: &[EXT4_CI],
};
