//! Everything that only Linux has. Elsewhere a reading is absent, never zero.

pub mod clock;
pub mod process;
pub mod timer;
