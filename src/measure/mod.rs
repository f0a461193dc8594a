//! What a cell measured, and the metrics derived from it.

mod bytes;
pub mod cell;
mod distribution;
pub mod metric;
#[cfg(test)]
pub(crate) mod sample;
pub mod threshold;
