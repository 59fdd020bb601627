// SPDX-License-Identifier: GPL-2.0

//! Mounting, unmounting, and what is asked of a mount.

use std::os::fd::AsFd;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_remount, move_mount, FsMountFlags,
    FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags,
};

use crate::inject::Outcome;
use crate::operation::Operation;
use crate::scene::Scene;

pub fn all() -> Vec<Operation> {
    vec![
        mount("mount", ""),
        mount("mount, redirect_dir=on", ",redirect_dir=on"),
        mount("mount, index=on", ",index=on"),
        mount("mount, nfs_export=on", ",index=on,nfs_export=on"),
        mount("mount, metacopy=on", ",redirect_dir=on,metacopy=on"),
        mount("mount, xino=on", ",xino=on"),
        mount("mount, uuid=on", ",uuid=on"),
        mount("mount, userxattr", ",userxattr"),
        Operation {
            has_upper: false,
            ..mount("mount without upper", "")
        },
        Operation {
            many: true,
            ..mount("mount of many layers", "")
        },
        Operation {
            data_only: "base",
            ..mount("mount of a data-only layer", ",redirect_dir=on,metacopy=on")
        },
        Operation {
            run: by_fsconfig,
            ..mount("mount by fsconfig", "")
        },
        Operation::new("remount, ro", |scene| {
            mount_remount(scene.merged(), MountFlags::RDONLY, "")
        }),
        Operation {
            inspect: |scene, outcome| match (outcome, scene.is_mounted()) {
                (Outcome::Done, Ok(false)) | (Outcome::Failed(_), Ok(true)) => Ok(()),
                (_, mounted) => Err(format!("mounted: {mounted:?}")),
            },
            ..Operation::new("umount", |scene| scene.unmount())
        },
        Operation::new("statfs", |scene| {
            rustix::fs::statfs(scene.merged()).map(drop)
        }),
    ]
}

fn mount(name: &'static str, options: &'static str) -> Operation {
    Operation {
        options,
        mounts: true,
        may_end: &[(
            Outcome::Failed(Errno::INVAL),
            "what clone_private_mount() says of any failure",
        )],
        inspect: |scene, outcome| match (outcome, scene.is_mounted()) {
            (Outcome::Done, Ok(true)) | (Outcome::Failed(_), Ok(false)) => Ok(()),
            (_, mounted) => Err(format!("mounted: {mounted:?}")),
        },
        ..Operation::new(name, |scene| scene.mount())
    }
}

fn by_fsconfig(scene: &mut Scene) -> Result<(), Errno> {
    let context = fsopen(scene.fs.as_str(), FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, name) in [
        ("lowerdir+", "top"),
        ("lowerdir+", "base"),
        ("upperdir", "upper"),
        ("workdir", "work"),
    ] {
        fsconfig_set_string(context.as_fd(), key, scene.root.join(name))?;
    }
    fsconfig_create(context.as_fd())?;
    let mount = fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(mount.as_fd(), "", CWD, scene.merged(), flags)
}
