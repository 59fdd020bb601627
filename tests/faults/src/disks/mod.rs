// SPDX-License-Identifier: GPL-2.0

//! Makes requests to the disk below a layer fail, while files are changed at random.

mod disk;
mod model;
mod round;

use std::path::{Path, PathBuf};

use crate::report::Report;
use crate::rng::Rng;
use disk::Disk;

/// What is on the disk that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    Upper,
    Lower,
}

/// What to do.
pub struct Plan {
    /// The type of the overlay.
    pub fs: String,
    /// The disk, and types of filesystems to make on it.
    pub device: PathBuf,
    /// Rounds for each of them and each layer.
    pub rounds: u64,
    /// The first seed.
    pub seed: u64,
    /// Whether to make a mistake after each round.
    pub plant: bool,
}

/// Runs all rounds below `root`.
pub fn run(plan: &Plan, root: &Path, report: &mut Report) -> Result<(), String> {
    for kind in ["ext4", "xfs"] {
        for layer in [Layer::Upper, Layer::Lower] {
            let what = format!("{layer:?} on {kind}, requests fail");
            let mut total = round::Tally::default();
            let mut result = Ok(());
            for seed in plan.seed..plan.seed + plan.rounds {
                let disk = Disk::new(&plan.device, kind, &root.join("disk"))?;
                let done = round::run(plan, layer, &disk, root, &mut Rng::new(seed, 0), &mut total);
                disk.unmount()?;
                result = match (done, plan.plant) {
                    (Err(why), true) => {
                        println!("# seed {seed}: {why}");
                        Ok(())
                    }
                    (Err(why), false) => Err(format!("seed {seed}: {why}")),
                    (Ok(()), true) => Err(format!("seed {seed}: the mistake is not noticed")),
                    (Ok(()), false) => Ok(()),
                };
                if result.is_err() {
                    break;
                }
            }
            if result.is_ok() && total.faults == 0 {
                result = Err("no fault was injected".into());
            }
            let told = || {
                format!(
                    "{} faults injected, {} operations, {} failures",
                    total.faults, total.operations, total.failed
                )
            };
            report.tell(&what, result.map(|()| told()));
        }
    }
    Ok(())
}
