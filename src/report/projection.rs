//! What many users would cost, for people and as CSV: the same figures for a matrix and for a search.

use std::io::{self, Write};

use super::Format;
use super::csv_column::{self, Column};
use super::terminal::bytes;
use crate::capacity::{curve, projection as capacity};
use crate::guide::cost;
use crate::measure::run::{Run, RunKind};
use crate::number::short;
use crate::projection::network::MONTH_S;
use crate::projection::{Projected, Projection};

/// Heads of the table that people see, after what the row is about.
pub(super) const HEADS: [&str; 5] = ["servers", "cores each", "memory each", "kernel each", "GB a month"];

/// The workload that all of some projections are about, in words.
pub(super) fn workload(projections: &[Projection]) -> String {
    projections.first().map_or(String::new(), |one| {
        format!("{} events/s of each publisher, {} B each", short(one.rate_per_s), one.payload_bytes)
    })
}

/// A projection as people see it: each figure with half of its range.
pub(super) fn row(projection: &Projection) -> [String; 5] {
    let figure = |figure: &Projected, text: &dyn Fn(f64) -> String| match figure {
        Projected::Known(value) => {
            format!("{} ±{}%", text(value.value), short((value.half_width() * 100.0).ceil()))
        }
        Projected::Withheld(_) => "withheld".to_owned(),
    };
    [
        short(projection.servers),
        figure(&projection.cores, &short),
        figure(&projection.memory_bytes, &bytes),
        figure(&projection.kernel_bytes, &bytes),
        figure(&projection.network_bytes_per_s, &|per_s| short(per_s * MONTH_S / 1e9)),
    ]
}

/// `projection.csv`.
pub(super) struct Projections;

fn all(run: &Run) -> Vec<Projection> {
    match run.file.kind {
        RunKind::Matrix => cost::of(run).0,
        _ => curve::of(run).iter().filter_map(capacity::of).flat_map(|(all, _)| all).collect(),
    }
}

/// The columns of one figure: its value and both ends of its range.
macro_rules! figure {
    ($field:ident, $name:literal, $unit:literal, $about:literal) => {
        [
            Column::number($name, $unit, $about, |p: &Projection| p.$field.value().map(|v| v.value)),
            Column::number(
                concat!($name, "_low"),
                $unit,
                "Lower end of its range (95%)",
                |p: &Projection| p.$field.value().map(|v| v.bounds.low),
            ),
            Column::number(
                concat!($name, "_high"),
                $unit,
                "Upper end of its range (95%)",
                |p: &Projection| p.$field.value().map(|v| v.bounds.high),
            ),
        ]
    };
}

/// Columns of `projection.csv`, in their order.
#[rustfmt::skip]
pub(super) fn columns() -> Vec<Column<Projection>> {
    let mut columns = vec![
        Column::text("protocol", "Name of the protocol", |p: &Projection| p.protocol.clone()),
        Column::whole("clients", "", "Users of all servers together", |p: &Projection| Some(p.users)),
        Column::whole("servers", "", "Servers over which they are spread", |p: &Projection| Some(p.servers)),
        Column::number("rate_per_s", "1/s", "Events of each publisher per second", |p: &Projection| Some(p.rate_per_s)),
        Column::whole("payload_bytes", "B", "Size of an event", |p: &Projection| Some(p.payload_bytes.into())),
    ];
    columns.extend(figure!(cores, "server_cores", "", "CPU of one server in cores, projected; empty where it is withheld"));
    columns.extend(figure!(memory_bytes, "server_memory_bytes", "B", "Private memory of one server with its history full, projected"));
    columns.extend(figure!(kernel_bytes, "kernel_memory_bytes", "B", "Kernel memory of both ends of its connections, projected"));
    columns.extend(figure!(network_bytes_per_s, "network_bytes_per_s", "B/s", "IP packets of all users, projected"));
    columns.extend([
        Column::number("measured_from_per_s", "1/s", "Smallest load of a server that the CPU rests on, in deliveries or polls", |p: &Projection| p.measured_per_s.map(|m| m[0])),
        Column::number("measured_to_per_s", "1/s", "Largest load of a server that the CPU rests on", |p: &Projection| p.measured_per_s.map(|m| m[1])),
        Column::number("direct_cores", "", "Cores that as many users were measured to take in the same run", |p: &Projection| p.direct_cores),
        Column::text("how", "The arithmetic, and why a figure is withheld", |p: &Projection| p.arithmetic.join("; ")),
    ]);
    columns
}

impl Format for Projections {
    fn name(&self) -> &'static str {
        "projection.csv"
    }

    fn about(&self) -> &'static str {
        "What many users would cost, projected from a matrix or a search"
    }

    fn fits(&self, run: &Run) -> bool {
        matches!(run.file.kind, RunKind::Matrix | RunKind::Capacity)
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("projection.csv")
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        csv_column::write_of(&columns(), all(run).into_iter().map(|one| (run.ending(), one)), out)
    }
}
