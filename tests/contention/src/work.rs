// SPDX-License-Identifier: GPL-2.0

//! What the threads do.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    thread,
    time::{Duration, Instant},
};

const THREADS: usize = 2;
const FILES: usize = 32;
const PAGE: usize = 4096;
/// Pages that each thread overwrites.
const PAGES: u64 = 64;

/// A page that direct I/O takes.
#[repr(align(4096))]
struct Page([u8; PAGE]);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Each thread looks at, reads, writes, creates, lists and removes what is in a directory of its
    /// own.
    UnrelatedFiles,
    /// Each copies up the files of a directory of its own, and removes them.
    CopyUps,
    /// Each overwrites its part of one file by direct I/O.
    DirectOverwrites,
    /// Each truncates one and the same file, which is done under the lock of its inode, and
    /// writes to it, for which the overlay has to wait.
    OneFile,
}

impl Work {
    pub const ALL: [Self; 4] = [
        Self::UnrelatedFiles,
        Self::CopyUps,
        Self::DirectOverwrites,
        Self::OneFile,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::UnrelatedFiles => "unrelated-files",
            Self::CopyUps => "copy-ups",
            Self::DirectOverwrites => "direct-overwrites",
            Self::OneFile => "one-file",
        }
    }

    /// Whether the threads are meant to wait for each other.
    pub fn shares_a_lock(self) -> bool {
        self == Self::OneFile
    }

    /// Fills the lower layer.
    pub fn fill(self, lower: &Path) -> io::Result<()> {
        let files = if self == Self::CopyUps { 4000 } else { FILES };
        for thread in 0..THREADS {
            let dir = lower.join(thread.to_string());
            fs::create_dir(&dir)?;
            for file in 0..files {
                fs::write(dir.join(file.to_string()), [b'x'; 1000])?;
            }
        }
        fs::write(lower.join("file"), vec![0; PAGE * PAGES as usize * THREADS])
    }

    /// Does it for that time; answers how many operations it was.
    pub fn run(self, merged: &Path, time: Duration) -> io::Result<u64> {
        // Copied up, and written: what follows overwrites.
        File::options()
            .write(true)
            .open(merged.join("file"))?
            .sync_all()?;
        for thread in 0..THREADS {
            File::create(merged.join(thread.to_string()).join("upper"))?;
        }
        let end = Instant::now() + time;
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    scope.spawn(move || {
                        pin_to(thread)?;
                        self.run_one(merged, thread, end)
                    })
                })
                .collect();
            let mut operations = 0;
            for thread in threads {
                operations += thread.join().map_err(|_| io::ErrorKind::Other)??;
            }
            Ok(operations)
        })
    }

    fn run_one(self, merged: &Path, thread: usize, end: Instant) -> io::Result<u64> {
        let dir = merged.join(thread.to_string());
        let mut operations = 0;
        match self {
            Self::UnrelatedFiles => {
                while Instant::now() < end {
                    operations += unrelated_files(&dir)?;
                }
            }
            Self::CopyUps => {
                for file in 0.. {
                    let path = dir.join(file.to_string());
                    if Instant::now() >= end || !path.exists() {
                        break;
                    }
                    OpenOptions::new().append(true).open(&path)?;
                    fs::remove_file(&path)?;
                    operations += 2;
                }
            }
            Self::DirectOverwrites => {
                let file = File::options()
                    .write(true)
                    .custom_flags(libc::O_DIRECT)
                    .open(merged.join("file"))?;
                let page = Box::new(Page([b'y'; PAGE]));
                while Instant::now() < end {
                    for at in 0..PAGES {
                        let at = (thread as u64 * PAGES + at) * PAGE as u64;
                        file.write_all_at(&page.0, at)?;
                        operations += 1;
                    }
                }
            }
            Self::OneFile => {
                let file = File::options().write(true).open(merged.join("file"))?;
                while Instant::now() < end {
                    file.set_len(1000 + operations % 2)?;
                    file.write_all_at(b"x", 0)?;
                    operations += 2;
                }
            }
        }
        Ok(operations)
    }
}

fn unrelated_files(dir: &Path) -> io::Result<u64> {
    let upper = File::options().write(true).open(dir.join("upper"))?;
    let mut buffer = [0; 1000];
    for file in 0..FILES {
        let path = dir.join(file.to_string());
        fs::symlink_metadata(&path)?;
        File::open(&path)?.read_exact_at(&mut buffer, 0)?;
        upper.write_all_at(&buffer, 0)?;
        if dir.join("none").exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
    }
    let made = dir.join("made");
    fs::write(&made, b"new")?;
    fs::remove_file(&made)?;
    let listed = fs::read_dir(dir)?.count();
    if listed != FILES + 1 {
        return Err(io::Error::other(format!("{listed} names are listed")));
    }
    Ok(FILES as u64 * 4 + 3)
}

fn pin_to(cpu: usize) -> io::Result<()> {
    // SAFETY: An all-zero set is valid and the calls take one of this size.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set)
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
