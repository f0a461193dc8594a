//! What every CSV file has in common: columns that are described where they are written.
//!
//! A file is a list of [`Column`]s. The writer, `rtbench list columns`, the pages that explain columns and the test that notices a change
//! all read that list. A field that was not measured is empty, a number always has a decimal point and a whole number never has
//! one, so that readers which guess types guess those that are documented.

use std::io::{self, Write};

use crate::measure::cell::Cell;
use crate::measure::metric::Metric;
#[cfg(doc)]
use crate::measure::run::Run;

/// A column as its readers know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Snake case, the unit as suffix.
    pub name: &'static str,
    /// What its fields are.
    pub kind: Kind,
    /// Unit, e.g. `ms`; empty for text and plain counts.
    pub unit: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
}

/// What the fields of a column are. Any may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// A number without a fraction.
    Whole,
    /// A number, always with a decimal point and without an exponent.
    Number,
}

impl Kind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Whole => "integer",
            Kind::Number => "float",
        }
    }
}

/// A column of a file whose rows are made from `R`.
pub struct Column<R> {
    /// How its readers know it.
    pub head: Head,
    value: Value<R>,
}

enum Value<R> {
    Text(fn(&R) -> String),
    Figure(fn(&R) -> Option<f64>),
    Metric(&'static Metric, fn(&R) -> &Cell),
}

impl<R> Column<R> {
    /// A column of text.
    pub fn text(name: &'static str, about: &'static str, value: fn(&R) -> String) -> Column<R> {
        Column { head: Head { name, kind: Kind::Text, unit: "", about }, value: Value::Text(value) }
    }

    /// A column of whole numbers.
    pub fn whole(
        name: &'static str,
        unit: &'static str,
        about: &'static str,
        value: fn(&R) -> Option<f64>,
    ) -> Column<R> {
        Column { head: Head { name, kind: Kind::Whole, unit, about }, value: Value::Figure(value) }
    }

    /// A column of numbers.
    pub fn number(
        name: &'static str,
        unit: &'static str,
        about: &'static str,
        value: fn(&R) -> Option<f64>,
    ) -> Column<R> {
        Column { head: Head { name, kind: Kind::Number, unit, about }, value: Value::Figure(value) }
    }

    /// A metric of the cell that a row is about.
    pub fn metric(metric: &'static Metric, cell: fn(&R) -> &Cell) -> Column<R> {
        let kind = if metric.is_whole() { Kind::Whole } else { Kind::Number };
        let head = Head { name: metric.name, kind, unit: metric.unit, about: metric.about };
        Column { head, value: Value::Metric(metric, cell) }
    }

    fn field(&self, row: &R) -> String {
        let figure = match &self.value {
            Value::Text(text) => return told(text(row)),
            Value::Figure(figure) => figure(row),
            Value::Metric(metric, cell) => metric.value(cell(row)),
        };
        match (figure.filter(|value| value.is_finite()), self.head.kind) {
            (None, _) => String::new(),
            (Some(value), Kind::Whole) => format!("{value:.0}"),
            (Some(value), _) => decimal(value),
        }
    }
}

/// Words that pandas and others take for an empty field.
const ABSENT: &[&str] = &[
    "#n/a", "#n/a n/a", "#na", "-1.#ind", "-1.#qnan", "-nan", "1.#ind", "1.#qnan", "<na>", "n/a", "na",
    "nan", "none", "null",
];

/// A text that no reader takes for an empty field: `(N/A)`, not `N/A`.
fn told(text: String) -> String {
    if ABSENT.contains(&text.to_lowercase().as_str()) { format!("({text})") } else { text }
}

/// A number that every reader takes for one with a fraction: `30.0`, not `30`.
fn decimal(value: f64) -> String {
    let text = value.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

/// What each file of runs ends with: a row may not look like one of a run that came to its end.
const RUN_STATUS: Head = Head {
    name: "run_status",
    kind: Kind::Text,
    unit: "",
    about: "How the run ended: finished, interrupted, failed, or unfinished where it was killed or still goes on",
};

/// Writes a file of runs: each row with how the run ended that it is from ([`Run::ending`]).
///
/// # Errors
/// Those of `out`.
pub fn write_of<R>(
    columns: &[Column<R>],
    rows: impl IntoIterator<Item = (&'static str, R)>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let fields = |(ending, row): (&str, R)| {
        let own = columns.iter().map(|column| column.field(&row));
        own.chain([ending.to_owned()]).collect()
    };
    records(&of_run(columns), rows.into_iter().map(fields), out)
}

/// Writes a file: a line of names, and a line for each row.
///
/// # Errors
/// Those of `out`.
pub fn write<R>(
    columns: &[Column<R>],
    rows: impl IntoIterator<Item = R>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let fields = |row: R| columns.iter().map(|column| column.field(&row)).collect();
    records(&heads(columns), rows.into_iter().map(fields), out)
}

fn records(heads: &[Head], rows: impl Iterator<Item = Vec<String>>, out: &mut dyn Write) -> io::Result<()> {
    // What the stream says is kept: the library would hide that its reader has seen enough.
    let of_stream = |error: ::csv::Error| match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    };
    let mut file = ::csv::Writer::from_writer(out);
    file.write_record(heads.iter().map(|head| head.name)).map_err(of_stream)?;
    for row in rows {
        file.write_record(row).map_err(of_stream)?;
    }
    file.flush()
}

pub(super) fn heads<R>(columns: &[Column<R>]) -> Vec<Head> {
    columns.iter().map(|column| column.head).collect()
}

pub(super) fn of_run<R>(columns: &[Column<R>]) -> Vec<Head> {
    heads(columns).into_iter().chain([RUN_STATUS]).collect()
}
