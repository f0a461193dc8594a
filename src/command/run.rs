//! `rtbench run SCENARIO`.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result};

use super::measuring::{self, Job, Measurement};
use crate::cli::fault;
use crate::cli::{RunArgs, TargetArgs, WorkloadArgs};
use crate::exit::Exit;
use crate::fleet::coordinator::Fleet;
use crate::fleet::server::ServerChoice;
use crate::host::process;
use crate::measure::run::{RunFile, RunKind, ScenarioText, Swept, ThresholdText, with_defaults};
use crate::measure::threshold::{Place, Threshold};
use crate::say;
use crate::scenario::kinds::Encryption;
use crate::scenario::sweep::{self, Sweep};
use crate::scenario::{self, Scenario, ScenarioError, Source, headers, plan};
use crate::transport::control;
use crate::transport::tls::Trust;
use crate::unit::OneOrMany;

/// Runs it.
///
/// # Errors
/// `ScenarioError` or `PlanError` for what the user wrote; else what the surroundings refused.
pub fn run(args: &RunArgs) -> Result<Exit> {
    let formats = measuring::formats(&args.output)?;
    let sweeps = sweep::merged(&args.sweep)?;
    set_once(args, &sweeps)?;
    let source = scenario::locate(&args.scenario)?;
    let mut variants = sweep::variants(&source, &sweeps)?;
    let mut settings = Vec::new();
    for variant in &mut variants {
        let scenario = &mut variant.scenario;
        if let Some(duration) = args.duration {
            scenario.load.duration = duration;
        }
        let server = fit(scenario, &args.workload, &args.server)?;
        settings.push(Setting { server, headers: headers::lines(&scenario.http) });
    }
    let Some(scenario) = variants.first().map(|variant| &variant.scenario) else { return Ok(Exit::Ok) };
    thresholds(&source, scenario)?;
    let seed = args.workload.seed.unwrap_or_else(fresh_seed);
    let text = ScenarioText { name: source.name.clone(), text: source.text.clone() };
    let mut file = RunFile::begin(RunKind::Scenario, measuring::command_line(), seed, text);
    file.thresholds = with_defaults(threshold_texts(scenario));
    file.swept = sweeps.into_iter().map(|Sweep { key, values }| Swept { key, values }).collect();
    let planned = sweep::cells(&variants, seed)?;
    fault::check(&args.server.server_fault, planned.iter().map(|cell| &cell.spec))?;
    let of_cell: BTreeMap<String, &Setting> =
        planned.iter().map(|cell| (cell.spec.id.to_string(), &settings[cell.variant])).collect();
    let cells = planned.into_iter().map(|cell| cell.spec).collect();
    let lanes = vec![plan::repeated(cells, args.repeat).into_iter().map(Job::Load).collect()];
    let measurement = Measurement { file, name: &source.name, lanes, output: &args.output };
    let run = measurement.measure(|spec, stop| {
        let setting =
            of_cell.get(&spec.id.to_string()).with_context(|| format!("{} was not planned", spec.id))?;
        Ok(Fleet {
            program: measuring::own_image()?,
            server: setting.server.clone(),
            workers: args.server.workers,
            headers: setting.headers.clone(),
            rendezvous: None,
            stop,
        })
    })?;
    Ok(measuring::show(&run, &args.output, &formats, measuring::exit_of(&run)))
}

/// What the cells of one variant of a scenario are measured with.
struct Setting {
    server: ServerChoice,
    /// Header lines of requests.
    headers: String,
}

/// Refuses a value that an option and a sweep both set.
fn set_once(args: &RunArgs, sweeps: &[Sweep]) -> Result<(), ScenarioError> {
    let RunArgs { workload, server, .. } = args;
    let https = server.target.as_ref().is_some_and(|target| target.starts_with("https://"));
    let options = [
        ("load.clients", workload.clients.is_some(), "--clients"),
        ("load.rate", workload.rate.is_some(), "--rate"),
        ("load.payload", workload.payload.is_some(), "--payload"),
        ("load.protocols", !workload.protocol.is_empty(), "--protocol"),
        ("load.duration", args.duration.is_some(), "--duration"),
        ("connect.link", !workload.link.is_empty(), "--link"),
        ("connect.tls", server.tls, "--tls"),
        ("connect.tls", https, "an https:// target"),
        ("http.headers", workload.headers.is_some(), "--headers"),
    ];
    let twice = options.iter().find(|(key, set, _)| *set && sweeps.iter().any(|sweep| sweep.key == *key));
    twice.map_or(Ok(()), |(key, _, option)| {
        Err(ScenarioError::Invalid(format!("{key} is set twice: by {option} and by --sweep")))
    })
}

/// A scenario as the user wants it, and what it is put on.
pub(super) struct Prepared {
    /// The file.
    pub(super) source: Source,
    /// What it says, and what the command line says instead.
    pub(super) scenario: Scenario,
    /// The server.
    pub(super) server: ServerChoice,
}

/// Reads a scenario and what is to be loaded by it.
///
/// # Errors
/// What the user wrote is wrong, or names something that is not there.
pub(super) fn prepare(name: &str, workload: &WorkloadArgs, target: &TargetArgs) -> Result<Prepared> {
    let source = scenario::locate(name)?;
    let mut scenario = source.parse()?;
    let server = fit(&mut scenario, workload, target)?;
    Ok(Prepared { source, scenario, server })
}

/// Makes a scenario what the command line wants, and finds what it is put on.
fn fit(scenario: &mut Scenario, workload: &WorkloadArgs, target: &TargetArgs) -> Result<ServerChoice> {
    override_workload(scenario, workload);
    headers::choice(&scenario.http).map_err(ScenarioError::Invalid)?;
    let server = server(target, &mut scenario.connect.tls)?;
    for line in &scenario.http.custom {
        headers::check(line).map_err(ScenarioError::Invalid)?;
    }
    Ok(server)
}

/// A number from the clock and the process, for people who name none; it is kept in the results.
pub fn fresh_seed() -> u64 {
    // Small enough to be exact in JSON and to be typed again.
    (crate::host::clock::monotonic_ns() / 1000 + u64::from(std::process::id())) % 1_000_000_000
}

pub(super) fn override_workload(scenario: &mut Scenario, args: &WorkloadArgs) {
    let load = &mut scenario.load;
    if let Some(clients) = args.clients {
        // A group that was everybody stays everybody.
        if load.group.is_some_and(|group| load.clients.0.contains(&group)) {
            load.group = Some(clients);
        }
        load.clients = OneOrMany(vec![clients]);
    }
    if let Some(rate) = args.rate {
        load.rate = OneOrMany(vec![rate]);
    }
    if let Some(payload) = args.payload {
        load.payload = OneOrMany(vec![payload]);
    }
    if !args.protocol.is_empty() {
        load.protocols = Some(OneOrMany(args.protocol.clone()));
    }
    if !args.link.is_empty() {
        scenario.connect.link = OneOrMany(args.link.clone());
    }
    if let Some(headers) = args.headers {
        scenario.http.headers = headers;
    }
}

/// What to load. The target's scheme and `--tls` decide on encryption before the scenario does.
pub(super) fn server(args: &TargetArgs, encryption: &mut Encryption) -> Result<ServerChoice> {
    if args.tls {
        *encryption = Encryption::Tls;
    }
    let Some(url) = &args.target else {
        return measuring::reference_server(&[], *encryption == Encryption::Tls, &args.server_fault);
    };
    let pid = args.server_pid.map(readable).transpose()?;
    let trust = match &args.ca {
        _ if args.insecure => Trust::Anyone,
        Some(path) => Trust::Pem(
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
        ),
        None => Trust::System,
    };
    if url.starts_with("https://") {
        *encryption = Encryption::Tls;
        standing_server(url, "https://", 443, Some(trust), pid)
    } else if *encryption == Encryption::Tls {
        let message = format!("connections shall be encrypted, and {url} is not https://");
        Err(ScenarioError::Invalid(message).into())
    } else {
        standing_server(url, "http://", 80, None, pid)
    }
}

/// A process whose cost can be read, or the reason why not before anything is measured.
fn readable(pid: u32) -> Result<u32> {
    match (process::cpu_ns(pid), process::memory_bytes(pid)) {
        (Some(_), Some(_)) => Ok(pid),
        _ => Err(ScenarioError::Invalid(format!(
            "the cost of process {pid} cannot be read: is there one on this host, and is it yours (or are you root)?"
        ))
        .into()),
    }
}

fn standing_server(
    url: &str,
    scheme: &str,
    port: u16,
    trust: Option<Trust>,
    pid: Option<u32>,
) -> Result<ServerChoice> {
    let wrong = || ScenarioError::Invalid(format!("'{url}' is not a target such as http://127.0.0.1:8080"));
    let host = url.strip_prefix(scheme).ok_or_else(wrong)?.trim_end_matches('/');
    // A path, a query or a name and password would be dropped in silence.
    if host.is_empty() || host.contains(['/', '?', '#', '@']) {
        return Err(wrong().into());
    }
    let has_port = host.rfind(':') > host.rfind(']');
    let with_port = if has_port { host.to_owned() } else { format!("{host}:{port}") };
    let addresses = with_port.to_socket_addrs().map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidInput => anyhow::Error::from(wrong()),
        _ => anyhow::Error::from(error).context(format!("cannot find the host of {url}")),
    })?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    let address = control::first_to_accept(&addresses).ok_or_else(wrong)?;
    if addresses.first() != Some(&address) {
        say::line(format!("{host}: {address} is loaded, the first of its addresses that accepts"));
    }
    Ok(ServerChoice::Standing { address, host: host.to_owned(), trust, pid })
}

/// The scenario's thresholds; what is wrong with one is shown in the file.
pub(super) fn thresholds(source: &Source, scenario: &Scenario) -> Result<Vec<Threshold>, ScenarioError> {
    let each = scenario
        .thresholds
        .iter()
        .flat_map(|(subject, conditions)| conditions.iter().map(move |condition| (subject, condition)));
    each.map(|(subject, condition)| {
        Threshold::parse(subject, condition.get_ref()).map_err(|error| {
            // The text begins behind the quote.
            let start = condition.span().start + 1;
            let span = match error.place {
                Place::Expression => start + error.span.start..start + error.span.end,
                Place::Subject => condition.span(),
            };
            source.invalid(&error.to_string(), Some(span))
        })
    })
    .collect()
}

pub(super) fn threshold_texts(scenario: &Scenario) -> Vec<ThresholdText> {
    let each = scenario.thresholds.iter().flat_map(|(subject, conditions)| {
        conditions.iter().map(move |condition| ThresholdText::new(subject, condition.get_ref()))
    });
    each.collect()
}
