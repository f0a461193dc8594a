//! What a run says about itself, beside its cells.

use std::collections::BTreeSet;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::asked::{GateFile, SearchPlan};
use super::cell::{Cell, SCHEMA_VERSION, Status};
use super::floor::Floor;
use super::source::{self, SourceCount};
use super::threshold::{BY_DEFAULT, Outcome, Threshold, ThresholdError};
use crate::host::facts::HostFacts;
use crate::scenario::cell_id::CellId;

/// Cells named in a sentence, before the rest are only counted.
const MOST_NAMED: usize = 5;

/// A run and its cells, as reports get them.
#[derive(Clone, Debug)]
pub struct Run {
    /// Name of its directory, e.g. `20261124T081500Z-matrix`.
    pub name: String,
    /// Where it came from.
    pub file: RunFile,
    /// Its cells, in the order in which they were measured.
    pub cells: Vec<Cell>,
    /// What was wrong with its files without making them useless.
    pub warnings: Vec<String>,
}

/// What came of one threshold in one cell of a run.
#[derive(Clone, Debug)]
pub struct CellOutcome {
    /// Name of the cell among all of the run, repetitions told apart.
    pub cell: String,
    /// What came of it.
    pub outcome: Outcome,
}

impl Run {
    /// Every threshold of the run in every cell of it that it is about.
    pub fn outcomes(&self) -> Vec<CellOutcome> {
        let of = |cell: &Cell, threshold: &ThresholdText| {
            Some(CellOutcome { cell: cell.spec.label(), outcome: threshold.evaluate(cell)? })
        };
        let thresholds = self.file.thresholds.iter();
        thresholds.flat_map(|t| self.cells.iter().filter_map(move |cell| of(cell, t))).collect()
    }

    /// The metrics of a cell that lie within twice the generator's own floor; none where that is not known.
    pub fn generator_bound(&self, cell: &Cell) -> Vec<&'static str> {
        self.file.floor.as_ref().map_or(Vec::new(), |floor| floor.generator_bound(cell))
    }

    /// How it ended, in a word.
    pub fn ending(&self) -> &'static str {
        self.file.status.word()
    }

    /// Planned cells of which nothing was kept, by their labels.
    pub fn unmeasured(&self) -> Vec<&str> {
        let measured: BTreeSet<String> = self.cells.iter().map(|cell| cell.spec.label()).collect();
        self.file.planned.iter().map(String::as_str).filter(|label| !measured.contains(*label)).collect()
    }

    /// What is to be said of a run that did not come to its end; nothing of one that did.
    pub fn unfinished(&self) -> Option<String> {
        let how = match &self.file.status {
            RunStatus::Finished => return None,
            RunStatus::Running => "it still runs, or was killed".to_owned(),
            RunStatus::Interrupted => "it was interrupted".to_owned(),
            RunStatus::Failed(why) => format!("it failed: {why}"),
        };
        let of = match self.file.planned.len() {
            0 => String::new(),
            planned => format!(" of {planned}"),
        };
        let measured = self.cells.iter().filter(|cell| cell.status != Status::Interrupted).count();
        let missing = self.unmeasured();
        let left_out = match missing.len().saturating_sub(MOST_NAMED) {
            _ if missing.is_empty() => String::new(),
            0 => format!("; not measured: {}", missing.join(", ")),
            more => format!("; not measured: {} and {more} more", missing[..MOST_NAMED].join(", ")),
        };
        Some(format!("this run is unfinished: {how}; {measured}{of} cells were measured{left_out}"))
    }

    /// The cell of this identity; of several repetitions the first.
    pub fn cell(&self, id: &CellId) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.spec.id == *id)
    }
}

/// Where a run came from: everything needed to understand it, and to do it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct RunFile {
    /// Version of the layout, the same as that of cells.
    pub schema_version: u32,
    /// What measured it.
    pub tool: Tool,
    /// What was asked.
    pub kind: RunKind,
    /// The command line, word by word.
    pub command: Vec<String>,
    /// Seed of every random choice.
    pub seed: u64,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// When it ended; absent while it runs, and if it was killed.
    pub finished: Option<String>,
    /// The machine.
    pub host: HostFacts,
    /// The scenario.
    pub scenario: ScenarioText,
    /// What was measured with several values instead of the scenario's own.
    #[serde(default)]
    pub swept: Vec<Swept>,
    /// Labels of the cells that were to be measured, in their order; empty where that depends on what is measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<String>,
    /// What must hold in each cell.
    pub thresholds: Vec<ThresholdText>,
    /// The size of each protocol's modules in the program that measured it.
    pub source: Vec<SourceCount>,
    /// The instrument's own times on this machine, if `rtbench doctor` had measured them.
    #[serde(default)]
    pub floor: Option<Floor>,
    /// What was searched, in a run that looked for a capacity.
    #[serde(default)]
    pub search: Option<SearchPlan>,
    /// Users whose cost a matrix is about, where others than the usual were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
    /// What was compared, in a run that was a gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateFile>,
    /// How it ended.
    pub status: RunStatus,
}

/// What measured a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Tool {
    /// Version of rtbench.
    pub version: String,
    /// The commit it was built from, if the build could tell.
    pub revision: Option<String>,
}

impl Tool {
    /// This program.
    pub fn this() -> Tool {
        Tool {
            version: env!("CARGO_PKG_VERSION").into(),
            revision: option_env!("RTBENCH_REVISION").map(str::to_owned),
        }
    }
}

/// What was asked of a run, and so which reports it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    /// The comparison matrix.
    Matrix,
    /// A scenario.
    Scenario,
    /// The largest load of a scenario that holds.
    Capacity,
    /// Whether a change made it worse.
    Gate,
}

/// A scenario, verbatim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct ScenarioText {
    /// Its name.
    pub name: String,
    /// Its file; empty where there was none.
    pub text: String,
}

/// A value of a scenario that was swept over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Swept {
    /// Its path in the scenario's file, e.g. `short_poll.interval`.
    pub key: String,
    /// What it was, one after the other, as typed.
    pub values: Vec<String>,
}

/// A threshold, as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct ThresholdText {
    /// What it is about, e.g. `latency`.
    pub subject: String,
    /// What must hold, e.g. `p(95)<200ms`.
    pub expression: String,
    /// Nobody asked for it: every run must keep to it that does not say otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_default: bool,
}

impl ThresholdText {
    /// One that somebody asked for.
    pub fn new(subject: impl Into<String>, expression: impl Into<String>) -> ThresholdText {
        ThresholdText { subject: subject.into(), expression: expression.into(), by_default: false }
    }

    /// Reads it.
    ///
    /// # Errors
    /// This version cannot.
    pub fn read(&self) -> Result<Threshold, ThresholdError> {
        let mut threshold = Threshold::parse(&self.subject, &self.expression)?;
        threshold.by_default = self.by_default;
        Ok(threshold)
    }

    /// Holds the threshold against a cell; `None` if it is not about it. A text that this version cannot read holds nowhere.
    pub fn evaluate(&self, cell: &Cell) -> Option<Outcome> {
        match self.read() {
            Ok(threshold) => threshold.applies_to(cell).then(|| threshold.evaluate(cell)),
            Err(error) => Some(Outcome {
                subject: self.subject.clone(),
                expression: self.expression.clone(),
                measured: None,
                unit: "",
                passed: None,
                why: Some(error.message),
            }),
        }
    }
}

/// What was asked, and beside it what every run must keep to unless it was asked about.
pub fn with_defaults(asked: Vec<ThresholdText>) -> Vec<ThresholdText> {
    let default = |(subject, expression): &(&str, &str)| ThresholdText {
        by_default: true,
        ..ThresholdText::new(*subject, *expression)
    };
    let left = BY_DEFAULT.iter().filter(|(subject, _)| !asked.iter().any(|own| own.subject == *subject));
    let left: Vec<_> = left.map(default).collect();
    asked.into_iter().chain(left).collect()
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// It has not ended, or was killed.
    Running,
    /// All cells were measured, or tried.
    Finished,
    /// Stopped by the user.
    Interrupted,
    /// It could not go on, and why.
    Failed(String),
}

impl RunStatus {
    /// The word for it in files.
    pub fn word(&self) -> &'static str {
        match self {
            RunStatus::Running => "unfinished",
            RunStatus::Finished => "finished",
            RunStatus::Interrupted => "interrupted",
            RunStatus::Failed(_) => "failed",
        }
    }
}

impl RunFile {
    /// A run that begins now, on this machine, by this program.
    pub fn begin(kind: RunKind, command: Vec<String>, seed: u64, scenario: ScenarioText) -> RunFile {
        RunFile {
            schema_version: SCHEMA_VERSION,
            tool: Tool::this(),
            kind,
            command,
            seed,
            started: now_rfc3339(),
            finished: None,
            host: HostFacts::read(),
            scenario,
            swept: Vec::new(),
            planned: Vec::new(),
            thresholds: Vec::new(),
            source: source::counts(),
            floor: None,
            search: None,
            users: None,
            gate: None,
            status: RunStatus::Running,
        }
    }
}

/// The time, to the second and in UTC, as RFC 3339 writes it.
pub(crate) fn now_rfc3339() -> String {
    let now = OffsetDateTime::now_utc().truncate_to_second();
    // Years of more than four digits have no such form.
    now.format(&Rfc3339).unwrap_or_default()
}
