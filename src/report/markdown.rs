//! A run as Markdown, for pull requests, pages and the summary of a CI job.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::terminal::trust_word;
use super::{Format, capacity, gate};
use crate::measure::run::{Run, RunKind};
use crate::measure::store::{self, StoreError};

pub(super) mod markup;
mod matrix;
mod summary;

use markup::escape;

/// The page that belongs to the kind of run.
pub(super) struct Page;

impl Format for Page {
    fn name(&self) -> &'static str {
        "markdown"
    }

    fn about(&self) -> &'static str {
        "What was run and what came of it: the matrix, the cells with their thresholds, the capacity's curve, or the gate's verdicts"
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        if let Some(words) = run.unfinished() {
            writeln!(out, "> **Unfinished.** {}: {}\n", escape(&run.name), escape(&words))?;
        }
        match run.file.kind {
            RunKind::Matrix => matrix::page(run, out),
            RunKind::Scenario => summary::page(run, out),
            RunKind::Capacity => capacity::page(run, out),
            RunKind::Gate => gate::page(run, out),
        }
    }

    fn file_name(&self) -> Option<&'static str> {
        None
    }

    fn save(&self, run: &Run, dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
        let path = dir.join(match run.file.kind {
            RunKind::Matrix => "matrix.md",
            RunKind::Scenario => "summary.md",
            RunKind::Capacity => "capacity.md",
            RunKind::Gate => "gate.md",
        });
        store::replace(&path, |out| self.render(run, out))?;
        Ok(vec![path])
    }
}

/// Whether to believe the cells.
fn trust(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let said: Vec<String> = (run.cells.iter())
        .flat_map(|cell| summary::doubts(cell).map(move |doubt| (cell, doubt)))
        .map(|(cell, doubt)| format!("* {} {}: {}", cell.spec.id, trust_word(cell), doubt))
        .chain(run.warnings.iter().map(|warning| format!("* {warning}")))
        .collect();
    if said.is_empty() {
        return writeln!(out, "\nTrust: nothing speaks against any of the {} cells.", run.cells.len());
    }
    writeln!(out, "\n## Trust\n")?;
    said.iter().try_for_each(|line| writeln!(out, "{}", escape(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_text_in_a_page_as_well() {
        for (said, written) in [
            ("a|b", "a\\|b"),
            ("out of \\| the cell", "out of \\\\\\| the cell"),
            ("![](http://x/y.png)", "![]\\(http://x/y.png)"),
            ("<img src=x>\nmore", "&lt;img src=x> more"),
            ("95% [1.2, 3.4]", "95% [1.2, 3.4]"),
        ] {
            assert_eq!(escape(said), written);
        }
    }
}
