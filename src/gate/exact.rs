//! The exact tier: what two healthy runs of one seed agree on, so that any difference is the change's. Pure.

use crate::measure::cell::Cell;
use crate::measure::metric::{self, Better, Metric, Tier};

/// Replicates that it takes to know that a metric is exact in a cell: the base must agree with itself.
pub const REPLICATES: usize = 2;

/// A metric of the exact tier that is not the same on both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Which.
    pub metric: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The value that all of the base's cells have.
    pub base: f64,
    /// The worst of the new ones.
    pub new: f64,
    /// Whether that is worse, or better.
    pub worse: bool,
}

/// What the exact tier says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Metrics that agree.
    pub agree: usize,
    /// Metrics that do not.
    pub differences: Vec<Difference>,
    /// Metrics that are not exact here: the base does not agree with itself.
    pub unsteady: Vec<&'static str>,
}

impl Findings {
    /// Whether something is worse.
    pub fn is_worse(&self) -> bool {
        self.differences.iter().any(|difference| difference.worse)
    }
}

/// Compares the cells of the two sides. A single base cell is believed, as nothing speaks against it.
pub fn compare(base: &[&Cell], new: &[&Cell]) -> Findings {
    let mut findings = Findings::default();
    let judged = |metric: &&Metric| metric.tier == Tier::Exact && metric.better != Better::Neither;
    for metric in metric::ALL.iter().filter(judged) {
        let values = |cells: &[&Cell]| cells.iter().map(|cell| metric.value(cell)).collect::<Vec<_>>();
        let (bases, news) = (values(base), values(new));
        let Some(&Some(was)) = bases.first() else { continue };
        if bases.iter().any(|&value| value != Some(was)) {
            findings.unsteady.push(metric.name);
            continue;
        }
        let lower = metric.better == Better::Lower;
        let worst = news.iter().flatten().copied().max_by(|a, b| match lower {
            true => a.total_cmp(b),
            false => b.total_cmp(a),
        });
        match worst {
            Some(is) if is != was => findings.differences.push(Difference {
                metric: metric.name,
                unit: metric.unit,
                base: was,
                new: is,
                worse: (is > was) == lower,
            }),
            Some(_) => findings.agree += 1,
            None => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::sample;

    fn cell(lost: u64) -> Cell {
        sample::cell("workload/websocket").stream(2.0, 6.0).with(|cell| cell.counts.lost = lost).build()
    }

    #[test]
    fn any_difference_is_a_difference_in_its_direction() {
        let (base, worse) = (cell(0), cell(1));
        let same = compare(&[&base, &base], &[&base, &base]);
        assert!(same.differences.is_empty() && same.agree > 5, "{same:?}");
        let findings = compare(&[&base, &base], &[&base, &worse]);
        let lost = findings.differences.iter().find(|difference| difference.metric == "lost");
        assert!(lost.is_some_and(|lost| lost.worse && (lost.base, lost.new) == (0.0, 1.0)), "{findings:?}");
        let mended = compare(&[&worse, &worse], &[&base, &base]);
        assert!(!mended.is_worse() && !mended.differences.is_empty(), "{mended:?}");
    }

    #[test]
    fn a_byte_of_framing_is_seen() {
        let (base, longer) = (cell(0), sample::cell("workload/websocket").stream(3.0, 6.0).build());
        let findings = compare(&[&base, &base], &[&longer, &longer]);
        let framing = |difference: &&Difference| difference.metric == "framing_in_bytes_per_delivery";
        assert!(findings.differences.iter().find(framing).is_some_and(|d| d.worse), "{findings:?}");
    }

    #[test]
    fn what_the_base_does_not_agree_on_with_itself_is_not_exact() {
        let findings = compare(&[&cell(0), &cell(2)], &[&cell(5), &cell(0)]);
        assert!(findings.unsteady.contains(&"lost") && !findings.is_worse(), "{findings:?}");
    }
}
