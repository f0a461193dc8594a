//! A baseline: measured earlier, for runners that cannot build two versions. Pure.
//!
//! What lay between the two was time, and shared machines drift by 30% within a minute: the exact tier is as strict as
//! ever, and of the noisy tier only what no drift explains can be proven.

use super::rule::ALPHA;
use crate::stats::rank_sum;

/// Cells of each side. Eight against eight are enough to exclude chance at half a percent, if some of them do not count.
pub const REPLICATES: u32 = 8;

/// The fewest of each side that tell anything: five against five that lie apart are 1 in 252.
pub const FEWEST: usize = 5;

/// How far one program's cost was seen to drift on a shared machine, as a share, and something more.
pub const DRIFT: f64 = 0.35;

/// What a noisy metric says against a baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// Beyond what drift explains.
    Proven,
    /// Worse, by no more than machines drift.
    Suspect,
    /// Worse by less than machines drift, if at all.
    Excluded,
    /// The noise hides even what is beyond drift.
    Unsure,
    /// There are too few values to say anything.
    TooFew,
}

/// The shift of new against base as a log ratio, positive where it is worse, and what it says. `None` without values.
pub fn judge(base: &[f64], new: &[f64], min_effect: f64) -> Option<(rank_sum::Shift, Finding)> {
    let shift = rank_sum::shift(base, new, 1.0 - 2.0 * ALPHA)?;
    let enough = base.len().min(new.len()) >= FEWEST;
    let drift = DRIFT.ln_1p();
    let finding = match shift.bounds.filter(|_| enough) {
        None => Finding::TooFew,
        Some(bounds) if bounds.low >= drift => Finding::Proven,
        Some(bounds) if bounds.low > 0.0 && shift.estimate >= min_effect.ln_1p() => Finding::Suspect,
        Some(bounds) if bounds.high < drift => Finding::Excluded,
        Some(_) => Finding::Unsure,
    };
    Some((shift, finding))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn spaced(count: usize, by: f64) -> Vec<f64> {
        (0..count).map(|i| by * i as f64).collect()
    }

    fn finding(base: &[f64], shift: f64) -> Finding {
        let new: Vec<f64> = base.iter().map(|value| value + shift).collect();
        judge(base, &new, 0.02).unwrap().1
    }

    #[test]
    fn only_what_no_drift_explains_is_proven() {
        let base = spaced(8, 0.01);
        assert_eq!(finding(&base, 0.0), Finding::Excluded);
        assert_eq!(finding(&base, -0.5), Finding::Excluded);
        assert_eq!(finding(&base, 0.2), Finding::Suspect);
        assert_eq!(finding(&base, 0.5), Finding::Proven);
    }

    /// Four against four lie apart by chance once in 70: nothing is proven, and nothing is denied.
    #[test]
    fn four_replicates_say_nothing() {
        for count in 1..=4 {
            for shift in [-0.5, 0.0, 0.2, 3.0] {
                assert_eq!(finding(&spaced(count, 0.01), shift), Finding::TooFew, "{count} {shift}");
            }
            // However many the other side has.
            let [few, many] = [count, 20].map(|count| spaced(count, 0.01));
            assert_eq!(judge(&few, &many, 0.02).unwrap().1, Finding::TooFew);
        }
        assert_eq!(finding(&spaced(5, 0.01), 0.0), Finding::Excluded);
        assert_eq!(finding(&spaced(5, 0.01), 0.5), Finding::Proven);
    }

    #[test]
    fn noise_that_hides_even_drift_is_no_pass() {
        assert_eq!(finding(&spaced(8, 0.1), 0.0), Finding::Unsure);
    }
}
