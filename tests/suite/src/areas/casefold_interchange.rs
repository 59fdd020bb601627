// SPDX-License-Identifier: GPL-2.0

//! Case-folded layers that one driver has written and the other reads.

use crate::areas::casefold::fold;
use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;
use crate::support::snapshot::{assert_same, take};

tests! {
    CASEFOLD:
        what_was_made_and_copied,
        what_was_removed,
        redirects;
}

fn fill(bed: &Bed) {
    fold(bed, 1);
    bed.lower.file("File", "lower");
    bed.lower.sub("Dir").file("Inside", "inside");
    bed.lower.sub("Dir/Sub").file("Deep", "deep");
    bed.lower.symlink("File", "Link");
    bed.lower.file("Gone", "");
}

/// Unmounts, and has the other driver show the same.
fn assert_taken_over(bed: &Bed) -> Dir {
    let before = take(&bed.mnt);
    bed.umount();
    let m = bed.mount_by_other();
    assert_same(&take(&m), &before);
    m
}

fn what_was_made_and_copied(bed: &Bed) {
    fill(bed);
    let m = bed.mount();
    m.append("FILE", b", more");
    m.append("dir/INSIDE", b", more");
    m.file("New", "new");
    m.sub("dir/Made").file("File", "");
    m.link("new", "Other");
    m.chmod("DIR/SUB", 0o700);
    m.rename("New", "dir/Moved");
    let m = assert_taken_over(bed);
    assert_eq!(m.text("file"), "lower, more");
    assert_eq!(m.text("DIR/MOVED"), "new");
    m.append("dir/sub/DEEP", b", more");
    m.file("dir/made/FILE", "over");
    let m = assert_taken_over(bed);
    assert_eq!(m.text("dir/sub/deep"), "deep, more");
}

fn what_was_removed(bed: &Bed) {
    fill(bed);
    // Not every driver can make these in such a layer.
    bed.upper.whiteout("gONE");
    bed.upper.sub("dir").whiteout("inside");
    let m = bed.mount();
    assert!(!m.exists("Gone") && !m.exists("Dir/Inside"));
    m.file("dir/New", "");
    m.unlink("dir/NEW");
    let m = assert_taken_over(bed);
    assert_eq!(m.names("DIR"), ["Sub"]);
    assert_eq!(m.names(""), ["File", "Link", "dir"]);
}

fn redirects(bed: &Bed) {
    fill(bed);
    let options = format!("{},redirect_dir=on", bed.options());
    let m = must("mount", bed.try_mount(&options));
    m.rename("DIR", "Moved");
    m.rename("moved/SUB", "Else");
    let m = assert_taken_over(bed);
    assert_eq!(m.text("MOVED/inside"), "inside");
    assert_eq!(m.text("ELSE/deep"), "deep");
}
