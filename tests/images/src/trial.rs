// SPDX-License-Identifier: GPL-2.0

//! One image on one filesystem type.

use std::path::PathBuf;

use rustix::io::Errno;

use crate::build::{self, Image};
use crate::cli::Plant;
use crate::guard::{self, Trees};
use crate::overlay::{self, Setting};
use crate::plan::Plan;
use crate::rng::Rng;
use crate::site::{Site, OUTSIDE, SECRET};
use crate::walk::{self, Facts};
use crate::{answers, change, errno};

/// What came out of it.
#[derive(Default)]
pub struct Report {
    /// How the mount was refused.
    pub refused: Option<String>,
    /// What the filesystem said about that.
    pub words: String,
    /// What was seen first, after changes, and after another mount.
    pub looks: Vec<Facts>,
    /// How changes ended.
    pub changes: Vec<String>,
    /// What must not be.
    pub wrong: Vec<String>,
}

/// Makes the image of a plan and looks at what a filesystem type shows of it.
pub fn run(
    plan: &Plan,
    site: &Site,
    fs: &str,
    drivers: &[&str],
    prints: bool,
    plant: Option<Plant>,
) -> Result<Report, String> {
    site.open()?;
    let mut report = Report::default();
    let made = build::image(plan, site, drivers);
    let result = made.and_then(|image| {
        Trial {
            plan,
            site,
            fs,
            image,
            report: &mut report,
            prints,
            plant,
        }
        .run()
    });
    // Else nothing can be said of the next one.
    let closed = site.close();
    result.and(closed).map(|()| report)
}

/// Whether a filesystem type has an option to copy directories.
pub fn copies_directories(fs: &str) -> bool {
    PathBuf::from(format!("/sys/module/{fs}/parameters/rename_dir_copy")).exists()
}

struct Trial<'a> {
    plan: &'a Plan,
    site: &'a Site,
    fs: &'a str,
    image: Image,
    report: &'a mut Report,
    prints: bool,
    plant: Option<Plant>,
}

impl Trial<'_> {
    fn run(&mut self) -> Result<(), String> {
        if self.prints {
            self.print();
        }
        if self.plant == Some(Plant::Show) {
            let _ = std::fs::write(self.image.lower[0].join("planted"), SECRET);
        }
        let guarded = self.guard(true);
        if self.mount()? {
            match self.plant {
                Some(Plant::Change) => {
                    let path = self.site.a.join(OUTSIDE).join("secret-file");
                    std::fs::write(path, "changed").map_err(|error| error.to_string())?;
                }
                Some(Plant::Open) => {
                    std::mem::forget(std::fs::File::open(&self.site.point));
                }
                _ => {}
            }
            let paths = self.look()?;
            self.change(paths);
            if self.report.changes.is_empty() {
                // What was seen is the same for who looks again.
                self.look_again()?;
            } else {
                self.look()?;
            }
            self.umount()?;
            if self.plan.again && self.mount()? {
                self.look()?;
                self.umount()?;
            }
        }
        let difference = guard::difference(&guarded, &self.guard(true));
        if let Some(difference) = difference {
            self.report
                .wrong
                .push(format!("what nobody may change: {difference}"));
        }
        Ok(())
    }

    /// Prints what is in the image, before anything can happen.
    fn print(&self) {
        for (path, text) in self.guard(false) {
            println!("{}: {text}", path.display());
        }
        for (key, value) in self.settings() {
            println!("option {key} {}", value.as_deref().unwrap_or(""));
        }
    }

    fn settings(&self) -> Vec<Setting> {
        let names = self.image.lower.len() - self.plan.data;
        let (lower, data) = self.image.lower.split_at(names);
        let mut settings = overlay::layers(lower, data, self.image.upper());
        settings.extend(self.plan.settings.iter().cloned());
        if copies_directories(self.fs) {
            let how = if self.plan.copies_directories {
                "copy"
            } else {
                "exdev"
            };
            settings.push(("rename_dir", Some(how.into())));
        }
        settings
    }

    /// All that is there, or that the overlay may not write to.
    fn guard(&self, protected: bool) -> Trees {
        let written = match self.image.upper() {
            Some((upper, work)) if protected => vec![upper.to_owned(), work.to_owned()],
            _ => Vec::new(),
        };
        let mut trees = Trees::new();
        guard::take(&self.site.a, &written, !protected, &mut trees);
        guard::take(&self.site.b, &written, !protected, &mut trees);
        trees
    }

    fn mount(&mut self) -> Result<bool, String> {
        match overlay::mount(self.fs, &self.settings(), &self.site.point) {
            Ok(()) => Ok(true),
            Err(refusal) => {
                let how = errno::name(refusal.errno);
                let is_explained = !refusal.words.is_empty() || !copies_directories(self.fs);
                if !answers::of_mount(refusal.errno) {
                    self.report
                        .wrong
                        .push(format!("mount: {how} {}", refusal.words));
                } else if !is_explained && refusal.errno != Errno::BUSY {
                    self.report
                        .wrong
                        .push(format!("mount: {how} without a word"));
                }
                self.report.words = refusal.words;
                self.report.refused = Some(how);
                self.check_users()?;
                Ok(false)
            }
        }
    }

    fn umount(&mut self) -> Result<(), String> {
        overlay::umount(&self.site.point)?;
        self.check_users()
    }

    fn check_users(&mut self) -> Result<(), String> {
        match overlay::users(self.fs) {
            Some(0) | None => Ok(()),
            Some(users) => Err(format!("{users} users of the module after umount")),
        }
    }

    /// Looks at the overlay; the paths that were found.
    fn look(&mut self) -> Result<Vec<PathBuf>, String> {
        let walk = walk::walk(&self.site.point)?;
        self.report.wrong.extend(walk.wrong);
        self.report.looks.push(walk.facts);
        Ok(walk.paths)
    }

    fn look_again(&mut self) -> Result<(), String> {
        if self.plan.drops_caches {
            let _ = std::fs::write("/proc/sys/vm/drop_caches", "2");
        }
        let before = self.report.looks.pop().unwrap_or_default();
        self.look()?;
        if let Some(after) = self.report.looks.last() {
            for (fact, value) in &before {
                // A number that is not looked up may be known by the second time.
                if fact.1 != "listed number" && after.get(fact) != Some(value) {
                    let (path, what) = fact;
                    self.report.wrong.push(format!(
                        "'{}' {what}: {value}, and then {:?}",
                        path.display(),
                        after.get(fact)
                    ));
                    break;
                }
            }
        }
        Ok(())
    }

    fn change(&mut self, mut paths: Vec<PathBuf>) {
        let rng = &mut Rng::new(self.plan.seed, 2);
        for _ in 0..self.plan.changes {
            let (how, is_right) = change::one(rng, &self.site.point, &mut paths);
            if !is_right {
                self.report.wrong.push(how.clone());
            }
            self.report.changes.push(how);
        }
    }
}
