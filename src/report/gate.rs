//! A gate for people: its verdicts as a page, its figures as words.

use std::io::{self, Write};

use super::command_line;
use super::markdown::markup::{escape, table};
use crate::gate::exact::Standing;
use crate::gate::judge::{self, Judgement, Outcome, Row, apart, span};
use crate::gate::plan::{CellPlan, USUAL_DEVIATION};
use crate::gate::rule::{self, Rule};
use crate::gate::{Side, Tiers};
use crate::gate::{power, selftest};
use crate::measure::run::{Run, RunKind};
use crate::number::{short, with_unit};

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
        row.p.map_or(String::new(), p_value),
    ]
}

/// The metrics of a cell as people see them: the noisy ones, then those of the exact tier that differ, and those of which
/// the base does not agree with itself.
pub(super) fn rows(judgement: &Judgement) -> Vec<Vec<String>> {
    let noisy = judgement.noisy.iter().map(|row| {
        let mut figures = figures(row);
        if row.decides {
            figures[0] += " (decides)";
        }
        Vec::from(figures)
    });
    let exact = exact_rows(judgement).into_iter().map(|row| {
        let ExactRow { metric, base, new, word, p } = row;
        vec![metric.to_owned(), base, new, word.to_owned(), "exact".to_owned(), p.unwrap_or_default()]
    });
    noisy.chain(exact).collect()
}

/// A metric of the exact tier as people see it.
pub(super) struct ExactRow {
    pub(super) metric: &'static str,
    pub(super) base: String,
    pub(super) new: String,
    /// What is said of it.
    pub(super) word: &'static str,
    /// Of one of which the base does not agree with itself.
    pub(super) p: Option<String>,
}

/// Those that differ, then those of which the base does not agree with itself.
pub(super) fn exact_rows(judgement: &Judgement) -> Vec<ExactRow> {
    let differing = judgement.exact.differences.iter().map(|difference| {
        let [new, base] = apart(difference.new, difference.base, difference.unit);
        let word = if difference.worse { "worse" } else { "better" };
        ExactRow { metric: difference.metric, base, new, word, p: None }
    });
    let unsteady = judgement.exact.unsteady.iter().map(|unsteady| {
        let [base, new] = [unsteady.base, unsteady.new].map(|range| span(range, unsteady.unit));
        ExactRow {
            metric: unsteady.metric,
            base,
            new,
            word: standing(unsteady.standing),
            p: Some(p_value(unsteady.p)),
        }
    });
    differing.chain(unsteady).collect()
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Worse { .. } => "worse",
        Standing::TooFew => "too few",
        Standing::Suspect => "worse?",
        Standing::Alike => "unsteady",
    }
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// What is said of a cell beside its figures: what its servers did wrong, and what does not count.
pub(super) fn remarks(judgement: &Judgement) -> impl Iterator<Item = String> {
    let uncounted = judgement.untrusted.iter().map(|doubt| format!("not counted: {doubt}"));
    judgement.wrong.iter().map(ToString::to_string).chain(uncounted)
}

/// How often a gate of such replicates finds changes of several sizes; `None` before the first look.
pub(super) fn power_of(judgement: &Judgement) -> Option<String> {
    let look = judgement.noisy.first()?.look?;
    let percent = |share: f64| format!("{:.0}%", share * 100.0);
    let found = power::TOLD.map(|times| {
        let effect = times * look.rule.min_effect;
        let odds = power::odds(look.rule, effect.ln_1p(), look.deviation, rule::looks(look.replicates));
        format!("of {:+.1}% in {}", effect * 100.0, percent(odds.found))
    });
    let (count, scatter) = (look.replicates, look.deviation.exp_m1() * 100.0);
    let found = found.join(", ");
    Some(format!("with {count} replicates that scatter by {scatter:.2}%, gates find a true change {found}"))
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
    let Judgement { cell, finding, replicates, exact, .. } = judgement;
    let (mark, word) = (mark(finding.outcome), finding.outcome.word());
    writeln!(out, "\n## {mark} {}: {word}\n\n{}.\n", escape(&cell.to_string()), escape(&finding.why))?;
    table(&FIGURE_HEADS, rows(judgement).into_iter(), out)?;
    writeln!(out, "\n{replicates} replicates; {} exact metrics agree.", exact.agree)?;
    if let Some(power) = power_of(judgement) {
        writeln!(out, "\n{}.", sentence(&power))?;
    }
    let mut remarks = remarks(judgement).peekable();
    if remarks.peek().is_some() {
        writeln!(out)?;
    }
    remarks.try_for_each(|remark| writeln!(out, "- {}", escape(&remark)))
}

/// Gates that a plan simulates for each change.
const SIMULATED: u32 = 10_000;

/// The same with a capital.
pub(super) fn sentence(text: &str) -> String {
    let (first, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
    first.to_uppercase() + rest
}

/// What fits into a budget, for people.
pub fn plan(plans: &[CellPlan], budget_s: f64, tiers: Tiers, metric: &str, rule: Rule) -> String {
    let mut out = format!("{} cells in {} s\n", plans.len(), short(budget_s));
    for plan in plans {
        let each = short(plan.replicate_s);
        out += &format!("\n{}: {} replicates of {each} s\n", plan.cell, plan.replicates);
        let exact = if plan.is_too_short() { "too few replicates" } else { "any change, to the last byte" };
        out += &format!("  exact tier    {exact}\n");
        if tiers == Tiers::All {
            out += &format!("  noisy tier    {metric}: {}\n", noisy_plan(plan, rule));
        }
    }
    out
}

fn noisy_plan(plan: &CellPlan, rule: Rule) -> String {
    let percent = |share: f64| with_unit(share * 100.0, "%");
    let (Some(last), Some(detectable)) = (plan.looks.last(), plan.detectable(rule, USUAL_DEVIATION)) else {
        return "too few for the first look; raise --budget".to_owned();
    };
    let mut out = format!(
        "a change for the worse of {} is found with 90% by {} replicates, if they scatter by {} as on a quiet machine",
        percent(detectable),
        last.replicates,
        percent(USUAL_DEVIATION)
    );
    out += &format!("\n                change   found   by {SIMULATED} simulated gates");
    for power in plan.power(rule, USUAL_DEVIATION, SIMULATED) {
        let [effect, found, simulated] =
            [power.effect, power.found, power.simulated].map(|share| share * 100.0);
        out += &format!("\n                {effect:+5.1}%  {found:5.1}%  {simulated:5.1}%");
    }
    out
}
