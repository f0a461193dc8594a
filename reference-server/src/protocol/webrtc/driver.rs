//! The task that does I/O and keeps time for all peers.

use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use str0m::RtcConfig;
use tokio::sync::{mpsc, oneshot};
use tokio::task::coop::{Unconstrained, unconstrained};
use tokio::time::Sleep;

use super::BadOffer;
use super::peer::{Gone, Peer};
use super::port::Port;
use super::timers::Timers;
use super::wake::ReadyQueue;
use crate::app::App;
use crate::request::Subscribe;
use crate::rtc::{MAX_DATAGRAM_BYTES, Routes, is_stun};

/// Datagrams read from one socket before the others, the timers and the hub get their turn.
const READ_BATCH: usize = 64;

/// How long one kind of work goes on before the next, and all that is not WebRTC, get their turn. A datagram costs some
/// 0.02 ms, an offer 0.2.
const TURN: Duration = Duration::from_micros(200);

/// An SDP offer that wants an answer; `request` holds for each channel that the client then opens.
pub(super) struct Offer {
    pub(super) sdp: String,
    pub(super) request: Subscribe,
    pub(super) reply: oneshot::Sender<Result<String, BadOffer>>,
}

/// All peers of a server, and what they share.
pub(super) struct Driver {
    app: Arc<App>,
    config: RtcConfig,
    offers: mpsc::Receiver<Offer>,
    ports: Vec<Port>,
    /// The port that the next peer is told to prefer.
    turn: usize,
    /// By number; numbers are used again.
    peers: Vec<Option<Box<Peer>>>,
    free: Vec<u32>,
    routes: Routes<u32>,
    timers: Timers,
    alarm: Pin<Box<Sleep>>,
    ready: Arc<ReadyQueue>,
    /// Numbers of woken peers; kept for its capacity.
    woken: Vec<u32>,
}

impl Driver {
    /// The task that serves the sockets. It bounds its own turns: of tokio's budget the first sockets would take all under
    /// load, and the others would never be read.
    pub(super) fn start(
        app: Arc<App>,
        sockets: Vec<UdpSocket>,
        config: RtcConfig,
        offers: mpsc::Receiver<Offer>,
    ) -> io::Result<Unconstrained<Driver>> {
        Ok(unconstrained(Driver {
            app,
            config,
            offers,
            ports: sockets.into_iter().map(Port::new).collect::<io::Result<_>>()?,
            turn: 0,
            peers: Vec::new(),
            free: Vec::new(),
            routes: Routes::default(),
            timers: Timers::default(),
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
            ready: Arc::default(),
            woken: Vec::new(),
        }))
    }

    /// Whether more may be waiting than was answered.
    fn answer_offers(&mut self, cx: &mut Context<'_>) -> bool {
        let end = Instant::now() + TURN;
        loop {
            let Poll::Ready(Some(Offer { sdp, request, reply })) = self.offers.poll_recv(cx) else {
                return false;
            };
            // Who left before the answer came leaves a peer behind that is given up in time.
            let _ = reply.send(self.answer(&sdp, request));
            if Instant::now() >= end {
                return true;
            }
        }
    }

    fn answer(&mut self, sdp: &str, request: Subscribe) -> Result<String, BadOffer> {
        let now = Instant::now();
        let number = self.free.last().copied().unwrap_or(self.peers.len() as u32);
        // All peers learn all addresses; each in turn prefers another, so that no socket carries all of them.
        let (before, after) = self.ports.split_at(self.turn);
        let (mut peer, answer) = Peer::answer(
            &self.app,
            self.config.clone(),
            after.iter().chain(before).flat_map(Port::addresses),
            sdp,
            (request, self.ready.waker(number)),
            now,
        )?;
        self.turn = (self.turn + 1) % self.ports.len().max(1);
        self.routes.add(number, &peer.ufrag());
        match self.free.pop() {
            Some(number) => self.peers[number as usize] = Some(Box::new(peer)),
            None => self.peers.push(Some(Box::new(peer))),
        }
        self.act(number, now, |peer| peer.tick(now));
        Ok(answer)
    }

    /// Whether more may be waiting than was read.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        let mut buffer = [0; MAX_DATAGRAM_BYTES];
        let mut more = false;
        let share = TURN / self.ports.len().max(1) as u32;
        for port in 0..self.ports.len() {
            let mut left = READ_BATCH;
            let mut end = None;
            while let Poll::Ready(read) = self.ports[port].poll_recv(cx, &mut buffer) {
                let now = Instant::now();
                // An error belongs to some datagram sent earlier, not to the socket.
                if let Ok((length, from)) = read
                    && let (from, to) = self.ports[port].seen(from)
                    && let Some(peer) = self.routes.find(from, &buffer[..length])
                {
                    self.act(peer, now, |peer| peer.receive(now, from, to, &buffer[..length]));
                }
                left -= 1;
                if left == 0 || now >= *end.get_or_insert(now + share) {
                    more = true;
                    break;
                }
            }
        }
        more
    }

    /// Whether more were woken than were served.
    fn serve_woken(&mut self) -> bool {
        let mut woken = std::mem::take(&mut self.woken);
        self.ready.take(&mut woken);
        let mut served = 0;
        if !woken.is_empty() {
            let mut now = Instant::now();
            let end = now + TURN;
            while served < woken.len() && now < end {
                self.act(woken[served], now, |_| Ok(()));
                served += 1;
                now = Instant::now();
            }
        }
        woken.drain(..served);
        self.woken = woken;
        !self.woken.is_empty()
    }

    fn keep_time(&mut self, cx: &mut Context<'_>) {
        loop {
            let now = Instant::now();
            while let Some((at, number)) = self.timers.pop(now) {
                let Some(Some(peer)) = self.peers.get_mut(number as usize) else { continue };
                if self.timers.expire(number, &mut peer.timer, at, now) {
                    self.act(number, now, |peer| peer.tick(now));
                }
            }
            let Some(next) = self.timers.next() else { return };
            if self.alarm.deadline() != next.into() {
                self.alarm.as_mut().reset(next.into());
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return;
            }
        }
    }

    /// Does something to a peer, and all that follows from it.
    fn act(&mut self, number: u32, now: Instant, act: impl FnOnce(&mut Peer) -> Result<(), Gone>) {
        let Some(Some(peer)) = self.peers.get_mut(number as usize) else { return };
        let (ports, routes) = (&mut self.ports, &mut self.routes);
        let next = act(peer).and_then(|()| {
            peer.pump(now, &mut |transmit| {
                if is_stun(&transmit.contents) {
                    routes.learn(number, transmit.destination);
                }
                if let Some(port) =
                    ports.iter_mut().find(|port| port.addresses().any(|own| own == transmit.source))
                {
                    port.send(transmit.destination, transmit.contents);
                }
            })
        });
        match next {
            Ok(next) => self.timers.set(number, &mut peer.timer, next),
            Err(Gone) => self.forget(number),
        }
    }

    fn forget(&mut self, number: u32) {
        if self.peers.get_mut(number as usize).and_then(Option::take).is_some() {
            self.routes.remove(number);
            self.free.push(number);
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.ready.register(cx.waker());
        let mut more = this.answer_offers(cx);
        more |= this.read(cx);
        more |= this.serve_woken();
        this.keep_time(cx);
        for port in &mut this.ports {
            // Until it is ready, the socket wakes the task.
            let _ = port.poll_flush(cx);
        }
        if more {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
