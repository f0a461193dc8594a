//! Reading a threshold's expression, `STATISTIC OPERATOR LIMIT`, with the place of every error.

use std::ops::Range;

use super::{Measure, Operator, Place, Statistic, ThresholdError};

/// Longer spellings first, so that `<` does not eat the beginning of `<=`.
const OPERATORS: &[(&str, Operator)] = &[
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// Units and what one of them is, in the smallest of its kind.
const UNITS: &[(&str, Kind, f64)] = &[
    ("ns", Kind::Time, 1.0),
    ("us", Kind::Time, 1e3),
    ("µs", Kind::Time, 1e3),
    ("ms", Kind::Time, 1e6),
    ("s", Kind::Time, 1e9),
    ("min", Kind::Time, 60e9),
    ("B", Kind::Size, 1.0),
    ("KB", Kind::Size, 1e3),
    ("MB", Kind::Size, 1e6),
    ("GB", Kind::Size, 1e9),
    ("KiB", Kind::Size, 1024.0),
    ("MiB", Kind::Size, 1048576.0),
    ("GiB", Kind::Size, 1073741824.0),
    ("%", Kind::Share, 1.0),
    ("1/s", Kind::Frequency, 1.0),
    ("/s", Kind::Frequency, 1.0),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Time,
    Size,
    Share,
    Frequency,
}

/// A piece of the expression without the white space around it.
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    span: Range<usize>,
}

impl<'a> Part<'a> {
    pub(super) fn of(expression: &'a str, range: Range<usize>) -> Part<'a> {
        let raw = &expression[range.clone()];
        let start = range.start + (raw.len() - raw.trim_start().len());
        let text = raw.trim();
        Part { text, span: start..start + text.len() }
    }

    pub(super) fn wrong(&self, expected: &str) -> ThresholdError {
        let message = match self.text {
            "" => format!("expected {expected}"),
            text => format!("'{text}' does not belong here: expected {expected}"),
        };
        ThresholdError { message, place: Place::Expression, span: self.span.clone() }
    }
}

pub(super) fn find_operator(expression: &str) -> Result<(usize, &'static str, Operator), ThresholdError> {
    let position = expression.find(['<', '>', '=', '!']);
    let found = position.and_then(|at| {
        let (spelling, operator) =
            OPERATORS.iter().find(|(spelling, _)| expression[at..].starts_with(spelling))?;
        Some((at, *spelling, *operator))
    });
    found.ok_or_else(|| ThresholdError {
        message: "a threshold compares, as in 'p(95)<200ms': expected one of < <= > >= == !=".into(),
        place: Place::Expression,
        span: position.map_or(0..expression.len(), |at| at..at + 1),
    })
}

pub(super) fn statistic(part: &Part<'_>) -> Result<Statistic, ThresholdError> {
    let expected = "'avg', 'med', 'max' or 'p(N)' with N above 0 and below 100";
    match part.text {
        "avg" => Ok(Statistic::Mean),
        "max" => Ok(Statistic::Max),
        "med" => Ok(Statistic::Quantile(0.5)),
        text => text
            .strip_prefix("p(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|number| number.trim().parse::<f64>().ok())
            .filter(|percent| 0.0 < *percent && *percent < 100.0)
            .map(|percent| Statistic::Quantile(percent / 100.0))
            .ok_or_else(|| part.wrong(expected)),
    }
}

pub(super) fn limit(part: &Part<'_>, measure: &Measure) -> Result<f64, ThresholdError> {
    let end =
        part.text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(part.text.len());
    let (number, suffix) = part.text.split_at(end);
    let own = measure.unit();
    let number: f64 = number.replace('_', "").parse().map_err(|_| part.wrong(&expected_limit(own)))?;
    let suffix = suffix.trim();
    if suffix.is_empty() {
        // As in k6, a bare rate is a share: 0.01 is one percent.
        return Ok(if matches!(measure, Measure::Share(..)) { number * 100.0 } else { number });
    }
    let unit =
        |name: &str| UNITS.iter().find(|(unit, ..)| *unit == name).map(|&(_, kind, size)| (kind, size));
    match (unit(suffix), unit(own)) {
        (Some((kind, size)), Some((own_kind, own_size))) if kind == own_kind => Ok(number * size / own_size),
        _ => Err(part.wrong(&expected_limit(own))),
    }
}

fn expected_limit(unit: &str) -> String {
    match unit {
        "" => "a number".into(),
        "ms" => "a time such as 200ms or 2s".into(),
        "%" => "a share such as 0.1% or 0.001".into(),
        unit => format!("a number, of {unit} or in a unit of the same kind"),
    }
}
