//! All peer connections of one client: its socket, its timer, and which datagram belongs to whom.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use reference_server::rtc::{MAX_DATAGRAM_BYTES, Routes, is_stun};
use tokio::time::Sleep;

use super::peer::{Outlet, Peer};
use crate::protocol::dialect::Talk;
use crate::protocol::{Failure, Inbox, Message, Phase, Seat};
use crate::transport::meter::Meter;
use crate::transport::udp::Datagrams;

/// Who takes what arrives.
pub(super) struct Listener<'a> {
    pub(super) inbox: &'a mut dyn Inbox,
    /// With the server, whose messages are not all payloads; `None` among the members of a group.
    pub(super) talk: Option<&'a mut Talk>,
}

/// A client's connections, in slots: one for the server, or one for each member of its group.
pub(super) struct Endpoint {
    wire: Datagrams,
    slots: Vec<Option<Box<Peer>>>,
    routes: Routes<usize>,
    alarm: Pin<Box<Sleep>>,
    /// When the alarm goes off, if it is set; not later than the earliest deadline.
    alarm_at: Option<Instant>,
    /// Who waits for room in a send buffer.
    blocked: Option<Waker>,
    meter: Rc<Meter>,
}

/// What became of one datagram or timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Happened {
    /// A channel opened.
    pub(super) opened: bool,
    /// Payloads were pushed.
    pub(super) received: bool,
}

/// Where a peer's output goes while payloads may arrive.
struct Sink<'a, 'i> {
    slot: usize,
    wire: &'a mut Datagrams,
    routes: &'a mut Routes<usize>,
    listener: Option<&'a mut Listener<'i>>,
    received: bool,
}

impl Outlet for Sink<'_, '_> {
    fn transmit(&mut self, to: SocketAddr, datagram: Vec<u8>) {
        if is_stun(&datagram) {
            self.routes.learn(self.slot, to);
        }
        self.wire.send(to, datagram);
    }

    fn arrived(&mut self, payload: &[u8], binary: bool) -> Result<(), Failure> {
        // There is a listener wherever there is input, and without input nothing arrives.
        let Some(Listener { inbox, talk }) = self.listener.as_deref_mut() else { return Ok(()) };
        self.received = true;
        match talk {
            Some(talk) => talk.message(payload, binary, *inbox)?,
            None => inbox.push(payload),
        }
        Ok(())
    }
}

impl Endpoint {
    /// Opens the socket of a client that will have up to `slots` connections.
    pub(super) fn open(seat: &Seat, slots: usize) -> Result<Endpoint, Failure> {
        let wire = datagrams(seat).map_err(|error| Failure::io(Phase::Connect, &error))?;
        Ok(Endpoint {
            wire,
            slots: (0..slots).map(|_| None).collect(),
            routes: Routes::default(),
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
            alarm_at: None,
            blocked: None,
            meter: seat.meter.clone(),
        })
    }

    /// Where the other ends can reach this one.
    pub(super) fn address(&self) -> SocketAddr {
        self.wire.address()
    }

    /// Puts a connection into a slot; one that was there is dropped.
    pub(super) fn insert(&mut self, slot: usize, mut peer: Peer) {
        self.routes.remove(slot);
        self.routes.add(slot, &peer.ufrag());
        self.slots[slot] = Some(Box::new(peer));
    }

    /// The connection in a slot.
    pub(super) fn peer(&mut self, slot: usize) -> Option<&mut Peer> {
        self.slots.get_mut(slot)?.as_deref_mut()
    }

    /// Number of open channels.
    pub(super) fn open_channels(&self) -> usize {
        self.slots.iter().flatten().filter(|peer| peer.is_open()).count()
    }

    /// Goes on with whatever comes first. Returns after each datagram that brought a payload, so that the next one is
    /// stamped when it is read and not before.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        listener: &mut Listener<'_>,
    ) -> Poll<Result<Happened, Failure>> {
        let mut buffer = [0; MAX_DATAGRAM_BYTES];
        loop {
            let now = Instant::now();
            let happened = self.tick(now, listener)?;
            if happened != Happened::default() {
                return Poll::Ready(Ok(happened));
            }
            if let Poll::Ready(read) = self.wire.poll_recv(cx, &mut buffer) {
                let (length, from) = read.map_err(|error| Failure::io(Phase::Receive, &error))?;
                let happened = self.receive(from, &buffer[..length], listener)?;
                if happened != Happened::default() {
                    return Poll::Ready(Ok(happened));
                }
                continue;
            }
            if let Poll::Ready(Err(error)) = self.wire.poll_flush(cx) {
                return Poll::Ready(Err(Failure::io(Phase::Receive, &error)));
            }
            ready!(self.poll_alarm(cx));
        }
    }

    fn receive(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        listener: &mut Listener<'_>,
    ) -> Result<Happened, Failure> {
        let Some(slot) = self.routes.find(from, datagram) else { return Ok(Happened::default()) };
        let now = Instant::now();
        let path = (from, self.wire.address());
        let happened =
            self.act(slot, Some(listener), |peer, sink| peer.receive(now, path, datagram, sink))?;
        // Perhaps it acknowledged something.
        if let Some(blocked) = self.blocked.take() {
            blocked.wake();
        }
        Ok(happened)
    }

    /// Obeys the timers that are due.
    fn tick(&mut self, now: Instant, listener: &mut Listener<'_>) -> Result<Happened, Failure> {
        let mut all = Happened::default();
        for slot in 0..self.slots.len() {
            if self.slots[slot].as_ref().is_some_and(|peer| peer.deadline() <= now) {
                let one = self.act(slot, Some(listener), |peer, sink| peer.tick(now, sink))?;
                all.opened |= one.opened;
                all.received |= one.received;
            }
        }
        Ok(all)
    }

    /// Does something to a peer and sees what becomes of it.
    fn act(
        &mut self,
        slot: usize,
        listener: Option<&mut Listener<'_>>,
        act: impl FnOnce(&mut Peer, &mut Sink<'_, '_>) -> Result<(), Failure>,
    ) -> Result<Happened, Failure> {
        let Some(Some(peer)) = self.slots.get_mut(slot) else { return Ok(Happened::default()) };
        let was_open = peer.is_open();
        let mut sink =
            Sink { slot, wire: &mut self.wire, routes: &mut self.routes, listener, received: false };
        act(peer, &mut sink)?;
        let happened = Happened { opened: !was_open && peer.is_open(), received: sink.received };
        // As with TCP, a connection is counted by the end that opened it: a mesh of ten has 45, not 90.
        self.meter.connections.add(u64::from(happened.opened && peer.is_offered()));
        Ok(happened)
    }

    /// Ready when the earliest deadline may have come.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(next) = self.slots.iter().flatten().map(|peer| peer.deadline()).min() else {
            return Poll::Pending;
        };
        // A deadline that moves away, as nearly all do with every datagram, leaves the alarm alone.
        if self.alarm_at.is_none_or(|at| next < at) {
            self.alarm.as_mut().reset(next.into());
            self.alarm_at = Some(next);
        }
        ready!(self.alarm.as_mut().poll(cx));
        self.alarm_at = None;
        Poll::Ready(())
    }

    /// Writes `message` to every channel, if all have room for it. Datagrams that the system does not take at once go out with
    /// [`Endpoint::poll`].
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: Message<'_>,
    ) -> Poll<Result<(), Failure>> {
        if !self.slots.iter_mut().flatten().all(|peer| peer.has_room()) {
            self.blocked = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.write(message)?;
        match self.wire.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(Failure::io(Phase::Send, &error))),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    /// Writes `message` to every channel. What it becomes goes out with [`Endpoint::poll`].
    pub(super) fn write(&mut self, message: Message<'_>) -> Result<(), Failure> {
        let now = Instant::now();
        for slot in 0..self.slots.len() {
            self.act(slot, None, |peer, sink| peer.write(now, message, sink))?;
        }
        Ok(())
    }

    /// Begins to say goodbye on all connections.
    pub(super) fn close(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        for slot in 0..self.slots.len() {
            self.act(slot, None, |peer, sink| peer.close(now, sink))?;
        }
        Ok(())
    }

    /// Ready when the goodbyes are handed to the system.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.wire.poll_gone(cx).map_err(|error| Failure::io(Phase::Close, &error))
    }
}

/// The socket of a client, behind its link. Towards the server that is the whole of it; between peers each end has its half.
fn datagrams(seat: &Seat) -> std::io::Result<Datagrams> {
    let peers = seat.options.peer_to_peer && seat.mesh.is_some();
    let link = seat.link.as_ref().map(|link| if peers { link.halved() } else { link.clone() });
    let socket = Datagrams::bind(seat.source, seat.target.address, seat.meter.clone())?;
    Ok(match &seat.relay {
        Some(relay) => socket.through(relay.clone()),
        None => socket.behind(link.as_ref()),
    })
}
