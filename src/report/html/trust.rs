//! Whether to believe the run: trust with its reasons, and what had to hold.

use super::markup::{Content, paragraph, section, table};
use crate::measure::cell::{Cell, Status};
use crate::measure::repeats::Repeats;
use crate::measure::run::Run;
use crate::number::short;
use crate::report::terminal::trust_word;
use crate::report::thresholds::{self, Line};
use crate::report::{join, notes};

/// How far a run can be believed, in a sentence.
pub(super) fn sentence(run: &Run) -> String {
    let doubtful = run.cells.iter().filter(|cell| trust_word(cell) != "ok").count();
    match (run.cells.len(), doubtful) {
        (0, _) => "Nothing was measured.".to_owned(),
        (1, 0) => "Trust: ok, nothing speaks against the measurement.".to_owned(),
        (all, 0) => format!("Trust: all {all} cells are ok, nothing speaks against the measurements."),
        (all, doubtful) => {
            let words = ["degraded", "interrupted", "invalid", "failed"].map(|word| (word, count(run, word)));
            let parts = words.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{n} {word}"));
            format!(
                "Trust: {} of {all} cells are ok, {}.",
                all - doubtful,
                parts.collect::<Vec<_>>().join(", ")
            )
        }
    }
}

fn count(run: &Run, word: &str) -> usize {
    run.cells.iter().filter(|cell| trust_word(cell) == word).count()
}

/// The section.
pub(super) fn trust(run: &Run) -> String {
    let mut body = paragraph("", &sentence(run));
    let rows: Vec<Vec<String>> = run.cells.iter().filter_map(|cell| doubts(run, cell)).collect();
    if !rows.is_empty() {
        body += &table(Content::Words, &["cell", "trust", "why"], &rows);
    }
    for warning in &run.warnings {
        body += &paragraph("", &format!("! {warning}"));
    }
    for (note, _) in notes(run) {
        body += &paragraph("", &note);
    }
    section("trust", "Trust", &body)
}

/// What speaks against a cell, or for the instrument's share in it.
fn doubts(run: &Run, cell: &Cell) -> Option<Vec<String>> {
    let failed = if let Status::Failed(reason) = &cell.status { reason.as_str() } else { "" };
    let bound = run.generator_bound(cell);
    let bound = match bound.is_empty() {
        true => String::new(),
        false => {
            format!("generator_bound, within twice what the generator itself takes: {}", bound.join(", "))
        }
    };
    let reasons = [failed].into_iter().chain(cell.trust.reasons.iter().map(String::as_str));
    let why = join(reasons.chain([bound.as_str()]), "; ");
    (trust_word(cell) != "ok" || !why.is_empty())
        .then(|| vec![cell.spec.label(), trust_word(cell).to_owned(), why])
}

/// The thresholds in a sentence; nothing where there are none.
pub(super) fn thresholds_sentence(run: &Run) -> Option<String> {
    let outcomes = run.outcomes();
    let held = outcomes.iter().filter(|outcome| outcome.outcome.passed == Some(true)).count();
    match (outcomes.len(), held) {
        (0, _) => None,
        (all, held) if all == held => Some(format!("Thresholds: all {all} hold.")),
        (all, held) => Some(format!("Thresholds: {} of {all} do not hold or cannot be told.", all - held)),
    }
}

/// What had to hold, and whether it does; nothing where nothing had to.
pub(super) fn thresholds(run: &Run) -> String {
    let rows: Vec<Vec<String>> = thresholds::lines(run).into_iter().map(threshold).collect();
    if rows.is_empty() {
        return String::new();
    }
    let heads = ["threshold", "cell", "measured", "holds", "why"];
    section("thresholds", "Thresholds", &table(Content::Words, &heads, &rows))
}

fn threshold(line: Line) -> Vec<String> {
    let holds = match line.passed {
        Some(true) => "✓ yes",
        Some(false) => "✗ no",
        None => "· cannot be told",
    };
    vec![line.threshold, line.cell, line.measured, holds.to_owned(), line.why]
}

/// A number of cells in words.
pub(super) fn cells_in_words(run: &Run) -> String {
    let cells = Repeats::of(&run.cells);
    let most = cells.iter().map(|repeats| repeats.cells().len()).max().unwrap_or(0);
    let cells = match cells.len() {
        1 => "1 cell".to_owned(),
        n => format!("{} cells", short(n as f64)),
    };
    if most > 1 { format!("{cells}, measured up to {most} times") } else { cells }
}
