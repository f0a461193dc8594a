//! The result in three lines: what came out, what it cost, whether to believe it.

use super::cell_groups::title;
use super::markup::escape;
use super::trust;
use crate::capacity::curve::Curve;
use crate::guide::kind;
use crate::guide::matrix::Matrix;
use crate::measure::cell::Cell;
use crate::measure::repeats::Repeats;
use crate::measure::run::Run;
use crate::number::short;
use crate::report::capacity::must_hold;
use crate::report::join;

/// The lines as a list.
pub(super) fn summary(run: &Run, matrix: Option<&Matrix>, curves: &[Curve<'_>]) -> String {
    let (first, second) = match matrix {
        Some(matrix) => (verdicts(matrix), best(run)),
        // Whoever searches for a limit crosses it: that some thresholds broke is no news.
        None if !curves.is_empty() => (headlines(curves), format!("Must hold: {}.", must_hold(run))),
        None => (deliveries(run), join([thresholds(run).as_str(), &best(run)], " ")),
    };
    let lines = [first, second, trust::sentence(run)];
    let items =
        lines.iter().filter(|line| !line.is_empty()).map(|line| format!("<li>{}</li>\n", escape(line)));
    format!("<ul class=\"summary\">\n{}</ul>\n", items.collect::<String>())
}

fn thresholds(run: &Run) -> String {
    trust::thresholds_sentence(run).unwrap_or_default()
}

/// How far the server goes with each protocol.
fn headlines(curves: &[Curve<'_>]) -> String {
    let lines: Vec<String> =
        curves.iter().map(|c| format!("{}: {}", title(c.protocol), c.headline())).collect();
    lines.join("; ")
}

/// How many claims of the matrix hold.
fn verdicts(matrix: &Matrix) -> String {
    let count = |word: &str| matrix.cells().filter(|cell| cell.verdict.word() == word).count();
    let words = [('✓', "reproduced"), ('✗', "not reproduced"), ('≈', "depends"), ('·', "not measured")];
    let parts = words.iter().map(|(mark, word)| (count(word), mark, word)).filter(|(n, ..)| *n > 0);
    let parts = parts.map(|(n, mark, word)| format!("{n} {mark} {word}"));
    let parts: Vec<String> = parts.collect();
    format!("Of {} claims of the matrix: {}.", matrix.cells().count(), parts.join(", "))
}

/// What was delivered, all cells together.
fn deliveries(run: &Run) -> String {
    let sum = |of: fn(&Cell) -> u64| run.cells.iter().map(of).sum::<u64>() as f64;
    let (owed, arrived) = (sum(|c| c.counts.expected), sum(|c| c.counts.delivered));
    let lost = sum(|c| c.counts.lost);
    format!(
        "{}: {} of {} deliveries arrived, {} lost.",
        trust::cells_in_words(run),
        short(arrived),
        short(owed),
        short(lost)
    )
}

/// Who was quickest and who cost least, among the cells of the workload, or all where there is none of that name.
fn best(run: &Run) -> String {
    let mut cells = Repeats::of(run.cells.iter().filter(|c| is_workload(c)));
    if cells.is_empty() {
        cells = Repeats::of(&run.cells);
    }
    let several = cells
        .windows(2)
        .any(|pair| pair[0].first().spec.id.protocol.name != pair[1].first().spec.id.protocol.name);
    let values = |name: &str| {
        let mut values: Vec<_> = cells
            .iter()
            .filter_map(|r| Some((title(r.first().spec.id.protocol.name), r.median_range(name)?.median)))
            .collect();
        values.sort_by(|a, b| a.1.total_cmp(&b.1));
        values
    };
    let say = |what: &str, name: &str, unit: &str| {
        let values = values(name);
        let ((protocol, least), (_, most)) = (values.first()?, values.last()?);
        let (least, most) = (short(*least), short(*most));
        Some(match several {
            true => format!("{what} {protocol} ({least} {unit})"),
            false if least == most => format!("{what} {least} {unit}"),
            false => format!("{what} {least} to {most} {unit}"),
        })
    };
    let (p99, cpu, bytes) = match several {
        true => ("lowest p99 latency", "least server CPU per delivery", "fewest bytes beyond payload"),
        false => ("p99 latency", "server CPU per delivery", "bytes beyond payload"),
    };
    let parts = [
        say(p99, "response_p99_ms", "ms"),
        say(cpu, "server_cpu_us_per_delivery", "us"),
        say(bytes, "overhead_bytes_per_delivery", "B"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let text = parts.join(", ");
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// The cells that carry the workload itself, over no emulated link.
fn is_workload(cell: &Cell) -> bool {
    cell.spec.id.is_of(kind::WORKLOAD) && cell.spec.id.link().is_none()
}
