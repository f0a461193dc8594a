//! Everything that only Linux has. Elsewhere a reading is absent, never zero.

pub mod clock;
pub mod facts;
pub mod process;
pub mod tcp;
pub mod terminal;
pub mod timer;
