//! Samples of one kind of time: a histogram, and what a histogram rounds away.

use hdrhistogram::Histogram;

use super::cell::Distribution;
use crate::stats::histogram::{self, HistogramError};

/// Samples of one kind of time.
pub struct Samples {
    histogram: Histogram<u64>,
    sum_s: f64,
    sum_sq_s2: f64,
    /// Exact, where the histogram rounds to 3 digits.
    extremes_ns: Option<(u64, u64)>,
}

impl Default for Samples {
    fn default() -> Self {
        Samples { histogram: new_histogram(), sum_s: 0.0, sum_sq_s2: 0.0, extremes_ns: None }
    }
}

/// 3 significant digits, growing as needed.
fn new_histogram() -> Histogram<u64> {
    Histogram::new(3).unwrap_or_else(|_| unreachable!("3 digits are allowed"))
}

impl Samples {
    /// Adds a time, in ns.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        // Resizes as needed; fails only beyond the range of u64.
        let _ = self.histogram.record(ns);
        let s = ns as f64 * 1e-9;
        self.sum_s += s;
        self.sum_sq_s2 += s * s;
        self.stretch(ns, ns);
    }

    #[inline]
    fn stretch(&mut self, low_ns: u64, high_ns: u64) {
        let (low, high) = self.extremes_ns.unwrap_or((low_ns, high_ns));
        self.extremes_ns = Some((low.min(low_ns), high.max(high_ns)));
    }

    /// Adds the samples of another worker, losslessly.
    ///
    /// # Errors
    /// The other's histogram cannot be read.
    pub fn merge(&mut self, other: &Distribution) -> Result<(), HistogramError> {
        if let Some(samples) = histogram::decode(&other.histogram)? {
            // Both have 3 digits, and ours grows as needed.
            let _ = self.histogram.add(samples);
            self.stretch(other.min_ns, other.max_ns);
        }
        self.sum_s += other.sum_s;
        self.sum_sq_s2 += other.sum_sq_s2;
        Ok(())
    }

    /// A quantile in ns, `p` from 0 to 1, as far as 3 digits tell it; `None` without samples.
    pub fn quantile_ns(&self, p: f64) -> Option<u64> {
        (!self.histogram.is_empty()).then(|| histogram::at_quantile(&self.histogram, p))
    }

    /// The largest sample in ns; `None` without samples.
    pub fn max_ns(&self) -> Option<u64> {
        self.extremes_ns.map(|(_, max_ns)| max_ns)
    }

    /// The record of these samples, which stem from `events` distinct events.
    pub fn distribution(&self, events: u64) -> Distribution {
        self.told(events, histogram::encode)
    }

    /// The record of samples that stem from an event each.
    pub fn each_an_event(&self) -> Distribution {
        self.distribution(self.histogram.len())
    }

    /// The record of these samples for the next process; begins anew and keeps its memory.
    pub(super) fn hand_over(&mut self) -> Distribution {
        let told = self.told(0, histogram::encode_plainly);
        self.histogram.reset();
        (self.sum_s, self.sum_sq_s2, self.extremes_ns) = (0.0, 0.0, None);
        told
    }

    fn told(&self, events: u64, encode: fn(&Histogram<u64>) -> String) -> Distribution {
        let Some((min_ns, max_ns)) = self.extremes_ns else { return Distribution::default() };
        Distribution {
            count: self.histogram.len(),
            events,
            sum_s: self.sum_s,
            sum_sq_s2: self.sum_sq_s2,
            min_ns,
            max_ns,
            histogram: encode(&self.histogram),
        }
    }
}
