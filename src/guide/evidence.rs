//! The cells of a run as evidence: which there are, and why one is not to be used.

use super::kind;
use super::verdict::Verdict;
use crate::measure::cell::{Cell, Probe};
use crate::measure::metric;
use crate::measure::repeats::{Repeats, middle};
use crate::measure::source::SourceCount;
use crate::measure::usable::{measured, usable};
use crate::scenario::cell_id::Which;
use crate::stats::slope::{Slope, theil_sen};

/// Probes that need what a machine may lack: their name, the kind of cells they are in, and what they need.
#[rustfmt::skip]
static OUTSIDE: &[(&str, &str, Needs)] = &[
    ("browser", kind::BROWSER, Needs { run: "a real browser that runs it against the server: `rtbench matrix --full`", installed: CHROMIUM }),
    ("six", kind::BROWSER, Needs { run: "a real browser, which holds six connections to one host", installed: CHROMIUM }),
    ("firewall", kind::FIREWALL, Needs { run: "real proxies and firewalls between client and server: `rtbench matrix --full`", installed: "nginx; Debian's package nginx brings it" }),
    ("turn", kind::FIREWALL, Needs { run: "a TURN server and a blocked direct path", installed: "coturn; Debian's package coturn brings it" }),
];

const CHROMIUM: &str = "Chromium; Debian's package chromium brings it";

/// What a probe needs that was not run.
struct Needs {
    /// Where nobody tried.
    run: &'static str,
    /// Where it was not installed.
    installed: &'static str,
}

/// The cell that a protocol's probe of this name is in.
pub(super) fn probe_cell<'a>(protocol: &'a str, name: &str) -> Which<'a> {
    let outside = OUTSIDE.iter().find(|(outside, ..)| *outside == name);
    kind::cell(outside.map_or(kind::PROBE, |(_, kind, _)| kind), protocol)
}

/// What verdicts may lean on. Of several repetitions of a cell, the one in the middle by the metric in question counts, with
/// its own interval: they share one schedule of events, so together they know no more about it than one alone.
pub(super) struct Evidence<'a> {
    cells: Vec<Repeats<'a>>,
    all: &'a [Cell],
    pub(super) source: &'a [SourceCount],
}

impl<'a> Evidence<'a> {
    pub(super) fn new(cells: &'a [Cell], source: &'a [SourceCount]) -> Evidence<'a> {
        Evidence { cells: Repeats::of(cells), all: cells, source }
    }

    fn find(&self, which: Which<'_>) -> Option<&Repeats<'a>> {
        self.cells.iter().find(|repeats| repeats.id().is(which))
    }

    /// Cells of a kind and protocol, whatever their axes.
    fn like(&self, kind: &str, protocol: &str) -> impl Iterator<Item = &Repeats<'a>> {
        self.cells.iter().filter(move |repeats| repeats.id().is_like(kind, protocol))
    }

    /// Every cell of the run.
    pub(super) fn all(&self) -> &'a [Cell] {
        self.all
    }

    /// The cell that is asked for, for what its repetitions have in common, if it was measured and can be believed.
    ///
    /// # Errors
    /// The verdict `not measured`, with what would measure it.
    pub(super) fn cell(&self, which: Which<'_>) -> Result<&'a Cell, Verdict> {
        let repeats = self.find(which).ok_or_else(|| unmeasured(format!("the cell {which}")))?;
        match (usable_of(repeats).first(), usable(repeats.first())) {
            (Some(cell), _) => Ok(cell),
            (None, Err(reason)) => Err(unmeasured(format!("the cell {which} again: {reason}"))),
            (None, Ok(())) => Err(unmeasured(format!("the cell {which} again"))),
        }
    }

    /// The repetition of a cell that stands for all by a metric.
    ///
    /// # Errors
    /// As [`Evidence::cell`].
    pub(super) fn cell_by(&self, which: Which<'_>, metric: &str) -> Result<&'a Cell, Verdict> {
        let any = self.cell(which)?;
        let usable = self.find(which).map(usable_of).unwrap_or_default();
        Ok(middle(&usable, metric).unwrap_or(any))
    }

    /// The cells of a kind and protocol that can be believed, each by the repetition that stands for it by a metric.
    pub(super) fn cells_like(
        &self,
        kind: &str,
        protocol: &str,
        metric: &str,
    ) -> impl Iterator<Item = &'a Cell> {
        self.like(kind, protocol).filter_map(move |repeats| middle(&usable_of(repeats), metric))
    }

    /// Cells of a kind that were measured and can be believed, also where fewer clients came than were asked
    /// for: for claims about how many come.
    pub(super) fn crowds(&self, kind: &str) -> impl Iterator<Item = &'a Cell> {
        let like = self.cells.iter().filter(move |repeats| repeats.id().is_of(kind));
        like.flat_map(|repeats| repeats.cells().iter().copied()).filter(|cell| measured(cell).is_ok())
    }

    /// A metric of a cell.
    ///
    /// # Errors
    /// As [`Evidence::cell`], or because the cell does not have it.
    pub(super) fn metric(&self, cell: Which<'_>, name: &str) -> Result<f64, Verdict> {
        let value = metric::find(name).and_then(|metric| metric.value(self.cell_by(cell, name).ok()?));
        match value {
            Some(value) => Ok(value),
            None => {
                Err(self.cell(cell).err().unwrap_or_else(|| unmeasured(format!("{name} of the cell {cell}"))))
            }
        }
    }

    /// What a protocol's probe found.
    ///
    /// # Errors
    /// It was not run, or could not tell.
    pub(super) fn probe(&self, protocol: &str, name: &str) -> Result<&'a Probe, Verdict> {
        let place = probe_cell(protocol, name);
        let cell = self.cell(place);
        let probe = cell.as_ref().ok().and_then(|cell| cell.probes.iter().find(|probe| probe.name == name));
        let needs = OUTSIDE.iter().find(|(outside, ..)| *outside == name).map(|(_, _, needs)| needs);
        match (probe, needs) {
            (Some(probe), _) if !probe.was_told() => Err(unmeasured(&probe.detail)),
            (Some(probe), _) => Ok(probe),
            (None, Some(needs)) if self.find(place).is_none() => Err(unmeasured(needs.run)),
            (None, Some(needs)) if cell.is_ok() => Err(unmeasured(needs.installed)),
            (None, _) if name == "encrypted" && cell.is_ok() => {
                Err(unmeasured("the right to see packets (root, or CAP_NET_RAW)"))
            }
            (None, _) => {
                Err(cell.err().unwrap_or_else(|| unmeasured(format!("the probe {name} of {protocol}"))))
            }
        }
    }

    /// User memory of the idle server over connected clients, in bytes per client.
    ///
    /// # Errors
    /// There are not two client counts with a server whose memory could be read.
    pub(super) fn memory_slope(&self, protocol: &str) -> Result<Slope, Verdict> {
        self.slope(kind::MEMORY, protocol, "server_memory_idle_bytes")
    }

    /// A metric over connected clients, in its unit per client; each repetition of a cell is a point of its own.
    ///
    /// # Errors
    /// There are not two client counts with a value.
    pub(super) fn slope(&self, kind: &str, protocol: &str, name: &str) -> Result<Slope, Verdict> {
        let points: Vec<(f64, f64)> = self
            .like(kind, protocol)
            .flat_map(usable_of)
            .filter_map(|cell| {
                let memory = metric::find(name)?.value(cell)?;
                Some((cell.counts.connected as f64, memory))
            })
            .collect();
        theil_sen(&points)
            .ok_or_else(|| unmeasured(format!("{kind}/{protocol}/CLIENTS at two or more client counts")))
    }
}

pub(super) fn unmeasured(what_would: impl Into<String>) -> Verdict {
    Verdict::NotMeasured { what_would: what_would.into() }
}

fn usable_of<'a>(repeats: &Repeats<'a>) -> Vec<&'a Cell> {
    repeats.cells().iter().copied().filter(|cell| usable(cell).is_ok()).collect()
}

/// Kinds of cells that are about how many clients come.
const CROWDS: [&str; 4] = [kind::IDLE, kind::CAPACITY, kind::CROWD, kind::MILLION];

/// Whether a cell takes the place of an older one like it: it is as good, or fewer clients came where that is the
/// question.
pub(super) fn speaks(cell: &Cell) -> bool {
    let crowd = CROWDS.iter().any(|kind| cell.spec.id.is_of(kind));
    if crowd { measured(cell).is_ok() } else { usable(cell).is_ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::cell::{Status, TrustLevel};
    use crate::measure::sample;

    #[test]
    fn what_a_probe_of_a_browser_lacks_is_said() {
        let needs = |cells: &[Cell]| match Evidence::new(cells, &[]).probe("sse", "browser") {
            Ok(probe) => probe.found.clone(),
            Err(verdict) => verdict.condition(),
        };
        assert_eq!(
            needs(&[]),
            "needs a real browser that runs it against the server: `rtbench matrix --full`"
        );
        let none = sample::cell("browser/sse").build();
        assert_eq!(needs(&[none]), "needs Chromium; Debian's package chromium brings it");
        let failed = sample::cell("browser/sse").with(|cell| cell.status = Status::Failed("mute".into()));
        assert_eq!(needs(&[failed.build()]), "needs the cell browser/sse again: it failed (mute)");
        // What else was probed of the protocol lies elsewhere.
        let elsewhere = sample::cell("probe/sse").probe("browser", "modern", "").build();
        let ran = sample::cell("browser/sse").probe("browser", "modern", "").build();
        assert!(needs(std::slice::from_ref(&elsewhere)).starts_with("needs a real browser"));
        assert_eq!(needs(&[elsewhere, ran]), "modern");
    }

    #[test]
    fn repetitions_speak_with_the_voice_of_the_middle_one() {
        let cell = |repeat: u32, ms: f64, trust: TrustLevel| {
            let samples: Vec<f64> = (0..1_000).map(|i| ms + f64::from(i) / 1e4).collect();
            let cell = sample::cell("workload/sse").latency_ms(&samples, 1_000);
            cell.with(|cell| (cell.spec.repeat, cell.trust.level) = (repeat, trust)).build()
        };
        let cells = [
            cell(0, 9.0, TrustLevel::Ok),
            cell(1, 1.0, TrustLevel::Invalid),
            cell(2, 3.0, TrustLevel::Ok),
            cell(3, 4.0, TrustLevel::Ok),
        ];
        let evidence = Evidence::new(&cells, &[]);
        let middle = evidence
            .cell_by(kind::cell(kind::WORKLOAD, "sse"), "response_p50_ms")
            .expect("three can be believed");
        assert_eq!(middle.spec.repeat, 3);
        let (value, bounds) = metric::find("response_p50_ms")
            .map(|metric| {
                (evidence.metric(kind::cell(kind::WORKLOAD, "sse"), metric.name), metric.bounds(middle))
            })
            .expect("a metric");
        let (value, bounds) = (value.expect("measured"), bounds.expect("enough events"));
        assert!(bounds.low <= value && value <= bounds.high && bounds.high < 4.2, "{value} in {bounds:?}");
        let none = [cell(0, 1.0, TrustLevel::Invalid)];
        let verdict = Evidence::new(&none, &[])
            .cell(kind::cell(kind::WORKLOAD, "sse"))
            .map(|_| ())
            .expect_err("invalid");
        assert!(verdict.condition().contains("it is invalid"), "{}", verdict.condition());
    }

    #[test]
    fn every_repetition_is_a_point_of_a_slope() {
        let point = |clients: u32, repeat: u32| {
            let cell =
                sample::cell(&format!("memory/sse/{clients}")).idle(clients, 9_000 + 100 * u64::from(repeat));
            cell.with(|cell| cell.spec.repeat = repeat).build()
        };
        let cells: Vec<Cell> =
            (0..3).flat_map(|repeat| [100, 1_000].map(|clients| point(clients, repeat))).collect();
        let evidence = Evidence::new(&cells, &[]);
        let slope = evidence.memory_slope("sse").unwrap_or_else(|verdict| panic!("{verdict:?}"));
        assert_eq!((slope.points, slope.coarse), (6, false));
        assert!((9_000.0..=9_200.0).contains(&slope.value), "{slope:?}");
    }

    #[test]
    fn what_middleboxes_did_is_in_a_cell_of_its_own() {
        let cells = [
            sample::cell("probe/webrtc").probe("firewall", "no", "").build(),
            sample::cell("firewall/webrtc").probe("firewall", "yes", "").build(),
            sample::cell("firewall/sse").build(),
        ];
        let evidence = Evidence::new(&cells, &[]);
        let told = |protocol, name| match evidence.probe(protocol, name) {
            Ok(probe) => probe.found.clone(),
            Err(verdict) => verdict.condition(),
        };
        assert_eq!(told("webrtc", "firewall"), "yes");
        assert_eq!(told("webrtc", "turn"), "needs coturn; Debian's package coturn brings it");
        assert_eq!(told("sse", "firewall"), "needs nginx; Debian's package nginx brings it");
        assert!(told("websocket", "firewall").starts_with("needs real proxies"));
    }
}
