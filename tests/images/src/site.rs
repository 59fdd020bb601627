// SPDX-License-Identifier: GPL-2.0

//! Where layers are: two filesystems, with something beside the layers that no overlay
//! may show or change.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use rustix::fs::Stat;
use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};

/// Names of what is in layers. Few, so that layers have them in common.
pub const NAMES: &[&str] = &["a", "b", "c", "d"];

/// What is in each file beside the layers.
pub const SECRET: &str = "SECRET";
/// How all directories beside the layers are called.
pub const OUTSIDE: &str = "outside";

/// Places for the layers of one overlay.
pub struct Site {
    /// The filesystem of most layers.
    pub a: PathBuf,
    /// That of some.
    pub b: PathBuf,
    /// Where the overlay is mounted.
    pub point: PathBuf,
    /// Whether both are filesystems of their own, made for each image.
    is_tmpfs: bool,
}

fn fail(path: &Path) -> impl Fn(std::io::Error) -> String + '_ {
    move |error| format!("{}: {error}", path.display())
}

impl Site {
    /// A site below `root`, with layers in `layers` if that is given.
    pub fn new(root: &Path, layers: Option<&Path>) -> Result<Self, String> {
        let ground = layers.unwrap_or(root);
        let site = Self {
            a: ground.join("first"),
            b: ground.join("second"),
            point: root.join("overlay"),
            is_tmpfs: layers.is_none(),
        };
        for path in [&site.a, &site.b, &site.point] {
            fs::create_dir_all(path).map_err(fail(path))?;
        }
        Ok(site)
    }

    /// Makes it ready for an image.
    pub fn open(&self) -> Result<(), String> {
        for path in [&self.a, &self.b] {
            if self.is_tmpfs {
                // Numbers of inodes are the same each time.
                mount("images", path, "tmpfs", MountFlags::NOSUID, None)
                    .map_err(|error| format!("mount tmpfs: {error}"))?;
            }
            let outside = path.join(OUTSIDE);
            let dir = outside.join("a");
            fs::create_dir_all(&dir).map_err(fail(&dir))?;
            for file in [dir.join("secret-file"), outside.join("secret-file")] {
                fs::write(&file, SECRET).map_err(fail(&file))?;
            }
        }
        Ok(())
    }

    /// Removes all that an image has left.
    pub fn close(&self) -> Result<(), String> {
        for path in [&self.a, &self.b] {
            if self.is_tmpfs {
                unmount(path, UnmountFlags::empty())
                    .map_err(|error| format!("umount of the layers' filesystem: {error}"))?;
            } else {
                for (name, is_dir) in sorted(path) {
                    let object = path.join(name);
                    let removed = match is_dir {
                        true => fs::remove_dir_all(&object),
                        false => fs::remove_file(&object),
                    };
                    removed.map_err(fail(&object))?;
                }
            }
        }
        Ok(())
    }

    /// Whether objects have flags that can be removed again.
    pub fn has_flags(&self) -> bool {
        self.is_tmpfs
    }

    /// The filesystem of a path below the site.
    pub fn filesystem(&self, path: &Path) -> &Path {
        if path.starts_with(&self.a) {
            &self.a
        } else {
            &self.b
        }
    }
}

/// What a directory has and whether that is a directory, in an order that is the same for the
/// same image: names in an index are made of random numbers.
pub fn sorted(dir: &Path) -> Vec<(OsString, bool)> {
    let mut entries: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().collect();
    entries.sort_by_cached_key(|entry| {
        let name = entry.file_name();
        match is_of_index(name.as_bytes()) {
            true => (entry.ino(), OsString::new()),
            false => (0, name),
        }
    });
    // Whatever has no type is no directory: there is no need to ask.
    let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries
        .iter()
        .map(|entry| (entry.file_name(), is_dir(entry)))
        .collect()
}

/// Whether a name is that of an entry of an index.
fn is_of_index(name: &[u8]) -> bool {
    name.len() > 30 && name.iter().all(u8::is_ascii_hexdigit)
}

/// All objects of a tree, from the top.
pub fn objects(root: &Path, found: &mut Vec<PathBuf>) {
    for (name, is_dir) in sorted(root) {
        let path = root.join(name);
        found.push(path.clone());
        if is_dir {
            objects(&path, found);
        }
    }
}

/// Whether it is a directory.
pub fn is_dir(stat: &Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory
}
