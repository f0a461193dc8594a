//! `rtbench list`: every static table of the program.

use std::fmt::Write;

use anyhow::Result;

use crate::claim;
use crate::cli::{ListArgs, Topic};
use crate::exit::Exit;
use crate::measure::metric;
use crate::protocol;
use crate::report;
use crate::scenario::{self, BUILTINS};
use crate::transport::link::PRESETS;

/// Prints what was asked for.
///
/// # Errors
/// There is no scenario of the name to dump.
pub fn run(args: &ListArgs) -> Result<Exit> {
    if let Some(name) = &args.dump {
        print_out(&scenario::locate(name)?.text)?;
        return Ok(Exit::Ok);
    }
    let topics =
        [Topic::Protocols, Topic::Scenarios, Topic::Links, Topic::Claims, Topic::Metrics, Topic::Formats];
    let mut text = String::new();
    for topic in topics.into_iter().filter(|topic| args.what.is_none_or(|what| what == *topic)) {
        list(topic, &mut text)?;
    }
    print_out(&text)?;
    Ok(Exit::Ok)
}

/// A reader that has seen enough (`| head`) is no error.
fn print_out(text: &str) -> std::io::Result<()> {
    use std::io::Write;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn list(topic: Topic, out: &mut String) -> std::fmt::Result {
    match topic {
        Topic::Protocols => {
            writeln!(out, "PROTOCOLS")?;
            for protocol in protocol::ALL {
                writeln!(out, "  {:<14}{}", protocol.name, protocol.about)?;
            }
        }
        Topic::Scenarios => {
            writeln!(out, "SCENARIOS  (print one: rtbench list --dump NAME)")?;
            for builtin in BUILTINS {
                let about = scenario::locate(builtin.name).ok().and_then(|source| source.parse().ok());
                let about = about.map_or(String::new(), |scenario| scenario.about);
                writeln!(out, "  {:<14}{}", builtin.name, about.trim().lines().next().unwrap_or_default())?;
            }
        }
        Topic::Links => {
            writeln!(out, "LINKS  (emulated in the clients, by --link NAME or --link {})", PRESETS[2].text)?;
            for preset in &PRESETS {
                writeln!(out, "  {:<14}{}: {}", preset.name, preset.text, preset.about)?;
            }
        }
        Topic::Claims => {
            writeln!(out, "CLAIMS")?;
            for claim in claim::all() {
                writeln!(out, "  {:<24}{} ({})", claim.id, claim.claim, claim.guide_section)?;
            }
        }
        Topic::Metrics => {
            writeln!(out, "METRICS")?;
            for metric in metric::ALL {
                writeln!(out, "  {:<34}{}", metric.name, metric.about)?;
            }
        }
        Topic::Formats => {
            writeln!(out, "FORMATS  (render one: rtbench report latest --format NAME)")?;
            for format in report::ALL {
                writeln!(out, "  {:<14}{}", format.name(), format.about())?;
            }
        }
    }
    writeln!(out)
}
