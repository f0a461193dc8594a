//! The cells of a run as evidence: which there are, and why one is not to be used.

use std::collections::BTreeMap;

use super::verdict::Verdict;
use crate::measure::cell::{Cell, Probe, Status, TrustLevel};
use crate::measure::repeats::{Repeats, middle};
use crate::measure::source::SourceCount;
use crate::measure::{metric, shortfall};
use crate::scenario::plan::Pace;
use crate::stats::slope::{Slope, theil_sen};

/// Probes that need what a machine may lack: their name, the kind of cells they are in, and what they need.
#[rustfmt::skip]
static OUTSIDE: &[(&str, &str, Needs)] = &[
    ("browser", "browser", Needs { run: "a real browser that runs it against the server: `rtbench matrix --full`", installed: CHROMIUM }),
    ("six", "browser", Needs { run: "a real browser, which holds six connections to one host", installed: CHROMIUM }),
    ("firewall", "firewall", Needs { run: "real proxies and firewalls between client and server: `rtbench matrix --full`", installed: "nginx; Debian's package nginx brings it" }),
    ("turn", "firewall", Needs { run: "a TURN server and a blocked direct path", installed: "coturn; Debian's package coturn brings it" }),
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
pub(super) fn probe_cell(protocol: &str, name: &str) -> String {
    let kind = OUTSIDE.iter().find(|(outside, ..)| *outside == name).map_or("probe", |(_, kind, _)| kind);
    format!("{kind}/{protocol}")
}

/// What verdicts may lean on. Of several repetitions of a cell, the one in the middle by the metric in question counts, with
/// its own interval: they share one schedule of events, so together they know no more about it than one alone.
pub(super) struct Evidence<'a> {
    cells: BTreeMap<&'a str, Repeats<'a>>,
    pub(super) source: &'a [SourceCount],
}

impl<'a> Evidence<'a> {
    pub(super) fn new(cells: &'a [Cell], source: &'a [SourceCount]) -> Evidence<'a> {
        Evidence { cells: Repeats::of(cells).into_iter().map(|r| (r.name(), r)).collect(), source }
    }

    /// The cell of this name, for what its repetitions have in common, if it was measured and can be believed.
    ///
    /// # Errors
    /// The verdict `not measured`, with what would measure it.
    pub(super) fn cell(&self, name: &str) -> Result<&'a Cell, Verdict> {
        let repeats = self.cells.get(name).ok_or_else(|| unmeasured(format!("the cell {name}")))?;
        match (usable_of(repeats).first(), usable(repeats.first())) {
            (Some(cell), _) => Ok(cell),
            (None, Err(reason)) => Err(unmeasured(format!("the cell {name} again: {reason}"))),
            (None, Ok(())) => Err(unmeasured(format!("the cell {name} again"))),
        }
    }

    /// The repetition of a cell that stands for all by a metric.
    ///
    /// # Errors
    /// As [`Evidence::cell`].
    pub(super) fn cell_by(&self, name: &str, metric: &str) -> Result<&'a Cell, Verdict> {
        let any = self.cell(name)?;
        let usable = self.cells.get(name).map(usable_of).unwrap_or_default();
        Ok(middle(&usable, metric).unwrap_or(any))
    }

    /// The cells that can be believed whose names begin so, each by the repetition that stands for it by a metric.
    pub(super) fn cells_like(&self, prefix: &str, metric: &str) -> impl Iterator<Item = &'a Cell> {
        let like = self.cells.iter().filter(move |(name, _)| name.starts_with(prefix));
        like.filter_map(move |(_, repeats)| middle(&usable_of(repeats), metric))
    }

    /// Cells whose names begin so and that were measured and can be believed, also where fewer clients came than were asked
    /// for: for claims about how many come.
    pub(super) fn crowds(&self, prefix: &str) -> impl Iterator<Item = &'a Cell> {
        let like = self.cells.iter().filter(move |(name, _)| name.starts_with(prefix));
        like.flat_map(|(_, repeats)| repeats.cells().iter().copied()).filter(|cell| measured(cell).is_ok())
    }

    /// A metric of a cell.
    ///
    /// # Errors
    /// As [`Evidence::cell`], or because the cell does not have it.
    pub(super) fn metric(&self, cell: &str, name: &str) -> Result<f64, Verdict> {
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
        let cell = self.cell(&place);
        let probe = cell.as_ref().ok().and_then(|cell| cell.probes.iter().find(|probe| probe.name == name));
        let needs = OUTSIDE.iter().find(|(outside, ..)| *outside == name).map(|(_, _, needs)| needs);
        match (probe, needs) {
            (Some(probe), _) if !probe.was_told() => Err(unmeasured(&probe.detail)),
            (Some(probe), _) => Ok(probe),
            (None, Some(needs)) if !self.cells.contains_key(&*place) => Err(unmeasured(needs.run)),
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
        self.slope(&format!("memory/{protocol}/"), "server_memory_idle_bytes")
    }

    /// A metric over connected clients, in its unit per client; each repetition of a cell is a point of its own.
    ///
    /// # Errors
    /// There are not two client counts with a value.
    pub(super) fn slope(&self, prefix: &str, name: &str) -> Result<Slope, Verdict> {
        let cells = self.cells.iter().filter(|(name, _)| name.starts_with(prefix));
        let points: Vec<(f64, f64)> = cells
            .flat_map(|(_, repeats)| usable_of(repeats))
            .filter_map(|cell| {
                let memory = metric::find(name)?.value(cell)?;
                Some((cell.counts.connected as f64, memory))
            })
            .collect();
        theil_sen(&points).ok_or_else(|| unmeasured(format!("{prefix}CLIENTS at two or more client counts")))
    }
}

pub(super) fn unmeasured(what_would: impl Into<String>) -> Verdict {
    Verdict::NotMeasured { what_would: what_would.into() }
}

fn usable_of<'a>(repeats: &Repeats<'a>) -> Vec<&'a Cell> {
    repeats.cells().iter().copied().filter(|cell| usable(cell).is_ok()).collect()
}

/// Whether verdicts may lean on a cell, and why not: it was measured to its end, can be believed, and put on the load that
/// was asked for. The one rule of the matrix and of `rtbench claims`.
fn usable(cell: &Cell) -> Result<(), String> {
    measured(cell)?;
    shortfall::of(cell).map_or(Ok(()), |short| Err(format!("it came short ({short})")))
}

/// The same where it is in question how many clients are borne: that fewer came than were asked for is an answer.
fn measured(cell: &Cell) -> Result<(), String> {
    let Cell { counts, spec, .. } = cell;
    // A cell without a schedule of events is about its clients alone.
    let silent = spec.rate_per_s == 0.0 && spec.pace != Pace::Closed;
    match (&cell.status, cell.trust.level) {
        (Status::Failed(reason), _) => Err(format!("it failed ({reason})")),
        (Status::Interrupted, _) => Err("it was interrupted".to_owned()),
        (_, TrustLevel::Invalid) => Err(format!("it is invalid ({})", cell.trust.reasons.join("; "))),
        _ if !cell.put_load_on() => Ok(()),
        _ if counts.connected == 0 => Err("no client connected".to_owned()),
        _ if !silent && counts.delivered == 0 => Err("nothing was delivered".to_owned()),
        _ => Ok(()),
    }
}

/// How the names of cells begin that are about how many clients come.
const CROWDS: [&str; 4] = ["idle/", "capacity/", "crowd/", "million/"];

/// Whether a cell takes the place of an older one of its name: it is as good, or fewer clients came where that is the
/// question.
pub(super) fn speaks(cell: &Cell) -> bool {
    let crowd = CROWDS.iter().any(|family| cell.spec.name.starts_with(family));
    if crowd { measured(cell).is_ok() } else { usable(cell).is_ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let middle = evidence.cell_by("workload/sse", "response_p50_ms").expect("three can be believed");
        assert_eq!(middle.spec.repeat, 3);
        let (value, bounds) = metric::find("response_p50_ms")
            .map(|metric| (evidence.metric("workload/sse", metric.name), metric.bounds(middle)))
            .expect("a metric");
        let (value, bounds) = (value.expect("measured"), bounds.expect("enough events"));
        assert!(bounds.low <= value && value <= bounds.high && bounds.high < 4.2, "{value} in {bounds:?}");
        let none = [cell(0, 1.0, TrustLevel::Invalid)];
        let verdict = Evidence::new(&none, &[]).cell("workload/sse").map(|_| ()).expect_err("invalid");
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
