//! What there is of the host: processor, kernel, clocks, processes. What only Linux has is all here; elsewhere a reading is
//! absent, never zero.

pub mod awake;
pub mod checkup;
pub mod clock;
pub mod cores;
pub mod facts;
pub mod family;
pub mod farewell;
pub mod image;
pub mod input;
pub mod listener;
pub mod memory;
pub mod process;
pub mod programs;
pub mod runtime;
pub mod stat;
pub mod strain;
pub mod tcp;
pub mod terminal;
pub mod timer;
pub mod wiretap;
