// SPDX-License-Identifier: GPL-2.0

//! Values of a few bytes: opaque, impure, uuid, protattr; what a whiteout is; names in workdir.

use proptest::prelude::*;
use rovl_format::{
    check,
    format::{
        opaque::{
            is_impure,
            Opaque, //
        },
        protattr::ProtAttr,
        uuid::Uuid,
        whiteout,
        workdir::{
            is_temp_name,
            write_temp_name,
            VOLATILE_DIRTY, //
        },
        FormatError, //
    },
};

/// `ovl_get_dir_xattr_val()` reads one byte and takes anything longer as absent.
#[test]
fn opaque() {
    assert_eq!(Opaque::parse(b"y"), Some(Opaque::Opaque));
    assert_eq!(Opaque::parse(b"x"), Some(Opaque::XattrWhiteouts));
    for value in [&b""[..], b"n", b"Y", b"yy", b"y\0", b"x\n", b"\xff"] {
        assert_eq!(Opaque::parse(value), None, "{value:?}");
    }
    for opaque in [Opaque::Opaque, Opaque::XattrWhiteouts] {
        assert_eq!(Opaque::parse(opaque.as_bytes()), Some(opaque));
    }
}

#[test]
fn impure() {
    assert!(is_impure(b"y"));
    for value in [&b""[..], b"x", b"yy"] {
        assert!(!is_impure(value), "{value:?}");
    }
}

/// `ovl_init_uuid_xattr()` wants `UUID_SIZE` bytes.
#[test]
fn uuid() {
    let bytes: [u8; 16] = core::array::from_fn(|i| i as u8);
    assert_eq!(Uuid::parse(&bytes), Ok(Uuid(bytes)));
    assert_eq!(Uuid::parse(&bytes[..15]), Err(FormatError::Invalid));
    assert_eq!(Uuid::parse(&[1; 17]), Err(FormatError::Invalid));
    assert_eq!(Uuid::parse(&[]), Err(FormatError::Invalid));
    assert_eq!(Uuid(bytes).as_bytes(), &bytes);
    assert!(Uuid::NULL.is_null());
    assert!(!Uuid(bytes).is_null());
}

/// `IS_WHITEOUT()` of include/linux/fs.h.
#[test]
fn whiteouts() {
    assert_eq!(whiteout::MODE, 0o020000);
    assert!(whiteout::is_whiteout(whiteout::MODE, whiteout::DEVICE));
    assert!(whiteout::is_whiteout(0o020644, 0));
    // null(1,3): MKDEV() shifts the major number by 20.
    assert!(!whiteout::is_whiteout(0o020666, 1 << 20 | 3));
    // A block device has the bits of a character device and one more.
    assert!(!whiteout::is_whiteout(0o060644, 0));
    assert!(!whiteout::is_whiteout(0o100644, 0));
    assert!(!whiteout::is_whiteout(0o040755, 0));
}

/// `ovl_path_check_xwhiteout_xattr()`.
#[test]
fn whiteouts_by_attribute() {
    assert!(whiteout::may_be_xattr_whiteout(0o100000, 0));
    assert!(whiteout::may_be_xattr_whiteout(0o104755, 0));
    assert!(!whiteout::may_be_xattr_whiteout(0o100644, 1));
    // A symbolic link has the bit of a regular file and one more.
    assert!(!whiteout::may_be_xattr_whiteout(0o120777, 0));
    assert!(!whiteout::may_be_xattr_whiteout(0o020000, 0));
}

/// `ovl_check_protattr()` and `ovl_set_protattr()`.
#[test]
fn protection() {
    let flags = |append, immutable| ProtAttr { append, immutable };
    for (value, expected) in [
        (&b"a"[..], flags(true, false)),
        (b"i", flags(false, true)),
        (b"ai", flags(true, true)),
        (b"ia", flags(true, true)),
        (b"aa", flags(true, false)),
        (&[b'i'; 32], flags(false, true)),
    ] {
        assert_eq!(ProtAttr::parse(value), Ok(expected), "{value:?}");
    }
    for value in [&b""[..], b"A", b"ax", b"a\0", b"a ", &[b'i'; 33]] {
        assert_eq!(
            ProtAttr::parse(value),
            Err(FormatError::Invalid),
            "{value:?}"
        );
    }
    assert_eq!(flags(true, true).as_bytes(), b"ai");
    assert_eq!(flags(true, false).as_bytes(), b"a");
    assert_eq!(flags(false, true).as_bytes(), b"i");
    assert_eq!(flags(false, false).as_bytes(), b"");
}

/// `ovl_tempname()`: "#%x".
#[test]
fn temporary_names() {
    let mut buffer = [0; 10];
    assert_eq!(write_temp_name(1, &mut buffer), Ok(c"#1"));
    assert_eq!(write_temp_name(0, &mut buffer), Ok(c"#0"));
    assert_eq!(write_temp_name(0xbeef, &mut buffer), Ok(c"#beef"));
    assert_eq!(write_temp_name(u32::MAX, &mut buffer), Ok(c"#ffffffff"));
    assert!(is_temp_name(b"#beef"));
    assert!(!is_temp_name(b"00fb"));
    assert!(!is_temp_name(b""));
}

/// `ovl_create_volatile_dirty()`.
#[test]
fn volatile_marker() {
    let path: Vec<_> = VOLATILE_DIRTY.map(|name| name.to_str().unwrap()).into();
    assert_eq!(path.join("/"), "work/incompat/volatile/dirty");
}

proptest! {
    #[test]
    fn any_bytes(value in prop::collection::vec(any::<u8>(), 0..80)) {
        check::small_values(&value);
    }

    #[test]
    fn any_nlink(value in "[UL][+-][0-9\\n\\x00]{0,10}") {
        check::small_values(value.as_bytes());
    }

    #[test]
    fn any_metacopy(flags in any::<u8>(), algorithm in 0u8..3, len in 0usize..70) {
        let mut value = vec![0, (len + 4) as u8, flags, algorithm];
        value.resize(len + 4, 0x11);
        check::small_values(&value);
    }

    #[test]
    fn any_protattr(value in "[ai]{0,34}") {
        check::small_values(value.as_bytes());
    }
}
