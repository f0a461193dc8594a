//! How the rows of the matrix are judged that look at one protocol at a time. What a run cannot tell is `not
//! measured`; nothing is assumed.

use super::Claim;
use super::byte_layers;
use super::evidence::{Evidence, probe_cell, unmeasured};
use super::finding::{Finding, Question, measured, ms_per, time, time_floor};
use super::kind;
use super::network;
use super::verdict::{Estimate, Verdict, judge};
use super::waste::Waste;
use crate::measure::cell::Cell;
use crate::measure::metric;
use crate::number::short;
use crate::protocol;
use crate::scenario::cell_id::Which;
use crate::stats::Bounds;

/// A word that a probe found, beside the guide's.
pub(super) fn probe(evidence: &Evidence<'_>, question: &Question<'_>, name: &str) -> Finding {
    let protocol = question.column.protocol;
    let probe = measured!(evidence.probe(protocol, name));
    let verdict = if probe.found.eq_ignore_ascii_case(question.claimed) {
        Verdict::Reproduced
    } else {
        Verdict::NotReproduced { by: format!("found {}", probe.found) }
    };
    Finding {
        measured: probe.found.clone(),
        value: None,
        unit: "",
        verdict,
        note: probe.detail.clone(),
        shared: String::new(),
        evidence: format!("probe {name} in {}", probe_cell(protocol, name)),
    }
}

/// Measured on enough links, latency is a line over the round trip. Else: short polls wait for their interval, which no
/// network changes much; for the others the network decides.
pub(super) fn latency(evidence: &Evidence<'_>, question: &Question<'_>) -> Finding {
    let protocol = question.column.protocol;
    let finding = match protocol {
        "short-poll" => interval_latency(evidence, question),
        protocol => network_latency(evidence, question, kind::cell(kind::WORKLOAD, protocol)),
    };
    match network::fit(evidence, protocol) {
        Some(Ok(model)) => model.over(question.claim, finding),
        // What is too slow on one network is so whatever the others do.
        Some(Err(verdict)) if !matches!(finding.verdict, Verdict::NotReproduced { .. }) => {
            Finding { verdict, ..finding }
        }
        _ => finding,
    }
}

fn interval_latency(evidence: &Evidence<'_>, question: &Question<'_>) -> Finding {
    let cell = measured!(evidence.cell_by(kind::cell(kind::POLL_LATENCY, "short-poll"), "response_mean_ms"));
    let mean = measured!(estimate_ms(cell, "response_mean_ms"));
    let verdict = judge_ms(question.claim, mean);
    Finding {
        measured: format!("mean {}", time(mean.value)),
        value: Some(mean.value),
        unit: "ms",
        verdict,
        note: poll_note(cell, mean.bounds),
        shared: String::new(),
        evidence: evidence_of("response_mean_ms", cell),
    }
}

/// The interval that explains a poll's latency, its distribution, and the price: wasted polls beside their prediction.
fn poll_note(cell: &Cell, mean: Bounds) -> String {
    let interval_s = cell.spec.short_poll.interval_s;
    let value = |name: &str| metric::find(name).and_then(|metric| metric.value(cell));
    let mut parts = vec![format!(
        "{} interval: mean {} to {} (95%)",
        time(interval_s * 1e3),
        time(mean.low),
        time(mean.high)
    )];
    for (word, name) in
        [("median", "response_p50_ms"), ("p99", "response_p99_ms"), ("largest", "response_max_ms")]
    {
        parts.extend(value(name).map(|ms| format!("{word} {}", time(ms))));
    }
    if let (Some(wasted), Some(waste)) = (value("wasted_percent"), Waste::of_interval(cell)) {
        let predicted = waste.prediction();
        parts.push(format!("{}% of polls wasted, e^(-rate x interval) predicts {predicted}", short(wasted)));
    }
    parts.join(", ")
}

/// The median of a cell, and what the network may add to it.
pub(super) fn network_latency(evidence: &Evidence<'_>, question: &Question<'_>, cell: Which<'_>) -> Finding {
    let cell = measured!(evidence.cell_by(cell, "response_p50_ms"));
    let median = measured!(estimate_ms(cell, "response_p50_ms"));
    let verdict = match judge_ms(question.claim, median) {
        Verdict::Reproduced if cell.spec.link.is_loopback() => on_the_network(question.claim, median.value),
        verdict => verdict,
    };
    let p99 = metric::find("response_p99_ms").and_then(|metric| metric.value(cell));
    let link = if cell.spec.link.is_loopback() { "on loopback" } else { "on an emulated link" };
    Finding {
        measured: format!("median {}", time(median.value)),
        value: Some(median.value),
        unit: "ms",
        verdict,
        note: p99.map_or(String::new(), |ms| format!("p99 {} {link}", time(ms))),
        shared: String::new(),
        evidence: evidence_of("response_p50_ms", cell),
    }
}

/// On loopback a latency claim is trivially true: what was measured is the server's and the protocol's share of it.
fn on_the_network(claim: &Claim, median_ms: f64) -> Verdict {
    let limit_ms = claim.high.unwrap_or(f64::INFINITY) * ms_per(&claim.unit);
    Verdict::Depends {
        on: "the network's round trip".into(),
        flips_at: format!(
            "server and protocol take {} of the {}, so it holds while the network adds less than {}",
            time(median_ms),
            time(limit_ms),
            // Rounded down: a budget must not grow by being printed.
            time_floor(limit_ms - median_ms)
        ),
    }
}

/// Judges milliseconds by a claim in seconds or milliseconds.
fn judge_ms(claim: &Claim, ms: Estimate) -> Verdict {
    let factor = 1.0 / ms_per(&claim.unit);
    let estimate = Estimate { value: ms.value * factor, bounds: ms.bounds.scaled(factor) };
    judge(claim, estimate).unwrap_or_else(|| unmeasured(claim.rule.clone()))
}

/// A time with its interval.
fn estimate_ms(cell: &Cell, name: &str) -> Result<Estimate, Verdict> {
    let metric = metric::find(name);
    let estimate =
        metric.and_then(|metric| Some(Estimate { value: metric.value(cell)?, bounds: metric.bounds(cell)? }));
    estimate.ok_or_else(|| {
        let (events, cell) = (cell.response.events, &cell.spec.id);
        unmeasured(format!("more events: {cell} had {events}, too few for {name} with an interval"))
    })
}

/// A figure for one condition, to be judged beside that of another.
struct View {
    /// What distinguishes it from the first view.
    condition: &'static str,
    /// What it is, with its circumstances: `per message with browser headers`.
    label: String,
    value: f64,
}

/// Framing and headers per message. Headers and empty polls decide for polls, the direction for streams.
pub(super) fn overhead(evidence: &Evidence<'_>, question: &Question<'_>) -> Finding {
    let protocol = question.column.protocol;
    let workload = kind::cell(kind::WORKLOAD, protocol);
    let cell = measured!(evidence.cell_by(workload, "overhead_bytes_per_delivery"));
    let views = match protocol {
        "webrtc" => return byte_layers::peer_overhead(evidence, workload),
        "short-poll" | "long-poll" => poll_views(evidence, cell, protocol),
        _ => stream_views(cell),
    };
    let (name, views) = views;
    // What goes both ways over one connection is judged both ways.
    let least = if protocol::find(protocol).is_some_and(|protocol| protocol.traits.in_band) { 2 } else { 1 };
    let Some(first) = views.first().filter(|_| views.len() >= least) else {
        return unmeasured(format!("all of {name} of the cell {workload}")).into();
    };
    let all = list(&views);
    Finding {
        measured: format!("{} B", short(first.value)),
        value: Some(first.value),
        unit: "B",
        verdict: judge_views(question.claim, &views, &all),
        // A verdict that depends has named the figures already.
        note: if differing(question.claim, &views).is_empty() { all } else { String::new() },
        shared: String::new(),
        evidence: evidence_of(name, cell),
    }
}

fn poll_views(evidence: &Evidence<'_>, cell: &Cell, protocol: &str) -> (&'static str, Vec<View>) {
    let minimal = evidence.cell_by(kind::cell(kind::MINIMAL, protocol), "overhead_bytes_per_delivery").ok();
    let mut views = Vec::new();
    for (what, name) in
        [("per message", "overhead_bytes_per_delivery"), ("per poll", "overhead_bytes_per_exchange")]
    {
        for (cell, condition) in [(Some(cell), "how many polls a message takes"), (minimal, "headers")] {
            let figure = cell.and_then(|cell| Some((cell, metric::find(name)?.value(cell)?)));
            views.extend(figure.map(|(cell, value)| {
                let label = format!("{what} with {} headers", cell.spec.http.headers.name());
                View { condition, label, value }
            }));
        }
    }
    ("overhead_bytes_per_delivery", views)
}

fn stream_views(cell: &Cell) -> (&'static str, Vec<View>) {
    let payload = cell.spec.payload_bytes;
    let view = |name, label| {
        let value = metric::find(name)?.value(cell)?;
        Some(View { condition: "the direction", label, value })
    };
    let down = view("framing_in_bytes_per_delivery", format!("server to client with {payload} B of payload"));
    let up = view("publish_framing_out_bytes_per_event", format!("client to server with {payload} B"));
    (
        "framing_in_bytes_per_delivery",
        down.map_or(Vec::new(), |down| std::iter::once(down).chain(up).collect()),
    )
}

fn list(views: &[View]) -> String {
    let texts: Vec<String> =
        views.iter().map(|view| format!("{} B {}", short(view.value), view.label)).collect();
    texts.join(", ")
}

/// What the views differ in that are judged otherwise than the first.
fn differing(claim: &Claim, views: &[View]) -> Vec<&'static str> {
    let word = |view: &View| judge(claim, Estimate::exact(view.value)).map(|verdict| verdict.word());
    let Some(first) = views.first().map(word) else { return Vec::new() };
    let mut conditions = Vec::new();
    for view in views.iter().filter(|view| word(view) != first) {
        if !conditions.contains(&view.condition) {
            conditions.push(view.condition);
        }
    }
    conditions
}

fn judge_views(claim: &Claim, views: &[View], all: &str) -> Verdict {
    let conditions = differing(claim, views);
    if conditions.is_empty() {
        let verdict = views.first().and_then(|view| judge(claim, Estimate::exact(view.value)));
        return verdict.unwrap_or_else(|| unmeasured(claim.rule.clone()));
    }
    Verdict::Depends { on: conditions.join(" and "), flips_at: all.to_owned() }
}

pub(super) fn evidence_of(metric: &str, cell: &Cell) -> String {
    format!("{metric} of {}", cell.spec.id)
}
