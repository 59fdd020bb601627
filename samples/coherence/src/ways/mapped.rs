// SPDX-License-Identifier: GPL-2.0
//! Shared mappings, and what others read through them.

use super::{data, Way};
use crate::{
    content::STRETCH,
    holder::Holder,
    sys::{self, mapping::Mapping},
    verdict::current,
};
use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
    rc::Rc,
};

/// Makes the mappings, or opens what will be mapped.
pub(super) fn open_all(path: &Path, holder: &Rc<Holder>) -> io::Result<Vec<Way>> {
    let map = || Mapping::new(&File::open(path)?, STRETCH);
    let file = File::open(path)?;
    let [touched, untouched, source] = [map()?, map()?, map()?];
    let memory = File::open(format!("/proc/{}/mem", holder.id()));
    Ok(vec![
        Way::new("mmap made after", move |content| {
            data::compare(content, |buf, at| {
                let mapping = Mapping::new(&file, at as usize + buf.len())?;
                mapping.copy_to(at as usize, buf);
                Ok(buf.len())
            })
        }),
        Way::new("mmap touched before", move |content| {
            current(head_of(&touched) == content.head)
        }),
        Way::new("mmap untouched before", move |content| {
            current(content.is_old() || head_of(&untouched) == content.head)
        }),
        Way::new("write from mmap", move |content| {
            let (mut end, sink) = sys::pipe()?;
            let mut head = [0; STRETCH];
            let written = source.write_to(&sink)?;
            end.read_exact(&mut head[..written])?;
            current(head == content.head)
        }),
        remote("process_vm_readv", holder, |holder, buf| {
            sys::read_memory(holder.id(), holder.address(), buf)
        }),
        remote("/proc/PID/mem", holder, move |holder, buf| match &memory {
            Ok(memory) => memory.read_at(buf, holder.address() as u64),
            Err(error) => Err(error.kind().into()),
        }),
    ])
}

fn head_of(mapping: &Mapping) -> [u8; STRETCH] {
    let mut head = [0; STRETCH];
    mapping.copy_to(0, &mut head);
    head
}

/// Reads the mapping of the other process.
fn remote(
    name: &'static str,
    holder: &Rc<Holder>,
    read: impl Fn(&Holder, &mut [u8]) -> io::Result<usize> + 'static,
) -> Way {
    let holder = Rc::clone(holder);
    Way::optional(name, move |content| {
        let mut head = [0; STRETCH];
        let got = read(&holder, &mut head)?;
        current(head[..got] == content.head)
    })
}
