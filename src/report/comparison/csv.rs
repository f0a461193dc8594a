//! `comparison.csv`: a row for each cell and metric.

use std::io::{self, Write};

use crate::compare::{CellComparison, Comparison, Estimate, Repeats, Row};
use crate::report::csv_column::{self, Column};

/// What a row is made from.
pub(in crate::report) struct Line<'a> {
    all: &'a Comparison,
    cell: &'a CellComparison,
    row: &'a Row,
}

/// The columns, in their order. What is not known is empty.
#[rustfmt::skip]
pub(in crate::report) fn columns<'a>() -> Vec<Column<Line<'a>>> {
    vec![
        Column::text("cell", "Name of the cell", |l| l.cell.cell.clone()),
        Column::text("protocol", "Name of the protocol", |l| l.cell.protocol.clone()),
        Column::text("metric", "Name of the metric; see `rtbench list metrics`", |l| l.row.metric.clone()),
        Column::text("unit", "Unit of medians and differences", |l| l.row.unit.clone()),
        Column::text("better", "Which direction is an improvement: lower, higher or neither", |l| l.row.better.clone()),
        Column::text("tier", "How it was judged: exact or noisy", |l| l.row.tier.clone()),
        Column::whole("base_repeats", "", "Values of the base", |l| Some(l.row.base.values.len() as f64)),
        Column::whole("new_repeats", "", "Values of the new side", |l| Some(l.row.new.values.len() as f64)),
        Column::number("base_median", "", "Median of the base, in `unit`", |l| l.row.base.median),
        Column::number("new_median", "", "Median of the new side, in `unit`", |l| l.row.new.median),
        Column::number("difference", "", "Hodges-Lehmann shift from base to new, in `unit`", |l| value(l.row.difference)),
        Column::number("difference_low", "", "Lower end of its 95% interval", |l| low(l.row.difference)),
        Column::number("difference_high", "", "Upper end of its 95% interval", |l| high(l.row.difference)),
        Column::number("difference_percent", "%", "The shift from logarithms, in percent of the base", |l| value(l.row.difference_percent)),
        Column::number("difference_low_percent", "%", "Lower end of its 95% interval", |l| low(l.row.difference_percent)),
        Column::number("difference_high_percent", "%", "Upper end of its 95% interval", |l| high(l.row.difference_percent)),
        Column::number("p", "", "Two-sided p value of the rank-sum test", |l| l.row.p),
        Column::number("p_adjusted", "", "That after Holm, over the metrics of the cell that are judged together", |l| l.row.p_adjusted),
        Column::text("verdict", "better, worse, changed (exact), equal, unproven, undirected or one-sided", |l| l.row.verdict.word().to_owned()),
        Column::whole("repeats_needed", "", "Repeats a side that would be needed; empty with a `repeats_needed_for`: more than 1,000", |l| Some(l.row.needed?.repeats? as f64)),
        Column::text("repeats_needed_for", "What for: anything (to prove any difference at all) or this-difference", |l| l.row.needed.map_or("", |n| n.purpose.word()).to_owned()),
        Column::text("base_trust", "ok or degraded, the worst of the base's repeats", |l| trust(&l.cell.base)),
        Column::text("new_trust", "ok or degraded, the worst of the new side's repeats", |l| trust(&l.cell.new)),
        Column::text("hosts", "same, or different where the two sides come from different machines", |l| if l.all.across_hosts.is_empty() { "same" } else { "different" }.to_owned()),
        Column::text("runs", "finished, or unfinished where a run of either side did not come to its end", |l| if l.all.unfinished.is_empty() { "finished" } else { "unfinished" }.to_owned()),
    ]
}

fn value(estimate: Option<Estimate>) -> Option<f64> {
    estimate.map(|estimate| estimate.value)
}

fn low(estimate: Option<Estimate>) -> Option<f64> {
    estimate.and_then(|estimate| estimate.low)
}

fn high(estimate: Option<Estimate>) -> Option<f64> {
    estimate.and_then(|estimate| estimate.high)
}

fn trust(repeats: &Repeats) -> String {
    if repeats.degraded > 0 { "degraded" } else { "ok" }.to_owned()
}

pub(super) fn render(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    let lines = |cell| comparison_lines(comparison, cell);
    csv_column::write(&columns(), comparison.cells.iter().flat_map(lines), out)
}

fn comparison_lines<'a>(all: &'a Comparison, cell: &'a CellComparison) -> impl Iterator<Item = Line<'a>> {
    cell.rows.iter().map(move |row| Line { all, cell, row })
}
