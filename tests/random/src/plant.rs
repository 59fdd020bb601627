// SPDX-License-Identifier: GPL-2.0

//! Differences made on purpose, which must be found.

use std::{
    fs, io,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, XattrFlags};

/// What is changed in one of the upper layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A byte of a file.
    Byte,
    /// The mode of a file.
    Mode,
    /// An attribute that only the overlay sees.
    Mark,
    /// A file's name.
    Name,
}

/// All that can be planted, with names for a command line.
pub const ALL: [(&str, Plant); 4] = [
    ("byte", Plant::Byte),
    ("mode", Plant::Mode),
    ("mark", Plant::Mark),
    ("name", Plant::Name),
];

impl Plant {
    /// Changes the first file that it can, if there is one.
    pub fn put(self, upper: &Path) -> io::Result<()> {
        let Some(file) = first_file(upper)? else {
            return Ok(());
        };
        match self {
            Self::Byte => {
                let file = fs::OpenOptions::new().read(true).write(true).open(file)?;
                let mut byte = [0];
                file.read_exact_at(&mut byte, 0)?;
                file.write_all_at(&[byte[0] ^ 1], 0)
            }
            Self::Mode => {
                let mode = fs::metadata(&file)?.permissions().mode();
                fs::set_permissions(file, fs::Permissions::from_mode(mode ^ 1))
            }
            Self::Mark => {
                let name = "trusted.overlay.planted";
                rustix::fs::lsetxattr(&file, name, b"y", XattrFlags::empty())?;
                Ok(())
            }
            Self::Name => fs::remove_file(file),
        }
    }
}

/// The first regular file that is not empty.
fn first_file(dir: &Path) -> io::Result<Option<PathBuf>> {
    let mut paths: Vec<_> = fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    paths.sort();
    for path in paths {
        let stat = rustix::fs::lstat(&path)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if stat.st_size > 0 => return Ok(Some(path)),
            FileType::Directory => {
                if let Some(file) = first_file(&path)? {
                    return Ok(Some(file));
                }
            }
            _ => {}
        }
    }
    Ok(None)
}
