//! A gate for people: its verdicts as a page, its figures as words.

use std::io::{self, Write};

use super::command_line;
use super::markdown::{escape, table};
use crate::claim::verdict::{short, with_unit};
use crate::gate::judge::{self, Judgement, Outcome, Row};
use crate::gate::plan::{CellPlan, USUAL_DEVIATION};
use crate::gate::selftest;
use crate::gate::{Side, Tiers};
use crate::measure::run::{Run, RunKind};

mod files;
#[cfg(test)]
mod tests;

pub(super) use files::{Metrics, Selftest, Slices, metric_columns, slice_columns, tally_columns};

fn is_gate(run: &Run) -> bool {
    run.file.kind == RunKind::Gate
}

pub(super) fn is_selftest(run: &Run) -> bool {
    run.file.gate.as_ref().is_some_and(|gate| gate.selftest)
}

/// The mark of a verdict.
pub(super) fn mark(outcome: Outcome) -> char {
    match outcome {
        Outcome::Pass => '✓',
        Outcome::Inconclusive => '≈',
        Outcome::Regression => '✗',
    }
}

/// Heads of the noisy metrics that people see.
pub(super) const FIGURE_HEADS: [&str; 6] = ["metric", "base", "new", "change", "limits", "p"];

/// A noisy metric as people see it.
pub(super) fn figures(row: &Row) -> [String; 6] {
    let percent = |ratio: f64| match ratio.is_finite() && ratio > 0.0 {
        true => format!("{:+.1}", (ratio - 1.0) * 100.0),
        false => "?".to_owned(),
    };
    [
        row.metric.name.to_owned(),
        with_unit(row.medians[0], row.metric.unit),
        with_unit(row.medians[1], row.metric.unit),
        format!("{}%", percent(row.ratio)),
        format!("{} to {}%", percent(row.limits.low), percent(row.limits.high)),
        row.p.map_or(String::new(), |p| if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }),
    ]
}

/// The metrics of a cell as people see them: the noisy ones, then those of the exact tier that differ.
pub(super) fn rows(judgement: &Judgement) -> Vec<Vec<String>> {
    let noisy = judgement.noisy.iter().map(|row| {
        let mut figures = figures(row);
        if row.decides {
            figures[0] += " (decides)";
        }
        Vec::from(figures)
    });
    let differing = judgement.exact.differences.iter().map(|difference| {
        let [base, new] = [difference.base, difference.new].map(|value| with_unit(value, difference.unit));
        let word = if difference.worse { "worse" } else { "better" };
        [difference.metric, &base, &new, word, "exact", ""].map(str::to_owned).to_vec()
    });
    noisy.chain(differing).collect()
}

/// Heads of a selftest's tallies that people see.
pub(super) const TALLY_HEADS: [&str; 7] =
    ["change", "gates", "found", "unsure", "rate of finding (95%)", "size found", "replicates"];

/// The tallies of a selftest as people see them.
pub(super) fn tallies(run: &Run) -> Vec<[String; 7]> {
    let percent = |share: f64| format!("{:.1}%", share * 100.0);
    let row = |tally: selftest::Tally| {
        [
            tally.arm.about.to_owned(),
            tally.gates.to_string(),
            tally.regressions.to_string(),
            tally.inconclusive.to_string(),
            format!("{} to {}", percent(tally.bounds.low), percent(tally.bounds.high)),
            tally.change.map_or(String::new(), |share| format!("{:+.1}%", share * 100.0)),
            format!("{:.0}", tally.replicates),
        ]
    };
    selftest::of(run).into_iter().map(row).collect()
}

/// The verdicts, for a pull request.
pub(super) fn page(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# rtbench gate: {}\n", escape(&run.file.scenario.name))?;
    if let Some(gate) = &run.file.gate {
        for (side, words) in Side::BOTH.iter().zip(&gate.sides).filter(|(_, words)| !words.is_empty()) {
            writeln!(out, "- {}: `{words}`", side.word())?;
        }
    }
    if is_selftest(run) {
        writeln!(out)?;
        table(&TALLY_HEADS, tallies(run).into_iter().map(Vec::from), out)?;
    } else {
        judge::of(run).iter().try_for_each(|judgement| verdict(judgement, out))?;
    }
    let (file, host) = (&run.file, run.file.host.summary());
    writeln!(out, "\nMeasured by `{}` on {}, {host}.", command_line(run), file.started)
}

fn verdict(judgement: &Judgement, out: &mut dyn Write) -> io::Result<()> {
    let Judgement { cell, finding, replicates, untrusted, exact, .. } = judgement;
    let (mark, word) = (mark(finding.outcome), finding.outcome.word());
    writeln!(out, "\n## {mark} {}: {word}\n\n{}.\n", escape(cell), escape(&finding.why))?;
    table(&FIGURE_HEADS, rows(judgement).into_iter(), out)?;
    writeln!(out, "\n{replicates} replicates; {} exact metrics agree.", exact.agree)?;
    untrusted.iter().try_for_each(|doubt| writeln!(out, "\n- not counted: {}", escape(doubt)))
}

/// What fits into a budget, for people.
pub fn plan(plans: &[CellPlan], budget_s: f64, tiers: Tiers, metric: &str) -> String {
    let mut out = format!("{} cells in {} s\n", plans.len(), short(budget_s));
    for plan in plans {
        let each = short(plan.replicate_s);
        out += &format!("\n{}: {} replicates of {each} s\n", plan.cell, plan.replicates);
        let exact = if plan.is_too_short() { "too few replicates" } else { "any change, to the last byte" };
        out += &format!("  exact tier    {exact}\n");
        if tiers == Tiers::All {
            let noisy = match (plan.last, plan.detectable(USUAL_DEVIATION)) {
                (Some(step), Some(share)) => format!(
                    "{metric}: {} is found with 90% at {} replicates, if they scatter by {} as on a quiet machine",
                    with_unit(share * 100.0, "%"),
                    step.replicates,
                    with_unit(USUAL_DEVIATION * 100.0, "%")
                ),
                _ => format!("{metric}: too few for the first look; raise --budget"),
            };
            out += &format!("  noisy tier    {noisy}\n");
        }
    }
    out
}
