//! JSON: the run with its cells, histograms encoded in them, in one file; and the schemas of both.

use std::borrow::Cow;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use super::Format;
use crate::compare::Comparison;
use crate::measure::cell::Cell;
use crate::measure::run::{Run, RunFile};
use crate::measure::store;
use crate::scenario::Scenario;

/// The run and everything it measured.
pub(super) struct RunJson;

/// A finished `run.json`.
#[derive(Serialize, JsonSchema)]
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

/// JSON Schema of `run.json`.
pub fn run_schema() -> String {
    pretty(schemars::schema_for!(Document<'static>))
}

/// JSON Schema of a line of `cells.jsonl`.
pub fn cell_schema() -> String {
    pretty(schemars::schema_for!(Cell))
}

/// JSON Schema of a scenario file, read as JSON.
pub fn scenario_schema() -> String {
    pretty(schemars::schema_for!(Scenario))
}

/// JSON Schema of `comparison.json`.
pub(super) fn comparison_schema() -> String {
    pretty(schemars::schema_for!(Comparison))
}

/// A published schema.
pub struct Schema {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it describes, in one line.
    pub about: &'static str,
    /// The schema itself, as JSON.
    pub text: fn() -> String,
}

/// Every schema that is published.
pub static SCHEMAS: &[Schema] = &[
    Schema { name: "scenario", about: "A scenario file, with TOML read as JSON", text: scenario_schema },
    Schema { name: "run", about: "A finished run.json", text: run_schema },
    Schema { name: "cell", about: "A line of cells.jsonl", text: cell_schema },
    Schema { name: "comparison", about: "A comparison.json of rtbench compare", text: comparison_schema },
];

fn pretty(schema: schemars::Schema) -> String {
    format!("{:#}\n", schema.to_value())
}
