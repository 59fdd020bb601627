// SPDX-License-Identifier: GPL-2.0

//! Performance events that tell of memory mappings.

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::path::{Path, PathBuf};

use rustix::mm::{MapFlags, ProtFlags};

use crate::support::mapping::{Map, PAGE};
use crate::support::must::must;

/// Pages for records; a power of two.
const RING: usize = 8;
const PERF_TYPE_SOFTWARE: u64 = 1;
const PERF_COUNT_SW_DUMMY: u64 = 9;
/// The size of the first version of `perf_event_attr`.
const ATTRIBUTES: usize = 64;
/// The bits `mmap`, `mmap_data` and `mmap2`.
const WITH_MAPPINGS: u64 = 1 << 8 | 1 << 17 | 1 << 23;
const PERF_RECORD_MMAP2: u32 = 10;
const PERF_FLAG_FD_CLOEXEC: u64 = 8;

/// What a record tells of a mapping.
#[derive(Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Where it begins.
    pub address: usize,
    /// The device's numbers.
    pub device: (u32, u32),
    /// The inode number.
    pub inode: u64,
    /// The file's path.
    pub path: PathBuf,
}

/// A recording of what this process maps.
pub struct Recording {
    ring: Map,
    _event: File,
}

impl Recording {
    /// Begins one; nothing if the kernel has no performance events.
    #[track_caller]
    pub fn start() -> Option<Self> {
        if !Path::new("/proc/sys/kernel/perf_event_paranoid").exists() {
            return None;
        }
        let attributes: [u64; ATTRIBUTES / 8] = [
            PERF_TYPE_SOFTWARE | (ATTRIBUTES as u64) << 32,
            PERF_COUNT_SW_DUMMY,
            0,
            0,
            0,
            WITH_MAPPINGS,
            0,
            0,
        ];
        // SAFETY: the attributes have the size that they tell.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                attributes.as_ptr(),
                0,
                -1,
                -1,
                PERF_FLAG_FD_CLOEXEC,
            )
        };
        assert!(fd >= 0, "perf_event_open: {}", io::Error::last_os_error());
        // SAFETY: a new descriptor.
        let event = unsafe { File::from_raw_fd(fd as i32) };
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let ring = must(
            "mmap",
            Map::new(&event, (1 + RING) * PAGE, prot, MapFlags::SHARED),
        );
        Some(Self {
            ring,
            _event: event,
        })
    }

    /// What was mapped since.
    pub fn mapped(&self) -> Vec<Mapped> {
        let word = |bytes: &[u8], at: usize| {
            u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
        };
        let long = |bytes: &[u8], at: usize| {
            u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
        };
        // `data_head` of `perf_event_mmap_page`.
        let head = long(&self.ring.part(1024, 8), 0) as usize;
        assert!(head < RING * PAGE, "there were too many records");
        let records = self.ring.part(PAGE, head);
        let (mut mapped, mut at) = (Vec::new(), 0);
        while at < head {
            let size = usize::from(u16::from_ne_bytes([records[at + 6], records[at + 7]]));
            let record = &records[at..at + size];
            if word(record, 0) == PERF_RECORD_MMAP2 {
                let name = record[72..].split(|&byte| byte == 0).next();
                let name = String::from_utf8_lossy(name.unwrap_or_default());
                mapped.push(Mapped {
                    address: long(record, 16) as usize,
                    device: (word(record, 40), word(record, 44)),
                    inode: long(record, 48),
                    path: PathBuf::from(name.as_ref()),
                });
            }
            at += size;
        }
        mapped
    }
}
