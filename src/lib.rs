//! rtbench: a load tester for real-time communication.
#![allow(missing_docs)]
pub mod protocol;
pub mod transport;
