//! Several runs side by side: a block for each cell, a column for each run.

use std::ops::Range;

use owo_colors::OwoColorize;

use super::{faint, heading, pad, strong, unsure, wrap};
use crate::measure::run::Run;
use crate::report::side_by_side::{self, Side, differences, letter};

/// Blanks between two columns.
const GAP: usize = 2;

/// The cells of several runs, at most `width` characters wide as long as one column fits beside its title.
pub fn side_by_side(runs: &[Run], width: usize) -> String {
    let mut out = heading("Runs");
    for (place, run) in runs.iter().enumerate() {
        let file = &run.file;
        let text = format!(
            "{} · {} · {} · seed {} · {}",
            run.name,
            file.scenario.name,
            file.started,
            file.seed,
            file.host.summary()
        );
        out += &wrap(&format!("  {} ", pad(&letter(place), 2)), &text, width);
    }
    let sides = side_by_side::sides(runs);
    let title = sides.iter().flat_map(|side| side.rows()).map(|(title, _)| title.chars().count()).max();
    let title = title.unwrap_or(0) + 2;
    let columns = widths(&sides, runs.len());
    let bands = bands(&columns, width.saturating_sub(title));
    out.extend(sides.iter().map(|side| block(side, title, &columns, &bands)));
    let notes = differences(runs).map(|text| wrap("", &text, width).style(unsure()).to_string());
    out += &format!("\n{}{}", notes.unwrap_or_default(), wrap("", side_by_side::NOTE, width).style(faint()));
    out
}

/// How wide the column of each run is, the same for all cells.
fn widths(sides: &[Side<'_>], runs: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = (0..runs).map(|place| letter(place).len() + GAP).collect();
    for (_, texts) in sides.iter().flat_map(|side| side.rows()) {
        for (width, text) in widths.iter_mut().zip(&texts) {
            *width = (*width).max(text.chars().count() + GAP);
        }
    }
    widths
}

fn block(side: &Side<'_>, title: usize, columns: &[usize], bands: &[Range<usize>]) -> String {
    let rows = side.rows();
    let mut out = String::new();
    for places in bands {
        let letters: String =
            places.clone().map(|place| format!("{:>1$}", letter(place), columns[place])).collect();
        // A name that leaves no room for the letters has a line of its own.
        let name = side.id.to_string();
        out += &match name.chars().count() <= title {
            true => format!("\n{}{}\n", pad(&name, title).style(strong()), letters.style(faint())),
            false => {
                format!("\n{}\n{}{}\n", name.style(strong()), " ".repeat(title), letters.style(faint()))
            }
        };
        for (name, texts) in &rows {
            let figures = places.clone().map(|place| format!("{:>1$}", texts[place], columns[place]));
            out += &format!("{}{}\n", pad(&format!("  {name}"), title), figures.collect::<String>());
        }
    }
    out
}

/// Columns that fit beside each other, at least one in each band.
fn bands(columns: &[usize], width: usize) -> Vec<Range<usize>> {
    let mut bands = Vec::new();
    let mut from = 0;
    let mut used = 0;
    for (place, column) in columns.iter().enumerate() {
        if used + column > width && place > from {
            bands.push(from..place);
            (from, used) = (place, 0);
        }
        used += column;
    }
    bands.push(from..columns.len());
    bands
}
