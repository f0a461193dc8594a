//! Which measurement answers which claim, and which command makes it. One table; the matrix has its own.

use super::column::COLUMNS;
use super::command::{FULL, MATRIX, MILLION};
use super::evidence::{Evidence, unmeasured};
use super::finding::{Finding, Question};
use super::matrix::{Matrix, MatrixCell};
use super::other_claims::{self, Answer};
use super::protocol_rows;
use super::verdict::{Estimate, Verdict, judge};
use super::{Claim, byte_layers, computed_claims, kind};
use crate::measure::cell::Cell;
use crate::measure::{metric, shortfall};
use crate::number::{short, with_unit};
use crate::scenario::cell_id::Which;
use crate::stats::Bounds;

type Judge = fn(&'static Claim, &Evidence<'_>) -> Answer;

/// Claim, command and judge, for claims that neither the matrix nor [`further`] answers.
#[rustfmt::skip]
static BINDINGS: &[(&str, &str, Judge)] = &[
    ("sp-latency-max", MATRIX, computed_claims::poll_latency_max),
    ("lp-latency", MATRIX, |claim, evidence| rowed(protocol_rows::latency, claim, evidence)),
    ("lp-wasted", MATRIX, computed_claims::held_polls_wasted),
    ("lp-held", MATRIX, computed_claims::held),
    ("lp-timeout", FULL, computed_claims::hold),
    ("lp-capacity", FULL, |claim, evidence| crowd(claim, evidence, kind::cell(kind::IDLE, "long-poll"))),
    ("ws-rtt", FULL, computed_claims::round_trip),
    ("ws-saving", MATRIX, byte_layers::saving),
    ("ws-rate", MATRIX, |claim, evidence| metric_of(claim, evidence, kind::cell(kind::RATE, "websocket"), "delivered_per_s")),
    ("ws-capacity", FULL, |claim, evidence| crowd(claim, evidence, kind::cell(kind::IDLE, "websocket"))),
    ("ws-memory", MATRIX, computed_claims::memory),
    ("ws-types", MATRIX, |claim, evidence| computed_claims::works(claim, evidence, "types")),
    ("sse-latency", MATRIX, |claim, evidence| rowed(protocol_rows::latency, claim, evidence)),
    ("sse-reconnect", MATRIX, computed_claims::reconnect),
    ("sse-named", MATRIX, |claim, evidence| computed_claims::works(claim, evidence, "named-events")),
    ("sse-text", MATRIX, computed_claims::text_only),
    ("sse-six", FULL, computed_claims::six),
    ("rtc-latency", MATRIX, |claim, evidence| rowed(protocol_rows::latency, claim, evidence)),
    ("rtc-overhead", MATRIX, |claim, evidence| rowed(protocol_rows::overhead, claim, evidence)),
    ("rtc-turn", FULL, |claim, evidence| computed_claims::works(claim, evidence, "turn")),
    ("rtc-modes", MATRIX, |claim, evidence| computed_claims::works(claim, evidence, "modes")),
    ("rtc-encrypted", MATRIX, |claim, evidence| computed_claims::works(claim, evidence, "encrypted")),
    ("rtc-mesh", FULL, byte_layers::mesh),
    ("server-scale", MILLION, computed_claims::scale),
];

/// Rows of the matrix that only a full one measures.
static FULL_ONLY: &[&str] = &["matrix-browser", "matrix-firewall"];

/// What the evidence says of a claim, and the command that measures it (empty if this version has none).
pub(super) fn answer(
    claim: &'static Claim,
    evidence: &Evidence<'_>,
    matrix: &Matrix,
) -> (Answer, &'static str) {
    if let Some(answer) = other_claims::answer(claim, evidence) {
        return (answer, MATRIX);
    }
    if let Some((_, command, judge)) = BINDINGS.iter().find(|(id, ..)| *id == claim.id) {
        return (judge(claim, evidence), command);
    }
    if let Some(answer) = of_matrix(claim, matrix) {
        return (answer, if FULL_ONLY.contains(&claim.id.as_str()) { FULL } else { MATRIX });
    }
    (Answer::not_measured(claim, unmeasured("what no command of this version measures")), "")
}

/// A cell of the matrix for a claim of one column; a row of it for a claim of words, which holds if each of them does.
fn of_matrix(claim: &'static Claim, matrix: &Matrix) -> Option<Answer> {
    let cells: Vec<&MatrixCell> = matrix.cells().filter(|cell| cell.claim == claim.id).collect();
    if let [cell] = cells.as_slice() {
        let verdict = cell.verdict.clone();
        return Some(Answer {
            claim,
            measured: cell.measured.clone(),
            value: cell.value,
            bounds: None,
            verdict,
            condition: cell.condition.clone(),
            evidence: cell.evidence.clone(),
        });
    }
    let first = cells.first()?;
    let title = |cell: &MatrixCell| {
        COLUMNS.iter().find(|column| column.protocol == cell.protocol).map_or(cell.protocol, |c| c.title)
    };
    let named = |word: &str| -> Vec<String> {
        let cells = cells.iter().filter(|cell| cell.verdict.word() == word);
        let why = |cell: &MatrixCell| match &cell.verdict {
            Verdict::NotMeasured { what_would } => what_would.clone(),
            verdict => verdict.condition(),
        };
        cells.map(|cell| format!("{}: {}", title(cell), why(cell))).collect()
    };
    let (wrong, depends, open) = (named("not reproduced"), named("depends"), named("not measured"));
    let verdict = if !wrong.is_empty() {
        Verdict::NotReproduced { by: wrong.join("; ") }
    } else if !open.is_empty() {
        unmeasured(open.join("; "))
    } else if !depends.is_empty() {
        Verdict::Depends { on: "the protocol".into(), flips_at: depends.join("; ") }
    } else {
        Verdict::Reproduced
    };
    let measured: Vec<&str> =
        cells.iter().map(|cell| if cell.measured.is_empty() { "-" } else { &cell.measured }).collect();
    let row = matrix.rows.iter().find(|row| row.feature == first.feature)?;
    // Which browser it was, say: what holds for each column is said once.
    let alike = verdict == Verdict::Reproduced && cells.iter().all(|cell| cell.condition == first.condition);
    let shared = if alike { first.condition.clone() } else { String::new() };
    let parts = [verdict.condition(), row.note.clone(), shared];
    Some(Answer {
        claim,
        measured: measured.join(" | "),
        value: None,
        bounds: None,
        condition: parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "),
        verdict,
        evidence: cells.iter().map(|cell| cell.evidence.as_str()).collect::<Vec<_>>().join(", "),
    })
}

/// As the matrix judges the same feature, by this claim's numbers.
fn rowed(
    judge: fn(&Evidence<'_>, &Question<'_>) -> Finding,
    claim: &'static Claim,
    evidence: &Evidence<'_>,
) -> Answer {
    match COLUMNS.iter().find(|column| column.protocol == claim.subject) {
        Some(column) => {
            let finding = judge(evidence, &Question { column, claim, claimed: &claim.claim });
            Answer::found(claim, finding)
        }
        None => Answer::not_measured(claim, unmeasured("a protocol of the matrix")),
    }
}

/// A metric of a cell in the claim's own unit.
fn metric_of(claim: &'static Claim, evidence: &Evidence<'_>, cell: Which<'_>, name: &str) -> Answer {
    let found = evidence.cell_by(cell, name).and_then(|found| Ok((found, evidence.metric(cell, name)?)));
    let (found, value) = match found {
        Ok(found) => found,
        Err(verdict) => return Answer::not_measured(claim, verdict),
    };
    let bounds =
        metric::find(name).and_then(|metric| metric.bounds(found)).unwrap_or_else(|| Bounds::exact(value));
    Answer::judged(claim, Estimate { value, bounds }, format!("{name} of {cell}"), String::new())
}

/// How many of the clients of a cell the server bears. A cell that was asked for less than the claim is none for it.
fn crowd(claim: &'static Claim, evidence: &Evidence<'_>, which: Which<'_>) -> Answer {
    let least = claim.low.unwrap_or(0.0);
    let asked = |cell: &&Cell| cell.spec.id.is(which) && f64::from(cell.spec.clients) >= least;
    let fewest = evidence.crowds(which.kind).filter(asked).min_by_key(|cell| borne(cell));
    let Some(cell) = fewest else {
        let verdict = match evidence.cell(which) {
            Err(verdict) => verdict,
            Ok(cell) => {
                let had = short(f64::from(cell.spec.clients));
                unmeasured(format!("{} clients, where {which} had {had}", short(least)))
            }
        };
        return Answer::not_measured(claim, verdict);
    };
    let note = shortfall::of(cell).unwrap_or_default();
    let connected = Estimate::exact(borne(cell) as f64);
    Answer::judged(claim, connected, format!("connected of {which}"), note)
}

/// Clients that came and stayed.
fn borne(cell: &Cell) -> u64 {
    cell.counts.connected.saturating_sub(cell.counts.cut_short)
}

impl Answer {
    /// Nothing was measured.
    pub(super) fn not_measured(claim: &'static Claim, verdict: Verdict) -> Answer {
        let condition = verdict.condition();
        let (measured, evidence) = (String::new(), String::new());
        Answer { claim, measured, value: None, bounds: None, condition, verdict, evidence }
    }

    /// A figure held against the claim's numbers, with what else is to be said.
    pub(super) fn judged(
        claim: &'static Claim,
        estimate: Estimate,
        evidence: String,
        note: String,
    ) -> Answer {
        let verdict = judge(claim, estimate).unwrap_or_else(|| unmeasured(claim.rule.clone()));
        Answer::with(claim, verdict, estimate, evidence, note)
    }

    /// A figure whose verdict follows a rule of its own.
    pub(super) fn with(
        claim: &'static Claim,
        verdict: Verdict,
        estimate: Estimate,
        evidence: String,
        note: String,
    ) -> Answer {
        let parts = [verdict.condition(), note];
        Answer {
            claim,
            measured: with_unit(estimate.value, &claim.unit),
            value: Some(estimate.value),
            bounds: Some(estimate.bounds),
            condition: parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "),
            verdict,
            evidence,
        }
    }

    pub(super) fn found(claim: &'static Claim, finding: Finding) -> Answer {
        let parts = [finding.verdict.condition(), finding.note, finding.shared];
        Answer {
            claim,
            measured: finding.measured,
            value: finding.value,
            bounds: None,
            condition: parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "),
            verdict: finding.verdict,
            evidence: finding.evidence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bound_is_a_claim_and_bound_once() {
        let ids = BINDINGS.iter().map(|(id, ..)| *id);
        let ids: Vec<&str> = ids.chain(other_claims::claims()).collect();
        for (i, id) in ids.iter().enumerate() {
            assert!(super::super::find(id).is_some(), "{id} is no claim");
            assert!(!ids[i + 1..].contains(id), "{id} is bound twice");
        }
    }

    /// Everything that the guide says of the five protocols has a measurement, or a reason why not here.
    #[test]
    fn every_claim_about_the_protocols_is_bound() {
        const SECTIONS: [&str; 6] = [
            "Short Polling",
            "Long Polling",
            "WebSockets",
            "Server-Sent Events",
            "WebRTC",
            "Comparison Matrix",
        ];
        let matrix = Matrix::from_parts(&[], &[]);
        let evidence = Evidence::new(&[], &[]);
        for claim in super::super::all().iter().filter(|c| SECTIONS.contains(&c.guide_section.as_str())) {
            let (answer, command) = answer(claim, &evidence, &matrix);
            let Verdict::NotMeasured { what_would } = &answer.verdict else {
                panic!("{} has a verdict without a measurement: {answer:?}", claim.id)
            };
            assert!(!what_would.contains("no command"), "{}", claim.id);
            assert!(!command.is_empty(), "{}", claim.id);
        }
    }
    #[test]
    fn a_row_that_one_browser_ran_names_it_once() {
        let ran = |column: &super::super::column::Column| {
            let word = if column.protocol.ends_with("poll") { "all" } else { "modern" };
            let cell = crate::measure::sample::cell(&format!("browser/{}", column.protocol));
            cell.probe("browser", word, "Chromium 156").build()
        };
        let cells: Vec<_> = COLUMNS.iter().map(ran).collect();
        let claim = super::super::find("matrix-browser").expect("a claim");
        let matrix = Matrix::from_parts(&cells, &[]);
        let (answer, command) = answer(claim, &Evidence::new(&cells, &[]), &matrix);
        assert_eq!((answer.verdict.word(), answer.condition.as_str()), ("reproduced", "Chromium 156"));
        assert_eq!(answer.measured, "all | all | modern | modern | modern");
        assert_eq!(command, FULL);
    }
}
