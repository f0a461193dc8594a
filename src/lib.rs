//! rtbench: a load tester for real-time communication.
#![allow(missing_docs)]
pub mod claim;
pub mod cli;
pub mod client;
pub mod command;
pub mod exit;
pub mod fleet;
pub mod host;
pub mod measure;
pub mod protocol;
pub mod report;
pub mod scenario;
pub mod stats;
pub mod transport;
