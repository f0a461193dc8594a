//! What had to hold, a line for each threshold and cell: one where it holds in every repetition, else one for each.

use super::join;
use crate::measure::cell::{Cell, Status, TrustLevel};
use crate::measure::repeats::{MedianRange, Repeats};
use crate::measure::run::{Run, ThresholdText};
use crate::measure::threshold::Outcome;
use crate::number::with_unit;

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

/// Every threshold of a run in every cell that it is about. Those that nobody asked for are one line where they hold
/// everywhere, and else a line for each cell where one does not.
pub(super) fn lines(run: &Run) -> Vec<Line> {
    let cells = Repeats::of(&run.cells);
    let (mut lines, mut kept) = (Vec::new(), Vec::new());
    for threshold in &run.file.thresholds {
        let own: Vec<Line> = cells.iter().flat_map(|repeats| of_cell(threshold, repeats)).collect();
        match (threshold.by_default, own.iter().all(|line| line.passed == Some(true))) {
            (true, true) if !own.is_empty() => kept.push(own[0].threshold.clone()),
            (true, _) => lines.extend(own.into_iter().filter(|line| line.passed != Some(true))),
            (false, _) => lines.extend(own),
        }
    }
    if !kept.is_empty() {
        lines.push(Line {
            threshold: kept.join(", "),
            cell: if cells.len() > 1 { "every cell".to_owned() } else { cells[0].id().to_string() },
            measured: "hold, as by default they must".to_owned(),
            passed: Some(true),
            why: String::new(),
        });
    }
    lines
}

fn of_cell(threshold: &ThresholdText, repeats: &Repeats<'_>) -> Vec<Line> {
    let each: Vec<(&Cell, Outcome)> =
        repeats.cells().iter().filter_map(|cell| Some((*cell, threshold.evaluate(cell)?))).collect();
    let holds = each.iter().all(|(_, outcome)| outcome.passed == Some(true));
    match MedianRange::of(each.iter().filter_map(|(_, outcome)| outcome.measured)) {
        Some(range) if holds && each.len() > 1 => vec![held(&repeats.id().to_string(), &each[0].1, &range)],
        _ => each.iter().map(|(cell, outcome)| line(cell.spec.label(), outcome)).collect(),
    }
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

/// What speaks against a run, a line each: cells that were not measured or cannot be believed, and what did not hold or could
/// not be told.
pub(super) fn complaints(run: &Run) -> Vec<String> {
    let of_cell = |cell: &Cell| match (&cell.status, cell.trust.level) {
        (Status::Failed(reason), _) => Some(format!("{}: failed: {reason}", cell.spec.label())),
        (_, TrustLevel::Invalid) => {
            Some(format!("{}: invalid: {}", cell.spec.label(), cell.trust.reasons.join("; ")))
        }
        _ => None,
    };
    let of_line = |line: Line| {
        let Line { threshold, cell, measured, passed, why } = line;
        match passed {
            Some(true) => None,
            Some(false) => Some(format!("{cell}: {threshold} does not hold: {measured}")),
            // A cell that is no good has been told.
            None => Some(format!("{cell}: {threshold} cannot be told: {why}"))
                .filter(|_| !why.starts_with("the cell")),
        }
    };
    run.cells.iter().filter_map(of_cell).chain(lines(run).into_iter().filter_map(of_line)).collect()
}
