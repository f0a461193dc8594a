//! What a run says about one cell of the matrix, and how times in it are written.

use super::Claim;
use super::column::Column;
use super::verdict::Verdict;
use crate::number::short;

/// One cell of the guide's matrix.
pub(super) struct Question<'a> {
    pub(super) column: &'static Column,
    pub(super) claim: &'a Claim,
    /// The claim's own words for this column.
    pub(super) claimed: &'a str,
}

/// What a run says about it.
pub(super) struct Finding {
    pub(super) measured: String,
    pub(super) value: Option<f64>,
    pub(super) unit: &'static str,
    pub(super) verdict: Verdict,
    /// Further figures; empty if the verdict says it all.
    pub(super) note: String,
    /// What is the same for the whole row, e.g. the order of all protocols.
    pub(super) shared: String,
    pub(super) evidence: String,
}

impl From<Verdict> for Finding {
    fn from(verdict: Verdict) -> Finding {
        let empty = String::new;
        Finding {
            measured: empty(),
            value: None,
            unit: "",
            verdict,
            note: empty(),
            shared: empty(),
            evidence: empty(),
        }
    }
}

/// Takes the value, or returns the verdict `not measured` that stands in its place.
macro_rules! measured {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(verdict) => return Finding::from(verdict),
        }
    };
}
pub(super) use measured;

pub(super) fn ms_per(unit: &str) -> f64 {
    if unit == "s" { 1e3 } else { 1.0 }
}

pub(super) fn time_floor(ms: f64) -> String {
    format!("{:.2} ms", (ms * 100.0).floor() / 100.0)
}

/// A time in ms as people read it.
pub(super) fn time(ms: f64) -> String {
    if ms.abs() >= 1e3 { format!("{} s", short(ms / 1e3)) } else { format!("{} ms", short(ms)) }
}
