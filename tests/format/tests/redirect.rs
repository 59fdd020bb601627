// SPDX-License-Identifier: GPL-2.0

//! Redirects: `ovl_get_redirect_xattr()` of fs/overlayfs/util.c, `ovl_check_redirect()` of
//! fs/overlayfs/namei.c, `ovl_get_redirect()` of fs/overlayfs/dir.c.

use proptest::prelude::*;
use rovl_format::{
    check,
    format::{
        redirect::{
            Redirect,
            RedirectBuilder,
            WRITE_MAX, //
        },
        FormatError, //
    },
};

fn parse(value: &str) -> Redirect<'_> {
    Redirect::parse(value.as_bytes()).unwrap()
}

fn names(value: &str) -> Vec<&str> {
    parse(value)
        .names()
        .map(|name| std::str::from_utf8(name).unwrap())
        .collect()
}

#[test]
fn accepted() {
    assert_eq!(names("old"), ["old"]);
    assert_eq!(names("/old"), ["old"]);
    assert_eq!(names("/a/b/old"), ["a", "b", "old"]);
    assert_eq!(names("/..a/.b/c..."), ["..a", ".b", "c..."]);
    assert!(!parse("old").is_absolute());
    assert!(parse("/old").is_absolute());

    let not_utf8 = b"/\xff\xfe/\n";
    assert_eq!(Redirect::parse(not_utf8).unwrap().as_bytes(), &not_utf8[..]);
    // No limit of the format: what is too long is not found.
    let long = format!("/{}", "n".repeat(65535));
    assert_eq!(parse(&long).names().count(), 1);
}

#[test]
fn refused() {
    for value in [
        "", "/", "//", "/a/", "/a//b", "//a", "a/b", "a/", ".", "..", "/.", "/..", "/../etc",
        "/a/../b", "/a/./b", "/a/..", "\0", "\0a", "/\0", "/a/\0b", "..\0",
    ] {
        assert_eq!(
            Redirect::parse(value.as_bytes()),
            Err(FormatError::Invalid),
            "{value:?}"
        );
    }
}

#[test]
fn nul_ends_the_value() {
    assert_eq!(parse("old\0"), parse("old"));
    assert_eq!(parse("/a\0/../b"), parse("/a"));
}

#[test]
fn applied_to_a_path() {
    let mut buffer = [0; 32];
    let mut apply = |redirect, before: &str, behind: &str| {
        let applied = parse(redirect)
            .apply(before.as_bytes(), behind.as_bytes(), &mut buffer)
            .unwrap();
        String::from_utf8(applied.as_bytes().to_vec()).unwrap()
    };
    assert_eq!(apply("old", "", ""), "old");
    assert_eq!(apply("/x/old", "", ""), "/x/old");
    assert_eq!(apply("old", "/a/", "/c/d"), "/a/old/c/d");
    assert_eq!(apply("/x/old", "/a/", "/c/d"), "/x/old/c/d");
    assert_eq!(apply("old", "/a/", ""), "/a/old");

    assert_eq!(
        parse("old").apply(b"/a/", b"/b", &mut [0; 7]),
        Err(FormatError::TooLong)
    );
    // Nonsense around it does not make a path that leaves the layer.
    assert_eq!(
        parse("old").apply(b"/../", b"", &mut [0; 32]),
        Err(FormatError::Invalid)
    );
}

#[test]
fn built_upwards() {
    let mut buffer = [0; WRITE_MAX];
    let mut builder = RedirectBuilder::new(&mut buffer);
    for name in ["old", "b", "a"] {
        builder.prepend(parse(name)).unwrap();
    }
    assert_eq!(builder.finish(), Ok(parse("/a/b/old")));

    // An ancestor that was itself renamed.
    let mut builder = RedirectBuilder::new(&mut buffer);
    builder.prepend(parse("old")).unwrap();
    builder.prepend(parse("/x/y")).unwrap();
    assert_eq!(builder.finish(), Ok(parse("/x/y/old")));

    assert_eq!(
        RedirectBuilder::new(&mut buffer).finish(),
        Err(FormatError::Invalid)
    );
}

/// `redirect_max` counts every byte, slashes included.
#[test]
fn longest_written() {
    let mut buffer = [0; 8];
    let mut builder = RedirectBuilder::new(&mut buffer);
    builder.prepend(parse("old")).unwrap();
    builder.prepend(parse("abc")).unwrap();
    assert_eq!(builder.finish(), Ok(parse("/abc/old")));

    let mut builder = RedirectBuilder::new(&mut buffer);
    builder.prepend(parse("old")).unwrap();
    assert_eq!(builder.prepend(parse("abcd")), Err(FormatError::TooLong));

    let mut builder = RedirectBuilder::new(&mut buffer);
    builder.prepend(parse("old")).unwrap();
    builder.prepend(parse("/abc")).unwrap();
    assert_eq!(builder.finish(), Ok(parse("/abc/old")));

    let mut builder = RedirectBuilder::new(&mut buffer);
    builder.prepend(parse("old")).unwrap();
    assert_eq!(builder.prepend(parse("/abcd")), Err(FormatError::TooLong));
}

proptest! {
    #[test]
    fn any_path(value in "[/.a\\x00]{0,12}") {
        check::redirect(value.as_bytes());
    }

    #[test]
    fn any_names(names in prop::collection::vec("[.a-c]{1,4}", 1..6), absolute in any::<bool>()) {
        let value = if absolute { format!("/{}", names.join("/")) } else { names[0].clone() };
        check::redirect(value.as_bytes());
    }

    #[test]
    fn any_bytes(value in prop::collection::vec(any::<u8>(), 0..300)) {
        check::redirect(&value);
    }
}
