//! The page of a comparison.

use super::markup::{Content, details, escape, paragraph, section, table};
use super::{contents, document};
use crate::compare::{CellComparison, Comparison, Row, Side};
use crate::measure::store::safe_name;
use crate::report::comparison::words;
use crate::report::quoted_words;

/// What decides comes first: a phone shows three columns, and the rest when it is pushed aside.
const HEADS: [&str; 9] = [
    "metric",
    "verdict",
    "change",
    "95% interval",
    "base",
    "new",
    "difference",
    "p, adjusted",
    "repeats needed",
];

/// The page.
pub(in crate::report) fn page(comparison: &Comparison) -> String {
    let lines = [words::outcome(comparison)].into_iter().chain(words::warnings(comparison));
    let lines: String = lines.map(|line| format!("<li>{}</li>\n", escape(&line))).collect();
    let runs = [("base", &comparison.base), ("new", &comparison.new)]
        .map(|(name, side)| paragraph("faint", &format!("{name}: {}", words::runs(side))));
    let mut sections: String = comparison.cells.iter().map(cell).collect();
    sections +=
        &section("reading", "How to read this", &words::LEGEND.map(|text| paragraph("", text)).concat());
    sections += &section("origin", "Runs", &origin(comparison));
    let header = format!("{}<ul class=\"summary\">\n{lines}</ul>\n{}", runs.concat(), contents(&sections));
    document("rtbench: comparison", &header, &sections)
}

fn cell(cell: &CellComparison) -> String {
    let degraded = if cell.is_degraded() { ", degraded" } else { "" };
    let mut body = paragraph("faint", &format!("{}{degraded}", words::repeats(cell)));
    let (first, rest): (Vec<&Row>, Vec<&Row>) = cell.rows.iter().partition(|row| words::is_headline(row));
    body += &rows(&first, cell);
    if !rest.is_empty() {
        body += &details(&format!("{} more metrics", rest.len()), &rows(&rest, cell), false);
    }
    section(&format!("cell-{}", safe_name(&cell.cell)), &cell.cell, &body)
}

fn rows(rows: &[&Row], cell: &CellComparison) -> String {
    let degraded = if cell.is_degraded() { " !" } else { "" };
    let row = |row: &&Row| {
        vec![
            row.metric.clone(),
            words::verdict(row).to_owned() + degraded,
            words::change(row),
            words::interval(row),
            words::median(row.base.median),
            words::median(row.new.median),
            words::difference(row),
            words::p(row.p_adjusted.or(row.p)),
            words::needed(row),
        ]
    };
    table(Content::Figures, &HEADS, &rows.iter().map(row).collect::<Vec<_>>())
}

/// Which runs they were, and how each was made.
fn origin(comparison: &Comparison) -> String {
    let of = |name: &str, side: &Side| {
        let row = |run: &crate::compare::RunFacts| {
            let revision = run.rtbench_revision.as_ref().map_or(String::new(), |text| format!(" ({text})"));
            vec![
                name.to_owned(),
                run.name.clone(),
                run.started.clone(),
                format!("{}{revision}", run.rtbench_version),
                run.scenario.clone(),
                quoted_words(&run.command),
                run.host.clone(),
            ]
        };
        side.runs.iter().map(row).collect::<Vec<_>>()
    };
    let all = [of("base", &comparison.base), of("new", &comparison.new)].concat();
    let heads = ["side", "run", "started", "rtbench", "scenario", "command", "host"];
    table(Content::Words, &heads, &all)
}
