//! The CSV files of a run. Their columns are described here, those of metrics by the table of metrics.
//!
//! Files of cells name the run in each row, so that those of one run and of several side by side have the same layout.

use std::io::{self, Write};

use super::csv_column::{self, Column};
use super::{Format, Several, is_matrix, join};
use crate::guide::matrix::{self, MatrixCell, MatrixRow};
use crate::measure::cell::{Cell, Interval, Status, TrustLevel};
use crate::measure::metric;
use crate::measure::run::Run;

/// A row per cell.
pub(super) struct Cells;

/// A row per second of each cell.
pub(super) struct Intervals;

/// A row per cell of the comparison matrix.
pub(super) struct Matrix;

/// Metrics that stand first, because they say whether the rest may be looked at.
const FIRST: [&str; 6] = ["clients", "connected", "delivered", "lost", "duplicates", "reordered"];

/// What a row of `cells.csv` is made from.
pub(super) struct CellRow<'a> {
    run: &'a Run,
    cell: &'a Cell,
}

/// Columns of `cells.csv`: which cell, whether it may be looked at, what was asked of it, what was measured.
#[rustfmt::skip]
pub(super) fn cell_columns<'a>() -> Vec<Column<CellRow<'a>>> {
    let mut columns: Vec<Column<CellRow<'a>>> = vec![
        Column::text("run", "Name of the run", |r| r.run.name.clone()),
        Column::text("cell", "Name of the cell", |r| r.cell.spec.id.to_string()),
        Column::whole("repeat", "", "Which repetition of the cell, from 0", |r| Some(r.cell.spec.repeat.into())),
        Column::text("protocol", "Name of the protocol", |r| r.cell.spec.id.protocol.name.to_owned()),
    ];
    columns.extend(FIRST.iter().filter_map(|name| metric::find(name)).map(|metric| match metric.name {
        // Asked for, not measured: a failed cell has it, too.
        "clients" => Column::whole("clients", metric.unit, metric.about, |r: &CellRow<'a>| Some(r.cell.spec.clients.into())),
        _ => Column::metric(metric, |r: &CellRow<'a>| r.cell),
    }));
    columns.extend([
        Column::text("trust", "Whether to believe the cell: ok, degraded or invalid", |r: &CellRow<'a>| trust(r.cell).to_owned()),
        Column::text("status", "How it ended: finished, interrupted or failed", |r| status(r.cell).to_owned()),
        Column::whole("group", "", "Clients of one topic", |r| Some(r.cell.spec.group.into())),
        Column::whole("publishers", "", "Publishers in each group", |r| Some(r.cell.spec.publishers.into())),
        Column::number("rate_per_s", "1/s", "Events of each publisher per second", |r| Some(r.cell.spec.rate_per_s)),
        Column::whole("payload_bytes", "B", "Size of an event", |r| Some(r.cell.spec.payload_bytes.into())),
        Column::number("poll_interval_s", "s", "Time from one short poll to the next", |r| Some(r.cell.spec.short_poll.interval_s)),
        Column::text("headers", "Headers of HTTP requests: minimal, browser or custom", |r| r.cell.spec.http.headers.name().to_owned()),
        Column::text("publish_connections", "Connections that publish: kept, fresh (a new one for each event) or in-band (those that receive)", |r| r.cell.spec.publishing().name().to_owned()),
        Column::text("link", "Emulated network; loopback is none", |r| r.cell.spec.link.to_string()),
        Column::text("tls", "Encryption: plain or tls", |r| r.cell.spec.tls.name().to_owned()),
        Column::number("duration_s", "s", "Length of the window that was really measured", |r| Some(r.cell.measured_s)),
    ]);
    let others = metric::ALL.iter().filter(|metric| !FIRST.contains(&metric.name));
    columns.extend(others.map(|metric| Column::metric(metric, |r: &CellRow<'a>| r.cell)));
    columns.extend([
        Column::text("trust_reasons", "Why it failed, or what speaks against it", |r: &CellRow<'a>| reasons(r.cell)),
        Column::text("generator_bound", "Metrics within twice the generator's own floor", |r| r.run.generator_bound(r.cell).join(" ")),
    ]);
    columns
}

fn status(cell: &Cell) -> &'static str {
    match cell.status {
        Status::Finished => "finished",
        Status::Interrupted => "interrupted",
        Status::Failed(_) => "failed",
    }
}

/// What a row of `intervals.csv` is made from.
pub(super) struct SecondRow<'a> {
    run: &'a Run,
    cell: &'a Cell,
    second: &'a Interval,
}

/// Columns of `intervals.csv`.
#[rustfmt::skip]
pub(super) fn interval_columns<'a>() -> Vec<Column<SecondRow<'a>>> {
    fn ms(ns: Option<u64>) -> Option<f64> {
        ns.map(|ns| ns as f64 / 1e6)
    }
    fn count(n: u64) -> Option<f64> {
        Some(n as f64)
    }
    vec![
        Column::text("run", "Name of the run", |r| r.run.name.clone()),
        Column::text("cell", "Name of the cell", |r| r.cell.spec.id.to_string()),
        Column::whole("repeat", "", "Which repetition of the cell, from 0", |r| Some(r.cell.spec.repeat.into())),
        Column::text("protocol", "Name of the protocol", |r| r.cell.spec.id.protocol.name.to_owned()),
        Column::number("at_s", "s", "End of the second, from the start of the window", |r| Some(r.second.at_s)),
        Column::whole("published", "", "Events sent in it", |r| count(r.second.published)),
        Column::whole("delivered", "", "Deliveries received in it", |r| count(r.second.delivered)),
        Column::whole("connected", "", "Clients connected at its end", |r| count(r.second.connected)),
        Column::whole("failures", "", "Failures of clients in it", |r| count(r.second.failures)),
        Column::number("response_p50_ms", "ms", "Receipt minus due time, median", |r| ms(r.second.p50_ns)),
        Column::number("response_p99_ms", "ms", "Receipt minus due time, 99th percentile", |r| ms(r.second.p99_ns)),
        Column::number("response_max_ms", "ms", "Receipt minus due time, largest", |r| ms(r.second.max_ns)),
        Column::number("server_cpu_ms", "ms", "CPU time of the servers in it", |r| ms(r.second.server_cpu_ns)),
        Column::whole("server_resident_bytes", "B", "Resident memory of the servers at its end; pages that several processes share count for each", |r| r.second.server_resident_bytes.and_then(count)),
        Column::whole("generator_resident_bytes", "B", "Resident memory of the workers at its end", |r| r.second.generator_resident_bytes.and_then(count)),
    ]
}

/// Columns of `matrix.csv`.
#[rustfmt::skip]
pub(super) fn matrix_columns<'a>() -> Vec<Column<(&'a MatrixRow, &'a MatrixCell)>> {
    vec![
        Column::text("feature", "Row of the matrix", |(_, cell)| cell.feature.to_owned()),
        Column::text("protocol", "Name of the protocol", |(_, cell)| cell.protocol.to_owned()),
        Column::text("claimed", "What the guide says", |(_, cell)| cell.claimed.to_owned()),
        Column::number("measured", "", "The measured number, in `unit`; empty where it is none", |(_, cell)| cell.value),
        Column::text("unit", "Unit of `measured`", |(_, cell)| cell.unit.to_owned()),
        Column::text("found", "What a probe found, where that is no number", |(_, cell)| cell.value.map_or(cell.measured.clone(), |_| String::new())),
        Column::text("verdict", "reproduced, not reproduced, depends or not measured", |(_, cell)| cell.verdict.word().to_owned()),
        Column::text("condition", "What the verdict rests on", |(row, cell)| join([cell.condition.as_str(), &row.note], "; ")),
    ]
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
    let rows = each_cell(runs).map(|(run, cell)| (run.ending(), CellRow { run, cell }));
    csv_column::write_of(&cell_columns(), rows, out)
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

fn intervals(runs: &[Run], out: &mut dyn Write) -> io::Result<()> {
    let rows = each_cell(runs).flat_map(|(run, cell)| {
        cell.intervals.iter().map(move |second| (run.ending(), SecondRow { run, cell, second }))
    });
    csv_column::write_of(&interval_columns(), rows, out)
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

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let matrix = matrix::Matrix::of(run);
        let rows =
            matrix.rows.iter().flat_map(|row| row.cells.iter().map(move |cell| (run.ending(), (row, cell))));
        csv_column::write_of(&matrix_columns(), rows, out)
    }
}
