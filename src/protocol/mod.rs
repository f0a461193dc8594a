//! The protocols: one file each, one small pair of traits, one table.
//!
//! A protocol file moves bytes and knows nothing about time, measuring, scenarios or processes. It gets a
//! [`Seat`] (who it is and what it may talk to) and gives a [`Client`]. What is said over it, and what it means, it asks the
//! target's [`Dialect`]. Where a protocol has to wait, it
//! returns the wait and the session sleeps. What it receives it pushes into an [`Inbox`], which is the session's.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::transport::link::Link;
use crate::transport::meter::Meter;
use crate::transport::stream::Dialer;
use crate::transport::turn::Relay;

mod contract;
mod dialect;
mod dialects;
mod long_poll;
mod named;
mod poll;
mod publish;
mod sending;
mod short_poll;
mod sse;
mod stream;
mod tcp;
mod webrtc;
mod websocket;

/// Every protocol, in the order of the guide's matrix, which is that of help texts and reports.
pub static ALL: &[Protocol] =
    &[short_poll::SHORT_POLL, long_poll::LONG_POLL, websocket::WEBSOCKET, sse::SSE, webrtc::WEBRTC];

pub use crate::failure::{Failure, Kind, Phase};
pub use crate::transport::target::Target;
pub use dialect::{Conversation, Dialect, Event, Heard};
pub use dialects::{DIALECTS, DialectRow, contract, dialect};
pub use poll::{Mode, PollClient};
pub use sending::Sending;
pub use stream::{Format, StreamClient};
pub use tcp::{TCP, TcpClient};
pub use websocket::WebSocketClient;

/// One simulated user on one protocol, with connections of its own.
///
/// All methods are polled with the same waker. None allocates per message where the protocol's library does not.
pub trait Client {
    /// Goes on with receiving: dials if it must, subscribes, reads.
    ///
    /// After `Err` the client is as good as new: the next call starts with a fresh connection, behind the last
    /// event it saw where the protocol itself can resume (`Traits::resumes`).
    fn poll_recv(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>>;

    /// Takes `message` whole, or nothing of it. Ready means that it is on its way: what could not be written at once goes
    /// out while the client is polled further. Pending means that the server must first take or answer what was sent
    /// before, or that there is no connection now; that wait is the server's. Only called once `poll_recv` has returned
    /// `Step::Ready`.
    fn poll_send(&mut self, cx: &mut Context<'_>, message: Message<'_>) -> Poll<Result<Sent, Failure>>;

    /// Goes on with the messages whose sending is answered, and says what became of one. Pending where there is nothing new.
    /// To be called as long as one of them is open. What is answered over the connection on which it was sent is brought by
    /// `poll_recv`.
    fn poll_answer(&mut self, _cx: &mut Context<'_>) -> Poll<Answer> {
        Poll::Pending
    }

    /// Ends in the protocol's good order: close handshake, FIN. Polled until ready or until the session loses patience.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>>;
}

/// What is to be heard of a message that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Nothing: it goes over a connection that carries no answers.
    Unanswered,
    /// An answer of the server's, under this ticket; then the end of the exchange. Tickets are used again behind it.
    Ticket(u8),
}

/// What became of a message whose sending is answered.
#[derive(Debug)]
pub enum Answer {
    /// The server acknowledged it, refused it, or could not be asked.
    Answered {
        /// Which.
        ticket: u8,
        /// Whether it went out at all.
        written: bool,
        /// Acknowledged, or what went wrong.
        result: Result<(), Failure>,
    },
    /// Nothing more will come of one that was answered: its connection is free, or at its end.
    Over(Result<(), Failure>),
}

/// The receiving end of a session.
pub trait Inbox {
    /// One payload arrived. All pushes of one `poll_recv` call carry one time: that of the first.
    fn push(&mut self, payload: &[u8]);
    /// The server said that it dropped `count` events for this subscriber.
    fn missed(&mut self, count: u64);
}

/// What one `poll_recv` came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Connected, and the subscription acknowledged: what is published from here on is owed. Said once per connection;
    /// by clients that poll once in their life, and again when a poll was answered behind one that failed.
    Ready,
    /// Zero or more payloads were pushed; call again.
    Received,
    /// Call again after this pause.
    Pause(Pause),
}

/// How long to wait, in the protocol's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Until the next poll is due.
    PollInterval,
    /// As long as the server told (`retry:`), before the protocol itself connects again, after this failure of the connection or of
    /// an attempt to make one.
    Reconnect(Duration, Box<Failure>),
}

/// A payload to send.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The bytes, an envelope.
    pub payload: &'a [u8],
    /// Whether it goes as binary where the protocol can tell.
    pub binary: bool,
}

/// Who a client is and what it may talk to. Everything shared between clients is behind an `Rc`.
#[derive(Clone)]
pub struct Seat {
    /// The server of this client's group.
    pub target: Rc<Target>,
    /// What is said to it, and what it means by what it says.
    pub dialect: Rc<dyn Dialect>,
    /// Address to connect from; `None` leaves it to the system.
    pub source: Option<IpAddr>,
    /// Topics to subscribe to; empty for one that only publishes.
    pub topics: Vec<Rc<str>>,
    /// Topic to publish to.
    pub publish: Option<Rc<str>>,
    /// What it sends comes back to itself alone. Protocols without echo in the contract subscribe to their `publish` topic.
    pub echo: bool,
    /// Options that only some protocols read.
    pub options: Options,
    /// Connections beyond its first that the publishers of this worker may still open together, to send while answers are
    /// outstanding.
    pub spare_connections: Rc<Cell<u32>>,
    /// Place in the mesh, for peer-to-peer protocols in the broadcast pattern.
    pub mesh: Option<Mesh>,
    /// Where the bytes of this client's receiving connections are counted, and what it sends on the same connection.
    pub meter: Rc<Meter>,
    /// Where publishing over connections of its own (HTTP POST) is counted.
    pub publish_meter: Rc<Meter>,
    /// The emulated network of this client; `None` is the network as it is.
    pub link: Option<Link>,
    /// The relay that datagrams go through; `None` sends them straight.
    pub relay: Option<Rc<Relay>>,
    /// Seed of this client's own random numbers (WebSocket masks, ICE credentials).
    pub seed: u64,
}

impl Seat {
    /// How it connects to receive, and to send what goes over the same connections.
    pub fn dialer(&self) -> Dialer {
        self.dialer_counted(&self.meter)
    }

    /// How it connects only to publish.
    pub fn publishing_dialer(&self) -> Dialer {
        self.dialer_counted(&self.publish_meter)
    }

    fn dialer_counted(&self, meter: &Rc<Meter>) -> Dialer {
        Dialer::towards(self.target.clone(), self.source, meter.clone()).behind(self.link.as_ref())
    }

    /// The words of this client over `protocol`.
    fn converse(&self, protocol: &Protocol) -> Box<dyn Conversation> {
        self.dialect.converse(protocol, self)
    }
}

/// A client's place in a group whose members connect to each other.
#[derive(Clone, Debug)]
pub struct Mesh {
    /// The group's name, unique in the run; signalling topics are made from it.
    pub group: Rc<str>,
    /// This client's index in the group.
    pub index: usize,
    /// Members of the group.
    pub size: usize,
}

/// Options of single protocols.
#[derive(Clone, Debug)]
pub struct Options {
    /// Short polls keep their connection from one to the next.
    pub keep_alive: bool,
    /// Publishes by POST keep their connection.
    pub publish_keep_alive: bool,
    /// How long a long poll asks to be held; `None` leaves it to the server.
    pub hold: Option<Duration>,
    /// Data channel: messages arrive in order.
    pub ordered: bool,
    /// Data channel: how often a lost message is sent again; `None` is reliable.
    pub max_retransmits: Option<u16>,
    /// Data channels join clients to each other (`true`) or to the server.
    pub peer_to_peer: bool,
}

/// What a protocol is, for plans, help texts and reports.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// Name in scenarios and results, e.g. `short-poll`.
    pub name: &'static str,
    /// Name for people, e.g. `Server-sent events`.
    pub title: &'static str,
    /// The same where there is little room, e.g. `SSE`.
    pub short_title: &'static str,
    /// One line on how it works.
    pub about: &'static str,
    /// What it can do.
    pub traits: Traits,
    /// Makes a client with one conversation in the target's dialect. Nothing is sent before its first poll. Where the dialect may
    /// want more than that, [`Dialect::open`] is asked.
    pub open: fn(Seat) -> Box<dyn Client>,
}

/// What a protocol can do, as far as the plan and the accounting depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// It asks again and again, at an interval of its own.
    pub polls: bool,
    /// It asks, and each time is answered once: at once, or when there is something to tell.
    pub exchanges: bool,
    /// After a cut it goes on behind the last event it saw, by itself.
    pub resumes: bool,
    /// It reconnects by itself.
    pub reconnects: bool,
    /// Its client is code of the application, which asks again when a request has failed (1, 2, 4 ... 30 s later) unless a
    /// scenario says otherwise. That is no recovery of the protocol's own.
    pub asks_again: bool,
    /// It has a kind of message of its own for binary payloads. (Any bytes arrive unchanged with every protocol.)
    pub binary: bool,
    /// In the broadcast pattern its clients connect to each other.
    pub peer_to_peer: bool,
    /// What it sends goes over the connection it receives on; others publish over one of their own.
    pub in_band: bool,
}

impl Traits {
    /// It asks, and the server holds the answer until there is something to tell.
    pub fn holds(&self) -> bool {
        self.exchanges && !self.polls
    }
}

/// The protocol of this name.
pub fn find(name: &str) -> Option<&'static Protocol> {
    ALL.iter().find(|protocol| protocol.name == name)
}
