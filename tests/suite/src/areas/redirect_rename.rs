// SPDX-License-Identifier: GPL-2.0

//! Renaming directories of lower layers, and merged ones, with `redirect_dir=on`:
//! they get a redirect to where lower layers have them.

use std::os::unix::fs::FileExt;

use rustix::fs::{rename, renameat_with, RenameFlags, CWD};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::attribute::{IMPURE, OPAQUE, REDIRECT};
use crate::support::dir::Dir;
use crate::support::must::{must, refused};
use crate::support::{parameter, snapshot};

tests! {
    EVERYWHERE:
        a_lower_directory,
        a_merged_directory,
        into_another_directory;
    TWICE:
        a_name_again_and_again,
        a_name_then_a_place,
        there_and_back,
        deeper_and_deeper,
        out_of_a_renamed_directory,
        the_parent_afterwards,
        the_old_name_is_free,
        over_an_empty_directory,
        over_an_emptied_directory,
        over_a_whiteout,
        over_a_directory_with_entries_is_refused,
        into_itself_is_refused,
        where_lower_layers_have_the_name,
        exchange,
        exchange_across_directories,
        what_is_done_in_it_stays,
        removing_it,
        open_files_and_directories,
        numbers_stay,
        through_several_layers,
        attributes_and_times_stay,
        noreplace,
        nothing_is_left_in_work;
    ONCE:
        a_path_that_is_too_long,
        the_limit_is_a_parameter,
        a_name_has_no_limit,
        an_upper_without_attributes,
        races;
}

#[track_caller]
fn mount(bed: &Bed) -> Dir {
    let options = format!("{},redirect_dir=on", bed.options());
    must("mount", bed.try_mount(&options))
}

#[track_caller]
fn remount(bed: &Bed) -> Dir {
    bed.umount();
    mount(bed)
}

/// Fails unless the tree is the same after a remount.
#[track_caller]
fn assert_lasting(bed: &Bed) -> Dir {
    let before = snapshot::take(&bed.mnt);
    let m = remount(bed);
    snapshot::assert_same(&snapshot::take(&m), &before);
    m
}

#[track_caller]
fn assert_redirect(bed: &Bed, name: &str, to: &str) {
    let value = bed.upper.xattr(name, REDIRECT).unwrap_or_default();
    assert_eq!(value.escape_ascii().to_string(), to, "redirect of {name}");
}

fn swap(m: &Dir, one: &str, two: &str) {
    must(
        format_args!("exchange {one} and {two}"),
        renameat_with(CWD, m.at(one), CWD, m.at(two), RenameFlags::EXCHANGE),
    );
}

fn a_lower_directory(bed: &Bed) {
    bed.lower.sub("old").file("low", "content");
    bed.lower.sub("old/inner");
    let m = mount(bed);
    m.rename("old", "new");
    assert_eq!(m.names(""), ["new"]);
    assert_eq!(m.names("new"), ["inner", "low"]);
    assert_redirect(bed, "new", "old");
    assert!(bed.upper.is_whiteout("old"));
    // Nothing else was copied.
    assert!(bed.upper.names("new").is_empty());
    assert_eq!(bed.upper.xattr("new", OPAQUE), None);
    assert!(bed.upper.xattr("new", "trusted.overlay.origin").is_some());
    let m = assert_lasting(bed);
    assert_eq!(m.text("new/low"), "content");
}

fn a_merged_directory(bed: &Bed) {
    bed.lower.sub("old").file("low", "1");
    bed.below(1).sub("old").file("lowest", "2");
    bed.upper.sub("old").file("up", "3");
    let m = mount(bed);
    m.rename("old", "new");
    assert_eq!(m.names("new"), ["low", "lowest", "up"]);
    assert_redirect(bed, "new", "old");
    let m = assert_lasting(bed);
    m.unlink("new/low");
    m.append("new/lowest", b", more");
    assert_lasting(bed);
}

fn into_another_directory(bed: &Bed) {
    bed.lower
        .sub("a")
        .sub("b")
        .sub("old")
        .file("low", "content");
    bed.lower.sub("to");
    let m = mount(bed);
    m.sub("fresh");
    m.rename("a/b/old", "to/new");
    assert_redirect(bed, "to/new", "/a/b/old");
    assert!(bed.upper.is_whiteout("a/b/old"));
    assert_eq!(bed.upper.xattr("to", IMPURE).as_deref(), Some(&b"y"[..]));
    let m = assert_lasting(bed);
    m.rename("to/new", "fresh/newer");
    assert_redirect(bed, "fresh/newer", "/a/b/old");
    assert_eq!(bed.upper.xattr("fresh", IMPURE).as_deref(), Some(&b"y"[..]));
    assert!(!bed.upper.exists("to/new"));
    let m = assert_lasting(bed);
    assert_eq!(m.text("fresh/newer/low"), "content");
}

fn a_name_again_and_again(bed: &Bed) {
    bed.lower.sub("n0").file("low", "content");
    let mut m = mount(bed);
    for number in 0..6 {
        m.rename(&format!("n{number}"), &format!("n{}", number + 1));
        assert_redirect(bed, &format!("n{}", number + 1), "n0");
        if number == 3 {
            m = assert_lasting(bed);
        }
    }
    assert_eq!(m.names(""), ["n6"]);
    assert_eq!(bed.upper.names(""), ["n0", "n6"]);
}

fn a_name_then_a_place(bed: &Bed) {
    bed.lower.sub("a").sub("old").file("low", "content");
    bed.lower.sub("b");
    let m = mount(bed);
    m.rename("a/old", "a/new");
    assert_redirect(bed, "a/new", "old");
    m.rename("a/new", "b/newer");
    assert_redirect(bed, "b/newer", "/a/old");
    m.rename("b/newer", "b/newest");
    assert_redirect(bed, "b/newest", "/a/old");
    let m = assert_lasting(bed);
    assert_eq!(m.names("a"), [""; 0]);
    assert_eq!(m.text("b/newest/low"), "content");
}

fn there_and_back(bed: &Bed) {
    bed.lower.sub("a").sub("dir").file("low", "content");
    bed.lower.sub("b");
    let m = mount(bed);
    for _ in 0..3 {
        m.rename("a/dir", "b/dir");
        m.rename("b/dir", "a/dir");
    }
    assert_redirect(bed, "a/dir", "/a/dir");
    assert!(bed.upper.names("b").is_empty());
    assert_eq!(bed.upper.names("a"), ["dir"]);
    let m = assert_lasting(bed);
    m.rename("a/dir", "a/x");
    m.rename("a/x", "a/dir");
    assert_eq!(assert_lasting(bed).text("a/dir/low"), "content");
}

fn deeper_and_deeper(bed: &Bed) {
    let low = bed.lower.sub("a").sub("b").sub("c");
    low.file("low", "content");
    let m = mount(bed);
    m.rename("a/b/c", "a/b/C");
    m.rename("a/b", "a/B");
    m.rename("a", "A");
    assert_redirect(bed, "A", "a");
    assert_redirect(bed, "A/B", "b");
    assert_redirect(bed, "A/B/C", "c");
    assert_eq!(m.text("A/B/C/low"), "content");
    let m = assert_lasting(bed);
    // The path is that of the lower layers.
    m.rename("A/B/C", "moved");
    assert_redirect(bed, "moved", "/a/b/c");
    assert_eq!(assert_lasting(bed).text("moved/low"), "content");
}

fn out_of_a_renamed_directory(bed: &Bed) {
    let low = bed.lower.sub("a").sub("b");
    low.sub("c").file("low", "content");
    low.file("file", "");
    bed.lower.sub("elsewhere");
    let m = mount(bed);
    m.rename("a/b", "elsewhere/B");
    m.rename("elsewhere/B/c", "C");
    assert_redirect(bed, "C", "/a/b/c");
    assert!(bed.upper.is_whiteout("elsewhere/B/c"));
    let m = assert_lasting(bed);
    assert_eq!(m.names("elsewhere/B"), ["file"]);
    assert_eq!(m.text("C/low"), "content");
}

fn the_parent_afterwards(bed: &Bed) {
    bed.lower.sub("a").sub("b").file("low", "content");
    bed.lower.sub("c");
    let m = mount(bed);
    m.rename("a/b", "c/B");
    m.rename("a", "A");
    m.rename("c", "C");
    let m = assert_lasting(bed);
    assert_eq!(m.text("C/B/low"), "content");
    assert!(m.names("A").is_empty());
}

fn the_old_name_is_free(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    let m = mount(bed);
    m.rename("dir", "moved");
    m.sub("dir").file("new", "");
    let m = assert_lasting(bed);
    assert_eq!(m.names("dir"), ["new"]);
    assert_eq!(m.names("moved"), ["low"]);
    m.unlink("dir/new");
    m.rmdir("dir");
    m.rename("moved", "dir");
    let m = assert_lasting(bed);
    assert_eq!(m.names(""), ["dir"]);
    assert_eq!(m.names("dir"), ["low"]);
}

fn over_an_empty_directory(bed: &Bed) {
    bed.lower.sub("old").file("low", "content");
    bed.lower.sub("low-target");
    bed.upper.sub("up-target");
    let m = mount(bed);
    m.rename("old", "low-target");
    assert_redirect(bed, "low-target", "old");
    let m = assert_lasting(bed);
    assert_eq!(m.names("low-target"), ["low"]);
    m.rename("low-target", "up-target");
    let m = assert_lasting(bed);
    assert_eq!(m.names(""), ["up-target"]);
    assert_eq!(m.text("up-target/low"), "content");
}

fn over_an_emptied_directory(bed: &Bed) {
    bed.lower.sub("old").file("low", "content");
    for layer in [bed.lower.clone(), bed.below(1)] {
        layer.sub("target").file("gone", "");
        layer.sub("target/sub");
    }
    let m = mount(bed);
    m.unlink("target/gone");
    m.rmdir("target/sub");
    m.rename("old", "target");
    assert_redirect(bed, "target", "old");
    let m = assert_lasting(bed);
    assert_eq!(m.names("target"), ["low"]);
    assert_eq!(m.names(""), ["target"]);
}

fn over_a_whiteout(bed: &Bed) {
    bed.lower.sub("old").file("low", "content");
    bed.lower.sub("gone").file("x", "");
    bed.lower.file("file", "");
    let m = mount(bed);
    std::fs::remove_dir_all(m.at("gone")).expect("remove a tree");
    m.unlink("file");
    m.rename("old", "gone");
    assert!(bed.upper.is_whiteout("old"));
    let m = assert_lasting(bed);
    assert_eq!(m.names("gone"), ["low"]);
    m.rename("gone", "file");
    let m = assert_lasting(bed);
    assert_eq!(m.names(""), ["file"]);
    assert_eq!(m.text("file/low"), "content");
}

fn over_a_directory_with_entries_is_refused(bed: &Bed) {
    bed.lower.sub("old").file("low", "content");
    bed.lower.sub("target").file("inside", "");
    bed.lower.file("file", "");
    let m = mount(bed);
    refused(Errno::NOTEMPTY, rename(m.at("old"), m.at("target")));
    refused(Errno::NOTDIR, rename(m.at("old"), m.at("file")));
    refused(Errno::ISDIR, rename(m.at("file"), m.at("target")));
    assert_eq!(m.names("old"), ["low"]);
    assert_eq!(bed.upper.names(""), [""; 0]);
}

fn into_itself_is_refused(bed: &Bed) {
    bed.lower.sub("dir").sub("inner");
    let m = mount(bed);
    refused(Errno::INVAL, rename(m.at("dir"), m.at("dir/inner/moved")));
    refused(Errno::NOTEMPTY, rename(m.at("dir/inner"), m.at("dir")));
}

fn where_lower_layers_have_the_name(bed: &Bed) {
    // What is below the new name must not show through.
    bed.lower.sub("a").sub("dir").file("mine", "");
    bed.lower.sub("b").sub("dir").file("hidden", "");
    let m = mount(bed);
    std::fs::remove_dir_all(m.at("b/dir")).expect("remove a tree");
    m.rename("a/dir", "b/dir");
    let m = assert_lasting(bed);
    assert_eq!(m.names("b/dir"), ["mine"]);
}

fn exchange(bed: &Bed) {
    bed.lower.sub("low").file("1", "");
    bed.lower.sub("both").file("2", "");
    bed.upper.sub("both").file("3", "");
    bed.upper.sub("up").file("4", "");
    bed.lower.file("file", "5");
    let m = mount(bed);
    swap(&m, "low", "both");
    assert_redirect(bed, "low", "both");
    assert_redirect(bed, "both", "low");
    let m = assert_lasting(bed);
    assert_eq!(m.names("low"), ["2", "3"]);
    assert_eq!(m.names("both"), ["1"]);
    swap(&m, "low", "up");
    let m = assert_lasting(bed);
    assert_eq!(m.names("up"), ["2", "3"]);
    assert_eq!(m.names("low"), ["4"]);
    swap(&m, "file", "both");
    let m = assert_lasting(bed);
    assert_eq!(m.text("both"), "5");
    assert_eq!(m.names("file"), ["1"]);
    refused(
        Errno::INVAL,
        renameat_with(
            CWD,
            m.at("up"),
            CWD,
            m.at("x"),
            RenameFlags::EXCHANGE | RenameFlags::WHITEOUT,
        ),
    );
}

fn exchange_across_directories(bed: &Bed) {
    bed.lower.sub("a").sub("one").file("1", "");
    bed.lower.sub("b").sub("two").file("2", "");
    let m = mount(bed);
    swap(&m, "a/one", "b/two");
    assert_redirect(bed, "a/one", "/b/two");
    assert_redirect(bed, "b/two", "/a/one");
    let m = assert_lasting(bed);
    assert_eq!(m.names("a/one"), ["2"]);
    swap(&m, "b/two", "a/one");
    let m = assert_lasting(bed);
    assert_eq!(m.names("a/one"), ["1"]);
    assert_eq!(m.names("b/two"), ["2"]);
}

fn what_is_done_in_it_stays(bed: &Bed) {
    let low = bed.lower.sub("old");
    for name in ["a", "b", "c", "d"] {
        low.file(name, name);
    }
    low.sub("dir").file("inside", "");
    let m = mount(bed);
    m.append("old/a", b"+");
    m.unlink("old/b");
    m.rename("old", "new");
    m.append("new/a", b"+");
    m.unlink("new/c");
    m.rename("new/d", "new/dir/d");
    m.file("new/fresh", "");
    m.sub("new/b");
    let m = assert_lasting(bed);
    assert_eq!(m.text("new/a"), "a++");
    assert_eq!(m.names("new"), ["a", "b", "dir", "fresh"]);
    assert_eq!(m.names("new/dir"), ["d", "inside"]);
}

fn removing_it(bed: &Bed) {
    bed.lower.sub("a").sub("dir").file("low", "");
    bed.lower.sub("b");
    let m = mount(bed);
    m.rename("a/dir", "b/dir");
    refused(Errno::NOTEMPTY, rustix::fs::rmdir(m.at("b/dir")));
    std::fs::remove_dir_all(m.at("b/dir")).expect("remove a tree");
    let m = assert_lasting(bed);
    assert_eq!(m.names("a").len() + m.names("b").len(), 0);
    assert!(bed.upper.names("b").is_empty());
}

fn open_files_and_directories(bed: &Bed) {
    bed.lower.sub("old").file("low", "content");
    let m = mount(bed);
    let (reader, dir) = (m.open_read("old/low"), m.open_read("old"));
    m.rename("old", "new");
    m.write_at("new/low", 0, b"CON");
    let mut text = [0; 7];
    must("read", reader.read_exact_at(&mut text, 0));
    assert_eq!(&text, b"CONtent");
    m.file("new/more", "");
    let mut names = crate::support::listing::all(&dir);
    names.retain(|entry| !entry.name.starts_with('.'));
    assert_eq!(names.len(), 2);
}

fn numbers_stay(bed: &Bed) {
    bed.lower.sub("a").sub("dir").sub("inner").file("low", "");
    bed.lower.sub("b");
    let options = format!("{},redirect_dir=on,xino=on", bed.options());
    let m = must("mount", bed.try_mount(&options));
    let numbers = |m: &Dir, name: &str| {
        ["", "/inner", "/inner/low"].map(|below| m.stat(&format!("{name}{below}")).st_ino)
    };
    let before = numbers(&m, "a/dir");
    m.rename("a/dir", "a/new");
    assert_eq!(numbers(&m, "a/new"), before);
    m.rename("a/new", "b/new");
    assert_eq!(numbers(&m, "b/new"), before);
    let dir = m.open_read("b");
    let entries = crate::support::listing::all(&dir);
    let entry = entries.iter().find(|entry| entry.name == "new");
    assert_eq!(entry.map(|entry| entry.ino), Some(before[0]));
    drop(dir);
    if bed.pair.one_filesystem() {
        assert_eq!(numbers(&remount(bed), "b/new"), before);
    }
}

fn through_several_layers(bed: &Bed) {
    // Layers that were uppers once, each of which renamed the directory again.
    bed.below(3).sub("a").sub("n3").file("3", "");
    for (depth, old, new) in [(2, "a/n3", "a/n2"), (1, "a/n2", "n1"), (0, "n1", "b/n0")] {
        let lowers: Vec<_> = (depth + 1..4).map(|below| bed.below(below)).collect();
        let (upper, work) = (bed.below(depth), bed.aside(&format!("work{depth}")));
        let text: Vec<_> = lowers.iter().map(Dir::to_string).collect();
        let work = if bed.pair.one_filesystem() {
            work
        } else {
            // A work directory has to be on its upper's filesystem.
            let beside = bed.below(4 + depth);
            Dir::new(beside.path())
        };
        let options = format!(
            "lowerdir={},upperdir={upper},workdir={work},redirect_dir=on",
            text.join(":")
        );
        let m = must("mount", bed.try_mount(&options));
        if new.starts_with("b/") {
            m.sub("b");
        }
        m.rename(old, new);
        m.file(&format!("{new}/{depth}"), "");
        bed.umount();
    }
    let layers: Vec<_> = (0..4).map(|depth| bed.below(depth).to_string()).collect();
    let options = format!("lowerdir={},redirect_dir=on", layers.join(":"));
    let m = must("mount", bed.try_mount(&options));
    assert_eq!(m.names("b/n0"), ["0", "1", "2", "3"]);
    assert_eq!(m.names(""), ["a", "b"]);
    assert!(m.names("a").is_empty());
}

fn attributes_and_times_stay(bed: &Bed) {
    let low = bed.lower.sub("dir");
    low.file("low", "");
    low.chmod("", 0o2750);
    low.chown("", 5, 6);
    low.set_xattr("", "trusted.note", b"1");
    low.set_times("", (1, 2), (3, 4));
    let m = mount(bed);
    m.rename("dir", "new");
    for _ in 0..2 {
        let stat = bed.mnt.stat("new");
        assert_eq!(stat.st_mode & 0o7777, 0o2750);
        assert_eq!((stat.st_uid, stat.st_gid), (5, 6));
        assert_eq!((stat.st_mtime, stat.st_mtime_nsec), (3, 4));
        let note = bed.mnt.xattr("new", "trusted.note");
        assert_eq!(note.as_deref(), Some(&b"1"[..]));
        assert_eq!(bed.mnt.xattr("new", REDIRECT), None);
        remount(bed);
    }
}

fn noreplace(bed: &Bed) {
    bed.lower.sub("dir").file("low", "");
    bed.lower.sub("other");
    let m = mount(bed);
    let with = |old, new| renameat_with(CWD, m.at(old), CWD, m.at(new), RenameFlags::NOREPLACE);
    refused(Errno::EXIST, with("dir", "other"));
    must("rename", with("dir", "new"));
    assert_lasting(bed);
}

fn nothing_is_left_in_work(bed: &Bed) {
    bed.lower.sub("dir").file("low", "");
    bed.lower.sub("target").file("gone", "");
    bed.lower.sub("b");
    let m = mount(bed);
    m.unlink("target/gone");
    m.rename("dir", "target");
    m.rename("target", "b/x");
    m.rename("b/x", "dir");
    bed.assert_work_is_empty();
}

/// Makes a lower directory whose path is `levels` times `/name/`.
fn deep(bed: &Bed, name: &str, levels: usize) -> String {
    let path = vec![name; levels].join("/");
    must("mkdir", std::fs::create_dir_all(bed.lower.at(&path)));
    path
}

/// The options of a mount on which what cannot be redirected is refused.
fn strict(bed: &Bed) -> Dir {
    let options = format!("{},redirect_dir=on", bed.strict_options());
    must("mount", bed.try_mount(&options))
}

fn a_path_that_is_too_long(bed: &Bed) {
    bed.lower.sub("to");
    let path = deep(bed, &"n".repeat(50), 5);
    bed.lower.sub(&format!("{path}/f"));
    bed.lower.sub(&format!("{path}/longer"));
    let m = strict(bed);
    // Five times 51 bytes and "/f" are 257; "redirect_max" is 256.
    refused(
        Errno::XDEV,
        rename(m.at(&format!("{path}/f")), m.at("to/f")),
    );
    m.rename(&path, "to/five");
    assert_redirect(bed, "to/five", &format!("/{path}"));
    refused(Errno::XDEV, rename(m.at("to/five/f"), m.at("to/f")));
    assert_eq!(m.names("to/five"), ["f", "longer"]);
    // In place the name is enough.
    m.rename("to/five/longer", "to/five/renamed");
    assert_redirect(bed, "to/five/renamed", "longer");
    bed.assert_work_is_empty();
}

fn the_limit_is_a_parameter(bed: &Bed) {
    let path = parameter::path(bed, "redirect_max");
    let before = must("read the parameter", std::fs::read(&path));
    assert_eq!(before, b"256\n");
    bed.lower.sub("a").sub("dir");
    bed.lower.sub("b");
    let m = strict(bed);
    must("set the parameter", std::fs::write(&path, "5"));
    refused(Errno::XDEV, rename(m.at("a/dir"), m.at("b/dir")));
    must("set the parameter", std::fs::write(&path, "6"));
    m.rename("a/dir", "b/dir");
    must("set the parameter", std::fs::write(&path, "0"));
    refused(Errno::XDEV, rename(m.at("a"), m.at("b/a")));
    m.rename("a", "A");
    assert!(std::fs::write(&path, "65536").is_err());
    must("restore the parameter", std::fs::write(&path, before));
}

fn a_name_has_no_limit(bed: &Bed) {
    let long = "n".repeat(255);
    bed.lower.sub(&long).file("low", "");
    let m = mount(bed);
    m.rename(&long, "short");
    assert_redirect(bed, "short", &long);
    let m = assert_lasting(bed);
    let other = "m".repeat(255);
    m.rename("short", &other);
    assert_eq!(assert_lasting(bed).names(&other), ["low"]);
}

fn an_upper_without_attributes(bed: &Bed) {
    // ramfs takes no trusted attributes: redirects are off, whatever is asked for.
    let top = bed.aside("ramfs");
    must("mount ramfs", bed.try_mount_at("ramfs", "", &top));
    let (upper, work) = (top.sub("u"), top.sub("w"));
    bed.lower.sub("dir").file("low", "");
    let options = format!(
        "lowerdir={},upperdir={upper},workdir={work},redirect_dir=on",
        bed.lowerdir()
    );
    let m = must("mount", bed.try_mount(&options));
    refused(Errno::XDEV, rename(m.at("dir"), m.at("new")));
    assert_eq!(m.names("dir"), ["low"]);
}

fn races(bed: &Bed) {
    // Several tasks rename and look; nothing is lost.
    for name in ["a", "b", "c", "d"] {
        bed.lower.sub(name).sub("dir").file("low", name);
    }
    let m = mount(bed);
    std::thread::scope(|scope| {
        for (one, two) in [("a", "b"), ("c", "d"), ("b", "c"), ("d", "a")] {
            let m = &m;
            scope.spawn(move || {
                for round in 0..200 {
                    let _ = renameat_with(
                        CWD,
                        m.at(&format!("{one}/dir")),
                        CWD,
                        m.at(&format!("{two}/dir")),
                        RenameFlags::EXCHANGE,
                    );
                    let name = format!("{one}/dir/{one}{round}");
                    let _ = std::fs::write(m.at(&name), "x");
                    let _ = std::fs::read_dir(m.at(two)).map(Iterator::count);
                    let _ = std::fs::remove_file(m.at(&name));
                }
            });
        }
    });
    let m = assert_lasting(bed);
    let mut texts: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| m.text(&format!("{name}/dir/low")))
        .collect();
    texts.sort();
    assert_eq!(texts, ["a", "b", "c", "d"]);
}
