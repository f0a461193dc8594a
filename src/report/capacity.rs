//! A search for a capacity for people: the curve, and what it was projected to, as words and as a page.

use std::io::{self, Write};

use crate::capacity::curve::{self, Curve, Step};
use crate::capacity::projection;
use crate::capacity::search::Vary;
use crate::measure::cell::Cell;
use crate::measure::metric;
use crate::measure::run::{Run, RunKind, with_defaults};
use crate::number::{short, with_unit};
use crate::projection::basis;
use crate::report::join;
use crate::report::markdown::markup::{ending, escape};
use crate::report::projection::{HEADS as FIGURE_HEADS, row as projected_row};
use crate::report::terminal::{bytes, trust_word};

mod files;

pub(super) use files::{Steps, step_columns};

fn value(cell: &Cell, name: &str) -> Option<f64> {
    metric::find(name).and_then(|metric| metric.value(cell))
}

fn offered_per_s(cell: &Cell) -> Option<f64> {
    (cell.measured_s > 0.0).then(|| cell.counts.expected as f64 / cell.measured_s)
}

fn is_capacity(run: &Run) -> bool {
    run.file.kind == RunKind::Capacity
}

/// Heads of the columns that people see, in two lines.
const HEADS: [[&str; 2]; 11] = [
    ["", "clients"],
    ["due", "per s"],
    ["", "done"],
    ["p50", "ms"],
    ["p99", "ms"],
    ["", "CPU"],
    ["us per", "message"],
    ["server", "memory"],
    ["kernel", "memory"],
    ["", "trust"],
    ["", "SLO"],
];

/// The heads, with what was varied.
pub(super) fn heads(vary: Vary) -> [[&'static str; 2]; 11] {
    let mut heads = HEADS;
    if vary == Vary::Rate {
        heads[0] = ["events", "per s"];
    }
    heads
}

/// The curve as people see it: a row per step, from the smallest load to the largest.
pub(super) fn rows<'a>(curve: &'a Curve<'a>) -> Vec<(&'a Step<'a>, [String; 11])> {
    let mut steps: Vec<&Step<'_>> = curve.steps.iter().collect();
    steps.sort_by(|a, b| a.load.total_cmp(&b.load));
    steps.into_iter().map(|step| (step, row(curve.plan.vary, step))).collect()
}

fn row(vary: Vary, step: &Step<'_>) -> [String; 11] {
    let cell = step.cell;
    let number = |name: &str| value(cell, name).map_or("-".to_owned(), short);
    let size = |name: &str| value(cell, name).map_or("-".to_owned(), bytes);
    let offered = offered_per_s(cell).filter(|&per_s| per_s > 0.0);
    let done = offered.zip(value(cell, "delivered_per_s")).map(|(offered, done)| done * 100.0 / offered);
    let percent = |value: Option<f64>| value.map_or("-".to_owned(), |value| with_unit(value.round(), "%"));
    [
        vary.figure(step.load),
        offered.map_or("-".to_owned(), short),
        percent(done),
        number("response_p50_ms"),
        number("response_p99_ms"),
        percent(value(cell, "server_cpu_percent")),
        number("server_cpu_us_per_delivery"),
        size("server_memory_after_bytes"),
        size("kernel_memory_after_bytes"),
        trust_word(cell).to_owned(),
        step.judgement.verdict.word().to_owned(),
    ]
}

/// What must hold, in words.
pub(super) fn must_hold(run: &Run) -> String {
    let all = with_defaults(run.file.thresholds.clone());
    let list = |by_default: bool| {
        let those = all.iter().filter(|text| text.by_default == by_default);
        those.map(|text| format!("{} {}", text.subject, text.expression)).collect::<Vec<_>>().join(", ")
    };
    let [asked, default] = [false, true].map(list);
    let default = if default.is_empty() { default } else { format!("by default {default}") };
    join([asked.as_str(), &default], "; ")
}

/// Heads of the projections that people see.
pub(super) fn figure_heads() -> Vec<&'static str> {
    std::iter::once("users").chain(FIGURE_HEADS).collect()
}

/// The projections of a curve as people see them: rows, and sentences that say how they were reached.
pub(super) fn projected(curve: &Curve<'_>) -> Option<(Vec<Vec<String>>, Vec<String>)> {
    let (all, drift) = projection::of(curve)?;
    let rows =
        all.iter().map(|one| std::iter::once(short(one.users)).chain(projected_row(one)).collect()).collect();
    let mut sentences: Vec<String> = all.iter().flat_map(|one| one.arithmetic.clone()).collect();
    if all.iter().any(|one| one.cores.value().is_some_and(|cores| cores.value > 1.0)) {
        let text =
            "More than one core is more than a server of one thread, such as the reference server, can use.";
        sentences.push(text.to_owned());
    }
    sentences.push(basis(drift));
    Some((rows, sentences))
}

/// Writes the search as a page.
///
/// # Errors
/// Those of `out`.
pub(super) fn page(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# Capacity: {}\n\nMust hold: {}.", run.file.scenario.name, escape(&must_hold(run)))?;
    let curves = curve::of(run);
    writeln!(out)?;
    for curve in &curves {
        writeln!(out, "* **{}**: {}", curve.protocol, escape(&curve.headline()))?;
    }
    for curve in curves.iter().filter(|curve| !curve.steps.is_empty()) {
        part(curve, out)?;
    }
    writeln!(out, "\n## Columns of `capacity.csv`\n\n| column | what |\n|---|---|")?;
    for column in step_columns() {
        writeln!(out, "| `{}` | {} |", column.head.name, column.head.about)?;
    }
    ending(run, out)
}

fn part(curve: &Curve<'_>, out: &mut dyn Write) -> io::Result<()> {
    let heads = heads(curve.plan.vary).map(|[top, bottom]| format!("{top} {bottom}").trim().to_owned());
    writeln!(out, "\n## {}\n", curve.protocol)?;
    table(&heads, rows(curve).into_iter().map(|(_, row)| row), out)?;
    if let Some((rows, sentences)) = projected(curve) {
        let heads = figure_heads();
        writeln!(
            out,
            "\nProjected, figures of one server:\n\n| {} |\n|{}",
            heads.join(" | "),
            "---:|".repeat(heads.len())
        )?;
        for row in rows {
            writeln!(out, "| {} |", row.join(" | "))?;
        }
        for sentence in sentences {
            writeln!(out, "\n{}", escape(&sentence))?;
        }
    }
    Ok(())
}

fn table<const N: usize>(
    heads: &[impl AsRef<str>; N],
    rows: impl Iterator<Item = [String; N]>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let heads: Vec<&str> = heads.iter().map(AsRef::as_ref).collect();
    writeln!(out, "| {} |\n|{}", heads.join(" | "), "---:|".repeat(N))?;
    for row in rows {
        writeln!(out, "| {} |", row.map(|cell| escape(&cell)).join(" | "))?;
    }
    Ok(())
}
