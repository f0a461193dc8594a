//! Claims outside of the matrix that its cells happen to answer.

use super::evidence::{Evidence, unmeasured};
use super::kind;
use super::verdict::{Estimate, Verdict, judge};
use super::waste::Waste;
use super::{Claim, find};
use crate::measure::cell::Cell;
use crate::measure::metric;
use crate::number::{short, with_unit};
use crate::scenario::cell_id::Which;
use crate::stats::Bounds;

/// A claim and what a run says about it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The claim.
    pub claim: &'static Claim,
    /// What was measured, for people; empty if nothing was.
    pub measured: String,
    /// The same in the claim's unit.
    pub value: Option<f64>,
    /// Its 95% interval; a point for what was counted.
    pub bounds: Option<Bounds>,
    /// The verdict.
    pub verdict: Verdict,
    /// What the verdict rests on.
    pub condition: String,
    /// The metric and the cell it was read from.
    pub evidence: String,
}

/// Which metric of which cell answers a claim, and what turns it into the claim's unit.
struct Source {
    claim: &'static str,
    cell: Which<'static>,
    metric: &'static str,
    factor: f64,
    /// Whether the cell meets the claim's condition, and the condition if not.
    fits: fn(&Cell) -> Result<(), &'static str>,
}

const fn source(
    claim: &'static str,
    cell: Which<'static>,
    metric: &'static str,
    factor: f64,
    fits: fn(&Cell) -> Result<(), &'static str>,
) -> Source {
    Source { claim, cell, metric, factor, fits }
}

const SHORT: Which<'_> = kind::cell(kind::POLL_LATENCY, "short-poll");
const LONG: Which<'_> = kind::cell(kind::WORKLOAD, "long-poll");

static SOURCES: &[Source] = &[
    source("sp-latency-mean", SHORT, "response_mean_ms", 1e-3, five_seconds),
    source("sp-wasted", SHORT, "wasted_percent", 1.0, five_seconds),
    source("sp-requests", SHORT, "exchanges_per_s", 1.0, thousand_at_five_seconds),
    source("sp-queries", SHORT, "lookups_per_s", 1.0, thousand_at_five_seconds),
    source("lp-requests", LONG, "exchanges_per_delivery", 1.0, always),
    source("ws-frame", kind::cell(kind::WORKLOAD, "websocket"), "framing_in_bytes_per_delivery", 1.0, always),
    source("sse-overhead", kind::cell(kind::WORKLOAD, "sse"), "framing_in_bytes_per_delivery", 1.0, always),
    source("rtc-server-bytes", kind::cell(kind::WORKLOAD, "webrtc"), "server_payload_percent", 1.0, peers),
];

fn always(_: &Cell) -> Result<(), &'static str> {
    Ok(())
}

fn five_seconds(cell: &Cell) -> Result<(), &'static str> {
    if cell.spec.short_poll.interval_s == 5.0 { Ok(()) } else { Err("a poll interval of 5 s") }
}

fn thousand_at_five_seconds(cell: &Cell) -> Result<(), &'static str> {
    five_seconds(cell)?;
    if cell.spec.clients == 1_000 { Ok(()) } else { Err("1,000 clients") }
}

fn peers(cell: &Cell) -> Result<(), &'static str> {
    if cell.spec.webrtc.peer_to_peer { Ok(()) } else { Err("clients that connect to each other") }
}

/// The claims that the cells of a matrix answer, in the guide's order.
pub fn answers(cells: &[Cell]) -> Vec<Answer> {
    let evidence = Evidence::new(cells, &[]);
    SOURCES.iter().filter_map(|source| Some(source.answer(find(source.claim)?, &evidence))).collect()
}

/// What the evidence says of a claim, if a single metric answers it.
pub(super) fn answer(claim: &'static Claim, evidence: &Evidence<'_>) -> Option<Answer> {
    SOURCES.iter().find(|source| source.claim == claim.id).map(|source| source.answer(claim, evidence))
}

/// The claims that a single metric answers.
#[cfg(test)]
pub(super) fn claims() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|source| source.claim)
}

impl Source {
    fn answer(&self, claim: &'static Claim, evidence: &Evidence<'_>) -> Answer {
        let nothing = |verdict: Verdict| Answer::not_measured(claim, verdict);
        let cell = match evidence.cell_by(self.cell, self.metric) {
            Ok(cell) => cell,
            Err(verdict) => return nothing(verdict),
        };
        if let Err(condition) = (self.fits)(cell) {
            return nothing(unmeasured(condition));
        }
        let value = match evidence.metric(self.cell, self.metric) {
            Ok(value) => value * self.factor,
            Err(verdict) => return nothing(verdict),
        };
        let bounds = metric::find(self.metric).and_then(|metric| metric.bounds(cell));
        let bounds = bounds.map_or(Bounds::exact(value), |bounds| bounds.scaled(self.factor));
        let verdict = self.verdict(claim, Estimate { value, bounds }, cell);
        let interval = match bounds.low == bounds.high {
            true => String::new(),
            false => format!("95%: {} to {}", short(bounds.low), short(bounds.high)),
        };
        let parts = [verdict.condition(), interval];
        Answer {
            claim,
            measured: with_unit(value, &claim.unit),
            value: Some(value),
            bounds: Some(bounds),
            condition: parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "),
            verdict,
            evidence: format!("{} of {}", self.metric, self.cell),
        }
    }

    fn verdict(&self, claim: &Claim, estimate: Estimate, cell: &Cell) -> Verdict {
        let verdict = judge(claim, estimate).unwrap_or_else(|| unmeasured(claim.rule.clone()));
        match Waste::of_interval(cell).filter(|_| self.claim == "sp-wasted") {
            Some(waste) => waste.verdict(claim),
            None => verdict,
        }
    }
}
