//! Several runs on one page: for each cell a table with a column for each run, and their latency in one chart.

use super::cell_groups::{Shown, grid};
use super::chart::STYLES;
use super::latency::by_percentile;
use super::markup::{Content, details, escape, paragraph, section, table};
use super::{document, header, unfinished};
use crate::measure::repeats::Repeats;
use crate::measure::run::Run;
use crate::report::side_by_side::{self, Side, differences, letter};

/// Cells up to which all are open.
const FEW: usize = 6;

/// The page.
pub(super) fn page(runs: &[Run]) -> String {
    let title = format!("rtbench: {} runs side by side", runs.len());
    let mut summary =
        runs.iter().map(unfinished).collect::<String>() + &paragraph("faint", side_by_side::NOTE);
    if let Some(text) = differences(runs) {
        summary += &paragraph("", &text);
    }
    let sides = side_by_side::sides(runs);
    let blocks: String = sides.iter().map(|side| block(side, sides.len() <= FEW)).collect();
    let sections = section("runs", "Runs", &legend(runs)) + &section("cells", "Cells", &blocks);
    document(&title, &header(&names(runs), &summary, &sections), &sections)
}

fn names(runs: &[Run]) -> String {
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    names.join(" · ")
}

fn legend(runs: &[Run]) -> String {
    let row = |(place, run): (usize, &Run)| {
        let file = &run.file;
        vec![
            letter(place),
            run.name.clone(),
            file.scenario.name.clone(),
            file.started.clone(),
            file.seed.to_string(),
            crate::report::command_line(run),
            file.host.summary(),
        ]
    };
    let heads = ["", "run", "scenario", "started", "seed", "command", "host"];
    table(Content::Words, &heads, &runs.iter().enumerate().map(row).collect::<Vec<_>>())
}

fn block(side: &Side<'_>, open: bool) -> String {
    let letters: Vec<String> = (0..side.in_runs.len()).map(letter).collect();
    let heads: Vec<&str> = [""].into_iter().chain(letters.iter().map(String::as_str)).collect();
    let rows = side.rows().into_iter().map(|(title, figures)| {
        let title = [title.to_owned()];
        title.into_iter().chain(figures).collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let body = grid(&[curves(side)]) + &table(Content::Figures, &heads, &rows);
    match open {
        true => format!("<h3>{}</h3>\n{body}", escape(&side.id.to_string())),
        false => details(&side.id.to_string(), &body, false),
    }
}

/// Latency by percentile, a line for each run: of several repetitions the one in the middle.
fn curves<'a>(side: &Side<'a>) -> String {
    let line = |(place, repeats): (usize, &Option<Repeats<'a>>)| {
        let cell = repeats.as_ref()?.middle("response_p99_ms")?;
        Some(Shown { name: letter(place), style: place, cell })
    };
    let lines: Vec<Shown<'_>> = side.in_runs.iter().enumerate().filter_map(line).take(STYLES).collect();
    let all = side.in_runs.iter().flatten().count();
    let note = if lines.len() < all { format!("{} of {all} runs", lines.len()) } else { String::new() };
    by_percentile(lines, note)
}
