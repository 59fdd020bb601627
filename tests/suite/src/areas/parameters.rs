// SPDX-License-Identifier: GPL-2.0

//! Parameters of the module: those of C overlayfs, by the same names.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::bed::Bed;
use crate::support::must::must;

tests! {
    ONCE:
        those_of_c,
        the_same_as_those_of_the_other,
        booleans_are_written_as_such,
        the_obsolete_one;
}

/// Names, and what is read at first with the test kernels' configuration.
const PARAMETERS: [&str; 8] = [
    "check_copy_up",
    "index",
    "metacopy",
    "nfs_export",
    "redirect_always_follow",
    "redirect_dir",
    "redirect_max",
    "xino_auto",
];

fn path(fs: &str, name: &str) -> String {
    format!("/sys/module/{fs}/parameters/{name}")
}

fn those_of_c(bed: &Bed) {
    for name in PARAMETERS {
        let file = path(&bed.fs, name);
        let mode = must(name, fs::metadata(&file)).permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{name}");
        let value = must(name, fs::read_to_string(&file));
        match name {
            "redirect_max" => assert_eq!(value, "256\n"),
            _ => assert!(["Y\n", "N\n"].contains(&value.as_str()), "{name}: {value}"),
        }
    }
}

fn the_same_as_those_of_the_other(bed: &Bed) {
    for name in PARAMETERS {
        let read = |fs| must(name, fs::read_to_string(path(fs, name)));
        assert_eq!(read(&bed.fs), read(&bed.other), "{name}");
    }
}

fn booleans_are_written_as_such(bed: &Bed) {
    for name in PARAMETERS {
        if ["check_copy_up", "redirect_max"].contains(&name) {
            continue;
        }
        let file = path(&bed.fs, name);
        let before = must(name, fs::read_to_string(&file));
        for (text, value) in [("Y", "Y\n"), ("0", "N\n"), ("on", "Y\n"), ("n", "N\n")] {
            must(name, fs::write(&file, text));
            assert_eq!(must(name, fs::read_to_string(&file)), value);
        }
        assert!(fs::write(&file, "maybe").is_err(), "{name}");
        must(name, fs::write(&file, before));
    }
    let file = path(&bed.fs, "redirect_max");
    assert!(fs::write(&file, "-1").is_err());
    assert!(fs::write(&file, "65536").is_err());
}

fn the_obsolete_one(bed: &Bed) {
    let file = path(&bed.fs, "check_copy_up");
    for value in ["Y", "N", "whatever", ""] {
        if !value.is_empty() {
            must("write", fs::write(&file, value));
        }
        assert_eq!(must("read", fs::read_to_string(&file)), "N\n");
    }
}
