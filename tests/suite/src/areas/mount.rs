// SPDX-License-Identifier: GPL-2.0

//! What can be mounted, and how.

use std::ffi::CString;

use rustix::io::Errno;
use rustix::mount::{mount, mount_bind, MountFlags};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};
use crate::support::newmount;

tests! {
    EVERYWHERE: by_mount, by_fsopen;
    TWICE:
        lower_layers_alone,
        lower_layers_alone_by_fsopen,
        read_only_with_upper,
        relative_layer_paths,
        colons_in_layer_names,
        commas_in_layer_names,
        read_only_lower_mount,
        two_mounts_of_one_lower,
        filesystems_in_a_lower_are_not_crossed,
        layers_are_found_through_symlinks,
        the_last_lowerdir_counts;
    ONCE:
        upper_inside_lower_is_not_entered,
        an_overlay_as_lower_layer,
        mounted_a_hundred_times;
}

fn assert_layers_show(bed: &Bed, m: &Dir) {
    assert_eq!(m.text("low"), "from lower");
    assert_eq!(m.text("up"), "from upper");
    m.file("new", "made through the overlay");
    assert_eq!(bed.upper.text("new"), "made through the overlay");
    assert!(!bed.lower.exists("new"));
}

fn by_mount(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.upper.file("up", "from upper");
    assert_layers_show(bed, &bed.mount());
}

fn by_fsopen(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.upper.file("up", "from upper");
    let options = [
        ("lowerdir", bed.lower.to_string()),
        ("upperdir", bed.upper.to_string()),
        ("workdir", bed.work.to_string()),
    ];
    let options = options
        .each_ref()
        .map(|(key, value)| (*key, value.as_str()));
    let m = must("mount", newmount::mount(bed, &options, &bed.mnt));
    assert_layers_show(bed, &m);
}

fn assert_two_lowers_read_only(m: &Dir) {
    assert_eq!(m.text("first"), "1");
    assert_eq!(m.text("second"), "2");
    assert_eq!(m.text("both"), "from the first");
    assert_eq!(m.names(""), ["both", "first", "second"]);
    refused(Errno::ROFS, std::fs::write(m.at("new"), ""));
    refused(Errno::ROFS, std::fs::write(m.at("first"), ""));
    refused(Errno::ROFS, std::fs::remove_file(m.at("second")));
    refused(Errno::ROFS, std::fs::create_dir(m.at("dir")));
    refused(Errno::ROFS, rustix::fs::rename(m.at("first"), m.at("x")));
}

fn two_lowers(bed: &Bed) {
    bed.lower.file("first", "1");
    bed.lower.file("both", "from the first");
    bed.below(1).file("second", "2");
    bed.below(1).file("both", "from the second");
}

fn lower_layers_alone(bed: &Bed) {
    two_lowers(bed);
    assert_two_lowers_read_only(&bed.mount_lowers());
}

fn lower_layers_alone_by_fsopen(bed: &Bed) {
    two_lowers(bed);
    let lowerdir = bed.lowerdir();
    let m = newmount::mount(bed, &[("lowerdir", &lowerdir)], &bed.mnt);
    assert_two_lowers_read_only(&must("mount", m));
}

fn read_only_with_upper(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.upper.file("up", "from upper");
    let data = must("options", CString::new(bed.options()));
    let flags = MountFlags::RDONLY;
    must(
        "mount read-only",
        mount(
            bed.fs.as_str(),
            bed.mnt.path(),
            bed.fs.as_str(),
            flags,
            data.as_c_str(),
        ),
    );
    bed.mounted(&bed.mnt);
    assert_eq!(bed.mnt.text("low"), "from lower");
    assert_eq!(bed.mnt.text("up"), "from upper");
    refused(Errno::ROFS, std::fs::write(bed.mnt.at("up"), ""));
    refused(Errno::ROFS, std::fs::write(bed.mnt.at("low"), ""));
}

fn relative_layer_paths(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.upper.file("up", "from upper");
    must("chdir", rustix::process::chdir(bed.lower.path()));
    let options = format!("lowerdir=.,upperdir={},workdir={}", bed.upper, bed.work);
    let m = must("mount", bed.try_mount(&options));
    must("chdir", rustix::process::chdir("/"));
    assert_layers_show(bed, &m);
}

fn colons_in_layer_names(bed: &Bed) {
    bed.lower.sub("a:b").file("low", "1");
    bed.lower.sub("c\\d").file("low2", "2");
    let upper = bed.upper.sub("u:p");
    let options = format!(
        "lowerdir={lower}/a\\:b:{lower}/c\\\\d,upperdir={upper},workdir={work}",
        lower = bed.lower,
        upper = upper.to_string().replace(':', "\\:"),
        work = bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    assert_eq!(m.text("low"), "1");
    assert_eq!(m.text("low2"), "2");
    m.file("new", "3");
    assert_eq!(upper.text("new"), "3");
}

fn commas_in_layer_names(bed: &Bed) {
    bed.lower.sub("a,b").file("low", "1");
    let upper = bed.upper.sub("u,p");
    let options = format!(
        "lowerdir={}/a\\,b,upperdir={},workdir={}",
        bed.lower,
        upper.to_string().replace(',', "\\,"),
        bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    assert_eq!(m.text("low"), "1");
    m.file("new", "2");
    assert_eq!(upper.text("new"), "2");
}

fn read_only_lower_mount(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.upper.file("up", "from upper");
    must("bind", mount_bind(bed.lower.path(), bed.lower.path()));
    bed.mounted(&bed.lower);
    must(
        "remount read-only",
        rustix::mount::mount_remount(bed.lower.path(), MountFlags::BIND | MountFlags::RDONLY, c""),
    );
    let m = bed.mount();
    assert_layers_show(bed, &m);
    m.append("low", b", and more");
    assert_eq!(m.text("low"), "from lower, and more");
}

fn two_mounts_of_one_lower(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let (upper, work, at) = (bed.aside("u2"), bed.aside("w2"), bed.aside("m2"));
    let one = bed.mount();
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let two = must("second mount", bed.try_mount_at(&bed.fs, &options, &at));
    one.file("low", "changed in one");
    assert_eq!(two.text("low"), "from lower");
    two.file("low", "changed in two");
    assert_eq!(one.text("low"), "changed in one");
    assert_eq!(bed.lower.text("low"), "from lower");
}

fn filesystems_in_a_lower_are_not_crossed(bed: &Bed) {
    let sub = bed.lower.sub("sub");
    sub.file("beneath", "of the layer");
    must("mount tmpfs", bed.try_mount_at("tmpfs", "", &sub));
    sub.file("on top", "of another filesystem");
    let m = bed.mount();
    assert_eq!(m.names("sub"), ["beneath"]);
}

fn layers_are_found_through_symlinks(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.upper.file("up", "from upper");
    let links = bed.aside("links");
    links.symlink(&bed.lower.to_string(), "l");
    links.symlink(&bed.upper.to_string(), "u");
    links.symlink(&bed.work.to_string(), "w");
    let options = format!("lowerdir={links}/l,upperdir={links}/u,workdir={links}/w");
    let m = must("mount", bed.try_mount(&options));
    assert_layers_show(bed, &m);
}

fn the_last_lowerdir_counts(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.below(1).file("other", "");
    let options = format!(
        "lowerdir={},lowerdir={},upperdir={},workdir={}",
        bed.below(1),
        bed.lower,
        bed.upper,
        bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    assert_eq!(m.names(""), ["low"]);
}

fn upper_inside_lower_is_not_entered(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let inside = bed.lower.sub("inside");
    let (upper, work) = (inside.sub("u"), inside.sub("w"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let m = must("mount", bed.try_mount(&options));
    m.append("low", b", and more");
    assert_eq!(upper.text("low"), "from lower, and more");
    refused(Errno::LOOP, std::fs::metadata(m.at("inside/u")));
    refused(Errno::LOOP, std::fs::metadata(m.at("inside/w")));
}

fn an_overlay_as_lower_layer(bed: &Bed) {
    bed.lower.file("a", "a");
    bed.lower.file("b", "b");
    let first = bed.mount();
    first.file("a", "changed");
    let at = [bed.aside("m2"), bed.aside("m3")];
    let mut below = first;
    for (level, at) in at.iter().enumerate() {
        let (upper, work) = (
            bed.aside(&format!("u{level}")),
            bed.aside(&format!("w{level}")),
        );
        let options = format!("lowerdir={below},upperdir={upper},workdir={work}");
        let result = bed.try_mount_at(&bed.fs, &options, at);
        if level == 1 {
            // The kernel limits how deep filesystems may be stacked.
            refused(Errno::INVAL, result);
            return;
        }
        let m = must("mount over an overlay", result);
        assert_eq!(m.text("a"), "changed");
        m.file("b", "changed again");
        assert_eq!(m.text("b"), "changed again");
        assert_eq!(below.text("b"), "b");
        below = m;
    }
}

fn mounted_a_hundred_times(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.lower.sub("dir").file("low", "from lower");
    for round in 0..100 {
        let m = bed.mount();
        assert_eq!(m.text("dir/low"), "from lower");
        m.file(&format!("new-{round}"), "");
        bed.umount();
    }
    assert_eq!(bed.upper.names("").len(), 100);
}
