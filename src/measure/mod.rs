//! What a cell measured, and the metrics derived from it.

mod bytes;
pub mod cell;
mod distribution;
pub mod metric;
pub mod run;
#[cfg(test)]
pub(crate) mod sample;
pub mod store;
pub mod threshold;
