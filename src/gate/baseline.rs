//! A baseline: measured earlier, for runners that cannot build two versions. Pure.
//!
//! What lay between the two was time, and shared machines drift by 30% within a minute: the exact tier is as strict as
//! ever, and of the noisy tier only what no drift explains can be proven.

use super::rule::ALPHA;
use crate::stats::rank_sum;

/// Cells of each side. Eight against eight are enough to exclude chance at half a percent.
pub const REPLICATES: u32 = 8;

/// How far one program's cost was seen to drift on a shared machine, as a share, and something more.
pub const DRIFT: f64 = 0.35;

/// What a noisy metric says against a baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// Beyond what drift explains.
    Proven,
    /// Worse, by no more than machines drift.
    Suspect,
    /// Not worse, as far as anybody can tell.
    Nothing,
}

/// The shift of new against base as a log ratio, positive where it is worse, and what it says. `None` without values.
pub fn judge(base: &[f64], new: &[f64], min_effect: f64) -> Option<(rank_sum::Shift, Finding)> {
    let shift = rank_sum::shift(base, new, 1.0 - 2.0 * ALPHA)?;
    let low = shift.bounds.map_or(f64::NEG_INFINITY, |bounds| bounds.low);
    let finding = if low >= DRIFT.ln_1p() {
        Finding::Proven
    } else if low > 0.0 && shift.estimate >= min_effect.ln_1p() {
        Finding::Suspect
    } else {
        Finding::Nothing
    };
    Some((shift, finding))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_what_no_drift_explains_is_proven() {
        let base: Vec<f64> = (0..8).map(|i| 0.01 * f64::from(i)).collect();
        let shifted = |by: f64| base.iter().map(|value| value + by).collect::<Vec<_>>();
        let finding = |by: f64| judge(&base, &shifted(by), 0.02).unwrap().1;
        assert_eq!(finding(0.0), Finding::Nothing);
        assert_eq!(finding(-0.5), Finding::Nothing);
        assert_eq!(finding(0.2), Finding::Suspect);
        assert_eq!(finding(0.5), Finding::Proven);
    }
}
