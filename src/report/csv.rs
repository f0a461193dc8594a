//! CSV files: a header, units in the names, an empty field for what was not measured. Columns come from the table of metrics.
//!
//! Files of cells name the run in each row, so that those of one run and of several side by side have the same layout.

use std::io::{self, Write};

use super::{Format, Several, is_matrix, join};
use crate::claim::matrix;
use crate::measure::cell::{Cell, Status, TrustLevel};
use crate::measure::metric::{self, Metric};
use crate::measure::run::Run;

/// A row per cell.
pub(super) struct Cells;

/// A row per second of each cell.
pub(super) struct Intervals;

/// A row per cell of the comparison matrix.
pub(super) struct Matrix;

/// Metrics that stand first, because they say whether the rest may be looked at.
const FIRST: [&str; 6] = ["clients", "connected", "delivered", "lost", "duplicates", "reordered"];

/// What every row begins with: the run, the cell, which repetition of it (from 0), and the protocol.
const IDENTITY: [&str; 4] = ["run", "cell", "repeat", "protocol"];

fn identity(run: &Run, cell: &Cell) -> [String; 4] {
    let spec = &cell.spec;
    [run.name.clone(), spec.name.clone(), spec.repeat.to_string(), spec.protocol.clone()]
}

type Asked = fn(&Cell) -> String;

/// What was asked of a cell, behind the name: what distinguishes the rows of a run.
#[rustfmt::skip]
const ASKED: &[(&str, Asked)] = &[
    ("status", |c| match c.status {
        Status::Finished => "finished".into(),
        Status::Interrupted => "interrupted".into(),
        Status::Failed(_) => "failed".into(),
    }),
    ("group", |c| c.spec.group.to_string()),
    ("publishers", |c| c.spec.publishers.to_string()),
    ("rate_per_s", |c| c.spec.rate_per_s.to_string()),
    ("payload_bytes", |c| c.spec.payload_bytes.to_string()),
    ("poll_interval_s", |c| c.spec.poll_interval_s.to_string()),
    ("headers", |c| c.spec.headers.clone()),
    ("link", |c| c.spec.link.clone()),
    ("tls", |c| c.spec.tls.clone()),
    ("duration_s", |c| c.measured_s.to_string()),
];

fn first_metrics() -> impl Iterator<Item = &'static Metric> {
    FIRST.iter().filter_map(|name| metric::find(name))
}

fn other_metrics() -> impl Iterator<Item = &'static Metric> {
    metric::ALL.iter().filter(|metric| !FIRST.contains(&metric.name))
}

pub(super) fn field(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// A cell that failed measured nothing, whatever was written about it until then.
pub(super) fn trust(cell: &Cell) -> &'static str {
    match (&cell.status, cell.trust.level) {
        (Status::Failed(_), _) | (_, TrustLevel::Invalid) => "invalid",
        (_, TrustLevel::Degraded) => "degraded",
        (_, TrustLevel::Ok) => "ok",
    }
}

impl Format for Cells {
    fn name(&self) -> &'static str {
        "cells.csv"
    }

    fn about(&self) -> &'static str {
        "A row per cell with every metric"
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("cells.csv")
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        cells(std::slice::from_ref(run), out)
    }

    fn several(&self) -> Option<Several> {
        Some(cells)
    }
}

fn cells(runs: &[Run], out: &mut dyn Write) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(out);
    let head = IDENTITY.into_iter().chain(first_metrics().map(|m| m.name)).chain(["trust"]);
    let rest = ASKED
        .iter()
        .map(|(name, _)| *name)
        .chain(other_metrics().map(|m| m.name))
        .chain(["trust_reasons", "generator_bound"]);
    rows.write_record(head.chain(rest))?;
    for (run, cell) in each_cell(runs) {
        let mut row = identity(run, cell).to_vec();
        row.extend(first_metrics().map(|metric| match metric.name {
            // Asked for, not measured: a failed cell has it, too.
            "clients" => cell.spec.clients.to_string(),
            _ => field(metric.value(cell)),
        }));
        row.push(trust(cell).into());
        row.extend(ASKED.iter().map(|(_, value)| value(cell)));
        row.extend(other_metrics().map(|metric| field(metric.value(cell))));
        row.push(reasons(cell));
        row.push(run.generator_bound(cell).join(" "));
        rows.write_record(row)?;
    }
    rows.flush()
}

fn each_cell(runs: &[Run]) -> impl Iterator<Item = (&Run, &Cell)> {
    runs.iter().flat_map(|run| run.cells.iter().map(move |cell| (run, cell)))
}

fn reasons(cell: &Cell) -> String {
    let failed = match &cell.status {
        Status::Failed(reason) => reason.as_str(),
        _ => "",
    };
    join([failed].into_iter().chain(cell.trust.reasons.iter().map(String::as_str)), "; ")
}

impl Format for Intervals {
    fn name(&self) -> &'static str {
        "intervals.csv"
    }

    fn about(&self) -> &'static str {
        "A row per second of each cell"
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("intervals.csv")
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        intervals(std::slice::from_ref(run), out)
    }

    fn several(&self) -> Option<Several> {
        Some(intervals)
    }
}

/// Columns of a second, behind its cell.
const OF_A_SECOND: [&str; 11] = [
    "at_s",
    "published",
    "delivered",
    "connected",
    "failures",
    "response_p50_ms",
    "response_p99_ms",
    "response_max_ms",
    "server_cpu_ms",
    "server_resident_bytes",
    "generator_resident_bytes",
];

fn intervals(runs: &[Run], out: &mut dyn Write) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(out);
    rows.write_record(IDENTITY.into_iter().chain(OF_A_SECOND))?;
    let ms = |ns: Option<u64>| field(ns.map(|ns| ns as f64 / 1e6));
    let count = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
    for (run, cell) in each_cell(runs) {
        for interval in &cell.intervals {
            let second: [String; OF_A_SECOND.len()] = [
                interval.at_s.to_string(),
                interval.published.to_string(),
                interval.delivered.to_string(),
                interval.connected.to_string(),
                interval.failures.to_string(),
                ms(interval.p50_ns),
                ms(interval.p99_ns),
                ms(interval.max_ns),
                ms(interval.server_cpu_ns),
                count(interval.server_resident_bytes),
                count(interval.generator_resident_bytes),
            ];
            rows.write_record(identity(run, cell).into_iter().chain(second))?;
        }
    }
    rows.flush()
}

impl Format for Matrix {
    fn name(&self) -> &'static str {
        "matrix.csv"
    }

    fn about(&self) -> &'static str {
        "The comparison matrix: claim, measured value, verdict and condition"
    }

    fn fits(&self, run: &Run) -> bool {
        is_matrix(run)
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("matrix.csv")
    }

    /// `measured` is the bare number in `unit` where there is one, so that it loads as such; else what a probe found.
    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let mut rows = csv::Writer::from_writer(out);
        rows.write_record(["feature", "protocol", "claimed", "measured", "unit", "verdict", "condition"])?;
        for row in &matrix::Matrix::of(run).rows {
            for cell in &row.cells {
                let measured = cell.value.map_or_else(|| cell.measured.clone(), |value| value.to_string());
                let condition = join([cell.condition.as_str(), &row.note], "; ");
                rows.write_record([
                    cell.feature,
                    cell.protocol,
                    &cell.claimed,
                    &measured,
                    cell.unit,
                    cell.verdict.word(),
                    &condition,
                ])?;
            }
        }
        rows.flush()
    }
}
