//! Counters of the server, and their two renderings: JSON for rtbench, Prometheus for everybody.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// A number that any task may change. Relaxed: a reader needs each number, not an order between them.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Takes `n` away; for gauges.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Serialize for Counter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.get())
    }
}

/// What the server counts, from its start.
#[derive(Debug, Default, Serialize)]
pub struct Stats {
    /// Events published to any topic.
    pub published: Counter,
    /// Payload bytes of those.
    pub published_bytes: Counter,
    /// Events handed to a transport for one subscriber.
    pub delivered: Counter,
    /// Payload bytes of those.
    pub delivered_bytes: Counter,
    /// Messages sent back to their senders.
    pub echoed: Counter,
    /// Payload bytes of those.
    pub echoed_bytes: Counter,
    /// Look-ups into the message store (one per poll, answered or not).
    pub lookups: Counter,
    /// Events that slow subscribers lost.
    pub dropped: Counter,
    /// Subscribers disconnected for being slow.
    pub slow_disconnects: Counter,
}
