// SPDX-License-Identifier: GPL-2.0

//! Names of attributes.

use proptest::prelude::*;
use rovl_format::check;
use rovl_format::format::{
    xattr::{
        Attribute,
        Attributes,
        NameBuffer,
        NameClass,
        Namespace,
        NAME_MAX, //
    },
    FormatError, //
};
use std::ffi::CString;

const NAMESPACES: [Namespace; 2] = [Namespace::Trusted, Namespace::User];

/// `OVL_XATTR_*_POSTFIX` of fs/overlayfs/util.c behind both prefixes.
#[test]
fn names_are_those_of_c() {
    let suffixes = [
        "opaque", "redirect", "origin", "impure", "nlink", "upper", "uuid", "metacopy", "protattr",
        "whiteout",
    ];
    assert_eq!(Attribute::ALL.len(), suffixes.len());
    for (attribute, suffix) in Attribute::ALL.into_iter().zip(suffixes) {
        let trusted = format!("trusted.overlay.{suffix}");
        let user = format!("user.overlay.{suffix}");
        assert_eq!(
            Namespace::Trusted.name(attribute).to_bytes(),
            trusted.as_bytes()
        );
        assert_eq!(Namespace::User.name(attribute).to_bytes(), user.as_bytes());
    }
}

#[test]
fn classification() {
    let trusted = Namespace::Trusted;
    for (name, class) in [
        ("trusted.overlay.opaque", NameClass::Private),
        ("trusted.overlay.", NameClass::Private),
        ("trusted.overlay.unheard-of", NameClass::Private),
        ("trusted.overlay.overlay", NameClass::Private),
        ("trusted.overlay.overlayopaque", NameClass::Private),
        ("trusted.overlay.overlay.", NameClass::Escaped),
        ("trusted.overlay.overlay.opaque", NameClass::Escaped),
        ("trusted.overlay.overlay.overlay.opaque", NameClass::Escaped),
        ("trusted.overlay", NameClass::Other),
        ("trusted.overlays.opaque", NameClass::Other),
        ("user.overlay.opaque", NameClass::Other),
        ("security.selinux", NameClass::Other),
        ("", NameClass::Other),
    ] {
        assert_eq!(trusted.classify(name.as_bytes()), class, "{name}");
    }
    assert_eq!(
        Namespace::User.classify(b"user.overlay.origin"),
        NameClass::Private
    );
    assert_eq!(
        Namespace::User.classify(b"trusted.overlay.origin"),
        NameClass::Other
    );
}

#[test]
fn names_going_down_are_escaped() {
    let mut buffer: NameBuffer = [0; NAME_MAX + 1];
    for (above, below) in [
        (c"trusted.overlay.opaque", c"trusted.overlay.overlay.opaque"),
        (
            c"trusted.overlay.overlay.opaque",
            c"trusted.overlay.overlay.overlay.opaque",
        ),
        (c"user.overlay.opaque", c"user.overlay.opaque"),
        (c"user.mime_type", c"user.mime_type"),
    ] {
        assert_eq!(
            Namespace::Trusted.layer_name(above, &mut buffer),
            Ok(below),
            "{above:?}"
        );
    }
    assert_eq!(
        Namespace::User.layer_name(c"user.overlay.x", &mut buffer),
        Ok(c"user.overlay.overlay.x")
    );
    // xattr_resolve_name() of fs/xattr.c finds no name behind the handler's prefix.
    assert_eq!(
        Namespace::Trusted.layer_name(c"trusted.overlay.", &mut buffer),
        Err(FormatError::Invalid)
    );
}

/// "trusted.overlay." and the escape take 16 + 8 of the 255 characters.
#[test]
fn longest_name() {
    let mut buffer: NameBuffer = [0; NAME_MAX + 1];
    let name = |len: usize| CString::new(format!("trusted.overlay.{}", "n".repeat(len))).unwrap();

    let longest = name(255 - 16 - 8);
    let below = Namespace::Trusted
        .layer_name(&longest, &mut buffer)
        .unwrap();
    assert_eq!(below.to_bytes().len(), 255);

    let longer = name(255 - 16 - 8 + 1);
    assert_eq!(
        Namespace::Trusted.layer_name(&longer, &mut buffer),
        Err(FormatError::TooLong)
    );
}

#[test]
fn names_going_up() {
    let mut buffer: NameBuffer = [0; NAME_MAX + 1];
    for (below, above) in [
        (c"trusted.overlay.opaque", None),
        (c"trusted.overlay.", None),
        (
            c"trusted.overlay.overlay.opaque",
            Some(c"trusted.overlay.opaque"),
        ),
        (
            c"trusted.overlay.overlay.overlay.opaque",
            Some(c"trusted.overlay.overlay.opaque"),
        ),
        (c"user.overlay.opaque", Some(c"user.overlay.opaque")),
    ] {
        assert_eq!(
            Namespace::Trusted.overlay_name(below, &mut buffer),
            Ok(above),
            "{below:?}"
        );
    }
}

#[test]
fn list() {
    let layer = b"security.selinux\0trusted.overlay.origin\0trusted.overlay.overlay.opaque\0\
                  trusted.md5\0user.overlay.x\0user.a\0";
    let filter = |namespace: Namespace, show_trusted| {
        let mut list = layer.to_vec();
        let len = namespace.filter_list(&mut list, show_trusted).unwrap();
        list.truncate(len);
        String::from_utf8(list).unwrap()
    };
    assert_eq!(
        filter(Namespace::Trusted, true),
        "security.selinux\0trusted.overlay.opaque\0trusted.md5\0user.overlay.x\0user.a\0"
    );
    assert_eq!(
        filter(Namespace::Trusted, false),
        "security.selinux\0user.overlay.x\0user.a\0"
    );
    assert_eq!(
        filter(Namespace::User, true),
        "security.selinux\0trusted.overlay.origin\0trusted.overlay.overlay.opaque\0\
         trusted.md5\0user.a\0"
    );
}

#[test]
fn private_in_list() {
    let trusted = |list: &[u8]| Namespace::Trusted.private_in(list);
    assert_eq!(trusted(b""), Attributes::NONE);
    assert_eq!(
        trusted(
            b"security.selinux\0trusted.overlay.overlay.opaque\0trusted.overlay.\0\
              trusted.overlay.opaquer\0user.overlay.opaque\0trusted.overlay.redirect"
        ),
        Attributes::NONE
    );
    assert_eq!(
        trusted(b"trusted.overlay.opaque\0user.a\0trusted.overlay.protattr\0"),
        Attributes::NONE
            .with(Attribute::Opaque)
            .with(Attribute::ProtAttr)
    );
    for attribute in Attribute::ALL {
        for namespace in [Namespace::Trusted, Namespace::User] {
            let found = namespace.private_in(namespace.name(attribute).to_bytes_with_nul());
            for other in Attribute::ALL {
                assert_eq!(found.contains(other), other == attribute);
            }
            assert!(Attributes::ALL.contains(attribute));
        }
    }
}

#[test]
fn list_without_last_nul() {
    let mut list = *b"user.a\0user.b";
    assert_eq!(
        Namespace::Trusted.filter_list(&mut list, true),
        Err(FormatError::Invalid)
    );
    assert_eq!(Namespace::Trusted.filter_list(&mut [], true), Ok(0));
}

/// Names made of the pieces that matter.
fn any_name() -> impl Strategy<Value = CString> {
    let piece = prop_oneof![
        Just("trusted."),
        Just("user."),
        Just("overlay."),
        Just("opaque"),
        Just("."),
        Just("x"),
        Just("overlay"),
    ];
    prop::collection::vec(piece, 1..8).prop_map(|pieces| CString::new(pieces.concat()).unwrap())
}

proptest! {
    /// What is written through the overlay is read back under the same name.
    #[test]
    fn down_and_up_is_the_same(name in any_name(), user in any::<bool>()) {
        let namespace = NAMESPACES[usize::from(user)];
        let (mut down, mut up): (NameBuffer, NameBuffer) = ([0; 256], [0; 256]);
        if let Ok(below) = namespace.layer_name(&name, &mut down) {
            prop_assert_ne!(namespace.classify(below.to_bytes()), NameClass::Private);
            prop_assert_eq!(
                namespace.overlay_name(below, &mut up),
                Ok(Some(name.as_c_str()))
            );
        }
    }

    #[test]
    fn any_list_of_names(names in prop::collection::vec(any_name(), 0..12)) {
        let list: Vec<u8> = names.iter().flat_map(|n| n.to_bytes_with_nul().to_vec()).collect();
        check::xattr_list(&list);
    }

    #[test]
    fn any_list(list in prop::collection::vec(any::<u8>(), 0..200)) {
        check::xattr_list(&list);
    }
}
