//! What all connections of a server share, and the two ways a message passes through it: in and out.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;

use crate::Config;
use crate::hub::{Batch, Hub};
use crate::stats::Stats;

/// The state of one server.
pub(crate) struct App {
    /// How it behaves.
    pub(crate) config: Config,
    /// Its events.
    pub(crate) hub: Arc<Hub>,
    /// What it counts.
    pub(crate) stats: Arc<Stats>,
}

/// Why a client's message is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Neither `publish=` nor `echo=1` was given, nor a `publish` command.
    #[error("no topic to publish to")]
    NoOutlet,
    /// The server refuses binary messages (a fault).
    #[error("binary messages are refused")]
    Binary,
    /// The message is over the limit.
    #[error("the message is over the limit")]
    TooBig,
}

impl Refusal {
    /// The WebSocket close code (RFC 6455, section 7.4.1).
    pub(crate) fn close_code(self) -> u16 {
        match self {
            Refusal::NoOutlet => 1008,
            Refusal::Binary => 1003,
            Refusal::TooBig => 1009,
        }
    }
}

impl App {
    /// A server that has seen nothing yet.
    pub(crate) fn new(config: Config) -> Arc<App> {
        let stats = Arc::<Stats>::default();
        // The standard library seeds its hashers at random; no crate is needed for one random number.
        let id = RandomState::new().build_hasher().finish() as u32;
        let hub = Hub::new(id, config.limits, stats.clone());
        Arc::new(App { config, hub, stats })
    }

    /// Whether a message from a client may enter.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn admit(&self, payload_bytes: usize, binary: bool) -> Result<(), Refusal> {
        if payload_bytes > self.config.max_payload_bytes {
            return Err(Refusal::TooBig);
        }
        if binary && self.config.faults.refuse_binary {
            return Err(Refusal::Binary);
        }
        Ok(())
    }

    /// A message from a client enters.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) fn publish(&self, topic: &str, payload: Bytes, binary: bool) -> Result<(), Refusal> {
        self.admit(payload.len(), binary)?;
        self.hub.publish(topic, payload, binary);
        Ok(())
    }

    /// Events are handed to the transport of one subscriber.
    pub(crate) fn delivering(&self, batch: &Batch) {
        let bytes = batch.events.iter().map(|event| event.payload.len() as u64).sum();
        self.stats.delivered.add(batch.events.len() as u64);
        self.stats.delivered_bytes.add(bytes);
    }

    /// A message goes back to its sender.
    pub(crate) fn count_echo(&self, payload: &Bytes) {
        self.stats.echoed.add(1);
        self.stats.echoed_bytes.add(payload.len() as u64);
    }
}
