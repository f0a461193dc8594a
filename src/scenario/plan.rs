//! A scenario becomes cells, a cell becomes shards. Pure: nothing here touches the world.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One combination to measure, with every choice made. This is what workers are given, what a result carries,
/// and what two results are compared by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CellSpec {
    /// Unique in the run, e.g. `workload/sse` or `memory/websocket/300`.
    pub name: String,
    /// Name in the table of protocols.
    pub protocol: String,
    /// Who talks to whom.
    pub pattern: Pattern,
    /// Simulated users, publishers included.
    pub clients: u32,
    /// Clients of one topic.
    pub group: u32,
    /// Publishers among them; in the echo pattern every client publishes.
    pub publishers: u32,
    /// Events per second of each publisher; 0 for silence.
    pub rate_per_s: f64,
    /// How due times are spaced.
    pub pace: Pace,
    /// Size of an event's payload, in bytes.
    pub payload_bytes: u32,
    /// Whether payloads are sent as binary.
    pub binary: bool,
    /// Time between two short polls, in seconds.
    pub poll_interval_s: f64,
    /// What the interval is counted from.
    pub poll_mode: PollMode,
    /// How long long polls ask to be held, in seconds; `None` leaves it to the server.
    pub hold_s: Option<f64>,
    /// Polls and publishes reuse their connection.
    pub keep_alive: bool,
    /// Name of the set of request headers: `minimal`, `browser` or `custom`.
    pub headers: String,
    /// Data channels keep the order.
    pub ordered: bool,
    /// Data channels give up after so many retransmissions; `None` is reliable.
    pub max_retransmits: Option<u16>,
    /// Data channels join clients to each other.
    pub peer_to_peer: bool,
    /// The emulated network.
    pub link: String,
    /// Whether connections are encrypted: `plain` or `tls`.
    pub tls: String,
    /// Clients started per second.
    pub ramp_per_s: f64,
    /// Time a client may take to be ready, in seconds.
    pub connect_timeout_s: f64,
    /// Load before the measured window, in seconds; discarded.
    pub warmup_s: f64,
    /// The measured window, in seconds.
    pub duration_s: f64,
    /// Longest wait for what is still under way at the end of the window, in seconds.
    pub drain_s: f64,
    /// Seed of every random choice in the cell.
    pub seed: u64,
}

/// Who talks to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// Publishers -> topic -> subscribers.
    Broadcast,
    /// Each client's own round trip; on protocols that cannot send in band: publish, then receive.
    Echo,
}

/// How due times are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// Evenly, each publisher with a phase of its own.
    Constant,
    /// At random, independently of everything else.
    Poisson,
}

/// What a poll interval is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PollMode {
    /// From the last poll's scheduled start.
    FixedRate,
    /// From the last poll's answer.
    AfterResponse,
}

impl CellSpec {
    /// Length of the measured window.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration_s)
    }

    /// Subscribers of each published event.
    pub fn fan_out(&self) -> u32 {
        match self.pattern {
            Pattern::Broadcast => self.group - self.publishers,
            Pattern::Echo => 1,
        }
    }
}
