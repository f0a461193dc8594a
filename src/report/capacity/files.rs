//! A search for a capacity as CSV: a row per step, and a row per figure of the guide.

use std::io::{self, Write};

use super::{is_capacity, offered_per_s, value};
use crate::capacity::curve::{self, Step};
use crate::capacity::projection::{self, Figure, Projection};
use crate::measure::run::Run;
use crate::report::Format;
use crate::report::csv::trust;
use crate::report::sheet::{self, Column};
use crate::stats::slope::Slope;

/// A row per step.
pub(in crate::report) struct Steps;

/// A row per protocol and figure of the guide.
pub(in crate::report) struct Projected;

/// A step and its position in the protocol's search, from 1.
type Numbered<'a> = (usize, &'a Step<'a>);

/// Columns of `capacity.csv`, in their order.
#[rustfmt::skip]
pub(in crate::report) fn step_columns<'a>() -> Vec<Column<Numbered<'a>>> {
    vec![
        Column::text("protocol", "Name of the protocol", |(_, s)| s.cell.spec.protocol.clone()),
        Column::whole("step", "", "Position in the protocol's search, from 1", |(number, _)| Some(*number as f64)),
        Column::text("cell", "Name in cells.csv", |(_, s)| s.cell.spec.name.clone()),
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

/// What a row of `projection.csv` is made from.
pub(in crate::report) struct Line<'a> {
    protocol: &'a str,
    projection: &'a Projection,
    figure: &'a Figure,
}

/// Columns of `projection.csv`, in their order.
#[rustfmt::skip]
pub(in crate::report) fn projected_columns<'a>() -> Vec<Column<Line<'a>>> {
    fn slope(slope: &Option<Slope>) -> Option<f64> {
        slope.map(|slope| slope.value)
    }
    vec![
        Column::text("protocol", "Name of the protocol", |l| l.protocol.to_owned()),
        Column::whole("clients", "", "Clients of all servers together", |l| Some(l.figure.clients)),
        Column::whole("servers", "", "Servers over which they are spread", |l| Some(l.figure.servers)),
        Column::number("clients_per_server", "", "Clients of one server", |l| Some(l.figure.clients_per_server())),
        Column::number("server_memory_bytes", "B", "Private memory of one server, projected", |l| l.figure.memory_bytes),
        Column::number("kernel_memory_bytes", "B", "Kernel memory of both ends of its connections, projected", |l| l.figure.kernel_bytes),
        Column::number("server_cores", "", "CPU of one server in cores, projected", |l| l.figure.cores),
        Column::number("memory_bytes_per_client", "B", "Slope of the server's memory over clients", |l| slope(&l.projection.memory)),
        Column::number("kernel_bytes_per_client", "B", "Slope of kernel memory over clients", |l| slope(&l.projection.kernel)),
        Column::number("cpu_us_per_client_and_s", "us/s", "Slope of the server's CPU over clients, per second", |l| slope(&l.projection.cpu).map(|cores| cores * 1e6)),
        Column::number("measured_from_clients", "", "Fewest clients of a server in the steps that held", |l| Some(l.projection.measured[0])),
        Column::number("measured_to_clients", "", "Most clients of a server in the steps that held", |l| Some(l.projection.measured[1])),
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
        sheet::write_of(&step_columns(), rows.map(|(i, step)| (run.ending(), (i + 1, step))), out)
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
        let curves = curve::of(run);
        let projected: Vec<_> =
            curves.iter().filter_map(|curve| Some((curve.protocol, projection::of(curve)?))).collect();
        let rows = projected.iter().flat_map(|(protocol, projection)| {
            projection.figures.iter().map(move |figure| (run.ending(), Line { protocol, projection, figure }))
        });
        sheet::write_of(&projected_columns(), rows, out)
    }
}
