// SPDX-License-Identifier: GPL-2.0

//! Pictures of the figures.

use super::Row;
use crate::Result;
use plotters::{coord::ranged1d::IntoSegmentedCoord, prelude::*};
use std::{fs, path::Path};

const C_COLOUR: RGBColor = RGBColor(200, 80, 40);
const ROVL_COLOUR: RGBColor = RGBColor(40, 90, 180);

/// Operations that are shown over the number of layers.
const OVER_LAYERS: [&str; 4] = [
    "lookup-cold",
    "negative-cold",
    "lookup-cold-dir",
    "mount-umount",
];

/// Writes all that these figures are enough for, a file for each filesystem of the layers.
pub fn draw(rows: &[Row], directory: &Path) -> Result<()> {
    let mut types: Vec<&str> = rows.iter().map(|row| row.case.on.as_str()).collect();
    types.sort_unstable();
    types.dedup();
    for on in types {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.case.on == on).collect();
        write(
            &directory.join(format!("layers-{on}.svg")),
            &layers(&rows, on)?,
        )?;
        write(
            &directory.join(format!("ratios-{on}.svg")),
            &ratios(&rows, on)?,
        )?;
    }
    Ok(())
}

/// Writes a picture with what says how it may be used.
fn write(path: &Path, picture: &str) -> Result<()> {
    let licence = "<!-- SPDX-License-Identifier: GPL-2.0 -->";
    Ok(fs::write(path, format!("{licence}\n{picture}"))?)
}

/// Instructions over the number of layers, both logarithmic.
fn layers(rows: &[&Row], on: &str) -> Result<String> {
    let mut picture = String::new();
    {
        let root = SVGBackend::with_string(&mut picture, (1000, 760)).into_drawing_area();
        root.fill(&WHITE)?;
        for (area, operation) in root.split_evenly((2, 2)).iter().zip(OVER_LAYERS) {
            let line = |fs| {
                rows.iter()
                    .filter(|row| row.case.operation == operation)
                    .filter_map(|row| Some((row.case.layers as f64, row.value(fs)?)))
                    .collect::<Vec<_>>()
            };
            let (c, rovl) = (line("overlay"), line("rovl"));
            let values = || c.iter().chain(&rovl).map(|(_, value)| *value);
            let least = values().fold(f64::MAX, f64::min);
            let most = values().fold(least, f64::max);
            if c.is_empty() || rovl.is_empty() {
                continue;
            }
            let mut chart = ChartBuilder::on(area)
                .caption(format!("{operation} on {on}"), ("sans-serif", 18))
                .margin(12)
                .x_label_area_size(36)
                .y_label_area_size(80)
                .build_cartesian_2d(
                    (1.0..1000.0).log_scale(),
                    (least / 2.0..most * 2.0).log_scale(),
                )?;
            chart
                .configure_mesh()
                .light_line_style(TRANSPARENT)
                .x_desc("lower layers")
                .y_desc("instructions")
                .x_label_formatter(&f64::to_string)
                .y_label_formatter(&f64::to_string)
                .draw()?;
            for (name, colour, line) in [("C", C_COLOUR, c), ("rovl", ROVL_COLOUR, rovl)] {
                chart
                    .draw_series(LineSeries::new(line, colour.stroke_width(2)).point_size(3))?
                    .label(name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .border_style(BLACK)
                .draw()?;
        }
        root.present()?;
    }
    Ok(picture)
}

/// A bar an operation: rovl as a part of C.
fn ratios(rows: &[&Row], on: &str) -> Result<String> {
    let bars: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let name = format!("{}, {}", row.case.operation, row.case.layers);
            Some((name, row.times("overlay")?))
        })
        .collect();
    let most = bars
        .iter()
        .fold(1.2, |most: f64, (_, times)| most.max(*times))
        * 1.05;
    let mut picture = String::new();
    {
        let height = 90 + 16 * u32::try_from(bars.len())?;
        let root = SVGBackend::with_string(&mut picture, (900, height)).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(format!("rovl / C on {on}"), ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(30)
            .y_label_area_size(220)
            .build_cartesian_2d(0.0..most, (0..bars.len()).into_segmented())?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(TRANSPARENT)
            .y_labels(bars.len())
            .y_label_formatter(&|at| match at {
                SegmentValue::CenterOf(i) | SegmentValue::Exact(i) => {
                    // The first is to be on top.
                    bars.iter()
                        .rev()
                        .nth(*i)
                        .map_or(String::new(), |(name, _)| name.clone())
                }
                SegmentValue::Last => String::new(),
            })
            .draw()?;
        chart.draw_series(bars.iter().rev().enumerate().map(|(i, (_, times))| {
            let colour = if *times > 1.0 { C_COLOUR } else { ROVL_COLOUR };
            let corners = [
                (0.0, SegmentValue::Exact(i)),
                (*times, SegmentValue::Exact(i + 1)),
            ];
            let mut bar = Rectangle::new(corners, colour.filled());
            bar.set_margin(2, 2, 0, 0);
            bar
        }))?;
        chart.draw_series(LineSeries::new(
            [
                (1.0, SegmentValue::Exact(0)),
                (1.0, SegmentValue::Exact(bars.len())),
            ],
            BLACK,
        ))?;
        root.present()?;
    }
    Ok(picture)
}
