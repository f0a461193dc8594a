//! The median, and how much a quantile can be known from `n` independent events, whatever their distribution.

/// The median of values in any order; `None` without any.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => Some(sorted[middle]),
        _ => Some((sorted.get(middle.checked_sub(1)?)? + sorted[middle]) / 2.0),
    }
}

/// Distinct events that the quantile `p` (0 to 1) needs before it may be printed: ten beyond it, `10/(1-p)`.
/// With fewer, a handful of events decides the figure.
pub fn events_needed(p: f64) -> u64 {
    // The small allowance keeps 10/(1-0.99) = 1000.0000000000009 from becoming 1001.
    (10.0 / (1.0 - p) - 1e-6).ceil() as u64
}

/// Ranks (from 1) of the two order statistics of `n` samples that enclose the quantile `p` with at least 95%
/// confidence; `None` if there are too few samples for one of them to exist.
///
/// The number of samples below the true quantile is binomial(n, p), so `P(X_l <= quantile <= X_u)` is
/// `P(l <= B < u)` for any continuous distribution (David and Nagaraja, Order Statistics, 7.1).
pub fn rank_bounds(n: u64, p: f64) -> Option<(u64, u64)> {
    let (low, high) = binomial_95(n, p);
    (low >= 1 && high < n).then_some((low, high + 1))
}

/// The 2.5% and 97.5% quantiles of the binomial distribution: the smallest k with `P(B <= k)` of at least that.
fn binomial_95(n: u64, p: f64) -> (u64, u64) {
    let (nf, odds) = (n as f64, p / (1.0 - p));
    let mode = (((nf + 1.0) * p) as u64).min(n);
    // Weights relative to the mode: they need no factorials, and dividing by their sum makes them probabilities.
    const NEGLIGIBLE: f64 = 1e-18;
    let mut weights = Vec::new();
    let (mut k, mut weight) = (mode, 1.0);
    while k > 0 && weight > NEGLIGIBLE {
        weight *= k as f64 / ((nf - k as f64 + 1.0) * odds);
        k -= 1;
        weights.push(weight);
    }
    let first = k;
    weights.reverse();
    weights.push(1.0);
    (k, weight) = (mode, 1.0);
    while k < n && weight > NEGLIGIBLE {
        weight *= (nf - k as f64) * odds / (k as f64 + 1.0);
        k += 1;
        weights.push(weight);
    }
    let total: f64 = weights.iter().sum();
    let at = |share: f64| {
        let mut sum = 0.0;
        let index = weights.iter().position(|weight| {
            sum += weight;
            sum >= share * total
        });
        first + index.unwrap_or(weights.len() - 1) as u64
    };
    (at(0.025), at(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_needs_ten_events_beyond_it() {
        for (p, events) in [(0.5, 20), (0.9, 100), (0.95, 200), (0.99, 1_000), (0.999, 10_000)] {
            assert_eq!(events_needed(p), events);
        }
    }

    #[test]
    fn ranks_agree_with_scipy() {
        // scipy.stats.binom.ppf(0.025, n, p), binom.ppf(0.975, n, p) + 1
        for (n, p, low, high) in [
            (20, 0.5, 6, 15),
            (100, 0.5, 40, 61),
            (1_000, 0.99, 983, 997),
            (2_345, 0.95, 2_207, 2_249),
            (10_000, 0.999, 9_983, 9_997),
            (1_000_000, 0.99, 989_805, 990_196),
        ] {
            assert_eq!(rank_bounds(n, p), Some((low, high)), "n = {n}, p = {p}");
        }
    }

    #[test]
    fn too_few_samples_have_no_bounds() {
        assert_eq!(rank_bounds(5, 0.5), None);
        assert_eq!(rank_bounds(100, 0.99), None);
        assert_eq!(rank_bounds(0, 0.5), None);
    }
}
