//! What a cell measured, and the metrics derived from it.

pub mod cell;
