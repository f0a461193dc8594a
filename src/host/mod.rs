//! What there is of the host: processor, kernel, clocks, processes. What only Linux has is all here; elsewhere a reading is
//! absent, never zero.

pub mod awake;
pub mod capture;
pub mod checkup;
pub mod clock;
pub mod cores;
pub mod facts;
pub mod family;
pub mod image;
pub mod input;
pub mod interference;
pub mod listener;
pub mod memory;
pub mod process;
pub mod programs;
pub mod runtime;
pub mod stat;
pub mod tcp;
pub mod terminal;
pub mod termination;
pub mod timer;
