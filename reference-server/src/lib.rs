//! The server that rtbench measures by default. It speaks the contract in this crate's README over five protocols.
//!
//! ```text
//! listeners -> accept -> front (HTTP/1.1; the rest by hyper) -> protocol/* -> hub -> protocol/* of every subscriber
//! ```
//!
//! `envelope` is the one definition of a measured message, linked by both ends; the server itself never reads it.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

mod accept;
mod alive;
mod app;
mod connection;
pub mod envelope;
mod fault;
mod front;
pub mod hub;
mod protocol;
mod request;
pub mod rtc;
pub mod stats;
pub mod tls;
mod turn;
mod wire;

#[cfg(test)]
#[path = "../../tests/support/fuzz.rs"]
mod fuzz;

pub use app::run;

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
    /// HTTP, event streams and WebSockets are spoken over TLS and not otherwise; see [`tls::Identity`]. Data channels are
    /// encrypted in any case.
    pub tls: Option<Arc<rustls::ServerConfig>>,
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
            tls: None,
        }
    }
}

/// Defects of known size. An instrument that is given one must show exactly it, in exactly the cells it touches.
///
/// What happens to messages happens to each that a client sends, whatever it is sent over and whether it goes to a topic or
/// back to its sender: with such a fault an echo takes the way of an event.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Bytes of framing added to each delivered message: blanks behind a header's value on a poll's answer that
    /// carries events, a comment before an SSE event. WebSocket can grow only by whole control frames: for each
    /// byte an empty pong (2 bytes) before every second message. A data channel cannot grow.
    pub framing_bytes: usize,
    /// Each message is held this long between its arrival and its delivery.
    pub delay: Duration,
    /// User memory that each connection that subscribes or is polled on holds and touches, in bytes.
    pub ballast_bytes: usize,
    /// One in this many messages, of all topics, is thrown away silently: the n-th, the 2n-th and so on.
    pub drop_one_in: Option<u64>,
    /// One in this many messages is delivered twice.
    pub duplicate_one_in: Option<u64>,
    /// One in this many messages comes after the next one of its topic; if there is no next one, never.
    pub swap_one_in: Option<u64>,
    /// One in this many messages is delivered with a byte changed; text stays text.
    pub corrupt_one_in: Option<u64>,
    /// One in this many messages is refused (503, close code 1013).
    pub reject_one_in: Option<u64>,
    /// Binary messages are refused (415, close code 1003).
    pub refuse_binary: bool,
    /// CPU time burnt for each message delivered to a subscriber, or back to its sender.
    pub spin: Duration,
    /// A connection is cut once it has delivered this many messages.
    pub cut_after: Option<u32>,
    /// So many connections may subscribe or be polled on; those that come later are answered with 503.
    pub refuse_after: Option<u64>,
    /// A publish request is acted on at once, and answered this much later.
    pub answer_delay: Duration,
}

/// The open sockets of a server; port 0 is the caller's business.
pub struct Listeners {
    /// Everything but data channels.
    pub http: TcpListener,
    /// Data channels; each peer is told all addresses. May be empty: then `/rtc` answers 404.
    pub rtc: Vec<UdpSocket>,
}

/// Connections that may wait to be accepted. The system caps it (`net.core.somaxconn`).
const BACKLOG: i32 = 65_535;

impl Listeners {
    /// Binds one TCP and `rtc_sockets` UDP sockets at `address`; with port 0 each gets one of its own, else the UDP
    /// sockets take the ports from `address` upwards.
    ///
    /// # Errors
    /// What the operating system says, e.g. that the port is in use.
    pub fn bind(address: SocketAddr, rtc_sockets: usize) -> io::Result<Listeners> {
        let http = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        http.set_reuse_address(true)?;
        http.set_nonblocking(true)?;
        // What is accepted inherits it, on Linux.
        http.set_tcp_nodelay(true)?;
        http.bind(&address.into())?;
        http.listen(BACKLOG)?;
        let rtc = (0..rtc_sockets).map(|index| bind_udp(address, index)).collect::<io::Result<_>>()?;
        Ok(Listeners { http: http.into(), rtc })
    }
}

fn bind_udp(mut address: SocketAddr, index: usize) -> io::Result<UdpSocket> {
    if address.port() != 0 {
        let port = u16::try_from(index).ok().and_then(|index| address.port().checked_add(index));
        address.set_port(port.ok_or(io::ErrorKind::AddrNotAvailable)?);
    }
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
