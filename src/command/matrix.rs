//! `rtbench matrix`: the guide's comparison matrix, measured.

use anyhow::Result;

use super::measuring::{self, Job, Measurement};
use super::run::fresh_seed;
use crate::cli::MatrixArgs;
use crate::cli::fault;
use crate::exit::Exit;
use crate::fleet::coordinator::Fleet;
use crate::guide::plan::{self, Effort, MatrixPlan, Workload};
use crate::measure::run::{RunFile, RunKind, ScenarioText, with_defaults};
use crate::say;
use crate::scenario::file::Http;
use crate::scenario::kinds::{Encryption, Headers};
use crate::scenario::{ScenarioError, headers, plan as scenario_plan};

/// Measures it.
///
/// # Errors
/// `PlanError` for a workload that cannot be measured; else what the surroundings refused.
pub fn run(args: &MatrixArgs) -> Result<Exit> {
    let formats = measuring::formats(&args.output)?;
    let effort = match (args.quick, args.full) {
        (true, _) => Effort::Quick,
        (_, true) => Effort::Full,
        _ => Effort::Default,
    };
    let user = Workload {
        clients: args.workload.clients,
        rate: args.workload.rate,
        payload: args.workload.payload,
        protocols: args.workload.protocol.clone(),
        headers: args.workload.headers,
        users: args.users,
        links: args.workload.link.clone(),
    };
    if user.headers == Some(Headers::Custom) {
        let message = "the matrix has no scenario file for custom headers; choose minimal or browser";
        return Err(ScenarioError::Invalid(message.to_owned()).into());
    }
    let seed = args.workload.seed.unwrap_or_else(fresh_seed);
    let MatrixPlan { waiting, working, probes } = plan::plan(effort, &user, seed)?;
    // Not refused: of a matrix a fault is meant for some cells, and the others stand beside them.
    for unfelt in fault::unfelt(&args.server_fault, waiting.iter().chain(&working)) {
        say::line(unfelt.note());
    }
    let text = ScenarioText { name: "matrix".to_owned(), text: String::new() };
    let mut file = RunFile::begin(RunKind::Matrix, measuring::command_line(), seed, text);
    file.users = args.users.map(|users| u64::from(users.0));
    file.thresholds = with_defaults(Vec::new());
    let load = |cells| scenario_plan::repeated(cells, args.repeat).into_iter().map(Job::Load);
    let measurement = Measurement {
        file,
        name: "matrix",
        lanes: vec![
            load(waiting).collect(),
            load(working).chain(probes.into_iter().map(Job::Probe)).collect(),
        ],
        output: &args.output,
    };
    let run = measurement.measure(|spec, stop| {
        let set = if spec.http.headers == Headers::Minimal { Headers::Minimal } else { Headers::Browser };
        Ok(Fleet {
            program: measuring::own_image()?,
            // Probes wait for reconnects, and the load never sees one.
            server: measuring::reference_server(
                &["--retry", "200ms"],
                spec.tls == Encryption::Tls,
                &args.server_fault,
            )?,
            workers: None,
            headers: headers::lines(&Http { headers: set, ..Http::default() }),
            rendezvous: None,
            stop,
        })
    })?;
    Ok(measuring::show(&run, &args.output, &formats, measuring::exit_of(&run)))
}
