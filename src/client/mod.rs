//! One client's life, and the schedule it follows.

mod inbox;
pub mod pace;
pub mod random;
pub mod run;
pub mod session;
