//! The noisy metrics of a cell: how far the new side lies from the base, and how surely.

use super::super::rule::{Look, Rule};
use super::super::{GateFile, PRIMARY, SECONDARY, baseline};
use super::Pair;
use crate::measure::cell::Slice;
use crate::measure::metric::{self, Better, Metric};
use crate::stats::{Bounds, holm, quantile, rank_sum, signed_rank};

/// A noisy metric of a cell.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub metric: &'static Metric,
    /// It decides.
    pub decides: bool,
    /// Medians over the replicates: base and new.
    pub medians: [f64; 2],
    /// Hodges-Lehmann ratio of new to base.
    pub ratio: f64,
    /// Its limits: 95%, and of the one that decides those of its last look.
    pub limits: Bounds,
    /// Two-sided p of no change: the decider's own, the others' adjusted to each other (Holm).
    pub p: Option<f64>,
    /// The last look of the one that decides, if the sides took turns.
    pub look: Option<Look>,
    /// What it says against a baseline.
    pub against: Option<baseline::Finding>,
}

impl Pair<'_> {
    /// Log ratio of new to base. CPU per delivery comes by slices, each pair of which saw the same machine.
    fn log_ratio(&self, metric: &Metric) -> Option<f64> {
        let slices = [0, 1].map(|side| self.cells[side].slices.as_slice());
        match sliced(metric.name) {
            Some(cost) if !slices[0].is_empty() => {
                let log = |(base, new): (&Slice, &Slice)| Some((cost(new)? / cost(base)?).ln());
                quantile::median(&slices[0].iter().zip(slices[1]).filter_map(log).collect::<Vec<_>>())
            }
            _ => {
                let [base, new] =
                    [0, 1].map(|side| metric.value(self.cells[side]).filter(|&value| value > 0.0));
                Some((new? / base?).ln())
            }
        }
    }
}

/// How a slice tells a metric.
type SliceCost = fn(&Slice) -> Option<f64>;

/// Metrics that slices tell.
fn sliced(metric: &str) -> Option<SliceCost> {
    fn per_delivery(cpu_ns: Option<u64>, slice: &Slice) -> Option<f64> {
        let cost = cpu_ns? as f64 / slice.delivered as f64;
        (cost.is_finite() && cost > 0.0).then_some(cost)
    }
    match metric {
        PRIMARY => Some(|slice| per_delivery(slice.server_cpu_ns, slice)),
        "generator_cpu_us_per_delivery" => Some(|slice| per_delivery(slice.generator_cpu_ns, slice)),
        _ => None,
    }
}

/// The deciding metric's row, then the others'.
pub(super) fn rows(file: &GateFile, pairs: &[&Pair<'_>]) -> Vec<Row> {
    let decider = metric::find(&file.metric);
    let others = SECONDARY.into_iter().filter(|name| *name != file.metric).filter_map(metric::find);
    let mut rows: Vec<Row> = decider
        .into_iter()
        .chain(others)
        .filter_map(|metric| match file.baseline {
            None => row(file, metric, pairs),
            Some(_) => apart(file, metric, pairs),
        })
        .collect();
    let others = rows.iter().filter(|row| !row.decides).map(|row| row.p.unwrap_or(1.0)).collect::<Vec<_>>();
    let adjusted = holm::adjust(&others);
    for (row, p) in rows.iter_mut().filter(|row| !row.decides).zip(adjusted) {
        row.p = row.p.map(|_| p);
    }
    rows
}

fn row(file: &GateFile, metric: &'static Metric, pairs: &[&Pair<'_>]) -> Option<Row> {
    let decides = metric.name == file.metric;
    let logs: Vec<f64> = pairs.iter().filter_map(|pair| pair.log_ratio(metric)).collect();
    let worse = if metric.better == Better::Higher { -1.0 } else { 1.0 };
    let rule = Rule { min_effect: file.min_effect };
    let look = rule.judge(&logs.iter().map(|log| log * worse).collect::<Vec<_>>()).filter(|_| decides);
    // What was decided rests on the replicates of that look, and so do the figures beside it.
    let logs = look.map_or(&logs[..], |look| &logs[..look.replicates]);
    let limits = match look {
        Some(look) if worse < 0.0 => Bounds { low: -look.limits.high, high: -look.limits.low },
        Some(look) => look.limits,
        None => signed_rank::limits(logs, 0.025),
    };
    let values =
        |side: usize| pairs.iter().filter_map(|pair| metric.value(pair.cells[side])).collect::<Vec<_>>();
    let median = |side| quantile::median(&values(side));
    Some(Row {
        metric,
        decides,
        medians: [median(0)?, median(1)?],
        ratio: signed_rank::shift(logs)?.exp(),
        limits: Bounds { low: limits.low.exp(), high: limits.high.exp() },
        p: signed_rank::p_two_sided(logs),
        look,
        against: None,
    })
}

/// The same where nothing pairs the two sides but their number.
fn apart(file: &GateFile, metric: &'static Metric, pairs: &[&Pair<'_>]) -> Option<Row> {
    let values = |side: usize| {
        let values =
            pairs.iter().filter_map(|pair| metric.value(pair.cells[side])).filter(|&value| value > 0.0);
        values.collect::<Vec<_>>()
    };
    let sides = [values(0), values(1)];
    let worse = if metric.better == Better::Higher { -1.0 } else { 1.0 };
    let [base, new] =
        sides.each_ref().map(|side| side.iter().map(|value| worse * value.ln()).collect::<Vec<_>>());
    let (shift, finding) = baseline::judge(&base, &new, file.min_effect)?;
    let bounds = shift.bounds.unwrap_or(Bounds { low: f64::NEG_INFINITY, high: f64::INFINITY });
    let [low, high] = if worse > 0.0 { [bounds.low, bounds.high] } else { [-bounds.high, -bounds.low] };
    Some(Row {
        metric,
        decides: metric.name == file.metric,
        medians: [quantile::median(&sides[0])?, quantile::median(&sides[1])?],
        ratio: (worse * shift.estimate).exp(),
        limits: Bounds { low: low.exp(), high: high.exp() },
        p: rank_sum::test(&base, &new).map(|test| test.p()),
        look: None,
        against: Some(finding),
    })
}
