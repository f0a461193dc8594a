//! The comparison matrix: claim, measured value and verdict; each cell opens what it rests on.

use super::cells::anchor;
use super::markup::{Content, escape, paragraph, section, table};
use crate::guide::column::COLUMNS;
use crate::guide::matrix::{Matrix, MatrixCell, MatrixRow};
use crate::guide::verdict::Verdict;
use crate::guide::{self, cost, other_claims};
use crate::measure::cell::Cell;
use crate::measure::run::Run;
use crate::number::short;
use crate::projection::Projection;
use crate::report::{join, projection};

/// The section.
pub(super) fn matrix(run: &Run, matrix: &Matrix) -> String {
    let what = "In each cell what the guide claims, below it what was measured, with its mark: ✓ reproduced, ✗ not \
                reproduced, ≈ depends, · not measured. Each cell opens its condition and its evidence.";
    let mut out = paragraph("faint", what);
    out += "<table class=\"matrix\"><thead><tr><th scope=\"col\">Feature</th>";
    for column in &COLUMNS {
        out += &format!("<th scope=\"col\">{}</th>", column.title);
    }
    out += "</tr></thead><tbody>\n";
    for row in &matrix.rows {
        out += &format!("<tr><th scope=\"row\">{}{}</th>\n", escape(row.feature), how(row));
        for (column, cell) in COLUMNS.iter().zip(&row.cells) {
            out += &self::cell(run, column.title, cell);
        }
        out += "</tr>\n";
    }
    out += "</tbody></table>\n";
    section("matrix", "Comparison matrix", &out)
}

/// The class of a verdict, which only repeats what its mark says.
fn class(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Reproduced => "yes",
        Verdict::NotReproduced { .. } => "no",
        Verdict::Depends { .. } => "if",
        Verdict::NotMeasured { .. } => "open",
    }
}

/// How a whole row was judged, and by what order; nothing where each cell stands for itself.
fn how(row: &MatrixRow) -> String {
    let claim =
        row.cells.first().and_then(|cell| guide::find(cell.claim)).filter(|claim| claim.subject == "all");
    let (asked, rule) = claim.map_or(("", ""), |claim| (claim.condition.as_str(), claim.rule.as_str()));
    let facts = facts(&[("Measured", asked), ("Rule", rule), ("Here", &row.note)]);
    if facts.is_empty() {
        return facts;
    }
    format!("<details><summary>how judged</summary><dl>{facts}</dl></details>")
}

/// Names with their texts, where there are any.
fn facts(facts: &[(&str, &str)]) -> String {
    let known = facts.iter().filter(|(_, text)| !text.is_empty());
    known.map(|(name, text)| format!("<dt>{name}</dt><dd>{}</dd>", escape(text))).collect()
}

fn cell(run: &Run, title: &str, cell: &MatrixCell) -> String {
    let measured = if cell.measured.is_empty() { cell.verdict.word() } else { &cell.measured };
    let mut body =
        facts(&[("Verdict", cell.verdict.word()), ("Condition", &cell.condition), ("Claim", cell.claim)]);
    body += &evidence(run, cell);
    format!(
        "<td><details><summary><span class=\"column\">{title}</span><span class=\"claimed\">{}</span>\
         <span class=\"{}\">{} {}</span></summary><dl>{body}</dl></details></td>\n",
        escape(&cell.claimed),
        class(&cell.verdict),
        cell.verdict.mark(),
        escape(measured)
    )
}

/// Where a value was read, with links to the cells that it names, and what their probes say.
fn evidence(run: &Run, cell: &MatrixCell) -> String {
    if cell.evidence.is_empty() {
        return String::new();
    }
    let words: Vec<&str> = cell.evidence.split(' ').collect();
    let linked: Vec<String> = words.iter().map(|word| linked(run, word)).collect();
    let mut out = format!("<dt>Evidence</dt><dd>{}</dd>", linked.join(" "));
    let asked: Vec<&str> = words.windows(2).filter(|pair| pair[0] == "probe").map(|pair| pair[1]).collect();
    let cells = words.iter().filter_map(|word| named(run, bare(word)));
    for probe in cells.flat_map(|cell| &cell.probes).filter(|probe| asked.contains(&probe.name.as_str())) {
        let figure = |(name, value): (&String, &f64)| format!("{} {}", name.replace('_', " "), short(*value));
        let figures = probe.evidence.iter().map(figure);
        let figures = figures.collect::<Vec<_>>().join(", ");
        // The condition says most details already.
        let detail = if cell.condition.contains(&probe.detail) { "" } else { &probe.detail };
        let text = join([probe.found.as_str(), detail, &figures], "; ");
        out += &format!("<dt>Probe {}</dt><dd>{}</dd>", escape(&probe.name), escape(&text));
    }
    out
}

/// The cell that a word names; of several repetitions the first.
fn named<'a>(run: &'a Run, word: &str) -> Option<&'a Cell> {
    run.cells.iter().find(|cell| cell.spec.id.is_named(word))
}

/// A word without what punctuates it.
fn bare(word: &str) -> &str {
    word.trim_end_matches([',', ';'])
}

/// A word, as a link where it is the name of a cell. Names of metrics may break after each of their words.
fn linked(run: &Run, word: &str) -> String {
    let name = bare(word);
    match named(run, name) {
        Some(cell) => {
            let rest = &word[name.len()..];
            format!("<a href=\"#{}\">{}</a>{}", escape(&anchor(cell)), escape(name), escape(rest))
        }
        None => escape(word).replace('_', "_<wbr>"),
    }
}

/// The claims outside of the matrix that the run answers.
pub(super) fn further(run: &Run) -> String {
    let answers = other_claims::answers(&run.cells);
    let rows: Vec<Vec<String>> = answers
        .iter()
        .map(|answer| {
            vec![
                format!("{}: {}", answer.claim.subject, answer.claim.claim),
                answer.measured.clone(),
                format!("{} {}", answer.verdict.mark(), answer.verdict.word()),
                answer.condition.clone(),
                answer.evidence.clone(),
            ]
        })
        .collect();
    let heads = ["claim", "measured", "verdict", "condition", "evidence"];
    let body = table(Content::Words, &heads, &rows);
    section("claims", "Further claims that this run answers", &body)
}

/// What many users cost.
pub(super) fn costs(run: &Run) -> String {
    let (costs, drift) = cost::of(run);
    let Some(first) = costs.first() else { return String::new() };
    let row = |cost: &Projection| {
        let mut row = vec![super::cell_groups::title(&cost.protocol).to_owned()];
        row.extend(projection::row(cost));
        row.push(join(cost.arithmetic.iter().map(String::as_str), "; "));
        row
    };
    let heads: Vec<&str> = std::iter::once("protocol").chain(projection::HEADS).chain(["how"]).collect();
    let rows: Vec<Vec<String>> = costs.iter().map(row).collect();
    let what = format!("What {} users of this workload cost", short(first.users));
    let mut body = paragraph("", &format!("{}.", projection::workload(&costs)));
    body += &table(Content::Words, &heads, &rows);
    body += &paragraph("faint", &crate::projection::basis(drift));
    section("cost", &what, &body)
}
