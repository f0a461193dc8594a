//! The comparison matrix as Markdown.

use std::io::{self, Write};

use super::markup::{ending, escape};
use super::summary::thresholds;
use super::trust;
use crate::guide::column::COLUMNS;
use crate::guide::matrix::MatrixCell;
use crate::guide::{cost, matrix, other_claims};
use crate::measure::run::Run;
use crate::number::short;
use crate::report::{join, projection};

/// Writes the matrix with all its conditions.
///
/// # Errors
/// Those of `out`.
pub(super) fn page(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let matrix = matrix::Matrix::of(run);
    writeln!(
        out,
        "# Comparison matrix\n\nGuide → measured. ✓ reproduced, ✗ not reproduced, ≈ depends, · not measured.\n"
    )?;
    table(&matrix, out)?;
    conditions(&matrix, out)?;
    claims(run, out)?;
    costs(run, out)?;
    thresholds(run, out)?;
    trust(run, out)?;
    ending(run, out)
}

fn table(matrix: &matrix::Matrix, out: &mut dyn Write) -> io::Result<()> {
    let titles: Vec<&str> = COLUMNS.iter().map(|column| column.title).collect();
    writeln!(out, "| Feature | {} |\n|---|{}", titles.join(" | "), "---|".repeat(COLUMNS.len()))?;
    for row in &matrix.rows {
        let cells: Vec<String> = row.cells.iter().map(|cell| escape(&claim_and_measured(cell))).collect();
        writeln!(out, "| **{}** | {} |", row.feature, cells.join(" | "))?;
    }
    Ok(())
}

fn claim_and_measured(cell: &MatrixCell) -> String {
    let measured = if cell.measured.is_empty() { cell.verdict.word() } else { &cell.measured };
    format!("{} {} → {measured}", cell.verdict.mark(), cell.claimed)
}

fn conditions(matrix: &matrix::Matrix, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "\n## What each verdict rests on\n\n| Feature | Protocol | Verdict | Condition | Evidence |\n|---|---|---|---|---|"
    )?;
    for row in &matrix.rows {
        for cell in &row.cells {
            let verdict = format!("{} {}", cell.verdict.mark(), cell.verdict.word());
            let fields = [cell.feature, cell.protocol, &verdict, &cell.condition, &cell.evidence].map(escape);
            writeln!(out, "| {} |", fields.join(" | "))?;
        }
    }
    for row in matrix.rows.iter().filter(|row| !row.note.is_empty()) {
        writeln!(out, "\n{}: {}.", row.feature, row.note)?;
    }
    Ok(())
}

fn claims(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "\n## Further claims that this run answers\n\n| Claim | Measured | Verdict | Condition |\n|---|---|---|---|"
    )?;
    for answer in other_claims::answers(&run.cells) {
        let claim = format!("{}: {}", answer.claim.subject, answer.claim.claim);
        let verdict = format!("{} {}", answer.verdict.mark(), answer.verdict.word());
        let fields = [claim.as_str(), &answer.measured, &verdict, &answer.condition].map(escape);
        writeln!(out, "| {} |", fields.join(" | "))?;
    }
    Ok(())
}

fn costs(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let (costs, drift) = cost::of(run);
    let Some(first) = costs.first() else { return Ok(()) };
    writeln!(out, "\n## What {} such users cost: {}\n", short(first.users), projection::workload(&costs))?;
    let heads = projection::HEADS;
    writeln!(out, "| Protocol | {} | How |\n|---|{}---|", heads.join(" | "), "---|".repeat(heads.len()))?;
    for cost in &costs {
        let how = join(cost.arithmetic.iter().map(String::as_str), "; ");
        writeln!(out, "| {} | {} | {} |", cost.protocol, projection::row(cost).join(" | "), escape(&how))?;
    }
    writeln!(out, "\n{}", escape(&crate::projection::basis(drift)))
}
