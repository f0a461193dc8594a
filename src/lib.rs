//! rtbench: a load tester for real-time communication.
#![allow(missing_docs)]
pub mod client;
pub mod fleet;
pub mod host;
pub mod measure;
pub mod protocol;
pub mod scenario;
pub mod transport;
