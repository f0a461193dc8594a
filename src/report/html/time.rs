//! What the seconds of a cell say: one kind of chart for everything that is counted over time.

use super::cell_groups::Family;
use super::chart::{Axis, Chart, Series};
use super::scale::Spacing;
use crate::measure::cell::{Cell, Interval};

/// Points of a line; a longer one is drawn through stretches of several seconds.
const POINTS: usize = 60;

/// What becomes of the values of a stretch.
#[derive(Clone, Copy)]
pub(super) enum Keep {
    /// The largest: a peak is what one looks for.
    Largest,
    /// The mean, for rates.
    Mean,
}

/// Something that intervals have.
pub(super) struct Quantity {
    /// What it is.
    pub(super) title: &'static str,
    /// The same with its unit.
    pub(super) axis: &'static str,
    /// How it lies on its axis.
    pub(super) spacing: Spacing,
    /// What becomes of a stretch.
    pub(super) keep: Keep,
    /// Reads it from an interval of so many seconds.
    pub(super) value: fn(&Interval, f64) -> Option<f64>,
}

/// The chart of a quantity for a family; nothing where no cell has it at two moments.
pub(super) fn chart(family: &Family<'_>, quantity: &Quantity) -> String {
    let series: Vec<Series> = family
        .shown()
        .into_iter()
        .map(|shown| Series {
            points: points(shown.cell, quantity),
            name: shown.name,
            style: shown.style,
            fit: None,
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    if series.iter().all(|series| series.points.len() < 2) {
        return String::new();
    }
    let times = series.iter().flat_map(|line| line.points.iter().map(|point| point.0));
    let x = Axis::new("time in the window (s)", Spacing::FromZero, times);
    let mut chart = Chart::new(quantity.title, (quantity.axis, quantity.spacing), x, series);
    chart.note = note(family, quantity);
    chart.render()
}

fn note(family: &Family<'_>, quantity: &Quantity) -> String {
    let seconds = family.shown().iter().map(|shown| stretch(shown.cell)).max().unwrap_or(1);
    let thinned = match quantity.keep {
        _ if seconds <= 1 => String::new(),
        Keep::Largest => format!("largest of up to {seconds} intervals"),
        Keep::Mean => format!("mean of up to {seconds} intervals"),
    };
    crate::report::join([family.left_out().as_str(), &thinned], "; ")
}

/// Intervals that make one point.
fn stretch(cell: &Cell) -> usize {
    cell.intervals.len().div_ceil(POINTS).max(1)
}

fn points(cell: &Cell, quantity: &Quantity) -> Vec<(f64, f64)> {
    let starts = std::iter::once(0.0).chain(cell.intervals.iter().map(|interval| interval.at_s));
    let values: Vec<(f64, Option<f64>)> = cell
        .intervals
        .iter()
        .zip(starts)
        .map(|(interval, start)| (interval.at_s, (quantity.value)(interval, interval.at_s - start)))
        .collect();
    let point = |part: &[(f64, Option<f64>)]| {
        let known: Vec<f64> = part.iter().filter_map(|(_, value)| *value).collect();
        let value = match quantity.keep {
            Keep::Largest => known.iter().copied().reduce(f64::max)?,
            Keep::Mean if known.is_empty() => return None,
            Keep::Mean => known.iter().sum::<f64>() / known.len() as f64,
        };
        Some((part.last()?.0, value))
    };
    values.chunks(stretch(cell)).filter_map(point).collect()
}

/// A count of an interval per second; nothing for an interval without length.
pub(super) fn per_second(count: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| count as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::sample;

    #[test]
    fn a_long_run_keeps_its_peaks_and_few_points() {
        let cell = sample::cell("workload/sse").with(|cell| {
            cell.intervals = (1..=3_600)
                .map(|s| Interval {
                    at_s: s.into(),
                    p99_ns: Some(if s == 1_801 { 9 } else { 1 }),
                    ..Interval::default()
                })
                .collect();
        });
        let quantity = Quantity {
            title: "",
            axis: "",
            spacing: Spacing::FromZero,
            keep: Keep::Largest,
            value: |interval, _| interval.p99_ns.map(|ns| ns as f64),
        };
        let points = points(&cell.build(), &quantity);
        assert_eq!(points.len(), POINTS);
        assert_eq!(points.iter().filter(|(_, value)| *value == 9.0).count(), 1);
        assert_eq!(points.last(), Some(&(3_600.0, 1.0)));
    }
}
