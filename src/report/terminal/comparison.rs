//! What `compare` shows: a table for each cell, what limits the comparison, and how to read it.

use owo_colors::{OwoColorize, Style};

use super::{bad, faint, good, heading, pad, strong, unsure, wrap};
use crate::compare::{CellComparison, Comparison, Row, Verdict};
use crate::report::comparison::words;

/// Between two columns.
const GAP: &str = "  ";

/// What stands in a column, and whether to the left.
struct Column {
    head: &'static str,
    left: bool,
    text: fn(&Row) -> String,
}

const fn left(head: &'static str, text: fn(&Row) -> String) -> Column {
    Column { head, left: true, text }
}

const fn right(head: &'static str, text: fn(&Row) -> String) -> Column {
    Column { head, left: false, text }
}

const METRIC: Column = left("metric", |row| row.metric.clone());
const BASE: Column = right("base", |row| words::median(row.base.median));
const NEW: Column = right("new", |row| words::median(row.new.median));
const CHANGE: Column = right("change", words::change);
const VERDICT: Column =
    left("verdict", |row| format!("{} {}", words::verdict(row), words::needed(row)).trim_end().to_owned());

/// What has room beside each other at 80 columns; the interval and p stand below a row.
static NARROW: [Column; 5] = [METRIC, BASE, NEW, CHANGE, VERDICT];

static WIDE: [Column; 11] = [
    METRIC,
    left("unit", |row| row.unit.clone()),
    left("judged as", |row| row.tier.clone()),
    BASE,
    NEW,
    right("difference", words::difference),
    CHANGE,
    right("95% interval", words::interval),
    right("p", |row| words::p(row.p)),
    right("adjusted", |row| words::p(row.p_adjusted)),
    VERDICT,
];

/// A comparison, at most `width` characters wide; with `all` every metric, else the headline ones and those that are
/// proven to differ.
pub fn comparison(comparison: &Comparison, all: bool, width: usize) -> String {
    let mut out = String::new();
    for (name, side) in [("base", &comparison.base), ("new", &comparison.new)] {
        out += &wrap(&format!("{} ", pad(name, 4)), &words::runs(side), width);
    }
    for cell in &comparison.cells {
        out += &block(cell, all, width);
    }
    out += &heading("Outcome");
    out += &wrap("  ", &words::outcome(comparison), width);
    for warning in words::warnings(comparison) {
        out += &wrap("  ! ", &warning, width).style(unsure()).to_string();
    }
    let legend = words::LEGEND.join(" ");
    let more = if all { "" } else { " --all shows every metric." };
    out + &format!("\n{}", wrap("", &format!("{legend}{more}"), width).style(faint()))
}

fn block(cell: &CellComparison, all: bool, width: usize) -> String {
    let degraded = if cell.is_degraded() { "  ! degraded" } else { "" };
    let repeats = words::repeats(cell);
    let mut out = format!("\n{}  {repeats}{}\n", cell.cell.style(strong()), degraded.style(unsure()));
    let rows: Vec<&Row> = cell.rows.iter().filter(|row| all || words::is_headline(row)).collect();
    if rows.iter().all(|row| row.verdict == Verdict::Equal) && !all {
        return out + &wrap("  ", "every headline metric is the same on both sides", width);
    }
    // Everything in a line where the terminal is wide enough.
    let widths = widths(&WIDE, &rows);
    let is_wide = 2 + widths.iter().sum::<usize>() + GAP.len() * (widths.len() - 1) <= width;
    let columns: &[Column] = if is_wide { &WIDE } else { &NARROW };
    let mark = if cell.is_degraded() { "! " } else { "  " };
    out += &table(&rows, columns, mark, width);
    out
}

/// The rows, each with its interval and p below it where they are no columns. A line that is still too long breaks
/// behind its first column.
fn table(rows: &[&Row], columns: &[Column], mark: &str, width: usize) -> String {
    let widths = widths(columns, rows);
    let line = |mark: &str, text: &dyn Fn(&Column) -> String| {
        let cells =
            columns.iter().zip(&widths).map(|(column, &width)| align(&text(column), column.left, width));
        let cells: Vec<String> = cells.collect();
        let whole = format!("{mark}{}", cells.join(GAP));
        match whole.trim_end().chars().count() > width {
            true => format!("{mark}{}\n    {}\n", cells[0].trim_end(), cells[1..].join(GAP).trim()),
            false => format!("{}\n", whole.trim_end()),
        }
    };
    let mut out = line("  ", &|column| column.head.to_owned()).style(faint()).to_string();
    for row in rows {
        out += &line(mark, &|column| (column.text)(row)).style(style(row.verdict)).to_string();
        let below = if columns.len() == NARROW.len() { below(row) } else { String::new() };
        if !below.is_empty() {
            out += &format!("    {below}\n").style(faint()).to_string();
        }
    }
    out
}

/// `95% [+1.2, +3.4] %, p 0.008, adjusted 0.03`; nothing where repeats are too few for an interval, and so for any p
/// below 5%.
fn below(row: &Row) -> String {
    let interval = words::interval(row);
    if interval.is_empty() {
        return interval;
    }
    let [p, adjusted] = [row.p, row.p_adjusted].map(words::p);
    let parts = [("95%", interval), ("p", p), ("adjusted", adjusted)];
    let parts = parts.iter().filter(|(_, text)| !text.is_empty());
    parts.map(|(name, text)| format!("{name} {text}")).collect::<Vec<_>>().join(", ")
}

fn widths(columns: &[Column], rows: &[&Row]) -> Vec<usize> {
    columns.iter().map(|column| widest(column, rows)).collect()
}

fn widest(column: &Column, rows: &[&Row]) -> usize {
    let texts = rows.iter().map(|row| (column.text)(row).chars().count());
    texts.max().unwrap_or(0).max(column.head.chars().count())
}

fn align(text: &str, left: bool, width: usize) -> String {
    if left { pad(text, width) } else { format!("{text:>width$}") }
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Better => good(),
        Verdict::Worse => bad(),
        Verdict::Changed => unsure(),
        Verdict::Unproven | Verdict::Undirected | Verdict::OneSided => Style::new(),
        Verdict::Equal => faint(),
    }
}
