//! What `run` shows at its end: a block for each cell, then the thresholds.

use owo_colors::OwoColorize;

use super::{
    bad, bytes_unit, conditions, doubts, good, heading, origin, pad, strong, trust_counts, trust_style,
    unsure, wrap,
};
use crate::measure::cell::{Cell, Counts};
use crate::measure::repeats::Repeats;
use crate::measure::run::Run;
use crate::number::short;
use crate::report::thresholds::{self, Line};
use crate::report::{join, median_with_range};
use crate::scenario::spec::Publishing;

/// The cells of a run, its thresholds and its doubts, at most `width` characters wide.
pub fn summary(run: &Run, width: usize) -> String {
    let cells = Repeats::of(&run.cells);
    let mut out: String =
        cells.iter().map(|cell| block(&Block::new(cell), &generator_bound(run, cell), width)).collect();
    out += &failures(run, width);
    out += &thresholds(run, width, |_| true);
    out += &conditions(run, width);
    out += &doubts(run, width);
    out + &origin(run, width)
}

type Count = fn(&Counts) -> u64;

/// A cell with its repetitions, as its block sees it.
struct Block<'a> {
    repeats: &'a Repeats<'a>,
    /// Those that figures are taken from.
    believed: Vec<&'a Cell>,
}

impl<'a> Block<'a> {
    fn new(repeats: &'a Repeats<'a>) -> Block<'a> {
        Block { repeats, believed: repeats.believed() }
    }

    /// A metric in words, or nothing: `0.31`, over repetitions `0.31 (0.29–0.42)` where they differ.
    fn value(&self, name: &str, text: impl Fn(&str) -> String) -> String {
        self.scaled(name, |_| (1.0, ""), text)
    }

    /// The same with a unit that the median chooses, and the factor to it.
    fn scaled(
        &self,
        name: &str,
        unit: fn(f64) -> (f64, &'static str),
        text: impl Fn(&str) -> String,
    ) -> String {
        let Some(range) = self.repeats.median_range(name) else { return String::new() };
        let (factor, unit) = unit(range.median);
        text(&join([median_with_range(&range, factor).as_str(), unit], " "))
    }

    /// A count, over all repetitions together: in a median what went wrong once would vanish.
    fn sum(&self, of: impl Fn(&Counts) -> u64) -> u64 {
        self.believed.iter().map(|cell| of(&cell.counts)).sum()
    }
}

/// Metrics that are as much the instrument's, in any repetition.
fn generator_bound(run: &Run, repeats: &Repeats<'_>) -> Vec<&'static str> {
    let mut bound: Vec<&str> = repeats.cells().iter().flat_map(|cell| run.generator_bound(cell)).collect();
    let mut seen = std::collections::BTreeSet::new();
    bound.retain(|name| seen.insert(*name));
    bound
}

fn block(block: &Block<'_>, generator_bound: &[&str], width: usize) -> String {
    let first = block.repeats.first();
    let connected = block.believed.iter().map(|cell| cell.counts.connected).min();
    let clients = {
        let [connected, asked] =
            [connected.unwrap_or(first.counts.connected), first.spec.clients.into()].map(|n| short(n as f64));
        format!("{connected} of {asked} clients")
    };
    let title =
        format!("\n{}  {clients}  {}\n", first.spec.id.to_string().style(strong()), trust(block.repeats));
    if block.believed.is_empty() {
        return title;
    }
    let link = Some(&first.spec.link).filter(|link| !link.is_loopback());
    let lines = [
        ("link", link.map_or(String::new(), |link| format!("{link}, emulated"))),
        ("delivery", delivery(block)),
        ("latency", latency(block)),
        ("bytes", overhead(block)),
        ("polls", polls(block)),
        ("server", server(block)),
        ("generator", generator(block)),
        ("floor", floor(generator_bound)),
    ];
    let lines = lines.iter().filter(|(_, text)| !text.is_empty());
    title + &lines.map(|(name, text)| wrap(&format!("  {} ", pad(name, 10)), text, width)).collect::<String>()
}

/// How far a cell can be believed: a word, or of several repetitions how many deserve which.
fn trust(repeats: &Repeats<'_>) -> String {
    let all = repeats.cells().len();
    let text = |(word, count): &(&str, usize)| {
        let text = if *count == all { (*word).to_owned() } else { format!("{count} {word}") };
        text.style(trust_style(word)).to_string()
    };
    let words = trust_counts(repeats).iter().map(text).collect::<Vec<_>>().join(", ");
    if all == 1 { words } else { format!("{all} repeats: {words}") }
}

fn delivery(block: &Block<'_>) -> String {
    let (delivered, expected) = (block.sum(|counts| counts.delivered), block.sum(|counts| counts.expected));
    let mut parts = vec![
        format!("{} of {} delivered", short(delivered as f64), short(expected as f64)),
        block.value("delivered_per_s", |per_s| format!("{per_s}/s")),
    ];
    let troubles: [(&str, Count); 11] = [
        ("lost", |counts| counts.lost),
        ("clients cut short", |counts| counts.cut_short),
        ("owed to nobody", |counts| counts.excused),
        ("duplicates", |counts| counts.duplicates),
        ("reordered", |counts| counts.reordered),
        ("late", |counts| counts.late),
        ("corrupt", |counts| counts.corrupt),
        ("foreign", |counts| counts.foreign),
        ("not sent, as the server held them back", |counts| counts.held_back),
        ("unanswered", |counts| counts.unanswered),
        ("shed", |counts| counts.shed),
    ];
    let troubles = troubles.iter().map(|(name, of)| (name, block.sum(of)));
    let troubles = troubles.filter(|(name, n)| *n > 0 || **name == "lost");
    parts.extend(troubles.map(|(name, n)| format!("{} {name}", short(n as f64))));
    join(parts.iter().map(String::as_str), ", ")
}

fn latency(block: &Block<'_>) -> String {
    let ms = |word: &str, name: &str| block.scaled(name, time_unit, |time| format!("{word} {time}"));
    let waited = block.repeats.median_range("send_wait_mean_ms").is_some_and(|range| range.high > 0.0);
    let wait = if waited {
        ms("waited for the server before sending, mean", "send_wait_mean_ms")
    } else {
        String::new()
    };
    let parts = [
        ms("mean", "response_mean_ms"),
        ms("p50", "response_p50_ms"),
        ms("p95", "response_p95_ms"),
        ms("p99", "response_p99_ms"),
        ms("p99.9", "response_p99_9_ms"),
        ms("max", "response_max_ms"),
        ms("from first to last subscriber p99", "spread_p99_ms"),
        ms("send lag p99", "send_lag_p99_ms"),
        wait,
        ms("publishes answered p50", "answer_p50_ms"),
        ms("publishes answered max", "answer_max_ms"),
    ];
    join(parts.iter().map(String::as_str), ", ")
}

fn time_unit(ms: f64) -> (f64, &'static str) {
    if ms >= 1e3 { (1e-3, "s") } else { (1.0, "ms") }
}

fn overhead(block: &Block<'_>) -> String {
    let over = match block.repeats.first().spec.publishing() {
        Publishing::InBand => "",
        Publishing::Kept => " on a kept connection",
        Publishing::Fresh => " on a new connection",
    };
    let parts = [
        block.value("framing_in_bytes_per_delivery", |b| format!("{b} B framing per delivery")),
        block.value("overhead_bytes_per_delivery", |b| format!("{b} B beyond payload both ways")),
        block.value("publish_overhead_bytes_per_event", |b| format!("{b} B per event published{over}")),
        block.value("ip_bytes_per_delivery", |b| format!("{b} B per delivery in IP packets")),
    ];
    join(parts.iter().map(String::as_str), ", ")
}

fn polls(block: &Block<'_>) -> String {
    let parts = [
        block.value("exchanges_per_s", |per_s| format!("{per_s}/s")),
        block.value("wasted_percent", |percent| format!("{percent}% brought nothing")),
        block.value("overhead_bytes_per_exchange", |b| format!("{b} B each")),
    ];
    join(parts.iter().map(String::as_str), ", ")
}

fn server(block: &Block<'_>) -> String {
    let parts = [
        block.value("server_cpu_us_per_delivery", |us| format!("{us} us CPU per delivery")),
        block.value("server_cpu_percent", |percent| format!("{percent}% of a core")),
        block.scaled("server_memory_bytes_per_client", bytes_unit, |b| format!("{b} per client")),
        block.scaled("server_memory_after_bytes", bytes_unit, |b| format!("{b} after the traffic")),
        block.believed.iter().find_map(|cell| cell.server.as_ref()?.whose()).unwrap_or_default(),
    ];
    join(parts.iter().map(String::as_str), ", ")
}

fn generator(block: &Block<'_>) -> String {
    let all = |cell: &&Cell| cell.counts.connected == u64::from(cell.spec.clients);
    let connected =
        if block.believed.iter().all(all) { "all connected" } else { "those that came connected" };
    let parts = [
        block.value("generator_cpu_us_per_delivery", |us| format!("{us} us CPU per delivery")),
        block.value("generator_busiest_percent", |percent| format!("{percent}% of its busiest core")),
        block.value("connect_s", |s| format!("{connected} in {s} s")),
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
                failure.count,
                failure.phase,
                failure.kind,
                cell.spec.label(),
                failure.example
            );
            wrap("  ! ", &text, width)
        })
        .collect();
    if lines.is_empty() { lines } else { heading("Failures") + &lines.style(unsure()).to_string() }
}

/// The thresholds of a run that `shown` picks.
pub(super) fn thresholds(run: &Run, width: usize, shown: fn(&Line) -> bool) -> String {
    let line = |line: &Line| {
        let measured = if line.measured.is_empty() { "not measured" } else { &line.measured };
        let why = if line.why.is_empty() { String::new() } else { format!("({})", line.why) };
        let text = format!("{} in {}: {}", line.threshold, line.cell, join([measured, &why], " "));
        match line.passed {
            Some(true) => wrap("  ✓ ", &text, width).style(good()).to_string(),
            Some(false) | None => wrap("  ✗ ", &text, width).style(bad()).to_string(),
        }
    };
    let lines: String = thresholds::lines(run).iter().filter(|line| shown(line)).map(line).collect();
    if lines.is_empty() { lines } else { heading("Thresholds") + &lines }
}
