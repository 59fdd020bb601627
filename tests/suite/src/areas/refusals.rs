// SPDX-License-Identifier: GPL-2.0

//! Each row of the table of refusals in the documentation happens, with its error and
//! its words; and each message of the code is in the table.

mod scenes;
mod table;

use crate::harness::bed::Bed;
use scenes::{Scene, SCENES};

tests! {
    ONCE: every_row, messages_of_the_code, rows_of_the_table;
}

/// Rows that cannot be made to happen, and why.
const OUT_OF_REACH: &[(&str, &str)] = &[
    (
        "<what> requires permission to access trusted xattrs",
        "it takes a user namespace to lack it, see the area `userns`",
    ),
    (
        "lowerdir: too many layers, the limit is <limit>",
        "a page of options has no room for so many, where a page has 4 KiB",
    ),
    (
        "one directory is given for two layers, by two mounts of it",
        "two mounts of one directory share what it is told by, which is checked before",
    ),
];

fn every_row(bed: &Bed) {
    let explains = bed.copies_directories();
    let mut wrong = Vec::new();
    for (number, row) in table::rows().iter().enumerate() {
        let Some((_, run)) = SCENES.iter().find(|(message, _)| *message == row.message) else {
            continue;
        };
        let scene = Scene::new(bed, number);
        let Some((errno, said)) = run(&scene) else {
            wrong.push(format!("'{}' was not refused", row.message));
            continue;
        };
        if table::name(errno) != Some(row.errno.as_str()) {
            wrong.push(format!(
                "'{}': {errno:?} and not {}",
                row.message, row.errno
            ));
        }
        // C overlayfs uses other words, or the kernel log.
        if explains && !said.iter().any(|text| table::fits(&row.message, text)) {
            wrong.push(format!("'{}' was not said, but {said:?}", row.message));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn rows_of_the_table(_: &Bed) {
    let rows = table::rows();
    for row in &rows {
        let tested = SCENES
            .iter()
            .filter(|(message, _)| *message == row.message)
            .count();
        let unreachable = OUT_OF_REACH
            .iter()
            .filter(|(message, _)| *message == row.message)
            .count();
        assert_eq!(tested + unreachable, 1, "scenes of '{}'", row.message);
    }
    assert_eq!(rows.len(), SCENES.len() + OUT_OF_REACH.len());
}

fn messages_of_the_code(_: &Bed) {
    let rows = table::rows();
    let documented: Vec<_> = rows.iter().map(|row| table::normal(&row.message)).collect();
    let code = table::messages();
    assert!(code.len() > 40, "only {} messages were found", code.len());
    for message in &code {
        assert!(
            documented.contains(message),
            "not in the table: '{message}'"
        );
    }
    for row in &documented {
        assert!(code.contains(row), "no message of the code: '{row}'");
    }
}
