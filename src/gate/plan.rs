//! What fits into a time: replicates, and the effect that they can find. Pure.

use super::power::{self, Odds};
use super::rule::{self, Rule, STEPS, Step};
use super::{exact, sides_of};
use crate::scenario::spec::CellSpec;

/// Standard deviation of a replicate's log ratio of CPU per message that was seen between equal programs on a shared
/// machine of two cores with nothing else to do; a gate's own replicates tell its own.
pub const USUAL_DEVIATION: f64 = 0.01;

/// What a replicate takes beyond its load, in seconds: processes to start and to end.
pub const OVERHEAD_S: f64 = 0.5;

/// What fits for one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellPlan {
    /// Its name.
    pub cell: String,
    /// Length of one replicate, in seconds.
    pub replicate_s: f64,
    /// Replicates that fit.
    pub replicates: usize,
    /// The looks that they allow; without one only the exact tier can be judged.
    pub looks: &'static [Step],
}

impl CellPlan {
    /// Whether not even the exact tier can be judged.
    pub fn is_too_short(&self) -> bool {
        self.replicates < exact::REPLICATES
    }

    /// Smallest change that is found with 90% probability if replicates deviate like this, as a share; `None` without
    /// a look.
    pub fn detectable(&self, rule: Rule, deviation: f64) -> Option<f64> {
        self.looks.last().map(|_| power::detectable(rule, deviation, self.looks).exp_m1())
    }

    /// How often changes of these sizes are found if replicates deviate like this: as computed, and of `gates`
    /// simulated ones.
    pub fn power(&self, rule: Rule, deviation: f64, gates: u32) -> [Power; power::TOLD.len()] {
        power::TOLD.map(|times| {
            let effect = times * rule.min_effect;
            let Odds { found, .. } = power::odds(rule, effect.ln_1p(), deviation, self.looks);
            let simulated = power::simulate(rule, effect.ln_1p(), deviation, self.looks, gates).found;
            Power { effect, found, simulated }
        })
    }
}

/// How often a change of some size is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Power {
    /// The change, as a share.
    pub effect: f64,
    /// Probability of finding it.
    pub found: f64,
    /// Share of the simulated gates that found it.
    pub simulated: f64,
}

/// What of each cell fits into `budget_s` seconds, which they share evenly.
pub fn fit(cells: &[CellSpec], budget_s: f64) -> Vec<CellPlan> {
    let most = STEPS[STEPS.len() - 1].replicates;
    let of = |spec: &CellSpec| {
        let replicate_s = replicate_s(spec);
        let replicates = ((budget_s / cells.len() as f64 / replicate_s) as usize).min(most);
        CellPlan { cell: spec.id.to_string(), replicate_s, replicates, looks: rule::looks(replicates) }
    };
    cells.iter().map(of).collect()
}

/// How long one replicate of a cell takes, in seconds, on a machine that keeps up.
pub fn replicate_s(spec: &CellSpec) -> f64 {
    let [base, _] = sides_of(spec, 0);
    f64::from(spec.clients) / spec.ramp_per_s + base.warmup_s + base.duration_s + OVERHEAD_S
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const RULE: Rule = Rule { min_effect: 0.02 };

    #[test]
    fn cells_share_the_time_and_looks_are_taken_where_they_fit() {
        let spec = CellSpec { clients: 100, ramp_per_s: 1000.0, duration_s: 0.72, ..CellSpec::example() };
        // 0.1 to connect, 4 cycles of 0.116 to warm up, 15 under load, 0.5 overhead.
        assert!((replicate_s(&spec) - 2.804).abs() < 1e-9);
        let replicates = |budget_s| fit(&[spec.clone(), spec.clone()], budget_s)[0].clone();
        let ten = replicates(57.0);
        assert_eq!((ten.replicates, ten.looks.last().unwrap().replicates), (10, 8));
        assert_eq!(replicates(3600.0).replicates, 40);
        assert!(replicates(8.0).is_too_short() && replicates(20.0).looks.is_empty());
        assert_eq!(replicates(20.0).detectable(RULE, USUAL_DEVIATION), None);
        let [few, many] =
            [57.0, 3600.0].map(|budget_s| replicates(budget_s).detectable(RULE, USUAL_DEVIATION).unwrap());
        // A change of 2% is found by half of the gates.
        assert!(0.02 < many && many < few && few < 0.03, "{few} {many}");
    }
}
