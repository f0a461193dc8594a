//! The server that rtbench measures by default. It speaks the contract in this crate's README over five protocols.
//!
//! ```text
//! listeners -> app (accept loop, routes) -> protocol/* -> hub -> protocol/* of every subscriber
//! ```
//!
//! `envelope` is the one definition of a measured message, linked by both ends; the server itself never reads it.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

mod app;
pub mod envelope;
pub mod hub;
mod protocol;
mod request;
pub mod rtc;
pub mod stats;

/// How a server behaves. `Default` is what the contract states.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the hub keeps, and its policy for slow subscribers.
    pub limits: hub::Limits,
    /// How long a long poll is held when the client names no time.
    pub hold: Duration,
    /// What SSE clients are told to wait before they reconnect.
    pub retry: Duration,
    /// Time between two comments on a quiet SSE stream.
    pub keep_alive: Duration,
    /// Largest payload accepted, in bytes.
    pub max_payload_bytes: usize,
    /// Known defects, for proving that a measurement notices them. None by default.
    pub faults: Faults,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            limits: hub::Limits::default(),
            hold: Duration::from_secs(30),
            retry: Duration::from_secs(1),
            keep_alive: Duration::from_secs(15),
            max_payload_bytes: 1 << 20,
            faults: Faults::default(),
        }
    }
}

/// Defects of known size. An instrument that is given one must show exactly it, in exactly the cells it touches.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Bytes of framing added to each delivered message: a longer header on a poll's answer, a comment before an
    /// SSE event. WebSocket can grow only by whole control frames: an empty pong (2 bytes) before every second message per byte.
    pub framing_bytes: usize,
    /// Each event is held this long between its publication and its delivery.
    pub delay: Duration,
    /// User memory that each subscribed connection holds and touches, in bytes.
    pub ballast_bytes: usize,
    /// One in this many published events is thrown away silently.
    pub drop_one_in: Option<u64>,
    /// Binary messages are refused (415, close code 1003).
    pub refuse_binary: bool,
}

/// The open sockets of a server; port 0 is the caller's business.
pub struct Listeners {
    /// Everything but data channels.
    pub http: TcpListener,
    /// Data channels; each peer is told all addresses. May be empty: then `/rtc` answers 404.
    pub rtc: Vec<UdpSocket>,
}

impl Listeners {
    /// Binds one TCP and `rtc_sockets` UDP sockets at `address`; with port 0 each gets one of its own.
    ///
    /// # Errors
    /// What the operating system says, e.g. that the port is in use.
    pub fn bind(address: SocketAddr, rtc_sockets: usize) -> std::io::Result<Listeners> {
        let _ = (address, rtc_sockets);
        unimplemented!()
    }
}
