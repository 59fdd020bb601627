// SPDX-License-Identifier: GPL-2.0

//! Escapes in mount options: `ovl_next_opt()` and `ovl_unescape()` of fs/overlayfs/params.c, and
//! `seq_show_option()` of include/linux/seq_file.h.

use proptest::prelude::*;
use rovl_format::check;
use rovl_format::format::{
    mount_option::{
        escape,
        protect,
        show,
        split,
        unescape, //
    },
    FormatError, //
};

fn parts(options: &str) -> Vec<&str> {
    split(options.as_bytes())
        .map(|part| std::str::from_utf8(part).unwrap())
        .collect()
}

#[test]
fn options_end_at_commas() {
    assert_eq!(
        parts("lowerdir=/a:/b,index=on"),
        ["lowerdir=/a:/b", "index=on"]
    );
    assert_eq!(
        parts(r"upperdir=/a\,b,workdir=/w"),
        [r"upperdir=/a\,b", "workdir=/w"]
    );
    assert_eq!(
        parts(r"upperdir=/a\\,workdir=/w"),
        [r"upperdir=/a\\", "workdir=/w"]
    );
    assert_eq!(parts(r"a\"), [r"a\"]);
    assert_eq!(parts(",a,,b"), ["", "a", "", "b"]);
}

#[test]
fn one_level_of_backslashes() {
    for (escaped, path) in [
        ("/a/b", "/a/b"),
        (r"/a\:b", "/a:b"),
        (r"/a\,b", "/a,b"),
        (r"/a\\b", r"/a\b"),
        (r"/a\\\:", r"/a\:"),
        (r"\/a", "/a"),
        (r"/a\", "/a"),
        ("", ""),
    ] {
        let mut buffer = [0; 16];
        assert_eq!(
            unescape(escaped.as_bytes(), &mut buffer),
            Ok(path.as_bytes()),
            "{escaped}"
        );
    }
    assert_eq!(unescape(b"abc", &mut [0; 2]), Err(FormatError::TooLong));
    assert_eq!(unescape(br"\a\b", &mut [0; 2]), Ok(&b"ab"[..]));
}

#[test]
fn escaped_to_be_given_again() {
    for path in ["/a/b", "/a,b", r"/a\b", r"/a\,b", r"/a\", "/a:b =\n"] {
        let escaped: Vec<u8> = escape(path.as_bytes()).collect();
        let mut buffer = [0; 32];
        assert_eq!(unescape(&escaped, &mut buffer), Ok(path.as_bytes()));
        assert_eq!(split(&escaped).count(), 1, "{path}");
    }
}

#[test]
fn protected_commas() {
    for (value, protected) in [
        ("/a/b", "/a/b"),
        ("/a,b", r"/a\,b"),
        (r"/a\,b", r"/a\,b"),
        (r"/a\\,b", r"/a\\\,b"),
        (",", r"\,"),
        (r"\", r"\"),
    ] {
        let got: Vec<u8> = protect(value.as_bytes()).collect();
        assert_eq!(got, protected.as_bytes());
        assert_eq!(split(&got).count(), 1);
        let mut buffers = [[0; 16]; 2];
        let [first, second] = &mut buffers;
        assert_eq!(
            unescape(&got, first),
            unescape(value.as_bytes(), second),
            "{value}"
        );
    }
}

#[test]
fn shown_in_octal() {
    let shown = |value: &[u8]| show(value).collect::<Vec<u8>>();
    assert_eq!(shown(b"/a:/b=c"), b"/a:/b=c");
    assert_eq!(shown(b"a,b c\td\ne\\f"), br"a\054b\040c\011d\012e\134f");
    // Only what is in the set: no other byte is touched.
    assert_eq!(shown(b"\x01\x7f\xc3\xa9\""), b"\x01\x7f\xc3\xa9\"");
    assert_eq!(shown(b""), b"");
}

proptest! {
    #[test]
    fn any_option(value in prop::collection::vec(any::<u8>(), 0..64)) {
        check::mount_option(&value);
    }

    #[test]
    fn any_separators(value in "[a,=\\\\]{0,24}") {
        check::mount_option(value.as_bytes());
    }
}
