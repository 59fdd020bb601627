// SPDX-License-Identifier: GPL-2.0

//! Does what a program says.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, CWD};
use rustix::io::Errno;
use rustix::mount::{
    fsconfig_create, fsconfig_reconfigure, fsconfig_set_binary, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_path, fsconfig_set_string, fsmount, fsopen, fspick, mount, mount_remount,
    move_mount, open_tree, unmount, FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags,
    MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use crate::checks::{has_words, may_fail};
use crate::cli::Options;
use crate::stage::{Stage, POINTS};
use crate::step::{Step, Value};

/// What was done so far.
#[derive(Default)]
pub struct Tally {
    /// Steps.
    pub steps: usize,
    /// Overlays that were mounted.
    pub mounts: usize,
    /// Calls that were refused.
    pub refusals: usize,
}

/// Runs a program; an error if an answer is wrong. All is unmounted then.
pub fn program(
    stage: &Stage,
    options: &Options,
    program: &[Step],
    tally: &mut Tally,
) -> Result<(), String> {
    let mut run = Run {
        stage,
        options,
        context: None,
        held: Vec::new(),
        mounted: [0; POINTS],
        tally,
    };
    let result = program.iter().try_for_each(|step| {
        run.tally.steps += 1;
        run.step(step).map_err(|why| format!("{step:?}: {why}"))
    });
    let unmounted = run.unmount_all();
    result.and(unmounted)
}

struct Run<'a> {
    stage: &'a Stage,
    options: &'a Options,
    context: Option<OwnedFd>,
    /// Detached mounts, which last as long as their descriptors.
    held: Vec<OwnedFd>,
    /// How many overlays are mounted at each place.
    mounted: [usize; POINTS],
    tally: &'a mut Tally,
}

impl Run<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Clean => {
                // Nobody writes to them any more.
                self.unmount_all()?;
                self.stage.clean()
            }
            Step::Mount { at, flags, options } => {
                let result = self.mount(*at, *flags, options);
                if result.is_ok() {
                    self.count_mount(*at);
                }
                self.check(result, false)
            }
            Step::Remount { at, flags, options } => {
                let flags = MountFlags::from_bits_retain(*flags);
                let data = CString::new(options.as_slice()).map_err(|error| error.to_string())?;
                let result = mount_remount(self.stage.point(*at), flags, data.as_c_str());
                self.check(result, false)
            }
            Step::Open => {
                let opened = fsopen(self.options.fs.as_str(), FsOpenFlags::FSOPEN_CLOEXEC);
                self.context = Some(opened.map_err(|error| format!("fsopen: {error}"))?);
                Ok(())
            }
            Step::Pick(at) => {
                let flags = FsPickFlags::FSPICK_CLOEXEC;
                // Without a mount there, it is the scratch filesystem's.
                self.context = match self.mounted[*at] {
                    0 => None,
                    _ => fspick(CWD, self.stage.point(*at), flags).ok(),
                };
                Ok(())
            }
            Step::Set(key, value) => self.set(key, value),
            Step::Create => self.command(|context| fsconfig_create(context)),
            Step::Reconfigure => self.command(|context| fsconfig_reconfigure(context)),
            Step::Attach(at) => self.attach(*at),
            Step::Use(at) => {
                use_mount(&self.stage.point(*at));
                Ok(())
            }
            Step::Unmount(at) => self.unmount(*at),
        }
    }

    fn mount(&self, at: usize, flags: u32, options: &[u8]) -> Result<(), Errno> {
        let data = CString::new(options).map_err(|_| Errno::INVAL)?;
        let fs = self.options.fs.as_str();
        let flags = MountFlags::from_bits_retain(flags)
            - MountFlags::BIND
            - MountFlags::from_bits_retain(0x2000 | 0x20);
        mount(fs, self.stage.point(at), fs, flags, data.as_c_str())
    }

    fn count_mount(&mut self, at: usize) {
        self.mounted[at] += 1;
        self.tally.mounts += 1;
    }

    /// Checks an answer, of which the context's log has to say something if it is an error.
    fn check<T>(&mut self, result: Result<T, Errno>, in_log: bool) -> Result<(), String> {
        let said = self.log()?;
        let Err(errno) = result else {
            return Ok(());
        };
        self.tally.refusals += 1;
        if !may_fail(errno) {
            return Err(format!("{errno:?}"));
        }
        let errors = said.iter().filter(|said| said.starts_with("e ")).count();
        if self.options.explained && in_log && has_words(errno) && errors == 0 {
            return Err(format!("{errno:?} without a word"));
        }
        Ok(())
    }

    fn log(&self) -> Result<Vec<String>, String> {
        let mut messages = Vec::new();
        let Some(context) = &self.context else {
            return Ok(messages);
        };
        let mut buffer = vec![0; 16384];
        loop {
            match rustix::io::read(context, &mut buffer) {
                Ok(length) => {
                    messages.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
                }
                Err(Errno::NODATA) => return Ok(messages),
                Err(error) => return Err(format!("read the log: {error}")),
            }
        }
    }

    fn command(
        &mut self,
        f: impl FnOnce(BorrowedFd<'_>) -> Result<(), Errno>,
    ) -> Result<(), String> {
        let Some(context) = &self.context else {
            return Ok(());
        };
        let result = f(context.as_fd());
        self.check(result, true)
    }

    fn set(&mut self, key: &[u8], value: &Value) -> Result<(), String> {
        let Some(context) = &self.context else {
            return Ok(());
        };
        let key = CString::new(key).map_err(|error| error.to_string())?;
        let mut in_log = key.as_bytes().len() < 256;
        let context = context.as_fd();
        let result = match value {
            Value::Flag => fsconfig_set_flag(context, &key),
            Value::Text(text) => {
                in_log &= text.len() < 256;
                let text = CString::new(text.as_slice()).map_err(|error| error.to_string())?;
                fsconfig_set_string(context, &key, text.as_c_str())
            }
            Value::Binary(size) => {
                in_log &= (1..=1 << 20).contains(size);
                fsconfig_set_binary(context, &key, &vec![b'b'; *size])
            }
            Value::File(path, by_path) => {
                let flags = match by_path {
                    true => OFlags::PATH,
                    false => OFlags::RDONLY | OFlags::NONBLOCK,
                };
                match rustix::fs::open(path.as_str(), flags | OFlags::CLOEXEC, Mode::empty()) {
                    Ok(file) => fsconfig_set_fd(context, &key, file),
                    Err(_) => Ok(()),
                }
            }
            Value::Detached(path) => {
                let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
                match open_tree(CWD, path.as_str(), flags) {
                    Ok(tree) => {
                        let result = fsconfig_set_fd(context, &key, &tree);
                        self.held.push(tree);
                        result
                    }
                    Err(_) => Ok(()),
                }
            }
            Value::Path(path) => {
                in_log &= !path.is_empty();
                fsconfig_set_path(context, &key, path.as_str(), CWD)
            }
            Value::Nothing => {
                in_log = false;
                // SAFETY: the number is used by this call alone, which has to find nothing there.
                fsconfig_set_fd(context, &key, unsafe { BorrowedFd::borrow_raw(1 << 20) })
            }
        };
        self.check(result, in_log)
    }

    fn attach(&mut self, at: usize) -> Result<(), String> {
        let Some(context) = &self.context else {
            return Ok(());
        };
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        let tree = match fsmount(context.as_fd(), flags, MountAttrFlags::empty()) {
            Ok(tree) => tree,
            // Nothing was created.
            Err(Errno::INVAL | Errno::BUSY) => return Ok(()),
            Err(error) => return Err(format!("fsmount: {error}")),
        };
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(tree.as_fd(), "", CWD, self.stage.point(at), flags)
            .map_err(|error| format!("move_mount: {error}"))?;
        self.count_mount(at);
        Ok(())
    }

    fn unmount(&mut self, at: usize) -> Result<(), String> {
        if self.mounted[at] == 0 {
            return Ok(());
        }
        match unmount(self.stage.point(at), UnmountFlags::empty()) {
            Ok(()) => self.mounted[at] -= 1,
            // It is a layer of an overlay that is mounted elsewhere.
            Err(Errno::BUSY) => {}
            Err(error) => return Err(format!("umount m{at}: {error}")),
        }
        Ok(())
    }

    fn unmount_all(&mut self) -> Result<(), String> {
        self.context = None;
        self.held.clear();
        for at in 0..POINTS {
            while self.mounted[at] > 0 {
                let left = self.mounted[at];
                self.unmount(at)?;
                if self.mounted[at] == left {
                    return Err(format!("m{at} is busy, and nobody uses it"));
                }
            }
        }
        Ok(())
    }
}

/// Looks at a mount and changes something in it. What it answers is not judged here.
fn use_mount(at: &Path) {
    let _ = rustix::fs::statfs(at);
    let _ = fs::read_to_string("/proc/self/mountinfo");
    for entry in fs::read_dir(at).into_iter().flatten().flatten() {
        let _ = entry.metadata();
    }
    let _ = fs::read(at.join("file"));
    let _ = fs::write(at.join("file"), "changed");
    let _ = fs::write(at.join("new"), "new");
    let _ = fs::rename(at.join("new"), at.join("renamed"));
    let _ = fs::create_dir(at.join("dir"));
    let _ = fs::remove_dir(at.join("dir"));
    let _ = fs::remove_file(at.join("renamed"));
}
