//! What every form of a comparison says in the same words.

use crate::compare::{CellComparison, Comparison, Estimate, Purpose, Row, Side, Verdict};
use crate::number::{short, with_unit};
use crate::report::join;

/// Metrics that are shown without being asked for; what is proven to differ is shown besides.
const HEADLINE: &[&str] = &[
    "delivered",
    "lost",
    "delivered_per_s",
    "response_p50_ms",
    "response_p99_ms",
    "framing_in_bytes_per_delivery",
    "overhead_bytes_per_delivery",
    "ip_bytes_per_delivery",
    "exchanges_per_delivery",
    "server_cpu_us_per_delivery",
    "server_memory_idle_bytes",
];

/// Whether a row stands in the short form of a cell.
pub(in crate::report) fn is_headline(row: &Row) -> bool {
    row.verdict.is_difference() || HEADLINE.contains(&row.metric.as_str())
}

/// The verdict with its mark; `~` and `=` say it all.
pub(in crate::report) fn verdict(row: &Row) -> &'static str {
    match row.verdict {
        Verdict::Better => "✓ better",
        Verdict::Worse => "✗ worse",
        Verdict::Changed => "≠ changed",
        Verdict::Equal => "=",
        Verdict::Unproven => "~",
        Verdict::Undirected => "",
        Verdict::OneSided => "one-sided",
    }
}

/// A median; empty where the side does not have the metric.
pub(in crate::report) fn median(value: Option<f64>) -> String {
    value.map_or(String::new(), short)
}

/// The difference in percent where that means something, else in the metric's unit; empty where nothing differs.
pub(in crate::report) fn change(row: &Row) -> String {
    let (estimate, unit) = told(row);
    estimate.map_or(String::new(), |estimate| with_sign(estimate.value, &with_unit(estimate.value, unit)))
}

/// The difference in the metric's unit; empty where nothing differs.
pub(in crate::report) fn difference(row: &Row) -> String {
    let told = row.difference.filter(|_| row.verdict != Verdict::Equal);
    told.map_or(String::new(), |estimate| with_sign(estimate.value, &with_unit(estimate.value, points(row))))
}

/// The 95% interval of [`change`], in the same unit; empty where there is none.
pub(in crate::report) fn interval(row: &Row) -> String {
    let (estimate, unit) = told(row);
    let Some((low, high)) = estimate.and_then(|estimate| estimate.low.zip(estimate.high)) else {
        return String::new();
    };
    let [low, high] = [low, high].map(|end| with_sign(end, &short(end)));
    format!("[{low}, {high}] {unit}").trim_end().to_owned()
}

/// The difference that is told first, and its unit.
fn told(row: &Row) -> (Option<Estimate>, &str) {
    match row.difference_percent {
        _ if row.verdict == Verdict::Equal => (None, ""),
        Some(_) => (row.difference_percent, "%"),
        None => (row.difference, points(row)),
    }
}

/// A difference of two percentages is no percentage of anything.
fn points(row: &Row) -> &str {
    if row.unit == "%" { "points" } else { &row.unit }
}

fn with_sign(value: f64, text: &str) -> String {
    // What rounds to zero has no sign.
    if value > 0.0 && text.chars().any(|c| ('1'..='9').contains(&c)) {
        format!("+{text}")
    } else {
        text.to_owned()
    }
}

/// A p value with two digits behind its zeros.
pub(in crate::report) fn p(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(p) if p < 0.001 => "<0.001".to_owned(),
        Some(p) if p < 0.1 => format!("{p:.3}"),
        Some(p) => format!("{p:.2}"),
    }
}

/// How many repeats a side are needed, `≥` where fewer could prove nothing at all.
pub(in crate::report) fn needed(row: &Row) -> String {
    match row.needed.map(|needed| (needed.repeats, needed.purpose)) {
        None => String::new(),
        Some((None, _)) => ">1,000".to_owned(),
        Some((Some(n), Purpose::Anything)) => format!("≥{n}"),
        Some((Some(n), Purpose::ThisDifference)) => n.to_string(),
    }
}

/// How often each side measured a cell: `5 and 6 repeats`.
pub(in crate::report) fn repeats(cell: &CellComparison) -> String {
    match (cell.base.count, cell.new.count) {
        (1, 1) => "1 repeat each".to_owned(),
        (base, new) if base == new => format!("{base} repeats each"),
        (base, new) => format!("{base} and {new} repeats"),
    }
}

/// What came out, in a sentence.
pub(in crate::report) fn outcome(comparison: &Comparison) -> String {
    let said = [
        (Verdict::Worse, "proven worse"),
        (Verdict::Better, "proven better"),
        (Verdict::Changed, "changed (exact)"),
        (Verdict::Unproven, "not proven to differ (~)"),
        (Verdict::Equal, "the same (=)"),
    ];
    let counts = said.map(|(verdict, words)| (comparison.count(verdict), words));
    let parts = counts.iter().filter(|(n, _)| *n > 0).map(|(n, words)| format!("{n} {words}"));
    let cells = match comparison.cells.len() {
        1 => "1 cell".to_owned(),
        n => format!("{n} cells"),
    };
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        "Nothing was compared.".to_owned()
    } else {
        format!("Metrics of {cells}: {}.", parts.join(", "))
    }
}

/// What limits the comparison, a sentence each: runs that did not come to their end, other hosts, too few repeats, degraded and refused cells, cells without
/// a counterpart.
pub(in crate::report) fn warnings(comparison: &Comparison) -> Vec<String> {
    let mut out = comparison.unfinished.clone();
    if !comparison.across_hosts.is_empty() {
        let facts: Vec<String> = comparison.across_hosts.iter().map(ToString::to_string).collect();
        out.push(format!(
            "ACROSS HOSTS: the runs come from different machines, or from one in different states, and any difference may be theirs. {}",
            facts.join("; ")
        ));
    }
    out.extend(comparison.cells.iter().filter_map(too_few));
    for (cell, side) in comparison.cells.iter().flat_map(|cell| [(cell, "base"), (cell, "new")]) {
        let repeats = if side == "base" { &cell.base } else { &cell.new };
        if repeats.degraded > 0 {
            let (n, of, why) = (repeats.degraded, repeats.count, repeats.reasons.join("; "));
            let worst = if n > 1 { ", the worst by " } else { ": " };
            out.push(format!("{} is degraded in {n} of {of} repeats of {side}{worst}{why}", cell.cell));
        }
    }
    for refused in &comparison.refused {
        let why = refused.reasons.join("; ");
        out.push(format!("{} is not compared, because it cannot be believed: {why}", refused.cell));
    }
    for (names, side) in [(&comparison.only_in_base, "base"), (&comparison.only_in_new, "new")] {
        if !names.is_empty() {
            out.push(format!("only in {side}: {}", names.join(", ")));
        }
    }
    out
}

fn too_few(cell: &CellComparison) -> Option<String> {
    (!cell.can_prove() && cell.judged_together > 0).then(|| {
        format!(
            "{}: too few repeats ({}) to prove anything about noisy metrics; {} are judged together, which takes at least {} repeats a side",
            cell.cell,
            repeats(cell),
            cell.judged_together,
            cell.fewest_repeats
        )
    })
}

/// How to read the tables.
pub(in crate::report) const LEGEND: [&str; 3] = [
    "A change is the shift from base to new (Hodges-Lehmann), with its 95% interval; where all values are positive it is \
     told in percent, from logarithms.",
    "better and worse are proven: p of the exact rank-sum test over repeats, adjusted (Holm) for all metrics of the cell \
     that are judged together, lies below 5%. An interval speaks of its own metric alone, and may leave zero out where \
     nothing is proven.",
    "~ is not proven. The number with it is how many repeats a side would prove a difference of this size four times in \
     five; with ≥, how many it takes to prove anything at all. Exact metrics need no statistics: they are = or changed.",
];

/// The runs of a side: `base: A, B`.
pub(in crate::report) fn runs(side: &Side) -> String {
    join(side.runs.iter().map(|run| run.name.as_str()), ", ")
}
