// SPDX-License-Identifier: GPL-2.0

//! File handles.
//!
//! The golden bytes are put together by hand from `struct ovl_fb` and `OVL_FH_*` of
//! fs/overlayfs/overlayfs.h and from `ovl_encode_real_fh()` of fs/overlayfs/copy_up.c, for a
//! filesystem that encodes `FILEID_INO32_GEN` (type 1: inode number, generation).

use proptest::prelude::*;
use rovl_format::check;
use rovl_format::format::{
    file_handle::{
        FileHandle,
        FID_MAX,
        LEN_MAX,
        WIRE_MAX,
        WIRE_TYPE,
        WIRE_TYPE_UNALIGNED, //
    },
    uuid::Uuid,
    FormatError,
    Side, //
};

const CPU_ENDIAN: u8 = if cfg!(target_endian = "big") { 1 } else { 0 };
const OTHER_ENDIAN: u8 = CPU_ENDIAN ^ 1;

const UUID: Uuid = Uuid([
    0x6b, 0x1e, 0x2f, 0x00, 0x51, 0x9a, 0x4c, 0x3d, 0x8e, 0x7f, 0x10, 0x21, 0x32, 0x43, 0x54, 0x65,
]);

/// Inode 0x01020304, generation 0x0a0b0c0d.
const FID: [u32; 2] = [0x0102_0304, 0x0a0b_0c0d];

/// The handle of `FID` in a lower layer.
fn golden() -> Vec<u8> {
    let mut bytes = vec![
        0,          // version
        0xfb,       // magic
        29,         // 21 bytes of header, 8 of fid
        CPU_ENDIAN, // flags
        1,          // FILEID_INO32_GEN
    ];
    bytes.extend_from_slice(&UUID.0);
    if cfg!(target_endian = "big") {
        bytes.extend_from_slice(&[1, 2, 3, 4, 0x0a, 0x0b, 0x0c, 0x0d]);
    } else {
        bytes.extend_from_slice(&[4, 3, 2, 1, 0x0d, 0x0c, 0x0b, 0x0a]);
    }
    bytes
}

fn golden_with(offset: usize, byte: u8) -> Vec<u8> {
    let mut bytes = golden();
    bytes[offset] = byte;
    bytes
}

#[test]
fn written_as_c_writes() {
    let mut buffer = [0xaa; LEN_MAX];
    let handle = FileHandle::new(Side::Lower, UUID, 1, &FID).unwrap();
    assert_eq!(handle.write(&mut buffer).unwrap(), golden());
    assert_eq!(handle.disk_len(), 29);

    let handle = FileHandle::new(Side::Upper, UUID, 1, &FID).unwrap();
    assert_eq!(
        handle.write(&mut buffer).unwrap(),
        golden_with(3, CPU_ENDIAN | 4)
    );
}

#[test]
fn read_as_c_reads() {
    let handle = FileHandle::parse(&golden()).unwrap();
    assert_eq!(handle.side(), Side::Lower);
    assert_eq!(handle.uuid(), UUID);
    assert_eq!(handle.fid_type(), 1);
    assert_eq!(handle.fid(), FID);
    assert_eq!(handle, FileHandle::new(Side::Lower, UUID, 1, &FID).unwrap());

    let upper = FileHandle::parse(&golden_with(3, CPU_ENDIAN | 4)).unwrap();
    assert_eq!(upper.side(), Side::Upper);
    assert_ne!(upper, handle);
}

/// `ovl_check_fb_len()`: `-EINVAL`.
#[test]
fn garbage_is_invalid() {
    let invalid = Err(FormatError::Invalid);
    assert_eq!(FileHandle::parse(&[]), invalid);
    assert_eq!(FileHandle::parse(&golden()[..20]), invalid);
    // Shorter than its own length.
    assert_eq!(FileHandle::parse(&golden()[..28]), invalid);
    assert_eq!(FileHandle::parse(&golden_with(1, 0xfa)), invalid);
    // The magic is looked at first: this is garbage, not a later version.
    let mut bytes = golden_with(1, 0xfa);
    bytes[0] = 1;
    assert_eq!(FileHandle::parse(&bytes), invalid);
}

/// `ovl_check_fb_len()`: `-ENODATA`, "origin unknown".
#[test]
fn what_another_kernel_wrote_is_unknown() {
    for bytes in [
        golden_with(0, 1),
        golden_with(3, CPU_ENDIAN | 8),
        golden_with(3, CPU_ENDIAN | 0x80),
        golden_with(3, OTHER_ENDIAN),
        golden_with(3, OTHER_ENDIAN | 4),
    ] {
        assert_eq!(FileHandle::parse(&bytes), Err(FormatError::Unknown));
        assert_eq!(FileHandle::from_xattr(&bytes), Ok(None));
    }
    // "Any" makes the other flag meaningless.
    assert!(FileHandle::parse(&golden_with(3, OTHER_ENDIAN | 2)).is_ok());
    assert!(FileHandle::parse(&golden_with(3, CPU_ENDIAN | 2)).is_ok());
}

#[test]
fn attribute_without_a_handle() {
    assert_eq!(FileHandle::from_xattr(&[]), Ok(None));
    assert_eq!(FileHandle::from_xattr(&[0]), Err(FormatError::Invalid));
    assert_eq!(
        FileHandle::from_xattr(&golden()),
        FileHandle::parse(&golden()).map(Some)
    );
}

#[test]
fn bytes_behind_the_handle_are_ignored() {
    let mut bytes = golden();
    bytes.extend_from_slice(&[1, 2, 3]);
    assert_eq!(FileHandle::parse(&bytes), FileHandle::parse(&golden()));
}

/// C takes 21 from any length; nothing that it writes is shorter.
#[test]
fn length_without_a_header_is_invalid() {
    for len in [0, 1, 20] {
        assert_eq!(
            FileHandle::parse(&golden_with(2, len)),
            Err(FormatError::Invalid)
        );
    }
    let handle = FileHandle::parse(&golden_with(2, 21)).unwrap();
    assert_eq!(handle.fid(), &[] as &[u32]);
}

#[test]
fn longest_fid() {
    let handle = FileHandle::new(Side::Lower, UUID, 1, &[7; FID_MAX]).unwrap();
    let mut buffer = [0; LEN_MAX];
    let bytes = handle.write(&mut buffer).unwrap();
    // MAX_HANDLE_SZ is 128.
    assert_eq!(bytes.len(), 21 + 128);
    assert_eq!(FileHandle::parse(bytes), Ok(handle));

    assert_eq!(
        FileHandle::new(Side::Lower, UUID, 1, &[7; FID_MAX + 1]),
        Err(FormatError::TooLong)
    );
    let mut longer = bytes.to_vec();
    longer[2] += 1;
    longer.push(0);
    assert_eq!(FileHandle::parse(&longer), Err(FormatError::Invalid));
    assert_eq!(
        FileHandle::new(Side::Lower, UUID, 0xff, &FID),
        Err(FormatError::Invalid)
    );
}

/// `exportfs_decode_fh()` is given whole words; `ovl_verify_fh()` compares the rest too.
#[test]
fn broken_last_word() {
    let mut bytes = golden();
    bytes[2] = 31;
    bytes.extend_from_slice(&[9, 9]);
    let handle = FileHandle::parse(&bytes).unwrap();
    assert_eq!(handle.fid(), FID);
    assert_eq!(handle.disk_len(), 31);
    assert_ne!(handle, FileHandle::parse(&golden()).unwrap());

    let mut buffer = [0; LEN_MAX];
    assert_eq!(handle.write(&mut buffer).unwrap(), bytes);
}

#[test]
fn buffer_too_small() {
    let handle = FileHandle::new(Side::Lower, UUID, 1, &FID).unwrap();
    assert_eq!(handle.write(&mut [0; 28]), Err(FormatError::TooLong));
    assert_eq!(handle.write_wire(&mut [0; 7]), Err(FormatError::TooLong));
}

/// `struct ovl_fh`: three bytes of padding, then the handle.
#[test]
fn wire() {
    let handle = FileHandle::new(Side::Lower, UUID, 1, &FID).unwrap();
    assert_eq!(handle.wire_len(), 8);

    let mut words = [0xffff_ffff; WIRE_MAX];
    assert_eq!(handle.write_wire(&mut words), Ok(8));
    let bytes: Vec<u8> = words[..8].iter().flat_map(|w| w.to_ne_bytes()).collect();
    assert_eq!(bytes[..3], [0, 0, 0]);
    assert_eq!(bytes[3..], golden());
    // The fid is aligned and so are its words.
    assert_eq!(words[6..8], FID);

    assert_eq!(FileHandle::from_wire(WIRE_TYPE, &words[..8]), Ok(handle));
    assert_eq!(
        FileHandle::from_wire(WIRE_TYPE, &words[..7]),
        Err(FormatError::Invalid)
    );
    assert_eq!(
        FileHandle::from_wire(1, &words[..8]),
        Err(FormatError::Invalid)
    );
    assert_eq!(
        FileHandle::from_wire(WIRE_TYPE, &[]),
        Err(FormatError::Invalid)
    );

    let mut unaligned = golden();
    unaligned.extend_from_slice(&[0; 3]);
    let words: Vec<u32> = unaligned
        .chunks(4)
        .map(|word| u32::from_ne_bytes(word.try_into().unwrap()))
        .collect();
    assert_eq!(
        FileHandle::from_wire(WIRE_TYPE_UNALIGNED, &words),
        Ok(handle)
    );
    assert_eq!(
        FileHandle::from_wire(WIRE_TYPE_UNALIGNED, &[]),
        Err(FormatError::Invalid)
    );
}

/// A caller of `open_by_handle_at()` may say that its handle is longer than any.
#[test]
fn overlong_wire() {
    let handle = FileHandle::new(Side::Upper, UUID, 1, &[3; FID_MAX]).unwrap();
    let mut words = vec![0; 100];
    assert_eq!(handle.write_wire(&mut words), Ok(WIRE_MAX));
    assert_eq!(FileHandle::from_wire(WIRE_TYPE, &words), Ok(handle));
}

proptest! {
    #[test]
    fn written_is_read(
        upper in any::<bool>(),
        uuid in any::<[u8; 16]>(),
        fid_type in 0u8..0xff,
        fid in prop::collection::vec(any::<u32>(), 0..=FID_MAX),
    ) {
        let side = if upper { Side::Upper } else { Side::Lower };
        let handle = FileHandle::new(side, Uuid(uuid), fid_type, &fid).unwrap();
        prop_assert_eq!(handle.fid(), &fid[..]);
        prop_assert_eq!((handle.side(), handle.fid_type()), (side, fid_type));
        prop_assert_eq!(handle.uuid(), Uuid(uuid));

        let mut buffer = [0; LEN_MAX];
        let bytes = handle.write(&mut buffer).unwrap();
        prop_assert_eq!(bytes.len(), handle.disk_len());
        prop_assert_eq!(FileHandle::parse(bytes), Ok(handle));

        let mut words = [0; WIRE_MAX];
        let len = handle.write_wire(&mut words).unwrap();
        prop_assert_eq!(FileHandle::from_wire(WIRE_TYPE, &words[..len]), Ok(handle));
    }

    #[test]
    fn any_bytes(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        plausible in any::<bool>(),
    ) {
        if let (true, [version, magic, _, flags, ..]) = (plausible, &mut bytes[..]) {
            (*version, *magic) = (0, 0xfb);
            *flags &= 7;
        }
        check::file_handle(&bytes);
    }
}
