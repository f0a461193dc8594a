//! How often a gate is wrong on this machine: gates without a change, and gates with a change of known size. Pure.

use super::judge::{self, Judgement, Outcome};
use super::plan;
use crate::measure::cell::Cell;
use crate::measure::run::Run;
use crate::scenario::cell_id::CellId;
use crate::stats::{Bounds, proportion, quantile};

/// A change of known size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arm {
    /// Names its gates' cells, with a number behind it.
    pub name: &'static str,
    /// For people.
    pub about: &'static str,
    /// What the new side has beyond the base.
    pub change: Change,
    /// One in so many gates without a change is followed by one of these.
    pub one_in: u32,
}

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Nothing: whatever is found is a false alarm.
    Nothing,
    /// The server burns more CPU for each delivery, as a share of what it takes.
    Cpu(f64),
    /// Bytes of framing around each delivery.
    Framing(u32),
}

/// Every arm.
pub static ARMS: [Arm; 4] = [
    Arm { name: "same", about: "no change", change: Change::Nothing, one_in: 1 },
    Arm { name: "cpu5", about: "5% more CPU", change: Change::Cpu(0.05), one_in: 5 },
    Arm { name: "cpu3", about: "3% more CPU", change: Change::Cpu(0.03), one_in: 5 },
    Arm { name: "byte", about: "one byte of framing", change: Change::Framing(1), one_in: 20 },
];

impl Arm {
    /// The cell of one of its gates.
    pub fn cell(&self, gate: u32, cell: CellId) -> CellId {
        cell.with_kind(format!("{}-{gate:03}", self.name))
    }

    fn has(&self, judgement: &Judgement) -> bool {
        let kind = judgement.cell.kind.as_ref();
        kind.and_then(|kind| kind.0.split_once('-')).is_some_and(|(name, _)| name == self.name)
    }
}

/// What became of the gates of an arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    /// Which.
    pub arm: Arm,
    /// Its gates.
    pub gates: u64,
    /// Those that found a regression.
    pub regressions: u64,
    /// Those that could not tell.
    pub inconclusive: u64,
    /// The share of regressions: false alarms of the arm without a change, power of the others; and its exact 95% interval.
    pub rate: f64,
    /// The interval (Clopper and Pearson).
    pub bounds: Bounds,
    /// Median over the gates of the change found in the metric that decides, as a share; the exact tier decides without it.
    pub change: Option<f64>,
    /// Median of the replicates that a gate took.
    pub replicates: f64,
    /// The longest gate, in seconds.
    pub longest_s: f64,
}

/// Every arm of a selftest that has gates.
pub fn of(run: &Run) -> Vec<Tally> {
    let judgements = judge::of(run);
    ARMS.iter().filter_map(|arm| tally(run, *arm, &judgements)).collect()
}

fn tally(run: &Run, arm: Arm, judgements: &[Judgement]) -> Option<Tally> {
    let gates: Vec<&Judgement> = judgements.iter().filter(|judgement| arm.has(judgement)).collect();
    let count = |outcome| gates.iter().filter(|gate| gate.finding.outcome == outcome).count() as u64;
    let regressions = count(Outcome::Regression);
    let changes: Vec<f64> =
        gates.iter().filter_map(|gate| Some(gate.noisy.first()?.look?.shift.exp_m1())).collect();
    let replicates: Vec<f64> = gates.iter().map(|gate| gate.replicates as f64).collect();
    Some(Tally {
        arm,
        gates: gates.len() as u64,
        regressions,
        inconclusive: count(Outcome::Inconclusive),
        rate: regressions as f64 / gates.len() as f64,
        bounds: proportion::clopper_pearson(regressions, gates.len() as u64)?,
        change: quantile::median(&changes),
        replicates: quantile::median(&replicates)?,
        longest_s: gates.iter().map(|gate| length_s(run, &gate.cell)).fold(0.0, f64::max),
    })
}

/// How long a gate took, from the start of its first replicate to the end of its last.
fn length_s(run: &Run, gate: &CellId) -> f64 {
    let is_its = |cell: &&Cell| cell.spec.id.sided().is_some_and(|(_, of)| of == *gate);
    let cells = run.cells.iter().filter(is_its);
    let (mut first, mut last) = (f64::INFINITY, 0.0f64);
    for cell in cells {
        first = first.min(cell.started_unix_s);
        let own = cell.spec.warmup_s + cell.spec.duration_s + plan::OVERHEAD_S;
        last = last.max(cell.started_unix_s + cell.connect_s + own);
    }
    (last - first).max(0.0)
}
