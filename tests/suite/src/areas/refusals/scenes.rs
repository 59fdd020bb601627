// SPDX-License-Identifier: GPL-2.0

//! How each refusal is brought about.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use rustix::fs::{ioctl_setflags, openat, IFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    fsopen, mount_bind, mount_change, mount_remount, FsOpenFlags, MountFlags, MountPropagationFlags,
};
use rustix::process::{waitpid, Pid, WaitOptions};
use rustix::thread::{CapabilitySet, UnshareFlags};

use crate::areas::casefold::set_folded;
use crate::areas::copy_up_io_error::disk::Disk;
use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::fuse;
use crate::support::must::must;
use crate::support::newmount::Context;
use crate::support::process::in_child;
use crate::support::userns::drop_capabilities;

/// The error, and what was said.
pub type Refusal = Option<(Errno, Vec<String>)>;

/// A message of the table, and what brings it about.
pub type Case = (&'static str, fn(&Scene) -> Refusal);

/// Fresh layers for one refusal.
pub struct Scene<'a> {
    bed: &'a Bed,
    name: String,
    lower: Dir,
    upper: Dir,
    work: Dir,
}

impl<'a> Scene<'a> {
    #[track_caller]
    pub fn new(bed: &'a Bed, number: usize) -> Self {
        let name = format!("scene-{number}");
        let base = bed.aside(&name);
        Self {
            bed,
            lower: base.sub("l"),
            upper: base.sub("u"),
            work: base.sub("w"),
            name,
        }
    }

    fn aside(&self, name: &str) -> Dir {
        self.bed.aside(&format!("{}-{name}", self.name))
    }

    fn context(&self) -> Context<'a> {
        Context::open(self.bed)
    }

    /// What comes of setting these options, and of creating the mount if they are taken.
    fn with(&self, options: &[&str]) -> Refusal {
        let context = self.context();
        let result = context.options(options.iter().copied());
        let result = result.and_then(|()| context.create());
        refusal(&context, result)
    }

    fn lowerdir(&self, value: &str) -> Refusal {
        self.with(&[&format!("lowerdir={value}")])
    }

    /// The layers of the scene, with options more.
    fn layers(&self, more: &[&str]) -> Refusal {
        self.over(&self.lower, &self.upper, &self.work, more)
    }

    fn over(&self, lower: &Dir, upper: &Dir, work: &Dir, more: &[&str]) -> Refusal {
        let options = [
            format!("lowerdir={lower}"),
            format!("upperdir={upper}"),
            format!("workdir={work}"),
        ];
        let options = options.iter().map(String::as_str);
        self.with(&options.chain(more.iter().copied()).collect::<Vec<_>>())
    }

    /// Mounts the layers of the scene.
    #[track_caller]
    fn mount(&self, more: &str) -> Dir {
        let options = format!(
            "lowerdir={},upperdir={},workdir={}{more}",
            self.lower, self.upper, self.work
        );
        let at = self.aside("mounted");
        must("mount", self.bed.try_mount_at(&self.bed.fs, &options, &at))
    }
}

fn refusal(context: &Context, result: Result<(), Errno>) -> Refusal {
    result.err().map(|errno| (errno, context.said('e')))
}

/// A directory that is case-folded, on a filesystem of its own.
#[track_caller]
fn folded(scene: &Scene, name: &str, options: &str) -> [Dir; 3] {
    let at = scene
        .bed
        .mount_tmpfs(&format!("{}-{name}", scene.name), options);
    ["l", "u", "w"].map(|name| {
        let dir = at.sub(name);
        set_folded(&dir, "", true);
        dir
    })
}

/// For each message of the table.
pub const SCENES: &[Case] = &[
    ("<key>: a text is needed", |s| {
        let context = s.context();
        refusal(&context, context.fd("lowerdir", s.lower.open_read("")))
    }),
    ("<key>: a path or a descriptor is needed", |s| s.with(&["upperdir"])),
    ("<key>: a value is missing", |s| s.with(&["index"])),
    ("<key>: it takes no value", |s| s.with(&["volatile=on"])),
    ("<key>=<value>: it is <words>", |s| s.with(&["xino=maybe"])),
    ("conflicting options: metacopy=on,redirect_dir=<value>", |s| {
        s.layers(&["metacopy=on", "redirect_dir=off"])
    }),
    ("conflicting options: nfs_export=on,index=off", |s| {
        s.layers(&["index=off", "nfs_export=on"])
    }),
    ("conflicting options: nfs_export=on,metacopy=on", |s| {
        s.layers(&["nfs_export=on", "metacopy=on"])
    }),
    ("conflicting options: userxattr,redirect_dir=<value>", |s| {
        s.layers(&["userxattr", "redirect_dir=on"])
    }),
    ("conflicting options: userxattr,metacopy=on", |s| {
        s.layers(&["userxattr", "metacopy=on"])
    }),
    ("override_creds: the task is outside of the user namespace of the mount", |s| {
        let context = context_of_other_namespace(s);
        refusal(&context, context.flag("override_creds"))
    }),
    ("<key>: empty path", |s| s.with(&["lowerdir+="])),
    ("<key>: cannot resolve '<path>': error <errno>", |s| {
        s.lowerdir(&s.lower.join("missing").to_string())
    }),
    ("<key>: '<path>' is not a directory", |s| {
        s.lower.file("file", "");
        s.with(&[&format!("upperdir={}", s.lower.join("file"))])
    }),
    ("<key>: the filesystem of '<path>' is not supported", |s| {
        s.with(&["lowerdir+=/proc/sys/kernel"])
    }),
    ("<key>: '<path>' is on an overlay", |s| {
        let m = s.mount("");
        s.with(&[&format!("upperdir={m}")])
    }),
    ("<key>: '<path>' is read-only", |s| {
        let at = s.aside("read-only");
        must("bind", mount_bind(s.upper.path(), at.path()));
        s.bed.mounted(&at);
        let flags = MountFlags::BIND | MountFlags::RDONLY;
        must("remount", mount_remount(at.path(), flags, c""));
        s.with(&[&format!("upperdir={at}")])
    }),
    ("<key>: the path of the descriptor cannot be told: error <errno>", |s| {
        // Deeper than a path is long.
        let mut dir = OwnedFd::from(s.upper.open_read(""));
        let name = "d".repeat(250);
        for _ in 0..20 {
            must("mkdirat", rustix::fs::mkdirat(&dir, &name, Mode::RWXU));
            let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
            dir = must("openat", openat(&dir, &name, flags, Mode::empty()));
        }
        let context = s.context();
        refusal(&context, context.fd("upperdir", dir))
    }),
    ("lowerdir+ and datadir+ cannot follow lowerdir", |s| {
        s.with(&[&format!("lowerdir={}", s.lower), &format!("datadir+={}", s.upper)])
    }),
    ("<key>: '<path>' is no data-only layer, and cannot follow one", |s| {
        s.with(&[&format!("datadir+={}", s.lower), &format!("lowerdir+={}", s.upper)])
    }),
    ("<key>: too many lower layers, the limit is <limit>", |s| {
        let option = format!("lowerdir+={}", s.lower);
        s.with(&vec![option.as_str(); 4097])
    }),
    ("lowerdir: begins with a colon", |s| s.lowerdir(":/")),
    ("lowerdir: ends with an unescaped colon", |s| s.lowerdir("/:")),
    ("lowerdir: more than two unescaped colons in a row", |s| s.lowerdir("/:::/")),
    ("lowerdir: ends with a single backslash", |s| s.lowerdir("/\\")),
    ("lowerdir: a regular layer cannot follow a data-only layer", |s| s.lowerdir("/::/:/")),
    (
        "the context was made in another user namespace than the one that mounts",
        |s| {
            let context = context_of_other_namespace(s);
            let option = format!("lowerdir={}:{}", s.lower, s.upper);
            must("lowerdir", context.options([option.as_str()]));
            refusal(&context, context.create())
        },
    ),
    ("missing 'lowerdir'", |s| s.with(&["index=on"])),
    ("upperdir '<path>' needs a 'workdir' on the same filesystem", |s| {
        s.with(&[&format!("lowerdir={}", s.lower), &format!("upperdir={}", s.upper)])
    }),
    ("without upperdir at least two lower layers are needed", |s| {
        s.lowerdir(&s.lower.to_string())
    }),
    ("at least one lower layer must not be data-only", |s| {
        s.with(&[&format!("datadir+={}", s.lower), &format!("datadir+={}", s.upper)])
    }),
    ("<key>: '<path>' is case-<kind>, unlike other layers", |s| {
        let [lower, ..] = folded(s, "folded", "casefold");
        s.over(&lower, &s.upper, &s.work, &[])
    }),
    (
        "<key>: the filesystem of '<path>' has a strict encoding, which is not supported",
        |s| {
            let [lower, upper, work] = folded(s, "strict", "casefold,strict_encoding");
            s.over(&lower, &upper, &work, &[])
        },
    ),
    (
        "<key>: the filesystem of '<path>' has another encoding than those of other layers",
        |s| {
            let [lower, ..] = folded(s, "old", "casefold=utf8-9.0.0");
            let [_, upper, work] = folded(s, "new", "casefold=utf8-12.1.0");
            s.over(&lower, &upper, &work, &[])
        },
    ),
    (
        "workdir and upperdir must be on the same filesystem and mount: '<path>' and '<path>' are not",
        |s| {
            let other = s.bed.mount_tmpfs(&format!("{}-other", s.name), "");
            s.over(&s.lower, &s.upper, &other, &[])
        },
    ),
    (
        "workdir and upperdir must be separate subtrees: '<path>' and '<path>' are not",
        |s| s.over(&s.lower, &s.upper, &s.upper.sub("w"), &[]),
    ),
    ("lowerdir: '<path>' is given for another layer too", |s| {
        s.over(&s.upper, &s.upper, &s.work, &[])
    }),
    ("lowerdir: '<path>' is within another layer", |s| {
        s.over(&s.work.sub("inside"), &s.upper, &s.work, &[])
    }),
    ("the layer '<path>' is on filesystems that are stacked too high", |s| {
        let first = s.mount("");
        let second = s.aside("second");
        let options = format!(
            "lowerdir={first},upperdir={},workdir={}",
            s.aside("u2"),
            s.aside("w2")
        );
        must("mount", s.bed.try_mount_at(&s.bed.fs, &options, &second));
        s.over(&second, &s.aside("u3"), &s.aside("w3"), &[])
    }),
    (
        "<key>: the mount of '<path>' cannot be cloned: error <errno>. It may be unbindable, of another mount namespace, or have locked mounts in it",
        |s| {
            let at = s.aside("unbindable");
            must("bind", mount_bind(s.lower.path(), at.path()));
            s.bed.mounted(&at);
            let unbindable = MountPropagationFlags::UNBINDABLE;
            must("make unbindable", mount_change(at.path(), unbindable));
            s.over(&at, &s.upper, &s.work, &[])
        },
    ),
    (
        "<key>: '<path>' is in use as upperdir or workdir of another mount; with index=off it can be used all the same",
        |s| {
            s.mount("");
            s.layers(&["index=on"])
        },
    ),
    ("workdir: the mounter may not write to 'work', and lacks CAP_DAC_OVERRIDE", |s| {
        let context = s.context();
        let options = [
            format!("lowerdir={}", s.lower),
            format!("upperdir={}", s.upper),
            format!("workdir={}", s.work),
        ];
        must("options", context.options(options.iter().map(String::as_str)));
        in_child(|| {
            drop_capabilities(CapabilitySet::DAC_OVERRIDE);
            must("override_creds", context.flag("override_creds"));
        });
        refusal(&context, context.create())
    }),
    (
        "volatile: the filesystem of upperdir has had an error that nobody was told of; sync it to clear that",
        |s| {
            // Without a journal ext4 goes on after an error.
            let disk = Disk::with(s.bed, "ext4", 24 << 20, &["-O", "^has_journal"]);
            let (upper, work) = (disk.dir.sub("u"), disk.dir.sub("w"));
            rustix::fs::sync();
            disk.dir.file("lost", vec![1; 100_000]);
            let failing = disk.fail(0);
            rustix::fs::sync();
            drop(failing);
            s.over(&s.lower, &upper, &work, &["volatile"])
        },
    ),
    (
        "workdir: 'work/incompat' in '<path>' says that a former mount was volatile; its data may be incomplete. Remove the directory to mount all the same",
        |s| {
            s.mount(",volatile");
            s.bed.umount();
            s.layers(&[])
        },
    ),
    (
        "upperdir: the filesystem of '<path>' can be changed by others, and does not support all that an upper layer needs",
        |s| {
            let at = fuse::mount(s.bed, &s.upper, &format!("{}-fuse", s.name), fuse::NONE);
            s.over(&s.lower, &at.sub("u"), &at.sub("w"), &[])
        },
    ),
    ("workdir: '<path>/index' is not a directory; <what to do>", |s| {
        s.work.file("index", "");
        s.layers(&["index=on"])
    }),
    ("upperdir: '<path>' was used with another lowerdir; <what to do>", |s| {
        s.mount(",index=on");
        s.bed.umount();
        s.over(&s.aside("other"), &s.upper, &s.work, &["index=on"])
    }),
    ("workdir: '<path>/index' was used with another upperdir; <what to do>", |s| {
        s.mount(",index=on");
        s.bed.umount();
        s.over(&s.lower, &s.aside("other"), &s.work, &["index=on"])
    }),
    ("workdir: '<path>/index' cannot be cleaned: error <errno>; <what to do>", |s| {
        s.mount(",index=on");
        s.bed.umount();
        // An entry of a version to come.
        s.work.file("index/01fb", "");
        s.layers(&["index=on"])
    }),
    ("<key>: it cannot be changed while mounted", |s| {
        let context = Context::pick(s.bed, &s.mount(""));
        refusal(&context, context.string("upperdir", "/"))
    }),
    ("without upperdir the mount stays read-only", |s| {
        let at = s.aside("mounted");
        let options = format!("lowerdir={}:{}", s.lower, s.upper);
        must("mount", s.bed.try_mount_at(&s.bed.fs, &options, &at));
        to_writable(s, &at)
    }),
    (
        "without a work directory, which could not be made, the mount stays read-only",
        |s| {
            let set = |flags| must("chattr", ioctl_setflags(s.work.open_read(""), flags));
            set(IFlags::IMMUTABLE);
            let m = s.mount("");
            set(IFlags::empty());
            to_writable(s, &m)
        },
    ),
    ("cannot <what>: error <errno>", |s| {
        // Room for the work directory, and for no note in it.
        let full = s.bed.mount_tmpfs(&format!("{}-full", s.name), "nr_inodes=4");
        let (upper, work) = (full.sub("u"), full.sub("w"));
        s.over(&s.lower, &upper, &work, &["volatile"])
    }),
];

fn to_writable(scene: &Scene, at: &Dir) -> Refusal {
    let context = Context::pick(scene.bed, at);
    must("rw", context.flag("rw"));
    refusal(&context, context.reconfigure())
}

/// A context of a child that is in a user namespace of its own.
#[track_caller]
fn context_of_other_namespace<'a>(scene: &Scene<'a>) -> Context<'a> {
    // The child shares this process's descriptors, and its memory is a copy.
    let flags = libc::CLONE_FILES | libc::SIGCHLD;
    // SAFETY: as fork(): tests have one thread.
    match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } {
        0 => {
            let flags = UnshareFlags::NEWUSER | UnshareFlags::NEWNS;
            // SAFETY: no descriptors are involved.
            let unshared = unsafe { rustix::thread::unshare_unsafe(flags) };
            let opened =
                unshared.and_then(|()| fsopen(scene.bed.fs.as_str(), FsOpenFlags::empty()));
            let number = opened.map_or(0, IntoRawFd::into_raw_fd);
            // SAFETY: ends the child without running exit handlers; descriptors stay.
            unsafe { libc::_exit(number) }
        }
        pid => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let waited = waitpid(Some(pid.expect("clone")), WaitOptions::empty());
            let (_, status) = must("waitpid", waited).expect("the child");
            let number = status.exit_status().filter(|number| *number > 0);
            let number = number.expect("a context in a user namespace");
            // SAFETY: the child opened it for this process.
            Context::from_fd(scene.bed, unsafe { OwnedFd::from_raw_fd(number) })
        }
    }
}
