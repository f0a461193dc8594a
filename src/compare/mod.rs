//! Two sets of runs beside each other: per cell and metric how much differs, and whether that is proven. Pure: runs in,
//! a [`Comparison`] out.
//!
//! Repeats of a cell, within a run and over the runs of a set, are its sample; the value of one metric in one repeat is
//! one observation. Whatever is not the same experiment is refused (`comparable.rs`), and what is compared is judged
//! metric by metric (`judge.rs`).

mod comparable;
mod judge;
#[cfg(test)]
mod tests;

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;

pub use comparable::{FieldDifference, Refusal};

use crate::measure::cell::{Cell, TrustLevel};
use crate::measure::metric;
use crate::measure::run::Run;
use crate::measure::shortfall;
use crate::scenario::cell_id::CellId;

/// Version of `comparison.json` and `comparison.csv`; raised whenever a reader of the old one would misread the new one.
pub const SCHEMA_VERSION: u32 = 1;

/// Two sets of runs, compared.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Comparison {
    /// Version of the layout.
    pub schema_version: u32,
    /// What is compared with.
    pub base: Side,
    /// What is compared.
    pub new: Side,
    /// Facts of the hosts that differ, where comparing across hosts was asked for; then differences may be the hosts'.
    pub across_hosts: Vec<FieldDifference>,
    /// The cells that both sides measured and that can be believed, in the order of the base.
    pub cells: Vec<CellComparison>,
    /// Cells that both sides have and that cannot be believed.
    pub refused: Vec<RefusedCell>,
    /// Runs that did not come to their end, a sentence each.
    pub unfinished: Vec<String>,
    /// Names of cells that only the base has.
    pub only_in_base: Vec<String>,
    /// Names of cells that only the new side has.
    pub only_in_new: Vec<String>,
}

/// A set of runs of the same thing.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Side {
    /// Its runs, as they were named.
    pub runs: Vec<RunFacts>,
}

/// Which run it was.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct RunFacts {
    /// Name of its directory.
    pub name: String,
    /// Name of its scenario.
    pub scenario: String,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// Version of rtbench that measured it.
    pub rtbench_version: String,
    /// The commit of that rtbench, where it is known.
    pub rtbench_revision: Option<String>,
    /// The command line, word by word.
    pub command: Vec<String>,
    /// The machine in a line.
    pub host: String,
}

impl Comparison {
    /// Whether everything that both sides have is compared, and nothing is missing because a run was ended.
    pub fn is_whole(&self) -> bool {
        self.refused.is_empty() && self.unfinished.is_empty()
    }

    /// Rows of this verdict in all cells.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cells.iter().flat_map(|cell| &cell.rows).filter(|row| row.verdict == verdict).count()
    }
}

/// A cell of both sides.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct CellComparison {
    /// Its name.
    pub cell: String,
    /// Its protocol.
    pub protocol: String,
    /// Its repeats in the base.
    pub base: Repeats,
    /// Its repeats on the new side.
    pub new: Repeats,
    /// How many noisy metrics are judged together: those with a better direction that are not the same everywhere.
    pub judged_together: usize,
    /// Repeats a side from which on a difference can be proven among so many metrics.
    pub fewest_repeats: u64,
    /// A row for each metric that at least one side has.
    pub rows: Vec<Row>,
}

impl CellComparison {
    /// Whether a repeat of either side is to be believed with a grain of salt.
    pub fn is_degraded(&self) -> bool {
        self.base.degraded + self.new.degraded > 0
    }

    /// Whether both sides have repeats enough to prove anything with noisy metrics.
    pub fn can_prove(&self) -> bool {
        self.base.count.min(self.new.count) as u64 >= self.fewest_repeats
    }
}

/// How often one side measured a cell.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Repeats {
    /// Cells of the name, over all runs of the side.
    pub count: usize,
    /// Those among them whose trust is degraded.
    pub degraded: usize,
    /// Why, of the one with the most reasons: the same reason with a number of its own from each would fill a page.
    pub reasons: Vec<String>,
}

/// A cell that is not compared.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct RefusedCell {
    /// Its name.
    pub cell: String,
    /// Which repeats of it cannot be believed, and why.
    pub reasons: Vec<String>,
}

/// One metric of one cell on both sides.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Row {
    /// Name in the table of metrics.
    pub metric: String,
    /// Its unit; empty for plain numbers.
    pub unit: String,
    /// Which direction is an improvement: `lower`, `higher` or `neither`.
    pub better: String,
    /// How it was judged: `exact`, or `noisy`, which an exact metric becomes when repeats of one side disagree.
    pub tier: String,
    /// Values of the base, a repeat each.
    pub base: Values,
    /// Values of the new side.
    pub new: Values,
    /// By how much the new side is larger, in the metric's unit: the Hodges-Lehmann shift (the median of the differences
    /// of all pairs), which need not be the difference of the two medians.
    pub difference: Option<Estimate>,
    /// The same in percent of the base, from the shift of the logarithms; only where all values are positive and the
    /// metric is no percentage itself.
    pub difference_percent: Option<Estimate>,
    /// Two-sided p value of the rank-sum test; only of what was judged as noisy and varies.
    pub p: Option<f64>,
    /// The same after Holm, over the metrics of the cell that are judged together.
    pub p_adjusted: Option<f64>,
    /// What is proven.
    pub verdict: Verdict,
    /// How many repeats a side would be needed, where nothing is proven.
    pub needed: Option<Needed>,
}

/// What one side measured of one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Values {
    /// The median; absent where the side does not have the metric.
    pub median: Option<f64>,
    /// Every value, in the order of runs and repeats.
    pub values: Vec<f64>,
}

/// An estimate with its 95% interval, which speaks of this metric alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Lower end; absent where there are too few repeats for one.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// What is proven about a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Proven to have improved.
    Better,
    /// Proven to have become worse.
    Worse,
    /// An exact metric that differs.
    Changed,
    /// Every value of both sides is the same.
    Equal,
    /// Not proven to differ.
    Unproven,
    /// A noisy metric without a better direction: nothing to judge.
    Undirected,
    /// Only one side has the metric.
    OneSided,
}

impl Verdict {
    /// The word for it in files.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::Changed => "changed",
            Verdict::Equal => "equal",
            Verdict::Unproven => "unproven",
            Verdict::Undirected => "undirected",
            Verdict::OneSided => "one-sided",
        }
    }

    /// Whether the two sides are known to differ.
    pub fn is_difference(self) -> bool {
        matches!(self, Verdict::Better | Verdict::Worse | Verdict::Changed)
    }
}

/// How many repeats each side would need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Needed {
    /// So many; absent where more than 1,000 would not be enough.
    pub repeats: Option<u64>,
    /// What for.
    #[serde(rename = "for")]
    pub purpose: Purpose,
}

/// What repeats are needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To prove any difference, however large: below that even a clear one cannot be.
    Anything,
    /// To prove a difference of the size seen, beside the noise seen, four times in five.
    ThisDifference,
}

impl Purpose {
    /// The word for it in files.
    pub fn word(self) -> &'static str {
        match self {
            Purpose::Anything => "anything",
            Purpose::ThisDifference => "this-difference",
        }
    }
}

/// Compares two sets of runs. `across_hosts` allows that they come from different machines.
///
/// # Errors
/// They are not the same experiment; the refusal says everything that differs. Cells that cannot be believed are no
/// error: they stand in [`Comparison::refused`].
pub fn compare(base: &[Run], new: &[Run], across_hosts: bool) -> Result<Comparison, Refusal> {
    let hosts = comparable::check(base, new, across_hosts)?;
    let (mut cells, mut refused) = (Vec::new(), Vec::new());
    for id in ids(base).into_iter().filter(|id| has(new, id)) {
        let sides = [repeats(base, id), repeats(new, id)];
        let reasons = doubts(base, new, id);
        match reasons.is_empty() {
            true => cells.push(compare_cell(id, &sides[0], &sides[1])),
            false => refused.push(RefusedCell { cell: id.to_string(), reasons }),
        }
    }
    let only = |own: &[Run], other: &[Run]| {
        ids(own).into_iter().filter(|id| !has(other, id)).map(CellId::to_string).collect()
    };
    Ok(Comparison {
        schema_version: SCHEMA_VERSION,
        base: side(base),
        new: side(new),
        across_hosts: hosts,
        cells,
        refused,
        unfinished: base.iter().chain(new).filter_map(unfinished).collect(),
        only_in_base: only(base, new),
        only_in_new: only(new, base),
    })
}

fn unfinished(run: &Run) -> Option<String> {
    Some(format!("{}: {}", run.name, run.unfinished()?))
}

/// The cells of a set, each once, in the order of measurement.
fn ids(runs: &[Run]) -> Vec<&CellId> {
    let mut ids: Vec<&CellId> = Vec::new();
    for cell in runs.iter().flat_map(|run| &run.cells) {
        if !ids.contains(&&cell.spec.id) {
            ids.push(&cell.spec.id);
        }
    }
    ids
}

fn has(runs: &[Run], id: &CellId) -> bool {
    runs.iter().any(|run| run.cell(id).is_some())
}

/// All repeats of a cell, of all runs of a set.
fn repeats<'a>(runs: &'a [Run], id: &CellId) -> Vec<&'a Cell> {
    runs.iter().flat_map(|run| &run.cells).filter(|cell| cell.spec.id == *id).collect()
}

fn side(runs: &[Run]) -> Side {
    let facts = |run: &Run| RunFacts {
        name: run.name.clone(),
        scenario: run.file.scenario.name.clone(),
        started: run.file.started.clone(),
        rtbench_version: run.file.tool.version.clone(),
        rtbench_revision: run.file.tool.revision.clone(),
        command: run.file.command.clone(),
        host: run.file.host.summary(),
    };
    Side { runs: runs.iter().map(facts).collect() }
}

/// Why a cell cannot be believed: each repeat that failed, was interrupted or is invalid, or lacked clients.
fn doubts(base: &[Run], new: &[Run], id: &CellId) -> Vec<String> {
    let mut doubts = Vec::new();
    for run in base.iter().chain(new) {
        for cell in run.cells.iter().filter(|cell| cell.spec.id == *id) {
            let Some(why) = shortfall::why_unusable(cell) else { continue };
            doubts.push(format!("repeat {} in {} {why}", cell.spec.repeat, run.name));
        }
    }
    doubts
}

fn compare_cell(id: &CellId, base: &[&Cell], new: &[&Cell]) -> CellComparison {
    let values = |cells: &[&Cell], metric: &metric::Metric| {
        cells.iter().filter_map(|cell| metric.value(cell)).collect::<Vec<f64>>()
    };
    let measured = metric::ALL.iter().map(|metric| (metric, values(base, metric), values(new, metric)));
    let measured = measured.filter(|(_, base, new)| !(base.is_empty() && new.is_empty()));
    let mut rows: Vec<Row> = measured.map(|(metric, base, new)| judge::row(metric, base, new)).collect();
    let together = judge::together(&mut rows);
    CellComparison {
        cell: id.to_string(),
        protocol: id.protocol.name.to_owned(),
        base: count(base),
        new: count(new),
        judged_together: together.metrics,
        fewest_repeats: together.fewest_repeats,
        rows,
    }
}

fn count(cells: &[&Cell]) -> Repeats {
    let degraded: Vec<&&Cell> =
        cells.iter().filter(|cell| cell.trust.level == TrustLevel::Degraded).collect();
    let worst = degraded.iter().max_by_key(|cell| cell.trust.reasons.len());
    let reasons = worst.map_or_else(Vec::new, |cell| cell.trust.reasons.clone());
    Repeats { count: cells.len(), degraded: degraded.len(), reasons }
}
