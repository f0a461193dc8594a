//! How many repeats a rank-sum test of two equally large samples needs.

use std::f64::consts::PI;

use super::normal;

/// Share of the experiments in which a difference of the size asked about shall be proven.
pub const POWER: f64 = 0.8;

/// Chance of a false alarm in all tests together, two-sided.
pub const LEVEL: f64 = 0.05;

/// Beyond so many the answer is "not like this": more noise than difference.
pub const MOST: u64 = 1_000;

/// Values each side needs for the smallest p value that there is, of a test without ties, to count among `tests` tests
/// (Holm's first step): the smallest n with `2 / C(2n, n) x tests` below 5%.
pub fn fewest(tests: usize) -> u64 {
    let mut smallest_p = 2.0;
    for n in 1.. {
        // C(2n, n) grows by 2 (2n - 1) / n from one n to the next.
        smallest_p *= n as f64 / (2.0 * (2.0 * n as f64 - 1.0));
        if smallest_p * (tests as f64) < LEVEL {
            return n;
        }
    }
    unreachable!("the smallest p value falls below any level")
}

/// Values each side needs so that a shift this large, beside a standard deviation this large, is proven among `tests`
/// tests in 80% of all experiments. `None` without a shift, or if that takes more than [`MOST`].
///
/// The normal formula of two means, raised by what ranks lose against means where values are normal (3/pi), with
/// Guenther's correction for small samples (1981); never fewer than [`fewest`].
pub fn needed(shift: f64, deviation: f64, tests: usize) -> Option<u64> {
    if shift == 0.0 {
        return None;
    }
    let level = LEVEL / tests.max(1) as f64;
    let critical = normal::deviate(level / 2.0);
    let z = critical + normal::deviate(1.0 - POWER);
    let n = (PI / 3.0 * 2.0 * (z * deviation / shift).powi(2) + critical.powi(2) / 4.0).ceil();
    (n <= MOST as f64).then(|| (n as u64).max(fewest(tests)))
}

/// The standard deviation of two samples about their own means; `None` if no sample has two values.
pub fn pooled_deviation(first: &[f64], second: &[f64]) -> Option<f64> {
    let degrees = (first.len() + second.len()).checked_sub(2).filter(|&degrees| degrees > 0)?;
    let squares = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
    };
    Some(((squares(first) + squares(second)) / degrees as f64).sqrt())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::random::{Purpose, stream, unit};
    use crate::stats::rank_sum;

    #[test]
    fn the_fewest_are_those_of_the_published_tables() {
        // Four a side reach 2/70 = 2.9%, three only 2/20 = 10%.
        assert_eq!(fewest(1), 4);
        // 2/924 x 23 = 4.98%, x 24 = 5.2%.
        assert_eq!((fewest(23), fewest(24)), (6, 7));
        for tests in 1..60 {
            let n = fewest(tests) as usize;
            let apart = |n: usize| {
                let (low, high): (Vec<f64>, Vec<f64>) = (0..n).map(|i| (i as f64, i as f64 + 100.0)).unzip();
                rank_sum::test(&low, &high).unwrap().p() * tests as f64
            };
            assert!(apart(n) < LEVEL && apart(n - 1) >= LEVEL, "{tests} tests, {n} a side");
        }
    }

    #[test]
    fn deviations_agree_with_numpy() {
        // numpy.sqrt((numpy.var(a, ddof=1) * 3 + numpy.var(b, ddof=1) * 2) / 5), numpy 2.4.6
        let deviation = pooled_deviation(&[1.0, 2.0, 4.0, 7.0], &[10.0, 10.5, 12.0]).unwrap();
        assert!((deviation - 2.1525179054617256).abs() < 1e-12, "{deviation}");
        assert_eq!(pooled_deviation(&[1.0], &[2.0]), None);
        assert_eq!(pooled_deviation(&[1.0, 3.0], &[2.0]), Some(2.0f64.sqrt()));
    }

    #[test]
    fn no_shift_and_a_tiny_one_have_no_answer() {
        assert_eq!(needed(0.0, 1.0, 1), None);
        assert_eq!(needed(0.01, 1.0, 1), None);
        assert_eq!(needed(1.0, 0.0, 1), Some(4), "without noise only the fewest");
    }

    /// Normal deviates by Box and Muller, from a fixed seed.
    fn normals(seed: u64) -> impl Iterator<Item = f64> {
        let mut random = stream(seed, 0, Purpose::Protocol);
        let mut uniform = move || unit(&mut random);
        std::iter::repeat_with(move || (-2.0 * (1.0 - uniform()).ln()).sqrt() * (2.0 * PI * uniform()).cos())
    }

    #[test]
    fn so_many_do_prove_it_four_times_in_five() {
        for (shift, tests) in [(1.2, 1), (1.6, 1), (2.0, 20), (2.0, 5)] {
            let n = needed(shift, 1.0, tests).unwrap() as usize;
            let mut random = normals(11);
            let mut sample = |shift: f64| (&mut random).take(n).map(|z| z + shift).collect::<Vec<_>>();
            let proven = (0..300).filter(|_| {
                let (first, second) = (sample(0.0), sample(shift));
                rank_sum::test(&first, &second).unwrap().p() * (tests as f64) < LEVEL
            });
            let share = proven.count() as f64 / 300.0;
            assert!((0.74..=0.9).contains(&share), "{shift} among {tests} with {n}: {share}");
        }
    }
}
