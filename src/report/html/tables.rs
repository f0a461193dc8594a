//! Tables of metrics: a row for each cell, a column for each metric.

use super::markup::{Content, table};
use crate::measure::cell::Cell;
use crate::measure::metric;
use crate::number::short;

/// A column.
pub(super) struct Column {
    /// What stands above it.
    head: &'static str,
    /// Name of the metric.
    metric: &'static str,
    /// From the metric's unit to that of the head.
    factor: f64,
}

/// A metric in its own unit.
pub(super) const fn column(head: &'static str, metric: &'static str) -> Column {
    Column { head, metric, factor: 1.0 }
}

/// A metric of bytes in MB.
pub(super) const fn megabytes(head: &'static str, metric: &'static str) -> Column {
    Column { head, metric, factor: 1e-6 }
}

/// A metric of a cell, if it has it.
pub(super) fn value(cell: &Cell, name: &str) -> Option<f64> {
    metric::find(name).and_then(|metric| metric.value(cell))
}

/// The heads of columns.
pub(super) fn heads(columns: &[Column]) -> impl Iterator<Item = &'static str> {
    columns.iter().map(|column| column.head)
}

/// The columns of one cell; empty is what it does not have.
pub(super) fn row(cell: &Cell, columns: &[Column]) -> impl Iterator<Item = String> {
    columns
        .iter()
        .map(|column| value(cell, column.metric).map_or(String::new(), |value| short(value * column.factor)))
}

/// The table, with the names of the cells below `first`.
pub(super) fn figures(first: &'static str, columns: &[Column], cells: &[&Cell]) -> String {
    let heads: Vec<&str> = [first].into_iter().chain(heads(columns)).collect();
    let row = |cell: &&Cell| [cell.spec.label()].into_iter().chain(row(cell, columns)).collect();
    table(Content::Figures, &heads, &cells.iter().map(row).collect::<Vec<Vec<String>>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::sample;

    #[test]
    fn every_column_of_the_page_is_a_metric() {
        let all = [
            super::super::latency::FIGURES,
            super::super::load::FATES,
            super::super::layers::FIGURES,
            super::super::server::FIGURES,
            super::super::cells::FIGURES,
        ];
        for column in all.into_iter().flatten() {
            assert!(metric::find(column.metric).is_some(), "{}", column.metric);
        }
    }

    #[test]
    fn what_a_cell_does_not_have_is_empty() {
        let columns = [
            column("lost", "lost"),
            megabytes("MB", "server_memory_idle_bytes"),
            column("p50", "response_p50_ms"),
        ];
        let cell = sample::cell("workload/sse").build();
        assert_eq!(row(&cell, &columns).collect::<Vec<_>>(), ["0", "14", ""]);
    }
}
