//! The layers below the protocol: what TLS and the network added, each direction by itself.
//!
//! ```text
//! payload | framing and headers | TLS | TCP/IP or UDP/IP with acknowledgements
//!         ^ bytes.rs            ^ below the protocol    ^ the socket            = bytes of IP packets
//! ```
//!
//! All run from the barrier to the end of the drain. With connections that are kept, their handshakes lie before
//! that; with fresh ones, each exchange pays for its own.

use super::bytes::{per, polls};
use super::cell::{Cell, Wire};
use crate::scenario::kinds::Encryption;
use crate::transport::packets::MTU_1500_HEADER_BYTES;

/// As the clients see it.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    In,
    Out,
}

/// A layer beneath the protocol.
#[derive(Clone, Copy)]
pub(super) enum Layer {
    /// Handshakes, records, tags, alerts. Absent for plain connections, and for data channels, whose DTLS lies within
    /// their datagrams.
    Tls,
    /// Headers of TCP or UDP and of IP, acknowledgements, handshakes, what was sent again. As it was on the loopback
    /// device, whose MTU is 65,536: a long message is one segment there.
    Network,
    /// The same at an MTU of 1500, by arithmetic: each write and read makes as many segments as it needs, and each
    /// second segment beyond the first is acknowledged. For TCP over IPv4 with timestamps; datagrams are made for such
    /// an MTU anyway.
    NetworkMtu1500,
}

use Direction::{In, Out};

impl Layer {
    /// Bytes that the layer added.
    fn bytes(self, cell: &Cell, wire: &Wire, direction: Direction) -> Option<f64> {
        let (protocol, socket, ip) = match direction {
            In => (wire.in_bytes, wire.socket_in_bytes, wire.ip_in_bytes),
            Out => (wire.out_bytes, wire.socket_out_bytes, wire.ip_out_bytes),
        };
        match self {
            Layer::Tls => {
                let encrypted =
                    cell.spec.tls == Encryption::Tls && wire.datagrams_in + wire.datagrams_out == 0;
                encrypted.then_some(socket as f64 - protocol as f64)
            }
            Layer::Network => (ip > 0).then_some(ip as f64 - socket as f64),
            Layer::NetworkMtu1500 => {
                let (with, against) = match direction {
                    In => (wire.mtu_1500_extra_in, wire.mtu_1500_extra_out),
                    Out => (wire.mtu_1500_extra_out, wire.mtu_1500_extra_in),
                };
                let extra_segments = with as f64 + against as f64 / 2.0;
                Some(
                    Layer::Network.bytes(cell, wire, direction)?
                        + extra_segments * MTU_1500_HEADER_BYTES as f64,
                )
            }
        }
    }

    /// What subscribers paid, per delivered message: wasted polls are paid for by the messages that did arrive.
    pub(super) fn per_delivery(self, cell: &Cell, direction: Direction) -> Option<f64> {
        per(self.bytes(cell, &cell.subscriber_wire, direction)?, cell.counts.delivered_all)
    }

    /// The same, per completed poll.
    pub(super) fn per_exchange(self, cell: &Cell, direction: Direction) -> Option<f64> {
        polls(cell).then_some(())?;
        per(self.bytes(cell, &cell.subscriber_wire, direction)?, cell.subscriber_wire.exchanges)
    }

    /// What publishing paid on connections of its own, both ways, per event.
    pub(super) fn publish(self, cell: &Cell) -> Option<f64> {
        let wire = &cell.publisher_wire;
        (wire.out_bytes > 0).then_some(())?;
        per(self.bytes(cell, wire, In)? + self.bytes(cell, wire, Out)?, cell.counts.published_all)
    }
}

/// Bytes of a poll's request or answer beyond payload, without TLS and TCP/IP.
pub(super) fn headers_per_exchange(cell: &Cell, direction: Direction) -> Option<f64> {
    polls(cell).then_some(())?;
    let wire = &cell.subscriber_wire;
    let bytes = match direction {
        In => wire.exchange_in_bytes as f64 - cell.counts.delivered_all_bytes as f64,
        Out => wire.exchange_out_bytes as f64,
    };
    per(bytes, wire.exchanges)
}

/// Bytes of all IP packets of subscribers, both ways, payload included, per delivered message.
pub(super) fn ip_per_delivery(cell: &Cell) -> Option<f64> {
    let wire = &cell.subscriber_wire;
    let bytes = wire.ip_in_bytes + wire.ip_out_bytes;
    (bytes > 0).then_some(())?;
    per(bytes as f64, cell.counts.delivered_all)
}

/// The same without payload: everything that a message costs a subscriber on the network beside itself.
pub(super) fn ip_overhead_per_delivery(cell: &Cell) -> Option<f64> {
    let payload = per(cell.counts.delivered_all_bytes as f64, cell.counts.delivered_all)?;
    Some(ip_per_delivery(cell)? - payload)
}

/// What of the bytes of IP packets carried no message, of one kind; data channels only.
pub(super) fn aside_per_delivery(cell: &Cell, of: fn(&Wire) -> u64) -> Option<f64> {
    let wire = &cell.subscriber_wire;
    (wire.datagrams_in + wire.datagrams_out > 0).then_some(())?;
    per(of(wire) as f64, cell.counts.delivered_all)
}

/// Bytes of IP packets beyond payload, both ways, per completed poll.
pub(super) fn ip_overhead_per_exchange(cell: &Cell) -> Option<f64> {
    polls(cell).then_some(())?;
    let wire = &cell.subscriber_wire;
    let bytes = (wire.ip_in_bytes + wire.ip_out_bytes) as f64 - cell.counts.delivered_all_bytes as f64;
    (wire.ip_in_bytes > 0).then_some(())?;
    per(bytes, wire.exchanges)
}

/// Bytes a second that one of N peers sends who each send this cell's stream to all others: the stream's copies, and the
/// answers to those of the others, which by symmetry are the answers to this one.
pub(super) fn mesh_upload_per_s(cell: &Cell) -> Option<f64> {
    (cell.spec.webrtc.peer_to_peer && cell.publisher_wire.ip_out_bytes > 0).then_some(())?;
    let bytes = cell.publisher_wire.ip_out_bytes + cell.subscriber_wire.ip_out_bytes;
    Some(per(bytes as f64, cell.counts.published_all)? * cell.spec.rate_per_s)
}

/// TCP segments or datagrams of subscribers, both ways, per delivered message.
pub(super) fn segments_per_delivery(cell: &Cell) -> Option<f64> {
    let wire = &cell.subscriber_wire;
    let segments = wire.segments_in + wire.segments_out;
    (segments > 0).then_some(())?;
    per(segments as f64, cell.counts.delivered_all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::sample;

    /// 10 messages of 100 B in frames of 102 B and records of 124 B, a segment and its acknowledgement for each.
    fn secured() -> Cell {
        let mut cell = sample::cell("workload/websocket").build();
        cell.counts.delivered_all = 10;
        cell.counts.delivered_all_bytes = 1_000;
        cell.spec.tls = Encryption::Tls;
        cell.subscriber_wire = Wire {
            in_bytes: 1_020,
            socket_in_bytes: 1_240,
            ip_in_bytes: 1_240 + 520,
            ip_out_bytes: 520,
            segments_in: 10,
            segments_out: 10,
            ..Wire::default()
        };
        cell
    }

    #[test]
    fn the_layers_add_up_to_the_packets() {
        let cell = secured();
        let framing = 2.0;
        let tls = Layer::Tls.per_delivery(&cell, In);
        let network = Layer::Network.per_delivery(&cell, In);
        assert_eq!((tls, network), (Some(22.0), Some(52.0)));
        assert_eq!(Layer::Network.per_delivery(&cell, Out), Some(52.0));
        assert_eq!(ip_per_delivery(&cell), Some(100.0 + framing + 22.0 + 52.0 + 52.0));
        assert_eq!(segments_per_delivery(&cell), Some(2.0));
    }

    #[test]
    fn an_ordinary_mtu_costs_headers_one_way_and_acknowledgements_the_other() {
        let mut cell = secured();
        cell.subscriber_wire.mtu_1500_extra_in = 20;
        assert_eq!(Layer::NetworkMtu1500.per_delivery(&cell, In), Some(52.0 + 2.0 * 52.0));
        assert_eq!(Layer::NetworkMtu1500.per_delivery(&cell, Out), Some(52.0 + 52.0));
    }

    #[test]
    fn what_there_is_not_or_was_not_read_is_absent() {
        let mut cell = secured();
        cell.spec.tls = Encryption::Plain;
        cell.subscriber_wire.ip_in_bytes = 0;
        assert_eq!(Layer::Tls.per_delivery(&cell, In), None);
        assert_eq!(Layer::Network.per_delivery(&cell, In), None);
        assert_eq!(Layer::NetworkMtu1500.per_delivery(&cell, In), None);
        assert_eq!(Layer::Network.per_exchange(&cell, Out), None, "a WebSocket has no exchanges");
    }

    #[test]
    fn polls_pay_by_the_exchange() {
        let mut cell = sample::cell("workload/short-poll").polls(10, 9, 600).delivering(1).build();
        assert_eq!(headers_per_exchange(&cell, In), Some(300.0));
        assert_eq!(headers_per_exchange(&cell, Out), Some(300.0));
        cell.subscriber_wire.ip_out_bytes = 10 * (300 + 6 * 52 + 8);
        cell.subscriber_wire.socket_out_bytes = 10 * 300;
        assert_eq!(Layer::Network.per_exchange(&cell, Out), Some(320.0));
        assert_eq!(Layer::Network.per_delivery(&cell, Out), Some(3_200.0));
    }
}
