//! What went wrong with a client: the phase, the kind, and words for people. Counted by the first two.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::quote;

/// What the client was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// TCP connect, ICE and DTLS.
    Connect,
    /// TLS handshake.
    Tls,
    /// Upgrade, first answer, signalling, subscribing.
    Subscribe,
    /// Waiting for messages.
    Receive,
    /// Sending a message.
    Send,
    /// Ending in good order.
    Close,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nobody listens there.
    Refused,
    /// The connection was reset.
    Reset,
    /// The peer ended the connection where it should not.
    Eof,
    /// Nothing happened for too long.
    TimedOut,
    /// No local port was free (`EADDRNOTAVAIL`).
    NoPorts,
    /// No descriptor was free (`EMFILE`, `ENFILE`).
    NoDescriptors,
    /// An HTTP status that the contract does not foresee.
    Status(u16),
    /// A WebSocket close code.
    CloseCode(u16),
    /// The peer broke its protocol.
    Protocol,
    /// Any other error of the operating system.
    Io,
}

/// One failure of one client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{phase:?}: {kind}: {detail}")]
pub struct Failure {
    /// What the client was doing.
    pub phase: Phase,
    /// What happened.
    pub kind: Kind,
    /// For people: one clean line.
    pub detail: String,
}

impl Failure {
    /// A failure of any kind. What it says may be a server's words: it is quoted.
    pub fn new(phase: Phase, kind: Kind, detail: impl AsRef<str>) -> Failure {
        Failure { phase, kind, detail: quote::line(detail.as_ref()) }
    }

    /// The peer broke its protocol.
    pub fn protocol(phase: Phase, detail: impl AsRef<str>) -> Failure {
        Failure::new(phase, Kind::Protocol, detail)
    }

    /// Whether a subscription that failed so would fail again: it was answered, and not as the contract says. A server at its
    /// limit, or one that is about to come or go, may answer otherwise the next time.
    pub fn is_final(&self) -> bool {
        match self.kind {
            Kind::Status(status) => !matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 506..),
            Kind::Protocol => true,
            _ => false,
        }
    }

    /// An error of the operating system.
    pub fn io(phase: Phase, error: &io::Error) -> Failure {
        Failure::new(phase, Kind::of(error), error.to_string())
    }
}

impl Kind {
    /// The kind of an error of the operating system.
    pub fn of(error: &io::Error) -> Kind {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => return Kind::NoDescriptors,
            Some(libc::EADDRNOTAVAIL) => return Kind::NoPorts,
            _ => {}
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Kind::Refused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                Kind::Reset
            }
            io::ErrorKind::UnexpectedEof => Kind::Eof,
            io::ErrorKind::TimedOut => Kind::TimedOut,
            io::ErrorKind::InvalidData => Kind::Protocol,
            _ => Kind::Io,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Refused => f.write_str("connection refused"),
            Kind::Reset => f.write_str("connection reset"),
            Kind::Eof => f.write_str("connection ended early"),
            Kind::TimedOut => f.write_str("timed out"),
            Kind::NoPorts => f.write_str("no local port free"),
            Kind::NoDescriptors => f.write_str("no file descriptor free"),
            Kind::Status(code) => write!(f, "HTTP status {code}"),
            Kind::CloseCode(code) => write!(f, "close code {code}"),
            Kind::Protocol => f.write_str("protocol error"),
            Kind::Io => f.write_str("I/O error"),
        }
    }
}
