// SPDX-License-Identifier: GPL-2.0

//! Shared mappings of a lower file on tmpfs whose pages are in swap when it is
//! copied up.

use std::ffi::CString;
use std::fs::{read_to_string, set_permissions, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;

use crate::harness::bed::Bed;
use crate::support::early::Early;
use crate::support::mapping::PAGE;
use crate::support::must::{must, same_bytes};

tests! {
    ONCE: swapped_out_before_the_copy_up, swapped_in_after_it;
}

const LENGTH: usize = 1 << 20;
const SWAP_PAGES: usize = 4096;

/// A file on a disk that is swapped to.
struct Swap(PathBuf);

impl Swap {
    #[track_caller]
    fn on() -> Self {
        let scratch = std::env::var_os("ROVL_SCRATCH").unwrap_or("/mnt/scratch".into());
        let path = PathBuf::from(scratch).join("ext4/swap");
        let file = must("create a swap file", File::create(&path));
        // What mkswap writes: version 1, the last page, no bad pages, a magic.
        let mut header = vec![0; PAGE];
        let words = [1, SWAP_PAGES as u32 - 1, 0];
        for (index, word) in words.iter().enumerate() {
            header[1024 + index * 4..][..4].copy_from_slice(&word.to_ne_bytes());
        }
        header[PAGE - 10..].copy_from_slice(b"SWAPSPACE2");
        must("write", file.write_all_at(&header, 0));
        for page in 1..SWAP_PAGES {
            must("write", file.write_all_at(&[0; PAGE], (page * PAGE) as u64));
        }
        must("fsync", file.sync_all());
        must(
            "chmod",
            set_permissions(&path, Permissions::from_mode(0o600)),
        );
        let this = Self(path);
        // SAFETY: a string.
        must("swapon", this.call(|path| unsafe { libc::swapon(path, 0) }));
        this
    }

    fn call(&self, f: impl FnOnce(*const libc::c_char) -> i32) -> io::Result<()> {
        let path = CString::new(self.0.as_os_str().as_bytes())?;
        match f(path.as_ptr()) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    #[track_caller]
    fn assert_used(&self) {
        let swaps = must("read /proc/swaps", read_to_string("/proc/swaps"));
        let used = swaps
            .lines()
            .nth(1)
            .and_then(|line| line.split_whitespace().nth(3));
        assert_ne!(used, Some("0"), "nothing was swapped out:\n{swaps}");
    }

    /// Reads back what is in it.
    fn off(&self) -> io::Result<()> {
        // SAFETY: a string.
        self.call(|path| unsafe { libc::swapoff(path) })
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let _ = self.off();
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Has the pages of the lower file in swap.
#[track_caller]
fn swapped(bed: &Bed) -> (Swap, Early) {
    let swap = Swap::on();
    let [early, _] = Early::both_of(bed, LENGTH, LENGTH);
    must("MADV_PAGEOUT", early.map.advise(libc::MADV_PAGEOUT));
    swap.assert_used();
    (swap, early)
}

fn swapped_out_before_the_copy_up(bed: &Bed) {
    let (swap, mut early) = swapped(bed);
    let old = early.content.clone();
    early.rewrite(2);
    early.assert_current("after the copy-up");
    must("swapoff", swap.off());
    early.assert_current("after swapoff");
    same_bytes("the lower file", &bed.lower.read("touched"), &old);
}

fn swapped_in_after_it(bed: &Bed) {
    let (swap, mut early) = swapped(bed);
    let file = early.open_rw();
    must("swapoff", swap.off());
    early.assert_current("after swapoff");
    early.write(&file, 0, b"new");
    early.write(&file, LENGTH - 3, b"new");
    early.assert_current("after a write");
}
