//! A cell's specification as it is written down. Its layout is that of all runs so far, so that they can be read.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CellSpec, HttpSpec, LongPollSpec, ShortPollSpec, WebrtcSpec};
use crate::protocol::Protocol;
use crate::scenario::cell_id::{Axis, CellId, Kind, Side};
use crate::scenario::kinds::{Encryption, Headers, Pace, Pattern, PollMode, Reconnect};
use crate::scenario::turns::Turns;
use crate::transport::link::LinkSpec;

/// A specification as it is written down: flat, and in words.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct CellRecord {
    /// Unique in the run, e.g. `workload/sse` or `memory/websocket/300`.
    name: String,
    /// On which of two servers that are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    side: Option<Side>,
    /// What it is for, e.g. `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    /// Name in the table of protocols.
    #[cfg_attr(test, schemars(with = "String"))]
    protocol: &'static Protocol,
    /// What tells it from others of its kind and protocol; absent in older records, whose name says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    axes: Option<Vec<Axis>>,
    /// Who talks to whom.
    pattern: Pattern,
    /// Simulated users, publishers included.
    clients: u32,
    /// Clients of one topic.
    group: u32,
    /// Publishers among them; in the echo pattern every client publishes.
    publishers: u32,
    /// Events per second of each publisher; 0 for silence.
    rate_per_s: f64,
    /// How due times are spaced.
    pace: Pace,
    /// Size of an event's payload, in bytes.
    payload_bytes: u32,
    /// Whether payloads are sent as binary.
    binary: bool,
    /// Time between two short polls, in seconds.
    poll_interval_s: f64,
    /// What the interval is counted from.
    poll_mode: PollMode,
    /// How long long polls ask to be held, in seconds; `None` leaves it to the server.
    hold_s: Option<f64>,
    /// Short polls keep their connection from one to the next.
    keep_alive: bool,
    /// Publishes by POST keep their connection; in older records they did where polls did.
    #[serde(default)]
    publish_keep_alive: bool,
    /// The set of request headers.
    headers: Headers,
    /// Data channels keep the order.
    ordered: bool,
    /// Data channels give up after so many retransmissions; `None` is reliable.
    max_retransmits: Option<u16>,
    /// Data channels join clients to each other.
    peer_to_peer: bool,
    /// The emulated network, in its canonical text: `loopback` for none, or e.g. `rtt=40ms,loss=1%`.
    link: LinkSpec,
    /// Whether connections are encrypted.
    tls: Encryption,
    /// Clients started per second.
    ramp_per_s: f64,
    /// Time a client may take to be ready, in seconds.
    connect_timeout_s: f64,
    /// Load before the measured window, in seconds; discarded.
    warmup_s: f64,
    /// The measured window, in seconds.
    duration_s: f64,
    /// Longest wait for what is still under way at the end of the window, in seconds.
    drain_s: f64,
    /// Own events a client of the echo pattern may have under way; `None` sends whenever one is due.
    in_flight: Option<u32>,
    /// What a client does after its connection was cut.
    reconnect: Reconnect,
    /// Seed of every random choice in the cell.
    seed: u64,
    /// Which repetition of the same cell this is, from 0.
    #[serde(default)]
    repeat: u32,
    /// It shares the machine with another cell, and is loaded in turns with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turns: Option<Turns>,
}

impl From<CellRecord> for CellSpec {
    fn from(record: CellRecord) -> CellSpec {
        let CellRecord { side, kind, protocol, .. } = record;
        let id = CellId { side, kind, protocol, axes: record.axes.unwrap_or_default(), is_nameless: false };
        // Older records have nothing but a name, and what somebody else wrote or changed has the one that it has.
        let id = if id.is_named(&record.name) { id } else { CellId::read(&record.name, protocol) };
        CellSpec {
            id,
            pattern: record.pattern,
            clients: record.clients,
            group: record.group,
            publishers: record.publishers,
            rate_per_s: record.rate_per_s,
            pace: record.pace,
            payload_bytes: record.payload_bytes,
            binary: record.binary,
            link: record.link,
            tls: record.tls,
            ramp_per_s: record.ramp_per_s,
            connect_timeout_s: record.connect_timeout_s,
            warmup_s: record.warmup_s,
            duration_s: record.duration_s,
            drain_s: record.drain_s,
            in_flight: record.in_flight,
            reconnect: record.reconnect,
            seed: record.seed,
            repeat: record.repeat,
            turns: record.turns,
            short_poll: ShortPollSpec {
                interval_s: record.poll_interval_s,
                mode: record.poll_mode,
                keep_alive: record.keep_alive,
            },
            long_poll: LongPollSpec { hold_s: record.hold_s },
            http: HttpSpec { headers: record.headers, publish_keep_alive: record.publish_keep_alive },
            webrtc: WebrtcSpec {
                ordered: record.ordered,
                max_retransmits: record.max_retransmits,
                peer_to_peer: record.peer_to_peer,
            },
        }
    }
}

impl From<CellSpec> for CellRecord {
    fn from(spec: CellSpec) -> CellRecord {
        CellRecord {
            name: spec.id.to_string(),
            side: spec.id.side,
            kind: spec.id.kind,
            protocol: spec.id.protocol,
            axes: Some(spec.id.axes),
            pattern: spec.pattern,
            clients: spec.clients,
            group: spec.group,
            publishers: spec.publishers,
            rate_per_s: spec.rate_per_s,
            pace: spec.pace,
            payload_bytes: spec.payload_bytes,
            binary: spec.binary,
            link: spec.link,
            tls: spec.tls,
            ramp_per_s: spec.ramp_per_s,
            connect_timeout_s: spec.connect_timeout_s,
            warmup_s: spec.warmup_s,
            duration_s: spec.duration_s,
            drain_s: spec.drain_s,
            in_flight: spec.in_flight,
            reconnect: spec.reconnect,
            seed: spec.seed,
            repeat: spec.repeat,
            turns: spec.turns,
            poll_interval_s: spec.short_poll.interval_s,
            poll_mode: spec.short_poll.mode,
            keep_alive: spec.short_poll.keep_alive,
            hold_s: spec.long_poll.hold_s,
            headers: spec.http.headers,
            publish_keep_alive: spec.http.publish_keep_alive,
            ordered: spec.webrtc.ordered,
            max_retransmits: spec.webrtc.max_retransmits,
            peer_to_peer: spec.webrtc.peer_to_peer,
        }
    }
}
