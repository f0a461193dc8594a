//! A comparison written down. Each form is one function and one line of the table.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::{html, terminal};
use crate::compare::Comparison;
use crate::measure::store::{self, StoreError};

mod csv;
mod markdown;
#[cfg(test)]
mod tests;
pub(super) mod words;

pub(super) use csv::columns;

/// The files that a comparison can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A row for each cell and metric.
    #[value(name = "comparison.csv")]
    Csv,
    /// A page for a pull request.
    Markdown,
    /// One page that works offline.
    Html,
    /// Everything, every single value included [see `rtbench list --schema comparison`].
    Json,
}

impl Form {
    /// Name of its file.
    pub fn file_name(self) -> &'static str {
        match self {
            Form::Csv => "comparison.csv",
            Form::Markdown => "comparison.md",
            Form::Html => "comparison.html",
            Form::Json => "comparison.json",
        }
    }

    /// Writes the comparison to one stream.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn render(self, comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Form::Csv => csv::render(comparison, out),
            Form::Markdown => markdown::render(comparison, out),
            Form::Html => out.write_all(html::comparison(comparison).as_bytes()),
            Form::Json => {
                serde_json::to_writer_pretty(&mut *out, comparison)?;
                out.write_all(b"\n")
            }
        }
    }

    /// Writes its file into a directory; returns where it is.
    ///
    /// # Errors
    /// `StoreError::Write`.
    pub fn save(self, comparison: &Comparison, dir: &Path) -> Result<PathBuf, StoreError> {
        let path = dir.join(self.file_name());
        store::replace(&path, |out| self.render(comparison, out))?;
        Ok(path)
    }
}

/// Shows a comparison on standard output, as wide as the terminal is: with `all` every metric, else the headline ones
/// and whatever is proven to differ.
///
/// # Errors
/// As [`super::print()`].
pub fn print(comparison: &Comparison, all: bool) -> io::Result<()> {
    super::print_text(&terminal::comparison(comparison, all, terminal::width()))
}
