// SPDX-License-Identifier: GPL-2.0

//! Makes the layers of an image.

use std::fs;
use std::path::{Path, PathBuf};

use crate::change;
use crate::overlay;
use crate::plan::{Plan, Source};
use crate::raw;
use crate::rng::Rng;
use crate::site::Site;
use crate::tamper::{tamper, Layers};
use crate::{attribute, site};

/// Layers that are made.
pub struct Image {
    /// Lower layers, the highest first.
    pub lower: Vec<PathBuf>,
    /// The upper layer and the work directory.
    pub upper: Option<(PathBuf, PathBuf)>,
}

impl Image {
    /// The upper layer and the work directory, if there are any.
    pub fn upper(&self) -> Option<(&Path, &Path)> {
        self.upper
            .as_ref()
            .map(|(upper, work)| (upper.as_path(), work.as_path()))
    }
}

/// As many changes are made to write a layer.
const CHANGES: usize = 8;

/// Makes the image of a plan; drivers are types of filesystems.
pub fn image(plan: &Plan, site: &Site, drivers: &[&str]) -> Result<Image, String> {
    let rng = &mut Rng::new(plan.seed, 1);
    let mut build = Build {
        plan,
        site,
        drivers,
        made: Vec::new(),
    };
    // From the lowest up.
    for (number, layer) in plan.lower.iter().enumerate().rev() {
        let ground = if layer.elsewhere { &site.b } else { &site.a };
        let dir = ground.join(format!("lower{number}"));
        build.layer(
            rng,
            layer.source,
            dir,
            &ground.join(format!("work{number}")),
        )?;
    }
    let upper = match plan.upper {
        Some(source) => {
            let (upper, work) = (site.a.join("upper"), site.a.join("work"));
            build.layer(rng, source, upper.clone(), &work)?;
            Some((upper, work))
        }
        None => None,
    };
    let mut lower = build.made;
    lower.reverse();
    if upper.is_some() {
        lower.remove(0);
    }
    let image = Image { lower, upper };
    let layers = Layers {
        site,
        lower: &image.lower,
        upper: image.upper(),
        prefix: attribute::prefix(plan.userxattr),
    };
    let all = layers.objects();
    for _ in 0..plan.mistakes {
        tamper(rng, &layers, &all);
    }
    Ok(image)
}

struct Build<'a> {
    plan: &'a Plan,
    site: &'a Site,
    drivers: &'a [&'a str],
    /// Layers that are there, the lowest first.
    made: Vec<PathBuf>,
}

impl Build<'_> {
    fn layer(
        &mut self,
        rng: &mut Rng,
        source: Source,
        dir: PathBuf,
        work: &Path,
    ) -> Result<(), String> {
        for path in [&dir, work] {
            fs::create_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        match source {
            Source::Written(driver) if !self.made.is_empty() => {
                self.written(rng, driver, &dir, work)?
            }
            _ => {
                raw::fill(rng, &dir, 2);
                if rng.percent(60) {
                    let mut all = self.made.clone();
                    all.push(dir.clone());
                    for root in all.clone() {
                        site::objects(&root, &mut all);
                    }
                    raw::decorate(
                        rng,
                        self.site,
                        &dir,
                        &all,
                        attribute::prefix(self.plan.userxattr),
                    );
                }
            }
        }
        self.made.push(dir);
        Ok(())
    }

    /// Writes a layer through an overlay of those that are there.
    fn written(&self, rng: &mut Rng, driver: usize, dir: &Path, work: &Path) -> Result<(), String> {
        let lower: Vec<_> = self.made.iter().rev().cloned().collect();
        let mut settings = overlay::layers(&lower, &[], Some((dir, work)));
        settings.extend(self.plan.writer.iter().cloned());
        // Layers below may be such that there is no overlay of them.
        if overlay::mount(self.drivers[driver], &settings, &self.site.point).is_err() {
            raw::fill(rng, dir, 2);
            return Ok(());
        }
        let mut paths = change::paths(&self.site.point);
        for _ in 0..CHANGES {
            change::one(rng, &self.site.point, &mut paths);
        }
        overlay::umount(&self.site.point)
    }
}
