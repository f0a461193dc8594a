//! A search for a capacity as CSV: a row per step, and a row per figure of the guide.

use std::io::{self, Write};

use super::{is_capacity, offered_per_s, value};
use crate::capacity::curve::{self, Step};
use crate::capacity::projection::{self, Figure, Projection};
use crate::measure::cell::Cell;
use crate::measure::run::Run;
use crate::report::Format;
use crate::report::csv::{field, trust};
use crate::stats::slope::Slope;

/// A row per step.
pub(in crate::report) struct Steps;

/// A row per protocol and figure of the guide.
pub(in crate::report) struct Projected;

/// A column of the curve's file: its name with the unit, what it is, and how a step has it.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    value: fn(usize, &Step<'_>) -> String,
}

const fn column(name: &'static str, about: &'static str, value: fn(usize, &Step<'_>) -> String) -> Column {
    Column { name, about, value }
}

/// Columns of `capacity.csv`, in their order.
#[rustfmt::skip]
pub(super) static COLUMNS: &[Column] = &[
    column("protocol", "Name of the protocol", |_, s| s.cell.spec.protocol.clone()),
    column("step", "Position in the protocol's search, from 1", |index, _| (index + 1).to_string()),
    column("cell", "Name in cells.csv", |_, s| s.cell.spec.name.clone()),
    column("clients", "Clients asked for, publishers included", |_, s| s.cell.spec.clients.to_string()),
    column("connected", "Clients that became ready", |_, s| measured(s.cell, "connected")),
    column("rate_per_s", "Events of each publisher per second", |_, s| s.cell.spec.rate_per_s.to_string()),
    column("offered_per_s", "Deliveries owed per second of the window", |_, s| field(offered_per_s(s.cell))),
    column("delivered_per_s", "Deliveries received per second of the window", |_, s| measured(s.cell, "delivered_per_s")),
    column("lost", "Deliveries that never came", |_, s| measured(s.cell, "lost")),
    column("response_p50_ms", "Receipt minus due time, median", |_, s| measured(s.cell, "response_p50_ms")),
    column("response_p99_ms", "Receipt minus due time, 99th percentile; empty where too few events carry it", |_, s| measured(s.cell, "response_p99_ms")),
    column("servers", "Server processes, over which groups are spread; CPU and memory are their sum", |_, s| s.servers().to_string()),
    column("server_cpu_percent", "CPU of the servers, of one core", |_, s| measured(s.cell, "server_cpu_percent")),
    column("server_cpu_us_per_delivery", "The same per delivery", |_, s| measured(s.cell, "server_cpu_us_per_delivery")),
    column("server_memory_bytes", "Private memory of the servers after the traffic, all clients connected", |_, s| measured(s.cell, "server_memory_after_bytes")),
    column("kernel_memory_bytes", "Memory of the host's kernel for the connections, both ends of each on this host", |_, s| measured(s.cell, "kernel_memory_after_bytes")),
    column("generator_busiest_percent", "CPU of the workers on their busiest core, of that core", |_, s| measured(s.cell, "generator_busiest_percent")),
    column("trust", "Whether to believe the step: ok, degraded or invalid", |_, s| trust(s.cell).to_owned()),
    column("verdict", "held, broken, untold (nobody can tell) or failed (not measured)", |_, s| s.judgement.verdict.word().to_owned()),
    column("reasons", "What speaks against the step", |_, s| s.judgement.reasons.join("; ")),
];

/// A metric as a field; empty where the cell has none.
fn measured(cell: &Cell, name: &str) -> String {
    field(value(cell, name))
}

impl Format for Steps {
    fn name(&self) -> &'static str {
        "capacity.csv"
    }

    fn about(&self) -> &'static str {
        "A row per step of a search for a capacity"
    }

    fn fits(&self, run: &Run) -> bool {
        is_capacity(run)
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("capacity.csv")
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let mut rows = csv::Writer::from_writer(out);
        rows.write_record(COLUMNS.iter().map(|column| column.name))?;
        for curve in curve::of(run) {
            for (index, step) in curve.steps.iter().enumerate() {
                rows.write_record(COLUMNS.iter().map(|column| (column.value)(index, step)))?;
            }
        }
        rows.flush()
    }
}

impl Format for Projected {
    fn name(&self) -> &'static str {
        "projection.csv"
    }

    fn about(&self) -> &'static str {
        "What the guide's numbers of clients would cost, projected from a search"
    }

    fn fits(&self, run: &Run) -> bool {
        is_capacity(run)
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("projection.csv")
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let mut rows = csv::Writer::from_writer(out);
        rows.write_record([
            "protocol",
            "clients",
            "servers",
            "clients_per_server",
            "server_memory_bytes",
            "kernel_memory_bytes",
            "server_cores",
            "memory_bytes_per_client",
            "kernel_bytes_per_client",
            "cpu_us_per_client_and_s",
            "measured_from_clients",
            "measured_to_clients",
        ])?;
        for curve in curve::of(run) {
            let Some(projection) = projection::of(&curve) else { continue };
            for figure in &projection.figures {
                let mut row = vec![curve.protocol.to_owned()];
                row.extend(numbers(&projection, figure).into_iter().map(field));
                rows.write_record(row)?;
            }
        }
        rows.flush()
    }
}

fn numbers(projection: &Projection, figure: &Figure) -> [Option<f64>; 11] {
    let slope = |slope: &Option<Slope>| slope.map(|slope| slope.value);
    [
        Some(figure.clients),
        Some(figure.servers),
        Some(figure.clients_per_server()),
        figure.memory_bytes,
        figure.kernel_bytes,
        figure.cores,
        slope(&projection.memory),
        slope(&projection.kernel),
        slope(&projection.cpu).map(|cores| cores * 1e6),
        Some(projection.measured[0]),
        Some(projection.measured[1]),
    ]
}
