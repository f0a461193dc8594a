//! Every cell of the run, a row each: what links in the page lead to.

use super::markup::{Content, details, section, table_with_ids};
use super::tables::{self, Column, column, heads, megabytes};
use crate::measure::cell::Cell;
use crate::measure::run::Run;
use crate::measure::store::safe_name;
use crate::number::short;
use crate::report::terminal::trust_word;

pub(super) const FIGURES: &[Column] = &[
    column("connected", "connected"),
    column("delivered", "delivered"),
    column("lost", "lost"),
    column("p50, ms", "response_p50_ms"),
    column("p99, ms", "response_p99_ms"),
    column("B beyond payload", "overhead_bytes_per_delivery"),
    column("B in IP packets", "ip_bytes_per_delivery"),
    column("CPU us per delivery", "server_cpu_us_per_delivery"),
    megabytes("server MB idle", "server_memory_idle_bytes"),
];

/// Cells up to which there is nothing to close.
const FEW: usize = 12;

/// The id of a cell's row.
pub(super) fn anchor(cell: &Cell) -> String {
    format!("cell-{}", safe_name(&cell.spec.label()))
}

/// The section.
pub(super) fn cells(run: &Run) -> String {
    if run.cells.is_empty() {
        return section("cells", "Cells", &super::markup::paragraph("", "The run has no cells."));
    }
    let asked = ["cell", "trust", "link", "tls", "clients", "payload, B", "events/s"];
    let heads: Vec<&str> = asked.into_iter().chain(heads(FIGURES)).collect();
    let rows: Vec<Vec<String>> = run.cells.iter().map(row).collect();
    let rows: Vec<(String, &Vec<String>)> = run.cells.iter().map(anchor).zip(&rows).collect();
    let table = table_with_ids(Content::Figures, &heads, &rows);
    let body = match run.cells.len() <= FEW {
        true => table,
        false => details(&format!("All {} cells", run.cells.len()), &table, true),
    };
    section("cells", "Cells", &body)
}

fn row(cell: &Cell) -> Vec<String> {
    let spec = &cell.spec;
    let asked = [
        spec.label(),
        trust_word(cell).to_owned(),
        spec.link.label(),
        spec.tls.name().to_owned(),
        short(spec.clients.into()),
        short(spec.payload_bytes.into()),
        short(spec.rate_per_s),
    ];
    asked.into_iter().chain(tables::row(cell, FIGURES)).collect()
}
