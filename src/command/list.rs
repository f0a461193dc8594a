//! `rtbench list`: every static table of the program.

use anyhow::Result;
use clap::ValueEnum;

use super::print_out;
use crate::cli::{ListArgs, Topic};
use crate::exit::Exit;
use crate::guide;
use crate::measure::metric::{self, Metric};
use crate::protocol::{self, Protocol, Traits};
use crate::report::comparison::Form;
use crate::report::{self, csv_files};
use crate::scenario::{self, BUILTINS, Builtin, ScenarioError};
use crate::transport::link::PRESETS;

/// Prints what was asked for.
///
/// # Errors
/// There is no scenario or schema of the name.
pub fn run(args: &ListArgs) -> Result<Exit> {
    if let Some(name) = &args.dump {
        print_out(scenario::locate(name)?.text.as_bytes())?;
        return Ok(Exit::Ok);
    }
    if let Some(name) = &args.schema {
        let schema = report::SCHEMAS.iter().find(|schema| schema.name == name).ok_or_else(|| {
            let names: Vec<_> = report::SCHEMAS.iter().map(|schema| schema.name).collect();
            ScenarioError::Invalid(format!("there is no schema '{name}'; there are: {}", names.join(", ")))
        })?;
        print_out(schema.text.as_bytes())?;
        return Ok(Exit::Ok);
    }
    // Columns repeat the metrics at length.
    let asked = |topic| args.what.map_or(topic != Topic::Columns, |what| what == topic);
    let topics = Topic::value_variants().iter().filter(|&&topic| asked(topic));
    let tables: Vec<String> = topics.map(|&topic| table(topic)).collect();
    let text = tables.join("\n");
    print_out(text.as_bytes())?;
    Ok(Exit::Ok)
}

/// A table with its heading.
fn table(topic: Topic) -> String {
    match topic {
        Topic::Protocols => columns("PROTOCOLS", protocol::ALL.iter().map(protocol_row)),
        Topic::Scenarios => columns(
            "SCENARIOS  (print one: rtbench list --dump NAME)",
            BUILTINS.iter().map(|builtin| [builtin.name.to_owned(), first_line(builtin)]),
        ),
        Topic::Links => columns(
            "LINKS  (emulated in the clients: rtbench run echo --link NAME, or --link rtt=40ms,loss=1%)",
            PRESETS
                .iter()
                .map(|preset| [preset.name.to_owned(), preset.text.to_owned(), preset.about.to_owned()]),
        ),
        Topic::Claims => columns(
            "CLAIMS",
            guide::all()
                .iter()
                .map(|claim| [claim.id.clone(), claim.guide_section.clone(), claim.claim.clone()]),
        ),
        Topic::Metrics => columns("METRICS", metric::ALL.iter().map(metric_row)),
        Topic::Formats => {
            let of_runs =
                report::ALL.iter().map(|format| [format.name().to_owned(), format.about().to_owned()]);
            let of_comparisons = Form::value_variants().iter().filter_map(|form| {
                let value = form.to_possible_value()?;
                Some([value.get_name().to_owned(), value.get_help()?.to_string()])
            });
            columns("FORMATS  (render one: rtbench report latest --format NAME)", of_runs)
                + "\n"
                + &columns("FORMATS OF COMPARISONS  (rtbench compare A B --format NAME)", of_comparisons)
        }
        // As it stands in results/README.md.
        Topic::Columns => csv_files::markdown().trim_start().to_owned(),
        Topic::Schemas => columns(
            "SCHEMAS  (print one: rtbench list --schema NAME)",
            report::SCHEMAS.iter().map(|schema| [schema.name.to_owned(), schema.about.to_owned()]),
        ),
    }
}

/// Rows of cells under a heading; every column but the last is as wide as its widest cell.
fn columns<const N: usize>(heading: &str, rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = rows.collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = format!("{heading}\n");
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text += &format!("  {}\n", cells.join("  ").trim_end());
    }
    text
}

fn protocol_row(protocol: &Protocol) -> [String; 3] {
    let Traits { polls, exchanges: _, resumes, reconnects, asks_again: _, binary, peer_to_peer, in_band: _ } =
        protocol.traits;
    let able = [
        (polls, "polls"),
        (reconnects, "reconnects"),
        (resumes, "resumes"),
        (binary, "binary"),
        (peer_to_peer, "peer to peer"),
    ];
    let able: Vec<_> = able.into_iter().filter_map(|(can, word)| can.then_some(word)).collect();
    [protocol.name.to_owned(), able.join(", "), protocol.about.to_owned()]
}

fn first_line(builtin: &Builtin) -> String {
    let about = scenario::locate(builtin.name).ok().and_then(|source| source.parse().ok());
    let about = about.map_or(String::new(), |scenario| scenario.about);
    about.trim().lines().next().unwrap_or_default().to_owned()
}

fn metric_row(metric: &Metric) -> [String; 4] {
    [metric.name, metric.unit, metric.better.word(), metric.about].map(str::to_owned)
}
