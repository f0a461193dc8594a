//! The two that are compared: what the command line says of each.

use anyhow::Result;

use crate::cli::{SideArgs, TargetArgs};
use crate::command::{measuring, run};
use crate::fleet::server::ServerChoice;
use crate::gate::Side;
use crate::host::image::Image;
use crate::scenario::ScenarioError;
use crate::scenario::kinds::Encryption;

/// One of the two.
#[derive(Clone)]
pub(super) struct Contender {
    /// What it is, as it was asked for.
    pub(super) words: String,
    /// The server.
    pub(super) server: ServerChoice,
    /// The rtbench whose workers load it.
    pub(super) program: Image,
}

/// Both, of the same kind.
///
/// # Errors
/// One is missing, or named in two ways.
pub(super) fn both(args: &SideArgs, tls: bool) -> Result<[Contender; 2]> {
    let [base, new] = Side::BOTH.map(|side| one(args, side, tls));
    Ok([base?, new?])
}

/// One of them.
///
/// # Errors
/// It is missing, or named in two ways.
pub(super) fn one(args: &SideArgs, side: Side, tls: bool) -> Result<Contender> {
    let (command, rtbench, target, pid) = match side {
        Side::Base => (&args.base_server, &args.base_rtbench, &args.base_target, args.base_pid),
        Side::New => (&args.new_server, &args.new_rtbench, &args.new_target, args.new_pid),
    };
    let program = measuring::own_image()?;
    match (command, rtbench, target) {
        (Some(line), None, None) => Ok(Contender {
            words: line.clone(),
            server: ServerChoice::Command { line: line.clone(), ready: args.ready.clone() },
            program,
        }),
        (None, Some(path), None) => {
            let flags = ["serve", "--stdin-guard"].into_iter().chain(tls.then_some("--tls"));
            let args = flags.map(str::to_owned).collect();
            let program = Image::at(path).map_err(|error| {
                ScenarioError::Invalid(format!("cannot start {}: {error}", path.display()))
            })?;
            let server = ServerChoice::Start { program: program.clone(), args };
            Ok(Contender { words: path.display().to_string(), server, program })
        }
        (None, None, Some(url)) => {
            let target = TargetArgs { target: Some(url.clone()), server_pid: pid, ..TargetArgs::default() };
            let mut encryption = if tls { Encryption::Tls } else { Encryption::Plain };
            Ok(Contender { words: url.clone(), server: run::server(&target, &mut encryption)?, program })
        }
        _ => {
            let side = side.word();
            let text = format!(
                "say what to compare, in one way for each side: --{side}-server COMMAND, --{side}-rtbench PATH or \
                 --{side}-target URL"
            );
            Err(ScenarioError::Invalid(text).into())
        }
    }
}
