//! Latency as a matter of the network: `k x RTT + c`, fitted over the links on which a protocol was measured.
//!
//! On loopback a latency claim is trivially true, and on one emulated link the link's preset decides it. What belongs to
//! the protocol is how many round trips a message takes, and what server and client add; where the claim stops to hold
//! follows from the two.

use super::evidence::{Evidence, unmeasured};
use super::finding::{Finding, ms_per, time, time_floor};
use super::verdict::Verdict;
use super::{Claim, kind};
use crate::measure::cell::Cell;
use crate::measure::metric;
use crate::number::short;
use crate::stats::line::{Line, least_squares};
use crate::transport::link::LinkSpec;

/// Links that a model needs.
const LINKS: usize = 3;

/// The latency of one protocol on any network.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Over the round trip in ms, in ms, without `wait_ms`.
    line: Line,
    /// What a message waits whatever the network is like, in ms: half the interval of a poll, else nothing.
    wait_ms: f64,
    /// The links, in words.
    links: String,
    evidence: &'static str,
}

/// One link's share of the evidence.
struct Point {
    link: LinkSpec,
    ms: f64,
}

/// The model of a protocol; `None` where it was not measured on three links.
///
/// Polls wait for half of their interval in the mean, so their mean is fitted, on cells of the same interval each less its
/// own half; the others' median.
///
/// # Errors
/// Over those links latency does not grow with the round trip: whatever it depends on, this is not it. What would measure it.
pub(super) fn fit(evidence: &Evidence<'_>, protocol: &str) -> Option<Result<Model, Verdict>> {
    let polls = protocol == "short-poll";
    let name = if polls { "response_mean_ms" } else { "response_p50_ms" };
    let workload = kind::cell(kind::WORKLOAD, protocol);
    // A poll's cell without a link has the guide's interval, of which the noise alone would hide the network.
    let own = evidence.cell_by(workload, name).ok().filter(|_| !polls);
    let linked = evidence.cells_like(workload.kind, protocol, name);
    let cells = own.into_iter().chain(linked.filter(|cell| cell.spec.id.link().is_some()));
    let mut points: Vec<Point> = cells.filter_map(|cell| point(cell, name, polls)).collect();
    points.sort_by_key(|point| point.link.rtt_ns);
    let mut rtts: Vec<u64> = points.iter().map(|point| point.link.rtt_ns).collect();
    rtts.dedup();
    if rtts.len() < LINKS {
        return None;
    }
    let line =
        least_squares(&points.iter().map(|point| (point.link.rtt_ms(), point.ms)).collect::<Vec<_>>())?;
    let links: Vec<String> = points.iter().map(|point| point.link.label()).collect();
    if line.slope_bounds.low <= 0.0 {
        return Some(Err(unmeasured(format!(
            "links again, further apart: over {} latency does not follow the round trip (95%: {} to {} RTT)",
            links.join(", "),
            multiple(line.slope_bounds.low),
            multiple(line.slope_bounds.high)
        ))));
    }
    // The guide's interval: that of the cell that its other claims are judged by.
    let guide = || {
        evidence
            .cell(kind::cell(kind::POLL_LATENCY, "short-poll"))
            .map_or(5.0, |cell| cell.spec.short_poll.interval_s)
    };
    let wait_ms = if polls { guide() * 1e3 / 2.0 } else { 0.0 };
    Some(Ok(Model { line, wait_ms, links: links.join(", "), evidence: name }))
}

fn point(cell: &Cell, name: &str, polls: bool) -> Option<Point> {
    let waited_ms = if polls { cell.spec.short_poll.interval_s * 1e3 / 2.0 } else { 0.0 };
    let ms = metric::find(name)?.value(cell)? - waited_ms;
    Some(Point { link: cell.spec.link, ms })
}

impl Model {
    /// `1.0 RTT + 0.3 ms`.
    pub(super) fn formula(&self) -> String {
        let wait = if self.wait_ms > 0.0 { "interval/2 + " } else { "" };
        let sign = if self.line.intercept < 0.0 { '-' } else { '+' };
        format!("{wait}{} RTT {sign} {}", multiple(self.line.slope), rest(self.line.intercept.abs()))
    }

    /// What was found on one network, put on all of them.
    pub(super) fn over(&self, claim: &Claim, on_one: Finding) -> Finding {
        let Some(verdict) = self.verdict(claim) else { return on_one };
        let Line { slope_bounds: slope, intercept_bounds: rest, points, .. } = self.line;
        let mut note = format!(
            "fitted to {points} links ({}), all but loopback emulated; 95%: {} to {} RTT, {} to {}",
            self.links,
            multiple(slope.low),
            multiple(slope.high),
            time(rest.low),
            time(rest.high)
        );
        if !on_one.note.is_empty() {
            note += &format!("; {} {}", on_one.measured, on_one.note);
        }
        Finding { measured: self.formula(), verdict, note, evidence: self.evidence_with(&on_one), ..on_one }
    }

    fn evidence_with(&self, on_one: &Finding) -> String {
        let fitted = format!("{} of the cells on links", self.evidence);
        if on_one.evidence.is_empty() { fitted } else { format!("{}; {fitted}", on_one.evidence) }
    }

    /// Up to which round trip the claim holds. `None` if the claim has no limit above.
    fn verdict(&self, claim: &Claim) -> Option<Verdict> {
        let per = ms_per(&claim.unit);
        let limit_ms = claim.high? * per;
        let least_ms = self.wait_ms + self.line.intercept;
        // Below the claim's lower end without any network, it begins to hold on a slower one.
        let from_ms = claim.low.map_or(0.0, |low| (low * per - least_ms) / self.line.slope).max(0.0);
        let to_ms = (limit_ms - least_ms) / self.line.slope;
        if to_ms <= from_ms {
            let by = format!("{} without any network, the limit is {}", time(least_ms), time(limit_ms));
            return Some(Verdict::NotReproduced { by });
        }
        let holds = match from_ms {
            0.0 => format!("holds up to an RTT of {}", rtt(to_ms)),
            _ => format!("holds from an RTT of {} to {}", rtt(from_ms), rtt(to_ms)),
        };
        Some(Verdict::Depends {
            on: "the network's round trip".into(),
            flips_at: format!("{}: {holds}", self.formula()),
        })
    }
}

/// How many round trips, to a tenth at least.
fn multiple(count: f64) -> String {
    let text = format!("{count:.2}");
    text.strip_suffix('0').map_or(text.clone(), str::to_owned)
}

/// What does not grow with the network: of a few links no more is known than tenths of milliseconds.
fn rest(ms: f64) -> String {
    let unit = if ms < 0.1 { 100.0 } else { 10.0 };
    time((ms * unit).round() / unit)
}

/// A round trip, rounded down: a budget must not grow by being printed.
fn rtt(ms: f64) -> String {
    match ms {
        ms if ms >= 1e3 => time((ms / 10.0).floor() * 10.0),
        ms if ms >= 10.0 => format!("{} ms", short(ms.floor())),
        ms => time_floor(ms),
    }
}
