//! One client's life, and the schedule it follows.

pub mod executor;
mod inbox;
pub mod leaving;
pub mod pace;
mod ready;
pub mod run;
pub mod session;
