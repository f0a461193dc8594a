//! The 95% interval of a proportion.

use super::{Bounds, Z_95};

/// Wilson's score interval for `successes` of `trials`, as shares from 0 to 1; `None` without trials.
pub fn wilson(successes: u64, trials: u64) -> Option<Bounds> {
    if trials == 0 {
        return None;
    }
    let (n, p, z2) = (trials as f64, successes as f64 / trials as f64, Z_95 * Z_95);
    let scale = 1.0 / (1.0 + z2 / n);
    let centre = scale * (p + z2 / (2.0 * n));
    let half = scale * Z_95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // At the edges the formula is exact in theory and off by a rounding error in floats.
    let low = if successes == 0 { 0.0 } else { centre - half };
    let high = if successes == trials { 1.0 } else { centre + half };
    Some(Bounds { low, high })
}

/// The exact interval of Clopper and Pearson, which never covers less than its 95%, for `successes` of `trials`.
/// `None` without trials.
pub fn clopper_pearson(successes: u64, trials: u64) -> Option<Bounds> {
    const TAIL: f64 = 0.025;
    if trials == 0 {
        return None;
    }
    // The share at which so many successes, or more, become as rare as the tail; and the same from above.
    let low = bisect(|share| 1.0 - at_most(successes.saturating_sub(1), trials, share) > TAIL);
    let high = bisect(|share| at_most(successes, trials, share) < TAIL);
    Some(Bounds {
        low: if successes == 0 { 0.0 } else { low },
        high: if successes == trials { 1.0 } else { high },
    })
}

/// The smallest share from 0 to 1 of which `holds`, which holds of all above it.
fn bisect(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut below, mut above) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(below, above);
        if holds(middle) { above = middle } else { below = middle }
    }
    above
}

/// Probability of at most `successes` of `trials`, each with probability `share`.
fn at_most(successes: u64, trials: u64, share: f64) -> f64 {
    // In logarithms: the first term underflows from a thousand trials on.
    let (log_yes, log_no) = (share.ln(), (-share).ln_1p());
    let mut log_choices = 0.0;
    let mut sum = 0.0;
    for k in 0..=successes {
        let kf = k as f64;
        if k > 0 {
            log_choices += ((trials - k + 1) as f64 / kf).ln();
        }
        let (yes, no) = (if k == 0 { 0.0 } else { kf * log_yes }, (trials - k) as f64 * log_no);
        sum += (log_choices + yes + no).exp();
    }
    sum
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_scipy() {
        // scipy.stats.binomtest(k, n).proportion_ci(method='wilson')
        for (k, n, low, high) in [
            (0, 20, 0.0, 0.16112515805281935),
            (1, 10, 0.017876213095072896, 0.4041500267952385),
            (5, 10, 0.236593090512564, 0.7634069094874361),
            (905, 1_000, 0.8852455602057477, 0.9216547654209525),
            (20, 20, 0.8388748419471808, 1.0),
            (3, 100_000, 1.0202758544517341e-05, 8.82080492517673e-05),
        ] {
            let bounds = wilson(k, n).unwrap();
            assert!(
                (bounds.low - low).abs() < 1e-12 && (bounds.high - high).abs() < 1e-12,
                "{k}/{n}: {bounds:?}"
            );
        }
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn the_exact_interval_agrees_with_scipy() {
        // scipy.stats.binomtest(k, n).proportion_ci(method='exact')
        for (k, n, low, high) in [
            (0, 100, 0.0, 0.03621669264519054),
            (1, 100, 0.00025314603268189283, 0.054459385392080666),
            (19, 20, 0.7512672372279723, 0.998734910502044),
            (20, 20, 0.8315665290169145, 1.0),
            (7, 2_000, 0.0014083038325025188, 0.007197961714756038),
        ] {
            let bounds = clopper_pearson(k, n).unwrap();
            assert!(
                (bounds.low - low).abs() < 1e-9 && (bounds.high - high).abs() < 1e-9,
                "{k}/{n}: {bounds:?}"
            );
        }
        assert_eq!(clopper_pearson(0, 0), None);
    }

    proptest! {
        #[test]
        fn encloses_the_observed_share(n in 1u64..100_000, share in 0.0..=1.0f64) {
            let k = (n as f64 * share) as u64;
            let bounds = wilson(k, n).unwrap();
            let p = k as f64 / n as f64;
            prop_assert!(0.0 <= bounds.low && bounds.low <= p + 1e-12 && p <= bounds.high + 1e-12 && bounds.high <= 1.0);
        }
    }
}
