// SPDX-License-Identifier: GPL-2.0

//! What cannot be mounted, and the error that says so.

use rustix::io::Errno;
use rustix::mount::{mount_bind, mount_remount, MountFlags};

use crate::harness::bed::Bed;
use crate::support::must::{must, refused};
use crate::support::newmount;

tests! {
    ONCE:
        no_options,
        no_lowerdir,
        an_empty_lowerdir,
        one_lower_without_upper,
        an_unknown_option,
        an_option_without_its_value,
        a_missing_lower,
        a_missing_second_lower,
        a_missing_upper,
        a_missing_work,
        a_file_as_lower,
        a_file_as_upper,
        upper_without_work,
        a_trailing_colon,
        a_leading_colon,
        work_is_upper,
        work_inside_upper,
        upper_inside_work,
        a_lower_twice,
        a_lower_inside_another,
        lower_is_upper,
        lower_is_work,
        a_read_only_upper,
        a_value_too_long_for_fsconfig;
    SEVERAL_FILESYSTEMS: work_on_another_filesystem;
}

fn refuse(bed: &Bed, want: Errno, options: &str) {
    refused(want, bed.try_mount(options));
}

/// Refuses the layers of the bed with one option replaced.
fn refuse_with(bed: &Bed, want: Errno, key: &str, value: &str) {
    let mut options = vec![
        ("lowerdir", bed.lowerdir()),
        ("upperdir", bed.upper.to_string()),
        ("workdir", bed.work.to_string()),
    ];
    for option in &mut options {
        if option.0 == key {
            value.clone_into(&mut option.1);
        }
    }
    let options: Vec<_> = options
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    refuse(bed, want, &options.join(","));
}

fn no_options(bed: &Bed) {
    refuse(bed, Errno::INVAL, "");
}

fn no_lowerdir(bed: &Bed) {
    refuse(
        bed,
        Errno::INVAL,
        &format!("upperdir={},workdir={}", bed.upper, bed.work),
    );
}

fn an_empty_lowerdir(bed: &Bed) {
    refuse_with(bed, Errno::INVAL, "lowerdir", "");
}

fn one_lower_without_upper(bed: &Bed) {
    refuse(bed, Errno::INVAL, &format!("lowerdir={}", bed.lower));
}

fn an_unknown_option(bed: &Bed) {
    refuse(bed, Errno::INVAL, &format!("{},nonsense", bed.options()));
    refuse(bed, Errno::INVAL, &format!("{},nonsense=1", bed.options()));
}

fn an_option_without_its_value(bed: &Bed) {
    refuse(
        bed,
        Errno::INVAL,
        &format!("lowerdir={},upperdir,workdir", bed.lower),
    );
}

fn a_missing_lower(bed: &Bed) {
    refuse_with(
        bed,
        Errno::NOENT,
        "lowerdir",
        &bed.lower.join("no").to_string(),
    );
}

fn a_missing_second_lower(bed: &Bed) {
    let lowerdir = format!("{}:{}/no", bed.lower, bed.lower);
    refuse_with(bed, Errno::NOENT, "lowerdir", &lowerdir);
}

fn a_missing_upper(bed: &Bed) {
    refuse_with(
        bed,
        Errno::NOENT,
        "upperdir",
        &bed.upper.join("no").to_string(),
    );
}

fn a_missing_work(bed: &Bed) {
    refuse_with(
        bed,
        Errno::NOENT,
        "workdir",
        &bed.work.join("no").to_string(),
    );
}

fn a_file_as_lower(bed: &Bed) {
    bed.lower.file("file", "");
    refuse_with(
        bed,
        Errno::INVAL,
        "lowerdir",
        &bed.lower.join("file").to_string(),
    );
}

fn a_file_as_upper(bed: &Bed) {
    bed.upper.file("file", "");
    refuse_with(
        bed,
        Errno::INVAL,
        "upperdir",
        &bed.upper.join("file").to_string(),
    );
}

fn upper_without_work(bed: &Bed) {
    refuse(
        bed,
        Errno::INVAL,
        &format!("lowerdir={},upperdir={}", bed.lower, bed.upper),
    );
}

fn a_trailing_colon(bed: &Bed) {
    refuse_with(bed, Errno::INVAL, "lowerdir", &format!("{}:", bed.lower));
}

fn a_leading_colon(bed: &Bed) {
    refuse_with(bed, Errno::INVAL, "lowerdir", &format!(":{}", bed.lower));
}

fn work_is_upper(bed: &Bed) {
    refuse_with(bed, Errno::INVAL, "workdir", &bed.upper.to_string());
}

fn work_inside_upper(bed: &Bed) {
    let inside = bed.upper.sub("inside").to_string();
    refuse_with(bed, Errno::INVAL, "workdir", &inside);
}

fn upper_inside_work(bed: &Bed) {
    let inside = bed.work.sub("inside").to_string();
    refuse_with(bed, Errno::INVAL, "upperdir", &inside);
}

fn a_lower_twice(bed: &Bed) {
    refuse_with(bed, Errno::LOOP, "lowerdir", &format!("{0}:{0}", bed.lower));
}

fn a_lower_inside_another(bed: &Bed) {
    let inside = bed.lower.sub("inside");
    refuse_with(
        bed,
        Errno::LOOP,
        "lowerdir",
        &format!("{inside}:{}", bed.lower),
    );
}

fn lower_is_upper(bed: &Bed) {
    refuse_with(bed, Errno::LOOP, "lowerdir", &bed.upper.to_string());
}

fn lower_is_work(bed: &Bed) {
    refuse_with(bed, Errno::LOOP, "lowerdir", &bed.work.to_string());
}

fn a_read_only_upper(bed: &Bed) {
    let at = bed.aside("read-only");
    let base = bed.aside("base");
    base.sub("u");
    base.sub("w");
    must("bind", mount_bind(base.path(), at.path()));
    bed.mounted(&at);
    let flags = MountFlags::BIND | MountFlags::RDONLY;
    must("remount read-only", mount_remount(at.path(), flags, c""));
    let options = format!("lowerdir={},upperdir={at}/u,workdir={at}/w", bed.lower);
    refuse(bed, Errno::INVAL, &options);
}

fn work_on_another_filesystem(bed: &Bed) {
    let elsewhere = bed.below(1).sub("work").to_string();
    refuse_with(bed, Errno::INVAL, "workdir", &elsewhere);
}

fn a_value_too_long_for_fsconfig(bed: &Bed) {
    let long = format!("{}/{}", bed.lower, "x".repeat(300));
    refused(
        Errno::INVAL,
        newmount::mount(bed, &[("lowerdir", &long)], &bed.mnt),
    );
}
