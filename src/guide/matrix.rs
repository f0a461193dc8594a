//! The comparison matrix: the guide's eleven rows by its five columns, derived from the cells of a run.

use super::column::{COLUMNS, Column};
use super::evidence::Evidence;
use super::finding::{Finding, Question};
use super::protocol_rows;
use super::ranked_rows::{self, Ranking};
use super::verdict::Verdict;
use super::{Claim, find};
use crate::measure::cell::Cell;
use crate::measure::run::Run;
use crate::measure::source::SourceCount;

/// A row of the matrix, and where its claims and its findings come from.
struct Feature {
    title: &'static str,
    claims: Claims,
    judge: Judge,
}

/// How a row is judged.
enum Judge {
    /// By what the probe of this name found, in the guide's words.
    Probe(&'static str),
    /// By figures of each protocol.
    Number(fn(&Evidence<'_>, &Question<'_>) -> Finding),
    /// By the order of all protocols.
    Rank(&'static Ranking),
}

/// Where the claims of a row stand.
enum Claims {
    /// In one claim, a word for each column between bars.
    Words(&'static str),
    /// In a claim for each column, `matrix-COLUMN-` and this.
    Numbers(&'static str),
}

/// The rows, in the guide's order.
#[rustfmt::skip]
static FEATURES: [Feature; 11] = [
    Feature { title: "Connection", claims: Claims::Words("matrix-connection"), judge: Judge::Probe("connection") },
    Feature { title: "Direction", claims: Claims::Words("matrix-direction"), judge: Judge::Probe("direction") },
    Feature { title: "Latency", claims: Claims::Numbers("latency"), judge: Judge::Number(protocol_rows::latency) },
    Feature { title: "Overhead/Msg", claims: Claims::Numbers("overhead"), judge: Judge::Number(protocol_rows::overhead) },
    Feature { title: "Scalability", claims: Claims::Words("matrix-scalability"), judge: Judge::Rank(&ranked_rows::SCALABILITY) },
    Feature { title: "Server Load", claims: Claims::Words("matrix-server-load"), judge: Judge::Rank(&ranked_rows::SERVER_LOAD) },
    Feature { title: "Implementation", claims: Claims::Words("matrix-implementation"), judge: Judge::Rank(&ranked_rows::IMPLEMENTATION) },
    Feature { title: "Browser Support", claims: Claims::Words("matrix-browser"), judge: Judge::Probe("browser") },
    Feature { title: "Firewall Issues", claims: Claims::Words("matrix-firewall"), judge: Judge::Probe("firewall") },
    Feature { title: "Binary Data", claims: Claims::Words("matrix-binary"), judge: Judge::Probe("binary") },
    Feature { title: "Auto-Reconnect", claims: Claims::Words("matrix-reconnect"), judge: Judge::Probe("reconnect") },
];

/// The matrix of a run.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Eleven rows.
    pub rows: Vec<MatrixRow>,
}

/// A row of the matrix.
#[derive(Clone, Debug)]
pub struct MatrixRow {
    /// Its title in the guide.
    pub feature: &'static str,
    /// Five cells, in the order of [`COLUMNS`].
    pub cells: Vec<MatrixCell>,
    /// What the verdicts of all five rest on, e.g. the measured order; empty for most rows.
    pub note: String,
}

/// What the guide claims of one feature of one protocol, and what the run says about it.
#[derive(Clone, Debug)]
pub struct MatrixCell {
    /// Title of the row.
    pub feature: &'static str,
    /// Id of the claim; that of the whole row where a row is one claim.
    pub claim: &'static str,
    /// Name of the protocol.
    pub protocol: &'static str,
    /// The claim, in the guide's words.
    pub claimed: String,
    /// What was measured, for people; empty if nothing was.
    pub measured: String,
    /// The same as a number, where it is one.
    pub value: Option<f64>,
    /// Unit of `value`.
    pub unit: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// What the verdict rests on: the condition, the distance, what is missing, and further figures.
    pub condition: String,
    /// The metric or probe, and the cell it was read from.
    pub evidence: String,
}

impl Matrix {
    /// Derives the matrix from a run. Cells that are missing, failed or not to be trusted leave `not measured` behind.
    pub fn of(run: &Run) -> Matrix {
        Matrix::from_parts(&run.cells, &run.file.source)
    }

    pub(super) fn from_parts(cells: &[Cell], source: &[SourceCount]) -> Matrix {
        let evidence = Evidence::new(cells, source);
        Matrix { rows: FEATURES.iter().map(|feature| feature.row(&evidence)).collect() }
    }

    /// All cells, row by row.
    pub fn cells(&self) -> impl Iterator<Item = &MatrixCell> {
        self.rows.iter().flat_map(|row| &row.cells)
    }
}

impl Feature {
    fn row(&self, evidence: &Evidence<'_>) -> MatrixRow {
        let asked: Vec<Question<'static>> =
            COLUMNS.iter().filter_map(|column| self.question(column)).collect();
        let mut row = MatrixRow { feature: self.title, cells: Vec::new(), note: String::new() };
        for i in 0..asked.len() {
            let (cell, shared) = self.cell(evidence, &asked, i);
            row.cells.push(cell);
            if row.note.is_empty() {
                row.note = shared;
            }
        }
        row
    }

    fn question(&self, column: &'static Column) -> Option<Question<'static>> {
        let (claim, claimed) = match self.claims {
            Claims::Words(id) => {
                let claim = find(id)?;
                let index = COLUMNS.iter().position(|other| other.protocol == column.protocol)?;
                (claim, claim.claim.split(" | ").nth(index)?)
            }
            Claims::Numbers(what) => {
                let claim = find(&format!("matrix-{}-{what}", column.short))?;
                (claim, claim.claim.as_str())
            }
        };
        Some(Question { column, claim, claimed: plain(claimed, claim) })
    }

    fn cell(&self, evidence: &Evidence<'_>, asked: &[Question<'static>], i: usize) -> (MatrixCell, String) {
        let finding = match self.judge {
            Judge::Probe(name) => protocol_rows::probe(evidence, &asked[i], name),
            Judge::Number(judge) => judge(evidence, &asked[i]),
            Judge::Rank(ranking) => ranking.judge(evidence, asked, i),
        };
        let parts = [finding.verdict.condition(), finding.note];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let cell = MatrixCell {
            feature: self.title,
            claim: &asked[i].claim.id,
            protocol: asked[i].column.protocol,
            claimed: asked[i].claimed.to_owned(),
            measured: finding.measured,
            value: finding.value,
            unit: finding.unit,
            verdict: finding.verdict,
            condition: parts.join("; "),
            evidence: finding.evidence,
        };
        (cell, finding.shared)
    }
}

/// The claim's own words, without the row's title and what stands in brackets for the whole row.
fn plain<'a>(claimed: &'a str, claim: &Claim) -> &'a str {
    let claimed = claimed.strip_prefix("latency ").unwrap_or(claimed);
    let claimed = claimed.strip_suffix(" per message").unwrap_or(claimed);
    match claim.subject.as_str() {
        "all" => claimed.split(" (").next().unwrap_or(claimed),
        _ => claimed,
    }
}
