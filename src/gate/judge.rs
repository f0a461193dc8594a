//! From the cells of a gate to its verdict. Pure: the same files give the same verdict, whenever it is asked for.

use super::exact::{self, Findings};
use super::rule::{Decision, Look, Rule, STEPS};
use super::{GateFile, PRIMARY, SECONDARY, Side, Tiers, baseline, cell_of};
use crate::claim::verdict::with_unit;
use crate::host::facts::HostFacts;
use crate::measure::cell::{Cell, Slice, Status, TrustLevel};
use crate::measure::metric::{self, Better, Metric};
use crate::measure::run::Run;
use crate::stats::{Bounds, holm, quantile, rank_sum, signed_rank};

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

/// A verdict and its grounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is.
    pub outcome: Outcome,
    /// Whether more replicates cannot change it.
    pub settled: bool,
    /// Why, in words and figures.
    pub why: String,
}

impl Finding {
    fn settled(outcome: Outcome, why: String) -> Finding {
        Finding { outcome, settled: true, why }
    }

    fn open(why: String) -> Finding {
        Finding { outcome: Outcome::Inconclusive, settled: false, why }
    }
}

/// A noisy metric of a cell.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub metric: &'static Metric,
    /// It decides.
    pub decides: bool,
    /// Medians over the replicates: base and new.
    pub medians: [f64; 2],
    /// Hodges-Lehmann ratio of new to base.
    pub ratio: f64,
    /// Its limits: 95%, and of the one that decides those of its last look.
    pub limits: Bounds,
    /// Two-sided p of no change: the decider's own, the others' adjusted to each other (Holm).
    pub p: Option<f64>,
    /// The last look of the one that decides, if the sides took turns.
    pub look: Option<Look>,
    /// What it says against a baseline.
    pub against: Option<baseline::Finding>,
}

/// A replicate: the cells of both sides.
struct Pair<'a>([&'a Cell; 2]);

/// Every cell of a gate, in the order of the scenario.
pub fn of(run: &Run) -> Vec<Judgement> {
    let Some(file) = &run.file.gate else { return Vec::new() };
    let mut names: Vec<&str> = Vec::new();
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

    /// Log ratio of new to base. CPU per delivery comes by slices, each pair of which saw the same machine.
    fn log_ratio(&self, metric: &Metric) -> Option<f64> {
        let slices = [0, 1].map(|side| self.0[side].slices.as_slice());
        match sliced(metric.name) {
            Some(cost) if !slices[0].is_empty() => {
                let log = |(base, new): (&Slice, &Slice)| Some((cost(new)? / cost(base)?).ln());
                quantile::median(&slices[0].iter().zip(slices[1]).filter_map(log).collect::<Vec<_>>())
            }
            _ => {
                let [base, new] = [0, 1].map(|side| metric.value(self.0[side]).filter(|&value| value > 0.0));
                Some((new? / base?).ln())
            }
        }
    }
}

/// How a slice tells a metric.
type SliceCost = fn(&Slice) -> Option<f64>;

/// Metrics that slices tell.
fn sliced(metric: &str) -> Option<SliceCost> {
    fn per_delivery(cpu_ns: Option<u64>, slice: &Slice) -> Option<f64> {
        let cost = cpu_ns? as f64 / slice.delivered as f64;
        (cost.is_finite() && cost > 0.0).then_some(cost)
    }
    match metric {
        PRIMARY => Some(|slice| per_delivery(slice.server_cpu_ns, slice)),
        "generator_cpu_us_per_delivery" => Some(|slice| per_delivery(slice.generator_cpu_ns, slice)),
        _ => None,
    }
}

/// The deciding metric's row, then the others'.
fn rows(file: &GateFile, pairs: &[Pair<'_>]) -> Vec<Row> {
    let decider = metric::find(&file.metric);
    let others = SECONDARY.into_iter().filter(|name| *name != file.metric).filter_map(metric::find);
    let mut rows: Vec<Row> = decider
        .into_iter()
        .chain(others)
        .filter_map(|metric| match file.baseline {
            None => row(file, metric, pairs),
            Some(_) => apart(file, metric, pairs),
        })
        .collect();
    let others = rows.iter().filter(|row| !row.decides).map(|row| row.p.unwrap_or(1.0)).collect::<Vec<_>>();
    let adjusted = holm::adjust(&others);
    for (row, p) in rows.iter_mut().filter(|row| !row.decides).zip(adjusted) {
        row.p = row.p.map(|_| p);
    }
    rows
}

fn row(file: &GateFile, metric: &'static Metric, pairs: &[Pair<'_>]) -> Option<Row> {
    let decides = metric.name == file.metric;
    let logs: Vec<f64> = pairs.iter().filter_map(|pair| pair.log_ratio(metric)).collect();
    let worse = if metric.better == Better::Higher { -1.0 } else { 1.0 };
    let rule = Rule { min_effect: file.min_effect };
    let look = rule.judge(&logs.iter().map(|log| log * worse).collect::<Vec<_>>()).filter(|_| decides);
    // What was decided rests on the replicates of that look, and so do the figures beside it.
    let logs = look.map_or(&logs[..], |look| &logs[..look.replicates]);
    let limits = match look {
        Some(look) if worse < 0.0 => Bounds { low: -look.limits.high, high: -look.limits.low },
        Some(look) => look.limits,
        None => signed_rank::limits(logs, 0.025),
    };
    let values = |side: usize| pairs.iter().filter_map(|pair| metric.value(pair.0[side])).collect::<Vec<_>>();
    let median = |side| quantile::median(&values(side));
    Some(Row {
        metric,
        decides,
        medians: [median(0)?, median(1)?],
        ratio: signed_rank::shift(logs)?.exp(),
        limits: Bounds { low: limits.low.exp(), high: limits.high.exp() },
        p: signed_rank::p_two_sided(logs),
        look,
        against: None,
    })
}

/// The same where nothing pairs the two sides but their number.
fn apart(file: &GateFile, metric: &'static Metric, pairs: &[Pair<'_>]) -> Option<Row> {
    let values = |side: usize| {
        let values = pairs.iter().filter_map(|pair| metric.value(pair.0[side])).filter(|&value| value > 0.0);
        values.collect::<Vec<_>>()
    };
    let sides = [values(0), values(1)];
    let worse = if metric.better == Better::Higher { -1.0 } else { 1.0 };
    let [base, new] =
        sides.each_ref().map(|side| side.iter().map(|value| worse * value.ln()).collect::<Vec<_>>());
    let (shift, finding) = baseline::judge(&base, &new, file.min_effect)?;
    let bounds = shift.bounds.unwrap_or(Bounds { low: f64::NEG_INFINITY, high: f64::INFINITY });
    let [low, high] = if worse > 0.0 { [bounds.low, bounds.high] } else { [-bounds.high, -bounds.low] };
    Some(Row {
        metric,
        decides: metric.name == file.metric,
        medians: [quantile::median(&sides[0])?, quantile::median(&sides[1])?],
        ratio: (worse * shift.estimate).exp(),
        limits: Bounds { low: low.exp(), high: high.exp() },
        p: rank_sum::test(&base, &new).map(|test| test.p()),
        look: None,
        against: Some(finding),
    })
}

/// What the exact tier settles alone.
fn exact_verdict(tiers: Tiers, replicates: usize, exact: &Findings) -> Option<Finding> {
    if replicates < exact::REPLICATES {
        let why = format!("{replicates} replicates that count; it takes {} at least", exact::REPLICATES);
        return Some(Finding::open(why));
    }
    if let Some(worse) = exact.differences.iter().find(|difference| difference.worse) {
        let [is, was] = [worse.new, worse.base].map(|value| with_unit(value, worse.unit));
        return Some(Finding::settled(Outcome::Regression, format!("{} is {is}, was {was}", worse.metric)));
    }
    match (tiers, exact.agree) {
        (Tiers::All, _) => None,
        (Tiers::Exact, 0) => {
            Some(Finding::settled(Outcome::Inconclusive, "no metric of this cell is exact".to_owned()))
        }
        (Tiers::Exact, agree) => {
            Some(Finding::settled(Outcome::Pass, format!("{agree} exact metrics agree")))
        }
    }
}

/// The verdict of the sequential rule.
fn in_turns(file: &GateFile, replicates: usize, decider: Option<&Row>) -> Finding {
    let Some(row) = decider else { return unknown(file) };
    let Some(look) = row.look else {
        let why = format!("{replicates} replicates; the first look takes {}", STEPS[0].replicates);
        return Finding::open(why);
    };
    let least = file.min_effect.ln_1p();
    let found = format!(
        "{} {} worse [{}, {}]",
        row.metric.name,
        percent(look.shift),
        percent(look.limits.low),
        percent(look.limits.high)
    );
    match look.decision {
        Decision::Proven => Finding::settled(Outcome::Regression, found),
        Decision::Excluded => {
            Finding::settled(Outcome::Pass, format!("{found}: {} is excluded", percent(least)))
        }
        Decision::NotProven => {
            let why = format!("{found}: not proven, where {} would have been", percent(look.detectable));
            Finding::settled(Outcome::Pass, why)
        }
        Decision::Undecided => {
            let why = format!("{found}: the noise hides changes below {}", percent(look.detectable));
            let last = STEPS[STEPS.len() - 1].replicates;
            if look.replicates == last {
                Finding::settled(Outcome::Inconclusive, why)
            } else {
                Finding::open(why)
            }
        }
    }
}

/// The verdict where the base was measured earlier.
fn against_baseline(
    file: &GateFile,
    exact: &Findings,
    decider: Option<&Row>,
    other_host: Option<String>,
) -> Finding {
    let agree = format!("{} exact metrics agree", exact.agree);
    if let Some(differs) = other_host {
        let why = format!("{agree}; costs were not compared: {differs}");
        return Finding::settled(if exact.agree > 0 { Outcome::Pass } else { Outcome::Inconclusive }, why);
    }
    let Some((row, finding)) = decider.and_then(|row| Some((row, row.against?))) else {
        return unknown(file);
    };
    let drift = percent(baseline::DRIFT.ln_1p());
    let found = format!("{} is {} of the baseline's", row.metric.name, with_unit(row.ratio * 100.0, "%"));
    match finding {
        baseline::Finding::Proven => Finding::settled(Outcome::Regression, found),
        baseline::Finding::Suspect => Finding::settled(
            Outcome::Inconclusive,
            format!("{found}: worse, by less than the {drift} that machines drift; compare both in turns"),
        ),
        baseline::Finding::Nothing => Finding::settled(
            Outcome::Pass,
            format!("{agree}; {found}: not worse, but a baseline cannot exclude less than {drift}"),
        ),
    }
}

fn unknown(file: &GateFile) -> Finding {
    Finding::open(format!("{} is not known of both sides: {}", file.metric, hint(&file.metric)))
}

/// A log ratio as people read it.
fn percent(log: f64) -> String {
    format!("{:+.1}%", log.exp_m1() * 100.0)
}

fn hint(metric: &str) -> &'static str {
    match metric {
        PRIMARY => {
            "give the process of a server that rtbench does not start (--base-pid, --new-pid), or another --metric"
        }
        _ => {
            "too few events for it, or this cell does not have it; raise the rate or the duration, or choose another --metric"
        }
    }
}
