//! One file a verb.

pub mod capacity;
pub mod claims;
pub mod compare;
pub mod delay_server;
pub mod disturbance;
pub mod doctor;
pub mod gate;
pub mod list;
pub mod matrix;
mod measuring;
pub mod progress;
pub mod prometheus;
pub mod report;
pub mod run;
pub mod serve;

use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use clap_complete::Shell;

use crate::cli::HostArgs;
use crate::compare::Refusal;
use crate::exit::Exit;
use crate::host::awake::Awake;
use crate::measure::run::Run;
use crate::measure::store::{self, StoreError};
use crate::report::UnknownFormat;
use crate::say;
use crate::scenario::ScenarioError;
use crate::scenario::plan::PlanError;

/// Makes this machine as it is to be while something is measured; it is so for as long as the result lives.
///
/// # Errors
/// The system does not let us.
pub fn prepare(args: &HostArgs) -> Result<Option<Awake>> {
    let awake = args.keep_awake.then(Awake::keep).transpose();
    awake.context("--keep-awake: the processors cannot be kept awake (it needs root, and a kernel that can)")
}

/// `rtbench completions SHELL`.
///
/// # Errors
/// The output cannot be written.
pub fn completions(shell: Shell, mut command: clap::Command) -> Result<Exit> {
    // Into memory first: the library panics where the output cannot be written.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "rtbench", &mut script);
    print_out(&script)?;
    Ok(Exit::Ok)
}

/// `rtbench man`.
///
/// # Errors
/// The output cannot be written.
pub fn man(command: clap::Command) -> Result<Exit> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    print_out(&page)?;
    Ok(Exit::Ok)
}

/// Reads a run, and says what is wrong with it: its files, or that it did not come to its end.
fn load(dir: &Path) -> Result<Run, StoreError> {
    let run = store::load(dir)?;
    let unfinished = run.unfinished().map(|words| format!("{}: {words}", run.name));
    for warning in run.warnings.iter().chain(&unfinished) {
        say::line(format!("warning: {warning}"));
    }
    Ok(run)
}

fn print_out(bytes: &[u8]) -> io::Result<()> {
    say::out(|out| out.write_all(bytes))
}

/// The exit code of an error that ended a command: what the user wrote, or everything else.
pub fn exit_of_error(error: &anyhow::Error) -> Exit {
    let no_such_run = matches!(error.downcast_ref(), Some(StoreError::NoRuns(_) | StoreError::Read { .. }));
    let bad_words =
        error.is::<ScenarioError>() || error.is::<PlanError>() || error.is::<UnknownFormat>() || no_such_run;
    match bad_words || error.is::<Refusal>() {
        true => Exit::Usage,
        false => Exit::Broken,
    }
}
