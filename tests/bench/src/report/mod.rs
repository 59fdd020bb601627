// SPDX-License-Identifier: GPL-2.0

//! What people read of a run.

mod goals;
mod kept;
mod plots;
mod table;

use crate::{figure::Figure, options::ReportOptions, Result};
use std::{collections::BTreeMap, fs};

/// What distinguishes a line of the table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    pub operation: String,
    pub on: String,
    pub layers: usize,
}

/// A line of the table: what was measured on each filesystem.
pub struct Row {
    pub case: Case,
    pub unit: String,
    pub values: BTreeMap<String, u64>,
}

impl Row {
    /// What was measured on a filesystem.
    pub fn value(&self, fs: &str) -> Option<f64> {
        self.values.get(fs).map(|&value| value as f64)
    }

    /// How many times that of another filesystem rovl's figure is.
    pub fn times(&self, other: &str) -> Option<f64> {
        Some(self.value("rovl")? / self.value(other)?.max(1.0))
    }
}

/// Rows in the order in which their first figures come.
pub fn rows(figures: &[Figure]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for figure in figures {
        let case = Case {
            operation: figure.operation.clone(),
            on: figure.on.clone(),
            layers: figure.layers,
        };
        let at = rows
            .iter()
            .position(|row| row.case == case)
            .unwrap_or_else(|| {
                rows.push(Row {
                    case,
                    unit: figure.unit.clone(),
                    values: BTreeMap::new(),
                });
                rows.len() - 1
            });
        rows[at].values.insert(figure.fs.clone(), figure.value);
    }
    rows
}

/// Figures as they are printed: a JSON object a line.
fn read_lines(path: &std::path::Path) -> Result<Vec<Figure>> {
    fs::read_to_string(path)?
        .lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

/// Prints what a run has found, and keeps it if that is asked for.
pub fn report(options: &ReportOptions) -> Result<()> {
    let figures = read_lines(&options.figures)?;
    let last = match &options.against {
        Some(path) => kept::read(path)?,
        None => Vec::new(),
    };
    let rows = rows(&figures);
    let text = format!(
        "{}\n{}",
        table::table(&rows, &self::rows(&last)),
        goals::judge(&rows)
    );
    print!("{text}");
    if let Some(directory) = &options.keep {
        fs::create_dir_all(directory)?;
        kept::write(&directory.join("figures.json"), &figures)?;
        plots::draw(&rows, directory)?;
        fs::write(
            directory.join("figures.txt"),
            format!("SPDX-License-Identifier: GPL-2.0\n\n{text}"),
        )?;
    }
    Ok(())
}

/// How far apart two figures of the same may be, of the smaller one.
const TOLERANCE: f64 = 0.01;

/// Prints a line for each figure, and says whether two runs agree.
pub fn compare(options: &ReportOptions) -> Result<bool> {
    let other = options.against.as_ref().ok_or("nothing to compare with")?;
    let (first, second) = (read_lines(other)?, read_lines(&options.figures)?);
    if first.len() != second.len() {
        return Err(format!("{} and {} figures", first.len(), second.len()).into());
    }
    let mut good = true;
    for (a, b) in first.iter().zip(&second) {
        let (least, most) = (a.value.min(b.value), a.value.max(b.value));
        let same = (most - least) as f64 <= least as f64 * TOLERANCE;
        good &= same;
        println!(
            "{} bench/{}/{}/{}/{}: {} {}",
            if same { "ok" } else { "not ok" },
            a.operation,
            a.on,
            a.layers,
            a.fs,
            a.value,
            b.value
        );
    }
    Ok(good)
}
