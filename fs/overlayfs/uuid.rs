// SPDX-License-Identifier: GPL-2.0

//! The option `uuid`: what an overlay is told by, and how lower filesystems are.

use crate::{
    config::Choice,
    format::{
        uuid::Uuid,
        xattr::Attribute, //
    },
    layers::Upper,
    xattr, //
};
use kernel::prelude::*;
use vfs::{
    context::{FsContext, Refused},
    mount::PathRef,
    super_block::{new_uuid, SuperBlock}, //
};

/// What the option says.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum UuidMode {
    /// The overlay has none, and those of lower filesystems are not looked at.
    Off,
    /// The overlay has none.
    Null,
    /// The overlay has one that is kept in upper, if it has begun with one.
    #[default]
    Auto,
    /// The overlay has one that is kept in upper.
    On,
}

impl Choice for UuidMode {
    const WORDS: &'static [(&'static CStr, Self)] = &[
        (c"off", Self::Off),
        (c"null", Self::Null),
        (c"auto", Self::Auto),
        (c"on", Self::On),
    ];
}

impl UuidMode {
    /// Whether the overlay is told by its own UUID, all zero without upper, and
    /// not by upper's filesystem.
    pub(crate) fn has_own(self) -> bool {
        matches!(self, Self::Auto | Self::On)
    }

    /// What origins tell a lower filesystem by.
    pub(crate) fn of_lower(self, sb: &SuperBlock) -> Uuid {
        match self {
            Self::Off => Uuid::NULL,
            _ => Uuid(sb.uuid()),
        }
    }

    /// Finds the overlay's UUID in upper, or makes one. Answers the mode that is
    /// in effect then, as C overlayfs: what cannot be kept is not used.
    pub(crate) fn with_upper(self, fc: &FsContext, upper: &Upper) -> Result<(Self, Uuid), Refused> {
        if !self.has_own() {
            return Ok((self, Uuid::NULL));
        }
        let found = match upper.features.xattr {
            true => self.find_or_make(upper),
            false => Err(EOPNOTSUPP),
        };
        let found = fc.given_memory("keep a uuid in upperdir", found)?;
        Ok(found.unwrap_or_else(|err| {
            fc.warn(fmt!(
                "cannot keep a uuid in upperdir (error {}), falling back to uuid=null",
                err.to_errno()
            ));
            (Self::Null, Uuid::NULL)
        }))
    }

    fn find_or_make(self, upper: &Upper) -> Result<(Self, Uuid)> {
        let root = PathRef::new(upper.mount(), upper.mount().root())?;
        // One byte more, to notice a longer one.
        let mut buffer = [0; Uuid::SIZE + 1];
        if let Some(value) = xattr::get_own(upper.namespace, root, Attribute::Uuid, &mut buffer)? {
            let uuid = Uuid::parse(value).map_err(|_| EINVAL)?;
            return Ok((self, uuid));
        }
        // An overlay that has been in use without keeps being told as it was.
        if self == Self::Auto && xattr::has_own(upper.namespace, root, Attribute::Impure)? {
            return Ok((Self::Null, Uuid::NULL));
        }
        let uuid = Uuid(new_uuid());
        let _write = upper.mount().want_write()?;
        xattr::set_own(upper.namespace, root, Attribute::Uuid, uuid.as_bytes())?;
        Ok((Self::On, uuid))
    }
}
