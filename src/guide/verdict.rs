//! The verdict rules. They were written before anything was measured, and nothing here knows what it judges.

use super::{Claim, Op};
use crate::number::short;
use crate::stats::Bounds;

/// How far from a claim `~` may be.
pub(super) const ABOUT: f64 = 0.05;

/// What a measurement says about a claim.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It holds.
    Reproduced,
    /// It does not.
    NotReproduced {
        /// By how much, or what is there instead.
        by: String,
    },
    /// It holds under one condition and not under another.
    Depends {
        /// The condition.
        on: String,
        /// Where the verdict changes.
        flips_at: String,
    },
    /// Nobody can tell from this run.
    NotMeasured {
        /// What it would take.
        what_would: String,
    },
}

impl Verdict {
    /// The verdict in words.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Reproduced => "reproduced",
            Verdict::NotReproduced { .. } => "not reproduced",
            Verdict::Depends { .. } => "depends",
            Verdict::NotMeasured { .. } => "not measured",
        }
    }

    /// The verdict in one character, which needs no colour.
    pub fn mark(&self) -> char {
        match self {
            Verdict::Reproduced => '✓',
            Verdict::NotReproduced { .. } => '✗',
            Verdict::Depends { .. } => '≈',
            Verdict::NotMeasured { .. } => '·',
        }
    }

    /// What the verdict rests on, in words; empty where there is nothing to add.
    pub fn condition(&self) -> String {
        match self {
            Verdict::Reproduced => String::new(),
            Verdict::NotReproduced { by } => by.clone(),
            Verdict::Depends { on, flips_at } => format!("depends on {on}: {flips_at}"),
            Verdict::NotMeasured { what_would } => format!("needs {what_would}"),
        }
    }
}

/// A measured value with its 95% interval, in the claim's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Where the true value lies; a point for what is counted and not sampled.
    pub bounds: Bounds,
}

impl Estimate {
    /// Something counted.
    pub fn exact(value: f64) -> Estimate {
        Estimate { value, bounds: Bounds::exact(value) }
    }
}

/// Where an interval lies, seen from a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Inside,
    Outside,
    /// Both sides of a limit: the run was too short to tell.
    Across,
}

/// Judges a number. `None` for claims whose rule is not a comparison (`report`, `probe`).
///
/// Reproduced if the interval lies inside what was claimed, not reproduced if it lies outside; if it holds a
/// limit, the claim was not measured well enough, and a longer run would tell.
pub fn judge(claim: &Claim, estimate: Estimate) -> Option<Verdict> {
    let Bounds { low, high } = estimate.bounds;
    let (from, to) = range(claim)?;
    // `<` excludes its limit: an interval that ends on it is not inside.
    let below = if claim.op == Op::Less { high < to } else { high <= to };
    let beyond = if claim.op == Op::Less { low >= to } else { low > to };
    let position = match (low >= from && below, high < from || beyond) {
        (true, _) => Position::Inside,
        (_, true) => Position::Outside,
        _ => Position::Across,
    };
    Some(match position {
        Position::Inside => Verdict::Reproduced,
        Position::Outside => Verdict::NotReproduced { by: distance(estimate.value, from, to, &claim.unit) },
        Position::Across => Verdict::NotMeasured {
            what_would: format!(
                "a longer run: the 95% interval, {} to {} {}, holds the limit",
                short(low),
                short(high),
                claim.unit
            ),
        },
    })
}

/// What the claim allows, ends included.
fn range(claim: &Claim) -> Option<(f64, f64)> {
    let (low, high) = (claim.low, claim.high);
    match claim.op {
        Op::About => Some((low? * (1.0 - ABOUT), high? * (1.0 + ABOUT))),
        Op::In | Op::Equal => Some((low?, high?)),
        Op::Less | Op::LessOrEqual => Some((f64::NEG_INFINITY, high?)),
        Op::GreaterOrEqual => Some((low?, f64::INFINITY)),
        Op::Report | Op::Probe => None,
    }
}

/// How far a value lies from the nearest limit, as people would say it.
fn distance(value: f64, from: f64, to: f64, unit: &str) -> String {
    let (limit, side) = if value < from { (from, "below") } else { (to, "above") };
    let ratio = value / limit;
    let by = if limit == 0.0 || !ratio.is_finite() || ratio < 0.0 {
        short((value - limit).abs()) + " " + unit
    } else if ratio >= 2.0 {
        return format!("{} times the limit of {} {unit}", short(ratio), short(limit));
    } else {
        format!("{}%", short((ratio - 1.0).abs() * 100.0))
    };
    format!("{by} {side} the limit of {} {unit}", short(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(op: Op, low: Option<f64>, high: Option<f64>) -> Claim {
        let text = String::new;
        Claim {
            id: text(),
            guide_section: text(),
            subject: text(),
            claim: text(),
            op,
            low,
            high,
            unit: "ms".into(),
            condition: text(),
            rule: text(),
        }
    }

    fn word(op: Op, low: Option<f64>, high: Option<f64>, from: f64, to: f64) -> &'static str {
        let bounds = Bounds { low: from, high: to };
        judge(&claim(op, low, high), Estimate { value: (from + to) / 2.0, bounds })
            .map_or("none", |v| v.word())
    }

    #[test]
    fn the_interval_must_lie_inside() {
        let (yes, no, unknown) = ("reproduced", "not reproduced", "not measured");
        for (op, low, high, from, to, expected) in [
            (Op::About, Some(2.5), Some(2.5), 2.4, 2.6, yes),
            (Op::About, Some(2.5), Some(2.5), 2.37, 2.6, unknown),
            (Op::About, Some(2.5), Some(2.5), 2.7, 2.8, no),
            (Op::In, Some(2.0), Some(6.0), 2.0, 6.0, yes),
            (Op::In, Some(2.0), Some(6.0), 1.0, 1.9, no),
            (Op::In, Some(2.0), Some(6.0), 5.0, 7.0, unknown),
            (Op::Less, None, Some(50.0), 1.0, 49.9, yes),
            (Op::Less, None, Some(50.0), 50.0, 50.0, no),
            (Op::Less, None, Some(50.0), 49.0, 50.0, unknown),
            (Op::LessOrEqual, None, Some(50.0), 50.0, 50.0, yes),
            (Op::GreaterOrEqual, Some(90.0), None, 90.0, 95.0, yes),
            (Op::GreaterOrEqual, Some(90.0), None, 80.0, 89.0, no),
            (Op::Equal, Some(0.0), Some(0.0), 0.0, 0.0, yes),
            (Op::Equal, Some(0.0), Some(0.0), 3.0, 3.0, no),
            (Op::Report, None, None, 0.0, 0.0, "none"),
            (Op::Probe, None, None, 0.0, 0.0, "none"),
        ] {
            assert_eq!(word(op, low, high, from, to), expected, "{op:?} {low:?} {high:?} for {from}..{to}");
        }
    }

    #[test]
    fn distances_read_well() {
        let by = |op, low, high, value| match judge(&claim(op, low, high), Estimate::exact(value)) {
            Some(Verdict::NotReproduced { by }) => by,
            other => panic!("{other:?}"),
        };
        assert_eq!(by(Op::In, Some(2.0), Some(6.0), 7.5), "25% above the limit of 6 ms");
        assert_eq!(by(Op::Less, None, Some(50.0), 1_234.0), "24.7 times the limit of 50 ms");
        assert_eq!(by(Op::GreaterOrEqual, Some(500.0), None, 365.0), "27% below the limit of 500 ms");
        assert_eq!(by(Op::Equal, Some(0.0), Some(0.0), 3.0), "3 ms above the limit of 0 ms");
    }

    fn any_op() -> impl Strategy<Value = Op> {
        prop_oneof![
            Just(Op::About),
            Just(Op::In),
            Just(Op::Less),
            Just(Op::LessOrEqual),
            Just(Op::GreaterOrEqual)
        ]
    }

    proptest! {
        /// A narrower interval around the same value never takes back a verdict that was certain.
        #[test]
        fn certainty_survives_more_data(op in any_op(), low in 1.0..10.0f64, width in 0.0..10.0f64,
                                        value in 0.0..30.0f64, half in 0.0..5.0f64, share in 0.0..1.0f64) {
            let claim = claim(op, Some(low), Some(low + width));
            let at = |half: f64| {
                let bounds = Bounds { low: value - half, high: value + half };
                judge(&claim, Estimate { value, bounds }).map(|v| v.word())
            };
            if at(half) != Some("not measured") {
                prop_assert_eq!(at(half), at(half * share));
            }
        }

        /// What is counted exactly is never left open.
        #[test]
        fn a_point_is_inside_or_outside(op in any_op(), low in 1.0..10.0f64, value in 0.0..30.0f64) {
            let verdict = judge(&claim(op, Some(low), Some(low + 1.0)), Estimate::exact(value));
            prop_assert_ne!(verdict.map(|v| v.word()), Some("not measured"));
        }
    }
}
