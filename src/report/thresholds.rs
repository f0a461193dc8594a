//! What had to hold, a line for each threshold and cell: one where it holds in every repetition, else one for each.

use super::join;
use crate::claim::verdict::with_unit;
use crate::measure::repeats::{MedianRange, Repeats};
use crate::measure::run::Run;
use crate::measure::threshold::Outcome;

/// What came of a threshold.
pub(super) struct Line {
    /// The threshold, e.g. `latency p(95)<200ms`.
    pub(super) threshold: String,
    /// The cell, or one of its repetitions.
    pub(super) cell: String,
    /// What was measured, with its unit; of several repetitions from the least to the most. Empty if nothing was.
    pub(super) measured: String,
    /// Whether it holds; `None` if that cannot be told.
    pub(super) passed: Option<bool>,
    /// Why it cannot be told; empty if it can.
    pub(super) why: String,
}

/// Every threshold of a run in every cell of it.
pub(super) fn lines(run: &Run) -> Vec<Line> {
    let cells = Repeats::of(&run.cells);
    let mut lines = Vec::new();
    for threshold in &run.file.thresholds {
        for repeats in &cells {
            let each: Vec<Outcome> = repeats.cells().iter().map(|cell| threshold.evaluate(cell)).collect();
            let holds = each.iter().all(|outcome| outcome.passed == Some(true));
            match MedianRange::of(each.iter().filter_map(|outcome| outcome.measured)) {
                Some(range) if holds && each.len() > 1 => lines.push(held(repeats.name(), &each[0], &range)),
                _ => lines.extend(repeats.cells().iter().zip(&each).map(|(c, o)| line(c.spec.label(), o))),
            }
        }
    }
    lines
}

/// A threshold that holds in every repetition of a cell.
fn held(cell: &str, outcome: &Outcome, range: &MedianRange) -> Line {
    let [low, high] = [range.low, range.high].map(|value| said(value, outcome.unit));
    let measured = if low == high { low } else { format!("{low} to {high}") };
    Line { measured: format!("{measured} in all {} repeats", range.count), ..line(cell.to_owned(), outcome) }
}

fn line(cell: String, outcome: &Outcome) -> Line {
    Line {
        threshold: join([outcome.subject.as_str(), &outcome.expression], " "),
        cell,
        measured: outcome.measured.map_or(String::new(), |value| said(value, outcome.unit)),
        passed: outcome.passed,
        why: outcome.why.clone().unwrap_or_default(),
    }
}

fn said(value: f64, unit: &str) -> String {
    with_unit(value, unit).trim().to_owned()
}
