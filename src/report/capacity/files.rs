//! A search for a capacity as CSV: a row per step.

use std::io::{self, Write};

use super::{is_capacity, offered_per_s, value};
use crate::capacity::curve::{self, Step};
use crate::measure::run::Run;
use crate::report::Format;
use crate::report::csv::trust;
use crate::report::csv_column::{self, Column};

/// A row per step.
pub(in crate::report) struct Steps;

/// A step and its position in the protocol's search, from 1.
type Numbered<'a> = (usize, &'a Step<'a>);

/// Columns of `capacity.csv`, in their order.
#[rustfmt::skip]
pub(in crate::report) fn step_columns<'a>() -> Vec<Column<Numbered<'a>>> {
    vec![
        Column::text("protocol", "Name of the protocol", |(_, s)| s.cell.spec.id.protocol.name.to_owned()),
        Column::whole("step", "", "Position in the protocol's search, from 1", |(number, _)| Some(*number as f64)),
        Column::text("cell", "Name in cells.csv", |(_, s)| s.cell.spec.id.to_string()),
        Column::whole("clients", "", "Clients asked for, publishers included", |(_, s)| Some(s.cell.spec.clients.into())),
        Column::whole("connected", "", "Clients that became ready", |(_, s)| value(s.cell, "connected")),
        Column::number("rate_per_s", "1/s", "Events of each publisher per second", |(_, s)| Some(s.cell.spec.rate_per_s)),
        Column::number("offered_per_s", "1/s", "Deliveries owed per second of the window", |(_, s)| offered_per_s(s.cell)),
        Column::number("delivered_per_s", "1/s", "Deliveries received per second of the window", |(_, s)| value(s.cell, "delivered_per_s")),
        Column::whole("lost", "", "Deliveries that never came", |(_, s)| value(s.cell, "lost")),
        Column::number("response_p50_ms", "ms", "Receipt minus due time, median", |(_, s)| value(s.cell, "response_p50_ms")),
        Column::number("response_p99_ms", "ms", "Receipt minus due time, 99th percentile; empty where too few events carry it", |(_, s)| value(s.cell, "response_p99_ms")),
        Column::whole("servers", "", "Server processes, over which groups are spread; CPU and memory are their sum", |(_, s)| Some(s.servers().into())),
        Column::number("server_cpu_percent", "%", "CPU of the servers, of one core", |(_, s)| value(s.cell, "server_cpu_percent")),
        Column::number("server_cpu_us_per_delivery", "us", "CPU of the servers per delivery", |(_, s)| value(s.cell, "server_cpu_us_per_delivery")),
        Column::whole("server_memory_bytes", "B", "Private memory of the servers after the traffic, all clients connected", |(_, s)| value(s.cell, "server_memory_after_bytes")),
        Column::whole("kernel_memory_bytes", "B", "Memory of the host's kernel for the connections, both ends of each on this host", |(_, s)| value(s.cell, "kernel_memory_after_bytes")),
        Column::number("generator_busiest_percent", "%", "CPU of the workers on their busiest core, of that core", |(_, s)| value(s.cell, "generator_busiest_percent")),
        Column::text("trust", "Whether to believe the step: ok, degraded or invalid", |(_, s)| trust(s.cell).to_owned()),
        Column::text("verdict", "held, broken, untold (nobody can tell) or failed (not measured)", |(_, s)| s.judgement.verdict.word().to_owned()),
        Column::text("reasons", "What speaks against the step", |(_, s)| s.judgement.reasons.join("; ")),
    ]
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
        let curves = curve::of(run);
        let rows = curves.iter().flat_map(|curve| curve.steps.iter().enumerate());
        csv_column::write_of(&step_columns(), rows.map(|(i, step)| (run.ending(), (i + 1, step))), out)
    }
}
