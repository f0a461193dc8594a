//! From what the workers measured to the record of the cell. Pure: sums are added, histograms merged, nothing averaged.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Add;

use super::cores::Seat;
use super::message::Share;
use super::partial::PartialCell;
use super::turns;
use crate::host::cores::in_words;
use crate::measure::cell::{
    Cell, Counts, Distribution, FailureCount, GeneratorCost, SCHEMA_VERSION, Status, Trust, TrustLevel, Wire,
};
use crate::measure::timings::Samples;
use crate::measure::trust;
use crate::scenario::spec::CellSpec;
use crate::stats::histogram::HistogramError;

/// The record of a cell.
pub(super) fn cell(spec: &CellSpec, mut status: Status, started_unix_s: f64, partial: PartialCell) -> Cell {
    let shares = &partial.shares;
    let mut counts =
        shares.iter().fold(Counts::default(), |sum, share| sum.zip(&share.recorded.counts, u64::add));
    counts.connected = partial.connected;
    counts.expected = expected(spec, &partial);
    counts.announced =
        shares.iter().flat_map(|share| &share.streams).map(|&(_, count)| u64::from(count)).sum();
    let mut distribution =
        |of: fn(&Share) -> &Distribution| match merge(shares.iter().map(of), counts.published) {
            Ok(merged) => merged,
            Err(error) => {
                status = Status::Failed(error.to_string());
                Distribution::default()
            }
        };
    let mut generator = generator(shares, &partial.seats);
    generator.loop_lag = distribution(|share| &share.recorded.loop_lag);
    let delivered = sum_slices(shares);
    let mut cell = Cell {
        schema_version: SCHEMA_VERSION,
        spec: spec.clone(),
        response: distribution(|share| &share.recorded.response),
        service: distribution(|share| &share.recorded.service),
        send_lag: distribution(|share| &share.recorded.send_lag),
        send_wait: distribution(|share| &share.recorded.send_wait),
        answer: distribution(|share| &share.recorded.answer),
        exchange: distribution(|share| &share.recorded.exchange),
        spread: distribution(|share| &share.recorded.spread),
        status,
        server_failure: partial.server_failure,
        started_unix_s,
        measured_s: shares.iter().map(|share| share.window_ns).max().unwrap_or(0) as f64 / 1e9,
        connect_s: partial.connect_ns as f64 / 1e9,
        counts,
        reordered_by: shares.iter().map(|share| share.recorded.reordered_by).max().unwrap_or(0),
        subscriber_wire: shares
            .iter()
            .fold(Wire::default(), |sum, share| sum.zip(&share.subscriber_wire, u64::add)),
        publisher_wire: shares
            .iter()
            .fold(Wire::default(), |sum, share| sum.zip(&share.publisher_wire, u64::add)),
        server: partial.server.clone(),
        generator,
        host: partial.host.clone(),
        failures: failures(shares),
        intervals: partial.seconds.clone(),
        slices: turns::slices(spec, &partial.rests, &delivered),
        trust: Trust { level: TrustLevel::Ok, reasons: Vec::new() },
        schedule_digest: format!(
            "{:016x}",
            shares.iter().fold(0u64, |sum, share| sum.wrapping_add(share.recorded.schedule_digest))
        ),
        probes: Vec::new(),
    };
    cell.trust = trust::judge(&cell);
    cell
}

/// Deliveries owed, from the publishers' counts: events of each stream times the subscribers that were ready, but for
/// those that fell due while nobody was owed them.
fn expected(spec: &CellSpec, partial: &PartialCell) -> u64 {
    let streams = partial.shares.iter().flat_map(|share| &share.streams);
    let owed = streams.map(|&(stream, count)| {
        let absent = partial.absent.get(&spec.role(stream).group).copied().unwrap_or(0);
        u64::from(count) * u64::from(spec.subscribers_of(stream).saturating_sub(absent))
    });
    let excused: u64 = partial.shares.iter().map(|share| share.recorded.counts.excused).sum();
    // More excused than owed is a fault in the accounting, and must not come out as an agreement at 0.
    owed.sum::<u64>().wrapping_sub(excused)
}

/// Deliveries of each slice, of all workers.
fn sum_slices(shares: &[Share]) -> Vec<u64> {
    let most = shares.iter().map(|share| share.recorded.slices.len()).max().unwrap_or(0);
    let of = |slice| shares.iter().filter_map(|share| share.recorded.slices.get(slice)).sum();
    (0..most).map(of).collect()
}

/// The samples of all workers. Each event is one worker's, so their events add up; earlier versions of a worker do not tell
/// them, and `published` stands in for them.
fn merge<'a>(
    parts: impl Iterator<Item = &'a Distribution>,
    published: u64,
) -> Result<Distribution, HistogramError> {
    let (mut samples, mut events, mut told) = (Samples::default(), 0, true);
    for part in parts {
        samples.merge(part)?;
        events += part.events;
        told &= part.events > 0 || part.count == 0;
    }
    Ok(samples.distribution(if told { events } else { published }))
}

fn generator(shares: &[Share], seats: &[Seat]) -> GeneratorCost {
    let total = |of: fn(&Share) -> Option<u64>| {
        shares.iter().map(of).sum::<Option<u64>>().filter(|_| !shares.is_empty())
    };
    // The largest share of its window that a worker spent so.
    let largest = |of: fn(&Share) -> Option<u64>| {
        let shares =
            shares.iter().filter_map(|share| Some(of(share)? as f64 / share.window_ns.max(1) as f64));
        shares.max_by(f64::total_cmp)
    };
    GeneratorCost {
        workers: shares.len() as u32,
        cpu_ns: total(|share| share.cpu_ns),
        busiest_share: busiest(shares, seats),
        waiting_share: largest(|share| share.run_queue_delay_ns),
        demand_share: largest(|share| Some(share.cpu_ns? + share.run_queue_delay_ns?)),
        run_queue_delay_ns: total(|share| share.run_queue_delay_ns),
        memory_bytes: total(|share| share.memory_bytes),
        loop_lag: Distribution::default(),
        untied: seats.iter().filter(|&&seat| seat == Seat::Refused).count() as u32,
        cores: cores(seats),
    }
}

/// The cores that workers are tied to; `None` if none is.
fn cores(seats: &[Seat]) -> Option<String> {
    let tied = |seat: &Seat| if let Seat::Tied(core) = seat { Some(*core) } else { None };
    let cores: BTreeSet<usize> = seats.iter().filter_map(tied).collect();
    (!cores.is_empty()).then(|| in_words(&cores.into_iter().collect::<Vec<_>>()))
}

/// The largest share of a core that workers used: each alone, or all that are tied to the same core.
fn busiest(shares: &[Share], seats: &[Seat]) -> Option<f64> {
    let mut cores = BTreeMap::new();
    for share in shares {
        let place = match seats.get(share.worker as usize) {
            Some(&Seat::Tied(core)) => (Some(core), None),
            _ => (None, Some(share.worker)),
        };
        *cores.entry(place).or_insert(0.0) += share.cpu_ns? as f64 / share.window_ns.max(1) as f64;
    }
    cores.into_values().max_by(f64::total_cmp)
}

/// The same failure of several workers is one row.
pub(super) fn failures(shares: &[Share]) -> Vec<FailureCount> {
    let mut rows: Vec<FailureCount> = Vec::new();
    for failure in shares.iter().flat_map(|share| &share.recorded.failures) {
        match rows.iter_mut().find(|row| row.phase == failure.phase && row.kind == failure.kind) {
            Some(row) => row.count += failure.count,
            None => rows.push(failure.clone()),
        }
    }
    rows
}
/// What most clients met when none could connect; empty otherwise.
pub(super) fn why_none_connected(partial: &PartialCell) -> String {
    let failures = failures(&partial.shares);
    let most = failures.iter().max_by_key(|failure| failure.count).filter(|_| partial.connected == 0);
    most.map_or(String::new(), |most| {
        format!(" ({} times {} in {}: {})", most.count, most.kind, most.phase, most.example)
    })
}
