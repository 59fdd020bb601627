// SPDX-License-Identifier: GPL-2.0

//! The file with figures that is kept in the repository.

use crate::{figure::Figure, Result};
use serde::Deserialize;
use std::{fs, path::Path};

#[derive(Deserialize)]
struct Kept {
    figures: Vec<Figure>,
}

/// Reads a file that [`write`] has made.
pub fn read(path: &Path) -> Result<Vec<Figure>> {
    Ok(serde_json::from_str::<Kept>(&fs::read_to_string(path)?)?.figures)
}

/// Keeps figures, one a line, so that differences can be read.
pub fn write(path: &Path, figures: &[Figure]) -> Result<()> {
    let lines = figures
        .iter()
        .map(serde_json::to_string)
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let text = format!(
        "{{\n\"license\": \"SPDX-License-Identifier: GPL-2.0\",\n\"figures\": [\n{}\n]\n}}\n",
        lines.join(",\n")
    );
    Ok(fs::write(path, text)?)
}
