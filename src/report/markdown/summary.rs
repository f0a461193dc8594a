//! A scenario's run as Markdown: what was run, the headline of each cell, thresholds, failures, trust.

use std::io::{self, Write};

use super::markup::{ending, escape, table};
use super::trust;
use crate::measure::cell::{Cell, Status};
use crate::measure::metric;
use crate::measure::run::Run;
use crate::number::short;
use crate::report::terminal::{bytes, trust_word};
use crate::report::thresholds::{self, Line};

/// Writes a metric for people.
type Say = fn(f64) -> String;

/// Columns of the headline: a title, the metric, and how it is said.
const HEADLINE: &[(&str, &str, Say)] = &[
    ("delivered/s", "delivered_per_s", short),
    ("lost", "lost", short),
    ("p50 ms", "response_p50_ms", short),
    ("p95 ms", "response_p95_ms", short),
    ("p99 ms", "response_p99_ms", short),
    ("max ms", "response_max_ms", short),
    ("overhead B/message", "overhead_bytes_per_delivery", short),
    ("server CPU us/message", "server_cpu_us_per_delivery", short),
    ("server memory/client", "server_memory_bytes_per_client", bytes),
];

/// Writes the page.
///
/// # Errors
/// Those of `out`.
pub(super) fn page(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# {}\n", escape(&run.file.scenario.name))?;
    headline(run, out)?;
    thresholds(run, out)?;
    failures(run, out)?;
    trust(run, out)?;
    ending(run, out)
}

fn headline(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let heads =
        ["cell", "clients"].into_iter().chain(HEADLINE.iter().map(|(title, ..)| *title)).chain(["trust"]);
    let rows = run.cells.iter().map(|cell| {
        let clients =
            format!("{} of {}", short(cell.counts.connected as f64), short(cell.spec.clients.into()));
        let figures = HEADLINE.iter().map(|(_, name, say)| figure(cell, name, *say));
        [cell.spec.id.to_string(), clients]
            .into_iter()
            .chain(figures)
            .chain([trust_word(cell).to_owned()])
            .collect()
    });
    table(&heads.collect::<Vec<_>>(), rows, out)
}

fn figure(cell: &Cell, name: &str, say: Say) -> String {
    metric::find(name).and_then(|metric| metric.value(cell)).map_or(String::new(), say)
}

pub(super) fn thresholds(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let lines = thresholds::lines(run);
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Thresholds\n")?;
    let row = |Line { threshold, cell, measured, passed, why }: Line| {
        let mark = match passed {
            Some(true) => "✓",
            Some(false) => "✗",
            None => "?",
        };
        let measured = if measured.is_empty() { "not measured".to_owned() } else { measured };
        let why = if why.is_empty() { why } else { format!(" ({why})") };
        vec![mark.to_owned(), threshold, cell, format!("{measured}{why}")]
    };
    table(&["", "threshold", "cell", "measured"], lines.into_iter().map(row), out)
}

fn failures(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    if run.cells.iter().all(|cell| cell.failures.is_empty()) {
        return Ok(());
    }
    writeln!(out, "\n## Failures\n")?;
    let all = run.cells.iter().flat_map(|cell| cell.failures.iter().map(move |failure| (cell, failure)));
    let rows = all.map(|(cell, failure)| {
        let what = format!("{}: {}", failure.phase, failure.kind);
        vec![cell.spec.id.to_string(), failure.count.to_string(), what, failure.example.clone()]
    });
    table(&["cell", "count", "what", "the first"], rows, out)
}

/// What a cell that failed says for itself, before what speaks against one that was measured.
pub(super) fn doubts(cell: &Cell) -> impl Iterator<Item = &String> {
    let failed = if let Status::Failed(reason) = &cell.status { Some(reason) } else { None };
    failed.into_iter().chain(&cell.trust.reasons)
}
