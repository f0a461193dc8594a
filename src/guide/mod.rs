//! What the guide claims, as data, and what a run says about it.
//!
//! ```text
//! claims.csv -> Claim ─┐
//! cells -> Estimate ───┴─> verdict ─> matrix (11 rows x 5 columns), further claims, cost of 10,000 users
//! ```
//!
//! A claim is never edited to fit, and no verdict exists without a measurement.

use std::sync::OnceLock;

use serde::Deserialize;

pub mod all_claims;
mod byte_layers;
mod claim_table;
pub mod column;
mod command;
mod computed_claims;
pub mod cost;
pub(crate) mod evidence;
mod finding;
pub mod kind;
pub mod matrix;
#[cfg(test)]
mod matrix_tests;
mod network;
#[cfg(test)]
mod network_tests;
pub mod other_claims;
pub mod plan;
pub mod probe;
mod protocol_rows;
mod rank;
mod ranked_rows;
#[cfg(test)]
mod two_ways_tests;
pub mod verdict;
mod waste;

/// A number of the guide, or a statement that a probe can check: one row of `claims.csv`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Claim {
    /// Unique name, e.g. `matrix-sp-latency`.
    pub id: String,
    /// Section of the guide.
    pub guide_section: String,
    /// What it is about: a protocol's name, `all`, or a part of a system.
    pub subject: String,
    /// The claim, in a few words.
    pub claim: String,
    /// How to compare.
    pub op: Op,
    /// Lower end, in `unit`.
    pub low: Option<f64>,
    /// Upper end, in `unit`.
    pub high: Option<f64>,
    /// Unit of the two; empty for probes.
    pub unit: String,
    /// Under what it was claimed, or is measured.
    pub condition: String,
    /// Rule of the verdict where `op` alone does not say it.
    pub rule: String,
}

/// How a claim compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Op {
    /// About: within 5% of the claim.
    #[serde(rename = "~")]
    About,
    /// Between `low` and `high`.
    #[serde(rename = "in")]
    In,
    /// Below `high`.
    #[serde(rename = "<")]
    Less,
    /// At most `high`.
    #[serde(rename = "<=")]
    LessOrEqual,
    /// At least `low`.
    #[serde(rename = ">=")]
    GreaterOrEqual,
    /// Exactly.
    #[serde(rename = "=")]
    Equal,
    /// A figure to print, judged by the row's rule.
    #[serde(rename = "report")]
    Report,
    /// A word or a rank, judged by the row's rule.
    #[serde(rename = "probe")]
    Probe,
}

/// Every claim, in the guide's order.
pub fn all() -> &'static [Claim] {
    static CLAIMS: OnceLock<Vec<Claim>> = OnceLock::new();
    CLAIMS.get_or_init(|| {
        let mut reader = csv::Reader::from_reader(include_bytes!("claims.csv").as_slice());
        // The file is part of the program; that it can be read is a test.
        reader.deserialize().filter_map(Result::ok).collect()
    })
}

/// The claim of this id.
pub fn find(id: &str) -> Option<&'static Claim> {
    all().iter().find(|claim| claim.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read_and_its_numbers_fit_its_operator() {
        let rows = include_str!("claims.csv").lines().count() - 1;
        assert_eq!(all().len(), rows);
        for claim in all() {
            let fits = match claim.op {
                Op::About | Op::In | Op::Equal => claim.low <= claim.high && claim.low.is_some(),
                Op::Less | Op::LessOrEqual => claim.low.is_none() && claim.high.is_some(),
                Op::GreaterOrEqual => claim.low.is_some(),
                Op::Report => true,
                Op::Probe => claim.low.is_none() && claim.high.is_none(),
            };
            assert!(fits, "{claim:?}");
            assert_eq!(find(&claim.id), Some(claim), "ids are unique");
        }
    }
}
