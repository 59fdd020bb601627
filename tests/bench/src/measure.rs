// SPDX-License-Identifier: GPL-2.0

//! Measures what is asked for.

use crate::{
    bed::{Bed, Kind},
    device::Device,
    figure::Figure,
    operations::{Needs, Operation},
    options::MeasureOptions,
    samples::Samples,
    Result,
};
use std::{fs, path::Path};

/// C overlayfs takes no more lower layers.
const MOST_LAYERS_OF_C: usize = 500;
/// With more it takes long, and tells nothing new.
const MOST_LAYERS_OF_FUSE: usize = 10;
const MOST_LAYERS_OF_QUICK: usize = 200;

/// Prints a figure a line.
pub fn all(options: &MeasureOptions) -> Result<()> {
    for (name, value) in [
        // Nothing is written back unless an operation asks for it.
        ("vm/dirty_writeback_centisecs", "0"),
        ("vm/dirty_background_ratio", "80"),
        ("vm/dirty_ratio", "90"),
        // How many page tables a program needs is no matter of chance.
        ("kernel/randomize_va_space", "0"),
    ] {
        fs::write(Path::new("/proc/sys").join(name), value)?;
    }
    for operation in &options.operations {
        for directory in &options.directories {
            for &layers in operation.layers {
                for &(name, kind) in &options.kinds {
                    if wanted(options, operation, directory, layers, kind) {
                        one(options, operation, directory, layers, name, kind)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn wanted(
    options: &MeasureOptions,
    operation: &Operation,
    directory: &Path,
    layers: usize,
    kind: Kind,
) -> bool {
    let on_device = || Device::of(directory).is_ok();
    let possible = match operation.needs {
        Needs::Nothing => true,
        Needs::Bare => kind == Kind::Bare,
        Needs::Mount => kind != Kind::Bare,
        Needs::Overlay => matches!(kind, Kind::Overlay(_)),
        Needs::Device => on_device(),
        Needs::DeviceAndMount => kind != Kind::Bare && on_device(),
    };
    possible
        && (layers <= MOST_LAYERS_OF_C || kind != Kind::Overlay("overlay"))
        && (layers <= MOST_LAYERS_OF_FUSE || kind != Kind::Fuse)
        && (layers <= MOST_LAYERS_OF_QUICK || !options.quick)
        && options
            .layers
            .as_ref()
            .is_none_or(|list| list.contains(&layers))
}

fn one(
    options: &MeasureOptions,
    operation: &Operation,
    directory: &Path,
    layers: usize,
    name: &str,
    kind: Kind,
) -> Result<()> {
    let on = directory.file_name().unwrap_or_default().to_string_lossy();
    let context = |error| {
        format!(
            "{} on {name} on {on}, {layers} layers: {error}",
            operation.name
        )
    };
    let mut samples = Samples::new(options.quick)?;
    let bed = Bed::new(directory.join("bench"), kind, layers).map_err(context)?;
    (operation.run)(&bed, &mut samples).map_err(context)?;
    let figure = Figure {
        operation: operation.name.into(),
        on: on.clone().into_owned(),
        layers,
        fs: name.into(),
        unit: operation.unit.name().into(),
        value: samples.median(),
    };
    println!("{}", serde_json::to_string(&figure)?);
    Ok(())
}
