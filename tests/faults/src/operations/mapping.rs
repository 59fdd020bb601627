// SPDX-License-Identifier: GPL-2.0

//! Mappings and programs, in processes that a fault may kill.

use std::ffi::CString;
use std::os::unix::fs::FileExt;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::inject::Outcome;
use crate::layers::{byte, LARGE};
use crate::map::Map;
use crate::operation::Operation;
use crate::scene::Scene;
use crate::snapshot::Field;

/// Pages apart, so that one is not mapped with the other.
const PLACES: [usize; 2] = [5, 50_000];

pub fn all() -> Vec<Operation> {
    vec![
        Operation {
            in_child: true,
            ..Operation::new("mmap and page faults", |scene| {
                map(scene)?;
                reads(scene, byte)
            })
        },
        Operation {
            in_child: true,
            may_change: &[("/large", Field::Content), ("/large", Field::Modified)],
            is_beyond_c: true,
            ..Operation::new("mmap, write, page faults", |scene| {
                map(scene)?;
                reads(scene, byte)?;
                write(scene)?;
                reads(scene, |_| b'W')
            })
        },
        Operation {
            prepare: |scene| {
                map(scene)?;
                reads(scene, byte)
            },
            may_change: &[("/large", Field::Content), ("/large", Field::Modified)],
            is_beyond_c: true,
            inspect: mapping_is_current,
            ..Operation::new("write to what is mapped", write)
        },
        Operation {
            prepare: map,
            is_beyond_c: true,
            inspect: mapping_is_current,
            ..Operation::new("truncate of what is mapped", |scene| {
                scene.open("large", OFlags::WRONLY)?;
                rustix::fs::ftruncate(scene.file()?, PLACES[1] as u64 + 1)
            })
        },
        Operation {
            prepare: |scene| {
                map(scene)?;
                write(scene)
            },
            in_child: true,
            is_beyond_c: true,
            ..Operation::new("page faults after a write", |scene| reads(scene, |_| b'W'))
        },
        Operation {
            in_child: true,
            program: true,
            may_end: &[
                (
                    Outcome::Failed(Errno::NOEXEC),
                    "what the loader says if headers find no memory",
                ),
                (
                    Outcome::Failed(Errno::TOOBIG),
                    "what execve(2) says if arguments find no memory",
                ),
                (
                    Outcome::Killed(libc::SIGKILL),
                    "the old program is gone already",
                ),
                (
                    Outcome::Killed(libc::SIGSEGV),
                    "the old program is gone already",
                ),
            ],
            ..Operation::new("exec", |scene| {
                let path = scene.at("program");
                let path = CString::new(path.to_string_lossy().as_bytes());
                let path = path.map_err(|_| Errno::INVAL)?;
                let arguments = [path.as_ptr(), std::ptr::null()];
                let environment = [std::ptr::null()];
                // SAFETY: the kernel reads strings and lists that end with null.
                unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
                let error = std::io::Error::last_os_error();
                Err(Errno::from_io_error(&error).unwrap_or(Errno::IO))
            })
        },
    ]
}

fn map(scene: &mut Scene) -> Result<(), Errno> {
    scene.open("large", OFlags::RDONLY)?;
    scene.map = Some(Map::new(scene.file()?, LARGE)?);
    Ok(())
}

fn write(scene: &mut Scene) -> Result<(), Errno> {
    scene.open("large", OFlags::RDWR)?;
    for place in PLACES {
        if rustix::io::pwrite(scene.file()?, b"W", place as u64)? != 1 {
            return Err(Errno::BADMSG);
        }
    }
    Ok(())
}

/// The mapping shows this.
fn reads(scene: &mut Scene, byte: fn(usize) -> u8) -> Result<(), Errno> {
    let map = scene.map.as_ref().ok_or(Errno::BADF)?;
    match PLACES.iter().all(|place| map.byte(*place) == byte(*place)) {
        true => Ok(()),
        false => Err(Errno::BADMSG),
    }
}

/// The mapping, the descriptor that it was made from, and a new one show the same.
fn mapping_is_current(scene: &Scene, _: Outcome) -> Result<(), String> {
    let map = scene.map.as_ref().ok_or("no mapping")?;
    let new = std::fs::File::open(scene.at("large")).map_err(|error| error.to_string())?;
    for place in PLACES {
        let of = |file: &std::fs::File| -> Result<u8, String> {
            let mut buffer = [0];
            let read = file.read_exact_at(&mut buffer, place as u64);
            read.map_err(|error| error.to_string())?;
            Ok(buffer[0])
        };
        let seen = (of(&new)?, of(&scene.files[0])?, map.byte(place));
        if seen.0 != seen.1 || seen.1 != seen.2 {
            return Err(format!("new and old descriptor and mapping show {seen:?}"));
        }
    }
    Ok(())
}
