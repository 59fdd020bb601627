// SPDX-License-Identifier: GPL-2.0

//! Link counts of unions: `ovl_set_nlink_common()` and `ovl_get_nlink()` of fs/overlayfs/inode.c.

use proptest::prelude::*;
use rovl_format::format::{
    nlink::{
        Nlink,
        LEN_MAX, //
    },
    FormatError,
    Side, //
};

fn written(relative_to: Side, difference: i32) -> String {
    let mut buffer = [0; LEN_MAX];
    let nlink = Nlink {
        relative_to,
        difference,
    };
    String::from_utf8(nlink.write(&mut buffer).unwrap().to_vec()).unwrap()
}

/// `"U%+i"` and `"L%+i"`.
#[test]
fn written_as_c_writes() {
    assert_eq!(written(Side::Upper, 1), "U+1");
    assert_eq!(written(Side::Upper, 0), "U+0");
    assert_eq!(written(Side::Lower, -2), "L-2");
    assert_eq!(written(Side::Lower, i32::MIN), "L-2147483648");
    assert_eq!(written(Side::Upper, i32::MAX), "U+2147483647");
}

#[test]
fn relative() {
    let nlink = Nlink::new(Side::Upper, 3, 5).unwrap();
    assert_eq!(nlink.difference, -2);
    assert_eq!(nlink.union(100, 5), Some(3));
    let nlink = Nlink::new(Side::Lower, 5, 3).unwrap();
    assert_eq!(nlink.difference, 2);
    assert_eq!(nlink.union(3, 100), Some(5));
    assert_eq!(
        Nlink::new(Side::Lower, u32::MAX, 0),
        Err(FormatError::TooLong)
    );
}

#[test]
fn read_as_c_reads() {
    for (value, relative_to, difference) in [
        ("U+1", Side::Upper, 1),
        ("L-2", Side::Lower, -2),
        ("U-0", Side::Upper, 0),
        ("U+007", Side::Upper, 7),
        ("U+2147483647", Side::Upper, i32::MAX),
        ("L-2147483648", Side::Lower, i32::MIN),
        // kstrtoint() allows one newline, and sees nothing behind a NUL.
        ("U+1\n", Side::Upper, 1),
        ("U+1\0", Side::Upper, 1),
        ("U+1\n\0+", Side::Upper, 1),
    ] {
        assert_eq!(
            Nlink::parse(value.as_bytes()),
            Ok(Nlink {
                relative_to,
                difference
            }),
            "{value:?}"
        );
    }
}

#[test]
fn refused() {
    for value in [
        "",
        "U",
        "U+",
        "U-",
        "U1",
        "u+1",
        "X+1",
        "+1",
        "U++1",
        "U+-1",
        "U--1",
        "U +1",
        "U+ 1",
        "U+1 ",
        "U+0x1",
        "U+1\n\n",
        "U+\n",
        "U+\0",
        "\0",
        "U+2147483648",
        "U-2147483649",
        "U+9999999999",
        // Longer than the buffer that C reads it into.
        "U+00000000001",
    ] {
        assert_eq!(
            Nlink::parse(value.as_bytes()),
            Err(FormatError::Invalid),
            "{value:?}"
        );
    }
}

/// A count that is not positive is not believed.
#[test]
fn impossible_counts() {
    let nlink = |difference| Nlink {
        relative_to: Side::Upper,
        difference,
    };
    assert_eq!(nlink(-1).union(9, 1), None);
    assert_eq!(nlink(-2).union(9, 1), None);
    assert_eq!(nlink(i32::MIN).union(9, u32::MAX), Some(i32::MAX as u32));
    assert_eq!(nlink(i32::MAX).union(9, 1), None);
    assert_eq!(nlink(i32::MAX).union(9, u32::MAX), None);
    assert_eq!(nlink(0).union(9, 0), None);
}

proptest! {
    #[test]
    fn counts_come_back(union in 1u32..1 << 20, real in 0u32..1 << 20, upper in any::<bool>()) {
        let side = if upper { Side::Upper } else { Side::Lower };
        let nlink = Nlink::new(side, union, real).unwrap();
        let mut buffer = [0; LEN_MAX];
        let read = Nlink::parse(nlink.write(&mut buffer).unwrap()).unwrap();
        let (lower, upper) = if upper { (7, real) } else { (real, 7) };
        prop_assert_eq!(read.union(lower, upper), Some(union));
    }
}
