//! `claims.csv`: a row for each claim of the guide.
//!
//! | column | what |
//! |---|---|
//! | `id`, `section`, `protocol`, `claim` | which claim it is, in the guide's words |
//! | `op`, `low`, `high`, `unit` | how it compares, with what; `report` and `probe` follow a rule of their own |
//! | `measured` | the number in `unit` where there is one, else what was found in words; empty if nothing was |
//! | `ci_low`, `ci_high` | its 95% interval in `unit`; equal for what was counted, empty where there is none |
//! | `verdict` | `reproduced`, `not reproduced`, `depends` or `not measured` |
//! | `condition` | what the verdict rests on, or what is missing |
//! | `run` | the runs it was taken from |
//! | `measured_by` | the command that measures it; empty if this version has none |
//! | `evidence` | metric or probe, and cell |

use std::io::{self, Write};

use crate::claim::Op;
use crate::claim::book::Entry;

const HEAD: [&str; 16] = [
    "id",
    "section",
    "protocol",
    "claim",
    "op",
    "low",
    "high",
    "unit",
    "measured",
    "ci_low",
    "ci_high",
    "verdict",
    "condition",
    "run",
    "measured_by",
    "evidence",
];

/// Writes the entries.
///
/// # Errors
/// Those of `out`.
pub fn csv(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(out);
    rows.write_record(HEAD)?;
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for Entry { answer, run, measured_by } in entries {
        let claim = answer.claim;
        rows.write_record([
            &claim.id,
            &claim.guide_section,
            &claim.subject,
            &claim.claim,
            word(claim.op),
            &number(claim.low),
            &number(claim.high),
            &claim.unit,
            &answer.value.map_or_else(|| answer.measured.clone(), |value| value.to_string()),
            &number(answer.bounds.map(|bounds| bounds.low)),
            &number(answer.bounds.map(|bounds| bounds.high)),
            answer.verdict.word(),
            &answer.condition,
            run,
            measured_by,
            &answer.evidence,
        ])?;
    }
    rows.flush()
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
        let entries = crate::claim::book::entries(&[]);
        let mut text = Vec::new();
        csv(&entries, &mut text).unwrap();
        let mut rows = csv::Reader::from_reader(text.as_slice());
        assert_eq!(rows.headers().unwrap(), HEAD.as_slice());
        let rows: Vec<crate::claim::Claim> = rows
            .records()
            .map(|row| {
                let row = row.unwrap();
                let head = csv::StringRecord::from(vec![
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
                csv::StringRecord::from(own).deserialize(Some(&head)).unwrap()
            })
            .collect();
        assert_eq!(rows.len(), crate::claim::all().len());
        for (row, claim) in rows.iter().zip(crate::claim::all()) {
            assert_eq!((&row.id, row.op, row.low, row.high), (&claim.id, claim.op, claim.low, claim.high));
        }
    }
}
