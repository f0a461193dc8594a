//! Latency: the percentile curve and the seconds of each family, and the figures of each cell.

use super::cell_groups::{FEW, Family, Shown, each, grid};
use super::chart::{Axis, Chart, Series};
use super::markup::{details, paragraph, section};
use super::scale::{Scale, Spacing};
use super::tables::{Column, column, figures};
use super::time::{self, Keep, Quantity};
use crate::measure::cell::Cell;
use crate::stats::histogram;

/// Steps from one power of ten of 1/(1-p) to the next.
const LADDER: [f64; 6] = [1.0, 1.5, 2.0, 3.0, 5.0, 7.0];

pub(super) const FIGURES: &[Column] = &[
    column("mean", "response_mean_ms"),
    column("p50", "response_p50_ms"),
    column("p90", "response_p90_ms"),
    column("p95", "response_p95_ms"),
    column("p99", "response_p99_ms"),
    column("p99.9", "response_p99_9_ms"),
    column("largest", "response_max_ms"),
    column("send lag p99", "send_lag_p99_ms"),
];

static OVER_TIME: [Quantity; 2] = [
    Quantity {
        title: "Median latency over time",
        axis: "latency, median (ms)",
        spacing: Spacing::LogIfWide,
        keep: Keep::Largest,
        value: |interval, _| interval.p50_ns.map(|ns| ns as f64 / 1e6),
    },
    Quantity {
        title: "99th percentile over time",
        axis: "latency, 99th percentile (ms)",
        spacing: Spacing::LogIfWide,
        keep: Keep::Largest,
        value: |interval, _| interval.p99_ns.map(|ns| ns as f64 / 1e6),
    },
];

/// The section.
pub(super) fn latency(families: &[Family<'_>]) -> String {
    let body = each(families, |family| {
        let charts = [curve(family), time::chart(family, &OVER_TIME[0]), time::chart(family, &OVER_TIME[1])];
        let charts = grid(&charts);
        if charts.is_empty() { charts } else { charts + &cells(family) }
    });
    if body.is_empty() {
        return body;
    }
    let what = "From the moment a message was due to its receipt. A percentile that rests on too few distinct messages \
                (fewer than 10/(1-p)) is left out, so curves end where the data end.";
    section("latency", "Latency", &(paragraph("faint", what) + &body))
}

fn curve(family: &Family<'_>) -> String {
    by_percentile(family.shown(), family.left_out())
}

/// The percentile curve: 1/(1-p) by ratio, so that each nine takes the same width.
pub(super) fn by_percentile(lines: Vec<Shown<'_>>, note: String) -> String {
    let series: Vec<Series> = lines
        .into_iter()
        .map(|line| Series { points: percentiles(line.cell), name: line.name, style: line.style, fit: None })
        .filter(|series| !series.points.is_empty())
        .collect();
    let most = series.iter().flat_map(|line| &line.points).map(|point| point.0).fold(10.0, f64::max);
    let nines = most.log10().ceil() as i32;
    let ticks: Vec<f64> = [1.0, 2.0].into_iter().chain((1..=nines).map(|n| 10_f64.powi(n))).collect();
    let x = Axis { title: "percentile".to_owned(), scale: Scale::with_ticks(ticks), label: percentile };
    let mut chart = Chart::new("Latency by percentile", ("latency (ms)", Spacing::LogIfWide), x, series);
    chart.note = note;
    chart.render()
}

/// Points (1/(1-p), ms), as far as there are enough events.
fn percentiles(cell: &Cell) -> Vec<(f64, f64)> {
    let Some(samples) = cell.response.samples() else { return Vec::new() };
    let ladder = (0..9).flat_map(|power| LADDER.map(|step| step * 10_f64.powi(power)));
    let point = |x: f64| {
        let ns = histogram::quantile(&samples, 1.0 - 1.0 / x, cell.response.events)?;
        Some((x, ns as f64 / 1e6))
    };
    ladder.map_while(point).collect()
}

/// 1/(1-p) as people say it: 10 is 90%, 1,000 is 99.9%.
fn percentile(x: f64) -> String {
    let percent = 100.0 - 100.0 / x;
    let decimals = (x.log10().floor() as usize).saturating_sub(1) + usize::from(percent.fract() > 1e-9);
    let text = format!("{percent:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}%")
}

fn cells(family: &Family<'_>) -> String {
    let table = figures("cell, ms", FIGURES, &family.cells);
    details("Latency of each cell", &table, family.cells.len() <= FEW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::sample;

    #[test]
    fn percentiles_read_as_people_say_them() {
        let said = [1.0, 1.5, 2.0, 3.0, 10.0, 50.0, 70.0, 100.0, 150.0, 1_000.0, 10_000.0].map(percentile);
        let words =
            ["0%", "33.3%", "50%", "66.7%", "90%", "98%", "98.6%", "99%", "99.33%", "99.9%", "99.99%"];
        assert_eq!(said, words);
    }

    #[test]
    fn a_curve_rises_and_ends_where_the_events_end() {
        let samples: Vec<f64> = (1..=1_000).map(|i| f64::from(i) / 10.0).collect();
        let points = percentiles(&sample::cell("workload/sse").latency_ms(&samples, 1_000).build());
        assert_eq!(points.last().map(|point| point.0), Some(100.0));
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
        assert!(percentiles(&sample::cell("workload/sse").build()).is_empty());
    }
}
