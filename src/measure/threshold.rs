//! What must hold, as people write it: `"latency" = ["p(95)<200ms"]`, `"lost" = ["rate<0.01%"]`,
//! `"server_cpu_us_per_delivery" = ["value<20"]`.
//!
//! A threshold is `STATISTIC OPERATOR LIMIT` about a subject:
//!
//! | subject | statistics | limit without a unit |
//! |---|---|---|
//! | `latency`, `service`, `send_lag`, `answer` | `avg` `med` `max` `p(N)` | ms |
//! | `lost`, `duplicates`, `reordered`, `late`, `corrupt`, `foreign` | `rate` of deliveries owed, `count` | a share from 0 to 1; a count |
//! | `connected`, `cut_short` | `rate` of clients asked for, `count` | the same |
//! | `shed`, `held_back` | `rate` of events due, `count` | the same |
//! | any metric of the table | `value` | the metric's own unit |
//!
//! What [`BY_DEFAULT`] asks holds for every cell, unless a threshold of its own is about the same subject.

use std::fmt;
use std::ops::Range;

use super::cell::{Cell, Distribution, Status};
use super::metric::{self, Metric};
use super::trust;
use crate::stats::quantile::events_needed;

mod parse;

use parse::Part;

/// What every cell must keep to where nobody says otherwise: that the clients asked for were there, and that the server did
/// with their messages what it is for. Subject and rule.
pub static BY_DEFAULT: &[(&str, &str)] = &[
    ("connected", "rate==100%"),
    ("cut_short", "count==0"),
    (LOST, "count==0"),
    ("corrupt", "count==0"),
    ("foreign", "count==0"),
    ("held_back", "count==0"),
];

/// Whoever asks for a channel that may lose has not asked for one that loses nothing.
const LOST: &str = "lost";

/// Something that must hold in a cell.
#[derive(Clone, Debug)]
pub struct Threshold {
    /// What it is about, as written.
    pub subject: String,
    /// The rule, as written.
    pub expression: String,
    /// Nobody asked for it: it is one of [`BY_DEFAULT`].
    pub by_default: bool,
    measure: Measure,
    operator: Operator,
    /// In the unit of `measure`.
    limit: f64,
}

/// What came of a threshold in one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What it is about, as written.
    pub subject: String,
    /// The rule, as written.
    pub expression: String,
    /// What was measured, in `unit`.
    pub measured: Option<f64>,
    /// Unit of `measured`; empty for counts.
    pub unit: &'static str,
    /// Whether it held; `None` if nobody can tell, which counts as not passed.
    pub passed: Option<bool>,
    /// Why nobody can tell.
    pub why: Option<String>,
}

/// What is wrong with a threshold, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ThresholdError {
    /// In words, with what would be right.
    pub message: String,
    /// In which of the two texts.
    pub place: Place,
    /// The bytes of that text.
    pub span: Range<usize>,
}

/// The two texts of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The key, e.g. `latency`.
    Subject,
    /// The rule, e.g. `p(95)<200ms`.
    Expression,
}

#[derive(Clone, Copy, Debug)]
enum Measure {
    Time(Time, Statistic),
    Share(Count, Count),
    Count(Count),
    Metric(&'static Metric),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Statistic {
    Mean,
    Max,
    /// From 0 to 1.
    Quantile(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

type Time = fn(&Cell) -> &Distribution;

/// Times that a threshold can be about.
const TIMES: &[(&str, Time)] = &[
    ("latency", |c| &c.response),
    ("service", |c| &c.service),
    ("send_lag", |c| &c.send_lag),
    ("answer", |c| &c.answer),
];

type Count = fn(&Cell) -> u64;

/// Deliveries owed.
const OWED: Count = |c| c.counts.expected;

/// Clients asked for.
const CLIENTS: Count = |c| c.spec.clients.into();

/// Events that were due.
const DUE: Count = |c| c.counts.published + c.counts.shed + c.counts.held_back;

/// Counts that a threshold can be about, and what each is a share of.
const COUNTS: &[(&str, Count, Count)] = &[
    ("connected", |c| c.counts.connected, CLIENTS),
    ("cut_short", |c| c.counts.cut_short, CLIENTS),
    (LOST, |c| c.counts.lost, OWED),
    ("duplicates", |c| c.counts.duplicates, OWED),
    ("reordered", |c| c.counts.reordered, OWED),
    ("late", |c| c.counts.late, OWED),
    ("corrupt", |c| c.counts.corrupt, OWED),
    ("foreign", |c| c.counts.foreign, OWED),
    ("shed", |c| c.counts.shed, DUE),
    ("held_back", |c| c.counts.held_back, DUE),
];

impl Threshold {
    /// Reads a threshold.
    ///
    /// # Errors
    /// Where it is wrong, and what would be right.
    pub fn parse(subject: &str, expression: &str) -> Result<Threshold, ThresholdError> {
        let (at, spelling, operator) = parse::find_operator(expression)?;
        let statistic = Part::of(expression, 0..at);
        let limit = Part::of(expression, at + spelling.len()..expression.len());
        let measure = Measure::parse(subject, &statistic)?;
        let limit = parse::limit(&limit, &measure)?;
        let (subject, expression) = (subject.into(), expression.into());
        Ok(Threshold { subject, expression, by_default: false, measure, operator, limit })
    }

    /// Whether the threshold is about a cell: one of a probe puts no load on, and a channel may have been asked to lose.
    pub fn applies_to(&self, cell: &Cell) -> bool {
        let asked_to_lose = self.by_default && self.subject == LOST && cell.spec.may_lose();
        cell.put_load_on() && !asked_to_lose
    }

    /// Holds the threshold against a cell.
    pub fn evaluate(&self, cell: &Cell) -> Outcome {
        let measured = self.measure.read(cell);
        let doubt = untrusted(cell);
        let passed = measured.filter(|_| doubt.is_none()).map(|value| self.operator.holds(value, self.limit));
        let why = doubt.or_else(|| measured.is_none().then(|| self.measure.why_absent(cell)));
        Outcome {
            subject: self.subject.clone(),
            expression: self.expression.clone(),
            measured,
            unit: self.measure.unit(),
            passed,
            why,
        }
    }
}

impl Threshold {
    /// Distinct events that the threshold needs before it can be told; 0 where any number will do.
    pub fn events_needed(&self) -> u64 {
        match self.measure {
            Measure::Time(_, Statistic::Quantile(p)) => events_needed(p),
            _ => 0,
        }
    }

    /// Whether what was measured lies within `share` of the limit, on whichever side.
    pub fn is_close(&self, measured: f64, share: f64) -> bool {
        (measured - self.limit).abs() <= share * self.limit.abs()
    }
}

fn untrusted(cell: &Cell) -> Option<String> {
    match &cell.status {
        Status::Failed(reason) => Some(format!("the cell failed: {reason}")),
        _ if trust::says_nothing(cell) => {
            Some(format!("the cell is invalid: {}", cell.trust.reasons.join("; ")))
        }
        _ => None,
    }
}

impl Operator {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Operator::Less => value < limit,
            Operator::LessOrEqual => value <= limit,
            Operator::Greater => value > limit,
            Operator::GreaterOrEqual => value >= limit,
            Operator::Equal => value == limit,
            Operator::NotEqual => value != limit,
        }
    }
}

impl Measure {
    fn parse(subject: &str, statistic: &Part<'_>) -> Result<Measure, ThresholdError> {
        if let Some(&(_, time)) = TIMES.iter().find(|(name, _)| *name == subject) {
            return Ok(Measure::Time(time, parse::statistic(statistic)?));
        }
        if let Some(&(_, part, whole)) = COUNTS.iter().find(|(name, ..)| *name == subject) {
            return match statistic.text {
                "rate" => Ok(Measure::Share(part, whole)),
                "count" | "value" => Ok(Measure::Count(part)),
                _ => Err(statistic.wrong("'rate' or 'count'")),
            };
        }
        match metric::find(subject) {
            Some(metric) if statistic.text == "value" => Ok(Measure::Metric(metric)),
            Some(_) => Err(statistic.wrong("'value', which is all that a metric has")),
            None => Err(ThresholdError {
                message: format!(
                    "'{subject}' is no metric; `rtbench list metrics` names them, and there are {}",
                    subjects()
                ),
                place: Place::Subject,
                span: 0..subject.len(),
            }),
        }
    }

    fn unit(&self) -> &'static str {
        match self {
            Measure::Time(..) => "ms",
            Measure::Share(..) => "%",
            Measure::Count(_) => "",
            Measure::Metric(metric) => metric.unit,
        }
    }

    fn read(&self, cell: &Cell) -> Option<f64> {
        if matches!(cell.status, Status::Failed(_)) {
            return None;
        }
        match self {
            Measure::Time(time, statistic) => statistic.read(time(cell)).map(|seconds| seconds * 1e3),
            Measure::Share(part, whole) => {
                let whole = whole(cell);
                (whole > 0).then(|| part(cell) as f64 * 100.0 / whole as f64)
            }
            Measure::Count(part) => Some(part(cell) as f64),
            Measure::Metric(metric) => metric.value(cell),
        }
    }

    fn why_absent(&self, cell: &Cell) -> String {
        match self {
            Measure::Time(time, Statistic::Quantile(p)) => {
                let (needed, events) = (events_needed(*p), time(cell).events);
                format!("it needs {needed} distinct events, and there were {events}")
            }
            Measure::Time(..) => "nothing was received".into(),
            Measure::Share(..) => "nothing was due".into(),
            Measure::Count(_) | Measure::Metric(_) => "this cell does not measure it".into(),
        }
    }
}

impl Statistic {
    fn read(self, time: &Distribution) -> Option<f64> {
        match self {
            Statistic::Mean => time.mean_s(),
            Statistic::Max => time.max_s(),
            Statistic::Quantile(p) => time.quantile_s(p),
        }
    }
}

fn subjects() -> String {
    let names = TIMES.iter().map(|(name, _)| *name).chain(COUNTS.iter().map(|(name, ..)| *name));
    names.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.expression)
    }
}

#[cfg(test)]
#[path = "threshold_tests.rs"]
mod tests;
