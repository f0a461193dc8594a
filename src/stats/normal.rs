//! The normal distribution, to the precision of a float.

use std::f64::consts::PI;

/// The probability of a standard normal deviate above `z`.
///
/// Below 3 the series of Abramowitz and Stegun 26.2.11, beyond it the continued fraction 26.2.14, which keeps its
/// relative precision far into the tail.
pub fn upper_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - upper_tail(-z);
    }
    let density = (-z * z / 2.0).exp() / (2.0 * PI).sqrt();
    if z < 3.0 {
        let (mut term, mut sum, mut odd) = (z, z, 1.0);
        while term > sum * f64::EPSILON {
            odd += 2.0;
            term *= z * z / odd;
            sum += term;
        }
        0.5 - density * sum
    } else {
        // Far enough out 100 steps are plenty: at z = 3 the fraction has settled after 60.
        let fraction = (1..=100).rev().fold(z, |below, step| z + f64::from(step) / below);
        density / fraction
    }
}

/// The probability of a standard normal deviate below `z`.
pub fn lower_tail(z: f64) -> f64 {
    upper_tail(-z)
}

/// The deviate that is exceeded with the probability `tail`, which lies above 0 and up to a half; the inverse of
/// [`upper_tail`].
pub fn deviate(tail: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    // Each step halves the range: after 60 it is narrower than a float at its far end can tell.
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if upper_tail(middle) > tail { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.norm.sf(z)`, scipy 1.17.1.
    const TAILS: [(f64, f64); 7] = [
        (0.0, 0.5),
        (0.5, 0.308_537_538_725_986_9),
        (1.959_963_984_540_054, 0.025),
        (2.999, 0.001_354_336_533_727_105_7),
        (3.001, 0.001_345_472_825_084_965_3),
        (6.0, 9.865_876_450_376_946e-10),
        (20.0, 2.753_624_118_606_155_6e-89),
    ];

    #[test]
    fn tails_agree_with_scipy() {
        for (z, tail) in TAILS {
            assert!((upper_tail(z) / tail - 1.0).abs() < 1e-11, "{z}: {:e} for {tail:e}", upper_tail(z));
            assert!((upper_tail(-z) - (1.0 - tail)).abs() < 1e-12);
        }
    }

    #[test]
    fn a_deviate_leaves_its_tail() {
        for (z, tail) in TAILS {
            assert!((deviate(tail) - z).abs() < 1e-9, "{tail:e}: {} for {z}", deviate(tail));
        }
    }
}
