//! Cells that were measured more than once: how far their repetitions agree, and whether the host drifted meanwhile.

use super::cell_groups::{Family, each, grid};
use super::chart::{Axis, Chart, Series};
use super::markup::{Content, paragraph, section, table};
use super::scale::Spacing;
use super::tables::value;
use crate::measure::repeats::Repeats;
use crate::number::short;
use crate::report::median_with_range;

/// What repetitions are compared by: title, axis and metric.
const DRIFTING: [(&str, &str, &str); 3] = [
    ("Median latency by repeat", "latency, median (ms)", "response_p50_ms"),
    ("99th percentile by repeat", "latency, 99th percentile (ms)", "response_p99_ms"),
    ("Server CPU by repeat", "server CPU per delivery (us)", "server_cpu_us_per_delivery"),
];

/// Heads and metrics of the table.
pub(super) const FIGURES: [(&str, &str); 6] = [
    ("p50, ms", "response_p50_ms"),
    ("p99, ms", "response_p99_ms"),
    ("CPU us per delivery", "server_cpu_us_per_delivery"),
    ("B beyond payload", "overhead_bytes_per_delivery"),
    ("delivered per s", "delivered_per_s"),
    ("lost", "lost"),
];

/// The section; nothing where every cell was measured once.
pub(super) fn repeats(families: &[Family<'_>]) -> String {
    let body = each(families, |family| {
        let groups = Repeats::of(family.cells.iter().copied());
        match groups.iter().any(|repeats| repeats.cells().len() > 1) {
            true => {
                grid(&DRIFTING.map(|(title, axis, metric)| chart(family, &groups, title, axis, metric)))
                    + &figures(&groups)
            }
            false => String::new(),
        }
    });
    if body.is_empty() {
        return body;
    }
    let what = "Medians over the repeats of each cell that can be believed, with their smallest and largest value in \
                brackets. All repeats have the same seed and schedule; all cells were measured once before any was \
                measured again, so a step that all of them share is the host's.";
    section("repeats", "Repeats", &(paragraph("faint", what) + &body))
}

fn chart(family: &Family<'_>, groups: &[Repeats<'_>], title: &str, axis: &str, metric: &str) -> String {
    let series: Vec<Series> = family
        .shown()
        .into_iter()
        .filter_map(|shown| {
            let repeats = groups.iter().find(|repeats| *repeats.id() == shown.cell.spec.id)?;
            let point = |cell: &&crate::measure::cell::Cell| {
                Some((f64::from(cell.spec.repeat), value(cell, metric)?))
            };
            let points = repeats.cells().iter().filter_map(point).collect();
            Some(Series { name: shown.name, style: shown.style, points, fit: None })
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    let numbers = series.iter().flat_map(|line| line.points.iter().map(|point| point.0));
    let x = Axis { label: whole, ..Axis::new("repeat, from 0", Spacing::FromZero, numbers) };
    Chart::new(title, (axis, Spacing::LogIfWide), x, series).render()
}

/// There is no repeat between two others.
fn whole(x: f64) -> String {
    if x.fract() == 0.0 { short(x) } else { String::new() }
}

fn figures(groups: &[Repeats<'_>]) -> String {
    let heads: Vec<&str> =
        ["cell", "repeats"].into_iter().chain(FIGURES.iter().map(|(head, _)| *head)).collect();
    let row = |repeats: &Repeats<'_>| {
        let figures = FIGURES.iter().map(|(_, metric)| {
            repeats.median_range(metric).map_or(String::new(), |range| median_with_range(&range, 1.0))
        });
        let name = [repeats.id().to_string(), repeats.cells().len().to_string()];
        name.into_iter().chain(figures).collect()
    };
    table(Content::Figures, &heads, &groups.iter().map(row).collect::<Vec<Vec<String>>>())
}
