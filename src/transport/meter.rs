//! Where bytes are counted. One meter serves many clients of one worker, which is one thread: no locks, no atomics.

use std::cell::Cell;

/// Counts of what crossed the sockets directly below the protocols.
#[derive(Debug, Default)]
pub struct Meter {
    /// Bytes read from sockets.
    pub wire_in_bytes: Tally,
    /// Bytes written to sockets.
    pub wire_out_bytes: Tally,
    /// Connections opened (TCP connects, data-channel peer connections).
    pub connections: Tally,
    /// HTTP requests whose answer arrived in full.
    pub exchanges: Tally,
    /// Polls among them that brought no event.
    pub empty_exchanges: Tally,
    /// Bytes read during exchanges, added when the exchange is complete: a request still held at the end counts in
    /// `wire_out_bytes` and not here.
    pub exchange_in_bytes: Tally,
    /// Bytes written during exchanges, added when the exchange is complete.
    pub exchange_out_bytes: Tally,
    /// Datagrams read and written, for protocols over UDP.
    pub datagrams_in: Tally,
    /// Datagrams written.
    pub datagrams_out: Tally,
}

/// One count.
#[derive(Debug, Default)]
pub struct Tally(Cell<u64>);

impl Tally {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.set(self.0.get() + n);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}
