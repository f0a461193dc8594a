//! What lies under a protocol: counted sockets, source addresses, and a small HTTP/1.1 client.
//!
//! ```text
//! protocol -> Stream -> Counted -> (TLS) -> Linked -> Socket -> kernel (asked for its packets)
//! ```
//!
//! Protocols hold a [`stream::Stream`] and never a socket, so that what is put between the two (TLS, an emulated
//! link) is a matter of this directory alone. [`stream::Dialer`] and [`udp::Datagrams`] decide whether a link is.

pub(crate) mod budget;
pub mod control;
mod counted;
pub mod http;
pub mod link;
pub mod meter;
pub(crate) mod outbox;
pub mod packets;
pub mod reception;
pub(crate) mod scratch;
mod socket;
pub mod stream;
mod tally;
pub mod target;
pub mod tls;
pub mod turn;
pub mod udp;
