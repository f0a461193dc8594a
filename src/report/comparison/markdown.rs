//! A comparison as Markdown, for pull requests.

use std::io::{self, Write};

use super::words;
use crate::compare::{CellComparison, Comparison, Row};
use crate::report::markdown::markup::escape;

pub(super) fn render(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# Comparison\n\n{}\n", escape(&words::outcome(comparison)))?;
    for (name, side) in [("Base", &comparison.base), ("New", &comparison.new)] {
        writeln!(out, "- {name}: {}", escape(&words::runs(side)))?;
    }
    for warning in words::warnings(comparison) {
        writeln!(out, "- **!** {}", escape(&warning))?;
    }
    for cell in &comparison.cells {
        self::cell(cell, out)?;
    }
    writeln!(out, "\n{}", words::LEGEND.map(escape).join(" "))
}

fn cell(cell: &CellComparison, out: &mut dyn Write) -> io::Result<()> {
    let mark = if cell.is_degraded() { ", degraded" } else { "" };
    writeln!(out, "\n## {} ({}{mark})\n", escape(&cell.cell), words::repeats(cell))?;
    let (first, rest): (Vec<&Row>, Vec<&Row>) = cell.rows.iter().partition(|row| words::is_headline(row));
    table(&first, cell, out)?;
    if !rest.is_empty() {
        writeln!(out, "\n<details><summary>{} more metrics</summary>\n", rest.len())?;
        table(&rest, cell, out)?;
        writeln!(out, "\n</details>")?;
    }
    Ok(())
}

fn table(rows: &[&Row], cell: &CellComparison, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "| Metric | Base | New | Change | 95% interval | p, adjusted | Verdict | Repeats needed |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|---|--:|")?;
    for row in rows {
        let degraded = if cell.is_degraded() { " !" } else { "" };
        let fields = [
            words::median(row.base.median),
            words::median(row.new.median),
            words::change(row),
            words::interval(row),
            words::p(row.p_adjusted.or(row.p)),
            words::verdict(row).to_owned() + degraded,
            words::needed(row),
        ];
        writeln!(out, "| `{}` | {} |", row.metric, fields.map(|field| escape(&field)).join(" | "))?;
    }
    Ok(())
}
