// SPDX-License-Identifier: GPL-2.0

//! What an image is made of, before anything is made.

use crate::overlay::Setting;
use crate::rng::Rng;

/// Where the objects of a layer come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Made without a driver.
    Raw,
    /// Written through an overlay of the layers below, by the driver with that number.
    Written(usize),
}

/// A layer.
pub struct LayerPlan {
    /// Where its objects come from.
    pub source: Source,
    /// Whether it is on the other filesystem.
    pub elsewhere: bool,
}

/// What a seed stands for.
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Lower layers, the highest first.
    pub lower: Vec<LayerPlan>,
    /// As many of the last have data only.
    pub data: usize,
    /// The upper layer, if there is one.
    pub upper: Option<Source>,
    /// Whether attributes are `user.overlay.*`.
    pub userxattr: bool,
    /// Options but for layers.
    pub settings: Vec<Setting>,
    /// Settings of the mounts that write layers.
    pub writer: Vec<Setting>,
    /// Mistakes that are made.
    pub mistakes: usize,
    /// Changes through the overlay.
    pub changes: usize,
    /// Whether nothing is kept in memory between two looks.
    pub drops_caches: bool,
    /// Whether it is mounted again in the end.
    pub again: bool,
    /// Whether directories of lower layers are renamed by copying, which C cannot.
    pub copies_directories: bool,
}

/// Options with their values, the more interesting ones twice.
const CHOICES: &[(&str, &[&str])] = &[
    ("redirect_dir", &["on", "on", "follow", "nofollow", "off"]),
    ("index", &["on", "on", "off"]),
    ("nfs_export", &["on", "off"]),
    ("metacopy", &["on", "on", "off"]),
    ("xino", &["on", "off", "auto"]),
    ("verity", &["on", "require", "off"]),
    ("uuid", &["on", "auto", "null", "off"]),
    ("fsync", &["volatile", "auto", "strict"]),
];
const FLAGS: &[&str] = &[
    "volatile",
    "default_permissions",
    "override_creds",
    "nooverride_creds",
    "ro",
];

impl Plan {
    /// That of a seed, for so many drivers.
    pub fn new(seed: u64, drivers: usize) -> Self {
        let rng = &mut Rng::new(seed, 0);
        let source = |rng: &mut Rng| match rng.percent(50) {
            true => Source::Written(rng.below(drivers)),
            false => Source::Raw,
        };
        let layers = rng.pick(&[1, 1, 2, 2, 2, 3, 3, 4, 5, 8]);
        let mixed = rng.percent(20);
        let lower: Vec<_> = (0..layers)
            .map(|_| LayerPlan {
                source: source(rng),
                elsewhere: mixed && rng.percent(50),
            })
            .collect();
        let upper = rng.percent(80).then(|| source(rng));
        let userxattr = rng.percent(12);
        let data = if layers > 1 && rng.percent(15) {
            1 + rng.below(layers - 1)
        } else {
            0
        };
        Self {
            seed,
            data,
            upper,
            userxattr,
            settings: settings(rng, userxattr),
            writer: writer(rng, userxattr),
            mistakes: rng.pick(&[0, 1, 1, 2, 3, 5, 8]),
            changes: rng.pick(&[0, 4, 8, 12]),
            drops_caches: rng.percent(4),
            again: rng.percent(25),
            copies_directories: rng.percent(10),
            lower,
        }
    }

    /// Whether layers are on more than one filesystem.
    pub fn has_several_filesystems(&self) -> bool {
        self.lower.iter().any(|layer| layer.elsewhere)
    }
}

fn settings(rng: &mut Rng, userxattr: bool) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (name, values) in CHOICES {
        // Of those that cannot be had with the other namespace, fewer.
        if rng.percent(if userxattr { 8 } else { 30 }) {
            settings.push((*name, Some(rng.pick(values).to_owned())));
        }
    }
    for name in FLAGS {
        if rng.percent(6) {
            settings.push((*name, None));
        }
    }
    if userxattr {
        settings.push(("userxattr", None));
    }
    settings
}

fn writer(rng: &mut Rng, userxattr: bool) -> Vec<Setting> {
    let on = || Some(String::from("on"));
    match rng.below(4) {
        _ if userxattr => vec![("userxattr", None)],
        0 => vec![("redirect_dir", on()), ("metacopy", on())],
        1 => vec![("redirect_dir", on()), ("metacopy", on()), ("index", on())],
        2 => vec![
            ("redirect_dir", on()),
            ("index", on()),
            ("nfs_export", on()),
        ],
        _ => vec![("redirect_dir", on()), ("uuid", on())],
    }
}
