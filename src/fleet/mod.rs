//! Processes: the coordinator that starts them, the workers that run clients, and what they say to each other.

pub(crate) mod child;
pub mod coordinator;
mod cores;
mod cost;
mod crew;
mod door;
pub mod layout;
mod merge;
pub mod message;
mod port;
mod reading;
pub mod server;
pub mod servers;
pub mod turns;
mod window;
pub mod worker;
