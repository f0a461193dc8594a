//! What lies under a protocol: counted sockets, source addresses, and a small HTTP/1.1 client.

pub mod meter;
pub mod udp;
