//! When a gate may say what: a group-sequential rule, fixed before the first replicate. Pure.
//!
//! A replicate gives one number, the log ratio of a cost with positive meaning worse. Looks are taken at set numbers of
//! replicates only. The probability of a false alarm is spent over the looks and adds up to [`ALPHA`] (Bonferroni), so
//! looking again and again raises it no further. At the first look the exact test needs all eight on one side.
//!
//! A pass says one of two things: a change of the smallest size that counts is excluded; or none is proven, by a look
//! that would have found one of [`SHARP`] times that size with 90% ([`super::power`]).

use crate::stats::{Bounds, signed_rank};

/// Largest probability, over all looks, of limits that wrongly exclude no change; one-sided.
pub const ALPHA: f64 = 0.005;

/// What a look must be able to find with 90% if it is to pass without excluding anything, in units of the smallest change
/// that counts.
pub const SHARP: f64 = 1.5;

/// A number of replicates at which the rule looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// So many.
    pub replicates: usize,
    /// What the look spends of [`ALPHA`].
    pub alpha: f64,
    /// Mean and standard deviation of the distance from the shift to its limits, in standard deviations of a replicate:
    /// normal values, 20,000 samples.
    pub reach: [f64; 2],
    /// The largest deviation of a replicate, in units of the smallest change that counts, at which [`SHARP`] times that
    /// change is found with 90% up to this look.
    pub sharp: f64,
}

/// Every look.
pub const STEPS: [Step; 5] = [
    // Eight of eight on one side: 1/256.
    Step { replicates: 8, alpha: 0.003_906_25, reach: [1.4186, 0.5417], sharp: 0.655 },
    // A quarter of the rest each.
    Step { replicates: 14, alpha: LATER, reach: [1.3597, 0.3605], sharp: 0.783 },
    Step { replicates: 20, alpha: LATER, reach: [0.9483, 0.1900], sharp: 1.115 },
    Step { replicates: 30, alpha: LATER, reach: [0.7190, 0.1121], sharp: 1.489 },
    Step { replicates: 40, alpha: LATER, reach: [0.6024, 0.0807], sharp: 1.790 },
];

/// What each look but the first spends.
const LATER: f64 = 0.000_273_437_5;

/// The looks that so many replicates allow.
pub fn looks(replicates: usize) -> &'static [Step] {
    let count = STEPS.iter().take_while(|step| step.replicates <= replicates).count();
    &STEPS[..count]
}

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
    /// Not proven, by a look that would have found a change of [`SHARP`] times that size.
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
    /// Standard deviation of the replicates.
    pub deviation: f64,
    /// What it was decided by.
    pub rule: Rule,
}

impl Rule {
    /// Smallest change that counts, as a log ratio.
    pub fn least(self) -> f64 {
        self.min_effect.ln_1p()
    }

    /// Goes through the looks that so many replicates allow; the first that decides anything is the last. `None`
    /// before the first.
    pub fn judge(self, log_ratios: &[f64]) -> Option<Look> {
        let mut last = None;
        for step in looks(log_ratios.len()) {
            let look = self.look(&log_ratios[..step.replicates], *step);
            last = Some(look);
            if look.decision != Decision::Undecided {
                break;
            }
        }
        last
    }

    /// One look, at the replicates that it takes.
    pub(super) fn look(self, log_ratios: &[f64], step: Step) -> Look {
        let shift = signed_rank::shift(log_ratios).unwrap_or(0.0);
        let limits = signed_rank::limits(log_ratios, step.alpha);
        let deviation = deviation(log_ratios);
        let least = self.least();
        let decision = if limits.low > 0.0 && shift >= least {
            Decision::Proven
        } else if limits.high < least {
            Decision::Excluded
        } else if deviation <= step.sharp * least && shift < least {
            Decision::NotProven
        } else {
            Decision::Undecided
        };
        Look { replicates: log_ratios.len(), decision, shift, limits, deviation, rule: self }
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

    use super::super::power;
    use super::*;
    use proptest::prelude::*;

    const RULE: Rule = Rule { min_effect: 0.02 };

    /// What becomes of gates of a true change, as a share, and replicates that deviate like this.
    fn odds(effect: f64, deviation: f64, gates: u32) -> power::Odds {
        power::simulate(RULE, effect.ln_1p(), deviation, &STEPS, gates)
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
            assert!(odds(0.0, deviation, 2_000).found <= 0.005, "{deviation}");
        }
        assert!(odds(0.03, 0.008, 1_000).found >= 0.99);
        assert!(odds(0.05, 0.024, 1_000).found >= 0.95);
    }

    #[test]
    fn a_change_too_small_to_count_fails_nobody() {
        assert!(odds(0.01, 0.008, 1_000).found <= 0.005);
    }

    #[test]
    fn noise_beyond_all_measure_is_called_that() {
        let odds = odds(0.0, 0.2, 500);
        assert!(odds.found + odds.passed <= 0.1, "{odds:?}");
    }

    /// What a pass claims, whatever the noise: of gates with a true change of SHARP times the smallest that counts no
    /// more than one in ten is green.
    #[test]
    fn a_change_that_a_pass_denies_passes_no_more_than_one_gate_in_ten() {
        for deviation in [0.005, 0.01, 0.013, 0.018, 0.024, 0.03, 0.04] {
            let odds = odds(SHARP * RULE.min_effect, deviation, 1_000);
            assert!(odds.passed <= 0.1, "{deviation}: {odds:?}");
        }
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
