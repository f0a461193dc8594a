//! What was counted of clients, messages and bytes.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Clients and messages of the window. `expected` and `delivered + lost` are independent counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Counts {
    /// Clients that became ready.
    pub connected: u64,
    /// Events sent in the window, counted by publishers.
    pub published: u64,
    /// The same, as publishers announced it at their end by the last sequence of each; absent in older records.
    #[serde(default)]
    pub announced: u64,
    /// Deliveries owed: for each event, the subscribers of its topic. Counted from the publishers' side, less `excused`.
    pub expected: u64,
    /// Deliveries received once, counted by subscribers.
    pub delivered: u64,
    /// Deliveries that never came, counted by subscribers as gaps.
    pub lost: u64,
    /// Deliveries that nobody was owed: due while a subscriber whose protocol does not resume was cut off. In neither
    /// `expected` nor `lost`.
    #[serde(default)]
    pub excused: u64,
    /// Clients that had been ready and missed a part of the rest: cut off for good, not back when the window ended, or cut off
    /// for a while where the protocol does not resume.
    #[serde(default)]
    pub cut_short: u64,
    /// Deliveries received again.
    pub duplicates: u64,
    /// Deliveries that came after one of a higher sequence.
    pub reordered: u64,
    /// Deliveries that came after the drain's deadline; also in `lost`.
    pub late: u64,
    /// Payloads whose checksum was wrong.
    pub corrupt: u64,
    /// Payloads that were no envelope of this run.
    pub foreign: u64,
    /// Deliveries that the server said it dropped.
    pub declared_missed: u64,
    /// Events that were due and that the generator could not send before the end of the window.
    pub shed: u64,
    /// Events that were due and could not be sent because the server had not taken or answered what was sent before, or had
    /// cut the publisher off.
    #[serde(default)]
    pub held_back: u64,
    /// Events in `published` that the server had neither acknowledged nor refused at the end, where publishing is answered.
    #[serde(default)]
    pub unanswered: u64,
    /// Deliveries with a receipt before their due or sent time (clock error).
    pub negative: u64,
    /// Events that went out from the barrier to the end, warm-up included; divisor of `publisher_wire`.
    pub published_all: u64,
    /// Payload bytes of those.
    pub published_all_bytes: u64,
    /// Deliveries from the barrier to the end, warm-up included; divisor of `subscriber_wire`.
    pub delivered_all: u64,
    /// Payload bytes of those.
    pub delivered_all_bytes: u64,
    /// Deliveries received while the window was open, whenever due; divisor of what is read at its two ends (CPU).
    pub received_in_window: u64,
    /// Deliveries in `lost` that a reliable channel owed until the drain's deadline: each is a sample of `response` at
    /// the time it was waited for, so that percentiles do not flatter a server that loses.
    #[serde(default)]
    pub censored: u64,
}

/// What crossed the sockets of one role, from the barrier (everybody ready, nothing under way) to the end of the drain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default)]
pub struct Wire {
    /// Bytes read, directly below the protocol.
    pub in_bytes: u64,
    /// Bytes written, directly below the protocol.
    pub out_bytes: u64,
    /// Bytes read from sockets, below TLS; the same as `in_bytes` where there is none.
    pub socket_in_bytes: u64,
    /// Bytes written to sockets.
    pub socket_out_bytes: u64,
    /// TCP segments (`TCP_INFO`) and datagrams received; 0 where the system does not tell.
    pub segments_in: u64,
    /// Segments and datagrams sent.
    pub segments_out: u64,
    /// Bytes of IP packets received: everything, acknowledgements and handshakes included.
    pub ip_in_bytes: u64,
    /// Bytes of IP packets sent.
    pub ip_out_bytes: u64,
    /// Segments that what was read would have needed at an MTU of 1500 beyond one for each burst.
    pub mtu_1500_extra_in: u64,
    /// Segments that writes would have needed beyond one each.
    pub mtu_1500_extra_out: u64,
    /// Connections opened since the barrier.
    pub connections: u64,
    /// TCP connections that broke off: the packets of their end are missing.
    pub estimated_connections: u64,
    /// HTTP exchanges completed.
    pub exchanges: u64,
    /// Polls among them that brought nothing.
    pub empty_exchanges: u64,
    /// Bytes read in completed exchanges.
    pub exchange_in_bytes: u64,
    /// Bytes written in completed exchanges.
    pub exchange_out_bytes: u64,
    /// Datagrams read.
    pub datagrams_in: u64,
    /// Datagrams written.
    pub datagrams_out: u64,
    /// Bytes of IP packets that carried STUN (ICE's checks and keep-alives), both ways.
    pub stun_ip_bytes: u64,
    /// The same of DTLS's handshakes and alerts.
    pub dtls_ip_bytes: u64,
    /// The same of SCTP's acknowledgements that travel alone, and heartbeats.
    pub sctp_control_ip_bytes: u64,
    /// HTTP exchanges completed while the window was open.
    pub exchanges_in_window: u64,
    /// Polls among those that brought nothing.
    pub empty_exchanges_in_window: u64,
}

/// Combining two records field by field, whatever fields there are.
macro_rules! zip {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl $type {
            /// Combines each field with the same field of another record.
            pub fn zip(&self, other: &Self, combine: impl Fn(u64, u64) -> u64) -> Self {
                $type { $($field: combine(self.$field, other.$field)),* }
            }
        }
    };
}

zip!(Counts {
    connected,
    published,
    announced,
    expected,
    delivered,
    lost,
    excused,
    cut_short,
    duplicates,
    reordered,
    late,
    corrupt,
    foreign,
    declared_missed,
    shed,
    held_back,
    unanswered,
    negative,
    published_all,
    published_all_bytes,
    delivered_all,
    delivered_all_bytes,
    received_in_window,
    censored,
});

zip!(Wire {
    in_bytes,
    out_bytes,
    socket_in_bytes,
    socket_out_bytes,
    segments_in,
    segments_out,
    ip_in_bytes,
    ip_out_bytes,
    mtu_1500_extra_in,
    mtu_1500_extra_out,
    connections,
    estimated_connections,
    exchanges,
    empty_exchanges,
    exchange_in_bytes,
    exchange_out_bytes,
    datagrams_in,
    datagrams_out,
    stun_ip_bytes,
    dtls_ip_bytes,
    sctp_control_ip_bytes,
    exchanges_in_window,
    empty_exchanges_in_window,
});
