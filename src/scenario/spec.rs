//! One cell as it is measured: every choice made, and who of its clients does what.

use std::time::Duration;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cell_id::CellId;
use super::kinds::{Encryption, Headers, Pace, Pattern, PollMode, Reconnect};
use super::turns::Turns;
use crate::protocol::{self, Protocol};
use crate::transport::link::LinkSpec;

mod record;

use record::CellRecord;

/// One combination to measure, with every choice made. This is what workers are given, what a result carries,
/// and what two results are compared by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(from = "CellRecord", into = "CellRecord")]
#[cfg_attr(test, schemars(with = "CellRecord"))]
pub struct CellSpec {
    /// Which it is in its run.
    pub id: CellId,
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
    /// What short polls are like.
    pub short_poll: ShortPollSpec,
    /// What long polls are like.
    pub long_poll: LongPollSpec,
    /// What HTTP requests are like.
    pub http: HttpSpec,
    /// What data channels are like.
    pub webrtc: WebrtcSpec,
    /// The emulated network.
    pub link: LinkSpec,
    /// Whether connections are encrypted.
    pub tls: Encryption,
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
    /// Own events a client of the echo pattern may have under way; `None` sends whenever one is due.
    pub in_flight: Option<u32>,
    /// What a client does after its connection was cut.
    pub reconnect: Reconnect,
    /// Seed of every random choice in the cell.
    pub seed: u64,
    /// Which repetition of the same cell this is, from 0.
    pub repeat: u32,
    /// It shares the machine with another cell, and is loaded in turns with it.
    pub turns: Option<Turns>,
}

/// Short polling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShortPollSpec {
    /// Time between two polls, in seconds.
    pub interval_s: f64,
    /// What the interval is counted from.
    pub mode: PollMode,
    /// The connection is kept from one poll to the next.
    pub keep_alive: bool,
}

/// Long polling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongPollSpec {
    /// How long polls ask to be held, in seconds; `None` leaves it to the server.
    pub hold_s: Option<f64>,
}

/// HTTP requests of all protocols.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HttpSpec {
    /// The set of request headers.
    pub headers: Headers,
    /// Publishes by POST keep their connection; in older records they did where polls did.
    pub publish_keep_alive: bool,
}

/// Data channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WebrtcSpec {
    /// They keep the order.
    pub ordered: bool,
    /// They give up after so many retransmissions; `None` is reliable.
    pub max_retransmits: Option<u16>,
    /// They join clients to each other.
    pub peer_to_peer: bool,
}

/// Over which connections events are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publishing {
    /// Those that receive.
    InBand,
    /// By POST, on connections that are kept.
    Kept,
    /// By POST, on a new connection for each event.
    Fresh,
}

impl Publishing {
    /// The name that results carry.
    pub fn name(self) -> &'static str {
        match self {
            Publishing::InBand => "in-band",
            Publishing::Kept => "kept",
            Publishing::Fresh => "fresh",
        }
    }
}

impl CellSpec {
    /// What its clients speak.
    pub fn protocol(&self) -> &'static Protocol {
        self.id.protocol
    }

    /// Over which connections its events are published.
    pub fn publishing(&self) -> Publishing {
        let in_band = self.protocol().traits.in_band;
        match self.http.publish_keep_alive {
            _ if in_band => Publishing::InBand,
            true => Publishing::Kept,
            false => Publishing::Fresh,
        }
    }

    /// Events of all publishers per second, as the schedule has them.
    pub fn events_per_s(&self) -> f64 {
        f64::from(self.senders()) * self.rate_per_s
    }

    /// Whether each client receives what it sends, and nothing else.
    pub fn returns_to_sender(&self) -> bool {
        self.pattern == Pattern::Echo
    }

    /// Clients that share a topic: a group, or each alone.
    pub fn clients_of_topic(&self) -> u32 {
        if self.returns_to_sender() { 1 } else { self.group.max(1) }
    }

    /// Those of them that send.
    pub fn senders_of_topic(&self) -> u32 {
        if self.returns_to_sender() { 1 } else { self.publishers }
    }

    /// Clients that send.
    pub fn senders(&self) -> u32 {
        if self.returns_to_sender() { self.clients } else { self.groups() * self.publishers }
    }

    /// Clients that receive nothing.
    pub fn only_senders(&self) -> u32 {
        if self.returns_to_sender() { 0 } else { self.senders() }
    }

    /// A small valid cell, for tests and documentation.
    pub fn example() -> CellSpec {
        CellSpec {
            id: CellId::of(&protocol::ALL[2]),
            pattern: Pattern::Broadcast,
            clients: 20,
            group: 10,
            publishers: 1,
            rate_per_s: 10.0,
            pace: Pace::Constant,
            payload_bytes: 100,
            binary: false,
            short_poll: ShortPollSpec { interval_s: 5.0, mode: PollMode::FixedRate, keep_alive: false },
            long_poll: LongPollSpec { hold_s: None },
            http: HttpSpec { headers: Headers::Minimal, publish_keep_alive: true },
            webrtc: WebrtcSpec { ordered: true, max_retransmits: None, peer_to_peer: false },
            link: LinkSpec::default(),
            tls: Encryption::Plain,
            ramp_per_s: 1000.0,
            connect_timeout_s: 10.0,
            warmup_s: 0.2,
            duration_s: 1.0,
            drain_s: 1.0,
            in_flight: None,
            reconnect: Reconnect::Protocol,
            seed: 1,
            repeat: 0,
            turns: None,
        }
    }

    /// The name among all cells of a run: repetitions after the first carry their number, as in `workload/sse r1`.
    pub fn label(&self) -> String {
        match self.repeat {
            0 => self.id.to_string(),
            repeat => format!("{} r{repeat}", self.id),
        }
    }

    /// Whether its channel was asked to give up on messages: data channels alone can.
    pub fn may_lose(&self) -> bool {
        self.webrtc.max_retransmits.is_some() && self.protocol().traits.peer_to_peer
    }

    /// Length of the measured window.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration_s)
    }

    /// What the client of this index does. Indices run from 0 over all clients of the cell.
    #[inline]
    pub fn role(&self, client: u32) -> Role {
        match self.pattern {
            Pattern::Echo => Role { group: client, index_in_group: 0, publishes: true, subscribes: true },
            Pattern::Broadcast => {
                let (group, index_in_group) = (client / self.group, client % self.group);
                let publishes = index_in_group < self.publishers;
                Role { group, index_in_group, publishes, subscribes: !publishes }
            }
        }
    }

    /// Number of groups; the last may be smaller than the others.
    pub fn groups(&self) -> u32 {
        self.clients.div_ceil(self.group)
    }

    /// The clients of one group.
    pub fn members(&self, group: u32) -> std::ops::Range<u32> {
        let first = group * self.group;
        first..(first + self.group).min(self.clients)
    }

    /// Deliveries owed for one event of `stream` (the publishing client's index).
    #[inline]
    pub fn subscribers_of(&self, stream: u32) -> u32 {
        match self.pattern {
            Pattern::Echo => 1,
            Pattern::Broadcast => {
                let members = self.members(stream / self.group);
                (members.end - members.start).saturating_sub(self.publishers)
            }
        }
    }

    /// The streams that a subscriber is owed: those of its group's publishers, or in the echo pattern its own.
    pub fn streams_of(&self, group: u32, client: u32) -> std::ops::Range<u32> {
        match self.pattern {
            Pattern::Echo => client..client + 1,
            Pattern::Broadcast => {
                let members = self.members(group);
                members.start..(members.start + self.publishers).min(members.end)
            }
        }
    }

    /// The groups of one of `workers` shards. A group is never split, so that its traffic needs one server.
    pub fn shard(&self, worker: u32, workers: u32) -> impl Iterator<Item = u32> + use<> {
        (worker..self.groups()).step_by(workers.max(1) as usize)
    }
}

/// What one client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// Group, and so topic, of the client.
    pub group: u32,
    /// Place in the group.
    pub index_in_group: u32,
    /// It sends events.
    pub publishes: bool,
    /// It receives events.
    pub subscribes: bool,
}
