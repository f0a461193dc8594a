//! What bytes become on the network: segments, and the headers around them.

use std::ops::AddAssign;

use crate::host::tcp::TcpCost;

/// Packets of some connections, both ways, and all that is in them: headers of TCP or UDP and of IP, acknowledgements,
/// handshakes, what was sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    /// Segments and datagrams received.
    pub segments_in: u64,
    /// Segments and datagrams sent.
    pub segments_out: u64,
    /// Bytes of IP packets received.
    pub ip_in_bytes: u64,
    /// Bytes of IP packets sent.
    pub ip_out_bytes: u64,
}

/// The IP header of an address family, in bytes, without options or extensions (RFC 791, RFC 8200).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpHeader(u64);

impl IpHeader {
    /// That of packets to or from this address.
    pub fn of(address: std::net::IpAddr) -> IpHeader {
        IpHeader(if address.is_ipv4() { 20 } else { 40 })
    }
}

const TCP_HEADER_BYTES: u64 = 20;

const UDP_HEADER_BYTES: u64 = 8;

/// The timestamps option with its padding (RFC 7323, appendix A).
const TIMESTAMPS_BYTES: u64 = 12;

/// What a SYN carries beyond the options of every segment: maximum segment size (4), selective acknowledgement and
/// window scale, which share a padded word with the timestamps, or have 8 to themselves.
const fn syn_options_bytes(timestamps: bool) -> u64 {
    if timestamps { 8 } else { 12 }
}

/// Largest payload of a segment on an Ethernet of MTU 1500 with timestamps over IPv4, in bytes.
const MTU_1500_SEGMENT_BYTES: u64 = 1500 - 20 - TCP_HEADER_BYTES - TIMESTAMPS_BYTES;

/// Headers of one segment there, in bytes.
pub const MTU_1500_HEADER_BYTES: u64 = 1500 - MTU_1500_SEGMENT_BYTES;

/// Segments beyond the first that one read or write of so many bytes would come to at an MTU of 1500. The loopback
/// device, whose MTU is 65,536, makes one of it.
#[inline]
pub fn mtu_1500_extra_segments(bytes: u64) -> u64 {
    bytes.saturating_sub(1) / MTU_1500_SEGMENT_BYTES
}

impl Packets {
    /// One TCP connection. Blocks of selective acknowledgement, which only loss brings, are not in it.
    pub fn of_tcp(cost: &TcpCost, ip: IpHeader) -> Packets {
        let options = if cost.timestamps { TIMESTAMPS_BYTES } else { 0 };
        let header = ip.0 + TCP_HEADER_BYTES + options;
        let bytes = |payload: u64, segments: u64| {
            // The first segment each way is a SYN.
            let syn = if segments > 0 { syn_options_bytes(cost.timestamps) } else { 0 };
            payload + segments * header + syn
        };
        Packets {
            segments_in: cost.segments_in,
            segments_out: cost.segments_out,
            ip_in_bytes: bytes(cost.in_bytes, cost.segments_in),
            ip_out_bytes: bytes(cost.out_bytes, cost.segments_out),
        }
    }

    /// A datagram received.
    pub fn datagram_in(payload_bytes: u64, ip: IpHeader) -> Packets {
        let ip_in_bytes = ip.0 + UDP_HEADER_BYTES + payload_bytes;
        Packets { segments_in: 1, ip_in_bytes, ..Packets::default() }
    }

    /// A datagram sent.
    pub fn datagram_out(payload_bytes: u64, ip: IpHeader) -> Packets {
        let ip_out_bytes = ip.0 + UDP_HEADER_BYTES + payload_bytes;
        Packets { segments_out: 1, ip_out_bytes, ..Packets::default() }
    }
}

impl AddAssign for Packets {
    fn add_assign(&mut self, other: Packets) {
        self.segments_in += other.segments_in;
        self.segments_out += other.segments_out;
        self.ip_in_bytes += other.ip_in_bytes;
        self.ip_out_bytes += other.ip_out_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4() -> IpHeader {
        IpHeader::of([127, 0, 0, 1].into())
    }

    #[test]
    fn a_fresh_exchange_is_what_a_capture_shows() {
        // SYN, ACK, request of 100 B, ACK of the answer, FIN, ACK of the FIN: 60 + 52 + 152 + 52 + 52 + 52.
        let cost = TcpCost {
            in_bytes: 200,
            out_bytes: 100,
            segments_in: 5,
            segments_out: 6,
            timestamps: true,
            ended: true,
        };
        let packets = Packets::of_tcp(&cost, v4());
        assert_eq!((packets.segments_in, packets.segments_out), (5, 6));
        assert_eq!(packets.ip_out_bytes, 60 + 52 + 152 + 52 + 52 + 52);
        // SYN+ACK, ACK of the request, answer, ACK of the FIN, FIN.
        assert_eq!(packets.ip_in_bytes, 60 + 52 + 252 + 52 + 52);
    }

    #[test]
    fn options_and_families_change_the_headers_alone() {
        let cost = TcpCost { segments_in: 1, segments_out: 2, ..TcpCost::default() };
        let bytes = |ip| {
            let packets = Packets::of_tcp(&cost, ip);
            (packets.ip_in_bytes, packets.ip_out_bytes)
        };
        assert_eq!(bytes(v4()), (52, 52 + 40));
        assert_eq!(bytes(IpHeader::of(std::net::Ipv6Addr::LOCALHOST.into())), (72, 72 + 60));
        assert_eq!(Packets::of_tcp(&TcpCost::default(), v4()), Packets::default());
        assert_eq!(Packets::datagram_out(100, v4()).ip_out_bytes, 128);
    }

    #[test]
    fn loopback_hides_the_segments_of_long_messages() {
        let extra = [0, 1, 1448, 1449, 2896, 2897, 65_483].map(mtu_1500_extra_segments);
        assert_eq!(extra, [0, 0, 0, 1, 1, 2, 45]);
        assert_eq!(MTU_1500_HEADER_BYTES, 52);
    }
}
