//! Processes: the coordinator that starts them, the workers that run clients, and what they say to each other.

pub(crate) mod child;
pub mod coordinator;
mod crew;
mod door;
pub mod layout;
mod merge;
pub mod message;
mod reading;
pub mod server;
pub mod servers;
pub mod turns;
pub mod worker;
