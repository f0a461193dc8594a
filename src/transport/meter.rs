//! Where bytes are counted. One meter serves many clients of one worker, which is one thread: no locks, no atomics.

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;

use super::packets::{IpHeader, Packets};
use super::reception::Reception;
use super::tally::Tally;
use crate::host::tcp;

/// Counts of what crossed the sockets: directly below the protocols (`wire`), directly above the sockets, and the
/// packets that the kernel made of it.
#[derive(Debug, Default)]
pub struct Meter {
    /// Bytes read by protocols.
    pub wire_in_bytes: Tally,
    /// Bytes written by protocols.
    pub wire_out_bytes: Tally,
    /// Bytes read from sockets: the same, or what TLS made of them.
    pub socket_in_bytes: Tally,
    /// Bytes written to sockets.
    pub socket_out_bytes: Tally,
    /// Segments that what was read would have come in at an MTU of 1500 beyond one for each burst.
    pub mtu_1500_extra_in: Tally,
    /// Segments that the writes would have become there beyond one for each.
    pub mtu_1500_extra_out: Tally,
    /// Connections opened (TCP connects, data-channel peer connections).
    pub connections: Tally,
    /// TCP connections that broke off, by either end: the packets of their end are not in [`Meter::packets`].
    pub estimated_connections: Tally,
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
    /// Bytes of IP packets that carried STUN, both ways: ICE's checks and keep-alives.
    pub stun_ip_bytes: Tally,
    /// The same of DTLS's handshakes and alerts.
    pub dtls_ip_bytes: Tally,
    /// The same of what SCTP sends for itself: acknowledgements without a message, heartbeats.
    pub sctp_control_ip_bytes: Tally,
    /// How the server met those who are counted here.
    pub reception: Reception,
    /// Packets of datagrams and of connections that are over.
    done: Cell<Packets>,
    /// Connections that are open, and the holes that others left.
    open: RefCell<Vec<Option<Open>>>,
    holes: RefCell<Vec<usize>>,
}

/// A connection that the kernel can be asked about.
#[derive(Clone, Copy, Debug)]
struct Open {
    fd: RawFd,
    ip: IpHeader,
}

impl Open {
    fn packets(&self) -> Packets {
        tcp::cost(self.fd).map_or_else(Packets::default, |cost| Packets::of_tcp(&cost, self.ip))
    }
}

/// An open connection's place in its meter.
#[derive(Debug)]
pub(super) struct Place(usize);

impl Meter {
    /// Packets of everything so far. Asks the kernel about each open connection, about half a microsecond each: for
    /// the ends of a measurement.
    pub fn packets(&self) -> Packets {
        let mut sum = self.done.get();
        self.open.borrow().iter().flatten().for_each(|open| sum += open.packets());
        sum
    }

    /// Packets that are over and done with.
    pub(super) fn add_packets(&self, packets: Packets) {
        let mut sum = self.done.get();
        sum += packets;
        self.done.set(sum);
    }

    /// A connection that is to be asked about until [`Meter::close`], which must come before the descriptor closes.
    pub(super) fn open(&self, fd: RawFd, ip: IpHeader) -> Place {
        let mut open = self.open.borrow_mut();
        let place = self.holes.borrow_mut().pop().unwrap_or(open.len());
        if place == open.len() {
            open.push(None);
        }
        open[place] = Some(Open { fd, ip });
        Place(place)
    }

    /// The last that is asked about a connection.
    pub(super) fn close(&self, place: &Place) {
        let Some(open) = self.open.borrow_mut()[place.0].take() else { return };
        self.holes.borrow_mut().push(place.0);
        if let Some(cost) = tcp::cost(open.fd) {
            self.add_packets(Packets::of_tcp(&cost, open.ip));
            self.estimated_connections.add(u64::from(!cost.ended));
        }
    }
}
