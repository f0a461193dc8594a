//! What `capacity` shows at its end: for each protocol the curve, how far the server goes, and the projection.

use owo_colors::{OwoColorize, Style};

use super::matrix::figures;
use super::{bad, conditions, doubts, faint, good, heading, origin, strong, trust_style, unsure, wrap};
use crate::capacity::curve::{self, Curve, Outcome, Step};
use crate::capacity::search::{Ending, Verdict};
use crate::measure::cell::TrustLevel;
use crate::measure::run::Run;
use crate::report::capacity::{self as report, heads, must_hold, rows};

/// Columns from which there is room for two blanks between the columns of a curve.
const WIDE: usize = 100;

/// A search, at most `width` characters wide as long as its figures are.
pub fn capacity(run: &Run, width: usize) -> String {
    let curves = curve::of(run);
    let begun = || curves.iter().filter(|curve| !curve.steps.is_empty());
    let mut out: String = begun().map(|curve| block(curve, width)).collect();
    out += &begun().map(|curve| projected(curve, width)).collect::<String>();
    out += &summary(&curves, run, width);
    out += &conditions(run, width);
    out += &doubts(run, width);
    out + &origin(run, width)
}

fn block(curve: &Curve<'_>, width: usize) -> String {
    let heads = heads(curve.plan.vary);
    let rows = rows(curve);
    let widths: [usize; 11] = std::array::from_fn(|i| {
        let cells = rows.iter().map(|(_, row)| row[i].as_str()).chain(heads[i]);
        cells.map(|text| text.chars().count()).max().unwrap_or(0)
    });
    let gap = if width >= WIDE { "  " } else { " " };
    let line = |cells: [&str; 11]| {
        let cells: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        format!(" {}", cells.join(gap))
    };
    let mut out = format!("\n{}\n", curve.protocol.style(strong()));
    for which in [0, 1] {
        out += &format!("{}\n", line(heads.map(|head| head[which])).style(faint()));
    }
    for (step, row) in &rows {
        let row: [&str; 11] = std::array::from_fn(|i| row[i].as_str());
        out += &format!("{}\n", line(row).style(style(step)));
    }
    out + &notes(&rows, width)
}

/// What speaks against each load, once; what speaks against the measurement stands under Trust.
fn notes(rows: &[(&Step<'_>, [String; 11])], width: usize) -> String {
    let told = rows.iter().filter(|(step, _)| {
        step.judgement.verdict == Verdict::Broken
            || step.judgement.verdict == Verdict::Untold && step.cell.trust.level != TrustLevel::Invalid
    });
    // Each load once, whatever was measured of it.
    let mut texts: Vec<(&str, String)> = Vec::new();
    for (step, row) in told {
        let reasons = step.judgement.reasons.join("; ");
        match texts.last_mut().filter(|(load, _)| *load == row[0]) {
            Some((_, text)) if *text == reasons => {}
            Some((_, text)) => *text += &format!("; again: {reasons}"),
            None => texts.push((&row[0], reasons)),
        }
    }
    let line = |(load, text): &(&str, String)| wrap("  ✗ ", &format!("{load}: {text}"), width);
    texts.iter().map(|text| line(text).style(bad()).to_string()).collect()
}

fn style(step: &Step<'_>) -> Style {
    match step.judgement.verdict {
        Verdict::Held => Style::new(),
        Verdict::Broken => bad(),
        Verdict::Untold => unsure(),
        Verdict::Failed => trust_style("failed"),
    }
}

fn projected(curve: &Curve<'_>, width: usize) -> String {
    let Some((rows, sentences)) = report::projected(curve) else { return String::new() };
    let mut out = heading(&format!("Projected for {}, figures of one server", curve.protocol));
    out += &figures(&report::figure_heads(), &rows);
    for sentence in sentences {
        out += &wrap("  ", &sentence, width);
    }
    out
}

fn summary(curves: &[Curve<'_>], run: &Run, width: usize) -> String {
    let mut out = heading("Capacity");
    out += &wrap("  ", &format!("Must hold: {}.", must_hold(run)), width);
    for curve in curves {
        let (mark, style) = match curve.outcome {
            Outcome::Ended(Ending::Found | Ending::AtMax) => ('✓', good()),
            Outcome::Ended(Ending::NoneHolds | Ending::Failed) => ('✗', bad()),
            Outcome::Ended(Ending::Untold) | Outcome::OutOfTime | Outcome::Interrupted => ('≈', unsure()),
        };
        let text = format!("{}: {}", curve.protocol, curve.headline());
        out += &wrap(&format!("  {mark} "), &text, width).style(style).to_string();
    }
    out
}
