//! `--sweep KEY=V1,V2`: one run over several values of anything that a scenario says. Pure.
//!
//! Values go where the file would have them and are read by the same strict parser. What is a list in the file becomes one;
//! of everything else each combination is a scenario of its own. A value that only one protocol heeds makes cells of that
//! protocol alone; the others are measured once, beside them.

use std::str::FromStr;

use toml::{Table, Value};

use super::cell_id::Axis;
use super::plan;
use super::spec::CellSpec;
use super::{Scenario, ScenarioError, Source};
use crate::unit::Count;

/// Short names of keys.
const SHORT: [(&str, &str); 14] = [
    ("clients", "load.clients"),
    ("rate", "load.rate"),
    ("payload", "load.payload"),
    ("protocol", "load.protocols"),
    ("group", "load.group"),
    ("publishers", "load.publishers"),
    ("pace", "load.pace"),
    ("duration", "load.duration"),
    ("link", "connect.link"),
    ("tls", "connect.tls"),
    ("ramp", "connect.ramp"),
    ("headers", "http.headers"),
    ("poll", "short_poll.interval"),
    ("hold", "long_poll.hold"),
];

/// What `run --help` says of it.
pub const HELP: &str = "\
Measure several values of anything in the scenario, each as cells of their own; may be repeated, and then every combination.

KEY is a path in the scenario file (short_poll.keep_alive, webrtc.ordered), or clients, rate, payload, protocol, group, \
publishers, pace, duration, link, tls, ramp, headers, poll, hold. Values are separated by commas, or by semicolons where \
they hold commas themselves:

  --sweep poll=1s,5s,30s --sweep headers=minimal,browser
  --sweep 'link=lan;rtt=40ms,loss=1%'

A value that only one protocol heeds (poll) makes cells of that protocol; the others are measured once.";

/// Keys that hold a list of values in a scenario, and name their cells themselves.
const LISTS: [&str; 5] = ["load.clients", "load.rate", "load.payload", "load.protocols", "connect.link"];

/// Keys that one protocol alone heeds.
const OWNERS: [(&str, &str); 4] = [
    ("short_poll.interval", "short-poll"),
    ("short_poll.mode", "short-poll"),
    ("long_poll.hold", "long-poll"),
    ("webrtc.", "webrtc"),
];

/// A key with the values that it shall have one after the other, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The path in the scenario file, e.g. `short_poll.interval`.
    pub key: String,
    /// At least one.
    pub values: Vec<String>,
}

impl FromStr for Sweep {
    type Err = String;

    /// Reads `KEY=V1,V2` or, for values that hold commas, `KEY=V1;V2`.
    fn from_str(text: &str) -> Result<Sweep, String> {
        let (key, values) =
            text.split_once('=').ok_or("there is no '=': write KEY=V1,V2, for example poll=1s,5s,30s")?;
        let key = path(key.trim())?;
        let separator = if values.contains(';') { ';' } else { ',' };
        let values: Vec<String> = values
            .split(separator)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .collect();
        if values.is_empty() {
            return Err(format!("{key} has no value: write KEY=V1,V2"));
        }
        // `rtt=40ms,loss=1%` is one link, and would be taken for two.
        if separator == ',' && values.len() > 1 && values.iter().any(|value| value.contains(['=', '[', ']']))
        {
            return Err(
                "a comma may belong to a value here: separate the values by ';', also a single one: \
                        'link=rtt=40ms,loss=1%;'"
                    .to_owned(),
            );
        }
        Ok(Sweep { key, values })
    }
}

/// The path of a key that may be a short name.
fn path(key: &str) -> Result<String, String> {
    if let Some((_, path)) = SHORT.iter().find(|(short, _)| *short == key) {
        return Ok((*path).to_owned());
    }
    let section = key.split_once('.').map(|(section, _)| section);
    match section {
        Some("thresholds") => Err("thresholds change nothing that is measured".to_owned()),
        Some(_) => Ok(key.to_owned()),
        None => {
            let short: Vec<&str> = SHORT.iter().map(|(short, _)| *short).collect();
            Err(format!(
                "there is no key '{key}'; there are {}, and every path in a scenario file such as webrtc.ordered",
                short.join(", ")
            ))
        }
    }
}

impl Sweep {
    /// What names of cells call it.
    fn short(&self) -> &str {
        let short = SHORT.iter().find(|(_, path)| *path == self.key).map(|(short, _)| *short);
        short.unwrap_or_else(|| self.key.rsplit('.').next().unwrap_or(&self.key))
    }

    fn is_list(&self) -> bool {
        LISTS.contains(&self.key.as_str())
    }

    /// The only protocol that heeds the key; `None` where several do.
    fn owner(&self) -> Option<&'static str> {
        OWNERS.iter().find(|(key, _)| self.key.starts_with(key)).map(|(_, protocol)| *protocol)
    }
}

/// Sweeps of the same key put together, in the order in which the keys came up.
///
/// # Errors
/// A value stands there twice.
pub fn merged(sweeps: &[Sweep]) -> Result<Vec<Sweep>, ScenarioError> {
    let mut all: Vec<Sweep> = Vec::new();
    for sweep in sweeps {
        match all.iter_mut().find(|known| known.key == sweep.key) {
            Some(known) => known.values.extend(sweep.values.iter().cloned()),
            None => all.push(sweep.clone()),
        }
    }
    for sweep in &all {
        let twice = |(i, value): &(usize, &String)| sweep.values[..*i].contains(value);
        if let Some((_, value)) = sweep.values.iter().enumerate().find(twice) {
            return Err(ScenarioError::Invalid(format!("--sweep {}: {value} stands there twice", sweep.key)));
        }
    }
    Ok(all)
}

/// A scenario with one value of everything that is swept over and no list.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The scenario.
    pub scenario: Scenario,
    choices: Vec<Choice>,
}

/// One value of one sweep.
#[derive(Clone, Debug)]
struct Choice {
    /// How names of cells say it: `poll=5s`.
    part: String,
    /// The only protocol that heeds it.
    owner: Option<&'static str>,
    /// It is the first of its sweep.
    is_first: bool,
}

/// The scenarios of all combinations; the last sweep's values change fastest. Without a sweep it is the file's own.
///
/// # Errors
/// What is wrong with the file, with its place; or which key cannot have which value, and what would be right.
pub fn variants(source: &Source, sweeps: &[Sweep]) -> Result<Vec<Variant>, ScenarioError> {
    let file = source.parse()?;
    if sweeps.is_empty() {
        return Ok(vec![Variant { scenario: file, choices: Vec::new() }]);
    }
    let table: Table =
        toml::from_str(&source.text).map_err(|error| source.invalid(error.message(), error.span()))?;
    let (lists, others): (Vec<&Sweep>, Vec<&Sweep>) = sweeps.iter().partition(|sweep| sweep.is_list());
    let mut base = Draft { file: &file, table };
    for sweep in lists {
        for value in &sweep.values {
            base.clone()
                .set(&sweep.key, value)?
                .scenario()
                .map_err(|why| refused(&sweep.key, value, &why))?;
        }
        base.set_list(sweep)?;
    }
    let mut drafts: Vec<(Draft<'_>, Vec<Choice>)> = vec![(base, Vec::new())];
    for sweep in others {
        let mut next = Vec::new();
        for (draft, choices) in &drafts {
            for (i, value) in sweep.values.iter().enumerate() {
                let mut draft = draft.clone();
                draft.set(&sweep.key, value)?.scenario().map_err(|why| refused(&sweep.key, value, &why))?;
                let part = format!("{}={}", sweep.short(), in_a_name(value));
                let choice = Choice { part, owner: sweep.owner(), is_first: i == 0 };
                next.push((draft, [choices.as_slice(), &[choice]].concat()));
            }
        }
        drafts = next;
    }
    let everybody = sweeps.iter().any(|sweep| sweep.key == "load.clients")
        && !sweeps.iter().any(|sweep| sweep.key == "load.group")
        && file.load.group.is_some_and(|group| file.load.clients.0.contains(&group));
    let variant = |(draft, choices): (Draft<'_>, Vec<Choice>)| {
        let mut scenario = draft.scenario().map_err(ScenarioError::Invalid)?;
        if everybody {
            // A group that was everybody stays everybody: a group has no more members than there are clients.
            scenario.load.group = Some(Count(u32::MAX));
        }
        Ok(Variant { scenario, choices })
    };
    drafts.into_iter().map(variant).collect()
}

fn refused(key: &str, value: &str, why: &str) -> ScenarioError {
    ScenarioError::Invalid(format!("--sweep {key}={value}: {why}"))
}

/// A value as a part of a name, where `/` separates parts and `@` begins the link.
fn in_a_name(value: &str) -> String {
    value.replace('/', "per_").replace(|c: char| c == '@' || c.is_whitespace(), "-")
}

/// A scenario's file in the making.
#[derive(Clone)]
struct Draft<'a> {
    file: &'a Scenario,
    table: Table,
}

impl Draft<'_> {
    fn set(&mut self, key: &str, value: &str) -> Result<&Self, ScenarioError> {
        self.insert(key, read(value)).map_err(|why| refused(key, value, &why))?;
        Ok(self)
    }

    fn set_list(&mut self, sweep: &Sweep) -> Result<(), ScenarioError> {
        let values = Value::Array(sweep.values.iter().map(|value| read(value)).collect());
        self.insert(&sweep.key, values).map_err(|why| refused(&sweep.key, &sweep.values.join(","), &why))
    }

    fn insert(&mut self, key: &str, value: Value) -> Result<(), String> {
        let (sections, last) = key.rsplit_once('.').unwrap_or(("", key));
        let mut table = &mut self.table;
        for section in sections.split('.') {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            table = inner.as_table_mut().ok_or_else(|| format!("'{section}' is no section"))?;
        }
        table.insert(last.to_owned(), value);
        Ok(())
    }

    /// Reads it as strictly as the file.
    fn scenario(&self) -> Result<Scenario, String> {
        let mut table = self.table.clone();
        // They know their places in the file, and a table has none.
        table.remove("thresholds");
        let scenario: Scenario =
            table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
        Ok(Scenario { thresholds: self.file.thresholds.clone(), ..scenario })
    }
}

/// A value as a file would have it: numbers, truth values, lists and quoted texts are what they look like, the rest is text.
fn read(text: &str) -> Value {
    let table: Option<Table> = toml::from_str(&format!("value = {text}")).ok();
    let mut table = table.filter(|table| table.len() == 1).unwrap_or_default();
    match table.remove("value") {
        Some(value @ (Value::Integer(_) | Value::Boolean(_) | Value::String(_) | Value::Array(_))) => value,
        _ => Value::String(text.to_owned()),
    }
}

/// A cell, and which of the variants it belongs to.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The cell.
    pub spec: CellSpec,
    /// Index of its variant.
    pub variant: usize,
}

/// The cells of all variants, those of one protocol side by side.
///
/// # Errors
/// What cannot be measured as asked; a sweep that changes nothing; two cells of one name.
pub fn cells(variants: &[Variant], seed: u64) -> Result<Vec<Planned>, ScenarioError> {
    let mut cells: Vec<Planned> = Vec::new();
    let mut protocols: Vec<&str> = Vec::new();
    for (index, variant) in variants.iter().enumerate() {
        let planned = plan::cells(&variant.scenario, seed).map_err(|error| variant.refuse(&error))?;
        for spec in planned {
            if !protocols.contains(&spec.id.protocol.name) {
                protocols.push(spec.id.protocol.name);
            }
            if let Some(spec) = variant.identified(spec) {
                cells.push(Planned { spec, variant: index });
            }
        }
    }
    for choice in variants.iter().flat_map(|variant| &variant.choices) {
        if let Some(owner) = choice.owner.filter(|owner| !protocols.contains(owner)) {
            let message =
                format!("--sweep {}: only {owner} heeds it, which this run does not measure", choice.part);
            return Err(ScenarioError::Invalid(message));
        }
    }
    cells.sort_by_key(|cell| protocols.iter().position(|protocol| *protocol == cell.spec.id.protocol.name));
    let twice =
        |(at, cell): &(usize, &Planned)| cells[..*at].iter().any(|known| known.spec.id == cell.spec.id);
    match cells.iter().enumerate().find(twice).map(|(_, cell)| cell) {
        Some(cell) => Err(ScenarioError::Invalid(format!(
            "two cells would be '{}': a value stands there twice",
            cell.spec.id
        ))),
        None => Ok(cells),
    }
}

impl Variant {
    fn refuse(&self, error: &plan::PlanError) -> ScenarioError {
        let parts: Vec<&str> = self.choices.iter().map(|choice| choice.part.as_str()).collect();
        match parts.is_empty() {
            true => ScenarioError::Invalid(error.to_string()),
            false => ScenarioError::Invalid(format!("with {}: {error}", parts.join(" and "))),
        }
    }

    /// The cell with what was chosen among its axes; `None` where the same is measured as another variant's.
    fn identified(&self, mut spec: CellSpec) -> Option<CellSpec> {
        for choice in &self.choices {
            match choice.owner {
                Some(owner) if owner != spec.id.protocol.name && !choice.is_first => return None,
                Some(owner) if owner != spec.id.protocol.name => {}
                _ => spec.id.axes.push(Axis::Setting(choice.part.clone())),
            }
        }
        Some(spec)
    }
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
