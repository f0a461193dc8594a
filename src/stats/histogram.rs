//! HdrHistograms as text, and quantiles read from them by rank.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer, V2Serializer};

use super::{Bounds, quantile};

/// Text that is no encoded histogram.
#[derive(Debug, thiserror::Error)]
pub enum HistogramError {
    /// Not base64.
    #[error("a histogram is not valid base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Base64 of something else.
    #[error("a histogram cannot be decoded: {0}")]
    Layout(#[from] hdrhistogram::serialization::DeserializeError),
}

/// The histogram in HdrHistogram's V2 deflated form as base64, which other tools read; empty if it has no samples.
pub fn encode(histogram: &Histogram<u64>) -> String {
    encode_with(&mut V2DeflateSerializer::new(), histogram)
}

/// The same without the deflating: more bytes for less work, between processes.
pub fn encode_plainly(histogram: &Histogram<u64>) -> String {
    encode_with(&mut V2Serializer::new(), histogram)
}

fn encode_with(serializer: &mut impl Serializer, histogram: &Histogram<u64>) -> String {
    if histogram.is_empty() {
        return String::new();
    }
    let mut bytes = Vec::new();
    match serializer.serialize(histogram, &mut bytes) {
        Ok(_) => BASE64.encode(bytes),
        // Writing to memory cannot fail and our value range always fits the format.
        Err(_) => unreachable!("a histogram in memory did not serialize"),
    }
}

/// Reads what [`encode`] or [`encode_plainly`] wrote; `None` for the empty text.
///
/// # Errors
/// The text is something else.
pub fn decode(text: &str) -> Result<Option<Histogram<u64>>, HistogramError> {
    if text.is_empty() {
        return Ok(None);
    }
    let bytes = BASE64.decode(text)?;
    Ok(Some(Deserializer::new().deserialize(&mut bytes.as_slice())?))
}

/// The quantile `p` (0 to 1), or `None` if fewer distinct events than it needs are among the samples.
pub fn quantile(histogram: &Histogram<u64>, p: f64, events: u64) -> Option<u64> {
    if events < quantile::events_needed(p) || histogram.is_empty() {
        return None;
    }
    Some(at_quantile(histogram, p))
}

/// The quantile `p` (0 to 1), whatever it rests on; 0 without samples.
pub fn at_quantile(histogram: &Histogram<u64>, p: f64) -> u64 {
    // The allowance keeps 0.99 * 1000 = 990.0000000000001 from becoming the 991st.
    let rank = (p * histogram.len() as f64 - 1e-6).ceil() as u64;
    at_rank(histogram, rank)
}

/// The distribution-free 95% interval of the quantile `p`, where the samples are receipts of `events` distinct events.
///
/// Ranks are those of `events` independent samples, stretched over all samples.
pub fn quantile_bounds(histogram: &Histogram<u64>, p: f64, events: u64) -> Option<Bounds> {
    if events < quantile::events_needed(p) || histogram.is_empty() {
        return None;
    }
    let (low, high) = quantile::rank_bounds(events, p)?;
    let stretch = |rank: u64| u128::from(rank) * u128::from(histogram.len());
    let low = stretch(low) / u128::from(events);
    let high = stretch(high).div_ceil(u128::from(events));
    Some(Bounds { low: at_rank(histogram, low as u64) as f64, high: at_rank(histogram, high as u64) as f64 })
}

/// The value of the `rank`th sample, from 1; ranks outside are the smallest and the largest.
///
/// A bucket's samples are taken to lie evenly in it: its upper end, which is usual, is late by up to 0.1% (65 us at
/// 100 ms), which is more than a loopback takes.
fn at_rank(histogram: &Histogram<u64>, rank: u64) -> u64 {
    let mut seen = 0;
    for step in histogram.iter_recorded() {
        let here = step.count_since_last_iteration();
        if seen + here >= rank {
            let low = histogram.lowest_equivalent(step.value_iterated_to());
            let width = histogram.equivalent_range(low) as f64;
            let share = (rank.saturating_sub(seen) as f64 - 0.5) / here as f64;
            return low + (width * share.max(0.0)) as u64;
        }
        seen += here;
    }
    histogram.max()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn one_to(n: u64) -> Histogram<u64> {
        let mut histogram = Histogram::new(3).unwrap();
        for value in 1..=n {
            histogram.record(value).unwrap();
        }
        histogram
    }

    #[test]
    fn text_form_is_lossless() {
        let histogram = one_to(5_000);
        for encode in [encode, encode_plainly] {
            assert_eq!(decode(&encode(&histogram)).unwrap().as_ref(), Some(&histogram));
        }
        assert_eq!(encode(&Histogram::new(3).unwrap()), "");
        assert_eq!(decode("").unwrap(), None);
        assert!(matches!(decode("~"), Err(HistogramError::Base64(_))));
        assert!(matches!(decode("AAAA"), Err(HistogramError::Layout(_))));
    }

    #[test]
    fn quantiles_are_order_statistics() {
        let histogram = one_to(1_000);
        assert_eq!(quantile(&histogram, 0.5, 1_000), Some(500));
        assert_eq!(quantile(&histogram, 0.99, 1_000), Some(990));
        assert_eq!(quantile(&histogram, 0.99, 999), None);
        assert_eq!(quantile_bounds(&histogram, 0.99, 1_000), Some(Bounds { low: 983.0, high: 997.0 }));
    }

    #[test]
    fn samples_within_a_bucket_are_told_apart() {
        let mut histogram = Histogram::new(3).unwrap();
        // A bucket at 100 ms is 65,536 ns wide; these are 100 times narrower apart.
        for value in (0..1_000).map(|i| 100_000_000 + i * 655) {
            histogram.record(value).unwrap();
        }
        let median = quantile(&histogram, 0.5, 1_000).unwrap();
        assert!(median.abs_diff(100_000_000 + 500 * 655) < 4_000, "{median}");
    }

    #[test]
    fn receipts_of_one_event_widen_nothing_but_the_ranks() {
        // 100 events, ten receipts each: the ranks 40 and 61 of 100 are 400 and 610 of 1000.
        assert_eq!(quantile_bounds(&one_to(1_000), 0.5, 100), Some(Bounds { low: 400.0, high: 610.0 }));
        assert_eq!(quantile(&one_to(1_000), 0.5, 19), None);
    }
}
