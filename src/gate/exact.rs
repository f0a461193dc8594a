//! The exact tier: what two healthy runs of one seed agree on, so that any difference is the change's. Pure.
//!
//! Where the base agrees with itself, any value that is worse is a regression. Where it does not (a message is lost now
//! and then), the two sides' values are held against each other: if every new one is worse than every one of the base,
//! and chance does that too rarely, it is a regression as well.
//!
//! How rarely is fixed beforehand for all of these metrics and all looks together. There are two looks, at 5 and at 8
//! replicates. If nothing has changed, each way to call half of the cells of a look "new" is as likely as any other, and
//! a metric that falls into two halves at all does so by one of them. So the chance of an alarm in any metric is the
//! number of *different* such halves among all metrics over that number of ways. The first look takes 1 of 252 (0.40%),
//! the second at most 13 of 12,870 (0.10%): together no more than [`ALPHA`].

use super::rule::ALPHA;
use crate::measure::cell::Cell;
use crate::measure::metric::{self, Better, Metric, Tier};
use crate::scenario::kinds::Pace;
use crate::stats::rank_sum;

/// Replicates that it takes to know that a metric is exact in a cell: the base must agree with itself.
pub const REPLICATES: usize = 2;

/// Numbers of replicates at which metrics are looked at of which the base does not agree with itself, and how many ways
/// to choose the new half of the cells there are.
const LOOKS: [(usize, f64); 2] = [(5, 252.0), (8, 12_870.0)];

/// What each look may spend of [`ALPHA`].
const SPENDS: [f64; 2] = [1.0 / 252.0, ALPHA - 1.0 / 252.0];

/// The fewest replicates that tell anything of such a metric.
pub const FEWEST: usize = LOOKS[0].0;

/// Replicates with which nothing more can be proven of such a metric.
pub const MOST: usize = LOOKS[LOOKS.len() - 1].0;

/// Chance of ranks that lean this far to the worse, below which a metric is not said to be as it was.
const LEANING: f64 = 0.05;

/// A metric of the exact tier that is not the same on both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Which.
    pub metric: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The value that all of the base's cells have.
    pub base: f64,
    /// The worst of the new ones.
    pub new: f64,
    /// Whether that is worse, or better.
    pub worse: bool,
}

/// A metric of which the base does not agree with itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsteady {
    /// Which.
    pub metric: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The best and the worst of the base's values.
    pub base: [f64; 2],
    /// The same of the new side's.
    pub new: [f64; 2],
    /// Chance of ranks that lean this far to the worse, or further, if nothing has changed.
    pub p: f64,
    /// What that says.
    pub standing: Standing,
}

impl Unsteady {
    /// The chance of such an alarm, had nothing changed, of a metric that is proven to be worse.
    pub fn chance(&self) -> Option<f64> {
        if let Standing::Worse { chance } = self.standing { Some(chance) } else { None }
    }
}

/// What an unsteady metric says of the new side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    /// It is worse. The chance of such an alarm in any of the metrics, had nothing changed.
    Worse {
        /// At the look that proved it.
        chance: f64,
    },
    /// More replicates could prove that it is.
    TooFew,
    /// It looks worse, and that cannot be proven.
    Suspect,
    /// No worse than the base is now and then.
    Alike,
}

/// What the exact tier says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Metrics that agree.
    pub agree: usize,
    /// Metrics that do not.
    pub differences: Vec<Difference>,
    /// Metrics that are not exact here: the base does not agree with itself.
    pub unsteady: Vec<Unsteady>,
    /// Metrics that the base has and the new side does not.
    pub unknown: Vec<&'static str>,
}

/// A metric's values, for each replicate base and new, turned so that more is worse.
struct Values {
    metric: &'static Metric,
    pairs: Vec<[f64; 2]>,
}

/// Compares the cells of the two sides, replicate by replicate.
pub fn compare(base: &[&Cell], new: &[&Cell]) -> Findings {
    let mut findings = Findings::default();
    let judged = |metric: &&Metric| metric.tier == Tier::Exact && metric.better != Better::Neither;
    let mut all = Vec::new();
    for metric in metric::ALL.iter().filter(judged) {
        let of = |cell: &&Cell| value(metric, cell);
        let pairs = base.iter().zip(new).filter_map(|(base, new)| Some([of(base)?, of(new)?]));
        let values = Values { metric, pairs: pairs.collect() };
        if !values.pairs.is_empty() {
            all.push(values);
        } else if base.iter().any(|cell| of(cell).is_some()) {
            findings.unknown.push(metric.name);
        }
    }
    let proven = LOOKS.map(|(replicates, _)| separated(&all, replicates));
    for (index, values) in all.iter().enumerate() {
        let [base, new] = values.ranges();
        if base[0] == base[1] {
            findings.note_steady(values.metric, base[0], new[1]);
            continue;
        }
        let chance =
            proven.iter().flatten().find(|look| look.metrics.contains(&index)).map(|look| look.chance);
        let p = values.chance_of_leaning();
        let standing = match chance {
            Some(chance) => Standing::Worse { chance },
            None => values.standing(p),
        };
        let turn = |[best, worst]: [f64; 2]| [best, worst].map(|value| value * turn(values.metric));
        let Metric { name: metric, unit, .. } = *values.metric;
        findings.unsteady.push(Unsteady { metric, unit, base: turn(base), new: turn(new), p, standing });
    }
    findings
}

impl Findings {
    /// A metric of which the base agrees with itself; both values turned so that more is worse.
    fn note_steady(&mut self, metric: &'static Metric, base: f64, worst: f64) {
        if base == worst {
            self.agree += 1;
            return;
        }
        let [base, new] = [base, worst].map(|value| value * turn(metric));
        let Metric { name, unit, .. } = *metric;
        self.differences.push(Difference {
            metric: name,
            unit,
            base,
            new,
            worse: worst > base * turn(metric),
        });
    }
}

/// The value that two healthy cells of one seed agree on. How much was delivered hangs on speed where answers set the
/// pace, and on the generator where it could not send all that was due.
fn value(metric: &Metric, cell: &Cell) -> Option<f64> {
    let as_offered = cell.spec.pace != Pace::Closed && cell.counts.shed == 0;
    metric.value(cell).filter(|_| as_offered || metric.name != "delivered").map(|value| value * turn(metric))
}

/// What turns a value so that more is worse, and back.
fn turn(metric: &Metric) -> f64 {
    if metric.better == Better::Higher { -1.0 } else { 1.0 }
}

/// What a look finds.
struct Separated {
    /// Metrics of which every new value is worse than every one of the base; by their index.
    metrics: Vec<usize>,
    /// The chance of an alarm in any metric at this look, had nothing changed.
    chance: f64,
}

/// What a look at so many replicates finds, if there are so many and it may spend that.
fn separated(all: &[Values], replicates: usize) -> Option<Separated> {
    let look = LOOKS.iter().position(|&(at, _)| at == replicates)?;
    let halves: Vec<Option<Vec<bool>>> = all.iter().map(|values| values.worse_half(replicates)).collect();
    let mut different: Vec<&Vec<bool>> = halves.iter().flatten().collect();
    different.sort();
    different.dedup();
    let chance = different.len() as f64 / LOOKS[look].1;
    // A float's rounding must not decide.
    if chance > SPENDS[look] * (1.0 + 1e-9) {
        return None;
    }
    let is_new: Vec<bool> = (0..2 * replicates).map(|index| index % 2 == 1).collect();
    let metrics = halves.iter().enumerate().filter(|(_, half)| half.as_ref() == Some(&is_new));
    Some(Separated { metrics: metrics.map(|(index, _)| index).collect(), chance })
}

impl Values {
    /// The best and the worst of either side.
    fn ranges(&self) -> [[f64; 2]; 2] {
        [0, 1].map(|side| {
            let values = self.pairs.iter().map(|pair| pair[side]);
            [values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max)]
        })
    }

    /// Of the first replicates' cells, base and new in turns, which make up the worse half; `None` where the halves have a
    /// value in common, or there are not so many.
    fn worse_half(&self, replicates: usize) -> Option<Vec<bool>> {
        let cells = self.pairs.get(..replicates)?.as_flattened();
        let mut sorted = cells.to_vec();
        sorted.sort_by(f64::total_cmp);
        let [better, worse] = [sorted[replicates - 1], sorted[replicates]];
        (better < worse).then(|| cells.iter().map(|&value| value >= worse).collect())
    }

    /// Chance of ranks of the new side that lean this far to the worse, or further, if nothing has changed.
    fn chance_of_leaning(&self) -> f64 {
        let [base, new] = [0, 1].map(|side| self.pairs.iter().map(|pair| pair[side]).collect::<Vec<_>>());
        rank_sum::test(&base, &new).map_or(1.0, |test| test.p_larger)
    }

    /// What is said of a metric that is not proven to be worse.
    fn standing(&self, p: f64) -> Standing {
        let [base, new] = self.ranges();
        let count = self.pairs.len();
        if count < FEWEST || (new[0] > base[1] && count < MOST) {
            return Standing::TooFew;
        }
        // A rank does not tell how much: what lies further beyond the base's values than those lie apart is not alike.
        let beyond = new[1] > base[1] + (base[1] - base[0]);
        if p <= LEANING || beyond { Standing::Suspect } else { Standing::Alike }
    }
}

#[cfg(test)]
#[path = "exact_tests.rs"]
mod tests;
