//! A straight line through few points whose scatter is small: how a time grows with another.

use super::Bounds;
use super::mean::t_95;

/// A fitted line, `y = slope * x + intercept`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Growth of y for each unit of x.
    pub slope: f64,
    /// y where x is 0.
    pub intercept: f64,
    /// 95% interval of the slope (Student's t).
    pub slope_bounds: Bounds,
    /// 95% interval of the intercept.
    pub intercept_bounds: Bounds,
    /// Points it was fitted to.
    pub points: usize,
}

/// The line of least squares through `points` (x, y); `None` with fewer than three, or without two different x.
///
/// The intervals take the scatter to be the same everywhere. With three points one degree of freedom is left, and
/// they are as wide as that deserves.
pub fn least_squares(points: &[(f64, f64)]) -> Option<Line> {
    let count = points.len();
    if count < 3 {
        return None;
    }
    let n = count as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(|p| p.0), mean(|p| p.1));
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if spread <= 0.0 {
        return None;
    }
    let slope = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
    let intercept = mean_y - slope * mean_x;
    let scatter: f64 = points.iter().map(|(x, y)| (y - slope * x - intercept).powi(2)).sum();
    let half = t_95(count as u64 - 2) * (scatter / (n - 2.0)).sqrt();
    let around = |value: f64, half: f64| Bounds { low: value - half, high: value + half };
    Some(Line {
        slope,
        intercept,
        slope_bounds: around(slope, half / spread.sqrt()),
        intercept_bounds: around(intercept, half * (1.0 / n + mean_x.powi(2) / spread).sqrt()),
        points: count,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_published_figures() {
        // Anscombe (1973), first set, as R's lm() prints it: 0.5001 (standard error 0.1179), 3.0001 (1.1247).
        let x = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
        let y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68];
        let points: Vec<_> = x.into_iter().zip(y).collect();
        let line = least_squares(&points).unwrap();
        assert!((line.slope - 0.5001).abs() < 1e-4 && (line.intercept - 3.0001).abs() < 1e-4, "{line:?}");
        let half = |bounds: Bounds| (bounds.high - bounds.low) / 2.0;
        let t = 2.262157;
        assert!((half(line.slope_bounds) - t * 0.1179).abs() < 3e-4, "{line:?}");
        assert!((half(line.intercept_bounds) - t * 1.1247).abs() < 3e-4, "{line:?}");
    }

    #[test]
    fn two_points_and_one_abscissa_fit_any_line() {
        assert_eq!(least_squares(&[(0.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(least_squares(&[(3.0, 1.0), (3.0, 2.0), (3.0, 3.0)]), None);
    }

    proptest! {
        #[test]
        fn finds_an_exact_line(a in -1e3..1e3f64, b in -1e2..1e2f64, n in 3usize..20) {
            let points: Vec<_> = (0..n).map(|x| (x as f64, a + b * x as f64)).collect();
            let line = least_squares(&points).unwrap();
            prop_assert!((line.slope - b).abs() < 1e-6 && (line.intercept - a).abs() < 1e-6);
            prop_assert!(line.slope_bounds.high - line.slope_bounds.low < 1e-6);
        }
    }
}
