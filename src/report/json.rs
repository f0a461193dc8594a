//! JSON: the run with its cells, histograms encoded in them, in one file; and the published schemas.

use std::borrow::Cow;
use std::io::{self, Write};

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;

use super::Format;
#[cfg(test)]
use crate::compare::Comparison;
use crate::measure::cell::Cell;
use crate::measure::run::{Run, RunFile};
use crate::measure::store;
#[cfg(test)]
use crate::scenario::Scenario;

/// The run and everything it measured.
pub(super) struct RunJson;

/// A finished `run.json`.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct Document<'a> {
    /// Where the run came from.
    #[serde(flatten)]
    file: Cow<'a, RunFile>,
    /// Its cells, in the order in which they were measured; the lines of `cells.jsonl`.
    cells: Cow<'a, [Cell]>,
}

impl Format for RunJson {
    fn name(&self) -> &'static str {
        "json"
    }

    fn about(&self) -> &'static str {
        "The run, its host, its scenario and its cells with encoded histograms"
    }

    fn file_name(&self) -> Option<&'static str> {
        Some(store::RUN_FILE)
    }

    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let document = Document { file: Cow::Borrowed(&run.file), cells: Cow::Borrowed(&run.cells) };
        serde_json::to_writer_pretty(&mut *out, &document)?;
        out.write_all(b"\n")
    }
}

/// A published schema.
pub struct Schema {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it describes, in one line.
    pub about: &'static str,
    /// The schema itself, as JSON. It is what `generated` makes of the types, and a test says what has changed.
    pub text: &'static str,
}

/// Every schema that is published.
pub static SCHEMAS: &[Schema] = &[
    Schema {
        name: "scenario",
        about: "A scenario file, with TOML read as JSON",
        text: include_str!("schemas/scenario.json"),
    },
    Schema { name: "run", about: "A finished run.json", text: include_str!("schemas/run.json") },
    Schema { name: "cell", about: "A line of cells.jsonl", text: include_str!("schemas/cell.json") },
    Schema {
        name: "comparison",
        about: "A comparison.json of rtbench compare",
        text: include_str!("schemas/comparison.json"),
    },
];

/// The schemas of the types, with the names of the published.
#[cfg(test)]
pub(super) fn generated() -> [(&'static str, String); 4] {
    [
        ("scenario", schemars::schema_for!(Scenario)),
        ("run", schemars::schema_for!(Document<'static>)),
        ("cell", schemars::schema_for!(Cell)),
        ("comparison", schemars::schema_for!(Comparison)),
    ]
    .map(|(name, schema)| (name, format!("{:#}\n", schema.to_value())))
}
