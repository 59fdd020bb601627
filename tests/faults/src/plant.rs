// SPDX-License-Identifier: GPL-2.0

//! Mistakes on purpose, to see whether they are noticed.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{chown, FileExt, PermissionsExt};

use rustix::fs::{AtFlags, Timespec, Timestamps, XattrFlags, CWD};

use crate::layers::ATTRIBUTE;
use crate::scene::Scene;

/// What can be done to a tree, behind the back of whoever looks.
#[derive(Clone, Copy, Debug)]
pub enum Mistake {
    Content,
    Mode,
    Owner,
    Attribute,
    Time,
    Link,
    Missing,
    Additional,
    /// Something changed in a lower layer.
    Lower,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Content,
        Self::Mode,
        Self::Owner,
        Self::Attribute,
        Self::Time,
        Self::Link,
        Self::Missing,
        Self::Additional,
        Self::Lower,
    ];

    /// Makes it.
    pub fn make(self, scene: &Scene) -> io::Result<()> {
        let object = scene.at("dir/x");
        match self {
            Self::Content => {
                let time = fs::metadata(&object)?.modified()?;
                let file = File::options().write(true).open(&object)?;
                file.write_all_at(b"w", 0)?;
                file.set_modified(time)
            }
            Self::Mode => fs::set_permissions(object, Permissions::from_mode(0o601)),
            Self::Owner => chown(object, Some(1), None),
            Self::Attribute => {
                let set = rustix::fs::setxattr(object, ATTRIBUTE, b"red", XattrFlags::empty());
                Ok(set?)
            }
            Self::Time => {
                let time = Timespec {
                    tv_sec: 5,
                    tv_nsec: 5,
                };
                let times = Timestamps {
                    last_access: time,
                    last_modification: time,
                };
                Ok(rustix::fs::utimensat(
                    CWD,
                    object,
                    &times,
                    AtFlags::empty(),
                )?)
            }
            Self::Link => fs::hard_link(scene.root.join("upper/up"), scene.root.join("work/up")),
            Self::Missing => fs::remove_file(object),
            Self::Additional => fs::write(scene.at("additional"), b""),
            Self::Lower => fs::write(scene.root.join("base/additional"), b""),
        }
    }
}
