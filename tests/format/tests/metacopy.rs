// SPDX-License-Identifier: GPL-2.0

//! Metacopy: `struct ovl_metacopy` of fs/overlayfs/overlayfs.h, `ovl_check_metacopy_xattr()` and
//! `ovl_set_metacopy_xattr()` of fs/overlayfs/util.c.

use rovl_format::format::{
    metacopy::{
        Metacopy,
        DIGEST_MAX,
        LEN_MAX, //
    },
    FormatError, //
};

/// `FS_VERITY_HASH_ALG_SHA256` of include/uapi/linux/fsverity.h.
const SHA256: u8 = 1;

/// Version 0, 4 + 32 bytes, no flags, SHA-256, and the digest.
fn golden() -> Vec<u8> {
    let mut bytes = vec![0, 36, 0, 1];
    bytes.extend(0..32);
    bytes
}

fn write(metacopy: &Metacopy) -> Vec<u8> {
    let mut buffer = [0xaa; LEN_MAX];
    metacopy.write(&mut buffer).unwrap().to_vec()
}

#[test]
fn digest() {
    let digest: Vec<u8> = (0..32).collect();
    let metacopy = Metacopy::with_digest(SHA256, &digest).unwrap();
    assert_eq!(write(&metacopy), golden());
    assert_eq!(Metacopy::parse(&golden()), Ok(metacopy));
    assert_eq!(metacopy.digest(), Some((SHA256, &digest[..])));

    assert_eq!(Metacopy::with_digest(0, &digest), Err(FormatError::Invalid));
    let longest = Metacopy::with_digest(2, &[1; DIGEST_MAX]).unwrap();
    assert_eq!(write(&longest).len(), 68);
    assert_eq!(
        Metacopy::with_digest(2, &[1; DIGEST_MAX + 1]),
        Err(FormatError::TooLong)
    );
}

#[test]
fn empty_value() {
    assert_eq!(Metacopy::parse(&[]), Ok(Metacopy::PLAIN));
    assert_eq!(write(&Metacopy::PLAIN), []);
    assert_eq!(Metacopy::PLAIN.digest(), None);
    // The header alone says the same.
    assert_eq!(Metacopy::parse(&[0, 4, 0, 0]), Ok(Metacopy::PLAIN));
}

/// C compares a digest of the wrong size with the data's and finds them different.
#[test]
fn algorithm_without_digest() {
    let metacopy = Metacopy::parse(&[0, 4, 0, 1]).unwrap();
    assert_eq!(metacopy.digest(), Some((1, &[][..])));
}

#[test]
fn flags_are_kept() {
    let value = [0, 4, 0x80, 0];
    assert_eq!(write(&Metacopy::parse(&value).unwrap()), value);
}

/// Digest bytes of no algorithm are not looked at.
#[test]
fn digest_without_algorithm() {
    let metacopy = Metacopy::parse(&[0, 6, 0, 0, 1, 2]).unwrap();
    assert_eq!(metacopy.digest(), None);
    assert_eq!(write(&metacopy), []);
}

#[test]
fn refused() {
    let mut later = golden();
    later[0] = 1;
    let mut shorter = golden();
    shorter[1] = 35;
    let mut longer = golden();
    longer[1] = 37;
    let mut too_long = vec![0, 69, 0, 2];
    too_long.resize(69, 7);
    for value in [
        &[0][..],
        &[0, 1],
        &[0, 3, 0],
        &later,
        &shorter,
        &longer,
        &too_long,
        &[0; 4],
        &[0; 260],
    ] {
        assert_eq!(
            Metacopy::parse(value),
            Err(FormatError::Invalid),
            "{value:?}"
        );
    }
}

#[test]
fn sizes() {
    for size in [0, 4, 36, 68, 69, 65536] {
        assert_eq!(Metacopy::check_size(size), Ok(()));
    }
    for size in 1..4 {
        assert_eq!(Metacopy::check_size(size), Err(FormatError::Invalid));
    }
}
