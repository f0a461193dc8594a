//! A gate as files: its verdicts, its metrics, and the slices that they rest on.

use std::io::{self, Write};

use super::Format;
use super::csv::field;
use super::markdown::escape;
use crate::claim::verdict::{short, with_unit};
use crate::gate::judge::{self, Judgement, Outcome, Row};
use crate::gate::plan::{CellPlan, USUAL_DEVIATION};
use crate::gate::selftest;
use crate::gate::{Side, Tiers, cell_of};
use crate::measure::metric::Tier;
use crate::measure::run::{Run, RunKind};

fn is_gate(run: &Run) -> bool {
    run.file.kind == RunKind::Gate
}

pub(super) fn is_selftest(run: &Run) -> bool {
    run.file.gate.as_ref().is_some_and(|gate| gate.selftest)
}

/// A row per cell and metric.
pub(super) struct Metrics;

/// A row per slice of each replicate and side.
pub(super) struct Slices;

/// The verdicts, for a pull request.
pub(super) struct Page;

/// A row per arm of a selftest.
pub(super) struct Selftest;

/// Columns of `gate.csv`, in their order.
const METRIC_COLUMNS: [&str; 15] = [
    "cell",
    "verdict",
    "metric",
    "unit",
    "tier",
    "decides",
    "replicates",
    "base",
    "new",
    "change_percent",
    "low_percent",
    "high_percent",
    "p_value",
    "detectable_percent",
    "why",
];

impl Format for Metrics {
    fn name(&self) -> &'static str {
        "gate.csv"
    }

    fn about(&self) -> &'static str {
        "A gate: a row per cell and metric, with the verdict"
    }

    fn fits(&self, run: &Run) -> bool {
        is_gate(run)
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("gate.csv")
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let mut rows = csv::Writer::from_writer(out);
        rows.write_record(METRIC_COLUMNS)?;
        for judgement in judge::of(run) {
            for row in &judgement.noisy {
                rows.write_record(noisy_record(&judgement, row))?;
            }
            for difference in &judgement.exact.differences {
                rows.write_record([
                    judgement.cell.as_str(),
                    judgement.finding.outcome.word(),
                    difference.metric,
                    difference.unit,
                    Tier::Exact.word(),
                    "true",
                    &judgement.replicates.to_string(),
                    &difference.base.to_string(),
                    &difference.new.to_string(),
                    &field(change(difference.base, difference.new)),
                    "",
                    "",
                    "",
                    "",
                    if difference.worse { "worse" } else { "better" },
                ])?;
            }
        }
        rows.flush()
    }
}

fn change(base: f64, new: f64) -> Option<f64> {
    (base != 0.0).then(|| (new / base - 1.0) * 100.0)
}

fn noisy_record(judgement: &Judgement, row: &Row) -> [String; 15] {
    let percent = |ratio: f64| field(ratio.is_finite().then(|| (ratio - 1.0) * 100.0));
    [
        judgement.cell.clone(),
        judgement.finding.outcome.word().to_owned(),
        row.metric.name.to_owned(),
        row.metric.unit.to_owned(),
        Tier::Noisy.word().to_owned(),
        row.decides.to_string(),
        judgement.replicates.to_string(),
        row.medians[0].to_string(),
        row.medians[1].to_string(),
        percent(row.ratio),
        // No limit below is one of -100%, which is none.
        if row.limits.low > 0.0 { percent(row.limits.low) } else { String::new() },
        percent(row.limits.high),
        field(row.p),
        row.look.map_or(String::new(), |look| percent(look.detectable.exp())),
        if row.decides { judgement.finding.why.clone() } else { String::new() },
    ]
}

impl Format for Slices {
    fn name(&self) -> &'static str {
        "slices.csv"
    }

    fn about(&self) -> &'static str {
        "A gate: a row per slice of each replicate, deliveries and CPU"
    }

    fn fits(&self, run: &Run) -> bool {
        is_gate(run)
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("slices.csv")
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let mut rows = csv::Writer::from_writer(out);
        rows.write_record([
            "cell",
            "replicate",
            "side",
            "slice",
            "delivered",
            "server_cpu_ns",
            "generator_cpu_ns",
        ])?;
        for cell in &run.cells {
            let Some((side, name)) = cell_of(&cell.spec.name) else { continue };
            for (index, slice) in cell.slices.iter().enumerate() {
                let number = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
                rows.write_record([
                    name,
                    &(cell.spec.repeat + 1).to_string(),
                    side.word(),
                    &(index + 1).to_string(),
                    &slice.delivered.to_string(),
                    &number(slice.server_cpu_ns),
                    &number(slice.generator_cpu_ns),
                ])?;
            }
        }
        rows.flush()
    }
}

impl Format for Selftest {
    fn name(&self) -> &'static str {
        "selftest.csv"
    }

    fn about(&self) -> &'static str {
        "How often gates were wrong: a row per known change, with false alarms and power"
    }

    fn fits(&self, run: &Run) -> bool {
        is_selftest(run)
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("selftest.csv")
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let mut rows = csv::Writer::from_writer(out);
        rows.write_record([
            "change",
            "gates",
            "regressions",
            "inconclusive",
            "regression_percent",
            "low_percent",
            "high_percent",
            "found_percent",
            "replicates",
            "longest_s",
        ])?;
        for tally in selftest::of(run) {
            let percent = |share: f64| (share * 100.0).to_string();
            rows.write_record([
                tally.arm.about,
                &tally.gates.to_string(),
                &tally.regressions.to_string(),
                &tally.inconclusive.to_string(),
                &percent(tally.rate),
                &percent(tally.bounds.low),
                &percent(tally.bounds.high),
                &tally.change.map_or(String::new(), percent),
                &tally.replicates.to_string(),
                &tally.longest_s.to_string(),
            ])?;
        }
        rows.flush()
    }
}

/// The tallies of a selftest for people: what is changed, and its figures.
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

/// Heads of those.
pub(super) const TALLY_HEADS: [&str; 7] =
    ["change", "gates", "regression", "inconclusive", "rate (95%)", "found", "replicates"];

impl Format for Page {
    fn name(&self) -> &'static str {
        "gate.md"
    }

    fn about(&self) -> &'static str {
        "A gate: the verdict on each cell with its figures, for a pull request"
    }

    fn fits(&self, run: &Run) -> bool {
        is_gate(run)
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("gate.md")
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "# rtbench gate: {}\n", escape(&run.file.scenario.name))?;
        if let Some(gate) = &run.file.gate {
            for (side, words) in Side::BOTH.iter().zip(&gate.sides) {
                writeln!(out, "- {}: `{words}`", side.word())?;
            }
        }
        if is_selftest(run) {
            writeln!(out, "\n| {} |\n|{}", TALLY_HEADS.join(" | "), "---|".repeat(TALLY_HEADS.len()))?;
            for row in tallies(run) {
                writeln!(out, "| {} |", row.join(" | "))?;
            }
        }
        for judgement in judge::of(run).into_iter().filter(|_| !is_selftest(run)) {
            let Judgement { cell, finding, replicates, untrusted, exact, .. } = &judgement;
            let mark = mark(finding.outcome);
            writeln!(
                out,
                "\n## {mark} {}: {}\n\n{}.\n",
                escape(cell),
                finding.outcome.word(),
                escape(&finding.why)
            )?;
            writeln!(out, "| metric | base | new | change | limits | p |\n|---|---|---|---|---|---|")?;
            for row in &judgement.noisy {
                let [name, base, new, change, limits, p] = figures(row);
                let name = if row.decides { format!("**{name}** (decides)") } else { name };
                writeln!(out, "| {name} | {base} | {new} | {change} | {limits} | {p} |")?;
            }
            for difference in &exact.differences {
                let [base, new] = [difference.base, difference.new].map(|v| with_unit(v, difference.unit));
                let word = if difference.worse { "worse" } else { "better" };
                writeln!(out, "| {} | {base} | {new} | {word} | exact | |", difference.metric)?;
            }
            writeln!(out, "\n{replicates} replicates; {} exact metrics agree.", exact.agree)?;
            for doubt in untrusted {
                writeln!(out, "- not counted: {}", escape(doubt))?;
            }
        }
        let file = &run.file;
        writeln!(
            out,
            "\nMeasured by `{}` on {}, {}.",
            super::command_line(run),
            file.started,
            file.host.summary()
        )
    }
}

/// The mark of a verdict.
pub(super) fn mark(outcome: Outcome) -> char {
    match outcome {
        Outcome::Pass => '✓',
        Outcome::Inconclusive => '≈',
        Outcome::Regression => '✗',
    }
}

/// A noisy metric for people: name, base, new, change, limits, p.
pub(super) fn figures(row: &Row) -> [String; 6] {
    let percent = |ratio: f64| match ratio.is_finite() && ratio > 0.0 {
        true => format!("{:+.1}%", (ratio - 1.0) * 100.0),
        false => "?".to_owned(),
    };
    [
        row.metric.name.to_owned(),
        with_unit(row.medians[0], row.metric.unit),
        with_unit(row.medians[1], row.metric.unit),
        percent(row.ratio),
        format!("{} to {}", percent(row.limits.low), percent(row.limits.high)),
        row.p.map_or(String::new(), |p| if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }),
    ]
}

/// What fits into a budget, for people.
pub fn plan(plans: &[CellPlan], budget_s: f64, tiers: Tiers, metric: &str) -> String {
    let mut out = format!("{} cells in {} s\n", plans.len(), short(budget_s));
    for plan in plans {
        let each = short(plan.replicate_s);
        out += &format!("\n{}: {} replicates of {each} s\n", plan.cell, plan.replicates);
        let exact = if plan.is_too_short() { "too few" } else { "any change, to the last byte" };
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
