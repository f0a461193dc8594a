//! The slope of a line through few, noisy points.

use super::{Bounds, Z_95};

/// Points from which an interval by Sen's method means something. Below, the range of all slopes takes its place.
const ENOUGH_POINTS: usize = 5;

/// A fitted slope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// Median of the slopes between all pairs of points.
    pub value: f64,
    /// Median of what is left of each y: where the line of this slope meets x = 0.
    pub intercept: f64,
    /// The slope's 95% interval by Sen's method, or, if `coarse`, the smallest and largest of the pairwise slopes.
    pub bounds: Bounds,
    /// There were fewer than five points.
    pub coarse: bool,
    /// Points it was fitted to.
    pub points: usize,
}

/// The Theil-Sen slope of `points` (x, y); `None` without two different x.
///
/// The interval is Sen's (1968), with Kendall's variance corrected for ties in x and in y.
pub fn theil_sen(points: &[(f64, f64)]) -> Option<Slope> {
    let mut slopes = Vec::new();
    for (i, a) in points.iter().enumerate() {
        for b in &points[i + 1..] {
            if a.0 != b.0 {
                slopes.push((b.1 - a.1) / (b.0 - a.0));
            }
        }
    }
    slopes.sort_by(f64::total_cmp);
    let (&first, &last) = (slopes.first()?, slopes.last()?);
    let value = median(&slopes);
    let mut left: Vec<f64> = points.iter().map(|(x, y)| y - value * x).collect();
    left.sort_by(f64::total_cmp);
    let intercept = median(&left);
    let coarse = points.len() < ENOUGH_POINTS;
    let bounds = if coarse { Bounds { low: first, high: last } } else { sen_bounds(points, &slopes) };
    Some(Slope { value, intercept, bounds, coarse, points: points.len() })
}

/// The middle of sorted values, of which there is at least one.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

fn sen_bounds(points: &[(f64, f64)], slopes: &[f64]) -> Bounds {
    let n = points.len() as f64;
    let ties = |of: fn(&(f64, f64)) -> f64| -> f64 {
        let mut values: Vec<f64> = points.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
            .chunk_by(|a, b| a == b)
            .map(|run| run.len() as f64)
            .map(|k| k * (k - 1.0) * (2.0 * k + 5.0))
            .sum()
    };
    let variance = (n * (n - 1.0) * (2.0 * n + 5.0) - ties(|p| p.0) - ties(|p| p.1)) / 18.0;
    let (count, spread) = (slopes.len() as f64, Z_95 * variance.max(0.0).sqrt());
    let low = ((count - spread) / 2.0).round_ties_even() - 1.0;
    let high = ((count + spread) / 2.0).round_ties_even();
    let at = |index: f64| slopes[index.clamp(0.0, count - 1.0) as usize];
    Bounds { low: at(low), high: at(high) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn agrees_with_scipy() {
        // scipy.stats.theilslopes(y, x, alpha=.95): slope, low_slope, high_slope
        let seven = [
            (0.0, 1.0),
            (100.0, 820.0),
            (200.0, 1710.0),
            (300.0, 2390.0),
            (400.0, 3350.0),
            (500.0, 4011.0),
            (600.0, 5200.0),
        ];
        let ten: Vec<(f64, f64)> =
            (1..).map(f64::from).zip([2.1, 3.9, 6.2, 8.1, 9.7, 12.4, 13.8, 16.5, 17.7, 40.0]).collect();
        let tied =
            [(0.0, 1.0), (0.0, 2.0), (1.0, 3.0), (1.0, 3.0), (2.0, 5.0), (2.0, 4.0), (3.0, 8.0), (3.0, 6.0)];
        for (points, slope, low, high) in
            [(&seven[..], 8.3725, 7.85, 9.25), (&ten[..], 2.05, 1.92, 2.3), (&tied[..], 11.0 / 6.0, 1.0, 2.5)]
        {
            let fit = theil_sen(points).unwrap();
            assert!(near(fit.value, slope), "{fit:?}");
            assert!(near(fit.bounds.low, low) && near(fit.bounds.high, high), "{fit:?}");
            assert!(!fit.coarse);
        }
    }

    #[test]
    fn three_points_are_coarse_and_give_the_range() {
        let fit = theil_sen(&[(0.0, 0.0), (100.0, 900.0), (300.0, 3300.0)]).unwrap();
        assert_eq!(
            fit,
            Slope {
                value: 11.0,
                intercept: 0.0,
                bounds: Bounds { low: 9.0, high: 12.0 },
                coarse: true,
                points: 3
            }
        );
    }

    #[test]
    fn no_slope_without_two_abscissae() {
        assert_eq!(theil_sen(&[]), None);
        assert_eq!(theil_sen(&[(1.0, 2.0), (1.0, 3.0)]), None);
    }

    proptest! {
        #[test]
        fn finds_an_exact_line(a in -1e6..1e6f64, b in -1e3..1e3f64, n in 2usize..20) {
            let points: Vec<_> = (0..n).map(|x| (x as f64, a + b * x as f64)).collect();
            let fit = theil_sen(&points).unwrap();
            prop_assert!((fit.value - b).abs() < 1e-6 && (fit.intercept - a).abs() < 1e-4);
        }
    }
}
