//! The HTML report: one file that works offline, without script, on paper and on a phone.
//!
//! Charts show families of cells (`family.rs`), never one cell each, so that a large matrix stays a page. Whatever a
//! chart shows stands below it as a table.

use std::io::{self, Write};

use super::gate::is_selftest;
use super::{Format, Several, is_matrix};
use crate::capacity::curve;
use crate::guide::matrix::Matrix;
use crate::measure::run::Run;

mod bars;
mod capacity;
mod cell_groups;
mod cells;
mod chart;
mod comparison;
mod gate;
mod latency;
mod layers;
mod load;
mod markup;
mod matrix;
mod provenance;
mod repeats;
mod scale;
mod server;
mod side_by_side;
mod summary;
mod tables;
#[cfg(test)]
mod tests;
mod time;
mod trust;

pub(super) use comparison::page as comparison;
use markup::escape;

const STYLE: &str = include_str!("style.css");

/// The page.
pub(super) struct Page;

impl Format for Page {
    fn name(&self) -> &'static str {
        "html"
    }

    fn about(&self) -> &'static str {
        "Everything on one page that works offline: charts with their numbers, claims with their evidence"
    }

    /// A selftest is hundreds of gates, and what it adds up to is a table.
    fn fits(&self, run: &Run) -> bool {
        !is_selftest(run)
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("report.html")
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(page(run).as_bytes())
    }

    fn several(&self) -> Option<Several> {
        Some(|runs, out| out.write_all(side_by_side::page(runs).as_bytes()))
    }
}

fn page(run: &Run) -> String {
    let matrix = is_matrix(run).then(|| Matrix::of(run));
    let curves = curve::of(run);
    let sections = sections(run, matrix.as_ref(), &curves);
    let origin = format!("{} · {}", run.file.started, run.file.host.summary());
    let summary = unfinished(run) + &summary::summary(run, matrix.as_ref(), &curves);
    let header = header(&origin, &summary, &sections);
    document(&format!("rtbench: {}", run.file.scenario.name), &header, &sections)
}

/// Above everything else, where a run did not come to its end.
fn unfinished(run: &Run) -> String {
    let words = run.unfinished().map(|words| markup::paragraph("", &format!("! {}: {words}", run.name)));
    words.unwrap_or_default()
}

/// What stands above the sections: where it comes from, as text, a summary, as HTML, and links.
fn header(origin: &str, summary: &str, sections: &str) -> String {
    format!("<p class=\"faint\">{}</p>\n{summary}{}", escape(origin), contents(sections))
}

/// A whole page: what stands above everything, below the title, and its sections.
fn document(title: &str, header: &str, sections: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{hatches}\
         <header>\n<h1>{title}</h1>\n{header}</header>\n\
         <main>\n{sections}</main>\n</body>\n</html>\n",
        title = escape(title),
        hatches = bars::HATCHES,
    )
}

fn sections(run: &Run, matrix: Option<&Matrix>, curves: &[curve::Curve<'_>]) -> String {
    let families = cell_groups::families(run);
    let mut out = capacity::capacity(curves) + &gate::gate(run);
    if let Some(matrix) = matrix {
        out += &matrix::matrix(run, matrix);
        out += &matrix::further(run);
        out += &matrix::costs(run);
    }
    if curves.is_empty() {
        out += &trust::thresholds(run);
    }
    out += &repeats::repeats(&families);
    out += &latency::latency(&families);
    out += &load::throughput(&families);
    out += &layers::layers(&families);
    out += &server::server(&families);
    out += &load::delivery(run, &families);
    out += &trust::trust(run);
    out += &cells::cells(run);
    out + &provenance::origin(run)
}

/// Links to the sections, read from their own headings.
fn contents(sections: &str) -> String {
    let links = sections.split("<section id=\"").skip(1).filter_map(|section| {
        let (id, rest) = section.split_once('"')?;
        let (_, rest) = rest.split_once("<h2>")?;
        let (title, _) = rest.split_once("</h2>")?;
        Some(format!("<a href=\"#{id}\">{title}</a>\n"))
    });
    format!("<nav aria-label=\"Contents\">\n{}</nav>\n", links.collect::<String>())
}
