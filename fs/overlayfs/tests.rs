// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of what needs kernel types but no mounted filesystem.

use crate::{
    config::Config,
    format::xattr::{Attribute, Namespace},
    identity::{Fsid, Identity}, //
};
use kernel::prelude::*;

#[kunit_tests(overlay_identity)]
mod identity_tests {
    use super::*;

    fn identity(several: bool) -> Result<Pin<KBox<Identity>>> {
        KBox::pin_init(Identity::new(several, 1), GFP_KERNEL)
    }

    #[test]
    fn one_filesystem_passes_numbers_through() -> Result {
        let identity = identity(false)?;
        assert_eq!(identity.map(Fsid::UPPER, 7)?, 7);
        assert_eq!(identity.map(Fsid::new(3)?, u64::MAX)?, u64::MAX);
        Ok(())
    }

    #[test]
    fn several_filesystems_are_told_apart() -> Result {
        let identity = identity(true)?;
        let (a, b) = (Fsid::new(1)?, Fsid::new(2)?);
        assert_eq!(identity.map(Fsid::UPPER, 7)?, 7);
        assert!(identity.map(a, 7)? != identity.map(b, 7)?);
        assert_eq!(identity.map(a, 7)?, identity.map(a, 7)?);
        Ok(())
    }

    #[test]
    fn large_numbers_are_remembered() -> Result {
        let identity = identity(true)?;
        let (a, b) = (Fsid::new(1)?, Fsid::new(2)?);
        let large = 1 << 60;
        let first = identity.map(a, large)?;
        assert!(first != identity.map(b, large)?);
        assert!(first != identity.map(a, large + 1)?);
        assert_eq!(first, identity.map(a, large)?);
        assert!(first >> 63 == 1);
        Ok(())
    }

    #[test]
    fn numbers_of_a_lower_overlay_fit() -> Result {
        let lower = identity(true)?;
        let upper = KBox::pin_init(Identity::new(true, 2), GFP_KERNEL)?;
        let (a, b) = (Fsid::new(1)?, Fsid::new(2)?);
        let (one, two) = (lower.map(a, 7)?, lower.map(b, 7)?);
        let numbers = [
            upper.map(a, one)?,
            upper.map(a, two)?,
            upper.map(b, one)?,
            upper.map(b, 7)?,
        ];
        for (index, number) in numbers.iter().enumerate() {
            assert!(number >> 63 == 0);
            assert!(numbers.iter().skip(index + 1).all(|other| other != number));
        }
        Ok(())
    }

    #[test]
    fn filesystems_without_bits_are_remembered() -> Result {
        let identity = identity(true)?;
        let last = Fsid::new(127)?;
        let next = Fsid::new(128)?;
        assert!(identity.map(last, 7)? >> 63 == 0);
        assert!(identity.map(next, 7)? >> 63 == 1);
        assert_eq!(identity.map(next, 7)?, identity.map(next, 7)?);
        Ok(())
    }

    #[test]
    fn too_many_filesystems_are_refused() -> Result {
        assert!(Fsid::new(1 << 15).is_err());
        Ok(())
    }
}

#[kunit_tests(overlay_xattr)]
mod xattr_tests {
    use super::*;

    #[test]
    fn own_attributes_are_in_the_trusted_namespace() {
        let namespace = Config::new().namespace;
        assert_eq!(namespace.name(Attribute::Opaque), c"trusted.overlay.opaque");
        assert_eq!(namespace.name(Attribute::Origin), c"trusted.overlay.origin");
    }

    #[test]
    fn or_in_that_of_users() {
        let namespace = Namespace::User;
        assert_eq!(namespace.name(Attribute::Opaque), c"user.overlay.opaque");
        assert_eq!(namespace.name(Attribute::Origin), c"user.overlay.origin");
    }
}
