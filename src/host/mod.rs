//! Everything that only Linux has.

pub mod facts;
pub mod terminal;
