//! What a recorded time says: means and quantiles, with their intervals, or nothing where there are too few events.

use hdrhistogram::Histogram;

use super::cell::Distribution;
use crate::stats::{Bounds, histogram, mean};

impl Distribution {
    /// The samples; `None` if there are none. A text that cannot be decoded counts as none.
    pub fn samples(&self) -> Option<Histogram<u64>> {
        histogram::decode(&self.histogram).ok().flatten()
    }

    /// The mean, in seconds, from the exact sum.
    pub fn mean_s(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_s / self.count as f64)
    }

    /// The 95% interval of the mean, in seconds, with distinct events as independent samples.
    pub fn mean_bounds_s(&self) -> Option<Bounds> {
        mean::bounds(self.count, self.sum_s, self.sum_sq_s2, self.events)
    }

    /// The quantile `p` (0 to 1), in seconds; `None` with fewer than `10/(1-p)` distinct events.
    pub fn quantile_s(&self, p: f64) -> Option<f64> {
        histogram::quantile(&self.samples()?, p, self.events).map(|ns| ns as f64 / 1e9)
    }

    /// The distribution-free 95% interval of the quantile `p`, in seconds.
    pub fn quantile_bounds_s(&self, p: f64) -> Option<Bounds> {
        histogram::quantile_bounds(&self.samples()?, p, self.events).map(|bounds| bounds.scaled(1e-9))
    }

    /// The largest sample, in seconds, exact.
    pub fn max_s(&self) -> Option<f64> {
        (self.count > 0).then(|| self.max_ns as f64 / 1e9)
    }
}
