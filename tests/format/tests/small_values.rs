// SPDX-License-Identifier: GPL-2.0

//! Values that are one or two fields: opaque, impure, uuid, and what a whiteout is.

use rovl_format::format::{
    opaque::{
        is_impure,
        Opaque, //
    },
    uuid::Uuid,
    whiteout,
    FormatError, //
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
