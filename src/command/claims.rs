//! `rtbench claims`: a verdict for every claim, from the runs at hand.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::load;
use crate::cli::ClaimsArgs;
use crate::exit::Exit;
use crate::guide::all_claims;
use crate::measure::store::{self, StoreError};
use crate::report;
use crate::say;

/// How the names of committed runs begin.
const REFERENCE: &str = "reference-";

/// Judges and prints them.
///
/// # Errors
/// A run cannot be read, or `claims.csv` not be written.
pub fn run(args: &ClaimsArgs) -> Result<Exit> {
    let dirs = directories(args)?;
    let mut runs = Vec::new();
    for dir in &dirs {
        runs.push(load(dir).with_context(|| format!("cannot read the run {}", dir.display()))?);
    }
    let mut entries = all_claims::entries(&runs);
    if let Some(part) = &args.section {
        let part = part.to_lowercase();
        entries.retain(|entry| entry.answer.claim.guide_section.to_lowercase().contains(&part));
    }
    if args.out.as_deref() == Some(Path::new("-")) {
        say::out(|out| report::claims_csv(&entries, &runs, out))?;
        return Ok(Exit::Ok);
    }
    report::print_text(&report::terminal::claims(&entries, report::terminal::width()))?;
    if let Some(dir) = &args.out {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let path = dir.join("claims.csv");
        store::replace(&path, |out| report::claims_csv(&entries, &runs, out))?;
        say::line(path.display().to_string());
    }
    Ok(Exit::Ok)
}

/// The runs to judge by, the newest last. Without any run there still is something to say: what would measure it.
fn directories(args: &ClaimsArgs) -> Result<Vec<PathBuf>> {
    let latest = || store::latest(&args.results);
    if args.runs.is_empty() {
        let mut dirs = references(&args.results);
        match latest() {
            Ok(dir) => dirs.push(dir),
            Err(StoreError::NoRuns(_)) => {}
            Err(error) => return Err(error.into()),
        }
        return Ok(dirs);
    }
    let named = args.runs.iter().map(|run| match run.as_str() {
        "latest" => Ok(latest()?),
        path => Ok(PathBuf::from(path)),
    });
    named.collect()
}

fn references(results: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(results).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(REFERENCE));
    let mut dirs: Vec<PathBuf> = named.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    dirs.sort();
    dirs
}
