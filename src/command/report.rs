//! `rtbench report`: renders a run again from its files.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cli::ReportArgs;
use crate::exit::Exit;
use crate::measure::store;
use crate::report;
use crate::scenario::ScenarioError;

/// Renders it.
///
/// # Errors
/// There is no such run or format, or a file cannot be written.
pub fn run(args: &ReportArgs) -> Result<Exit> {
    let dir = match args.run.as_str() {
        "latest" => store::latest(&args.results)?,
        path => PathBuf::from(path),
    };
    let run = store::load(&dir)?;
    for warning in &run.warnings {
        eprintln!("warning: {warning}");
    }
    if args.format.is_empty() {
        report::print(&run)?;
        return Ok(Exit::Ok);
    }
    for name in &args.format {
        let format = report::find(name).ok_or_else(|| {
            let names: Vec<_> = report::ALL.iter().map(|format| format.name()).collect();
            ScenarioError::Invalid(format!("there is no format '{name}'; there are: {}", names.join(", ")))
        })?;
        match args.out.as_deref() {
            Some(place) if place == Path::new("-") => format.render(&run, &mut io::stdout().lock())?,
            place => {
                let place = place.unwrap_or(&dir);
                std::fs::create_dir_all(place)
                    .with_context(|| format!("cannot create {}", place.display()))?;
                for path in format.save(&run, place)? {
                    writeln!(io::stdout(), "{}", path.display())?;
                }
            }
        }
    }
    Ok(Exit::Ok)
}
