// SPDX-License-Identifier: GPL-2.0

//! What a mount says of its options.

use std::mem::size_of;

use rustix::fs::{statx, AtFlags, StatxFlags, CWD};

use crate::support::dir::Dir;
use crate::support::must::must;

/// Options that are the VFS's, not the filesystem's.
const GENERAL: [&str; 7] = [
    "rw", "ro", "relatime", "noatime", "nosuid", "nodev", "noexec",
];

/// The fields of the mount's line in `/proc/self/mounts`: source, mount point,
/// type, options.
#[track_caller]
pub fn fields(at: &Dir) -> Vec<String> {
    let mounts = must("read mounts", std::fs::read_to_string("/proc/self/mounts"));
    let line = mounts
        .lines()
        .rfind(|line| line.split(' ').nth(1) == Some(&at.to_string()))
        .unwrap_or_else(|| panic!("{at} is not in /proc/self/mounts"));
    line.split(' ').map(String::from).collect()
}

/// The filesystem's own options of that line, as it is: with octal escapes.
#[track_caller]
pub fn raw(at: &Dir) -> String {
    let fields = fields(at);
    let own: Vec<_> = fields[3]
        .split(',')
        .filter(|option| !GENERAL.contains(option))
        .collect();
    own.join(",")
}

/// The filesystem's own options, each by itself, as whoever reads `/proc/self/mounts`
/// understands them.
#[track_caller]
pub fn list(at: &Dir) -> Vec<String> {
    raw(at).split(',').map(unescape).collect()
}

/// Replaces octal escapes by what they stand for.
pub fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|digits| {
            byte == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
        });
        match octal {
            Some(digits) => {
                bytes.push(digits.iter().fold(0, |sum: u8, digit| {
                    sum.wrapping_mul(8).wrapping_add(digit - b'0')
                }));
                rest = &behind[3..];
            }
            None => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a mount is read-only as a filesystem, whatever the mount is.
#[track_caller]
pub fn is_readonly(at: &Dir) -> bool {
    let info = must("read", std::fs::read_to_string("/proc/self/mountinfo"));
    let line = info
        .lines()
        .rfind(|line| line.split(' ').nth(4) == Some(&at.to_string()))
        .unwrap_or_else(|| panic!("{at} is not in mountinfo"));
    let own = line
        .split(" - ")
        .nth(1)
        .and_then(|own| own.split(' ').nth(2));
    own.expect("mountinfo has options")
        .split(',')
        .any(|option| option == "ro")
}

/// The options that `statmount(2)` tells, without escapes, separated by commas; those it
/// tells one by one, if the kernel does.
#[track_caller]
pub fn by_statmount(at: &Dir) -> (String, Vec<String>) {
    let text = call(at, STATMOUNT_MNT_OPTS);
    let options = String::from_utf8_lossy(text.string(text.head.mnt_opts)).into_owned();
    let array = call(at, STATMOUNT_OPT_ARRAY);
    let mut list = Vec::new();
    let mut rest = &array.strings[array.head.opt_array as usize..];
    for _ in 0..array.head.opt_num {
        let end = rest.iter().position(|&byte| byte == 0).expect("a NUL");
        list.push(String::from_utf8_lossy(&rest[..end]).into_owned());
        rest = &rest[end + 1..];
    }
    (options, list)
}

const SYS_STATMOUNT: libc::c_long = 457;
const STATMOUNT_MNT_OPTS: u64 = 0x80;
const STATMOUNT_OPT_ARRAY: u64 = 0x400;

/// The begin of `struct statmount` of `linux/mount.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Head {
    size: u32,
    mnt_opts: u32,
    mask: u64,
    skipped: [u64; 13],
    fs_subtype: u32,
    sb_source: u32,
    opt_num: u32,
    opt_array: u32,
    more: [u64; 47],
}

struct Answer {
    head: Head,
    strings: Vec<u8>,
}

impl Answer {
    fn string(&self, at: u32) -> &[u8] {
        let rest = &self.strings[at as usize..];
        let end = rest.iter().position(|&byte| byte == 0).expect("a NUL");
        &rest[..end]
    }
}

#[track_caller]
fn call(at: &Dir, mask: u64) -> Answer {
    /// `struct mnt_id_req`.
    #[repr(C)]
    struct Request {
        size: u32,
        spare: u32,
        id: u64,
        param: u64,
        namespace: u64,
    }
    const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
    let wanted = StatxFlags::from_bits_retain(STATX_MNT_ID_UNIQUE);
    let stat = must("statx", statx(CWD, at.path(), AtFlags::empty(), wanted));
    let request = Request {
        size: size_of::<Request>() as u32,
        spare: 0,
        id: stat.stx_mnt_id,
        param: mask,
        namespace: 0,
    };
    let mut buffer = vec![0_u8; 1 << 20];
    // SAFETY: the kernel reads the request and writes to the buffer, of the length that is given.
    let ret = unsafe {
        libc::syscall(
            SYS_STATMOUNT,
            &raw const request,
            buffer.as_mut_ptr(),
            buffer.len(),
            0,
        )
    };
    assert_eq!(ret, 0, "statmount: {}", std::io::Error::last_os_error());
    // SAFETY: the buffer is longer, and any bytes are a `Head`.
    let head: Head = unsafe { std::ptr::read_unaligned(buffer.as_ptr().cast()) };
    assert_ne!(head.mask & mask, 0, "statmount does not tell the options");
    let strings = buffer.split_off(size_of::<Head>());
    Answer { head, strings }
}
