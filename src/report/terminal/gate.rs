//! What `gate` shows at its end: the verdict on each cell, and the figures it rests on.

use owo_colors::OwoColorize;

use super::{conditions, faint, origin, pad, paint, strong, unsure, wrap};
use crate::gate::Side;
use crate::gate::judge::{self, Judgement};
use crate::measure::run::Run;
use crate::report::gate::{
    FIGURE_HEADS, TALLY_HEADS, exact_rows, figures, is_selftest, mark, power_of, remarks, tallies,
};

/// A gate, at most `width` characters wide as long as its figures are.
pub fn gate(run: &Run, width: usize) -> String {
    let mut out = String::new();
    if let Some(gate) = &run.file.gate {
        for (side, words) in Side::BOTH.iter().zip(&gate.sides).filter(|(_, words)| !words.is_empty()) {
            out += &wrap(&pad(side.word(), 6), words, width);
        }
    }
    if is_selftest(run) {
        let rows = tallies(run);
        out += "\n";
        out += &aligned(&TALLY_HEADS.map(str::to_owned), &rows, gap(width), |_| false);
        return out + &origin(run, width);
    }
    out += &judge::of(run).iter().map(|judgement| block(judgement, width)).collect::<String>();
    out += &conditions(run, width);
    out + &origin(run, width)
}

fn block(judgement: &Judgement, width: usize) -> String {
    let Judgement { cell, finding, replicates, exact, .. } = judgement;
    let mark = mark(finding.outcome);
    let verdict = paint(mark, &format!("{mark} {}", finding.outcome.word()));
    let mut out = format!("\n{}  {verdict}  {replicates} replicates\n", cell.style(strong()));
    out += &wrap("  ", &finding.why, width);
    out += &table(judgement, width);
    for row in exact_rows(judgement) {
        let p = row.p.map_or(String::new(), |p| format!(" (p = {p})"));
        out += &wrap(
            "  exact  ",
            &format!("{}: {} -> {}, {}{p}", row.metric, row.base, row.new, row.word),
            width,
        );
    }
    if exact.agree > 0 {
        out += &wrap("  exact  ", &format!("{} metrics agree to the last digit", exact.agree), width);
    }
    if let Some(power) = power_of(judgement) {
        out += &wrap("  power  ", &power, width).style(faint()).to_string();
    }
    for remark in remarks(judgement) {
        out += &wrap("  ! ", &remark, width).style(unsure()).to_string();
    }
    out
}

/// Columns from which there is room for two blanks between columns.
const WIDE: usize = 100;

fn gap(width: usize) -> &'static str {
    if width >= WIDE { "  " } else { " " }
}

fn table(judgement: &Judgement, width: usize) -> String {
    if judgement.noisy.is_empty() {
        return String::new();
    }
    let heads = FIGURE_HEADS.map(str::to_owned);
    let rows: Vec<[String; 6]> = judgement.noisy.iter().map(figures).collect();
    aligned(&heads, &rows, gap(width), |row| judgement.noisy[row].decides)
}

/// Columns under their heads, the first to the left and the others to the right.
fn aligned<const N: usize>(
    heads: &[String; N],
    rows: &[[String; N]],
    gap: &str,
    is_strong: impl Fn(usize) -> bool,
) -> String {
    let widths: [usize; N] = std::array::from_fn(|i| {
        let texts = rows.iter().chain([heads]).map(|row| row[i].chars().count());
        texts.max().unwrap_or(0)
    });
    let line = |row: &[String; N]| {
        let texts = row.iter().enumerate().map(|(i, text)| match i {
            0 => pad(text, widths[i]),
            _ => format!("{text:>width$}", width = widths[i]),
        });
        format!("  {}", texts.collect::<Vec<_>>().join(gap))
    };
    let mut out = format!("{}\n", line(heads).style(faint()));
    for (index, row) in rows.iter().enumerate() {
        let text = line(row);
        out += &match is_strong(index) {
            true => format!("{}\n", text.style(strong())),
            false => format!("{text}\n"),
        };
    }
    out
}
