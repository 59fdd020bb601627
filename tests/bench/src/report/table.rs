// SPDX-License-Identifier: GPL-2.0

//! The table of all figures.

use super::Row;
use std::fmt::Write;

/// The table, with ratios, and with how rovl's figures differ from the last.
pub fn table(rows: &[Row], last: &[Row]) -> String {
    let fuse = rows
        .iter()
        .any(|row| row.values.contains_key("fuse-overlayfs"));
    let mut text = format!(
        "{:<22} {:<6} {:>6} {:<12} {:>11} {:>11} {:>11} {:>9} {:>7} {:>8}{}\n",
        "operation",
        "on",
        "layers",
        "median",
        "bare",
        "C",
        "rovl",
        "rovl/bare",
        "rovl/C",
        "change",
        if fuse { "  fuse-overlayfs" } else { "" },
    );
    for row in rows {
        let before = last.iter().find(|other| other.case == row.case);
        let change = before
            .and_then(|before| Some(row.value("rovl")? / before.value("rovl")?.max(1.0)))
            .map(|times| format!("{:+.1}%", (times - 1.0) * 100.0));
        let number = |fs| row.values.get(fs).map_or("-".into(), u64::to_string);
        let ratio = |times: Option<f64>| times.map_or("-".into(), |times| format!("{times:.3}"));
        let _ = write!(
            text,
            "{:<22} {:<6} {:>6} {:<12} {:>11} {:>11} {:>11} {:>9} {:>7} {:>8}",
            row.case.operation,
            row.case.on,
            row.case.layers,
            row.unit,
            number("bare"),
            number("overlay"),
            number("rovl"),
            ratio(row.times("bare")),
            ratio(row.times("overlay")),
            change.unwrap_or_default(),
        );
        if fuse {
            let _ = write!(text, " {:>15}", number("fuse-overlayfs"));
        }
        text.push('\n');
    }
    text
}
