//! Small, exact statistics. No function here ever guesses: what cannot be known from the samples is `None`.

pub mod histogram;
pub mod holm;
pub mod line;
pub mod mean;
pub mod normal;
pub mod proportion;
pub mod quantile;
pub mod rank_sum;
pub mod repeats;
pub mod signed_rank;
pub mod slope;

/// The normal deviate of a two-sided 95% interval.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// A range in which the true value lies, at 95% confidence unless a function says otherwise; both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Bounds {
    /// A value that is known exactly.
    pub fn exact(value: f64) -> Bounds {
        Bounds { low: value, high: value }
    }

    /// The same range in another unit; `factor` is positive.
    pub fn scaled(self, factor: f64) -> Bounds {
        Bounds { low: self.low * factor, high: self.high * factor }
    }

    /// Whether the two have a value in common.
    pub fn overlaps(self, other: Bounds) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}
