//! `rtbench report`: renders a run again from its files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::print_out;
use crate::cli::ReportArgs;
use crate::exit::Exit;
use crate::measure::run::Run;
use crate::measure::store;
use crate::report::{self, Format};
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
    let mut formats = args.format.iter().map(|name| report::find(name)).collect::<Result<Vec<_>, _>>()?;
    if let Some(format) = formats.iter().find(|format| !format.fits(&run)) {
        let message = format!("the run {} has nothing for the format '{}'", run.name, format.name());
        return Err(ScenarioError::Invalid(message).into());
    }
    match (args.out.as_deref(), formats.is_empty()) {
        (None, true) => report::print(&run)?,
        (Some(place), true) if place == Path::new("-") => report::print(&run)?,
        (Some(place), false) if place == Path::new("-") => report::print_as(&run, &formats)?,
        (place, none_named) => {
            if none_named {
                formats = report::ALL.iter().copied().filter(|format| format.fits(&run)).collect();
            }
            save(&run, &formats, place.unwrap_or(&dir))?;
        }
    }
    Ok(Exit::Ok)
}

/// Writes the files of these formats, and says which.
fn save(run: &Run, formats: &[&dyn Format], place: &Path) -> Result<()> {
    std::fs::create_dir_all(place).with_context(|| format!("cannot create {}", place.display()))?;
    for format in formats {
        for path in format.save(run, place)? {
            print_out(format!("{}\n", path.display()).as_bytes())?;
        }
    }
    Ok(())
}
