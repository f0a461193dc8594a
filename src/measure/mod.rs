//! What a cell measured, and the metrics derived from it.

pub mod asked;
pub(crate) mod bytes;
pub mod cell;
#[cfg(test)]
mod count_lines;
pub mod delivery;
mod distribution;
pub mod floor;
mod layers;
pub mod metric;
pub mod recorder;
pub mod repeats;
pub mod run;
#[cfg(test)]
pub(crate) mod sample;
pub mod shortfall;
pub mod source;
pub(crate) mod spread;
pub mod store;
pub mod threshold;
pub mod timings;
pub mod trust;
pub mod usable;
