//! What several tests need: a client that is driven by hand, and servers that do exactly as told.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

#[cfg(target_os = "linux")]
pub mod capture;
pub mod driver;
pub mod script;
pub mod server;
