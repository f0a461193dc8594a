//! One file a verb.

mod campaign;
pub mod claims;
pub mod doctor;
pub mod holder;
pub mod list;
pub mod matrix;
pub mod progress;
pub mod report;
pub mod run;
pub mod serve;

use std::io;

use anyhow::Result;
use clap_complete::Shell;

use crate::exit::Exit;
use crate::scenario::ScenarioError;
use crate::scenario::plan::PlanError;

/// `rtbench completions SHELL`.
///
/// # Errors
/// Never; the signature is that of every verb.
pub fn completions(shell: Shell, mut command: clap::Command) -> Result<Exit> {
    clap_complete::generate(shell, &mut command, "rtbench", &mut io::stdout());
    Ok(Exit::Ok)
}

/// `rtbench man`.
///
/// # Errors
/// The output cannot be written.
pub fn man(command: clap::Command) -> Result<Exit> {
    clap_mangen::Man::new(command).render(&mut io::stdout())?;
    Ok(Exit::Ok)
}

/// The exit code of an error that ended a command: what the user wrote, or everything else.
pub fn exit_of_error(error: &anyhow::Error) -> Exit {
    match error.is::<ScenarioError>() || error.is::<PlanError>() {
        true => Exit::Usage,
        false => Exit::Broken,
    }
}
