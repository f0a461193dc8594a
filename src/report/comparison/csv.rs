//! `comparison.csv`: a row for each cell and metric. Columns are never renamed, and new ones come last.

use std::io::{self, Write};

use crate::compare::{CellComparison, Comparison, Estimate, Repeats, Row};
use crate::report::csv::field;

type Text = fn(&Comparison, &CellComparison, &Row) -> String;

/// The columns: name, what it holds, how it is read. What is not known is empty.
#[rustfmt::skip]
pub(super) const COLUMNS: &[(&str, &str, Text)] = &[
    ("cell", "Name of the cell", |_, c, _| c.cell.clone()),
    ("protocol", "Its protocol", |_, c, _| c.protocol.clone()),
    ("metric", "Name of the metric; see `rtbench list metrics`", |_, _, r| r.metric.clone()),
    ("unit", "Unit of medians and differences", |_, _, r| r.unit.clone()),
    ("better", "Which direction is an improvement: lower, higher, neither", |_, _, r| r.better.clone()),
    ("tier", "How it was judged: exact, noisy", |_, _, r| r.tier.clone()),
    ("base_repeats", "Values of the base", |_, _, r| r.base.values.len().to_string()),
    ("new_repeats", "Values of the new side", |_, _, r| r.new.values.len().to_string()),
    ("base_median", "Median of the base, in `unit`", |_, _, r| field(r.base.median)),
    ("new_median", "Median of the new side, in `unit`", |_, _, r| field(r.new.median)),
    ("difference", "Hodges-Lehmann shift from base to new, in `unit`", |_, _, r| value(r.difference)),
    ("difference_low", "Lower end of its 95% interval", |_, _, r| low(r.difference)),
    ("difference_high", "Upper end", |_, _, r| high(r.difference)),
    ("difference_percent", "The same from logarithms, in percent of the base", |_, _, r| value(r.difference_percent)),
    ("difference_low_percent", "Lower end of its 95% interval", |_, _, r| low(r.difference_percent)),
    ("difference_high_percent", "Upper end", |_, _, r| high(r.difference_percent)),
    ("p", "Two-sided p value of the rank-sum test", |_, _, r| field(r.p)),
    ("p_adjusted", "The same after Holm, over the metrics of the cell that are judged together", |_, _, r| field(r.p_adjusted)),
    ("verdict", "better, worse, changed (exact), equal, unproven, undirected, one-sided", |_, _, r| r.verdict.word().to_owned()),
    ("repeats_needed", "Repeats a side that would be needed; empty with a `repeats_needed_for`: more than 1,000", |_, _, r| r.needed.and_then(|n| n.repeats).map_or(String::new(), |n| n.to_string())),
    ("repeats_needed_for", "What for: anything (to prove any difference at all), this-difference", |_, _, r| r.needed.map_or("", |n| n.purpose.word()).to_owned()),
    ("base_trust", "ok or degraded, the worst of its repeats", |_, c, _| trust(&c.base)),
    ("new_trust", "The same of the new side", |_, c, _| trust(&c.new)),
    ("across_hosts", "true where the two sides come from different machines", |all, _, _| (!all.across_hosts.is_empty()).to_string()),
];

fn value(estimate: Option<Estimate>) -> String {
    field(estimate.map(|estimate| estimate.value))
}

fn low(estimate: Option<Estimate>) -> String {
    field(estimate.and_then(|estimate| estimate.low))
}

fn high(estimate: Option<Estimate>) -> String {
    field(estimate.and_then(|estimate| estimate.high))
}

fn trust(repeats: &Repeats) -> String {
    if repeats.degraded > 0 { "degraded" } else { "ok" }.to_owned()
}

pub(super) fn render(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(out);
    rows.write_record(COLUMNS.iter().map(|(name, ..)| *name))?;
    for cell in &comparison.cells {
        for row in &cell.rows {
            rows.write_record(COLUMNS.iter().map(|(_, _, text)| text(comparison, cell, row)))?;
        }
    }
    rows.flush()
}
