//! Reports: files in, files out. Each format is one file here and one line of the table.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::guide::column::COLUMNS;
use crate::measure::repeats::{MedianRange, Repeats};
use crate::measure::run::{Run, RunKind};
use crate::measure::store::{self, StoreError};
use crate::number::short;
use crate::say;

mod capacity;
#[cfg(test)]
mod capacity_tests;
mod claims;
pub mod comparison;
mod csv;
pub mod csv_column;
pub mod csv_files;
#[cfg(test)]
mod csv_tests;
mod gate;
mod hgrm;
mod html;
mod json;
mod junit;
mod markdown;
mod projection;
pub mod prometheus;
#[cfg(test)]
mod schema_tests;
mod side_by_side;
mod step_summary;
mod svg;
pub mod terminal;
#[cfg(test)]
mod tests;
mod thresholds;

pub use claims::csv as claims_csv;
pub use gate::plan as gate_plan;
pub use json::{SCHEMAS, Schema};
pub use step_summary::step_summary;

/// Writes several runs side by side to one stream.
///
/// # Errors
/// Those of the stream.
pub type Several = fn(&[Run], &mut dyn Write) -> io::Result<()>;

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

    /// How it writes several runs side by side; `None` where it shows one run.
    fn several(&self) -> Option<Several> {
        None
    }

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
    &claims::Claims,
    &markdown::Page,
    &gate::Metrics,
    &gate::Slices,
    &gate::Selftest,
    &capacity::Steps,
    &projection::Projections,
    &svg::Picture,
    &html::Page,
    &hgrm::Hgrm,
    &junit::Junit,
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
        RunKind::Gate => terminal::gate(run, width),
    };
    print_text(&(terminal::unfinished(run, width) + &text))
}

/// What speaks against a run, a line each; of gates and searches, which say it by themselves, nothing.
pub fn complaints(run: &Run) -> Vec<String> {
    match run.file.kind {
        RunKind::Matrix | RunKind::Scenario => thresholds::complaints(run),
        RunKind::Capacity | RunKind::Gate => Vec::new(),
    }
}

/// A run as Markdown.
pub fn markdown(run: &Run) -> String {
    let mut out = Vec::new();
    // Memory takes everything.
    let _ = markdown::Page.render(run, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Shows several runs side by side on standard output, as wide as the terminal is.
///
/// # Errors
/// As [`print()`].
pub fn print_side_by_side(runs: &[Run]) -> io::Result<()> {
    let width = terminal::width();
    let unfinished: String = runs.iter().map(|run| terminal::unfinished(run, width)).collect();
    print_text(&(unfinished + &terminal::side_by_side(runs, width)))
}

/// Shows a text with colours on standard output.
///
/// # Errors
/// As [`print()`].
pub fn print_text(text: &str) -> io::Result<()> {
    // Through the handle that knows whether there are colours; this thread holds its lock already, and may take it again.
    say::out(|_| anstream::stdout().lock().write_all(text.as_bytes()))
}

/// Writes a run to standard output in these formats, one after the other.
///
/// # Errors
/// As [`print()`].
pub fn print_as(run: &Run, formats: &[&dyn Format]) -> io::Result<()> {
    say::out(|out| formats.iter().try_for_each(|format| format.render(run, out)))
}

fn is_matrix(run: &Run) -> bool {
    run.file.kind == RunKind::Matrix
}

/// Parts that say something, with `separator` between them.
fn join<'a>(parts: impl IntoIterator<Item = &'a str>, separator: &str) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(separator)
}

/// A median with the range around it, both times `factor`: `0.31`, or `0.31 (0.29–0.42)` where repetitions differ.
fn median_with_range(range: &MedianRange, factor: f64) -> String {
    let [median, low, high] = [range.median, range.low, range.high].map(|value| short(value * factor));
    if low == high { median } else { format!("{median} ({low}–{high})") }
}

/// What is to be known of a run beside its figures, a sentence each, with whether it is a caution.
fn notes(run: &Run) -> Vec<(String, bool)> {
    let beyond = beyond_the_guide(run).map(|note| (note, true));
    let links = emulated_links(run).map(|note| (note, true));
    let repeats = repeats_note(run).map(|note| (note, false));
    [beyond, links, repeats].into_iter().flatten().collect()
}

/// Protocols of a matrix that the guide has no column for, and where their figures are.
fn beyond_the_guide(run: &Run) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for name in run.cells.iter().map(|cell| cell.spec.id.protocol.name).filter(|_| is_matrix(run)) {
        if !names.contains(&name) && !COLUMNS.iter().any(|column| column.protocol == name) {
            names.push(name);
        }
    }
    let note = "the guide has no column for it; what was measured is among the cells";
    (!names.is_empty()).then(|| format!("Not in the matrix: {}: {note}.", names.join(", ")))
}

/// That cells were measured more than once, and which figures stand for them; nothing where each was measured once.
fn repeats_note(run: &Run) -> Option<String> {
    let most = Repeats::of(&run.cells).iter().map(|repeats| repeats.cells().len()).max().unwrap_or(0);
    let rule = match run.file.kind {
        RunKind::Gate => "a repeat is one pair of fresh processes that took turns",
        RunKind::Matrix => {
            "each figure is that of the repeat in the middle by it, with that repeat's own interval; slopes use all repeats"
        }
        RunKind::Scenario | RunKind::Capacity => {
            "figures are medians over repeats, with the range beside them; counts are sums; thresholds must hold in each repeat"
        }
    };
    (most > 1).then(|| format!("Repeats: cells were measured up to {most} times with one seed; {rule}."))
}

/// The networks that were emulated, each with what it was; nothing where there was none.
fn emulated_links(run: &Run) -> Option<String> {
    let mut links: Vec<String> = Vec::new();
    for link in run.cells.iter().map(|cell| cell.spec.link).filter(|link| !link.is_loopback()) {
        let (label, text) = (link.label(), link.to_string());
        let link = if label == text { label } else { format!("{label} ({text})") };
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
