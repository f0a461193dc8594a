//! `claims.csv`: a row for each claim of the guide.

use std::io::{self, Write};

use super::csv_column::{self, Column};
use super::{Format, is_matrix};
use crate::guide::Op;
use crate::guide::all_claims::{self, Entry};
use crate::measure::run::{Run, RunStatus};

/// The verdicts that a run alone gives.
pub(super) struct Claims;

/// Columns of `claims.csv`.
#[rustfmt::skip]
pub(super) fn columns<'a>() -> Vec<Column<&'a Entry>> {
    vec![
        Column::text("id", "Short name of the claim", |e| e.answer.claim.id.clone()),
        Column::text("section", "Section of the guide", |e| e.answer.claim.guide_section.clone()),
        Column::text("protocol", "What the claim is about", |e| e.answer.claim.subject.clone()),
        Column::text("claim", "The claim, in the guide's words", |e| e.answer.claim.claim.clone()),
        Column::text("op", "How it compares: ~ in < <= >= =; report and probe follow a rule of their own", |e| word(e.answer.claim.op).to_owned()),
        Column::number("low", "", "The claimed number, or the low end of a range, in `unit`", |e| e.answer.claim.low),
        Column::number("high", "", "The high end, in `unit`", |e| e.answer.claim.high),
        Column::text("unit", "Unit of `low`, `high`, `measured` and its interval", |e| e.answer.claim.unit.clone()),
        Column::number("measured", "", "The measured number, in `unit`; empty where it is none", |e| e.answer.value),
        Column::number("ci_low", "", "Low end of its 95% interval, in `unit`; equal to the high end for what was counted", |e| e.answer.bounds.map(|bounds| bounds.low)),
        Column::number("ci_high", "", "High end of the interval", |e| e.answer.bounds.map(|bounds| bounds.high)),
        Column::text("found", "What was found in words, where that is no number", |e| e.answer.value.map_or(e.answer.measured.clone(), |_| String::new())),
        Column::text("verdict", "reproduced, not reproduced, depends or not measured", |e| e.answer.verdict.word().to_owned()),
        Column::text("condition", "What the verdict rests on, or what is missing", |e| e.answer.condition.clone()),
        Column::text("run", "The runs it was taken from", |e| e.run.clone()),
        Column::text("measured_by", "The command that measures it; empty if this version has none", |e| e.measured_by.to_owned()),
        Column::text("evidence", "Metric or probe, and cell", |e| e.answer.evidence.clone()),
    ]
}

/// Writes the verdicts of `runs`.
///
/// # Errors
/// Those of `out`.
pub fn csv(entries: &[Entry], runs: &[Run], out: &mut dyn Write) -> io::Result<()> {
    // Of several runs the one that did not come to its end; a claim that rests on none has no run to speak of.
    let ending = |entry: &Entry| {
        let of = |run: &&Run| entry.run.split(' ').any(|name| name == run.name);
        let endings = || runs.iter().filter(of).map(Run::ending);
        endings().find(|&ending| ending != RunStatus::Finished.word()).or(endings().next()).unwrap_or("")
    };
    csv_column::write_of(&columns(), entries.iter().map(|entry| (ending(entry), entry)), out)
}

impl Format for Claims {
    fn name(&self) -> &'static str {
        "claims.csv"
    }

    fn about(&self) -> &'static str {
        "A row per claim of the guide, with the verdict that this run alone gives"
    }

    fn fits(&self, run: &Run) -> bool {
        is_matrix(run)
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("claims.csv")
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let runs = std::slice::from_ref(run);
        csv(&all_claims::entries(runs), runs, out)
    }
}

/// As `claims.csv` of the project writes it.
fn word(op: Op) -> &'static str {
    match op {
        Op::About => "~",
        Op::In => "in",
        Op::Less => "<",
        Op::LessOrEqual => "<=",
        Op::GreaterOrEqual => ">=",
        Op::Equal => "=",
        Op::Report => "report",
        Op::Probe => "probe",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_row_for_each_claim_whose_numbers_are_the_claims_own() {
        let entries = crate::guide::all_claims::entries(&[]);
        let mut text = Vec::new();
        csv(&entries, &[], &mut text).unwrap();
        let mut rows = ::csv::Reader::from_reader(text.as_slice());
        let rows: Vec<crate::guide::Claim> = rows
            .records()
            .map(|row| {
                let row = row.unwrap();
                let head = ::csv::StringRecord::from(vec![
                    "id",
                    "guide_section",
                    "subject",
                    "claim",
                    "op",
                    "low",
                    "high",
                    "unit",
                    "condition",
                    "rule",
                ]);
                let own: Vec<&str> = (0..8).map(|i| &row[i]).chain(["", ""]).collect();
                ::csv::StringRecord::from(own).deserialize(Some(&head)).unwrap()
            })
            .collect();
        assert_eq!(rows.len(), crate::guide::all().len());
        for (row, claim) in rows.iter().zip(crate::guide::all()) {
            assert_eq!((&row.id, row.op, row.low, row.high), (&claim.id, claim.op, claim.low, claim.high));
        }
    }
}
