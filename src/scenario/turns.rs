//! Alternating slices: when each of two cells that share a machine is loaded. Pure.
//!
//! A shared machine drifts in regimes of seconds, so two programs are compared while both stand and take turns in
//! slices far shorter than that: `A B | B A | A B | ...`, so that what grows steadily favours neither. Between slices
//! both rest for a moment, in which what is under way arrives and the servers' CPU is read.
//!
//! Two clocks: *run time*, from the start of the load as everywhere, and a side's own *load time*, which stands still
//! while it is not its turn. Schedules are made in load time, so that both sides get the same one.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The turns of one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Turns {
    /// It goes second in the first pair of turns, and first in the next.
    pub second: bool,
    /// Length of a slice, in ns.
    pub slice_ns: u64,
    /// Rest behind each slice, in ns.
    pub rest_ns: u64,
}

impl Turns {
    /// Run time in which each has two turns, in ns: one in front of the other's, one behind it.
    pub fn cycle_ns(&self) -> u64 {
        4 * self.step_ns()
    }

    fn step_ns(&self) -> u64 {
        self.slice_ns + self.rest_ns
    }

    /// Run time at which this cell's slice of this number begins.
    pub fn begins_ns(&self, slice: u64) -> u64 {
        let second = (slice % 2 == 1) != self.second;
        (2 * slice + u64::from(second)) * self.step_ns()
    }

    /// Run time in the middle of the rest behind a slice: nothing is under way.
    pub fn rests_ns(&self, slice: u64) -> u64 {
        self.begins_ns(slice) + self.slice_ns + self.rest_ns / 2
    }

    /// The slice that a run time belongs to: the own one of its pair of turns.
    pub fn slice_of(&self, run_ns: u64) -> u64 {
        run_ns / (2 * self.step_ns())
    }

    /// From load time to run time.
    pub fn to_run_ns(&self, load_ns: u64) -> u64 {
        self.begins_ns(load_ns / self.slice_ns) + load_ns % self.slice_ns
    }

    /// From run time to load time, which stands still between own slices.
    pub fn to_load_ns(&self, run_ns: u64) -> u64 {
        let slice = self.slice_of(run_ns);
        slice * self.slice_ns + run_ns.saturating_sub(self.begins_ns(slice)).min(self.slice_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn turns(second: bool) -> Turns {
        Turns { second, slice_ns: 100, rest_ns: 10 }
    }

    #[test]
    fn the_sides_take_turns_in_mirrored_pairs() {
        let begins = |second| (0..4).map(|slice| turns(second).begins_ns(slice) / 110).collect::<Vec<_>>();
        assert_eq!(begins(false), [0, 3, 4, 7]);
        assert_eq!(begins(true), [1, 2, 5, 6]);
        assert_eq!(turns(false).cycle_ns(), 440);
    }

    proptest! {
        #[test]
        fn load_time_comes_back_and_falls_into_own_slices(load_ns in 0u64..1_000_000, second in any::<bool>()) {
            let turns = turns(second);
            let run_ns = turns.to_run_ns(load_ns);
            prop_assert_eq!(turns.to_load_ns(run_ns), load_ns);
            prop_assert_eq!(turns.slice_of(run_ns), load_ns / 100);
            prop_assert!(run_ns < turns.rests_ns(load_ns / 100));
            prop_assert!(run_ns >= turns.begins_ns(load_ns / 100));
        }

        #[test]
        fn load_time_never_goes_back_and_only_one_side_moves(run_ns in 0u64..1_000_000) {
            let moved = [false, true].map(|second| {
                let turns = turns(second);
                turns.to_load_ns(run_ns + 1).checked_sub(turns.to_load_ns(run_ns))
            });
            prop_assert!(matches!(moved, [Some(0), Some(0 | 1)] | [Some(1), Some(0)]), "{:?}", moved);
        }
    }
}
