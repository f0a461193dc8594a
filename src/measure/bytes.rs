//! Which of the bytes that crossed the sockets are payload, and what each of the others is shared out to.
//!
//! Divisors match their dividends in time: both run from the barrier to the end of the drain. A stream's bytes are
//! all it read and wrote; a poller's are those of completed exchanges, because a request that is still held
//! when the cell ends has no answer to belong to.

use super::cell::{Cell, Wire};

/// `a / b`, or nothing where there is nothing to divide by.
pub(super) fn per(a: f64, b: u64) -> Option<f64> {
    (b > 0).then(|| a / b as f64)
}

/// Whether the cell's subscribers poll: their costs lie in exchanges, and depend on how many of those were empty.
pub(crate) fn polls(cell: &Cell) -> bool {
    cell.spec.id.protocol.traits.exchanges
}

/// Byte streams without exchanges: what is not payload is framing, and the same in every run.
fn is_stream(cell: &Cell) -> bool {
    let wire = &cell.subscriber_wire;
    !polls(cell) && wire.in_bytes > 0 && wire.datagrams_in + wire.datagrams_out == 0
}

/// Payload that subscribers wrote on the connections they receive on: in the echo pattern, where nothing was published apart.
fn payload_sent_in_band(cell: &Cell) -> u64 {
    let apart = cell.publisher_wire.out_bytes > 0;
    if cell.spec.returns_to_sender() && !apart { cell.counts.published_all_bytes } else { 0 }
}

/// Bytes of payload that publishers wrote: in a mesh, one copy for each subscriber.
fn payload_published(cell: &Cell) -> f64 {
    let counts = &cell.counts;
    let copies = if cell.spec.webrtc.peer_to_peer {
        per(counts.expected as f64, counts.published).unwrap_or(1.0)
    } else {
        1.0
    };
    counts.published_all_bytes as f64 * copies
}

fn both_ways(cell: &Cell, wire: &Wire) -> Option<f64> {
    let bytes = if polls(cell) {
        wire.exchange_in_bytes + wire.exchange_out_bytes
    } else {
        wire.in_bytes + wire.out_bytes
    };
    (bytes > 0).then_some(bytes as f64)
}

/// Bytes that subscribers read beyond payload, per delivered message; only byte streams have such a figure.
pub(super) fn framing_in(cell: &Cell) -> Option<f64> {
    let counts = &cell.counts;
    is_stream(cell).then_some(())?;
    per(cell.subscriber_wire.in_bytes as f64 - counts.delivered_all_bytes as f64, counts.delivered_all)
}

/// Bytes that subscribers wrote beyond payload, per delivered message.
pub(super) fn framing_out(cell: &Cell) -> Option<f64> {
    is_stream(cell).then_some(())?;
    let beyond = cell.subscriber_wire.out_bytes as f64 - payload_sent_in_band(cell) as f64;
    per(beyond, cell.counts.delivered_all)
}

/// Bytes that publishers wrote beyond payload on streams of their own, per event.
pub(super) fn publish_framing_out(cell: &Cell) -> Option<f64> {
    let wire = &cell.publisher_wire;
    let streams = wire.out_bytes > 0 && wire.exchanges == 0 && wire.datagrams_in + wire.datagrams_out == 0;
    streams.then_some(())?;
    per(wire.out_bytes as f64 - payload_published(cell), cell.counts.published_all)
}

/// Bytes of subscribers beyond payload, both ways.
fn overhead(cell: &Cell) -> Option<f64> {
    let payload = cell.counts.delivered_all_bytes + payload_sent_in_band(cell);
    Some(both_ways(cell, &cell.subscriber_wire)? - payload as f64)
}

/// The same, per delivered message: a wasted poll is paid for by the messages that did arrive.
pub(super) fn overhead_per_delivery(cell: &Cell) -> Option<f64> {
    per(overhead(cell)?, cell.counts.delivered_all)
}

/// Bytes of polls beyond payload, per completed exchange, whatever it brought.
pub(super) fn overhead_per_exchange(cell: &Cell) -> Option<f64> {
    polls(cell).then_some(())?;
    per(overhead(cell)?, cell.subscriber_wire.exchanges)
}

/// Bytes of publishing beyond payload, both ways, per event. A publish over HTTP is a completed exchange by definition.
pub(super) fn publish_overhead(cell: &Cell) -> Option<f64> {
    let wire = &cell.publisher_wire;
    let bytes = (wire.in_bytes + wire.out_bytes) as f64;
    (bytes > 0.0).then_some(())?;
    per(bytes - payload_published(cell), cell.counts.published_all)
}

/// All bytes of all clients, payload included, per delivered message. What a provider would bill.
pub(super) fn all_per_delivery(cell: &Cell) -> Option<f64> {
    let publishing = (cell.publisher_wire.in_bytes + cell.publisher_wire.out_bytes) as f64;
    per(both_ways(cell, &cell.subscriber_wire)? + publishing, cell.counts.delivered_all)
}
