//! Repetitions of one cell, looked at together: the median says what is typical, the range how far it can be trusted.
//!
//! All repetitions have the same seed, and so the same schedule of events. They show how far the host and the system
//! under test vary; they are no further events, and make no interval narrower.

use super::cell::{Cell, Status, TrustLevel};
use super::metric::{self, Better};
use crate::scenario::cell_id::CellId;

/// The repetitions of one cell, in the order in which they were measured; there is at least one.
#[derive(Clone, Debug)]
pub struct Repeats<'a> {
    cells: Vec<&'a Cell>,
}

/// A metric over the repetitions that have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MedianRange {
    /// The median; of an even number the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// Repetitions.
    pub count: usize,
}

impl<'a> Repeats<'a> {
    /// Repetitions of the same cell together, in the order in which the first of each came up.
    pub fn of(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<Repeats<'a>> {
        let mut all: Vec<Repeats<'a>> = Vec::new();
        for cell in cells {
            match all.iter_mut().find(|known| *known.id() == cell.spec.id) {
                Some(known) => known.cells.push(cell),
                None => all.push(Repeats { cells: vec![cell] }),
            }
        }
        all
    }

    /// Which cell it is that they repeat.
    pub fn id(&self) -> &'a CellId {
        &self.first().spec.id
    }

    /// The first of them.
    pub fn first(&self) -> &'a Cell {
        self.cells[0]
    }

    /// All of them.
    pub fn cells(&self) -> &[&'a Cell] {
        &self.cells
    }

    /// Those that figures are taken from: all that were measured to their end and can be believed, or where there is none, all
    /// that did not fail.
    pub fn believed(&self) -> Vec<&'a Cell> {
        let measured = |cell: &&&Cell| !matches!(cell.status, Status::Failed(_));
        let sound =
            |cell: &&&Cell| cell.status == Status::Finished && cell.trust.level != TrustLevel::Invalid;
        let believed: Vec<&Cell> = self.cells.iter().filter(sound).copied().collect();
        match believed.is_empty() {
            true => self.cells.iter().filter(measured).copied().collect(),
            false => believed,
        }
    }

    /// A metric over those that are believed; `None` if none has it.
    pub fn median_range(&self, name: &str) -> Option<MedianRange> {
        let metric = metric::find(name)?;
        MedianRange::of(self.believed().into_iter().filter_map(|cell| metric.value(cell)))
    }

    /// The believed repetition in the middle by a metric, whose own interval goes with its value: of an even number the
    /// worse of the two in the middle. Repetitions without the metric do not count, unless none has it; `None` if all failed.
    pub fn middle(&self, name: &str) -> Option<&'a Cell> {
        middle(&self.believed(), name)
    }
}

/// The cell in the middle of some by a metric, as [`Repeats::middle`] has it.
pub fn middle<'a>(cells: &[&'a Cell], name: &str) -> Option<&'a Cell> {
    let better = metric::find(name).map_or(Better::Neither, |metric| metric.better);
    let valued = cells.iter().filter_map(|cell| Some((metric::find(name)?.value(cell)?, *cell)));
    let mut valued: Vec<(f64, &Cell)> = valued.collect();
    valued.sort_by(|a, b| a.0.total_cmp(&b.0));
    let place = if better == Better::Higher { valued.len().saturating_sub(1) / 2 } else { valued.len() / 2 };
    valued.get(place).map(|(_, cell)| *cell).or_else(|| cells.first().copied())
}

impl MedianRange {
    /// The median and range of some values; `None` of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<MedianRange> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let (left, right) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(MedianRange { median: (left + right) / 2.0, low, high, count: values.len() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::measure::sample;

    /// Repetitions of one cell with these server costs, in us per delivery.
    fn cells(name: &str, cpu_us: &[u64]) -> Vec<Cell> {
        let cell = |(repeat, us): (usize, &u64)| {
            sample::cell(name).cpu_us(*us).with(|cell| cell.spec.repeat = repeat as u32).build()
        };
        cpu_us.iter().enumerate().map(cell).collect()
    }

    const CPU: &str = "server_cpu_us_per_delivery";

    #[test]
    fn cells_of_one_name_belong_together_whatever_lies_between_them() {
        let (a, b) = (cells("workload/sse", &[10, 20]), cells("workload/websocket", &[1, 2]));
        let all = Repeats::of([&a[0], &b[0], &a[1], &b[1]]);
        let found: Vec<_> = all.iter().map(|r| (r.id().to_string(), r.cells().len())).collect();
        assert_eq!(found, [("workload/sse".to_owned(), 2), ("workload/websocket".to_owned(), 2)]);
        assert_eq!(all[1].cells()[1].spec.repeat, 1);
    }

    #[test]
    fn the_median_stands_for_all_and_the_range_says_how_well() {
        let range = |cpu_us: &[u64]| {
            let cells = cells("workload/sse", cpu_us);
            let range = Repeats::of(&cells)[0].median_range(CPU).unwrap();
            (range.median, range.low, range.high, range.count)
        };
        assert_eq!(range(&[30, 10, 11]), (11.0, 10.0, 30.0, 3));
        assert_eq!(range(&[30, 10]), (20.0, 10.0, 30.0, 2));
        assert_eq!(MedianRange::of([]), None);
    }

    #[test]
    fn the_middle_is_a_real_repetition_and_never_the_better_of_two() {
        let middle = |cpu_us: &[u64], metric: &str| {
            let cells = cells("workload/sse", cpu_us);
            Repeats::of(&cells)[0].middle(metric).unwrap().spec.repeat
        };
        assert_eq!(middle(&[30, 10, 11], CPU), 2);
        assert_eq!(middle(&[10, 30], CPU), 1, "less is better");
        assert_eq!(middle(&[10, 30], "response_p50_ms"), 0, "nobody has it");
    }

    #[test]
    fn what_cannot_be_believed_does_not_count_while_anything_can() {
        let mut cells = cells("workload/sse", &[10, 90, 12]);
        cells[1].trust.level = TrustLevel::Invalid;
        assert_eq!(Repeats::of(&cells)[0].median_range(CPU).unwrap().high, 12.0);
        // A part of a window is no repetition of it.
        cells[2].status = Status::Interrupted;
        assert_eq!(Repeats::of(&cells)[0].median_range(CPU).unwrap().high, 10.0);
        cells[0].status = Status::Failed("gone".into());
        cells[2].status = Status::Failed("gone".into());
        assert_eq!(Repeats::of(&cells)[0].median_range(CPU).unwrap().median, 90.0);
        cells[1].status = Status::Failed("gone".into());
        assert!(Repeats::of(&cells)[0].middle(CPU).is_none());
    }
}
