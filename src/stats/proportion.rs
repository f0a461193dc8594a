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
