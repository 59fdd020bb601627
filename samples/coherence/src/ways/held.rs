// SPDX-License-Identifier: GPL-2.0
//! What was taken before the copy-up, and is to be in force after it.

use super::{made, Way};
use crate::{
    holder::Holder,
    sys::hold,
    verdict::{holds, Trouble},
};
use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    rc::Rc,
};

/// Sets the watch; the other process has the locks.
pub(super) fn open_all(path: &Path, holder: &Rc<Holder>) -> [Way; 3] {
    [posix_lock(path, holder), flock(path, holder), watch(path)]
}

fn posix_lock(path: &Path, holder: &Rc<Holder>) -> Way {
    let (path, holder) = (path.to_owned(), Rc::clone(holder));
    Way::optional("POSIX lock", move |_| {
        holder.posix_lock()?;
        let owner = hold::posix_lock_owner(&File::open(&path)?)?;
        holds(owner == Some(holder.id()), || match owner {
            None => "it is gone".to_owned(),
            Some(owner) => format!("process {owner} has it, not {}", holder.id()),
        })
    })
}

fn flock(path: &Path, holder: &Rc<Holder>) -> Way {
    let (path, holder) = (path.to_owned(), Rc::clone(holder));
    Way::optional("flock", move |_| {
        holder.flock()?;
        match hold::flock_exclusive(&File::open(&path)?) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
            Ok(()) => Err(Trouble::Wrong("it is gone".to_owned())),
        }
    })
}

fn watch(path: &Path) -> Way {
    let mut watch = hold::watch_modifications(path);
    Way::optional("inotify", move |content| {
        let was_told = hold::has_events(made(&mut watch)?)?;
        holds(was_told || content.is_old(), || {
            "no event came of the write".to_owned()
        })
    })
}

/// Takes a read lease before the copy-up, and opens the file for writing: the opener is told to
/// wait, as on any filesystem. There is nothing left to see after that.
pub(super) fn lease(path: &Path) -> io::Result<Way> {
    let (file, path) = (File::open(path)?, path.to_owned());
    let mut taken = Ok(());
    Ok(Way::optional("lease", move |content| {
        if !content.is_old() {
            made(&mut taken)?;
            return Ok(());
        }
        taken = hold::take_read_lease(&file);
        made(&mut taken)?;
        let opened = OpenOptions::new()
            .write(true)
            .custom_flags(hold::O_NONBLOCK)
            .open(&path);
        hold::release_lease(&file)?;
        match opened {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Err(Trouble::Wrong("opening for writing ignores it".to_owned())),
        }
    }))
}
