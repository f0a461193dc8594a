//! The scenario file: what a person writes. Strict: an unknown or misspelt key is an error with its place.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::kinds::{Encryption, Headers, Pace, Pattern, PollMode, Reconnect};
use crate::protocol::Protocol;
use crate::transport::link::LinkSpec;
use crate::unit::{Bytes, Count, OneOrMany, PerSecond, Seconds};

/// A whole scenario file.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, for people; the first line is what `list` prints.
    pub about: String,
    /// Who connects, and who sends what how often.
    pub load: Load,
    /// HTTP requests of all protocols.
    #[serde(default)]
    pub http: Http,
    /// Short polling.
    #[serde(default)]
    pub short_poll: ShortPoll,
    /// Long polling.
    #[serde(default)]
    pub long_poll: LongPoll,
    /// WebRTC data channels.
    #[serde(default)]
    pub webrtc: Webrtc,
    /// How clients come and how long they are waited for.
    #[serde(default)]
    pub connect: Connect,
    /// What must hold: metric -> conditions such as `p(95)<200ms`.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "BTreeMap<String, Vec<String>>"))]
    pub thresholds: BTreeMap<String, Vec<toml::Spanned<String>>>,
}

/// Who connects, and who sends what how often. Lists make one cell for each combination.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Protocols to measure; without it, all of them.
    #[serde(default)]
    pub protocols: Option<OneOrMany<String>>,
    /// `broadcast` (publishers -> topic -> subscribers) or `echo` (each client's own round trip).
    #[serde(default = "defaults::pattern")]
    pub pattern: Pattern,
    /// Simulated users, publishers included.
    pub clients: OneOrMany<Count>,
    /// Clients of one topic; `clients` itself puts all on one. Not for echo.
    #[serde(default)]
    pub group: Option<Count>,
    /// Publishers in each group.
    #[serde(default = "defaults::publishers")]
    pub publishers: Count,
    /// Events of each publisher, e.g. `1/s`.
    pub rate: OneOrMany<PerSecond>,
    /// `constant`, `poisson`, or for echo `closed`: each when an own one came back, whatever the rate.
    #[serde(default = "defaults::pace")]
    pub pace: Pace,
    /// Size of an event.
    #[serde(default = "defaults::payload")]
    pub payload: OneOrMany<Bytes>,
    /// Send payloads as binary where the protocol can.
    #[serde(default)]
    pub binary: bool,
    /// Own events a client of the echo pattern may have under way; without it, as many as are due.
    #[serde(default)]
    pub in_flight: Option<Count>,
    /// Load before the measured window; discarded.
    #[serde(default = "defaults::warmup")]
    pub warmup: Seconds,
    /// The measured window.
    pub duration: Seconds,
    /// Longest wait for what is still under way at the end; for short polls an interval at least.
    #[serde(default = "defaults::drain")]
    pub drain: Seconds,
}

impl Load {
    /// Whether clients are members of groups, in which some send and the others receive.
    pub fn has_groups(&self) -> bool {
        self.pattern == Pattern::Broadcast
    }
}

/// HTTP requests of all protocols.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// What clients say of themselves with every request.
    pub headers: Headers,
    /// The lines of `headers = "custom"`, e.g. `["Cookie: a=b"]`.
    pub custom: Vec<String>,
    /// Publish by POST on a connection that is kept, as browsers do, instead of a new one for each event.
    pub publish_keep_alive: bool,
}

impl Default for Http {
    fn default() -> Self {
        Http { headers: Headers::default(), custom: Vec::new(), publish_keep_alive: true }
    }
}

/// Short polling.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ShortPoll {
    /// Time between two polls.
    pub interval: Seconds,
    /// `fixed-rate` counts it from the last poll's scheduled start, `after-response` from its answer.
    pub mode: PollMode,
    /// Keep the connection from poll to poll, instead of a new one for each.
    pub keep_alive: bool,
}

impl Default for ShortPoll {
    fn default() -> Self {
        ShortPoll { interval: Seconds(5.0), mode: PollMode::FixedRate, keep_alive: false }
    }
}

/// Long polling.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct LongPoll {
    /// How long a request asks to be held; without it, as long as the server likes.
    pub hold: Option<Seconds>,
}

/// WebRTC data channels.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Webrtc {
    /// Who is connected to whom.
    pub topology: Topology,
    /// Messages arrive in order.
    pub ordered: bool,
    /// Lost messages are sent again at most so often; without it, until they arrive.
    pub max_retransmits: Option<u16>,
}

impl Default for Webrtc {
    fn default() -> Self {
        Webrtc { topology: Topology::Auto, ordered: true, max_retransmits: None }
    }
}

/// Who is connected to whom by data channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// A mesh for broadcast in groups of up to 10, else the server.
    Auto,
    /// Each member of a group with each other.
    Mesh,
    /// Each client with the server.
    Server,
}

/// How clients come and how long they are waited for.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Connect {
    /// Clients started per second.
    pub ramp: PerSecond,
    /// Time a client may take to be ready.
    pub timeout: Seconds,
    /// What a client does after its connection was cut in mid-run. Without it `protocol`, and `backoff` for long polls, which
    /// are asked by code of the application in any case.
    pub reconnect: Option<Reconnect>,
    /// `tls` encrypts every connection with a full handshake for each; data channels are encrypted in any case.
    pub tls: Encryption,
    /// The emulated network, e.g. `wan` or `rtt=40ms,loss=1%`. A list makes one cell for each.
    pub link: OneOrMany<LinkSpec>,
}

impl Connect {
    /// What clients of a protocol do after a cut.
    pub fn reconnect_of(&self, protocol: &Protocol) -> Reconnect {
        let default = if protocol.traits.asks_again { Reconnect::Backoff } else { Reconnect::Protocol };
        self.reconnect.unwrap_or(default)
    }
}

impl Default for Connect {
    fn default() -> Self {
        Connect {
            ramp: PerSecond(2000.0),
            timeout: Seconds(10.0),
            reconnect: None,
            tls: Encryption::Plain,
            link: OneOrMany(vec![LinkSpec::default()]),
        }
    }
}

mod defaults {
    use super::*;

    pub(super) fn pattern() -> Pattern {
        Pattern::Broadcast
    }
    pub(super) fn publishers() -> Count {
        Count(1)
    }
    pub(super) fn pace() -> Pace {
        Pace::Constant
    }
    pub(super) fn payload() -> OneOrMany<Bytes> {
        OneOrMany(vec![Bytes(100)])
    }
    pub(super) fn warmup() -> Seconds {
        Seconds(1.0)
    }
    pub(super) fn drain() -> Seconds {
        Seconds(5.0)
    }
}
