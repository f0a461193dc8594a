//! Two samples beside each other, whatever their distribution: the rank-sum test (Wilcoxon, Mann and Whitney) and the
//! shift between them (Hodges and Lehmann) with its interval.

use super::{Bounds, normal};

/// Values on both sides together up to which the distribution is counted out; beyond it the normal approximation is
/// within 0.001 of it.
const MOST_EXACT: usize = 64;

/// What the ranks of two samples say about whether one tends to be larger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankSum {
    /// Pairs (one of the first sample, one of the second) in which the second is larger; equal ones count half.
    pub u: f64,
    /// Chance of a `u` this small or smaller if both samples have one distribution: small where the second is smaller.
    pub p_smaller: f64,
    /// Chance of a `u` this large or larger: small where the second sample is larger.
    pub p_larger: f64,
}

impl RankSum {
    /// The two-sided p value: twice the smaller tail, at most 1.
    pub fn p(&self) -> f64 {
        (2.0 * self.p_smaller.min(self.p_larger)).min(1.0)
    }
}

/// Tests two samples of finite values; `None` if one of them is empty.
///
/// Equal values share their mean rank. Up to 64 values the tails are those of all ways to deal these very ranks to the
/// two sides, each as likely as any other, so they are exact with ties, too; beyond that the normal approximation with
/// corrections for ties and continuity.
pub fn test(first: &[f64], second: &[f64]) -> Option<RankSum> {
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let ranks = Ranks::of(first, second);
    let (m, n) = (first.len() as f64, second.len() as f64);
    let u = ranks.second_sum() as f64 / 2.0 - n * (n + 1.0) / 2.0;
    let (p_smaller, p_larger) = if ranks.doubled.len() <= MOST_EXACT {
        let chances = chances(&ranks.doubled, second.len());
        let seen = ranks.second_sum();
        let tail = |sums: &[f64]| sums.iter().sum::<f64>().min(1.0);
        (tail(&chances[..=seen]), tail(&chances[seen..]))
    } else {
        approximate(u, m, n, ranks.ties())
    };
    Some(RankSum { u, p_smaller, p_larger })
}

/// The ranks of two samples together, doubled so that the mean rank of equal values is a whole number.
struct Ranks {
    /// Of all values, smallest first.
    doubled: Vec<usize>,
    /// Of which of them belong to the second sample.
    is_second: Vec<bool>,
}

impl Ranks {
    fn of(first: &[f64], second: &[f64]) -> Ranks {
        let mut values: Vec<(f64, bool)> = first.iter().map(|&value| (value, false)).collect();
        values.extend(second.iter().map(|&value| (value, true)));
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut doubled = Vec::with_capacity(values.len());
        for equal in values.chunk_by(|a, b| a.0 == b.0) {
            // Ranks before + 1 to before + length: twice their mean is the sum of the first and the last.
            let (before, length) = (doubled.len(), equal.len());
            doubled.extend(std::iter::repeat_n(2 * before + length + 1, length));
        }
        Ranks { doubled, is_second: values.into_iter().map(|(_, is_second)| is_second).collect() }
    }

    /// Twice the sum of the second sample's ranks.
    fn second_sum(&self) -> usize {
        self.doubled.iter().zip(&self.is_second).filter(|(_, second)| **second).map(|(rank, _)| rank).sum()
    }

    /// The sum of t^3 - t over all groups of t equal values.
    fn ties(&self) -> f64 {
        let groups = self.doubled.chunk_by(|a, b| a == b).map(|group| group.len() as f64);
        groups.map(|t| t.powi(3) - t).sum()
    }
}

/// The chance of each sum of `size` of these doubled ranks, if every choice is as likely; the index is the sum.
fn chances(doubled: &[usize], size: usize) -> Vec<f64> {
    // The largest ranks make the largest sum.
    let largest: usize = doubled.iter().rev().take(size).sum();
    // ways[k][s]: how many choices of k of the ranks seen so far have the sum s.
    let mut ways = vec![vec![0.0f64; largest + 1]; size + 1];
    ways[0][0] = 1.0;
    for (seen, &rank) in doubled.iter().enumerate() {
        for k in (1..=size.min(seen + 1)).rev() {
            let (without, with) = ways.split_at_mut(k);
            for (sum, ways) in with[0].iter_mut().enumerate().skip(rank) {
                *ways += without[k - 1][sum - rank];
            }
        }
    }
    let mut chances = ways.swap_remove(size);
    let all: f64 = chances.iter().sum();
    chances.iter_mut().for_each(|ways| *ways /= all);
    chances
}

/// Both tails by the normal approximation; `ties` is the sum of t^3 - t over groups of equal values.
fn approximate(u: f64, m: f64, n: f64, ties: f64) -> (f64, f64) {
    let all = m + n;
    let deviation = (m * n / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)))).sqrt();
    if deviation == 0.0 {
        return (1.0, 1.0);
    }
    let beyond = |distance: f64| normal::upper_tail((distance - 0.5) / deviation);
    (beyond(m * n / 2.0 - u), beyond(u - m * n / 2.0))
}

/// How much larger the second of two samples is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// The Hodges-Lehmann estimate: the median of the differences of all pairs, second minus first.
    pub estimate: f64,
    /// The interval at the confidence asked for; `None` where the samples are too few for it to have ends.
    pub bounds: Option<Bounds>,
}

/// The shift from `first` to `second` with its interval at `confidence` (0.95 for 95%); `None` if one is empty.
///
/// The interval inverts the rank-sum test: it holds every shift that the test does not reject at `1 - confidence`. Its
/// ends are differences of pairs, and belong to it. Where values are equal it is a little wider than need be.
pub fn shift(first: &[f64], second: &[f64], confidence: f64) -> Option<Shift> {
    let pairs = first.iter().flat_map(|a| second.iter().map(move |b| b - a));
    let mut differences: Vec<f64> = pairs.collect();
    differences.sort_by(f64::total_cmp);
    let count = differences.len();
    if count == 0 {
        return None;
    }
    let estimate = (differences[(count - 1) / 2] + differences[count / 2]) / 2.0;
    let dropped = rejected(first.len(), second.len(), (1.0 - confidence) / 2.0);
    let bounds = dropped
        .checked_sub(1)
        .map(|last| Bounds { low: differences[last], high: differences[count - 1 - last] });
    Some(Shift { estimate, bounds })
}

/// How many of the smallest values of u, without ties, have together at most the chance `tail`.
fn rejected(m: usize, n: usize, tail: f64) -> usize {
    if m + n > MOST_EXACT {
        let (m, n) = (m as f64, n as f64);
        let deviation = (m * n * (m + n + 1.0) / 12.0).sqrt();
        return (m * n / 2.0 - normal::deviate(tail) * deviation + 0.5).max(0.0) as usize;
    }
    let doubled: Vec<usize> = (1..=m + n).map(|rank| 2 * rank).collect();
    let mut sum = 0.0;
    // The smallest sum of n ranks is n (n + 1) / 2; a float's rounding must not decide.
    let of_u = chances(&doubled, n).into_iter().skip(n * (n + 1)).step_by(2);
    of_u.take_while(|chance| {
        sum += chance;
        sum <= tail * (1.0 + 1e-9)
    })
    .count()
}

#[cfg(test)]
#[path = "rank_sum_tests.rs"]
mod tests;
