// SPDX-License-Identifier: GPL-2.0

//! fs-verity: making a file one that cannot change, and asking for its digest.

use std::io;
use std::os::fd::AsRawFd;

use crate::support::dir::Dir;
use crate::support::must::must;

const FS_IOC_ENABLE_VERITY: libc::Ioctl = 0x4080_6685;
const FS_IOC_MEASURE_VERITY: libc::Ioctl = 0xc004_6686;

/// SHA-256, 32 bytes.
pub const SHA256: u32 = 1;
/// SHA-512, 64 bytes.
pub const SHA512: u32 = 2;

/// `struct fsverity_enable_arg`.
#[repr(C)]
#[derive(Default)]
struct Enable {
    version: u32,
    algorithm: u32,
    block_size: u32,
    salt_size: u32,
    salt: u64,
    signature_size: u32,
    reserved1: u32,
    signature: u64,
    reserved2: [u64; 11],
}

/// `struct fsverity_digest`, with room.
#[repr(C)]
struct Digest {
    algorithm: u16,
    size: u16,
    digest: [u8; 64],
}

/// Enables it for a file of a layer.
#[track_caller]
pub fn enable(dir: &Dir, name: &str, algorithm: u32) {
    let blocks = must("statfs", rustix::fs::statfs(dir.path())).f_bsize;
    let enable = Enable {
        version: 1,
        algorithm,
        block_size: blocks.min(4096) as u32,
        ..Enable::default()
    };
    let file = dir.open_read(name);
    // SAFETY: the kernel reads the structure.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_ENABLE_VERITY, &raw const enable) };
    let result = if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    };
    must(format_args!("FS_IOC_ENABLE_VERITY of {dir}/{name}"), result);
}

/// The digest of a file that has it.
#[track_caller]
pub fn digest(dir: &Dir, name: &str) -> Vec<u8> {
    let mut digest = Digest {
        algorithm: 0,
        size: 64,
        digest: [0; 64],
    };
    let file = dir.open_read(name);
    // SAFETY: the kernel fills as much as there is room.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_MEASURE_VERITY, &raw mut digest) };
    assert_eq!(
        result,
        0,
        "FS_IOC_MEASURE_VERITY: {}",
        io::Error::last_os_error()
    );
    digest.digest[..usize::from(digest.size)].to_vec()
}

/// The value of a metacopy's attribute that tells this digest.
pub fn metacopy(algorithm: u32, digest: &[u8]) -> Vec<u8> {
    let mut value = vec![0, 4 + digest.len() as u8, 0, algorithm as u8];
    value.extend_from_slice(digest);
    value
}
