//! One client's life, and the schedule it follows.

pub mod pace;
pub mod random;
pub mod run;
pub mod session;
