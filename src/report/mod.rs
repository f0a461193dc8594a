//! Reports: files in, files out. Each format is one file here and one line of the table.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::measure::run::{Run, RunKind};
use crate::measure::store::{self, StoreError};
use crate::transport::link::LinkSpec;

mod capacity;
#[cfg(test)]
mod capacity_tests;
mod claims;
pub mod comparison;
mod csv;
mod hgrm;
mod html;
mod json;
mod markdown;
mod picture;
#[cfg(test)]
mod schema_tests;
pub mod terminal;
#[cfg(test)]
mod tests;

pub use claims::csv as claims_csv;
pub use json::{SCHEMAS, Schema, cell_schema, run_schema, scenario_schema};

/// A way to write a run down. The same run always gives the same bytes.
pub trait Format: Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// What it holds, in one line.
    fn about(&self) -> &'static str;

    /// Whether the run has something for it.
    fn fits(&self, run: &Run) -> bool {
        let _ = run;
        true
    }

    /// Writes the run to one stream.
    ///
    /// # Errors
    /// Those of `out`.
    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()>;

    /// Name of its file in the run's directory; `None` for formats that override `save`.
    fn file_name(&self) -> Option<&'static str>;

    /// Writes its file, or files, into a directory; returns what was written.
    ///
    /// # Errors
    /// `StoreError::Write`.
    fn save(&self, run: &Run, dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
        let Some(name) = self.file_name() else { return Ok(Vec::new()) };
        let path = dir.join(name);
        store::replace(&path, |out| self.render(run, out))?;
        Ok(vec![path])
    }
}

/// Every format that makes files.
pub static ALL: &[&dyn Format] = &[
    &json::RunJson,
    &csv::Cells,
    &csv::Intervals,
    &csv::Matrix,
    &markdown::Matrix,
    &capacity::Steps,
    &capacity::Projected,
    &capacity::Page,
    &picture::Picture,
    &html::Page,
    &hgrm::Hgrm,
];

/// No format has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no format '{0}'; there are: {names}", names = names())]
pub struct UnknownFormat(String);

fn names() -> String {
    ALL.iter().map(|format| format.name()).collect::<Vec<_>>().join(", ")
}

/// The format of this name.
///
/// # Errors
/// There is none.
pub fn find(name: &str) -> Result<&'static dyn Format, UnknownFormat> {
    let mut all = ALL.iter().copied();
    all.find(|format| format.name() == name).ok_or_else(|| UnknownFormat(name.to_owned()))
}

/// Derives every file of a run from its cells, into its directory. May be done again at any time.
///
/// # Errors
/// `StoreError::Write`.
pub fn save(run: &Run, dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut written = Vec::new();
    for format in ALL.iter().filter(|format| format.fits(run)) {
        written.extend(format.save(run, dir)?);
    }
    Ok(written)
}

/// Shows a run on standard output, as wide as the terminal is.
///
/// # Errors
/// The output cannot be written; a reader that has seen enough is none.
pub fn print(run: &Run) -> io::Result<()> {
    let width = terminal::width();
    let text = match run.file.kind {
        RunKind::Matrix => terminal::matrix(run, width),
        RunKind::Scenario => terminal::summary(run, width),
        RunKind::Capacity => terminal::capacity(run, width),
    };
    print_text(&text)
}

/// Shows a text with colours on standard output.
///
/// # Errors
/// As [`print()`].
pub fn print_text(text: &str) -> io::Result<()> {
    forgive_closed_pipe(anstream::stdout().lock().write_all(text.as_bytes()))
}

/// Writes a run to standard output in these formats, one after the other.
///
/// # Errors
/// As [`print()`].
pub fn print_as(run: &Run, formats: &[&dyn Format]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    forgive_closed_pipe(formats.iter().try_for_each(|format| format.render(run, &mut out)))
}

/// A reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// Every other one.
pub fn forgive_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}

fn is_matrix(run: &Run) -> bool {
    run.file.kind == RunKind::Matrix
}

/// Parts that say something, with `separator` between them.
fn join<'a>(parts: impl IntoIterator<Item = &'a str>, separator: &str) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(separator)
}

/// The networks that were emulated, each with what it was; nothing where there was none.
fn emulated_links(run: &Run) -> Option<String> {
    let mut links: Vec<String> = Vec::new();
    for text in run.cells.iter().map(|cell| &cell.spec.link).filter(|text| *text != "loopback") {
        let label = text.parse::<LinkSpec>().map_or_else(|_| text.clone(), |link| link.label());
        let link = if label == *text { label } else { format!("{label} ({text})") };
        if !links.contains(&link) {
            links.push(link);
        }
    }
    let note =
        "emulated inside the clients, which carry all of it towards a server and half of it towards a peer";
    (!links.is_empty()).then(|| format!("Links: {}; {note}.", links.join(", ")))
}

/// The command line as it was typed, as far as its words tell.
fn command_line(run: &Run) -> String {
    quoted_words(&run.file.command)
}

/// Words as a shell takes them.
fn quoted_words(words: &[String]) -> String {
    let quoted = |word: &String| match word.chars().any(|c| c.is_whitespace() || "'\"$&|;<>()*?".contains(c))
    {
        true => format!("'{}'", word.replace('\'', r"'\''")),
        false => word.clone(),
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}
