//! How large a change a gate finds: the probability that it proves a true change, over all its looks. Pure.
//!
//! A regression needs two things, a lower limit above no change and a shift of at least the smallest change that counts;
//! so a true change of just that size is found by half of the gates, however quiet the machine. What is computed here
//! takes the shift of a look as normal around the truth, and the distance from the shift to its limits as independent
//! of it (as it is for normal values), with the mean and deviation that samples of that size have ([`Step::reach`]). A gate
//! whose replicates lie far apart at one look has the same replicates among those of the next, so most of that
//! distance's deviation is common to all looks. Tests hold the result against simulated gates.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng;

use super::rule::{Decision, Look, Rule, Step, looks};
use crate::random::unit;
use crate::stats::normal;

/// Probability with which a change that is called detectable is found.
pub const POWER: f64 = 0.9;

/// Changes of which a plan tells how often they are found, in units of the smallest that counts.
pub const TOLD: [f64; 4] = [1.0, 1.25, 1.5, 2.5];

/// Standard error of the Hodges-Lehmann shift against that of a mean: normal values, many of them.
const SHIFT_SE: f64 = 1.023_326_707_946_488_5; // sqrt(pi / 3)

/// Correlation of the distances from shift to limit at the looks of one gate.
const COMMON: f64 = 0.9;

/// Correlation of that with the deviation that the replicates are seen to have.
const SEEN: f64 = 0.7;

/// Nodes and weights of the common part: Gauss and Hermite's rule of five points for a standard normal variable.
const COMMON_PARTS: [(f64, f64); 5] = [
    (-2.856_970_013_872_805, 0.011_257_411_327_720_69),
    (-1.355_626_179_974_265_8, 0.222_075_922_005_612_65),
    (0.0, 0.533_333_333_333_333_3),
    (1.355_626_179_974_265_8, 0.222_075_922_005_612_65),
    (2.856_970_013_872_805, 0.011_257_411_327_720_69),
];

/// Points of a look's shift, and how many of its standard errors they reach to either side.
const POINTS: usize = 120;
const REACH: f64 = 6.0;

/// How gates end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Odds {
    /// With a proven regression.
    pub found: f64,
    /// As passed. The rest goes on, or cannot tell.
    pub passed: f64,
}

impl Odds {
    fn add(&mut self, other: Odds, weight: f64) {
        self.found += weight * other.found;
        self.passed += weight * other.passed;
    }
}

/// How gates end that take these looks at most, if the true log ratio is `effect` and replicates deviate like this.
pub fn odds(rule: Rule, effect: f64, deviation: f64, looks: &[Step]) -> Odds {
    if deviation <= 0.0 {
        let found = effect >= rule.least();
        return Odds { found: f64::from(found), passed: f64::from(!found) };
    }
    let mut all = Odds::default();
    for (common, weight) in COMMON_PARTS {
        all.add(odds_given(rule, effect, deviation, looks, common), weight);
    }
    all
}

/// Smallest true log ratio that gates of the replicates of a look find with 90% by it.
pub fn detectable_by(look: &Look) -> f64 {
    detectable(look.rule, look.deviation, looks(look.replicates))
}

/// The smallest true log ratio that gates which take these looks at most find with a probability of [`POWER`].
pub fn detectable(rule: Rule, deviation: f64, looks: &[Step]) -> f64 {
    let miss = |effect: f64| POWER - odds(rule, effect, deviation, looks).found;
    // Half of the gates find the least, hardly one fails to find what lies so far beyond it.
    let (mut low, mut high) = (rule.least(), rule.least() + 8.0 * deviation);
    while high - low > 1e-4 * high {
        // A third of the way first: the curve is steep where it begins.
        let effect = low + (high - low) / 3.0;
        if miss(effect) > 0.0 { low = effect } else { high = effect }
    }
    high
}

/// Gates of which so many have a shift like this, and have not ended.
#[derive(Clone, Copy)]
struct Going {
    shift: f64,
    gates: f64,
}

/// The same for gates whose distance from shift to limit lies so many deviations beyond its mean.
fn odds_given(rule: Rule, effect: f64, deviation: f64, looks: &[Step], common: f64) -> Odds {
    let mut odds = Odds::default();
    let mut before: Option<(f64, Vec<Going>)> = None;
    for step in looks {
        let n = step.replicates as f64;
        let error = SHIFT_SE * deviation / n.sqrt();
        let mut going = points(rule.least(), effect, error);
        let width = 2.0 * REACH * error / POINTS as f64;
        match &before {
            None => spread(&mut going, Going { shift: effect, gates: 1.0 }, error, width),
            Some((taken, gates)) => {
                // The replicates since then are as many independent ones.
                let since = SHIFT_SE * deviation * (n - taken).sqrt() / n;
                for gate in gates.iter().filter(|gate| gate.gates > 1e-12) {
                    let shift = (taken * gate.shift + (n - taken) * effect) / n;
                    spread(&mut going, Going { shift, gates: gate.gates }, since, width);
                }
            }
        }
        for gate in &mut going {
            let ended = ends(rule, deviation, *step, common, gate.shift);
            odds.add(ended, gate.gates);
            gate.gates *= 1.0 - ended.found - ended.passed;
        }
        before = Some((n, going));
    }
    odds
}

/// Shifts around the effect. The smallest change that counts lies between two of them: what it divides ends differently.
fn points(least: f64, effect: f64, error: f64) -> Vec<Going> {
    let width = 2.0 * REACH * error / POINTS as f64;
    let below = ((least - effect + REACH * error) / width).round();
    let first = least - (below - 0.5) * width;
    (0..POINTS).map(|index| Going { shift: first + index as f64 * width, gates: 0.0 }).collect()
}

/// Spreads gates over the shifts by the normal density around theirs.
fn spread(over: &mut [Going], from: Going, error: f64, width: f64) {
    let scale = from.gates * width / (error * std::f64::consts::TAU.sqrt());
    let index = |shift: f64| ((shift - over[0].shift) / width).clamp(0.0, over.len() as f64) as usize;
    let near = index(from.shift - REACH * error)..index(from.shift + REACH * error + width);
    for point in &mut over[near] {
        let z = (point.shift - from.shift) / error;
        point.gates += scale * (-z * z / 2.0).exp();
    }
}

/// How a look at this shift ends.
fn ends(rule: Rule, deviation: f64, step: Step, common: f64, shift: f64) -> Odds {
    let [mean, scatter] = step.reach;
    let own = scatter * (1.0 - COMMON * COMMON).sqrt();
    // Whether the limit lies on this side of what is so far from the shift.
    let within =
        |distance: f64| normal::lower_tail((distance / deviation - mean - COMMON * scatter * common) / own);
    let least = rule.least();
    if shift >= least {
        return Odds { found: within(shift), passed: 0.0 };
    }
    // The deviation that n replicates show lies around the true one like this.
    let n = step.replicates as f64;
    let seen = (step.sharp * least / deviation - (1.0 - 0.25 / n)) * (2.0 * (n - 1.0)).sqrt();
    let sharp = share_below((seen - SEEN * common) / (1.0 - SEEN * SEEN).sqrt());
    Odds { found: 0.0, passed: 1.0 - (1.0 - sharp) * (1.0 - within(least - shift)) }
}

/// The share of standard normal values below `z`; so far out that it does not matter here, all or none.
fn share_below(z: f64) -> f64 {
    if z.abs() < 4.0 { normal::lower_tail(z) } else { f64::from(z > 0.0) }
}

/// The same by trying: so many gates of made-up replicates, normal around `effect`, judged by the rule itself.
pub fn simulate(rule: Rule, effect: f64, deviation: f64, looks: &[Step], gates: u32) -> Odds {
    let mut rng = Pcg64Mcg::seed_from_u64(1);
    let mut odds = Odds::default();
    let share = 1.0 / f64::from(gates);
    for _ in 0..gates {
        let mut replicates = Vec::new();
        for step in looks {
            replicates.resize_with(step.replicates, || effect + deviation * a_normal(&mut rng));
            let ended = match rule.look(&replicates, *step).decision {
                Decision::Proven => Odds { found: 1.0, passed: 0.0 },
                Decision::Excluded | Decision::NotProven => Odds { found: 0.0, passed: 1.0 },
                Decision::Undecided => continue,
            };
            odds.add(ended, share);
            break;
        }
    }
    odds
}

/// A standard normal value (Box and Muller).
fn a_normal(rng: &mut Pcg64Mcg) -> f64 {
    let (u, v) = (1.0 - unit(rng), unit(rng));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
#[path = "power_tests.rs"]
mod tests;
