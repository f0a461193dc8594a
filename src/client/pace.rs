//! The schedule of a publisher: its next due time, whatever the clock says. Pure, so that a stall changes nothing.

use rand_pcg::Pcg64Mcg;

use crate::random::{self, Purpose};
use crate::scenario::kinds::Pace;
use crate::scenario::spec::CellSpec;
use crate::scenario::turns::Turns;

/// Due times of one publisher, in ns from the run's start, rising.
#[derive(Debug)]
pub struct Pacer {
    step_ns: f64,
    next_ns: f64,
    /// Poisson's randomness; a constant pace needs none after its phase.
    gaps: Option<Pcg64Mcg>,
    /// It keeps still while it is another's turn.
    turns: Option<Turns>,
}

impl Pacer {
    /// The schedule of `client`; `None` if it never sends, or sends when it is answered.
    pub fn new(spec: &CellSpec, client: u32) -> Option<Pacer> {
        if spec.rate_per_s <= 0.0 {
            return None;
        }
        let step_ns = 1e9 / spec.rate_per_s;
        let mut rng = random::stream(spec.seed, client, Purpose::Pace);
        let (next_ns, gaps) = match spec.pace {
            Pace::Constant => (random::unit(&mut rng) * step_ns, None),
            Pace::Poisson => (exponential(&mut rng) * step_ns, Some(rng)),
            Pace::Closed => return None,
        };
        Some(Pacer { step_ns, next_ns, gaps, turns: spec.turns })
    }
}

impl Iterator for Pacer {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let due_ns = self.next_ns;
        self.next_ns += match &mut self.gaps {
            None => self.step_ns,
            Some(rng) => exponential(rng) * self.step_ns,
        };
        let due_ns = due_ns as u64;
        Some(self.turns.map_or(due_ns, |turns| turns.to_run_ns(due_ns)))
    }
}

/// A gap of a Poisson process, in units of its mean.
fn exponential(rng: &mut Pcg64Mcg) -> f64 {
    -(1.0 - random::unit(rng)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::spec::CellSpec;

    fn spec(pace: Pace, rate_per_s: f64) -> CellSpec {
        CellSpec { pace, rate_per_s, ..CellSpec::example() }
    }

    #[test]
    fn constant_is_even_with_a_phase_of_its_own() {
        let spec = spec(Pace::Constant, 50.0);
        let due: Vec<u64> = Pacer::new(&spec, 0).unwrap().take(1000).collect();
        assert!(due[0] < 20_000_000);
        assert!(due.windows(2).all(|pair| (19_999_999..=20_000_001).contains(&(pair[1] - pair[0]))));
        assert_ne!(due[0], Pacer::new(&spec, 1).unwrap().next().unwrap());
    }

    #[test]
    fn poisson_has_the_mean_the_spread_and_the_memorylessness_of_one() {
        let spec = spec(Pace::Poisson, 1000.0);
        let due: Vec<u64> = Pacer::new(&spec, 7).unwrap().take(20_001).collect();
        let gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect();
        let n = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / n;
        let sd = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n).sqrt();
        // Five standard errors of each statistic; the seed is fixed.
        assert!((mean - 1.0).abs() < 5.0 / n.sqrt(), "mean {mean}");
        assert!((sd - 1.0).abs() < 5.0 * 2f64.sqrt() / n.sqrt(), "sd {sd}");
        let share = gaps.iter().filter(|&&gap| gap > 1.0).count() as f64 / n;
        assert!((share - (-1f64).exp()).abs() < 5.0 * 0.482 / n.sqrt(), "share above the mean {share}");
    }

    #[test]
    fn both_sides_have_the_same_schedule_each_in_its_own_slices() {
        let turns = |second| Turns { second, slice_ns: 120_000_000, rest_ns: 10_000_000 };
        let due = |second| {
            let spec = CellSpec { turns: Some(turns(second)), ..spec(Pace::Poisson, 1000.0) };
            Pacer::new(&spec, 7).unwrap().take(1_000).map(move |due_ns| turns(second).to_load_ns(due_ns))
        };
        let alone = Pacer::new(&spec(Pace::Poisson, 1000.0), 7).unwrap().take(1_000);
        assert!(due(false).eq(due(true)));
        assert!(due(false).eq(alone));
    }

    #[test]
    fn no_rate_no_schedule() {
        assert!(Pacer::new(&spec(Pace::Constant, 0.0), 0).is_none());
    }
}
