//! One client's life, and the schedule it follows.

pub mod doors;
pub mod executor;
mod inbox;
pub mod pace;
mod ready;
pub mod run;
pub mod session;
