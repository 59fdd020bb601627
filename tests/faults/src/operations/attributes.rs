// SPDX-License-Identifier: GPL-2.0

//! Changes of attributes, of lower objects and of upper ones.

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, CWD};
use rustix::io::Errno;

use crate::acl;
use crate::layers::ATTRIBUTE;
use crate::operation::Operation;
use crate::scene::Scene;
use crate::snapshot::Field;

pub fn all() -> Vec<Operation> {
    vec![
        Operation::new("chmod", |scene| chmod(scene, "small")),
        Operation::new("chmod of upper", |scene| chmod(scene, "up")),
        Operation {
            // As on upper's filesystem alone: the mode is changed before the list.
            may_change: &[("/listed", Field::Mode)],
            ..Operation::new("chmod with an ACL", |scene| chmod(scene, "listed"))
        },
        Operation::new("chown", |scene| {
            let owner = (Some(Uid::from_raw(5)), Some(Gid::from_raw(6)));
            rustix::fs::chown(scene.at("listed"), owner.0, owner.1)
        }),
        Operation::new("utimensat", |scene| {
            let time = |tv_sec| Timespec { tv_sec, tv_nsec: 7 };
            let times = Timestamps {
                last_access: time(1000),
                last_modification: time(2000),
            };
            rustix::fs::utimensat(CWD, scene.at("small"), &times, AtFlags::empty())
        }),
        Operation::new("truncate", |scene| truncate(scene, "small")),
        Operation::new("truncate of upper", |scene| truncate(scene, "up")),
        Operation::new("setxattr", |scene| set(scene, "small", ATTRIBUTE, b"red")),
        Operation::new("setxattr of upper", |scene| {
            set(scene, "up", ATTRIBUTE, b"red")
        }),
        Operation::new("setxattr of what is escaped", |scene| {
            set(scene, "small", "trusted.overlay.opaque", b"y")
        }),
        Operation::new("removexattr", |scene| {
            rustix::fs::removexattr(scene.at("listed"), ATTRIBUTE)
        }),
        Operation::new("setting an ACL", |scene| {
            set(scene, "small", acl::ACCESS, &acl::with_user(9, 2))
        }),
        Operation::new("setting a default ACL", |scene| {
            set(scene, "dir", acl::DEFAULT, &acl::with_user(9, 2))
        }),
        Operation::new("removing an ACL", |scene| {
            rustix::fs::removexattr(scene.at("listed"), acl::ACCESS)
        }),
        Operation::new("setting flags", |scene| {
            scene.open("small", rustix::fs::OFlags::RDONLY)?;
            let flags = rustix::fs::IFlags::NODUMP;
            rustix::fs::ioctl_setflags(scene.file()?, flags)
        }),
    ]
}

fn chmod(scene: &Scene, name: &str) -> Result<(), Errno> {
    rustix::fs::chmod(scene.at(name), Mode::from_raw_mode(0o601))
}

fn truncate(scene: &Scene, name: &str) -> Result<(), Errno> {
    let path = std::ffi::CString::new(scene.at(name).to_string_lossy().as_bytes());
    let path = path.map_err(|_| Errno::INVAL)?;
    // SAFETY: the kernel reads the path.
    match unsafe { libc::truncate(path.as_ptr(), 5) } {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

fn set(scene: &Scene, name: &str, attribute: &str, value: &[u8]) -> Result<(), Errno> {
    rustix::fs::setxattr(scene.at(name), attribute, value, XattrFlags::empty())
}
