//! `rtbench report`: renders runs again from their files, one, or several side by side.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{load, print_out};
use crate::cli::ReportArgs;
use crate::exit::Exit;
use crate::measure::run::Run;
use crate::measure::store;
use crate::report::{self, Format, Several};
use crate::say;
use crate::scenario::ScenarioError;

/// Renders them.
///
/// # Errors
/// There is no such run or format, or a file cannot be written.
pub fn run(args: &ReportArgs) -> Result<Exit> {
    let dirs = directories(args)?;
    let mut runs = dirs.iter().map(|dir| load(dir)).collect::<Result<Vec<_>, _>>()?;
    let formats = args.format.iter().map(|name| report::find(name)).collect::<Result<Vec<_>, _>>()?;
    let place = Place::of(args);
    match (&runs[..], &dirs[..]) {
        ([run], [dir]) => one(run, formats, dir, &place)?,
        _ => {
            tell_apart(&mut runs, &args.runs)?;
            several(&runs, &formats, &place)?;
        }
    }
    Ok(Exit::Ok)
}

/// Where it goes.
enum Place<'a> {
    /// The user did not say.
    Unsaid,
    StandardOutput,
    Directory(&'a Path),
}

impl Place<'_> {
    fn of(args: &ReportArgs) -> Place<'_> {
        match args.out.as_deref() {
            None => Place::Unsaid,
            Some(place) if place == Path::new("-") => Place::StandardOutput,
            Some(place) => Place::Directory(place),
        }
    }
}

fn directories(args: &ReportArgs) -> Result<Vec<PathBuf>> {
    let named = args.runs.iter().map(|run| match run.as_str() {
        "latest" => Ok(store::latest(&args.results)?),
        path => Ok(PathBuf::from(path)),
    });
    named.collect()
}

fn usage(message: String) -> anyhow::Error {
    ScenarioError::Invalid(message).into()
}

/// Renders one run, into its own directory unless told otherwise.
fn one(run: &Run, mut formats: Vec<&'static dyn Format>, own: &Path, place: &Place<'_>) -> Result<()> {
    if let Some(format) = formats.iter().find(|format| !format.fits(run)) {
        return Err(usage(format!("the run {} has nothing for the format '{}'", run.name, format.name())));
    }
    match (place, formats.is_empty()) {
        (Place::Unsaid | Place::StandardOutput, true) => report::print(run)?,
        (Place::StandardOutput, false) => report::print_as(run, &formats)?,
        (Place::Unsaid, false) => save(run, &formats, own)?,
        (Place::Directory(dir), none_named) => {
            if none_named {
                formats = report::ALL.iter().copied().filter(|format| format.fits(run)).collect();
            }
            save(run, &formats, dir)?;
        }
    }
    Ok(())
}

/// Writes the files of these formats, and says which.
fn save(run: &Run, formats: &[&dyn Format], dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for format in formats {
        for path in format.save(run, dir)? {
            print_out(format!("{}\n", path.display()).as_bytes())?;
        }
    }
    Ok(())
}

/// Runs whose directories have the same name are named as they were typed.
fn tell_apart(runs: &mut [Run], typed: &[String]) -> Result<()> {
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for (run, typed) in runs.iter_mut().zip(typed) {
        if names.iter().filter(|name| **name == run.name).count() > 1 {
            run.name.clone_from(typed);
        }
    }
    for (i, run) in runs.iter().enumerate() {
        if runs[..i].iter().any(|other| other.name == run.name) {
            return Err(usage(format!("the run {} stands there twice", run.name)));
        }
    }
    Ok(())
}

/// Renders several runs side by side. They have no directory of their own.
fn several(runs: &[Run], formats: &[&'static dyn Format], place: &Place<'_>) -> Result<()> {
    let ways = ways(formats)?;
    match place {
        Place::Unsaid | Place::StandardOutput if formats.is_empty() => report::print_side_by_side(runs)?,
        Place::Unsaid => {
            let message =
                "several runs have no directory of their own: say --out DIR, or --out - for standard output";
            return Err(usage(message.to_owned()));
        }
        Place::StandardOutput => {
            say::out(|out| ways.iter().try_for_each(|(_, write)| write(runs, out)))?;
        }
        Place::Directory(dir) => save_several(runs, &ways, dir)?,
    }
    Ok(())
}

/// How these formats write several runs, each with the name of its file; of all that can where none is named.
fn ways(formats: &[&'static dyn Format]) -> Result<Vec<(&'static str, Several)>> {
    let way = |format: &&'static dyn Format| Some((format.file_name()?, format.several()?));
    if formats.is_empty() {
        return Ok(report::ALL.iter().filter_map(way).collect());
    }
    let able = || {
        let able = report::ALL.iter().filter(|format| format.several().is_some());
        able.map(|format| format.name()).collect::<Vec<_>>().join(", ")
    };
    let way = |format: &&'static dyn Format| {
        way(format).ok_or_else(|| {
            let message =
                format!("the format '{}' shows one run; several are shown by {}", format.name(), able());
            usage(message)
        })
    };
    formats.iter().map(way).collect()
}

fn save_several(runs: &[Run], ways: &[(&'static str, Several)], dir: &Path) -> Result<()> {
    if dir.join(store::RUN_FILE).exists() {
        return Err(usage(format!(
            "{} is the directory of a run, whose files these would replace",
            dir.display()
        )));
    }
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for (name, write) in ways {
        let path = dir.join(name);
        store::replace(&path, |out| write(runs, out))?;
        print_out(format!("{}\n", path.display()).as_bytes())?;
    }
    Ok(())
}
