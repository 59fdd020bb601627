// SPDX-License-Identifier: GPL-2.0

//! Where a trial takes place: lower layers, which both overlays share, and the two.

use std::{
    collections::HashSet,
    error::Error,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    rc::Rc,
};

use rustix::fs::{AtFlags, Timespec, Timestamps, CWD};

use crate::{
    case::{self, Case, Feed, Layer, Maker, Plan},
    exec,
    matrix::OptionSet,
    op::Op,
    plant::Plant,
    show,
    side::Side,
    tree::{Numbers, Tree},
};

/// What trials have in common.
#[derive(Clone)]
pub struct Bench {
    /// Two filesystem types.
    pub drivers: [String; 2],
    /// Mount options.
    pub set: OptionSet,
    /// A directory on upper's filesystem.
    pub fs: PathBuf,
    /// A directory on that of lower layers.
    pub lower: PathBuf,
    /// A difference to make.
    pub plant: Option<Plant>,
}

/// Both overlays, not mounted yet, over new layers.
pub struct Stage {
    /// The two.
    pub sides: [Side; 2],
    dirs: [PathBuf; 2],
}

impl Stage {
    /// Makes layers, and notes in the case how.
    pub fn build(bench: &Bench, plan: &Plan<'_>, case: &mut Case) -> Result<Self, Box<dyn Error>> {
        let dirs = [
            bench.fs.join("rovl-random"),
            bench.lower.join("rovl-random-lower"),
        ];
        for dir in &dirs {
            clear(dir)?;
        }
        let mut lower = Vec::new();
        for (maker, feed) in case::layers(plan) {
            let dir = dirs[1].join(format!("layer{}", lower.len()));
            let layer = make_layer(bench, maker, feed, &dir, &lower)?;
            case.layers.push(layer);
            // The highest first, as in the options.
            lower.insert(0, dir);
        }
        let bases = ["1", "2"].map(|name| dirs[0].join(name));
        let uppers = bases.each_ref().map(|base| base.join("upper"));
        for upper in &uppers {
            fs::create_dir_all(upper)?;
        }
        case.upper = by_hand(case::upper(plan), &uppers[0]);
        by_hand(Feed::Fixed(case.upper.iter()), &uppers[1]);
        for upper in &uppers {
            if !case.upper.is_empty() {
                set_times(upper, upper)?;
            }
        }
        let mut numbers = Numbers {
            one_filesystem: fs::metadata(&dirs[0])?.dev() == fs::metadata(&dirs[1])?.dev(),
            any_time: bench.set.options.contains("metacopy=on"),
            ..Numbers::default()
        };
        if numbers.one_filesystem {
            for dir in &lower {
                collect_numbers(dir, &mut numbers.shared)?;
            }
        }
        let numbers = Rc::new(numbers);
        let [one, two] = uppers;
        let side = |index: usize, upper| {
            Side::new(
                &bases[index],
                upper,
                &bench.drivers[index],
                &lower,
                &bench.set.options,
                Rc::clone(&numbers),
            )
        };
        Ok(Self {
            sides: [side(0, one)?, side(1, two)?],
            dirs,
        })
    }

    /// Unmounts and removes all.
    pub fn clear(mut self) -> Result<(), Box<dyn Error>> {
        for side in &mut self.sides {
            side.unmount().map_err(|error| {
                format!("umount of {}: {}", side.driver, crate::errno::name(error))
            })?;
        }
        for dir in &self.dirs {
            clear(dir)?;
        }
        Ok(())
    }
}

fn clear(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(dir),
    }
}

fn make_layer(
    bench: &Bench,
    maker: Maker,
    mut feed: Feed<'_>,
    dir: &Path,
    lower: &[PathBuf],
) -> Result<Layer, Box<dyn Error>> {
    fs::create_dir_all(dir)?;
    let steps = match maker {
        Maker::Overlay if !lower.is_empty() => {
            // Always C's, if there: what it makes is the format.
            let driver = bench
                .drivers
                .iter()
                .find(|driver| *driver == "overlay")
                .unwrap_or(&bench.drivers[0]);
            let base = dir.with_extension("base");
            let mut side = Side::new(
                &base,
                dir.to_owned(),
                driver,
                lower,
                &bench.set.layers,
                Rc::default(),
            )?;
            side.mount()
                .map_err(|error| format!("mount for a layer: {}", crate::errno::name(error)))?;
            feed.look(&side.tree.root);
            let steps = run_alone(&mut feed, &mut side.tree);
            side.unmount()?;
            drop(side);
            fs::remove_dir_all(base)?;
            steps
        }
        _ => by_hand(feed, dir),
    };
    set_times(dir, dir)?;
    Ok(Layer { maker, steps })
}

fn by_hand(mut feed: Feed<'_>, dir: &Path) -> Vec<crate::op::Step> {
    run_alone(&mut feed, &mut Tree::new(dir.to_owned(), Rc::default()))
}

fn run_alone(feed: &mut Feed<'_>, tree: &mut Tree) -> Vec<crate::op::Step> {
    let mut steps = Vec::new();
    while let Some(step) = feed.next() {
        if matches!(step.op, Op::DropCaches | Op::Remount | Op::Flag { .. }) {
            continue;
        }
        let outcome = exec::step(tree, &step);
        feed.learn(&step, &outcome);
        steps.push(step);
    }
    tree.close_all();
    steps
}

/// Gives each object a time of long ago, so that it is seen whether copies keep it.
fn set_times(dir: &Path, root: &Path) -> io::Result<()> {
    let path = dir.strip_prefix(root).unwrap_or(dir);
    let hash = show::hash(path.to_string_lossy().as_bytes());
    let time = Timespec {
        tv_sec: 200_000_000 + (hash % 1_000_000_000) as i64,
        tv_nsec: ((hash >> 32) % 1_000_000_000) as _,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, dir, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    if fs::symlink_metadata(dir)?.is_dir() {
        for entry in fs::read_dir(dir)? {
            set_times(&entry?.path(), root)?;
        }
    }
    Ok(())
}

fn collect_numbers(dir: &Path, numbers: &mut HashSet<u64>) -> io::Result<()> {
    let stat = fs::symlink_metadata(dir)?;
    numbers.insert(stat.ino());
    if stat.is_dir() {
        for entry in fs::read_dir(dir)? {
            collect_numbers(&entry?.path(), numbers)?;
        }
    }
    Ok(())
}
