//! Processes: the coordinator that starts them, the workers that run clients, and what they say to each other.

mod admission;
pub(crate) mod child;
pub mod coordinator;
mod cores;
mod cost;
pub mod layout;
mod merge;
pub mod message;
mod partial;
mod port;
mod reading;
pub mod server;
pub mod servers;
mod shell;
pub mod turns;
mod window;
pub mod worker;
mod workers;
