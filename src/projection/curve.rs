//! What a turn of the server costs over its load.
//!
//! The model: `us per turn = a x ((1 - s) + s / (1 + load / knee))`. A turn is some work that it always takes, and a share `s`
//! of a wake-up, which turns have the more in common the more of them there are in a second. Whether cost falls at all, how much of it
//! and from which load on, the points decide: every pair of share and knee counts by how well it fits them, so that the interval is
//! wide where they leave it open. Cells drift from one to the next by a factor that is log-normal; [`Drift`] is how much.

use crate::stats::mean::t_95;
use crate::stats::normal::lower_tail;
use crate::stats::{Bounds, Z_95};

/// A measured load of one server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Turns per second: what was delivered, or polls that were answered.
    pub per_s: f64,
    /// CPU of one turn, in microseconds.
    pub us: f64,
}

/// A projected value and the range in which one more cell would find it, at 95%.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    /// Its median.
    pub value: f64,
    /// Its range.
    pub bounds: Bounds,
}

impl Value {
    /// The same in another unit; `factor` is positive.
    pub fn scaled(self, factor: f64) -> Value {
        Value { value: self.value * factor, bounds: self.bounds.scaled(factor) }
    }

    /// Half of the range, as a share of the value.
    pub fn half_width(&self) -> f64 {
        (self.bounds.high - self.bounds.low) / 2.0 / self.value.abs().max(f64::MIN_POSITIVE)
    }
}

/// How far cells of one kind drift from each other on this machine: the standard deviation of the logarithm of their CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// As a share of the value.
    pub deviation: f64,
    /// Degrees of freedom behind it.
    pub freedom: u64,
}

/// What is taken for the drift before a run has told its own, and how many degrees of freedom that is worth: repeats of a cell on a
/// virtual machine of two cores.
const BEFORE: Drift = Drift { deviation: 0.06, freedom: 8 };

/// Different loads without which there is no curve.
pub const LOADS: usize = 3;

/// Shares of a wake-up; 0 is a cost that does not depend on load.
const SHARES: [f64; 6] = [0.0, 0.6, 0.7, 0.8, 0.9, 1.0];

/// Knees tried, evenly in their logarithm, from a quarter of the smallest load to 64 times the largest.
const KNEES: u32 = 32;

/// Weight of a fit, beside the best one, that is not worth its time.
const NEGLIGIBLE: f64 = 1e-6;

/// One pair of share and knee beside the points.
struct Fit {
    share: f64,
    knee: f64,
    /// Logarithm of `a`.
    level: f64,
    /// Sum of what is left of the points' logarithms, squared.
    rest: f64,
}

impl Fit {
    fn to(points: &[Point], share: f64, knee: f64) -> Fit {
        let mut fit = Fit { share, knee, level: 0.0, rest: 0.0 };
        let left: Vec<f64> = points.iter().map(|point| point.us.ln() - fit.at(point.per_s)).collect();
        fit.level = left.iter().sum::<f64>() / left.len() as f64;
        fit.rest = left.iter().map(|left| (left - fit.level).powi(2)).sum();
        fit
    }

    /// Logarithm of the cost at a load.
    fn at(&self, per_s: f64) -> f64 {
        self.level + ((1.0 - self.share) + self.share / (1.0 + per_s / self.knee)).ln()
    }
}

fn fits(points: &[Point]) -> Vec<Fit> {
    let loads = || points.iter().map(|point| point.per_s);
    let (from, to) = (loads().fold(f64::INFINITY, f64::min) / 4.0, loads().fold(0.0, f64::max) * 64.0);
    let knee = |i: u32| from * (to / from).powf(f64::from(i) / f64::from(KNEES - 1));
    let of = |share: f64| (0..KNEES).map(move |i| (share, knee(i)));
    SHARES.into_iter().flat_map(of).map(|(share, knee)| Fit::to(points, share, knee)).collect()
}

/// Different loads among the points; those within a tenth of each other are one.
pub fn loads(points: &[Point]) -> usize {
    let mut all: Vec<f64> = points.iter().map(|point| point.per_s).collect();
    all.sort_by(f64::total_cmp);
    let mut last = 0.0;
    all.into_iter()
        .filter(|&load| {
            load > last * 1.1 && {
                last = load;
                true
            }
        })
        .count()
}

/// The drift that the curves of a run tell, each by what its best fit leaves of its points, beside what is known before.
pub fn drift(curves: &[Vec<Point>]) -> Drift {
    let (mut squares, mut freedom) = (BEFORE.deviation.powi(2) * BEFORE.freedom as f64, BEFORE.freedom);
    for points in curves.iter().filter(|points| points.len() > LOADS) {
        squares += fits(points).iter().map(|fit| fit.rest).fold(f64::INFINITY, f64::min);
        freedom += (points.len() - LOADS) as u64;
    }
    Drift { deviation: (squares / freedom as f64).sqrt(), freedom }
}

/// The cost of one turn at a load, in microseconds, as one more cell would find it; `None` with fewer than [`LOADS`] loads.
pub fn predict(points: &[Point], per_s: f64, drift: Drift) -> Option<Value> {
    if loads(points) < LOADS || per_s <= 0.0 || points.iter().any(|point| point.us <= 0.0) {
        return None;
    }
    let fits = fits(points);
    let best = fits.iter().map(|fit| fit.rest).fold(f64::INFINITY, f64::min);
    let weigh = |fit: &Fit| ((best - fit.rest) / (2.0 * drift.deviation.powi(2))).exp();
    let weighed = fits.iter().map(|fit| (weigh(fit), fit.at(per_s)));
    let weighed: Vec<(f64, f64)> = weighed.filter(|(weight, _)| *weight > NEGLIGIBLE).collect();
    let all: f64 = weighed.iter().map(|(weight, _)| weight).sum();
    // Of the next cell and of the level; Student's t, for the drift is an estimate itself.
    let spread = drift.deviation * (1.0 + 1.0 / points.len() as f64).sqrt() * t_95(drift.freedom) / Z_95;
    let below =
        |x: f64| weighed.iter().map(|(w, centre)| w * lower_tail((x - centre) / spread)).sum::<f64>() / all;
    let centres = || weighed.iter().map(|(_, centre)| *centre);
    let ends = (centres().fold(f64::INFINITY, f64::min), centres().fold(f64::NEG_INFINITY, f64::max));
    let quantile = |p: f64| {
        let (mut low, mut high) = (ends.0 - 8.0 * spread, ends.1 + 8.0 * spread);
        for _ in 0..36 {
            let middle = f64::midpoint(low, high);
            if below(middle) < p { low = middle } else { high = middle }
        }
        low.exp()
    };
    Some(Value { value: quantile(0.5), bounds: Bounds { low: quantile(0.025), high: quantile(0.975) } })
}
