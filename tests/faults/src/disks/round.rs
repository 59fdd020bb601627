// SPDX-License-Identifier: GPL-2.0

//! A round: files are changed, requests fail, and then what is there is compared.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};

use super::disk::Disk;
use super::model::{Content, Object};
use super::{Layer, Plan};
use crate::rng::Rng;

/// What has been done.
#[derive(Default)]
pub struct Tally {
    /// Requests that failed.
    pub faults: u64,
    /// Operations.
    pub operations: usize,
    /// Of those, how many failed.
    pub failed: usize,
}

const DIRS: [&str; 3] = ["", "a/", "b/c/"];
const FILES: usize = 18;
const OPERATIONS: usize = 60;

/// How an operation may fail.
const ERRORS: &[(Errno, &str)] = &[
    (Errno::IO, "a request failed"),
    (
        Errno::ROFS,
        "ext4 gave its journal up, or a failed copy-up found it so",
    ),
    (Errno::UCLEAN, "xfs could not read what it needs"),
    (
        Errno::BADMSG,
        "a checksum is missing with what was not read",
    ),
];

struct Round<'a> {
    merged: PathBuf,
    rng: &'a mut Rng,
    objects: Vec<Object>,
    /// What succeeded is there, and what failed did not happen, for ever: memory has upper.
    is_strict: bool,
    /// Opened before anything failed.
    root: File,
    names: usize,
}

/// Runs one.
pub fn run(
    plan: &Plan,
    layer: Layer,
    disk: &Disk,
    root: &Path,
    rng: &mut Rng,
    tally: &mut Tally,
) -> Result<(), String> {
    let memory = root.join("memory");
    let merged = root.join("merged");
    let io = |error: io::Error| format!("make layers: {error}");
    if memory.exists() {
        fs::remove_dir_all(&memory).map_err(io)?;
    }
    let (upper, lower) = match layer {
        Layer::Upper => (disk.dir.as_path(), memory.as_path()),
        Layer::Lower => (memory.as_path(), disk.dir.as_path()),
    };
    let (up, work, low) = (upper.join("upper"), upper.join("work"), lower.join("lower"));
    for dir in [&merged, &up, &work, &low] {
        fs::create_dir_all(dir).map_err(io)?;
    }
    let objects = make_lower(&low, rng).map_err(io)?;
    disk.mount_again()?;
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        low.display(),
        up.display(),
        work.display()
    );
    let mount_overlay = || {
        let data = CString::new(options.as_str()).map_err(|error| error.to_string())?;
        let fs = plan.fs.as_str();
        mount(fs, &merged, fs, MountFlags::empty(), data.as_c_str())
            .map_err(|error| format!("mount {fs}: {error}"))
    };
    let unmount_overlay =
        || unmount(&merged, UnmountFlags::empty()).map_err(|error| format!("umount: {error}"));
    mount_overlay()?;
    let mut round = Round {
        root: File::open(&merged).map_err(io)?,
        merged: merged.clone(),
        rng,
        objects,
        is_strict: layer == Layer::Lower,
        names: 0,
    };
    // A filesystem ends with the first failure in its journal.
    let most = if layer == Layer::Upper { 150 } else { 20 };
    let interval = 2 + round.rng.below(most);
    let done = {
        let failing = disk.fail(interval)?;
        let done = round.work(tally);
        tally.faults += failing.count()?;
        done
    };
    let Round {
        objects,
        root: held,
        rng,
        ..
    } = round;
    drop(held);
    unmount_overlay()?;
    done?;
    disk.mount_again()?;
    mount_overlay()?;
    if plan.plant {
        make_mistake(&merged, &objects, rng)?;
    }
    let checked = check(&merged, &objects);
    let used = fs::write(merged.join("last"), b"").map_err(|error| format!("use it: {error}"));
    unmount_overlay()?;
    checked.and(used)
}

fn make_lower(dir: &Path, rng: &mut Rng) -> io::Result<Vec<Object>> {
    let mut objects = Vec::new();
    for number in 0..FILES {
        let place = DIRS[number % DIRS.len()];
        fs::create_dir_all(dir.join(place))?;
        let name = format!("{place}f{number}");
        let content = content(rng);
        fs::write(dir.join(&name), &content)?;
        fs::set_permissions(dir.join(&name), Permissions::from_mode(0o644))?;
        objects.push(Object::new(name, content, 0o644));
    }
    Ok(objects)
}

/// Bytes of several blocks, which no other file has.
fn content(rng: &mut Rng) -> Content {
    let mut bytes = vec![0; 1 + rng.below(30_000)];
    for chunk in bytes.chunks_mut(8) {
        let length = chunk.len();
        chunk.copy_from_slice(&rng.next().to_le_bytes()[..length]);
    }
    bytes
}

/// Something that no failure explains: a byte of a file that is known, or a new name.
fn make_mistake(merged: &Path, objects: &[Object], rng: &mut Rng) -> Result<(), String> {
    let fail = |error: io::Error| format!("make a mistake: {error}");
    let known = objects.iter().find(|object| object.is_known());
    match known.filter(|_| rng.percent(50)) {
        None => fs::write(merged.join("never there"), b"").map_err(fail),
        Some(object) => {
            let file = File::options().write(true).open(merged.join(&object.name));
            let byte = [!object.content[0]];
            file.and_then(|file| file.write_all_at(&byte, 0))
                .map_err(fail)
        }
    }
}

/// Compares all that is there.
fn check(merged: &Path, objects: &[Object]) -> Result<(), String> {
    objects.iter().try_for_each(|object| object.check(merged))?;
    let known: BTreeSet<&String> = objects.iter().flat_map(Object::names).collect();
    for place in DIRS {
        let dir = merged.join(place);
        let fail = |error: io::Error| format!("{}: {error}", dir.display());
        for entry in fs::read_dir(&dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = format!("{place}{}", entry.file_name().to_string_lossy());
            let is_dir = entry.file_type().map_err(fail)?.is_dir();
            if !is_dir && !known.contains(&name) {
                return Err(format!("{name} should not be there"));
            }
        }
    }
    Ok(())
}

impl Round<'_> {
    fn work(&mut self, tally: &mut Tally) -> Result<(), String> {
        // What is read comes from the disk.
        fs::write("/proc/sys/vm/drop_caches", "3").map_err(|error| error.to_string())?;
        for _ in 0..OPERATIONS {
            let number = self.rng.below(self.objects.len());
            if self.objects[number].is_lost {
                continue;
            }
            tally.operations += 1;
            let before = self.objects[number].clone();
            let result = self.operation(number)?;
            let Err(error) = result else {
                if self.is_strict {
                    self.objects[number].settle();
                }
                continue;
            };
            tally.failed += 1;
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::INVAL);
            if !ERRORS.iter().any(|(right, _)| *right == errno) {
                return Err(format!("{}: {error}", before.name));
            }
            if self.is_strict {
                self.objects[number] = before;
            } else {
                self.objects[number].is_lost = true;
            }
        }
        Ok(())
    }

    /// Does something to a file. What it may have become is noted before. Fails if something
    /// is wrong, with an error within if it was refused.
    fn operation(&mut self, number: usize) -> Result<io::Result<()>, String> {
        let path = self.merged.join(&self.objects[number].name);
        let object = &mut self.objects[number];
        Ok(match self.rng.below(12) {
            0..3 => match fs::read(&path) {
                Ok(content) if content != object.content => {
                    return Err(format!("{}: read something else", object.name));
                }
                read => read.map(drop),
            },
            3 | 4 => {
                let mode = 0o400 + self.rng.below(0o400) as u32;
                object.set_mode(mode);
                fs::set_permissions(path, Permissions::from_mode(mode))
            }
            5 | 6 => {
                self.names += 1;
                let name = format!("{}n{}", self.rng.pick(&DIRS), self.names);
                let to = self.merged.join(&name);
                object.rename(name);
                fs::rename(path, to)
            }
            7 if self.rng.percent(50) => {
                object.remove();
                fs::remove_file(path)
            }
            8 => {
                let synced = rustix::fs::syncfs(&self.root).map_err(io::Error::from);
                if synced.is_ok() {
                    self.objects.iter_mut().for_each(Object::settle);
                } else if !self.is_strict {
                    // Nobody is told once more what was lost.
                    let unknown = self.objects.iter_mut();
                    unknown.for_each(|object| object.is_lost = true);
                }
                synced
            }
            9 => {
                self.names += 1;
                let name = format!("{}n{}", self.rng.pick(&DIRS), self.names);
                let path = self.merged.join(&name);
                let mut object = Object::new(name, content(self.rng), 0o640);
                object.created();
                let created = create(&path, &object.content);
                match &created {
                    Ok(()) => object.settle(),
                    Err(_) => object.is_lost = true,
                }
                self.objects.push(object);
                created
            }
            _ => {
                let mut content = content(self.rng);
                // All of it is new.
                content.resize(content.len().max(object.content.len()), 7);
                match File::options().write(true).open(&path) {
                    // It was not copied up: nothing has changed.
                    Err(error) => Err(error),
                    Ok(file) => {
                        object.write(content);
                        let written = file
                            .write_all_at(&object.content, 0)
                            .and_then(|()| file.sync_all());
                        if written.is_ok() {
                            object.settle();
                        }
                        written
                    }
                }
            }
        })
    }
}

/// Creates a file, writes it and syncs it.
fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(path)?;
    file.write_all_at(content, 0)?;
    file.sync_all()
}
