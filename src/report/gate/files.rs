//! A gate as CSV: its metrics with the verdict, the slices that they rest on, and what a selftest adds up to.

use std::io::{self, Write};

use super::{is_gate, is_selftest};
use crate::gate::exact::{Difference, Unsteady};
use crate::gate::judge::{self, Judgement, Row};
use crate::gate::selftest::{self, Tally};
use crate::gate::{Side, power};
use crate::measure::cell::Slice;
use crate::measure::metric::Tier;
use crate::measure::run::Run;
use crate::report::Format;
use crate::report::csv_column::{self, Column};

/// A row per cell and metric.
pub(in crate::report) struct Metrics;

/// A row per slice of each replicate and side.
pub(in crate::report) struct Slices;

/// A row per arm of a selftest.
pub(in crate::report) struct Selftest;

/// What a row of `gate.csv` is made from.
pub(in crate::report) struct Line<'a> {
    judgement: &'a Judgement,
    figures: Figures<'a>,
}

enum Figures<'a> {
    Noisy(&'a Row),
    Exact(&'a Difference),
    Unsteady(&'a Unsteady),
}

impl Line<'_> {
    fn all(judgement: &Judgement) -> impl Iterator<Item = Line<'_>> {
        let noisy = judgement.noisy.iter().map(Figures::Noisy);
        let exact = judgement.exact.differences.iter().map(Figures::Exact);
        let unsteady = judgement.exact.unsteady.iter().map(Figures::Unsteady);
        noisy.chain(exact).chain(unsteady).map(move |figures| Line { judgement, figures })
    }

    fn noisy(&self) -> Option<&Row> {
        if let Figures::Noisy(row) = self.figures { Some(row) } else { None }
    }

    /// A ratio of new to base as a change in percent; none where it is without limit.
    fn percent(ratio: f64) -> Option<f64> {
        (ratio.is_finite() && ratio > 0.0).then_some((ratio - 1.0) * 100.0)
    }

    fn change_percent(&self) -> Option<f64> {
        match self.figures {
            Figures::Noisy(row) => Line::percent(row.ratio),
            Figures::Exact(difference) => Line::percent(difference.new / difference.base),
            Figures::Unsteady(unsteady) => Line::percent(unsteady.new[1] / unsteady.base[1]),
        }
    }

    fn p(&self) -> Option<f64> {
        match self.figures {
            Figures::Noisy(row) => row.p,
            Figures::Exact(_) => None,
            Figures::Unsteady(unsteady) => Some(unsteady.p),
        }
    }
}

/// Columns of `gate.csv`, in their order.
#[rustfmt::skip]
pub(in crate::report) fn metric_columns<'a>() -> Vec<Column<Line<'a>>> {
    vec![
        Column::text("cell", "Name of the cell in the scenario", |line| line.judgement.cell.to_string()),
        Column::text("verdict", "Of the cell: pass, inconclusive or regression", |line| line.judgement.finding.outcome.word().to_owned()),
        Column::text("metric", "Name of the metric; of the exact tier those that differ, and those of which the base does not agree with itself", |line| match line.figures {
            Figures::Noisy(row) => row.metric.name.to_owned(),
            Figures::Exact(difference) => difference.metric.to_owned(),
            Figures::Unsteady(unsteady) => unsteady.metric.to_owned(),
        }),
        Column::text("unit", "Unit of base and new", |line| match line.figures {
            Figures::Noisy(row) => row.metric.unit.to_owned(),
            Figures::Exact(difference) => difference.unit.to_owned(),
            Figures::Unsteady(unsteady) => unsteady.unit.to_owned(),
        }),
        Column::text("tier", "exact or noisy", |line| match line.figures {
            Figures::Noisy(_) => Tier::Noisy.word().to_owned(),
            Figures::Exact(_) | Figures::Unsteady(_) => Tier::Exact.word().to_owned(),
        }),
        Column::text("role", "decides or reported: whether it can fail the gate", |line| match line.figures {
            Figures::Noisy(row) if !row.decides => "reported".to_owned(),
            _ => "decides".to_owned(),
        }),
        Column::whole("replicates", "", "Pairs of fresh processes that count", |line| Some(line.judgement.replicates as f64)),
        Column::number("base", "", "Median over the base's cells; of the exact tier what all of them have, or the worst", |line| match line.figures {
            Figures::Noisy(row) => Some(row.medians[0]),
            Figures::Exact(difference) => Some(difference.base),
            Figures::Unsteady(unsteady) => Some(unsteady.base[1]),
        }),
        Column::number("new", "", "Median over the new side's cells; of the exact tier the worst", |line| match line.figures {
            Figures::Noisy(row) => Some(row.medians[1]),
            Figures::Exact(difference) => Some(difference.new),
            Figures::Unsteady(unsteady) => Some(unsteady.new[1]),
        }),
        Column::number("change_percent", "%", "Hodges-Lehmann shift of new against base over the replicates; of the exact tier the difference", Line::change_percent),
        Column::number("low_percent", "%", "Its lower limit: 97.5% one-sided, of the metric that decides that of its last look; empty where there is none", |line| Line::percent(line.noisy()?.limits.low)),
        Column::number("high_percent", "%", "Its upper limit", |line| Line::percent(line.noisy()?.limits.high)),
        Column::number("p_value", "", "Two-sided p of no change; adjusted (Holm) for all but the metric that decides; of an exact metric of which the base does not agree with itself that of ranks which lean so far to the worse", Line::p),
        Column::number("detectable_percent", "%", "Smallest change for the worse that gates of such replicates find with 90% by the last look; never below the smallest that counts", |line| Line::percent(power::detectable_by(&line.noisy()?.look?).exp())),
        Column::text("why", "Why the cell has its verdict", |line| line.judgement.finding.why.clone()),
    ]
}

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
        let judgements = judge::of(run);
        let lines = judgements.iter().flat_map(Line::all).map(|line| (run.ending(), line));
        csv_column::write_of(&metric_columns(), lines, out)
    }
}

/// What a row of `slices.csv` is made from.
pub(in crate::report) struct Cut<'a> {
    cell: String,
    replicate: u32,
    side: Side,
    /// From 1.
    number: usize,
    slice: &'a Slice,
}

/// Columns of `slices.csv`, in their order.
#[rustfmt::skip]
pub(in crate::report) fn slice_columns<'a>() -> Vec<Column<Cut<'a>>> {
    vec![
        Column::text("cell", "Name of the cell in the scenario", |cut| cut.cell.clone()),
        Column::whole("replicate", "", "Which pair of fresh processes, from 1", |cut| Some((cut.replicate + 1).into())),
        Column::text("side", "base or new", |cut| cut.side.word().to_owned()),
        Column::whole("slice", "", "Which of the side's slices, from 1; slices of one number stood next to each other", |cut| Some(cut.number as f64)),
        Column::whole("delivered", "", "Deliveries of the events that were due in it", |cut| Some(cut.slice.delivered as f64)),
        Column::whole("server_cpu_ns", "ns", "CPU of the server for it", |cut| cut.slice.server_cpu_ns.map(|ns| ns as f64)),
        Column::whole("generator_cpu_ns", "ns", "CPU of the workers for it", |cut| cut.slice.generator_cpu_ns.map(|ns| ns as f64)),
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
        let cells = run.cells.iter().filter_map(|cell| Some((cell, cell.spec.id.sided()?)));
        let cuts = cells.flat_map(|(cell, (side, id))| {
            let name = id.to_string();
            let replicate = cell.spec.repeat;
            let cut =
                move |(index, slice)| Cut { cell: name.clone(), replicate, side, number: index + 1, slice };
            cell.slices.iter().enumerate().map(cut)
        });
        csv_column::write_of(&slice_columns(), cuts.map(|cut| (run.ending(), cut)), out)
    }
}

/// Columns of `selftest.csv`, in their order.
#[rustfmt::skip]
pub(in crate::report) fn tally_columns() -> Vec<Column<Tally>> {
    vec![
        Column::text("change", "What the new side had beyond the base", |tally| tally.arm.about.to_owned()),
        Column::whole("gates", "", "Gates run", |tally| Some(tally.gates as f64)),
        Column::whole("regressions", "", "Those that found a regression: false alarms where nothing was changed", |tally| Some(tally.regressions as f64)),
        Column::whole("inconclusive", "", "Those that could not tell", |tally| Some(tally.inconclusive as f64)),
        Column::number("regression_percent", "%", "Share that found a regression", |tally| Some(tally.rate * 100.0)),
        Column::number("low_percent", "%", "Lower end of its exact 95% interval (Clopper and Pearson)", |tally| Some(tally.bounds.low * 100.0)),
        Column::number("high_percent", "%", "Upper end", |tally| Some(tally.bounds.high * 100.0)),
        Column::number("found_percent", "%", "Median over the gates of the change found in the metric that decides", |tally| Some(tally.change? * 100.0)),
        Column::number("replicates", "", "Median of the replicates that a gate took", |tally| Some(tally.replicates)),
        Column::number("longest_s", "s", "The longest gate", |tally| Some(tally.longest_s)),
    ]
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
        let tallies = selftest::of(run).into_iter().map(|tally| (run.ending(), tally));
        csv_column::write_of(&tally_columns(), tallies, out)
    }
}
