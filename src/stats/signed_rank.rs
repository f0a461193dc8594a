//! Wilcoxon's signed-rank test, exact, and what belongs to it: the Hodges-Lehmann shift and its confidence limits.
//!
//! The statistic is the sum of the ranks of the positive values among all values ranked by size. Under the hypothesis of
//! no shift each value is as likely positive as negative, so its distribution is that of the sum of a random subset of the
//! ranks, which is counted here and not approximated. Hollander, Wolfe and Chicken, *Nonparametric Statistical Methods*,
//! sections 3.1 to 3.3.

use super::Bounds;

/// Two-sided p value of the hypothesis that `values` lie symmetrically around 0. Ties share their mean rank, zeros are
/// left out (Wilcoxon's own rule). `None` without a value other than 0.
pub fn p_two_sided(values: &[f64]) -> Option<f64> {
    let ranks = doubled_ranks(values);
    if ranks.is_empty() {
        return None;
    }
    let total: usize = ranks.iter().map(|(rank, _)| rank).sum();
    let positive: usize = ranks.iter().filter(|(_, positive)| *positive).map(|(rank, _)| rank).sum();
    let counts = subset_sums(ranks.iter().map(|&(rank, _)| rank));
    let tail: f64 = counts[..=positive.min(total - positive)].iter().sum();
    Some((2.0 * tail / subsets(ranks.len())).min(1.0))
}

/// The Hodges-Lehmann estimate of the shift: the median of the means of all pairs, each value with itself included.
/// `None` without values.
pub fn shift(values: &[f64]) -> Option<f64> {
    super::quantile::median(&walsh(values))
}

/// The limits that the true shift lies beyond with probability at most `alpha` on each side: the exact confidence
/// interval of 1 - 2 `alpha`. An end is infinite where so few values can exclude nothing.
pub fn limits(values: &[f64], alpha: f64) -> Bounds {
    let means = walsh(values);
    let counts = subset_sums(1..=values.len());
    let all = subsets(values.len());
    // The k-th smallest mean is a limit if no more than k - 1 ranks' sum below it has at most this probability.
    let mut tail = 0.0;
    let k = counts
        .iter()
        .take_while(|&&count| {
            tail += count;
            tail / all <= alpha
        })
        .count();
    match k.min(means.len()) {
        0 => Bounds { low: f64::NEG_INFINITY, high: f64::INFINITY },
        k => Bounds { low: means[k - 1], high: means[means.len() - k] },
    }
}

/// The means of all pairs, each value with itself included, sorted.
fn walsh(values: &[f64]) -> Vec<f64> {
    let pairs = values.iter().enumerate().flat_map(|(i, a)| values[i..].iter().map(move |b| (a + b) / 2.0));
    let mut means: Vec<f64> = pairs.collect();
    means.sort_by(f64::total_cmp);
    means
}

/// Twice the rank by size of each value that is not 0, so that mean ranks are whole, and whether it is positive.
fn doubled_ranks(values: &[f64]) -> Vec<(usize, bool)> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|&value| value != 0.0).collect();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let mut ranks = Vec::with_capacity(sorted.len());
    for group in sorted.chunk_by(|a, b| a.abs() == b.abs()) {
        let first = ranks.len() + 1;
        let doubled = 2 * first + group.len() - 1;
        ranks.extend(group.iter().map(|&value| (doubled, value > 0.0)));
    }
    ranks
}

/// How many subsets of the ranks have each sum. Exact up to 2^53 subsets.
fn subset_sums(ranks: impl Iterator<Item = usize>) -> Vec<f64> {
    let mut counts = vec![1.0];
    for rank in ranks {
        let mut with = vec![0.0; counts.len() + rank];
        with[rank..].copy_from_slice(&counts);
        for (sum, count) in with.iter_mut().zip(&counts) {
            *sum += count;
        }
        counts = with;
    }
    counts
}

fn subsets(values: usize) -> f64 {
    (values as f64).exp2()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    /// Hollander and Wolfe, table 3.1: the depression scale factors of nine patients, before and after.
    const DEPRESSION: [f64; 9] = [0.952, -0.147, 1.022, 0.430, 0.620, 0.590, 0.490, -0.080, 0.010];

    #[test]
    fn agrees_with_the_published_example() {
        // T+ = 40, P(T+ >= 40) = .0195; scipy.stats.wilcoxon(d) gives p = 0.0390625.
        assert_eq!(p_two_sided(&DEPRESSION), Some(0.0390625));
        // The book's estimate, example 3.3, and its 96.1% interval, example 3.4: C = 6 at P = 10/512.
        assert!((shift(&DEPRESSION).unwrap() - 0.46).abs() < 1e-12);
        let limits = limits(&DEPRESSION, 0.0196);
        assert!((limits.low - 0.01).abs() < 1e-12 && (limits.high - 0.786).abs() < 1e-12, "{limits:?}");
    }

    #[test]
    fn ties_share_their_rank_and_zeros_are_left_out() {
        // By enumeration of all 2^5 signs of the ranks 1.5, 1.5, 3, 4.5, 4.5: P(T- <= 1.5) = 3/32.
        assert_eq!(p_two_sided(&[1.0, -1.0, 0.0, 2.0, 3.0, 3.0]), Some(6.0 / 32.0));
        assert_eq!(p_two_sided(&[0.0, 0.0]), None);
    }

    #[test]
    fn eight_of_eight_are_the_fewest_that_prove_anything_at_half_a_percent() {
        let limits = |n: usize| limits(&(1..=n).map(|i| i as f64).collect::<Vec<_>>(), 0.005);
        assert_eq!(limits(7).low, f64::NEG_INFINITY);
        assert_eq!(limits(8), Bounds { low: 1.0, high: 8.0 });
    }

    proptest! {
        /// The duality of test and interval: a shift is within the limits exactly if the test does not reject it.
        #[test]
        fn limits_are_where_the_test_begins_to_reject(values in proptest::collection::vec(-1.0..1.0f64, 6..14), at in -1.0..1.0f64) {
            let alpha = 0.05;
            let limits = limits(&values, alpha);
            let moved: Vec<f64> = values.iter().map(|value| value - at).collect();
            let rejects = p_two_sided(&moved).unwrap() <= 2.0 * alpha;
            prop_assert_eq!(rejects, at < limits.low || at > limits.high);
        }

        #[test]
        fn the_shift_lies_within_the_limits_and_moves_with_the_values(values in proptest::collection::vec(-1.0..1.0f64, 1..20), by in -5.0..5.0f64) {
            let moved: Vec<f64> = values.iter().map(|value| value + by).collect();
            prop_assert!((shift(&moved).unwrap() - shift(&values).unwrap() - by).abs() < 1e-9);
            let limits = limits(&values, 0.05);
            let shift = shift(&values).unwrap();
            prop_assert!(limits.low <= shift && shift <= limits.high);
        }
    }
}
