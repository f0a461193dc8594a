//! Throughput, connections and faults over time, and what became of every delivery.

use super::cell_groups::{FEW, Family, each, grid};
use super::markup::{Content, details, paragraph, section, table};
use super::scale::Spacing;
use super::tables::{Column, column, figures};
use super::time::{self, Keep, Quantity, per_second};
use crate::measure::cell::Cell;
use crate::measure::run::Run;
use crate::number::short;

static THROUGHPUT: [Quantity; 3] = [
    Quantity {
        title: "Deliveries over time",
        axis: "deliveries per second (1/s)",
        spacing: Spacing::FromZero,
        keep: Keep::Mean,
        value: |interval, seconds| per_second(interval.delivered, seconds),
    },
    Quantity {
        title: "Publishing over time",
        axis: "events sent per second (1/s)",
        spacing: Spacing::FromZero,
        keep: Keep::Mean,
        value: |interval, seconds| per_second(interval.published, seconds),
    },
    Quantity {
        title: "Connections over time",
        axis: "clients connected",
        spacing: Spacing::FromZero,
        keep: Keep::Mean,
        value: |interval, _| Some(interval.connected as f64),
    },
];

static FAULTS: Quantity = Quantity {
    title: "Faults over time",
    axis: "failures per second (1/s)",
    spacing: Spacing::FromZero,
    keep: Keep::Largest,
    value: |interval, seconds| per_second(interval.failures, seconds),
};

pub(super) const FATES: &[Column] = &[
    column("owed", "expected"),
    column("delivered", "delivered"),
    column("lost", "lost"),
    column("lost, %", "lost_percent"),
    column("excused", "excused"),
    column("duplicates", "duplicates"),
    column("reordered", "reordered"),
    column("late", "late"),
    column("corrupt", "corrupt"),
    column("shed", "shed"),
    column("failures", "failures"),
    column("per second", "delivered_per_s"),
];

/// Throughput and connections.
pub(super) fn throughput(families: &[Family<'_>]) -> String {
    let body = each(families, |family| {
        let silent =
            family.cells.iter().all(|cell| cell.intervals.iter().all(|i| i.delivered + i.connected == 0));
        match silent {
            true => String::new(),
            false => grid(&THROUGHPUT.each_ref().map(|quantity| time::chart(family, quantity))),
        }
    });
    if body.is_empty() { body } else { section("throughput", "Throughput and connections", &body) }
}

/// What became of every delivery, and when something went wrong.
pub(super) fn delivery(run: &Run, families: &[Family<'_>]) -> String {
    let owed = |cell: &&Cell| cell.counts.expected + cell.counts.delivered > 0;
    let cells: Vec<&Cell> =
        families.iter().flat_map(|family| family.cells.iter().copied()).filter(owed).collect();
    if cells.is_empty() {
        return String::new();
    }
    let (good, bad): (Vec<&Cell>, Vec<&Cell>) = cells.into_iter().partition(|cell| is_clean(cell));
    let rows = |cells: &[&Cell]| figures("cell", FATES, cells);
    let mut body = paragraph("", &said(good.len(), bad.len()));
    if !bad.is_empty() {
        body += &rows(&bad);
    }
    if !good.is_empty() {
        body += &details("Cells without a fault", &rows(&good), bad.is_empty() && good.len() <= FEW);
    }
    body += &each(families, |family| {
        match family.cells.iter().any(|cell| cell.intervals.iter().any(|i| i.failures > 0)) {
            true => grid(&[time::chart(family, &FAULTS), time::chart(family, &THROUGHPUT[0])]),
            false => String::new(),
        }
    });
    body += &failures(run);
    section("delivery", "Delivery and faults", &body)
}

fn said(good: usize, bad: usize) -> String {
    match (good, bad) {
        (1, 0) => "Every delivery that was owed arrived, once, in order and whole.".to_owned(),
        (_, 0) => "In every cell each delivery that was owed arrived, once, in order and whole.".to_owned(),
        _ => {
            format!("{bad} of {} cells lost, repeated or reordered something, or had a failure.", good + bad)
        }
    }
}

/// Everything arrived once, in order and whole, and nothing failed.
fn is_clean(cell: &Cell) -> bool {
    let c = &cell.counts;
    c.lost + c.duplicates + c.reordered + c.late + c.corrupt + c.shed + c.excused == 0
        && c.delivered == c.expected
        && cell.failures.is_empty()
}

/// Failures by phase and kind.
fn failures(run: &Run) -> String {
    let all = run.cells.iter().flat_map(|cell| cell.failures.iter().map(move |failure| (cell, failure)));
    let rows: Vec<Vec<String>> = all
        .map(|(cell, failure)| {
            let count = short(failure.count as f64);
            let words = [&cell.spec.label(), &failure.phase, &failure.kind, &count, &failure.example];
            words.map(Clone::clone).to_vec()
        })
        .collect();
    if rows.is_empty() {
        return paragraph("", "No client failed in any phase.");
    }
    let heads = ["cell", "phase", "kind", "count", "the first one"];
    format!("<h3>Failures by phase and kind</h3>\n{}", table(Content::Words, &heads, &rows))
}
