//! From the cells of a gate to its verdict. Pure: the same files give the same verdict, whenever it is asked for.

use std::fmt;

use super::exact::{self, Findings};
use super::{GateFile, Side, Tiers};
use crate::host::facts::HostFacts;
use crate::measure::cell::{Cell, ServerFailure, Status};
use crate::measure::run::Run;
use crate::scenario::cell_id::CellId;

mod account;
mod finding;
#[cfg(test)]
mod recorded_tests;
mod rows;
#[cfg(test)]
pub(crate) mod tests;

use account::Wrong;
pub use finding::Finding;
pub(crate) use finding::{apart, span};
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
    pub cell: CellId,
    /// The verdict.
    pub finding: Finding,
    /// Replicates that count.
    pub replicates: usize,
    /// Replicates that do not, because of the generator or the machine, and why.
    pub untrusted: Vec<Remark>,
    /// What either side's server did wrong, replicate by replicate.
    pub wrong: Vec<Remark>,
    /// Replicates of which there are no figures, for whatever reason.
    pub without_figures: usize,
    /// What failed in the last replicate, if that was no server's doing: there is no going on.
    pub broken: Option<Remark>,
    /// The exact tier.
    pub exact: Findings,
    /// The noisy metrics, the one that decides first.
    pub noisy: Vec<Row>,
}

/// Something to be said of a side in a replicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Which replicate, from 0.
    pub replicate: u32,
    /// Which side.
    pub side: Side,
    /// What.
    pub what: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "replicate {}, {}: {}", self.replicate + 1, self.side.word(), self.what)
    }
}

/// A replicate: the cells of both sides, and what is to be said of each.
struct Pair<'a> {
    cells: [&'a Cell; 2],
    wrongs: [Vec<Wrong>; 2],
    doubts: [Option<String>; 2],
}

/// Every cell of a gate, in the order of the scenario.
pub fn of(run: &Run) -> Vec<Judgement> {
    let Some(file) = &run.file.gate else { return Vec::new() };
    // A cell for which there was no time is no pass. The cells of a selftest are gates of their own.
    let asked = file.cells.iter().filter(|_| !file.selftest);
    let mut ids: Vec<CellId> = asked.map(|spec| spec.id.clone()).collect();
    for (_, id) in run.cells.iter().filter_map(|cell| cell.spec.id.sided()) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids.iter().map(|id| judge(file, id, &run.cells, &run.file.host)).collect()
}

/// The verdict on a cell from all cells measured so far.
pub fn judge(file: &GateFile, id: &CellId, cells: &[Cell], host: &HostFacts) -> Judgement {
    let all = pairs_of(id, cells);
    let counted: Vec<&Pair<'_>> = all.iter().filter(|pair| pair.counts()).collect();
    let side = |side: Side| counted.iter().map(|pair| pair.cells[side as usize]).collect::<Vec<_>>();
    let exact = exact::compare(&side(Side::Base), &side(Side::New));
    let other_host = file.baseline.as_ref().and_then(|base| host.differs_from(base));
    let noisy = match file.tiers {
        // What a load cost is not known of a server that did not carry it.
        Tiers::All if other_host.is_none() => {
            rows(file, &counted.iter().copied().filter(|pair| pair.is_right()).collect::<Vec<_>>())
        }
        _ => Vec::new(),
    };
    let decider = noisy.first().filter(|row| row.decides);
    let figures = finding::of_figures(file, counted.len(), &exact, decider, other_host);
    Judgement {
        cell: id.clone(),
        finding: finding::together(account::verdict(&all), figures),
        replicates: counted.len(),
        untrusted: all.iter().filter_map(Pair::doubt).collect(),
        wrong: all.iter().flat_map(Pair::wrong).collect(),
        without_figures: all.len() - counted.len(),
        broken: all.last().filter(|pair| pair.is_broken()).and_then(Pair::doubt),
        exact,
        noisy,
    }
}

/// What the server of one cell alone did wrong, in words; `None` of one that did nothing wrong.
pub fn wrong_of(cell: &Cell) -> Option<String> {
    let wrongs = account::wrongs(cell, false);
    (!wrongs.is_empty()).then(|| account::in_words(&wrongs))
}

/// Complete pairs, by replicate: one that was killed between its halves has never been.
fn pairs_of<'a>(id: &CellId, cells: &'a [Cell]) -> Vec<Pair<'a>> {
    let find = |side: Side, replicate: u32| {
        let own = id.clone().on(side);
        cells.iter().find(|cell| cell.spec.repeat == replicate && cell.spec.id == own)
    };
    let mut replicates: Vec<u32> = cells.iter().map(|cell| cell.spec.repeat).collect();
    replicates.sort_unstable();
    replicates.dedup();
    let pair = |replicate| {
        let pair = Side::BOTH.map(|side| find(side, replicate));
        let [base, new] = [pair[0]?, pair[1]?].map(|cell| {
            let wrongs = account::wrongs(cell, was_ready(cell, cells));
            let doubt = account::doubt(cell, &wrongs);
            (cell, wrongs, doubt)
        });
        Some(Pair { cells: [base.0, new.0], wrongs: [base.1, new.1], doubts: [base.2, new.2] })
    };
    replicates.into_iter().filter_map(pair).collect()
}

/// Whether the server of a cell had ever been ready before.
fn was_ready(cell: &Cell, cells: &[Cell]) -> bool {
    let side = |cell: &Cell| cell.spec.id.side;
    let earlier = cells.iter().take_while(|earlier| !std::ptr::eq(*earlier, cell));
    earlier.filter(|earlier| side(earlier) == side(cell)).any(|earlier| match earlier.server_failure {
        Some(ServerFailure::NotReady) => false,
        Some(_) => true,
        None => earlier.status == Status::Finished,
    })
}

impl Pair<'_> {
    /// Whether its figures are to be believed.
    fn counts(&self) -> bool {
        self.cells.iter().all(|cell| cell.status == Status::Finished)
            && self.doubts.iter().all(Option::is_none)
    }

    /// Whether neither server did anything wrong.
    fn is_right(&self) -> bool {
        self.wrongs.iter().all(Vec::is_empty)
    }

    /// Whether a side is known to have done nothing wrong.
    fn is_sound(&self, side: Side) -> bool {
        let (cell, index) = (self.cells[side as usize], side as usize);
        cell.status == Status::Finished && self.doubts[index].is_none() && self.wrongs[index].is_empty()
    }

    /// Whether it failed without a server's doing.
    fn is_broken(&self) -> bool {
        let failed = |index: usize| matches!(self.cells[index].status, Status::Failed(_));
        [0, 1].into_iter().any(|index| failed(index) && self.doubts[index].is_some())
    }

    /// Why its figures are not believed, for reasons that are no server's.
    fn doubt(&self) -> Option<Remark> {
        let status = |side: Side| &self.cells[side as usize].status;
        let some_failed = Side::BOTH.into_iter().any(|side| matches!(status(side), Status::Failed(_)));
        // A side that was stopped because the other failed has no part in it.
        let told = |side: &Side| !(some_failed && *status(*side) == Status::Interrupted);
        let doubts = Side::BOTH.into_iter().filter(told);
        doubts.filter_map(|side| Some(self.remark(side, self.doubts[side as usize].clone()?))).next()
    }

    /// What either server did wrong.
    fn wrong(&self) -> impl Iterator<Item = Remark> {
        let wrong = Side::BOTH.into_iter().filter(|&side| !self.wrongs[side as usize].is_empty());
        wrong.map(|side| self.remark(side, account::in_words(&self.wrongs[side as usize])))
    }

    fn remark(&self, side: Side, what: String) -> Remark {
        Remark { replicate: self.cells[0].spec.repeat, side, what }
    }
}
