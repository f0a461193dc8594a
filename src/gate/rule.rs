//! When a gate may say what: a group-sequential rule, fixed before the first replicate. Pure.
//!
//! A replicate gives one number, the log ratio of a cost with positive meaning worse. Looks are taken at set numbers of
//! replicates only. The probability of a false alarm is spent over the looks and adds up to [`ALPHA`] (Bonferroni), so
//! looking again and again raises it no further. At the first look the exact test needs all eight on one side.

use crate::stats::{Bounds, signed_rank};

/// Largest probability, over all looks, of limits that wrongly exclude no change; one-sided.
pub const ALPHA: f64 = 0.005;

/// A number of replicates at which the rule looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// So many.
    pub replicates: usize,
    /// What the look spends of [`ALPHA`].
    pub alpha: f64,
    /// The normal deviate that is exceeded with probability `alpha`.
    deviate: f64,
}

/// Every look.
pub const STEPS: [Step; 5] = [
    // Eight of eight on one side: 1/256.
    Step { replicates: 8, alpha: 0.003_906_25, deviate: 2.660_067_468_617_459_2 },
    // A quarter of the rest each.
    Step { replicates: 14, ..LATER },
    Step { replicates: 20, ..LATER },
    Step { replicates: 30, ..LATER },
    Step { replicates: 40, ..LATER },
];

const LATER: Step = Step { replicates: 0, alpha: 0.000_273_437_5, deviate: 3.456_679_426_695_983_7 };

/// Probability with which an effect that is called detectable would be found.
const POWER_DEVIATE: f64 = 1.281_551_565_544_600_4; // 90%

/// Standard error of the Hodges-Lehmann shift against that of a mean: normal values, many of them.
const SHIFT_SE: f64 = 1.023_326_707_946_488_5; // sqrt(pi / 3)

/// What a gate decides by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Smallest change that counts, as a share: 0.02 is 2%.
    pub min_effect: f64,
}

/// What a look, or all of them so far, decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Worse, by at least the smallest change that counts.
    Proven,
    /// A change of that size is excluded.
    Excluded,
    /// Not proven, by a look that would have found a change of that size.
    NotProven,
    /// Nobody can tell yet.
    Undecided,
}

/// One look at the replicates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// How many replicates it was based on.
    pub replicates: usize,
    /// What it decided.
    pub decision: Decision,
    /// Hodges-Lehmann shift, a log ratio.
    pub shift: f64,
    /// Its limits at this look's share of the error probability, on each side.
    pub limits: Bounds,
    /// Smallest true log ratio that a look like this would find with 90% probability.
    pub detectable: f64,
}

impl Rule {
    /// Goes through the looks that so many replicates allow; the first that decides anything is the last. `None`
    /// before the first.
    pub fn judge(&self, log_ratios: &[f64]) -> Option<Look> {
        let mut last = None;
        for step in STEPS.into_iter().filter(|step| step.replicates <= log_ratios.len()) {
            let look = self.look(&log_ratios[..step.replicates], step);
            last = Some(look);
            if look.decision != Decision::Undecided {
                break;
            }
        }
        last
    }

    fn look(&self, log_ratios: &[f64], step: Step) -> Look {
        let shift = signed_rank::shift(log_ratios).unwrap_or(0.0);
        let limits = signed_rank::limits(log_ratios, step.alpha);
        let detectable = step.detectable(deviation(log_ratios));
        let least = self.min_effect.ln_1p();
        let decision = if limits.low > 0.0 && shift >= least {
            Decision::Proven
        } else if limits.high < least {
            Decision::Excluded
        } else if detectable <= least && shift < least {
            Decision::NotProven
        } else {
            Decision::Undecided
        };
        Look { replicates: log_ratios.len(), decision, shift, limits, detectable }
    }
}

impl Step {
    /// Smallest true log ratio that so many replicates of this deviation prove to be above 0 with 90% probability.
    pub fn detectable(&self, deviation: f64) -> f64 {
        let error = SHIFT_SE * deviation / (self.replicates as f64).sqrt();
        (self.deviate + POWER_DEVIATE) * error
    }
}

/// Standard deviation of the values.
fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;
    use rand_pcg::Pcg64Mcg;
    use rand_pcg::rand_core::SeedableRng;

    use crate::client::random::unit;

    const RULE: Rule = Rule { min_effect: 0.02 };

    /// Normal values by the polar method.
    fn normal(rng: &mut Pcg64Mcg, mean: f64, deviation: f64) -> f64 {
        let (u, v) = (1.0 - unit(rng), unit(rng));
        mean + deviation * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    fn decisions(effect: f64, deviation: f64, gates: u32) -> Vec<Decision> {
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        let mut gate = || {
            let logs: Vec<f64> = (0..40).map(|_| normal(&mut rng, effect.ln_1p(), deviation)).collect();
            RULE.judge(&logs).unwrap().decision
        };
        (0..gates).map(|_| gate()).collect()
    }

    fn share(decisions: &[Decision], of: Decision) -> f64 {
        decisions.iter().filter(|&&decision| decision == of).count() as f64 / decisions.len() as f64
    }

    #[test]
    fn the_looks_spend_what_may_be_spent() {
        let spent: f64 = STEPS.iter().map(|step| step.alpha).sum();
        assert!((spent - ALPHA).abs() < 1e-12);
        for step in STEPS {
            let all_worse = vec![0.1; step.replicates];
            assert!(signed_rank::limits(&all_worse, step.alpha).low > 0.0, "{step:?} can prove something");
        }
    }

    #[test]
    fn nothing_is_said_before_the_first_look() {
        assert_eq!(RULE.judge(&[0.1; 7]), None);
        assert_eq!(RULE.judge(&[0.1; 8]).unwrap().decision, Decision::Proven);
        assert_eq!(RULE.judge(&[0.0; 8]).unwrap().decision, Decision::Excluded);
    }

    /// Simulated gates: the machine's own deviation, and three times it.
    #[test]
    fn alarms_are_rare_and_effects_are_found() {
        for deviation in [0.008, 0.024] {
            assert!(share(&decisions(0.0, deviation, 2_000), Decision::Proven) <= 0.005, "{deviation}");
        }
        assert!(share(&decisions(0.03, 0.008, 1_000), Decision::Proven) >= 0.99);
        assert!(share(&decisions(0.05, 0.024, 1_000), Decision::Proven) >= 0.95);
    }

    #[test]
    fn a_change_too_small_to_count_fails_nobody() {
        assert!(share(&decisions(0.01, 0.008, 1_000), Decision::Proven) <= 0.005);
    }

    #[test]
    fn noise_beyond_all_measure_is_called_that() {
        let decisions = decisions(0.0, 0.2, 500);
        assert!(share(&decisions, Decision::Undecided) >= 0.9, "{}", share(&decisions, Decision::Undecided));
    }

    proptest! {
        #[test]
        fn more_replicates_never_change_what_was_decided(logs in proptest::collection::vec(-0.1..0.1f64, 40)) {
            let all = RULE.judge(&logs).unwrap();
            if all.decision != Decision::Undecided {
                prop_assert_eq!(RULE.judge(&logs[..all.replicates]), Some(all));
            }
        }
    }
}
