//! `rtbench compare`: two runs, or two sets of them, metric by metric.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::print_out;
use crate::cli::CompareArgs;
use crate::compare::{self, Comparison};
use crate::exit::Exit;
use crate::measure::run::Run;
use crate::measure::store;
use crate::report::comparison::{self, Form};
use crate::say;
use crate::scenario::ScenarioError;

/// Compares them.
///
/// # Errors
/// `Refusal` where they are not the same experiment; there is no such run, or a file cannot be written.
pub fn run(args: &CompareArgs) -> Result<Exit> {
    let (base, new) = sides(args)?;
    let [base, new] = load([base, new], &args.results)?;
    let comparison = compare::compare(&base, &new, args.across_hosts)?;
    write(&comparison, args)?;
    Ok(if comparison.is_whole() { Exit::Ok } else { Exit::Inconclusive })
}

/// The names of the runs of both sides.
fn sides(args: &CompareArgs) -> Result<(&[String], &[String]), ScenarioError> {
    match (args.base.as_slice(), args.new.as_slice()) {
        ([base, new], []) => Ok((std::slice::from_ref(base), std::slice::from_ref(new))),
        (_, []) => Err(ScenarioError::Invalid(
            "name two runs, or two sets of them with -- between: rtbench compare BASE... -- NEW..."
                .to_owned(),
        )),
        sides => Ok(sides),
    }
}

/// Reads every run. One that is named twice would count twice, as if it had been measured again.
fn load(sides: [&[String]; 2], results: &Path) -> Result<[Vec<Run>; 2]> {
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut runs = [Vec::new(), Vec::new()];
    for (names, runs) in sides.into_iter().zip(&mut runs) {
        for name in names {
            let dir = match name.as_str() {
                "latest" => store::latest(results)?,
                path => PathBuf::from(path),
            };
            let run = super::load(&dir)?;
            let place = dir.canonicalize().unwrap_or(dir);
            if seen.contains(&place) {
                let message = format!("the run {name} is named twice; it would count as if measured again");
                return Err(ScenarioError::Invalid(message).into());
            }
            seen.push(place);
            runs.push(run);
        }
    }
    Ok(runs)
}

/// Shows the table, or writes what was asked for, and says which files.
fn write(comparison: &Comparison, args: &CompareArgs) -> Result<()> {
    let dir = args.out.as_deref().filter(|place| *place != Path::new("-"));
    match (dir, args.format.is_empty()) {
        (None, true) => comparison::print(comparison, args.all)?,
        (None, false) => {
            say::out(|out| args.format.iter().try_for_each(|form| form.render(comparison, out)))?;
        }
        (Some(dir), none_named) => {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
            let all = <Form as clap::ValueEnum>::value_variants();
            for form in if none_named { all } else { &args.format } {
                let path = form.save(comparison, dir)?;
                print_out(format!("{}\n", path.display()).as_bytes())?;
            }
        }
    }
    Ok(())
}
