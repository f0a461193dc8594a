//! From the cells of a gate to its verdict. Pure: the same files give the same verdict, whenever it is asked for.

use super::exact::{self, Findings};
use super::{GateFile, Side, Tiers, cell_of};
use crate::host::facts::HostFacts;
use crate::measure::cell::{Cell, Status, TrustLevel};
use crate::measure::run::Run;

mod finding;
mod rows;
#[cfg(test)]
pub(crate) mod tests;

pub use finding::Finding;
use finding::{against_baseline, exact_verdict, in_turns};
pub use rows::Row;
use rows::rows;

/// What became of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing is worse, as far as was asked.
    Pass,
    /// Nobody can tell.
    Inconclusive,
    /// It is worse, and that is proven.
    Regression,
}

impl Outcome {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Inconclusive => "inconclusive",
            Outcome::Regression => "regression",
        }
    }
}

/// One cell of a gate, judged.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Its name in the scenario.
    pub cell: String,
    /// The verdict.
    pub finding: Finding,
    /// Replicates that count.
    pub replicates: usize,
    /// Replicates that do not, and why.
    pub untrusted: Vec<String>,
    /// The exact tier.
    pub exact: Findings,
    /// The noisy metrics, the one that decides first.
    pub noisy: Vec<Row>,
}

/// A replicate: the cells of both sides.
struct Pair<'a>([&'a Cell; 2]);

/// Every cell of a gate, in the order of the scenario.
pub fn of(run: &Run) -> Vec<Judgement> {
    let Some(file) = &run.file.gate else { return Vec::new() };
    // A cell for which there was no time is no pass. The cells of a selftest are gates of their own.
    let asked = file.cells.iter().filter(|_| !file.selftest);
    let mut names: Vec<&str> = asked.map(|spec| spec.name.as_str()).collect();
    for (_, name) in run.cells.iter().filter_map(|cell| cell_of(&cell.spec.name)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.into_iter().map(|name| judge(file, name, &run.cells, &run.file.host)).collect()
}

/// The verdict on the cell of this name from all cells measured so far.
pub fn judge(file: &GateFile, name: &str, cells: &[Cell], host: &HostFacts) -> Judgement {
    let mut pairs = Vec::new();
    let mut untrusted = Vec::new();
    for pair in pairs_of(name, cells) {
        match pair.doubt() {
            None => pairs.push(pair),
            Some(doubt) => untrusted.push(doubt),
        }
    }
    let side = |index: usize| pairs.iter().map(|pair| pair.0[index]).collect::<Vec<_>>();
    let exact = exact::compare(&side(0), &side(1));
    let other_host = file.baseline.as_ref().and_then(|base| host.differs_from(base));
    let noisy = match file.tiers {
        Tiers::All if other_host.is_none() => rows(file, &pairs),
        _ => Vec::new(),
    };
    let decider = noisy.first().filter(|row| row.decides);
    let finding = match exact_verdict(file.tiers, pairs.len(), &exact) {
        Some(finding) => finding,
        None if file.baseline.is_some() => against_baseline(file, &exact, decider, other_host),
        None => in_turns(file, pairs.len(), decider),
    };
    let cell = name.to_owned();
    Judgement { cell, finding, replicates: pairs.len(), untrusted, exact, noisy }
}

/// Complete pairs, by replicate: one that was killed between its halves has never been.
fn pairs_of<'a>(name: &str, cells: &'a [Cell]) -> Vec<Pair<'a>> {
    let find = |side: Side, replicate: u32| {
        let is_it =
            |cell: &&Cell| cell.spec.repeat == replicate && cell_of(&cell.spec.name) == Some((side, name));
        cells.iter().find(is_it)
    };
    let mut replicates: Vec<u32> = cells.iter().map(|cell| cell.spec.repeat).collect();
    replicates.sort_unstable();
    replicates.dedup();
    let pair = |replicate| Some(Pair([find(Side::Base, replicate)?, find(Side::New, replicate)?]));
    replicates.into_iter().filter_map(pair).collect()
}

impl Pair<'_> {
    /// Why it does not count.
    fn doubt(&self) -> Option<String> {
        Side::BOTH.into_iter().zip(self.0).find_map(|(side, cell)| {
            let why = match &cell.status {
                Status::Failed(reason) => format!("failed: {reason}"),
                Status::Interrupted => "interrupted".to_owned(),
                Status::Finished if cell.trust.level == TrustLevel::Invalid => {
                    format!("invalid: {}", cell.trust.reasons.join("; "))
                }
                Status::Finished => return None,
            };
            Some(format!("replicate {}, {}: {why}", cell.spec.repeat + 1, side.word()))
        })
    }
}
