//! Bytes of IP packets: all layers, both ways, of subscribers and publishers.

use super::curve::Value;
use super::work::Work;
use super::{Question, Told};
use crate::measure::bytes::polls;
use crate::measure::cell::Cell;
use crate::measure::usable::usable;
use crate::number::short;
use crate::stats::Bounds;

/// Seconds of a month of 30 days.
pub const MONTH_S: f64 = 30.0 * 86_400.0;

/// How far cells of one workload differ at least, as a share, and what is assumed where there is one alone.
const LEAST: f64 = 0.04;
const ALONE: f64 = 0.1;

/// How well bytes that bring no message are known, as a share: they are arithmetic, or those of polls that bring one.
const SILENT: f64 = 0.15;

/// IP packets of so many users, in bytes per second.
pub(super) fn all(question: &Question<'_>, work: &Work, users: f64) -> Told {
    let what = "bytes";
    let cells: Vec<&Cell> = question
        .cells
        .iter()
        .copied()
        .filter(|cell| usable(cell).is_ok() && cell.counts.delivered_all > 0)
        .collect();
    let each: Vec<f64> = cells.iter().filter_map(|cell| of_a_user(cell, work)).collect();
    if each.is_empty() {
        return Told::withheld(what, "the system does not tell those of TCP/IP");
    }
    let n = each.len() as f64;
    let mean = each.iter().sum::<f64>() / n;
    let furthest = each.iter().map(|one| (one / mean - 1.0).abs()).fold(LEAST, f64::max);
    let silent = if question.like.id.protocol.traits.holds() {
        1.0 - work.messages_per_s / work.turns_per_s.max(f64::MIN_POSITIVE)
    } else {
        work.aside_bytes_per_s / mean
    };
    let share = if each.len() > 1 { furthest } else { ALONE } + SILENT * silent.max(0.0);
    let value = users * mean;
    let bounds = Bounds { low: value * (1.0 - share), high: value * (1.0 + share) };
    let whose = if question.like.webrtc.peer_to_peer { " between peers, not through the server" } else { "" };
    let gb = |per_s: f64| short(per_s * MONTH_S / 1e9);
    let line = format!(
        "{} users x {} B/s of IP packets ({} messages/s of {} B payload, {} B each in all; keep-alives {} B/s) x {} s = {} GB a month ({} to {}){whose}",
        short(users),
        short(mean),
        short(work.messages_per_s),
        question.like.payload_bytes,
        short(mean / work.messages_per_s.max(f64::MIN_POSITIVE)),
        short(work.aside_bytes_per_s),
        short(MONTH_S),
        gb(value),
        gb(bounds.low),
        gb(bounds.high)
    );
    Told::of(what, Value { value, bounds }, line)
}

/// Bytes of IP packets that an average user causes in a second, by what a cell measured of a message, a poll and an event.
fn of_a_user(cell: &Cell, work: &Work) -> Option<f64> {
    let (subscribers, publishers) = (&cell.subscriber_wire, &cell.publisher_wire);
    let received = (subscribers.ip_in_bytes + subscribers.ip_out_bytes) as f64;
    (received > 0.0).then_some(())?;
    let counts = &cell.counts;
    let payload = counts.delivered_all_bytes as f64;
    let per = |bytes: f64, n: u64| if n > 0 { bytes / n as f64 } else { 0.0 };
    let receiving = if polls(cell) {
        work.turns_per_s * per(received - payload, subscribers.exchanges)
            + work.messages_per_s * per(payload, counts.delivered_all)
    } else {
        work.messages_per_s * per(received, counts.delivered_all)
    };
    let publishing = work.events_per_s
        * per((publishers.ip_in_bytes + publishers.ip_out_bytes) as f64, counts.published_all);
    Some(receiving + publishing + work.aside_bytes_per_s)
}
