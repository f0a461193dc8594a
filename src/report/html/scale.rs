//! Where a value lies on an axis, and which values the axis names.

/// How values are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spacing {
    /// From zero, evenly.
    FromZero,
    /// By ratio where the values are above zero and span more than [`WIDE`] times, else evenly.
    LogIfWide,
}

/// The ratio of largest to smallest from which small values would lie on the axis.
const WIDE: f64 = 12.0;

/// Steps that an even axis aims at.
const STEPS: f64 = 4.0;

/// Decades up to which an axis by ratio names 2 and 5, too.
const FEW_DECADES: i32 = 2;

/// An axis: its ends are its first and its last tick, and all values lie between them.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    ticks: Vec<f64>,
    log: bool,
}

impl Scale {
    /// An axis for these values. Without any it runs from 0 to 1.
    pub(super) fn new(spacing: Spacing, values: impl Iterator<Item = f64>) -> Scale {
        let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let positive = values.iter().copied().filter(|value| *value > 0.0);
        let (low, high) = positive.fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
        let all_positive = values.iter().all(|value| *value > 0.0);
        let log = high > 0.0
            && match spacing {
                Spacing::FromZero => false,
                Spacing::LogIfWide => all_positive && high / low > WIDE,
            };
        let ticks = if log {
            by_ratio(low, high)
        } else {
            let least = values.iter().copied().fold(0.0, f64::min);
            let most = values.iter().copied().fold(0.0, f64::max);
            evenly(least, most)
        };
        Scale { ticks, log }
    }

    /// An axis by ratio with these ticks, which rise from above zero.
    pub(super) fn with_ticks(ticks: Vec<f64>) -> Scale {
        Scale { ticks, log: true }
    }

    /// What the axis names, rising.
    pub(super) fn ticks(&self) -> &[f64] {
        &self.ticks
    }

    fn ends(&self) -> (f64, f64) {
        match self.ticks[..] {
            [first, .., last] => (first, last),
            _ => (0.0, 1.0),
        }
    }

    /// Where a value lies, from 0 to 1; `None` for what has no place on the axis.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let (low, high) = self.ends();
        let place = match self.log {
            true if value <= 0.0 => return None,
            true => (value / low).ln() / (high / low).ln(),
            false => (value - low) / (high - low),
        };
        place.is_finite().then(|| place.clamp(0.0, 1.0))
    }
}

/// Multiples of 1, 2 or 5 times a power of ten around both values.
fn evenly(low: f64, high: f64) -> Vec<f64> {
    let span = if high > low { high - low } else { 1.0 };
    let high = if high > low { high } else { low + 1.0 };
    let raw = span / STEPS;
    let exponent = raw.log10().floor() as i32;
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * 10_f64.powi(exponent) >= raw * 0.999);
    let (digit, exponent) = digit.map_or((1.0, exponent + 1), |digit| (digit, exponent));
    // Dividing by a power of ten is exact where multiplying by a fraction is not: 0.6, not 0.6000000000000001.
    let times = |n: f64| match exponent < 0 {
        true => n * digit / 10_f64.powi(-exponent),
        false => n * digit * 10_f64.powi(exponent),
    };
    let (first, last) = ((low / times(1.0)).floor() as i64, (high / times(1.0) - 1e-9).ceil() as i64);
    (first..=last.max(first + 1)).map(|n| times(n as f64)).collect()
}

/// Powers of ten around both values, and 2 and 5 times them where there are few.
fn by_ratio(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let decades = (last - first).max(1);
    if decades > FEW_DECADES {
        let step = (decades as f64 / 7.0).ceil() as i32;
        let count = (decades + step - 1) / step;
        return (0..=count).map(|i| 10_f64.powi(first + i * step)).collect();
    }
    let fine: Vec<f64> =
        (first..=first + decades).flat_map(|e| [1.0, 2.0, 5.0].map(|n| n * 10_f64.powi(e))).collect();
    let from = fine.iter().rposition(|tick| *tick <= low).unwrap_or(0);
    let to = fine.iter().position(|tick| *tick >= high && *tick > fine[from]).unwrap_or(fine.len() - 1);
    fine[from..=to].to_vec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        let scale = |spacing, values: &[f64]| Scale::new(spacing, values.iter().copied()).ticks().to_vec();
        assert_eq!(scale(Spacing::FromZero, &[3.0, 1_440.0]), [0.0, 500.0, 1_000.0, 1_500.0]);
        assert_eq!(scale(Spacing::FromZero, &[]), [0.0, 0.5, 1.0]);
        assert_eq!(scale(Spacing::LogIfWide, &[0.3, 0.5]), [0.0, 0.2, 0.4, 0.6]);
        assert_eq!(scale(Spacing::LogIfWide, &[0.2, 5_000.0]), [0.1, 1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
        assert_eq!(scale(Spacing::LogIfWide, &[30.0, 700.0]), [20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0]);
    }

    fn spacing() -> impl Strategy<Value = Spacing> {
        prop_oneof![Just(Spacing::FromZero), Just(Spacing::LogIfWide)]
    }

    proptest! {
        /// Ticks rise, there are few, and they enclose the data; a larger value never lies further left.
        #[test]
        fn ticks_rise_and_cover_the_data(spacing in spacing(),
                                         values in prop::collection::vec(1e-6..1e12f64, 1..20)) {
            let scale = Scale::new(spacing, values.iter().copied());
            let ticks = scale.ticks();
            prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "{ticks:?}");
            prop_assert!((2..=12).contains(&ticks.len()), "{ticks:?}");
            let (first, last) = (ticks[0], ticks[ticks.len() - 1]);
            for value in &values {
                prop_assert!(first <= *value * 1.000_001 && *value <= last * 1.000_001, "{value} {ticks:?}");
            }
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let places: Vec<f64> = sorted.iter().map(|value| scale.place(*value).unwrap()).collect();
            prop_assert!(places.windows(2).all(|pair| pair[0] <= pair[1]));
        }

        #[test]
        fn an_even_axis_takes_what_is_below_zero(values in prop::collection::vec(-1e6..1e6f64, 1..20)) {
            let scale = Scale::new(Spacing::FromZero, values.iter().copied());
            let ticks = scale.ticks();
            let (first, last) = (ticks[0], ticks[ticks.len() - 1]);
            prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(values.iter().all(|v| first <= *v + 1e-3 && *v <= last + 1e-3), "{ticks:?}");
        }
    }
}
