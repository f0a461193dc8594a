//! Datagrams behind a link.

use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use super::Link;
use super::model::DatagramLane;
use crate::host::clock::monotonic_ns;
use crate::host::timer::Alarm;

/// Both directions of one UDP socket.
pub(in crate::transport) struct DatagramPath {
    /// What is sent.
    pub(in crate::transport) out: Way,
    /// What is received.
    pub(in crate::transport) back: Way,
}

/// One direction.
pub(in crate::transport) struct Way {
    lane: DatagramLane,
    alarm: Alarm,
}

impl DatagramPath {
    pub(in crate::transport) fn new(link: &Link) -> DatagramPath {
        let way = || Way { lane: DatagramLane::new(&link.spec, link.seed()), alarm: link.timer.alarm() };
        DatagramPath { out: way(), back: way() }
    }
}

impl std::fmt::Debug for DatagramPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DatagramPath({:?}, {:?})", self.out.lane, self.back.lane)
    }
}

impl Way {
    /// Sends a datagram, or loses it. It is under way only when `poll_next` is asked for it.
    pub(in crate::transport) fn push(&mut self, address: SocketAddr, datagram: Vec<u8>) {
        self.lane.push(monotonic_ns(), address, datagram);
    }

    /// Whether nothing is under way.
    pub(in crate::transport) fn is_empty(&self) -> bool {
        self.lane.next_ns().is_none()
    }

    /// The next datagram that came through; pending while there is none.
    pub(in crate::transport) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(SocketAddr, Vec<u8>)> {
        loop {
            if let Some(datagram) = self.lane.pop(monotonic_ns()) {
                return Poll::Ready(datagram);
            }
            let Some(next_ns) = self.lane.next_ns() else { return Poll::Pending };
            ready!(self.alarm.poll_until(cx, next_ns));
        }
    }
}
