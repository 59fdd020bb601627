// SPDX-License-Identifier: GPL-2.0

//! Escapes in mount options: `ovl_next_opt()` and `ovl_unescape()` of fs/overlayfs/params.c, and
//! `seq_show_option()` of include/linux/seq_file.h.

use proptest::prelude::*;
use rovl_format::format::{
    mount_option::{
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
fn shown_in_octal() {
    let shown = |value: &[u8]| show(value).collect::<Vec<u8>>();
    assert_eq!(shown(b"/a:/b=c"), b"/a:/b=c");
    assert_eq!(shown(b"a,b c\td\ne\\f"), br"a\054b\040c\011d\012e\134f");
    // Only what is in the set: no other byte is touched.
    assert_eq!(shown(b"\x01\x7f\xc3\xa9\""), b"\x01\x7f\xc3\xa9\"");
    assert_eq!(shown(b""), b"");
}

/// Undoes the kernel's octal escapes, as the readers of /proc/self/mountinfo do.
fn unshow(mut shown: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    loop {
        match shown {
            [b'\\', a, b, c, rest @ ..] => {
                value.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                shown = rest;
            }
            [byte, rest @ ..] => {
                value.push(*byte);
                shown = rest;
            }
            [] => return value,
        }
    }
}

proptest! {
    #[test]
    fn shown_can_be_read_back(value in prop::collection::vec(any::<u8>(), 0..64)) {
        let shown: Vec<u8> = show(&value).collect();
        prop_assert!(!shown.iter().any(|b| b", \t\n".contains(b)));
        prop_assert_eq!(unshow(&shown), value);
    }

    #[test]
    fn unescaping_fits_in_place(escaped in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut buffer = vec![0; escaped.len()];
        prop_assert!(unescape(&escaped, &mut buffer).is_ok());
    }

    #[test]
    fn parts_are_the_whole(options in "[a,=\\\\]{0,24}") {
        prop_assert_eq!(parts(&options).join(","), options);
    }
}
