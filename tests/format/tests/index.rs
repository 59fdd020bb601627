// SPDX-License-Identifier: GPL-2.0

//! Names of index entries: `ovl_get_index_name_fh()` and `ovl_verify_index()` of
//! fs/overlayfs/namei.c.

use proptest::prelude::*;
use rovl_format::{
    check,
    format::{
        file_handle::FileHandle,
        index::{
            parse_name,
            write_name,
            NAME_MAX, //
        },
        uuid::Uuid,
        FormatError,
        Side, //
    },
};

/// Made by hand for a little-endian machine: `struct ovl_fb` with an all-0x5e UUID and a
/// `FILEID_INO32_GEN` of inode 12, generation 0xdeadbeef.
#[cfg(target_endian = "little")]
const GOLDEN: &str = concat!(
    "00",                               // version
    "fb",                               // magic
    "1d",                               // 29 bytes
    "00",                               // flags
    "01",                               // FILEID_INO32_GEN
    "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e", // uuid
    "0c000000",                         // inode
    "efbeadde",                         // generation
);

fn handle(words: &[u32]) -> FileHandle {
    FileHandle::new(Side::Lower, Uuid([0x5e; 16]), 1, words).unwrap()
}

#[cfg(target_endian = "little")]
#[test]
fn name_is_that_of_c() {
    let handle = handle(&[12, 0xdead_beef]);
    let mut buffer = [0; NAME_MAX];
    assert_eq!(write_name(&handle, &mut buffer), Ok(GOLDEN.as_bytes()));
    assert_eq!(parse_name(GOLDEN.as_bytes()), Ok(handle));
}

/// `hex2bin()` takes upper case, and half the length is rounded down.
#[cfg(target_endian = "little")]
#[test]
fn names_that_are_only_read() {
    let handle = handle(&[12, 0xdead_beef]);
    assert_eq!(parse_name(GOLDEN.to_uppercase().as_bytes()), Ok(handle));
    assert_eq!(parse_name(format!("{GOLDEN}f").as_bytes()), Ok(handle));
    assert_eq!(parse_name(format!("{GOLDEN}00").as_bytes()), Ok(handle));
}

#[cfg(target_endian = "little")]
#[test]
fn names_that_are_no_handle() {
    for name in ["", "#1", "index", "00fb", &GOLDEN[..40], &GOLDEN[..56]] {
        assert_eq!(
            parse_name(name.as_bytes()),
            Err(FormatError::Invalid),
            "{name}"
        );
    }
    let not_hex = GOLDEN.replace("5e", "5g");
    assert_eq!(parse_name(not_hex.as_bytes()), Err(FormatError::Invalid));
    // A later version aborts the mount in C, too: the index must not be damaged.
    let later = format!("01{}", &GOLDEN[2..]);
    assert_eq!(parse_name(later.as_bytes()), Err(FormatError::Unknown));
    let longer_than_a_name = format!("{GOLDEN}{}", "0".repeat(200));
    assert_eq!(
        parse_name(longer_than_a_name.as_bytes()),
        Err(FormatError::Invalid)
    );
}

/// 21 bytes of header and 26 words of fid are 250 digits; one word more passes `NAME_MAX`.
#[test]
fn longest_name() {
    let mut buffer = [0; NAME_MAX];
    assert_eq!(
        write_name(&handle(&[1; 26]), &mut buffer).unwrap().len(),
        250
    );
    assert_eq!(
        write_name(&handle(&[1; 27]), &mut buffer),
        Err(FormatError::TooLong)
    );
}

proptest! {
    #[test]
    fn any_digits(digits in "00[fF][bB][0-9a-fA-F]{2}0[0-7][0-9a-fA-F]{30,120}") {
        check::index_name(digits.as_bytes());
    }

    #[test]
    fn any_bytes(name in prop::collection::vec(any::<u8>(), 0..260)) {
        check::index_name(&name);
    }
}
