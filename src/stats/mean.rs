//! The 95% interval of a mean.

use super::{Bounds, Z_95};

/// The mean of `count` samples, and its 95% interval (Student's t) as far as `independent` of them are independent.
///
/// Samples come as their sum and the sum of their squares. Nine receipts of one event share that event's luck:
/// they count as one, so the interval is that of `independent` samples with the deviation of all.
/// `None` with fewer than two independent samples.
pub fn bounds(count: u64, sum: f64, sum_of_squares: f64, independent: u64) -> Option<Bounds> {
    let independent = independent.min(count);
    if independent < 2 {
        return None;
    }
    let n = count as f64;
    let mean = sum / n;
    let variance = ((sum_of_squares - sum * mean) / (n - 1.0)).max(0.0);
    let half = t_95(independent - 1) * (variance / independent as f64).sqrt();
    Some(Bounds { low: mean - half, high: mean + half })
}

/// Two-sided 95% points of Student's t for 1 to 30 degrees of freedom.
const T_95: [f64; 30] = [
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139,
    2.200985, 2.178813, 2.160369, 2.144787, 2.13145, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963,
    2.079614, 2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.04523, 2.042272,
];

/// The two-sided 95% point of Student's t; above 30 degrees the expansion of Abramowitz and Stegun, 26.7.5.
pub(crate) fn t_95(degrees: u64) -> f64 {
    if let Some(&t) = T_95.get(degrees as usize - 1) {
        return t;
    }
    let (z, v) = (Z_95, degrees as f64);
    let g1 = (z.powi(3) + z) / 4.0;
    let g2 = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let g3 = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + g1 / v + g2 / v.powi(2) + g3 / v.powi(3)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn student_t_agrees_with_scipy() {
        for (degrees, t) in [
            (1, 12.706205),
            (30, 2.042272),
            (31, 2.039513446),
            (60, 2.000297822),
            (1_000, 1.962339081),
            (100_000, 1.959987708),
        ] {
            assert!((t_95(degrees) - t).abs() < 1e-5, "{degrees} degrees: {} for {t}", t_95(degrees));
        }
    }

    #[test]
    fn the_interval_agrees_with_scipy() {
        // scipy.stats.t.interval(.95, 4, mean, sem) of 3.1 2.7 4.4 5.9 3.3
        let bounds = bounds(5, 19.4, 81.96, 5).unwrap();
        assert!((bounds.low - 2.27445595).abs() < 1e-6, "{bounds:?}");
        assert!((bounds.high - 5.48554405).abs() < 1e-6, "{bounds:?}");
    }

    #[test]
    fn receipts_of_one_event_are_not_independent() {
        let width = |independent| {
            let b = bounds(900, 900.0 * 2.0, 900.0 * 5.0, independent).unwrap();
            b.high - b.low
        };
        assert!(width(100) > 2.9 * width(900) && width(100) < 3.2 * width(900));
        assert_eq!(bounds(9, 9.0, 9.0, 1), None);
    }
}
