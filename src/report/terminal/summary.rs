//! What `run` shows at its end: a block for each cell, then the thresholds.

use owo_colors::OwoColorize;

use super::{
    bad, bytes, doubts, good, heading, links, origin, pad, strong, trust_style, trust_word, unsure, wrap,
};
use crate::claim::verdict::{short, with_unit};
use crate::measure::cell::{Cell, Status};
use crate::measure::metric;
use crate::measure::run::{CellOutcome, Run};
use crate::report::join;

/// The cells of a run, its thresholds and its doubts, at most `width` characters wide.
pub fn summary(run: &Run, width: usize) -> String {
    let mut out: String =
        run.cells.iter().map(|cell| block(cell, &run.generator_bound(cell), width)).collect();
    out += &failures(run, width);
    out += &thresholds(&run.outcomes(), width);
    out += &links(run, width);
    out += &doubts(run, width);
    out + &origin(run, width)
}

/// A metric in words, or nothing: ` 0.31 ms`.
fn value(cell: &Cell, name: &str, text: impl Fn(f64) -> String) -> String {
    metric::find(name).and_then(|metric| metric.value(cell)).map_or(String::new(), text)
}

fn block(cell: &Cell, generator_bound: &[&str], width: usize) -> String {
    let trust = trust_word(cell);
    let clients = {
        let [connected, asked] = [cell.counts.connected, cell.spec.clients.into()].map(|n| short(n as f64));
        format!("{connected} of {asked} clients")
    };
    let title =
        format!("\n{}  {clients}  {}\n", cell.spec.name.style(strong()), trust.style(trust_style(trust)));
    if matches!(cell.status, Status::Failed(_)) {
        return title;
    }
    let link = Some(&cell.spec.link).filter(|link| *link != "loopback");
    let lines = [
        ("link", link.map_or(String::new(), |link| format!("{link}, emulated"))),
        ("delivery", delivery(cell)),
        ("latency", latency(cell)),
        ("bytes", overhead(cell)),
        ("polls", polls(cell)),
        ("server", server(cell)),
        ("generator", generator(cell)),
        ("floor", floor(generator_bound)),
    ];
    let lines = lines.iter().filter(|(_, text)| !text.is_empty());
    title + &lines.map(|(name, text)| wrap(&format!("  {} ", pad(name, 10)), text, width)).collect::<String>()
}

fn delivery(cell: &Cell) -> String {
    let counts = &cell.counts;
    let rate = value(cell, "delivered_per_s", |per_s| format!("{}/s", short(per_s)));
    let mut parts = vec![
        format!("{} of {} delivered", short(counts.delivered as f64), short(counts.expected as f64)),
        rate,
    ];
    let troubles = [
        ("lost", counts.lost),
        ("duplicates", counts.duplicates),
        ("reordered", counts.reordered),
        ("late", counts.late),
        ("corrupt", counts.corrupt),
        ("shed", counts.shed),
    ];
    let troubles = troubles.iter().filter(|(name, n)| *n > 0 || *name == "lost");
    parts.extend(troubles.map(|(name, n)| format!("{} {name}", short(*n as f64))));
    join(parts.iter().map(String::as_str), ", ")
}

fn latency(cell: &Cell) -> String {
    let ms = |word: &str, name: &str| value(cell, name, |ms| format!("{word} {}", time(ms)));
    let parts = [
        ms("mean", "response_mean_ms"),
        ms("p50", "response_p50_ms"),
        ms("p95", "response_p95_ms"),
        ms("p99", "response_p99_ms"),
        ms("p99.9", "response_p99_9_ms"),
        ms("max", "response_max_ms"),
        ms("from first to last subscriber p99", "spread_p99_ms"),
        ms("send lag p99", "send_lag_p99_ms"),
    ];
    join(parts.iter().map(String::as_str), ", ")
}

fn time(ms: f64) -> String {
    if ms >= 1e3 { format!("{} s", short(ms / 1e3)) } else { format!("{} ms", short(ms)) }
}

fn overhead(cell: &Cell) -> String {
    let parts = [
        value(cell, "framing_in_bytes_per_delivery", |b| format!("{} B framing per delivery", short(b))),
        value(cell, "overhead_bytes_per_delivery", |b| format!("{} B beyond payload both ways", short(b))),
        value(cell, "publish_overhead_bytes_per_event", |b| format!("{} B per event published", short(b))),
        value(cell, "ip_bytes_per_delivery", |b| format!("{} B per delivery in IP packets", short(b))),
    ];
    join(parts.iter().map(String::as_str), ", ")
}

fn polls(cell: &Cell) -> String {
    let parts = [
        value(cell, "exchanges_per_s", |per_s| format!("{}/s", short(per_s))),
        value(cell, "wasted_percent", |percent| format!("{}% brought nothing", short(percent))),
        value(cell, "overhead_bytes_per_exchange", |b| format!("{} B each", short(b))),
    ];
    join(parts.iter().map(String::as_str), ", ")
}

fn server(cell: &Cell) -> String {
    let parts = [
        value(cell, "server_cpu_us_per_delivery", |us| format!("{} us CPU per delivery", short(us))),
        value(cell, "server_cpu_percent", |percent| format!("{}% of a core", short(percent))),
        value(cell, "server_memory_bytes_per_client", |b| format!("{} per client", bytes(b))),
        value(cell, "server_memory_after_bytes", |b| format!("{} after the traffic", bytes(b))),
    ];
    join(parts.iter().map(String::as_str), ", ")
}

fn generator(cell: &Cell) -> String {
    let parts = [
        value(cell, "generator_cpu_us_per_delivery", |us| format!("{} us CPU per delivery", short(us))),
        value(cell, "generator_busiest_percent", |percent| {
            format!("{}% of its busiest core", short(percent))
        }),
        value(cell, "connect_s", |s| format!("all connected in {} s", short(s))),
    ];
    join(parts.iter().map(String::as_str), ", ")
}

/// What says as much about the instrument as about the server.
fn floor(generator_bound: &[&str]) -> String {
    if generator_bound.is_empty() {
        return String::new();
    }
    format!("generator_bound, within twice what the generator itself takes: {}", generator_bound.join(", "))
}

fn failures(run: &Run, width: usize) -> String {
    let all = run.cells.iter().flat_map(|cell| cell.failures.iter().map(move |failure| (cell, failure)));
    let lines: String = all
        .map(|(cell, failure)| {
            let text = format!(
                "{} x {}: {} in {}, first: {}",
                failure.count, failure.phase, failure.kind, cell.spec.name, failure.example
            );
            wrap("  ! ", &text, width)
        })
        .collect();
    if lines.is_empty() { lines } else { heading("Failures") + &lines.style(unsure()).to_string() }
}

fn thresholds(outcomes: &[CellOutcome], width: usize) -> String {
    if outcomes.is_empty() {
        return String::new();
    }
    let line = |CellOutcome { cell, outcome }: &CellOutcome| {
        let measured = outcome.measured.map(|value| with_unit(value, outcome.unit));
        let why = outcome.why.as_ref().map(|why| format!("({why})"));
        let said = join(
            [measured.as_deref().map(str::trim).unwrap_or("not measured"), why.as_deref().unwrap_or("")],
            " ",
        );
        let text = format!("{} {} in {cell}: {said}", outcome.subject, outcome.expression);
        match outcome.passed {
            Some(true) => wrap("  ✓ ", &text, width).style(good()).to_string(),
            Some(false) | None => wrap("  ✗ ", &text, width).style(bad()).to_string(),
        }
    };
    heading("Thresholds") + &outcomes.iter().map(line).collect::<String>()
}
