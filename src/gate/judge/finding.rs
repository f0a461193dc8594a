//! From figures to a verdict, in words.

use super::super::exact::{self, Findings};
use super::super::rule::{Decision, STEPS};
use super::super::{GateFile, PRIMARY, Tiers, baseline};
use super::{Outcome, Row};
use crate::claim::verdict::with_unit;

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

/// What the exact tier settles alone.
pub(super) fn exact_verdict(tiers: Tiers, replicates: usize, exact: &Findings) -> Option<Finding> {
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
pub(super) fn in_turns(file: &GateFile, replicates: usize, decider: Option<&Row>) -> Finding {
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
pub(super) fn against_baseline(
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
