// SPDX-License-Identifier: GPL-2.0

//! Every option, and every two of them, on two drivers: the error, and what the mount
//! then shows of itself, are the same.

use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;
use crate::support::newmount::Context;
use crate::support::shown;

tests! {
    TWICE:
        each_option,
        each_two_with_upper,
        each_two_without_upper,
        each_two_with_data_only_layers,
        by_parameters,
        what_is_no_option,
        sequences_of_layers;
}

/// Options that choose features, as a user writes them.
const OPTIONS: &[&str] = &[
    "default_permissions",
    "fsync=auto",
    "fsync=strict",
    "fsync=volatile",
    "index=off",
    "index=on",
    "metacopy=off",
    "metacopy=on",
    "nfs_export=off",
    "nfs_export=on",
    "nooverride_creds",
    "override_creds",
    "redirect_dir=follow",
    "redirect_dir=nofollow",
    "redirect_dir=off",
    "redirect_dir=on",
    "userxattr",
    "uuid=auto",
    "uuid=null",
    "uuid=off",
    "uuid=on",
    "verity=off",
    "verity=on",
    "verity=require",
    "volatile",
    "xino=auto",
    "xino=off",
    "xino=on",
];

/// What is no option, or has no such value.
const NONE: &[&str] = &[
    "nonsense",
    "nonsense=1",
    "index",
    "index=",
    "index=maybe",
    "index=ON",
    "index=1",
    "index= on",
    " index=on",
    "=on",
    ",,",
    "noindex",
    "redirect_dir",
    "redirect_dir=yes",
    "metacopy=2",
    "nfs_export=",
    "uuid=0",
    "verity=off:on",
    "fsync",
    "fsync=",
    "fsync=never",
    "volatile=",
    "volatile=on",
    "novolatile",
    "default_permissions=",
    "default_permissions=1",
    "nodefault_permissions",
    "userxattr=",
    "userxattr=on",
    "nouserxattr",
    "override_creds=",
    "override_creds=on",
    "nooverride_creds=off",
    "xino=xino",
    "check_copy_up=on",
    "lowerdir",
    "lowerdir+",
    "datadir+=",
    "upperdir",
    "upperdir=",
    "workdir",
    "workdir=",
    "workdir=/no/such",
    "upperdir=/no/such",
    "lowerdir=",
    "lowerdir=/no/such",
    "lowerdir+=/",
    "datadir+=/",
    "lowerdir=:",
    "lowerdir=:/",
    "lowerdir=::/",
    "lowerdir=/:",
    "lowerdir=/:::/proc",
    "lowerdir=/::/proc:/sys",
    "lowerdir=/\\",
    "source=x",
    "ro",
    "rw",
    "sync,async",
    "dirsync",
    "lazytime",
];

/// Where the drivers differ on purpose: options, and why. All of them have to be in a
/// case for it to be left out; each names what it is that differs.
const DIFFERENT: &[(&[&str], &str)] = &[];

fn is_different(options: &str) -> bool {
    DIFFERENT.iter().any(|(of, _)| {
        of.iter()
            .all(|wanted| options.split(',').any(|option| option == *wanted))
    })
}

/// Which layers a case has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layers {
    Upper,
    LowersAlone,
    DataOnly,
}

/// What a driver answers: the error, or what is shown, with the names of layers replaced.
type Answer = Result<String, Errno>;

struct Table<'a> {
    bed: &'a Bed,
    lowers: [Dir; 3],
    base: Dir,
    cases: usize,
    wrong: Vec<String>,
}

impl<'a> Table<'a> {
    #[track_caller]
    fn new(bed: &'a Bed) -> Self {
        let lowers = [0, 1, 2].map(|depth| bed.below(depth));
        for (number, lower) in lowers.iter().enumerate() {
            lower.file(&format!("in-{number}"), "content");
        }
        Self {
            bed,
            lowers,
            base: bed.aside("table"),
            cases: 0,
            wrong: Vec::new(),
        }
    }

    /// Asks one driver, with an upper layer that nobody used before.
    #[track_caller]
    fn ask(&mut self, fs: &str, layers: Layers, options: &str) -> Answer {
        self.cases += 1;
        let dir = self.base.sub(&self.cases.to_string());
        let [first, second, data] = &self.lowers;
        let lowerdir = match layers {
            Layers::DataOnly => format!("{first}:{second}::{data}"),
            _ => format!("{first}:{second}"),
        };
        let mut all = format!("lowerdir={lowerdir}");
        if layers != Layers::LowersAlone {
            all += &format!(",upperdir={},workdir={}", dir.sub("u"), dir.sub("w"));
        }
        if !options.is_empty() {
            all = format!("{all},{options}");
        }
        let m = self.bed.try_mount_at(fs, &all, &self.bed.mnt)?;
        Ok(self.look(&m, &dir))
    }

    /// What a mount shows; it is unmounted then.
    #[track_caller]
    fn look(&self, m: &Dir, dir: &Dir) -> String {
        let readonly = shown::is_readonly(m);
        let text = shown::raw(m).replace(&dir.to_string(), "DIR");
        self.bed.umount();
        format!("{text} readonly={readonly}")
    }

    #[track_caller]
    fn compare(&mut self, layers: Layers, options: &str) {
        if is_different(options) {
            return;
        }
        let own = self.ask(&self.bed.fs, layers, options);
        let other = self.ask(&self.bed.other, layers, options);
        if own != other {
            self.wrong.push(format!(
                "'{options}': {} answers {own:?}, {} answers {other:?}",
                self.bed.fs, self.bed.other
            ));
        }
    }

    #[track_caller]
    fn finish(self) {
        assert!(
            self.wrong.is_empty(),
            "{} of {} differ:\n{}",
            self.wrong.len(),
            self.cases / 2,
            self.wrong.join("\n")
        );
    }
}

fn each_option(bed: &Bed) {
    let mut table = Table::new(bed);
    for layers in [Layers::Upper, Layers::LowersAlone, Layers::DataOnly] {
        table.compare(layers, "");
        for option in OPTIONS {
            table.compare(layers, option);
        }
    }
    table.finish();
}

#[track_caller]
fn each_two(bed: &Bed, layers: Layers) {
    let mut table = Table::new(bed);
    for first in OPTIONS {
        for second in OPTIONS {
            table.compare(layers, &format!("{first},{second}"));
        }
    }
    table.finish();
}

fn each_two_with_upper(bed: &Bed) {
    each_two(bed, Layers::Upper);
}

fn each_two_without_upper(bed: &Bed) {
    each_two(bed, Layers::LowersAlone);
}

fn each_two_with_data_only_layers(bed: &Bed) {
    each_two(bed, Layers::DataOnly);
}

/// With each parameter of both modules the other way round.
fn by_parameters(bed: &Bed) {
    const PARAMETERS: [&str; 6] = [
        "index",
        "metacopy",
        "nfs_export",
        "redirect_always_follow",
        "redirect_dir",
        "xino_auto",
    ];
    let set = |name: &str, value: &[u8]| {
        for fs in [&bed.fs, &bed.other] {
            let path = format!("/sys/module/{fs}/parameters/{name}");
            must(name, std::fs::write(path, value));
        }
    };
    let mut table = Table::new(bed);
    for name in PARAMETERS {
        let path = format!("/sys/module/{}/parameters/{name}", bed.fs);
        let before = must(name, std::fs::read(path));
        let turned = if before.starts_with(b"Y") { b"N" } else { b"Y" };
        set(name, turned);
        for layers in [Layers::Upper, Layers::LowersAlone] {
            table.compare(layers, "");
            for option in OPTIONS {
                table.compare(layers, option);
            }
        }
        set(name, &before);
    }
    table.finish();
}

fn what_is_no_option(bed: &Bed) {
    let mut table = Table::new(bed);
    for option in NONE {
        for layers in [Layers::Upper, Layers::LowersAlone] {
            table.compare(layers, option);
        }
    }
    table.finish();
}

/// Steps of `fsconfig`: `KEY=LAYER` with L, M, N for lower layers, U for upper, W for the work
/// directory; `KEY@LAYER` by descriptor; `KEY` alone.
const SEQUENCES: &[&str] = &[
    "lowerdir+=L lowerdir+=M",
    "lowerdir+=L",
    "lowerdir+=L datadir+=M",
    "datadir+=L datadir+=M",
    "datadir+=L lowerdir+=M lowerdir+=N",
    "lowerdir+=L datadir+=M lowerdir+=N upperdir=U workdir=W",
    "lowerdir=L lowerdir+=M upperdir=U workdir=W",
    "lowerdir=L datadir+=M upperdir=U workdir=W",
    "lowerdir+=L lowerdir=M upperdir=U workdir=W",
    "lowerdir+=L lowerdir= lowerdir+=M upperdir=U workdir=W",
    "lowerdir=L lowerdir= lowerdir+=M upperdir=U workdir=W",
    "lowerdir= upperdir=U workdir=W",
    "lowerdir=L upperdir=U",
    "lowerdir=L workdir=W",
    "lowerdir+=L lowerdir+=M workdir=W",
    "upperdir=U workdir=W",
    "lowerdir=L upperdir=U workdir=U",
    "lowerdir=L upperdir=W workdir=W",
    "lowerdir=L upperdir=U upperdir=W workdir=U",
    "lowerdir+=L lowerdir+=L",
    "lowerdir+=L lowerdir+=U upperdir=U workdir=W",
    "lowerdir+@L lowerdir+@M",
    "lowerdir+@L lowerdir+=L",
    "lowerdir@L upperdir=U workdir=W",
    "lowerdir+@L upperdir@U workdir@W",
    "datadir+@L lowerdir+@M",
    "lowerdir+@L datadir+@M upperdir@U workdir@W",
    "upperdir@U workdir=W lowerdir+=L",
    "lowerdir+ upperdir=U workdir=W",
    "lowerdir upperdir=U workdir=W",
    "index@L lowerdir+=M lowerdir+=N",
    "nonsense@L nonsense nonsense=L lowerdir+=M lowerdir+=N",
    "volatile volatile=L lowerdir+=L upperdir=U workdir=W",
];

fn sequences_of_layers(bed: &Bed) {
    let mut table = Table::new(bed);
    for sequence in SEQUENCES {
        let own = steps(&mut table, &bed.fs, sequence);
        let other = steps(&mut table, &bed.other, sequence);
        if own != other {
            table.wrong.push(format!(
                "'{sequence}': {} answers {own:?}, {} answers {other:?}",
                bed.fs, bed.other
            ));
        }
    }
    table.finish();
}

/// The answer to each step, of the creation, and of the mount.
#[track_caller]
fn steps(table: &mut Table, fs: &str, sequence: &str) -> (Vec<Result<(), Errno>>, Answer) {
    table.cases += 1;
    let dir = table.base.sub(&table.cases.to_string());
    let (upper, work) = (dir.sub("u"), dir.sub("w"));
    let [first, second, third] = &table.lowers;
    let find = |letter: &str| match letter {
        "L" => Some(first),
        "M" => Some(second),
        "N" => Some(third),
        "U" => Some(&upper),
        "W" => Some(&work),
        _ => None,
    };
    let context = Context::of_type(table.bed, fs);
    let step = |step: &str| match (step.split_once('='), step.split_once('@')) {
        (Some((key, letter)), _) => {
            let value = find(letter).map_or_else(String::new, Dir::to_string);
            context.string(key, &value)
        }
        (_, Some((key, letter))) => {
            let dir = find(letter).expect("a layer's letter");
            context.fd(key, dir.open_read(""))
        }
        _ => context.flag(step),
    };
    let answers = sequence.split(' ').map(step).collect();
    let mounted = context.mount(&table.bed.mnt).map(|m| table.look(&m, &dir));
    (answers, mounted)
}
