//! Memory: what an idle client takes, what the first messages add to its connection, and the events that a server keeps.

use reference_server::hub::Limits;

use super::curve::Value;
use super::work::Work;
use super::{Question, Told, servers, work};
use crate::measure::cell::Cell;
use crate::measure::usable::usable;
use crate::number::short;
use crate::stats::Bounds;
use crate::stats::quantile::median;
use crate::stats::slope::{Slope, theil_sen};

/// Least uncertainty of a part of it, as a share: pages, buffers and what an allocator keeps.
const LEAST: f64 = 0.08;

/// Private memory of a server of so many clients, with its history full.
pub(super) fn server(question: &Question<'_>, work: &Work, clients: f64) -> Told {
    let what = "server memory";
    let cells: Vec<&Cell> = question.cells.iter().copied().filter(|cell| usable(cell).is_ok()).collect();
    let empty =
        median_of(&cells, |cell| Some(cell.server.as_ref()?.memory_empty_bytes? as f64 / servers(cell)));
    let idle = slope(&cells, |cell| Some(cell.server.as_ref()?.memory_idle_bytes? as f64));
    let (Some(empty), Some(idle)) = (empty, idle) else {
        return Told::withheld(what, "it was not read at two numbers of clients");
    };
    let topics = clients * work.topics;
    let of_topic = |limits: Limits| {
        limits.kept_events(topics.ceil() as usize, question.like.payload_bytes as usize) as f64
    };
    let kept = if topics == 0.0 { Some(0.0) } else { question.keeps.map(of_topic) };
    let Some(kept) = kept else {
        return Told::withheld(what, "what a server of others keeps of its topics is not known");
    };
    let filling: Vec<&Cell> = cells
        .iter()
        .copied()
        .filter(|cell| question.keeps.is_none_or(|limits| is_filling(cell, limits)))
        .collect();
    let event = if kept > 0.0 { event_bytes(&filling) } else { Some((0.0, 0.0)) };
    let Some((event_bytes, event_share)) = event else {
        let why = "too few events were published, or so many that none more was kept, to tell what a kept one takes";
        return Told::withheld(what, why);
    };
    let traffic = median_of(&filling, |cell| traffic_bytes(cell, event_bytes)).unwrap_or(0.0).max(0.0);
    let connections = clients * (idle.value + traffic);
    let history = topics * kept * event_bytes;
    let value = empty + connections + history;
    let half = (connections * share(&idle)).hypot(history * event_share);
    let bounds = Bounds { low: (value - half).max(0.0), high: value + half };
    let mut line = format!(
        "{} MB + {} users x {} KB",
        short(empty / 1e6),
        short(clients),
        short((idle.value + traffic) / 1e3)
    );
    if kept > 0.0 {
        let full_s =
            if work.topic_events_per_s > 0.0 { kept / work.topic_events_per_s } else { f64::INFINITY };
        line += &format!(
            " + {} topics x {} events kept x {} B (payload {} B), full after {}",
            short(topics),
            short(kept),
            short(event_bytes),
            question.like.payload_bytes,
            long(full_s)
        );
    }
    line += &format!(
        " = {} MB ({} to {})",
        short(value / 1e6),
        short(bounds.low / 1e6),
        short(bounds.high / 1e6)
    );
    Told::of(what, Value { value, bounds }, line)
}

/// Memory of the host's kernel for both ends of so many connections.
pub(super) fn kernel(question: &Question<'_>, clients: f64) -> Told {
    let cells: Vec<&Cell> = question.cells.iter().copied().filter(|cell| usable(cell).is_ok()).collect();
    let grown = slope(&cells, |cell| {
        let server = cell.server.as_ref()?;
        Some(server.kernel_after_bytes? as f64 - server.kernel_empty_bytes? as f64)
    });
    let Some(slope) = grown.filter(|slope| slope.bounds.low > 0.0) else {
        return Told::withheld("kernel memory", "it does not grow measurably with clients");
    };
    let value = clients * slope.value;
    let half = value * share(&slope);
    let bounds = Bounds { low: (value - half).max(0.0), high: value + half };
    let line = format!(
        "{} users x {} KB of the kernel for both ends = {} MB",
        short(clients),
        short(slope.value / 1e3),
        short(value / 1e6)
    );
    Told::of("kernel memory", Value { value, bounds }, line)
}

/// How something of one server grows with its clients.
fn slope(cells: &[&Cell], of: impl Fn(&Cell) -> Option<f64>) -> Option<Slope> {
    let point =
        |cell: &&Cell| Some((cell.counts.connected as f64 / servers(cell), of(cell)? / servers(cell)));
    let points: Vec<(f64, f64)> = cells.iter().filter_map(point).collect();
    theil_sen(&points).filter(|slope| slope.value > 0.0)
}

/// How well a slope is known, as a share.
fn share(slope: &Slope) -> f64 {
    ((slope.bounds.high - slope.bounds.low) / 2.0 / slope.value).max(LEAST)
}

fn median_of(cells: &[&Cell], of: impl Fn(&Cell) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = cells.iter().filter_map(|cell| of(cell)).collect();
    median(&values)
}

/// Seconds of a window that count: its last may be cut short, and between the first and it memory grows by what is kept.
fn growth(cell: &Cell) -> Option<(f64, f64)> {
    let (first, rest) = cell.intervals.split_first()?;
    let last = rest.last()?;
    let grown = last.server_resident_bytes? as f64 - first.server_resident_bytes? as f64;
    let events: u64 = rest.iter().map(|second| second.published).sum();
    (events > 0).then_some((grown, events as f64))
}

/// How full histories may be on average, so that hardly one is full.
const FULL: f64 = 0.9;

/// Whether the server kept all events of a cell: otherwise its memory tells nothing of what one takes.
fn is_filling(cell: &Cell, limits: Limits) -> bool {
    let topics = f64::from(cell.spec.clients) * work::of(&cell.spec).topics;
    let of_one_server = (topics / servers(cell)).ceil() as usize;
    let kept = limits.kept_events(of_one_server, cell.spec.payload_bytes as usize) as f64;
    topics == 0.0 || cell.counts.published_all as f64 <= FULL * topics * kept
}

/// Events whose growth is to be told from that of a page here and there.
const ENOUGH_EVENTS: f64 = 500.0;

/// What a kept event takes, in bytes, and how well that is known, as a share: what memory grew by during the windows, over the
/// events published in them, by cells whose history has not filled. Buffers have grown by then.
fn event_bytes(cells: &[&Cell]) -> Option<(f64, f64)> {
    let grown: Vec<(f64, f64)> =
        cells.iter().filter_map(|cell| growth(cell)).filter(|(_, n)| *n >= ENOUGH_EVENTS).collect();
    let events: f64 = grown.iter().map(|(_, events)| events).sum();
    let bytes = grown.iter().map(|(bytes, _)| bytes).sum::<f64>() / events;
    (events > 0.0 && bytes > 0.0).then_some(())?;
    // Each cell by its events: a small one tells little.
    let variance = grown.iter().map(|(grown, n)| n / events * (grown / n / bytes - 1.0).powi(2)).sum::<f64>();
    Some((bytes, (2.0 * (variance / grown.len() as f64).sqrt()).max(LEAST)))
}

/// What traffic added to each client's connection, kept events apart.
fn traffic_bytes(cell: &Cell, event_bytes: f64) -> Option<f64> {
    let server = cell.server.as_ref()?;
    (cell.counts.delivered_all > 0 && cell.counts.connected > 0).then_some(())?;
    let grown = server.memory_after_bytes? as f64 - server.memory_idle_bytes? as f64;
    Some((grown - cell.counts.published_all as f64 * event_bytes) / cell.counts.connected as f64)
}

/// A long time as people say it.
fn long(s: f64) -> String {
    match s {
        s if s.is_infinite() => "no time".into(),
        s if s < 600.0 => format!("{} s", short(s)),
        s if s < 36_000.0 => format!("{} min", short(s / 60.0)),
        s => format!("{} h", short(s / 3600.0)),
    }
}
