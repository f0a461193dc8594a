//! `rtbench serve`: the reference server in this process.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context, Result};
use reference_server::hub::{Limits, SlowPolicy};
use reference_server::tls::Identity;
use reference_server::{Config, Faults, Listeners};
use tokio::net::unix::pipe::Receiver;

use crate::cli::{ServeArgs, Slow};
use crate::exit::Exit;
use crate::host::{input, process, runtime};
use crate::scenario::unit::{Bytes, Count, Seconds};

/// The kinds of faults, for `--help`.
pub const FAULT_HELP: &str = "\
A defect of known size, to prove that a measurement notices it; may be repeated:
  framing=N        N more bytes of framing for each delivered message
  delay=TIME       each event is held this long before it is delivered
  ballast=SIZE     each connection holds this much more memory
  drop=N           one in N events vanishes
  duplicate=N      one in N events is sent twice
  swap=N           one in N events changes places with the next of its topic
  spin=TIME        this much CPU is burnt for each delivered message
  refuse-binary=1  binary messages are refused";

/// One `--fault`.
#[derive(Clone, Debug)]
pub struct Fault {
    /// As written, to be handed on.
    pub text: String,
    kind: FaultKind,
}

#[derive(Clone, Copy, Debug)]
enum FaultKind {
    /// More bytes of framing.
    Framing(usize),
    /// Held before delivery.
    Delay(Duration),
    /// Memory of each connection, in bytes.
    Ballast(usize),
    /// One in so many vanishes.
    Drop(u64),
    /// One in so many is doubled.
    Duplicate(u64),
    /// One in so many changes places.
    Swap(u64),
    /// CPU time of each delivery.
    Spin(Duration),
    /// Binary is refused.
    RefuseBinary,
}

impl std::str::FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        Ok(Fault { text: text.to_owned(), kind: parse_fault(text)? })
    }
}

fn parse_fault(text: &str) -> Result<FaultKind, String> {
    let (kind, size) = text.split_once('=').ok_or("a fault is written KIND=SIZE, e.g. delay=10ms")?;
    let count = || size.parse::<Count>().map(|count| count.0).map_err(|error| error.to_string());
    let bytes = || size.parse::<Bytes>().map(|bytes| bytes.0 as usize).map_err(|error| error.to_string());
    let time = || {
        let seconds = size.parse::<Seconds>().map_err(|error| error.to_string())?;
        Ok::<_, String>(Duration::from_secs_f64(seconds.0))
    };
    Ok(match kind {
        "framing" => FaultKind::Framing(bytes()?),
        "delay" => FaultKind::Delay(time()?),
        "ballast" => FaultKind::Ballast(bytes()?),
        "drop" => FaultKind::Drop(count()?.into()),
        "duplicate" => FaultKind::Duplicate(count()?.into()),
        "swap" => FaultKind::Swap(count()?.into()),
        "spin" => FaultKind::Spin(time()?),
        "refuse-binary" => FaultKind::RefuseBinary,
        _ => return Err(format!("there is no fault '{kind}'; see --help")),
    })
}

fn faults(list: &[Fault]) -> Faults {
    let mut faults = Faults::default();
    for fault in list {
        match fault.kind {
            FaultKind::Framing(bytes) => faults.framing_bytes = bytes,
            FaultKind::Delay(delay) => faults.delay = delay,
            FaultKind::Ballast(bytes) => faults.ballast_bytes = bytes,
            FaultKind::Drop(n) => faults.drop_one_in = Some(n),
            FaultKind::Duplicate(n) => faults.duplicate_one_in = Some(n),
            FaultKind::Swap(n) => faults.swap_one_in = Some(n),
            FaultKind::Spin(time) => faults.spin = time,
            FaultKind::RefuseBinary => faults.refuse_binary = true,
        }
    }
    faults
}

fn config(args: &ServeArgs) -> Config {
    Config {
        limits: Limits {
            history_events: args.history.0 as usize,
            queue_events: args.queue.0 as usize,
            slow: match args.slow {
                Slow::DropOldest => SlowPolicy::DropOldest,
                Slow::Disconnect => SlowPolicy::Disconnect,
            },
        },
        hold: Duration::from_secs_f64(args.hold.0),
        retry: Duration::from_secs_f64(args.retry.0),
        faults: faults(&args.fault),
        ..Config::default()
    }
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// The address cannot be bound, or the system refuses what a server needs.
pub fn run(args: &ServeArgs) -> Result<Exit> {
    process::descriptor_limit();
    let listeners = Listeners::bind(args.bind, args.rtc_sockets).with_context(|| {
        format!("cannot listen on {}; choose another port, or 0 for a free one", args.bind)
    })?;
    let runtime = runtime::builder().build()?;
    let identity = identity(args)?;
    let tls = identity.as_ref().map(|identity| identity.config.clone());
    runtime.block_on(async {
        let guard = args.stdin_guard.then(input::pipe).transpose();
        let guard = guard.context("--stdin-guard watches standard input, which is no pipe; do without it")?;
        say_ready(&listeners, identity.as_ref())?;
        let config = Config { tls, ..config(args) };
        reference_server::run(config, listeners, shutdown(guard)).await?;
        Ok(Exit::Ok)
    })
}

/// A certificate for the address that is bound, or for this host's own if that is every address.
fn identity(args: &ServeArgs) -> Result<Option<Identity>> {
    if !args.tls {
        return Ok(None);
    }
    let bound = args.bind.ip();
    let addresses = match bound.is_unspecified() {
        true => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        false => vec![bound],
    };
    let identity = Identity::self_signed(&addresses)?;
    if let Some(path) = &args.certificate {
        std::fs::write(path, &identity.certificate_pem)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Some(identity))
}

fn say_ready(listeners: &Listeners, identity: Option<&Identity>) -> Result<()> {
    let rtc: Vec<_> = listeners.rtc.iter().filter_map(|socket| socket.local_addr().ok()).collect();
    let mut ready = serde_json::json!({
        "ready": { "http": listeners.http.local_addr()?, "rtc": rtc, "pid": std::process::id() }
    });
    if let Some(identity) = identity {
        ready["ready"]["tls"] = true.into();
        ready["ready"]["certificate"] = identity.certificate_pem.as_str().into();
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{ready}")?;
    Ok(out.flush()?)
}

/// SIGTERM, SIGINT, or the end of `guard` if there is one.
async fn shutdown(guard: Option<Receiver>) {
    use tokio::signal::unix::{SignalKind, signal};
    let signalled = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => signal.recv().await.unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    };
    let ended = async {
        match guard {
            Some(mut guard) => drop(tokio::io::copy(&mut guard, &mut tokio::io::sink()).await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = signalled(SignalKind::terminate()) => {}
        () = signalled(SignalKind::interrupt()) => {}
        () = ended => {}
    }
}
