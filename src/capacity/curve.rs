//! What the steps of a search say, read from the cells of a run: the curve, and how far the server goes.

use super::search::{Ending, Next, Search, SearchPlan, Vary, Verdict};
use crate::measure::cell::{Cell, Status, TrustLevel};
use crate::measure::metric;
use crate::measure::run::{Run, RunStatus, with_defaults};
use crate::measure::threshold::Threshold;
use crate::measure::trust;
use crate::number::{short, with_unit};

/// A threshold that is missed by this share of its limit or less is missed by a hair.
const HAIR: f64 = 0.05;

/// Share of one core from which a server with one thread has nothing left, in %.
const SERVER_BUSY_PERCENT: f64 = 90.0;

/// One measurement of one load.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// The load: clients, or events per second of each publisher.
    pub load: f64,
    /// The cell.
    pub cell: &'a Cell,
    /// What it says.
    pub judgement: Judgement,
}

/// What a cell says about its load, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// What speaks against the load, in words and figures; empty if it holds.
    pub reasons: Vec<String>,
}

impl std::fmt::Display for Judgement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reasons.is_empty() {
            true => f.write_str(self.verdict.word()),
            false => write!(f, "{} ({})", self.verdict.word(), self.reasons.join("; ")),
        }
    }
}

impl Step<'_> {
    /// Server processes, over which the groups were spread.
    pub fn servers(&self) -> u32 {
        self.cell.server.as_ref().map_or(1, |server| server.servers.max(1))
    }
}

/// How the search of one protocol ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By itself.
    Ended(Ending),
    /// The time allowed was over.
    OutOfTime,
    /// The user stopped it, or the program was killed.
    Interrupted,
}

/// The search of one protocol.
#[derive(Clone, Debug)]
pub struct Curve<'a> {
    /// Name of the protocol.
    pub protocol: &'a str,
    /// What was searched.
    pub plan: &'a SearchPlan,
    /// Its measurements, in the order in which they were made.
    pub steps: Vec<Step<'a>>,
    /// The largest load that held.
    pub held: Option<f64>,
    /// The smallest load that broke a threshold twice.
    pub broken: Option<f64>,
    /// How it ended.
    pub outcome: Outcome,
    /// The server was not started by rtbench.
    pub foreign: bool,
}

/// Holds the thresholds against the cell of a step.
pub fn judge(cell: &Cell, thresholds: &[Threshold]) -> Judgement {
    let of = |verdict, reasons| Judgement { verdict, reasons };
    match &cell.status {
        Status::Failed(reason) => return of(Verdict::Failed, vec![reason.clone()]),
        Status::Interrupted => return of(Verdict::Untold, vec!["interrupted".to_owned()]),
        Status::Finished if trust::says_nothing(cell) => {
            return of(Verdict::Untold, cell.trust.reasons.clone());
        }
        Status::Finished => {}
    }
    let mut broken = Vec::new();
    let mut untold = Vec::new();
    for threshold in thresholds.iter().filter(|threshold| threshold.applies_to(cell)) {
        let outcome = threshold.evaluate(cell);
        let asked = format!("{} {}", outcome.subject, outcome.expression);
        match (outcome.passed, outcome.measured) {
            (Some(true), _) => {}
            (Some(false), Some(measured)) => {
                let hair = if threshold.is_close(measured, HAIR) { ", missed by a hair" } else { "" };
                broken.push(format!("{asked}: {}{hair}", with_unit(measured, outcome.unit)));
            }
            _ => untold.push(format!("{asked}: {}", outcome.why.unwrap_or_default())),
        }
    }
    match (broken.is_empty(), untold.is_empty()) {
        (false, _) => of(Verdict::Broken, broken),
        (true, false) => of(Verdict::Untold, untold),
        (true, true) => of(Verdict::Held, Vec::new()),
    }
}

/// The curves of a run, one for each protocol that was planned; none if the run searched nothing.
pub fn of(run: &Run) -> Vec<Curve<'_>> {
    let Some(plan) = &run.file.search else { return Vec::new() };
    // Those of a search that was made before there were any by default are held to them, too.
    let texts = with_defaults(run.file.thresholds.clone());
    let thresholds: Vec<_> = texts.iter().filter_map(|text| text.read().ok()).collect();
    plan.protocols.iter().map(|protocol| curve(run, plan, protocol, &thresholds)).collect()
}

fn curve<'a>(run: &'a Run, plan: &'a SearchPlan, protocol: &'a str, thresholds: &[Threshold]) -> Curve<'a> {
    let mut search = Search::new(plan);
    let mut steps = Vec::new();
    for cell in run.cells.iter().filter(|cell| cell.spec.id.protocol.name == protocol) {
        let step = Step { load: plan.vary.load(cell), cell, judgement: judge(cell, thresholds) };
        if cell.status != Status::Interrupted {
            search.note(step.load, step.judgement.verdict);
        }
        steps.push(step);
    }
    let outcome = match (search.next(), &run.file.status) {
        (Next::End(ending), _) => Outcome::Ended(ending),
        (_, RunStatus::Finished) => Outcome::OutOfTime,
        _ => Outcome::Interrupted,
    };
    let foreign = run.file.command.iter().any(|word| word.starts_with("--target"));
    Curve { protocol, plan, steps, held: search.held(), broken: search.broken(), outcome, foreign }
}

impl Vary {
    /// The load of a cell.
    pub fn load(self, cell: &Cell) -> f64 {
        match self {
            Vary::Clients => cell.spec.clients.into(),
            Vary::Rate => cell.spec.rate_per_s,
        }
    }

    /// A load in words.
    pub fn say(self, load: f64) -> String {
        match self {
            Vary::Clients => format!("{} clients", whole(load)),
            Vary::Rate => format!("{} events/s of each publisher", short(load)),
        }
    }

    /// A load without its unit.
    pub fn figure(self, load: f64) -> String {
        match self {
            Vary::Clients => whole(load),
            Vary::Rate => short(load),
        }
    }
}

/// `short` keeps whole numbers whole.
fn whole(load: f64) -> String {
    short(load.round())
}

impl Curve<'_> {
    /// How far the server goes, in a sentence or two.
    pub fn headline(&self) -> String {
        let by_themselves = self.steps.iter().any(|step| step.cell.spec.webrtc.peer_to_peer);
        let note = if by_themselves {
            "; peer to peer: the server carries nothing but their signalling"
        } else {
            ""
        };
        self.result() + note
    }

    fn result(&self) -> String {
        let vary = self.plan.vary;
        let held = self.held.map(|load| vary.say(load) + &self.over_servers(load));
        let at_least =
            held.as_ref().map_or("nothing is known to hold".to_owned(), |held| format!("at least {held}"));
        let below = self.broken.map_or(String::new(), |load| format!(", fewer than {}", vary.figure(load)));
        match self.outcome {
            Outcome::Ended(Ending::Found) => {
                format!("{} hold{}", held.unwrap_or_default(), self.why_broken())
            }
            Outcome::Ended(Ending::AtMax) => format!("{at_least}, the most that was to be tried (--max)"),
            Outcome::Ended(Ending::NoneHolds) => {
                let least = self.broken.unwrap_or(self.plan.least);
                format!("not even {} hold: {}", vary.say(least), self.reasons_at(least))
            }
            Outcome::Ended(Ending::Untold | Ending::Failed) => {
                format!("{at_least}{below}; {}", self.why_not_on())
            }
            Outcome::OutOfTime => format!("{at_least}{below}; the time was over (--budget)"),
            Outcome::Interrupted => format!("{at_least}{below}; interrupted"),
        }
    }

    /// More clients than a process can hold take more servers, and what holds is not what one of them bears.
    fn over_servers(&self, load: f64) -> String {
        let servers = self.steps.iter().find(|step| step.load == load).map_or(1, Step::servers);
        if servers > 1 { format!(" over {servers} server processes") } else { String::new() }
    }

    fn why_broken(&self) -> String {
        self.broken.map_or(String::new(), |load| {
            format!("; {} do not: {}", self.plan.vary.figure(load), self.reasons_at(load))
        })
    }

    /// The reasons of the last measurement of a load that broke, and whether something else may have had a hand in it.
    fn reasons_at(&self, load: f64) -> String {
        let Some(step) = self.steps.iter().rev().find(|step| step.load == load) else { return String::new() };
        let trust = &step.cell.trust;
        let gravest = trust.reasons.first().filter(|_| trust.level == TrustLevel::Degraded);
        let disturbed = gravest.map_or(String::new(), |reason| format!(" (degraded: {reason})"));
        let busy = busy_server(step.cell).map_or(String::new(), |core| format!("; the server used {core}"));
        step.judgement.reasons.join("; ") + &busy + &disturbed
    }

    /// Why the last step says nothing about the server.
    fn why_not_on(&self) -> String {
        let Some(last) = self.steps.last() else { return String::new() };
        let (load, cell) = (self.plan.vary.say(last.load), last.cell);
        let reasons = last.judgement.reasons.join("; ");
        match (&cell.status, cell.trust.level) {
            (Status::Failed(_), _) => format!("{load} could not be measured: {reasons}"),
            (_, TrustLevel::Invalid) => {
                // The gravest stands first; the others stand under Trust.
                let reason = cell.trust.reasons.first().map_or("", String::as_str);
                let busy =
                    busy_server(cell).map_or(String::new(), |core| format!(" alone (which used {core})"));
                format!("at {load} the generator or its host gave out, not the server{busy}: {reason}")
            }
            _ if last.judgement.verdict == Verdict::Broken => {
                format!("{load} once broke a threshold and once could not be judged: {reasons}")
            }
            _ => format!("{load} cannot be judged: {reasons}"),
        }
    }
}

/// How much of a core the server used, where that leaves it nothing: that the generator gave out does not mean that the server
/// had much left, and that it was slow does not mean that it was at its end.
fn busy_server(cell: &Cell) -> Option<String> {
    let percent = metric::find("server_cpu_percent").and_then(|metric| metric.value(cell));
    let busy = percent.filter(|&percent| percent >= SERVER_BUSY_PERCENT);
    busy.map(|percent| format!("{} of a core", with_unit(percent, "%")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::measure::run::{RunFile, RunKind, ScenarioText, ThresholdText};
    use crate::measure::sample;

    fn plan() -> SearchPlan {
        SearchPlan {
            vary: Vary::Clients,
            from: 1_000.0,
            least: 10.0,
            max: 4_000.0,
            resolution: 0.5,
            quantum: 10.0,
            protocols: vec!["sse".into()],
            budget_s: 600.0,
        }
    }

    fn cell(clients: u32, latency_ms: f64) -> Cell {
        let cell =
            sample::cell("capacity/sse/1").stream(40.0, 0.0).latency_ms(&vec![latency_ms; 2_000], 2_000);
        cell.with(|cell| {
            cell.spec.clients = clients;
            cell.counts.connected = clients.into();
        })
        .build()
    }

    fn run(cells: Vec<Cell>) -> Run {
        let text = ScenarioText { name: "fanout".into(), text: String::new() };
        let mut file = RunFile::begin(RunKind::Capacity, Vec::new(), 1, text);
        file.status = RunStatus::Finished;
        file.search = Some(plan());
        file.thresholds = with_defaults(vec![ThresholdText::new("latency", "p(99)<200ms")]);
        Run { name: "run".into(), file, cells, warnings: Vec::new() }
    }

    fn headline(run: &Run) -> String {
        of(run)[0].headline()
    }

    #[test]
    fn a_curve_says_what_holds_and_what_breaks() {
        let run = run(vec![cell(1_000, 10.0), cell(2_000, 900.0), cell(2_000, 205.0), cell(1_410, 20.0)]);
        let curve = &of(&run)[0];
        assert_eq!((curve.held, curve.broken), (Some(1_410.0), Some(2_000.0)));
        assert_eq!(curve.outcome, Outcome::Ended(Ending::Found));
        assert_eq!(
            curve.headline(),
            "1,410 clients hold; 2,000 do not: latency p(99)<200ms: 205 ms, missed by a hair"
        );
    }

    #[test]
    fn a_server_that_has_nothing_left_is_named_as_the_limit() {
        let full = |mut cell: Cell| {
            cell.server.as_mut().unwrap().cpu_ns = Some((0.98 * cell.measured_s * 1e9) as u64);
            cell
        };
        let run = run(vec![
            cell(1_000, 10.0),
            full(cell(2_000, 900.0)),
            full(cell(2_000, 900.0)),
            cell(1_410, 20.0),
        ]);
        assert!(headline(&run).ends_with("latency p(99)<200ms: 900 ms; the server used 98% of a core"));
    }

    #[test]
    fn a_limit_found_by_a_disturbed_step_says_so() {
        let mut disturbed = cell(2_000, 900.0);
        disturbed.trust.level = TrustLevel::Degraded;
        disturbed.trust.reasons = vec!["the hypervisor took 9%".into()];
        let run = run(vec![cell(1_000, 10.0), disturbed.clone(), disturbed, cell(1_410, 20.0)]);
        let said = headline(&run);
        assert!(said.ends_with("latency p(99)<200ms: 900 ms (degraded: the hypervisor took 9%)"), "{said}");
    }

    #[test]
    fn an_untrusted_step_is_the_generators_limit_and_not_the_servers() {
        let mut tired = cell(2_000, 10.0);
        // What is less grave stands under Trust.
        tired.trust.level = TrustLevel::Invalid;
        tired.trust.reasons = vec!["workers used 99% of a core".into(), "and it lagged".into()];
        let run = run(vec![cell(1_000, 10.0), tired.clone(), tired]);
        assert_eq!(
            headline(&run),
            "at least 1,000 clients; at 2,000 clients the generator or its host gave out, not the server: \
             workers used 99% of a core"
        );
    }

    #[test]
    fn what_was_cut_short_says_so() {
        let mut short_of_time = run(vec![cell(1_000, 10.0)]);
        assert_eq!(headline(&short_of_time), "at least 1,000 clients; the time was over (--budget)");
        short_of_time.file.status = RunStatus::Interrupted;
        short_of_time.cells.clear();
        assert_eq!(headline(&short_of_time), "nothing is known to hold; interrupted");
    }

    #[test]
    fn clients_that_stay_away_break_it_and_few_events_leave_it_open() {
        let texts = with_defaults(vec![ThresholdText::new("latency", "p(99)<200ms")]);
        let p99: Vec<Threshold> = texts.iter().map(|text| text.read().unwrap()).collect();
        let mut absent = cell(1_000, 10.0);
        (absent.counts.connected, absent.counts.cut_short) = (990, 4);
        let judgement = judge(&absent, &p99);
        assert_eq!(judgement.verdict, Verdict::Broken);
        assert_eq!(
            judgement.reasons,
            ["connected rate==100%: 99%, missed by a hair", "cut_short count==0: 4"]
        );
        let mut few = cell(1_000, 10.0);
        few.response.events = 10;
        assert_eq!(judge(&few, &p99).verdict, Verdict::Untold);
        few.status = Status::Failed("the server died".into());
        assert_eq!(judge(&few, &p99).verdict, Verdict::Failed);
    }
}
