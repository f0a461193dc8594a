//! A cell under way.

use std::collections::HashMap;

use super::cores::Seat;
use super::message::Share;
use super::turns::CpuReading;
use super::window::Held;
use crate::host::interference::Interference;
use crate::measure::cell::{Interval, ServerCost, ServerFailure};

/// A cell under way: what servers and workers have told of it so far.
#[derive(Default)]
pub(super) struct PartialCell {
    /// Number of the run: the same for all processes of a cell, and not the same for the next cell.
    pub run: u32,
    pub shares: Vec<Share>,
    pub seconds: Vec<Interval>,
    pub connected: u64,
    pub absent: HashMap<u32, u32>,
    pub connect_ns: u64,
    pub empty: Held,
    pub server: Option<ServerCost>,
    /// CPU in the rests between slices.
    pub rests: Vec<CpuReading>,
    pub host: Interference,
    pub interrupted: bool,
    /// What the server did that ended the cell.
    pub server_failure: Option<ServerFailure>,
    /// What came of tying each worker to a core.
    pub seats: Vec<Seat>,
}

impl PartialCell {
    pub(super) fn new(run: u32) -> PartialCell {
        PartialCell { run, ..PartialCell::default() }
    }
}
