//! What a terminal shows. Texts carry colours; print them through `anstream`, which takes the colours out where
//! `NO_COLOR` is set or nobody looks at a terminal. Nothing needs colour to be understood.

use owo_colors::{OwoColorize, Style};

use crate::measure::cell::{Cell, Status, TrustLevel};
use crate::measure::repeats::Repeats;
use crate::measure::run::Run;
use crate::report::{command_line, notes};

mod capacity;
mod claims;
mod comparison;
mod gate;
mod matrix;
mod side_by_side;
mod summary;

pub use capacity::capacity;
pub use claims::claims;
pub use comparison::comparison;
pub use gate::gate;
pub use matrix::matrix;
pub use side_by_side::side_by_side;
pub use summary::summary;

/// Columns to write for: those of the terminal, or 80 where there is none; never fewer than 60, which the blocks need.
pub fn width() -> usize {
    crate::host::terminal::columns().unwrap_or(80).max(60)
}

fn good() -> Style {
    Style::new().green()
}

fn bad() -> Style {
    Style::new().red().bold()
}

fn unsure() -> Style {
    Style::new().yellow()
}

fn faint() -> Style {
    Style::new().dimmed()
}

fn strong() -> Style {
    Style::new().bold()
}

fn heading(text: &str) -> String {
    format!("\n{}\n", text.style(strong()))
}

/// The style of what stands beside a mark.
fn style_of(mark: char) -> Option<Style> {
    match mark {
        '✓' => Some(good()),
        '✗' => Some(bad()),
        '≈' => Some(unsure()),
        '·' => Some(faint()),
        _ => None,
    }
}

/// The text in the style of its mark.
fn paint(mark: char, text: &str) -> String {
    style_of(mark).map_or(text.to_owned(), |style| text.style(style).to_string())
}

/// The text in lines of at most `width` characters; the first begins with `first`, the others with as many blanks.
fn wrap(first: &str, text: &str, width: usize) -> String {
    let indent = first.chars().count();
    let mut out = String::from(first);
    let mut used = indent;
    for (i, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if i > 0 && used + 1 + length > width {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = indent;
        } else if i > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out.push('\n');
    out
}

/// The text, padded with blanks to `width` characters.
fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.chars().count())))
}

pub(super) fn bytes(bytes: f64) -> String {
    let (factor, unit) = bytes_unit(bytes);
    format!("{} {unit}", crate::number::short(bytes * factor))
}

/// The unit in which people read so many bytes, and the factor to it.
fn bytes_unit(bytes: f64) -> (f64, &'static str) {
    match bytes.abs() {
        b if b >= 1e9 => (1e-9, "GB"),
        b if b >= 1e6 => (1e-6, "MB"),
        b if b >= 1e3 => (1e-3, "KB"),
        _ => (1.0, "B"),
    }
}

/// How far a cell can be believed, in a word.
pub(super) fn trust_word(cell: &Cell) -> &'static str {
    match (&cell.status, cell.trust.level) {
        (Status::Failed(_), _) => "failed",
        (_, TrustLevel::Invalid) => "invalid",
        (Status::Interrupted, _) => "interrupted",
        (_, TrustLevel::Degraded) => "degraded",
        (Status::Finished, TrustLevel::Ok) => "ok",
    }
}

/// The same of repetitions: each word with how many deserve it.
pub(super) fn trust_counts(repeats: &Repeats<'_>) -> Vec<(&'static str, usize)> {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for word in repeats.cells().iter().map(|cell| trust_word(cell)) {
        match counted.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counted.push((word, 1)),
        }
    }
    counted
}

fn trust_style(word: &str) -> Style {
    match word {
        "ok" => good(),
        "degraded" | "interrupted" => unsure(),
        _ => bad(),
    }
}

/// What is to be known of a run beside its figures.
fn conditions(run: &Run, width: usize) -> String {
    let style = |caution| if caution { unsure() } else { faint() };
    let each = notes(run).into_iter();
    each.map(|(text, caution)| format!("\n{}", wrap("", &text, width)).style(style(caution)).to_string())
        .collect()
}

/// Above everything else, where a run did not come to its end.
pub(super) fn unfinished(run: &Run, width: usize) -> String {
    let words = run.unfinished().map(|words| wrap("! ", &format!("{}: {words}", run.name), width));
    words.map_or(String::new(), |text| text.style(unsure()).to_string())
}

/// What stands against the run's cells, and against the run.
fn doubts(run: &Run, width: usize) -> String {
    let mut out = String::new();
    for cell in &run.cells {
        let word = trust_word(cell);
        let failed = if let Status::Failed(reason) = &cell.status { Some(reason) } else { None };
        for reason in failed.into_iter().chain(&cell.trust.reasons) {
            let text = wrap("  ! ", &format!("{} {word}: {reason}", cell.spec.label()), width);
            out += &text.style(trust_style(word)).to_string();
        }
    }
    for warning in &run.warnings {
        out += &wrap("  ! ", warning, width).style(unsure()).to_string();
    }
    if out.is_empty() { out } else { heading("Trust") + &out }
}

/// What every report ends with: the command that made the run, and the host.
fn origin(run: &Run, width: usize) -> String {
    let text = format!("{} · {}", command_line(run), run.file.host.summary());
    format!("\n{}", wrap("", &text, width).style(faint()))
}
