//! Requests that bring nothing. With Poisson events a poll is empty with probability e^(-rate x time), whatever the server:
//! a condition that explains a measured share only if it predicts it.

use super::Claim;
use super::evidence::unmeasured;
use super::verdict::Verdict;
use crate::measure::cell::Cell;
use crate::number::short;
use crate::scenario::kinds::Pace;
use crate::stats::Bounds;
use crate::stats::proportion::wilson;

/// What the reference server holds when it is asked for no time, in seconds.
const SERVERS_HOLD_S: f64 = 30.0;

/// Events for each poll up to which it does not matter that the first polls look back on less than a whole interval.
const FEW_EVENTS: f64 = 0.5;

/// Holds that a window must have, so that those cut off by its ends do not matter.
const HOLDS: f64 = 5.0;

/// A share that is as good as none, whatever the window.
const NEVER: f64 = 1e-3;

/// For how long a poll collects or waits, and what follows from it.
pub(super) struct Waste {
    /// For how long: `interval`, `hold of 30 s`.
    words: String,
    /// What is told of the condition besides: ` within the hold`.
    within: &'static str,
    time_s: f64,
    /// Events owed to one subscriber per second, as they really came.
    rate_per_s: f64,
    /// Share of polls predicted to bring nothing.
    pub(super) predicted: f64,
    /// Share measured, with its interval.
    measured: f64,
    bounds: Bounds,
    /// The cell cannot tell, and what could.
    open: Option<&'static str>,
}

impl Waste {
    /// Polls at an interval: each collects what came since the one before.
    pub(super) fn of_interval(cell: &Cell) -> Option<Waste> {
        let (wire, time_s) = (&cell.subscriber_wire, cell.spec.short_poll.interval_s);
        let polls = wire.exchanges_in_window;
        let bounds = wilson(wire.empty_exchanges_in_window, polls)?;
        let per_poll = owed(cell) / polls as f64;
        let whole = cell.spec.warmup_s >= time_s || per_poll <= FEW_EVENTS;
        Some(Waste {
            words: "interval".to_owned(),
            within: "",
            time_s,
            rate_per_s: per_poll / time_s,
            predicted: (-per_poll).exp(),
            measured: wire.empty_exchanges_in_window as f64 / polls as f64,
            bounds,
            open: poisson(cell).or((!whole).then_some("a warm-up of at least one interval")),
        })
    }

    /// Held polls: each waits for the next event, and is empty if that does not come in time. The subscribers of a topic
    /// wait for the same events, and together know no more than one.
    pub(super) fn of_hold(cell: &Cell) -> Option<Waste> {
        let time_s = cell.spec.long_poll.hold_s.unwrap_or(SERVERS_HOLD_S);
        let (polls, empty) =
            (cell.subscriber_wire.exchanges_in_window, cell.subscriber_wire.empty_exchanges_in_window);
        let together = u64::from(cell.spec.subscribers_of(0).max(1));
        let bounds = wilson(empty / together, polls.div_ceil(together))?;
        let rate_per_s = owed(cell) / (subscribers(cell) * cell.measured_s);
        let predicted = (-rate_per_s * time_s).exp();
        let long = cell.measured_s >= HOLDS * time_s || predicted < NEVER;
        Some(Waste {
            words: format!("hold of {} s", short(time_s)),
            within: " within the hold",
            time_s,
            rate_per_s,
            predicted,
            measured: empty as f64 / polls as f64,
            bounds,
            open: poisson(cell).or((!long).then_some("a window of at least five holds")),
        })
    }

    /// Whether the share that was measured is the one that is predicted.
    fn agrees(&self) -> bool {
        // Both may be as good as nothing, or as good as all.
        const ROUNDING: f64 = 1e-9;
        let Bounds { low, high } = self.bounds;
        (low - ROUNDING..=high + ROUNDING).contains(&self.predicted)
    }

    /// Where the claim changes sides, if how often something happens is what decides; else by how much it does not.
    pub(super) fn verdict(&self, claim: &Claim) -> Verdict {
        if let Some(open) = self.open {
            return unmeasured(open);
        }
        let Waste { words, within, time_s, rate_per_s, predicted, measured, .. } = self;
        if !self.agrees() {
            let (measured, predicted) = (100.0 * measured, 100.0 * predicted);
            return Verdict::NotReproduced {
                by: format!(
                    "{}% wasted, where e^(-rate x {words}) predicts {}% at {}: {} points {}, which how often something happens does not explain",
                    short(measured),
                    short(predicted),
                    every(*rate_per_s),
                    short((measured - predicted).abs()),
                    if measured > predicted { "more" } else { "less" }
                ),
            };
        }
        let (claimed, than) = match (claim.low, claim.high) {
            (Some(least), _) => (least, "fewer"),
            (None, most) => (most.unwrap_or(0.0), "more"),
        };
        Verdict::Depends {
            on: format!("how often something happens{within}"),
            flips_at: format!(
                "{} here, for which e^(-rate x {words}) predicts {}%; {}% needs {than} than one event in {} s",
                every(*rate_per_s),
                short(100.0 * predicted),
                short(claimed),
                short(time_s / -(claimed / 100.0).ln())
            ),
        }
    }

    /// The share that is predicted, for a note: `90.5% at one event in 50 s`.
    pub(super) fn prediction(&self) -> String {
        format!("{}% at {}", short(100.0 * self.predicted), every(self.rate_per_s))
    }
}

fn every(rate_per_s: f64) -> String {
    if rate_per_s > 0.0 { format!("one event in {} s", short(1.0 / rate_per_s)) } else { "no event".into() }
}

/// Deliveries that the polls of the window brought, and those that they should have brought.
fn owed(cell: &Cell) -> f64 {
    (cell.counts.received_in_window + cell.counts.lost) as f64
}

fn subscribers(cell: &Cell) -> f64 {
    cell.counts.connected.saturating_sub(cell.spec.only_senders().into()) as f64
}

fn poisson(cell: &Cell) -> Option<&'static str> {
    (cell.spec.pace != Pace::Poisson).then_some("events at random times (pace = \"poisson\")")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::find;
    use super::*;
    use crate::measure::sample;

    fn interval(polls: u64, empty: u64, events: u64) -> Cell {
        sample::cell("poll-latency/short-poll").polls(polls, empty, 600).delivering(events).build()
    }

    fn told(waste: Option<Waste>, claim: &str) -> String {
        let verdict = waste.unwrap().verdict(find(claim).unwrap());
        format!("{}: {}", verdict.word(), verdict.condition())
    }

    #[test]
    fn a_share_that_is_not_the_one_predicted_is_told_with_the_distance() {
        let at = |cell: &Cell| told(Waste::of_interval(cell), "sp-wasted");
        // 600 events in 6,000 polls: e^-0.1.
        let explained = at(&interval(6_000, 5_429, 600));
        assert!(explained.starts_with("depends: depends on how often something happens: one event in 50 s"));
        let hidden = at(&interval(6_000, 5_900, 600));
        let says = "not reproduced: 98.3% wasted, where e^(-rate x interval) predicts 90.5% at one event in 50 s: 7.85 points more";
        assert!(hidden.starts_with(says), "{hidden}");
        let lost = at(&interval(6_000, 5_710, 300));
        assert!(lost.starts_with("depends: depends on how often something happens: one event in 100 s"));
        let mut lossy = interval(6_000, 5_710, 300);
        lossy.counts.lost = 300;
        assert!(at(&lossy).starts_with("not reproduced: 95.2% wasted"), "half of what was owed never came");
    }

    #[test]
    fn what_the_prediction_does_not_hold_for_is_not_predicted() {
        let at = |change: fn(&mut Cell)| {
            let mut cell = interval(6_000, 300, 18_000);
            change(&mut cell);
            told(Waste::of_interval(&cell), "sp-wasted")
        };
        assert!(at(|_| {}).starts_with("depends"), "{}", at(|_| {}));
        let even = at(|cell| cell.spec.pace = Pace::Constant);
        assert_eq!(even, "not measured: needs events at random times (pace = \"poisson\")");
        let cold = at(|cell| cell.spec.warmup_s = 1.0);
        assert_eq!(cold, "not measured: needs a warm-up of at least one interval");
        let silent = interval(0, 0, 0);
        assert!(Waste::of_interval(&silent).is_none() && Waste::of_hold(&silent).is_none(), "nobody polled");
    }

    #[test]
    fn held_polls_are_empty_as_often_as_nothing_happens_in_a_hold() {
        let held = |polls: u64, empty: u64, hold_s: f64| {
            let cell = sample::cell("workload/long-poll").polls(polls, empty, 600).delivering(27_000);
            let cell = cell.with(|cell| cell.spec.long_poll.hold_s = Some(hold_s)).build();
            told(Waste::of_hold(&cell), "lp-wasted")
        };
        // 900 subscribers, an event a second: e^-1 of the polls that are held for a second.
        let rare = held(42_714, 15_714, 1.0);
        let says = "depends: depends on how often something happens within the hold: one event in 1 s here, for which e^(-rate x hold of 1 s) predicts 36.8%";
        assert!(rare.starts_with(says), "{rare}");
        assert!(held(54_000, 27_000, 1.0).starts_with("not reproduced: 50% wasted"), "the hold is not kept");
        assert!(held(27_000, 0, 30.0).contains("predicts 0%"), "{}", held(27_000, 0, 30.0));
        assert!(held(36_000, 9_000, 30.0).starts_with("not reproduced: 25% wasted"));
        assert_eq!(held(27_100, 100, 6.5), "not measured: needs a window of at least five holds");
    }
}
