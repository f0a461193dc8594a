//! What the server cost: over time, and over client counts with the slope of a straight line.

use super::cell_groups::{FEW, Family, each, grid, look, title};
use super::chart::{Axis, Chart, Series};
use super::markup::{Content, details, paragraph, section, table};
use super::scale::Spacing;
use super::tables::{Column, column, figures, megabytes, value};
use super::time::{self, Keep, Quantity, per_second};
use crate::measure::cell::{Cell, TrustLevel};
use crate::number::short;
use crate::stats::slope::{Slope, theil_sen};

static OVER_TIME: [Quantity; 3] = [
    Quantity {
        title: "Server CPU over time",
        axis: "server CPU (% of one core)",
        spacing: Spacing::FromZero,
        keep: Keep::Mean,
        value: |interval, seconds| Some(per_second(interval.server_cpu_ns?, seconds)? / 1e7),
    },
    Quantity {
        title: "Server memory over time",
        axis: "resident memory of the server (MB)",
        spacing: Spacing::FromZero,
        keep: Keep::Largest,
        value: |interval, _| interval.server_resident_bytes.map(|bytes| bytes as f64 / 1e6),
    },
    Quantity {
        title: "Memory of the generator over time",
        axis: "resident memory of all workers (MB)",
        spacing: Spacing::FromZero,
        keep: Keep::Largest,
        value: |interval, _| interval.generator_resident_bytes.map(|bytes| bytes as f64 / 1e6),
    },
];

/// Something that grows with the clients.
struct Growth {
    title: &'static str,
    axis: &'static str,
    metric: &'static str,
    /// From the metric's unit to that of the axis.
    axis_factor: f64,
    /// From the metric's unit to that of the slope.
    slope_factor: f64,
    slope_unit: &'static str,
}

static GROWTHS: [Growth; 2] = [
    Growth {
        title: "Server memory over clients",
        axis: "private memory, all clients idle (MB)",
        metric: "server_memory_idle_bytes",
        axis_factor: 1e-6,
        slope_factor: 1e-3,
        slope_unit: "KB per client",
    },
    Growth {
        title: "Server CPU over clients",
        axis: "server CPU (% of one core)",
        metric: "server_cpu_percent",
        axis_factor: 1.0,
        slope_factor: 1e4,
        slope_unit: "us/s per client",
    },
];

pub(super) const FIGURES: &[Column] = &[
    column("clients", "connected"),
    column("CPU, %", "server_cpu_percent"),
    column("us per delivery", "server_cpu_us_per_delivery"),
    megabytes("MB empty", "server_memory_empty_bytes"),
    megabytes("MB idle", "server_memory_idle_bytes"),
    megabytes("MB after", "server_memory_after_bytes"),
    megabytes("kernel MB idle", "kernel_memory_idle_bytes"),
    column("generator us per delivery", "generator_cpu_us_per_delivery"),
];

/// The section: what grows with the clients first, for that is what a server is bought by.
pub(super) fn server(families: &[Family<'_>]) -> String {
    let growing = each(families, |family| {
        let charts: Vec<(String, Vec<Vec<String>>)> = GROWTHS
            .iter()
            .map(|growth| growth.chart(family))
            .filter(|(chart, _)| !chart.is_empty())
            .collect();
        let slopes: Vec<Vec<String>> = charts.iter().flat_map(|(_, slopes)| slopes.clone()).collect();
        let charts: Vec<String> = charts.into_iter().map(|(chart, _)| chart).collect();
        let charts = grid(&charts);
        if charts.is_empty() { charts } else { charts + &fits(&slopes) }
    });
    let over_time = each(families, |family| {
        grid(&OVER_TIME.each_ref().map(|quantity| time::chart(family, quantity))) + &cells(family)
    });
    let mut body = String::new();
    if !growing.is_empty() {
        let what = "The slope is that of a Theil-Sen line, with Sen's 95% interval; with fewer than five points it is the \
                    range of all slopes, and coarse.";
        body += &format!("<h3>Over clients</h3>\n{}{growing}", paragraph("faint", what));
    }
    if !over_time.is_empty() {
        body += &format!("<h3>Of each cell</h3>\n{over_time}");
    }
    if body.is_empty() { body } else { section("server", "Server CPU and memory", &body) }
}

impl Growth {
    /// The chart, and a row for each fitted slope; nothing where no protocol was measured with two client counts.
    fn chart(&self, family: &Family<'_>) -> (String, Vec<Vec<String>>) {
        let mut series = Vec::new();
        let mut slopes = Vec::new();
        for cells in family.cells.chunk_by(|a, b| a.spec.id.protocol.name == b.spec.id.protocol.name) {
            let points = self.points(cells);
            let Some(slope) = theil_sen(&points) else { continue };
            let name = title(cells[0].spec.id.protocol.name);
            slopes.push(self.slope(name, &slope));
            series.push(self.series(name, look(cells[0].spec.id.protocol.name), &points, &slope));
        }
        let clients = series.iter().flat_map(|line: &Series| line.points.iter().map(|point| point.0));
        let x = Axis::new("clients connected", Spacing::FromZero, clients);
        (Chart::new(self.title, (self.axis, Spacing::FromZero), x, series).render(), slopes)
    }

    /// Points (clients, metric) of cells that can be believed, clients rising.
    fn points(&self, cells: &[&Cell]) -> Vec<(f64, f64)> {
        let believed = cells.iter().filter(|cell| cell.trust.level != TrustLevel::Invalid);
        let mut points: Vec<(f64, f64)> = believed
            .filter_map(|cell| Some((cell.counts.connected as f64, value(cell, self.metric)?)))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    }

    fn series(&self, name: &str, style: usize, points: &[(f64, f64)], slope: &Slope) -> Series {
        let scaled = |(x, y): (f64, f64)| (x, y * self.axis_factor);
        let at = |x: f64| scaled((x, slope.intercept + slope.value * x));
        let ends = points.first().zip(points.last()).map(|(first, last)| [at(first.0), at(last.0)]);
        let points = points.iter().copied().map(scaled).collect();
        Series { name: name.to_owned(), style, points, fit: ends }
    }

    fn slope(&self, name: &str, slope: &Slope) -> Vec<String> {
        let [value, low, high] =
            [slope.value, slope.bounds.low, slope.bounds.high].map(|v| short(v * self.slope_factor));
        let coarse = if slope.coarse { ", coarse" } else { "" };
        vec![
            name.to_owned(),
            self.title.to_owned(),
            format!("{value} {}", self.slope_unit),
            format!("{low} to {high}{coarse}"),
            slope.points.to_string(),
        ]
    }
}

fn fits(slopes: &[Vec<String>]) -> String {
    table(Content::Words, &["protocol", "of", "slope", "95% interval", "points"], slopes)
}

fn cells(family: &Family<'_>) -> String {
    let costs = |cell: &&Cell| cell.server.is_some() && cell.counts.connected > 0;
    let cells: Vec<&Cell> = family.cells.iter().copied().filter(costs).collect();
    if cells.is_empty() {
        return String::new();
    }
    details("Cost of each cell", &figures("cell", FIGURES, &cells), cells.len() <= FEW) + &whose(&cells)
}

/// Whose cost that is; nothing where each server was the one process that was started.
fn whose(cells: &[&Cell]) -> String {
    let row = |cell: &&Cell| Some(vec![cell.spec.label(), cell.server.as_ref()?.whose()?]);
    let rows: Vec<Vec<String>> = cells.iter().filter_map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    details("Whose cost it is", &table(Content::Words, &["cell", "processes"], &rows), false)
}
