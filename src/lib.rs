//! rtbench: a load tester for real-time communication.
//!
//! # The path of one message
//!
//! ```text
//! client::pace            when event n of a client is due; pure
//!   client::executor      gives a turn to the sessions that have something to do
//!   client::session       stamps an envelope with its due time and hands it to its client
//!     protocol::*         moves bytes, and knows nothing about time; asks its dialect for the words
//!       transport::*      the sockets, where bytes are counted
//!         ~ wire ~        the server (the crate reference-server, or one under test)
//!       transport::*
//!     protocol::*         pushes each payload into the session's inbox
//!   client::session       one time for all that one read brought
//! measure::recorder       histograms and counts; the end of the hot path
//!   fleet::worker         a process with a share of the clients; reports when the cell ends
//!   fleet::coordinator    starts server and workers, merges their reports into a measure::cell
//! measure::store          results/TIME-NAME/cells.jsonl, a line a cell
//!   report::*, guide::*, capacity::*, compare::*, gate::*  read only what lies there
//! ```
//!
//! # The modules
//!
//! [`cli`] is the command line and [`command`] its verbs, which end in an [`exit`] code. A [`scenario`] becomes a plan
//! of cells. [`stats`] is the arithmetic, [`host`] what only Linux has, and [`say`] the one way to people.
//!
//! What is said over a protocol is its server's [`protocol::Dialect`]. Adding one takes a file in `src/protocol/` and a line in
//! [`protocol::DIALECTS`]; `dialect.rs` there says what is to be in it.
//!
//! Adding a protocol takes a client file in `src/protocol/` and a server file in `reference-server/src/protocol/`, each
//! with its lines in the tables of the `mod.rs` beside it, and a scenario with its name in [`scenario::BUILTINS`]. The
//! matrix keeps to the guide's five: a column more is a line in [`guide::column::COLUMNS`] and in `MODULES` of
//! `measure/source_tests.rs`.

// Both panic where the output is closed or full: `say` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod capacity;
pub mod cli;
pub mod client;
pub mod command;
pub mod compare;
pub mod exit;
pub mod failure;
pub mod fleet;
pub mod gate;
pub mod guide;
pub mod host;
pub mod measure;
pub mod number;
pub mod projection;
pub mod protocol;
pub mod quote;
pub mod random;
pub mod report;
pub mod say;
pub mod scenario;
pub mod stats;
pub mod transport;
pub mod unit;

#[cfg(test)]
#[path = "../tests/support/fuzz.rs"]
mod fuzz;
