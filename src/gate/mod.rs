//! Did a change make it worse? Two programs stand at the same time and are loaded in turns; what is proven fails, what
//! cannot be told is called that.
//!
//! A *replicate* is one pair of fresh processes, measured as two cells that take turns (`scenario::turns`). Its value is
//! the median log ratio of its pairs of slices. Only replicates are independent, so the statistics are about them.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::facts::HostFacts;
use crate::scenario::plan::CellSpec;
use crate::scenario::turns::Turns;

pub mod baseline;
pub mod exact;
pub mod judge;
pub mod plan;
pub mod power;
pub mod rule;
pub mod selftest;

/// Length of a slice, in ns: far below the regimes of a second and more in which shared machines drift. (Between equal
/// programs a replicate scattered by 1.4 to 4% with slices of 120 ms, by 0.5 to 1% with as much load in these.)
pub const SLICE_NS: u64 = 24_000_000;

/// Rest behind a slice, in ns: what was under way arrives, and the CPU is read.
pub const REST_NS: u64 = 5_000_000;

/// Cycles of the warm-up.
const WARMUP_CYCLES: f64 = 4.0;

/// The metric that decides unless told otherwise.
pub const PRIMARY: &str = "server_cpu_us_per_delivery";

/// Of the noisy metrics these are told beside the one that decides.
pub const SECONDARY: [&str; 5] =
    [PRIMARY, "response_p50_ms", "response_p99_ms", "delivered_per_s", "server_memory_bytes_per_client"];

/// One of the two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// What it is compared with.
    Base,
    /// What changed.
    New,
}

impl Side {
    /// Both, in the order of reports.
    pub const BOTH: [Side; 2] = [Side::Base, Side::New];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Side::Base => "base",
            Side::New => "new",
        }
    }
}

/// What a gate was asked; kept in `run.json`, so that one that was killed can go on, and any report can judge again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct GateFile {
    /// What is compared, in words: the base and the new.
    pub sides: [String; 2],
    /// What may fail it.
    pub tiers: Tiers,
    /// The noisy metric that decides, declared beforehand.
    pub metric: String,
    /// Smallest change of it that counts, as a share.
    pub min_effect: f64,
    /// The workload of either side.
    pub cells: Vec<CellSpec>,
    /// The cells are gates of their own, whose changes are known.
    #[serde(default)]
    pub selftest: bool,
    /// The host on which the base was measured, if that was earlier.
    #[serde(default)]
    pub baseline: Option<HostFacts>,
}

/// Which metrics may fail a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Tiers {
    /// What two healthy runs of one seed agree on, to the last byte; two replicates tell, or eight where the base does not
    /// agree with itself.
    Exact,
    /// That, and the one noisy metric that decides.
    All,
}

impl Tiers {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Tiers::Exact => "exact",
            Tiers::All => "all",
        }
    }
}

/// The cells of a replicate: the same workload for both sides, in turns. The window is a whole number of cycles, the
/// warm-up lasts until both are warm. Who goes first alternates: going first has a price of its own.
pub fn sides_of(spec: &CellSpec, replicate: u32) -> [CellSpec; 2] {
    Side::BOTH.map(|side| {
        let second = (side == Side::New) == replicate.is_multiple_of(2);
        let turns = Turns { second, slice_ns: SLICE_NS, rest_ns: REST_NS };
        let cycle_s = turns.cycle_ns() as f64 / 1e9;
        // Two of a side's slices in each cycle.
        let cycles = (spec.duration_s * 1e9 / (2 * SLICE_NS) as f64).ceil().max(1.0);
        CellSpec {
            name: format!("{}/{}", side.word(), spec.name),
            warmup_s: WARMUP_CYCLES * cycle_s,
            duration_s: cycles * cycle_s,
            repeat: replicate,
            turns: Some(turns),
            ..spec.clone()
        }
    })
}

/// The cell that a side's cell stands for, from its name.
pub fn cell_of(name: &str) -> Option<(Side, &str)> {
    let (side, cell) = name.split_once('/')?;
    Some((Side::BOTH.into_iter().find(|of| of.word() == side)?, cell))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn both_sides_of_a_replicate_get_whole_cycles() {
        let spec = CellSpec { duration_s: 0.1, ..CellSpec::example() };
        let [base, new] = sides_of(&spec, 3);
        // Five slices are needed, and there are two in a cycle.
        assert!((base.duration_s - 3.0 * 0.116).abs() < 1e-9 && base.repeat == 3, "{base:?}");
        let goes_second = |cell: &CellSpec| cell.turns.unwrap().second;
        assert!(goes_second(&base) && !goes_second(&new));
        assert!(goes_second(&sides_of(&spec, 4)[1]), "the next replicate is the other way round");
        assert_eq!(cell_of(&base.name), Some((Side::Base, "example")));
        assert_eq!(cell_of(&new.name), Some((Side::New, "example")));
        assert_eq!(cell_of("workload/sse"), None);
        let differing = CellSpec { name: base.name.clone(), turns: base.turns, ..new };
        assert_eq!(base, differing, "nothing else differs");
    }
}
