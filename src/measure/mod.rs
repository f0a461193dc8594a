//! What a cell measured, and the metrics derived from it.

pub mod cell;
pub mod delivery;
pub mod recorder;
pub mod trust;
