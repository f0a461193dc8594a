//! The contract in the README, row by row, over real sockets; and each fault by its exact size.
#![allow(clippy::unwrap_used)]

mod bounds;
mod faults;
mod front;
mod harness;
mod life;
mod offers;
mod polling;
mod publish;
mod slow;
mod sse;
mod websocket;
