//! Whose doing it was that a cell did not go as it should: the server's, whose result that is, or the generator's and the
//! machine's, which say nothing of the server.

use super::Pair;
use crate::gate::exact::REPLICATES;
use crate::gate::{Side, judge::Finding, judge::Outcome};
use crate::measure::cell::{Cell, Counts, ServerFailure, Status};
use crate::measure::{shortfall, trust};

/// Something that the server of a cell did wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wrong {
    /// What, in words and figures.
    pub(super) what: String,
    /// Nothing but the server can have done it. Where not, it takes two of them.
    pub(super) sure: bool,
}

/// What the server of a cell did wrong. `was_ready`: it had been started before.
pub(super) fn wrongs(cell: &Cell, was_ready: bool) -> Vec<Wrong> {
    let sure = |what: String| Wrong { what, sure: true };
    let Counts { corrupt, foreign, .. } = cell.counts;
    let corrupt = (corrupt > 0).then(|| sure(format!("corrupted {corrupt} payloads")));
    let foreign =
        (foreign > 0).then(|| sure(format!("delivered {foreign} payloads that nobody had published")));
    let ended = ended(cell, was_ready).into_iter();
    // Clients of a generator that had no port or no time are not the server's business.
    let sound = generators_doubt(cell).is_none();
    let short = shortfall::of(cell).filter(|_| sound).map(sure);
    let silent = (sound && is_silent(cell)).then(|| sure("delivered nothing".to_owned()));
    ended.chain(corrupt).chain(foreign).chain(short).chain(silent).collect()
}

/// Whether there was something to deliver, or to publish, and nothing came.
fn is_silent(cell: &Cell) -> bool {
    let Counts { expected, held_back, published_all, delivered_all, .. } = cell.counts;
    let refused = published_all == 0 && !cell.failures.is_empty();
    cell.status == Status::Finished && delivered_all == 0 && (expected > 0 || held_back > 0 || refused)
}

/// Whether its server ended the cell.
fn ended(cell: &Cell, was_ready: bool) -> Option<Wrong> {
    let Status::Failed(reason) = &cell.status else { return None };
    let sure = match cell.server_failure? {
        ServerFailure::NotReady if !was_ready => return None,
        // A port, a lock, a file of its last life may be in its way.
        ServerFailure::NotReady => false,
        ServerFailure::NoClient if generators_doubt(cell).is_some() => return None,
        ServerFailure::NoClient => true,
        // The kernel kills so what took too much memory, which may be anybody's, and people do.
        ServerFailure::Ended { signal } => !signal.is_some_and(|signal| {
            [libc::SIGKILL, libc::SIGTERM, libc::SIGINT, libc::SIGHUP].contains(&signal)
        }),
    };
    Some(Wrong { what: reason.clone(), sure })
}

/// Why nothing can be said of a cell's server; `None` also where what it did wrong is all there is.
pub(super) fn doubt(cell: &Cell, wrongs: &[Wrong]) -> Option<String> {
    match &cell.status {
        Status::Failed(_) if !wrongs.is_empty() => None,
        Status::Failed(reason) => Some(format!("failed: {reason}")),
        Status::Interrupted => Some("interrupted".to_owned()),
        Status::Finished => generators_doubt(cell).map(|why| format!("invalid: {why}")),
    }
}

/// Why a cell is not to be believed, for reasons that are not its server's: that nothing arrived is one of those.
fn generators_doubt(cell: &Cell) -> Option<String> {
    // Earlier versions called a cell invalid for what its server had done to payloads.
    let judged_anew = (cell.counts.corrupt + cell.counts.foreign > 0)
        .then(|| Cell { trust: trust::judge(cell), ..cell.clone() });
    let cell = judged_anew.as_ref().unwrap_or(cell);
    trust::says_nothing(cell).then(|| cell.trust.reasons.join("; "))
}

/// What the servers' wrongs say before any figure does. `None` without any.
pub(super) fn verdict(pairs: &[Pair<'_>]) -> Option<Finding> {
    let [base, new] = [Side::Base, Side::New].map(|side| told(pairs, side));
    let sound = pairs.iter().filter(|pair| pair.is_sound(Side::Base)).count();
    let wrong: Vec<&Vec<Wrong>> = pairs
        .iter()
        .map(|pair| &pair.wrongs[Side::New as usize])
        .filter(|wrongs| !wrongs.is_empty())
        .collect();
    let sure = wrong.iter().any(|wrongs| wrongs.iter().any(|wrong| wrong.sure));
    let inconclusive =
        |why| Some(Finding { outcome: Outcome::Inconclusive, settled: false, wrong: sure, why });
    match (base, new) {
        (None, None) => None,
        (None, Some(new)) if sound >= REPLICATES && (sure || wrong.len() >= REPLICATES) => {
            Some(Finding::settled(Outcome::Regression, format!("{new}, the base in none)")))
        }
        (None, Some(new)) if sound < REPLICATES => {
            inconclusive(format!("{new}): it takes {REPLICATES} replicates in which the base does not"))
        }
        (None, Some(new)) => {
            inconclusive(format!("{new}): that may be another's doing, and it did not happen again"))
        }
        (Some(base), None) => inconclusive(format!("{base}): a broken base tells nothing of a change")),
        (Some(base), Some(new)) => inconclusive(format!("{base}); {new}): both sides are broken")),
    }
}

/// What a side did wrong, in words: the first of it, and, in brackets left open, in how many replicates there was any.
fn told(pairs: &[Pair<'_>], side: Side) -> Option<String> {
    let mut wrong = pairs.iter().map(|pair| &pair.wrongs[side as usize]).filter(|wrongs| !wrongs.is_empty());
    let what = in_words(wrong.next()?);
    let times = wrong.count() + 1;
    Some(format!("{}: {what} (in {times} of {} replicates", side.word(), pairs.len()))
}

/// All that went wrong in a cell.
pub(super) fn in_words(wrongs: &[Wrong]) -> String {
    wrongs.iter().map(|wrong| wrong.what.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
