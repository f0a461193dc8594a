//! Everything that only Linux has.

pub mod facts;
