//! One metric on both sides: how much differs, and whether it is proven.

use super::{Estimate, Needed, Purpose, Row, Values, Verdict};
use crate::measure::metric::{self, Better, Metric, Tier};
use crate::stats::rank_sum::{self, Shift};
use crate::stats::{holm, repeats};

/// Confidence of every interval.
const CONFIDENCE: f64 = 0.95;

/// A metric with values on at least one side, judged for itself alone; [`together`] has the last word.
pub(super) fn row(metric: &Metric, base: Vec<f64>, new: Vec<f64>) -> Row {
    let tier = tier(metric, &base, &new);
    let verdict = alone(metric, tier, &base, &new);
    let two = !base.is_empty() && !new.is_empty();
    let is_noisy = tier == Tier::Noisy && verdict != Verdict::Equal;
    Row {
        metric: metric.name.to_owned(),
        unit: metric.unit.to_owned(),
        better: metric.better.word().to_owned(),
        tier: tier.word().to_owned(),
        difference: two.then(|| difference(tier, &base, &new)).flatten(),
        difference_percent: is_ratio(metric, &base, &new).then(|| percent(tier, &base, &new)).flatten(),
        p: rank_sum::test(&base, &new).filter(|_| is_noisy).map(|test| test.p()),
        p_adjusted: None,
        verdict,
        needed: None,
        base: values(base),
        new: values(new),
    }
}

/// An exact metric whose repeats disagree on one side is no exact one here.
fn tier(metric: &Metric, base: &[f64], new: &[f64]) -> Tier {
    match all_same(base) && all_same(new) {
        true => metric.tier,
        false => Tier::Noisy,
    }
}

fn all_same(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

/// What a metric is before the cell's other metrics were looked at.
fn alone(metric: &Metric, tier: Tier, base: &[f64], new: &[f64]) -> Verdict {
    let (Some(first), Some(other)) = (base.first(), new.first()) else { return Verdict::OneSided };
    match (tier, metric.better) {
        _ if first == other && all_same(base) && all_same(new) => Verdict::Equal,
        (Tier::Exact, _) => Verdict::Changed,
        (Tier::Noisy, Better::Neither) => Verdict::Undirected,
        (Tier::Noisy, Better::Lower | Better::Higher) => Verdict::Unproven,
    }
}

/// Whether a change in percent means something: not of zero, not of what grew or shrank, not of a percentage.
fn is_ratio(metric: &Metric, base: &[f64], new: &[f64]) -> bool {
    metric.unit != "%"
        && !base.is_empty()
        && !new.is_empty()
        && base.iter().chain(new).all(|&value| value > 0.0)
}

fn difference(tier: Tier, base: &[f64], new: &[f64]) -> Option<Estimate> {
    estimate(tier, rank_sum::shift(base, new, CONFIDENCE)?, |shift| shift)
}

fn percent(tier: Tier, base: &[f64], new: &[f64]) -> Option<Estimate> {
    let shift = rank_sum::shift(&logarithms(base), &logarithms(new), CONFIDENCE)?;
    estimate(tier, shift, |shift| shift.exp_m1() * 100.0)
}

fn logarithms(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.ln()).collect()
}

/// The shift on another scale. What is exact has no interval: it is known.
fn estimate(tier: Tier, shift: Shift, scale: impl Fn(f64) -> f64) -> Option<Estimate> {
    let bounds = shift.bounds.filter(|_| tier == Tier::Noisy);
    Some(Estimate {
        value: scale(shift.estimate),
        low: bounds.map(|bounds| scale(bounds.low)),
        high: bounds.map(|bounds| scale(bounds.high)),
    })
}

fn values(values: Vec<f64>) -> Values {
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let median = match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    };
    Values { median, values }
}

/// How many metrics of a cell were judged together.
pub(super) struct Together {
    /// So many.
    pub(super) metrics: usize,
    /// Repeats a side from which on one of them can be proven.
    pub(super) fewest_repeats: u64,
}

/// Adjusts the p values of a cell's noisy metrics that have a better direction, and gives them their verdicts.
///
/// What is the same in every repeat of both sides is not among them: no way of dealing those values to two sides could
/// have made it differ, so it takes no share of the 5%.
pub(super) fn together(rows: &mut [Row]) -> Together {
    let judged: Vec<usize> = (0..rows.len()).filter(|&i| rows[i].verdict == Verdict::Unproven).collect();
    let p_values: Vec<f64> = judged.iter().map(|&i| rows[i].p.unwrap_or(1.0)).collect();
    for (&i, p) in judged.iter().zip(holm::adjust(&p_values)) {
        let row = &mut rows[i];
        row.p_adjusted = Some(p);
        if p < repeats::LEVEL {
            row.verdict = direction(row);
        }
        if row.verdict == Verdict::Unproven {
            row.needed = needed(row, judged.len());
        }
    }
    Together { metrics: judged.len(), fewest_repeats: repeats::fewest(judged.len()) }
}

/// Whether a proven difference is an improvement. Ranks decide, as they did in the test: the shift may be zero.
fn direction(row: &Row) -> Verdict {
    let larger =
        rank_sum::test(&row.base.values, &row.new.values).is_some_and(|test| test.p_larger < test.p_smaller);
    let wanted = metric::find(&row.metric).map(|metric| metric.better);
    match (larger, wanted) {
        (true, Some(Better::Higher)) | (false, Some(Better::Lower)) => Verdict::Better,
        _ => Verdict::Worse,
    }
}

/// How many repeats would prove what was not, on the scale on which the difference is told.
fn needed(row: &Row, metrics: usize) -> Option<Needed> {
    let (base, new) = match row.difference_percent {
        Some(_) => (logarithms(&row.base.values), logarithms(&row.new.values)),
        None => (row.base.values.clone(), row.new.values.clone()),
    };
    let fewest = repeats::fewest(metrics);
    let too_few = base.len().min(new.len()) as u64 <= fewest.saturating_sub(1);
    let anything = Needed { repeats: Some(fewest), purpose: Purpose::Anything };
    let shift = rank_sum::shift(&base, &new, CONFIDENCE)?.estimate;
    // Without two values on one side nobody knows the noise; without a shift there is no size to ask about.
    let deviation = repeats::pooled_deviation(&base, &new).filter(|_| shift != 0.0);
    let Some(deviation) = deviation else { return too_few.then_some(anything) };
    match repeats::needed(shift, deviation, metrics) {
        Some(repeats) if repeats <= fewest && too_few => Some(anything),
        repeats => Some(Needed { repeats, purpose: Purpose::ThisDifference }),
    }
}
