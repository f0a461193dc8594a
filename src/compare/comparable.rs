//! Whether two sets of runs are the same experiment, and if not, everything that differs.

use std::fmt;

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{has, ids};
use crate::measure::cell::Cell;
use crate::measure::run::Run;
use crate::scenario::cell_id::CellId;
use crate::scenario::file::Scenario;
use crate::scenario::kinds::Headers;

/// What may differ between two cells that are compared: which repetition they are, and the seed, which is told of the
/// whole run.
const FREE_IN_CELLS: &[&str] = &["name", "repeat", "seed"];

/// Facts of a host that change from one minute to the next, or that only limit how much it can carry.
const FREE_IN_HOSTS: &[&str] = &["steal_s", "nofile_soft", "nofile_hard", "port_first", "port_last"];

/// Share by which the memory of one host may seem to change from boot to boot.
const MEMORY_SHARE: f64 = 0.01;

/// Cells named in a reason, before the rest are only counted.
const NAMED: usize = 3;

/// Two runs are not the same experiment.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("these runs cannot be compared, because they are not the same experiment:{}", lines(.reasons))]
pub struct Refusal {
    /// Everything that differs, in words.
    pub reasons: Vec<String>,
}

fn lines(reasons: &[String]) -> String {
    reasons.iter().map(|reason| format!("\n  - {reason}")).collect()
}

/// One thing that is not the same in two runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct FieldDifference {
    /// Its name.
    pub field: String,
    /// What it is in `run`.
    pub value: String,
    /// The run that all others are held against: the first of the base.
    pub run: String,
    /// What it is in `other_run`.
    pub other_value: String,
    /// A run that differs.
    pub other_run: String,
}

impl fmt::Display for FieldDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FieldDifference { field, value, run, other_value, other_run } = self;
        write!(f, "{field}: {value} in {run}, {other_value} in {other_run}")
    }
}

/// Holds every run against the first of the base. Returns the facts of hosts that differ, where that is allowed.
pub(super) fn check(base: &[Run], new: &[Run], across_hosts: bool) -> Result<Vec<FieldDifference>, Refusal> {
    let mut reasons = Vec::new();
    let Some(first) = base.first() else {
        return Err(Refusal { reasons: vec!["there is no run to compare with".to_owned()] });
    };
    let others = || base.iter().skip(1).chain(new);
    let seeds = others().filter_map(|run| seeds(first, run));
    reasons.extend(seeds.map(|difference| format!("{difference}; measure both with one --seed")));
    let common: Vec<&CellId> = ids(base).into_iter().filter(|id| has(new, id)).collect();
    match common.is_empty() {
        true => reasons.push(nothing_in_common(base, new)),
        false => reasons.extend(specs(base, new, &common)),
    }
    let hosts: Vec<FieldDifference> = others().flat_map(|run| hosts(first, run)).collect();
    if !across_hosts {
        let ask = "; --across-hosts compares them nevertheless, and says so";
        reasons.extend(hosts.iter().map(|difference| format!("host, {difference}{ask}")));
    }
    if reasons.is_empty() { Ok(hosts) } else { Err(Refusal { reasons }) }
}

fn seeds(first: &Run, run: &Run) -> Option<FieldDifference> {
    (first.file.seed != run.file.seed).then(|| FieldDifference {
        field: "seed".to_owned(),
        value: first.file.seed.to_string(),
        run: first.name.clone(),
        other_value: run.file.seed.to_string(),
        other_run: run.name.clone(),
    })
}

fn nothing_in_common(base: &[Run], new: &[Run]) -> String {
    let told = |runs: &[Run]| {
        let scenarios: Vec<&str> = runs.iter().map(|run| run.file.scenario.name.as_str()).collect();
        format!("{} (scenario {})", named(&texts(&ids(runs))), named(&scenarios))
    };
    format!("no cell in common: the base has {}, the new side {}", told(base), told(new))
}

fn texts(ids: &[&CellId]) -> Vec<String> {
    ids.iter().map(|id| id.to_string()).collect()
}

/// Some names, and how many more there are.
fn named(all: &[impl AsRef<str>]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in all.iter().map(AsRef::as_ref).filter(|name| !name.is_empty()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let more = names.len().saturating_sub(NAMED);
    let shown = names[..names.len() - more].join(", ");
    match (names.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown,
        (false, more) => format!("{shown} and {more} more"),
    }
}

/// What was asked differently of the cells in common; each difference once, with the cells that have it.
fn specs(base: &[Run], new: &[Run], common: &[&CellId]) -> Vec<String> {
    let mut found: Vec<(FieldDifference, Vec<&CellId>)> = Vec::new();
    for &id in common {
        let all = base.iter().chain(new);
        let mut cells = all.flat_map(|run| run.cells.iter().map(move |cell| (run, cell)));
        let Some(first) = cells.find(|(_, cell)| cell.spec.id == *id) else { continue };
        for other in cells.filter(|(_, cell)| cell.spec.id == *id) {
            for difference in cell_differences(first, other) {
                match found.iter_mut().find(|(known, _)| *known == difference) {
                    Some((_, cells)) if !cells.contains(&id) => cells.push(id),
                    Some(_) => {}
                    None => found.push((difference, vec![id])),
                }
            }
        }
    }
    found.iter().map(|(difference, cells)| format!("{difference} (cell {})", named(&texts(cells)))).collect()
}

fn cell_differences(first: (&Run, &Cell), other: (&Run, &Cell)) -> Vec<FieldDifference> {
    let asked = |(run, cell): (&Run, &Cell)| {
        let mut fields = fields(&cell.spec);
        // The specification only says that there is a list of one's own; the list itself is in the scenario.
        if cell.spec.http.headers == Headers::Custom {
            let scenario = toml::from_str::<Scenario>(&run.file.scenario.text);
            let lines = scenario.map_or_else(|_| Vec::new(), |scenario| scenario.http.custom);
            fields.insert("http.custom".to_owned(), lines.into());
        }
        fields
    };
    differences(asked(first), asked(other), FREE_IN_CELLS, [first.0, other.0])
}

fn hosts(first: &Run, run: &Run) -> Vec<FieldDifference> {
    let [a, b] = [first, run].map(|run| &run.file.host);
    let mut other = fields(b);
    if let (Some(a), Some(b)) = (a.memory_bytes, b.memory_bytes)
        && a.abs_diff(b) as f64 <= MEMORY_SHARE * a as f64
    {
        other.insert("memory_bytes".to_owned(), a.into());
    }
    differences(fields(a), other, FREE_IN_HOSTS, [first, run])
}

/// The fields of a record by name; so a field that is added to it later is compared, too.
fn fields(record: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(record) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn differences(
    first: Map<String, Value>,
    mut other: Map<String, Value>,
    free: &[&str],
    runs: [&Run; 2],
) -> Vec<FieldDifference> {
    let mut pairs: Vec<(String, Value, Value)> = Vec::new();
    for (field, value) in first {
        let other = other.remove(&field).unwrap_or_default();
        pairs.push((field, value, other));
    }
    pairs.extend(other.into_iter().map(|(field, value)| (field, Value::Null, value)));
    let differing = pairs.into_iter().filter(|(field, a, b)| a != b && !free.contains(&field.as_str()));
    let told = differing.map(|(field, value, other)| FieldDifference {
        field,
        value: text(&value),
        run: runs[0].name.clone(),
        other_value: text(&other),
        other_run: runs[1].name.clone(),
    });
    told.collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
