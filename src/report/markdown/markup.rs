//! What pages of Markdown are made of.

use std::io::{self, Write};

use crate::measure::run::Run;
use crate::report::{command_line, notes};

/// Text that stays one cell of a table, and says what it says: no element, no link, no picture from elsewhere.
pub(in crate::report) fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('|', "\\|").replace("](", "]\\(");
    escaped.replace('<', "&lt;").replace('\n', " ")
}

/// A table; what stands in its cells is escaped.
///
/// # Errors
/// Those of `out`.
pub(in crate::report) fn table(
    heads: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "| {} |\n|{}", heads.join(" | "), "---|".repeat(heads.len()))?;
    for row in rows {
        let fields: Vec<String> = row.iter().map(|field| escape(field)).collect();
        writeln!(out, "| {} |", fields.join(" | "))?;
    }
    Ok(())
}

/// What every page ends with: the links, the command that made the run, and the host.
///
/// # Errors
/// Those of `out`.
pub(in crate::report) fn ending(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    for (note, _) in notes(run) {
        writeln!(out, "\n{}", escape(&note))?;
    }
    let file = &run.file;
    let (command, host) = (command_line(run), file.host.summary());
    writeln!(out, "\nMeasured by `{command}` with seed {} on {}, {host}.", file.seed, file.started)
}
