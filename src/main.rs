//! The program: parse, dispatch, turn errors into a message and an exit code.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;

use rtbench::cli::{Cli, Command};
use rtbench::command;
use rtbench::exit::Exit;
use rtbench::host::process;
use rtbench::say;

fn main() -> ExitCode {
    // A process that was started through a descriptor is called by that.
    std::env::args_os().next().iter().for_each(|path| process::be_called(path.as_ref()));
    let cli = Cli::of(std::env::args_os());
    let exit = run(&cli.command).unwrap_or_else(|error| {
        say::line(format!("rtbench: {error:#}"));
        command::exit_of_error(&error)
    });
    say::wait();
    exit.into()
}

fn run(command: &Command) -> Result<Exit> {
    // For as long as it measures.
    let _awake = command.host().map(command::prepare).transpose()?;
    match command {
        Command::Matrix(args) => command::matrix::run(args),
        Command::Run(args) => command::run::run(args),
        Command::Capacity(args) => command::capacity::run(args),
        Command::Gate(args) => command::gate::run(args),
        Command::Serve(args) => command::serve::run(args),
        Command::List(args) => command::list::run(args),
        Command::Report(args) => command::report::run(args),
        Command::Compare(args) => command::compare::run(args),
        Command::Claims(args) => command::claims::run(args),
        Command::Completions { shell } => command::completions(*shell, Cli::command()),
        Command::Man => command::man(Cli::command()),
        Command::Doctor(args) => command::doctor::run(args),
        Command::Holder(args) => command::delay_server::run(args),
        Command::Nuisance => command::disturbance::run(),
        Command::Worker => rtbench::fleet::worker::main().map(|()| Exit::Ok),
    }
}
