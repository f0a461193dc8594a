//! From figures to a verdict, in words.

use super::super::exact::{self, Findings, Standing, Unsteady};
use super::super::rule::{Decision, STEPS};
use super::super::{GateFile, PRIMARY, Tiers, baseline, power};
use super::{Outcome, Row};
use crate::number::{short, with_unit};

/// A verdict and its grounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is.
    pub outcome: Outcome,
    /// Whether more replicates cannot change it.
    pub settled: bool,
    /// The new side was seen to do something wrong, whatever the base did: no wish may make that green.
    pub wrong: bool,
    /// Why, in words and figures.
    pub why: String,
}

impl Finding {
    pub(super) fn settled(outcome: Outcome, why: String) -> Finding {
        Finding { outcome, settled: true, wrong: false, why }
    }

    fn open(why: String) -> Finding {
        Finding { outcome: Outcome::Inconclusive, settled: false, wrong: false, why }
    }
}

/// What servers did wrong and what the figures say, as one verdict: what is proven outweighs what nobody can tell, and
/// that outweighs a pass.
pub(super) fn together(wrong: Option<Finding>, figures: Finding) -> Finding {
    match wrong {
        None => figures,
        Some(wrong) if wrong.outcome == Outcome::Regression => wrong,
        Some(wrong) if figures.outcome == Outcome::Regression => Finding { wrong: wrong.wrong, ..figures },
        Some(wrong) => Finding { settled: figures.settled, ..wrong },
    }
}

/// The verdict of all figures of so many replicates.
pub(super) fn of_figures(
    file: &GateFile,
    replicates: usize,
    exact: &Findings,
    decider: Option<&Row>,
    other_host: Option<String>,
) -> Finding {
    if replicates < exact::REPLICATES {
        let why = format!("{replicates} replicates that count; it takes {} at least", exact::REPLICATES);
        return Finding::open(why);
    }
    let (some_agree, some_unsteady) = (exact.agree > 0, !exact.unsteady.is_empty());
    let exact = exact_verdict(replicates, exact);
    if exact.outcome == Outcome::Regression {
        return exact;
    }
    let noisy = match (file.tiers, &file.baseline) {
        (Tiers::Exact, _) if exact.outcome == Outcome::Pass && !some_agree => {
            return Finding::settled(Outcome::Inconclusive, "no metric of this cell is exact".to_owned());
        }
        (Tiers::Exact, _) => return exact,
        (Tiers::All, Some(_)) => against_baseline(file, replicates, decider, other_host),
        (Tiers::All, None) => in_turns(file, replicates, decider),
    };
    let settled = exact.settled && noisy.settled;
    match (exact.outcome, noisy.outcome) {
        (_, Outcome::Regression) => noisy,
        (Outcome::Inconclusive, Outcome::Inconclusive) => {
            Finding { settled, why: format!("{}; {}", exact.why, noisy.why), ..noisy }
        }
        (Outcome::Inconclusive, _) => exact,
        (_, Outcome::Inconclusive) => noisy,
        (_, Outcome::Pass) if some_unsteady => {
            Finding { why: format!("{}; {}", noisy.why, exact.why), ..noisy }
        }
        (_, Outcome::Pass) => noisy,
    }
}

/// The verdict of the exact tier.
fn exact_verdict(replicates: usize, exact: &Findings) -> Finding {
    if let Some(worse) = exact.differences.iter().find(|difference| difference.worse) {
        let [is, was] = apart(worse.new, worse.base, worse.unit);
        return Finding::settled(Outcome::Regression, format!("{} is {is}, was {was}", worse.metric));
    }
    let stands = |is: fn(&Unsteady) -> bool| {
        let those: Vec<&Unsteady> = exact.unsteady.iter().filter(|unsteady| is(unsteady)).collect();
        (!those.is_empty()).then_some(those)
    };
    if let Some(worse) = stands(|unsteady| unsteady.chance().is_some()) {
        let p = chance_of(worse.iter().find_map(|unsteady| unsteady.chance()).unwrap_or(1.0));
        let why = format!("{}: worse in every replicate (p = {p})", all_that_are(&worse));
        return Finding::settled(Outcome::Regression, why);
    }
    if let Some(open) = stands(|unsteady| unsteady.standing == Standing::TooFew) {
        let takes = if replicates < exact::FEWEST { exact::FEWEST } else { exact::MOST };
        return Finding::open(format!(
            "{}: the base does not agree with itself, and it takes {takes} replicates to tell",
            all_that_are(&open)
        ));
    }
    if let Some(suspect) = stands(|unsteady| unsteady.standing == Standing::Suspect) {
        let p = chance_of(suspect.iter().map(|unsteady| unsteady.p).fold(1.0, f64::min));
        let why = format!("{}: it looks worse (p = {p}), and that is not proven", all_that_are(&suspect));
        let settled = replicates >= STEPS[STEPS.len() - 1].replicates;
        return Finding { settled, ..Finding::open(why) };
    }
    if let Some(metric) = exact.unknown.first() {
        return Finding::open(format!("{metric} is known of the base and not of the new side"));
    }
    let mut why = format!("{} exact metrics agree", exact.agree);
    if let Some(alike) = stands(|_| true) {
        let names = alike.iter().map(|unsteady| unsteady.metric).collect::<Vec<_>>().join(", ");
        why += &format!("; the base does not agree with itself on {names}, and nothing is seen to be worse");
    }
    Finding::settled(Outcome::Pass, why)
}

/// Unsteady metrics with their ranges: `lost is 3 to 7, was 0 to 1; failures is ...`.
fn all_that_are(unsteady: &[&Unsteady]) -> String {
    let is_and_was = |unsteady: &&Unsteady| {
        let [is, was] = [unsteady.new, unsteady.base].map(|range| span(range, unsteady.unit));
        format!("{} is {is}, was {was}", unsteady.metric)
    };
    unsteady.iter().map(is_and_was).collect::<Vec<_>>().join("; ")
}

/// Two values that differ, with as many digits as it takes to see that.
pub(crate) fn apart(first: f64, second: f64, unit: &str) -> [String; 2] {
    let texts = [first, second].map(|value| with_unit(value, unit));
    let zero = with_unit(0.0, unit);
    let longer =
        (1..=12).map(|digits| [first, second].map(|value| format!("{value:.digits$}{}", &zero[1..])));
    std::iter::once(texts.clone()).chain(longer).find(|[first, second]| first != second).unwrap_or(texts)
}

/// From the best to the worst.
pub(crate) fn span([best, worst]: [f64; 2], unit: &str) -> String {
    if best == worst {
        return with_unit(worst, unit);
    }
    format!("{} to {}", short(best), with_unit(worst, unit))
}

fn chance_of(p: f64) -> String {
    format!("{:.1}%", p * 100.0)
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
            let detectable = percent(power::detectable_by(&look));
            let why = format!("{found}: not proven, where {detectable} would have been with 90%");
            Finding::settled(Outcome::Pass, why)
        }
        Decision::Undecided => {
            let why =
                format!("{found}: the noise hides changes below {}", percent(power::detectable_by(&look)));
            let last = STEPS[STEPS.len() - 1].replicates;
            Finding { settled: look.replicates == last, ..Finding::open(why) }
        }
    }
}

/// The verdict on costs where the base was measured earlier.
fn against_baseline(
    file: &GateFile,
    replicates: usize,
    decider: Option<&Row>,
    other_host: Option<String>,
) -> Finding {
    let untold = |why: String| Finding::settled(Outcome::Inconclusive, why);
    if let Some(differs) = other_host {
        return untold(format!("costs were not compared: {differs}; --tier exact asks for nothing else"));
    }
    let Some((row, finding)) = decider.and_then(|row| Some((row, row.against?))) else {
        return unknown(file);
    };
    let drift = percent(baseline::DRIFT.ln_1p());
    let found = format!("{} is {} of the baseline's", row.metric.name, with_unit(row.ratio * 100.0, "%"));
    match finding {
        baseline::Finding::Proven => Finding::settled(Outcome::Regression, found),
        baseline::Finding::Suspect => untold(format!(
            "{found}: worse, by less than the {drift} that machines drift; compare both in turns"
        )),
        baseline::Finding::TooFew => untold(format!(
            "{found}: {replicates} replicates that count tell nothing of costs, it takes {}; save the baseline again, or compare both in turns",
            baseline::FEWEST
        )),
        baseline::Finding::Unsure => {
            untold(format!("{found}: the noise hides even {drift}; compare both in turns"))
        }
        baseline::Finding::Excluded => Finding::settled(
            Outcome::Pass,
            format!("{found}: {drift} is excluded, and less a baseline cannot tell from what machines drift"),
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
