//! A count that one thread keeps.

use std::cell::Cell;

/// One count.
#[derive(Debug, Default)]
pub struct Tally(Cell<u64>);

impl Tally {
    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.set(self.0.get() + n);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}
