//! `rtbench serve`: the reference server in this process.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context, Result};
use reference_server::hub::{Limits, SlowPolicy};
use reference_server::tls::Identity;
use reference_server::{Config, Listeners};
use tokio::net::unix::pipe::Receiver;

use crate::cli::fault;
use crate::cli::{ServeArgs, Slow};
use crate::exit::Exit;
use crate::host::termination::Farewell;
use crate::host::{input, process, runtime};
use crate::say;

fn config(args: &ServeArgs) -> Config {
    Config {
        limits: Limits {
            history_events: args.history.0 as usize,
            queue_events: args.queue.0 as usize,
            slow: match args.slow {
                Slow::DropOldest => SlowPolicy::DropOldest,
                Slow::Disconnect => SlowPolicy::Disconnect,
            },
            topic_bytes: args.topic_bytes.0 as usize,
            history_bytes: args.history_bytes.0 as usize,
            topic_idle: Duration::from_secs_f64(args.topic_idle.0),
            client_topics: args.client_topics.0 as usize,
            client_bytes: args.client_bytes.0 as usize,
            buffer_bytes: args.buffer_bytes.0 as usize,
        },
        hold: Duration::from_secs_f64(args.hold.0),
        retry: Duration::from_secs_f64(args.retry.0),
        faults: fault::faults(&args.fault),
        ..Config::default()
    }
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// The address cannot be bound, or the system refuses what a server needs.
pub fn run(args: &ServeArgs) -> Result<Exit> {
    process::descriptor_limit();
    process::give_memory_back();
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
    Ok(say::out(|out| writeln!(out, "{ready}"))?)
}

/// A signal to end, or the end of `guard` if there is one.
async fn shutdown(guard: Option<Receiver>) {
    let signalled = async {
        match Farewell::listen() {
            Ok(mut farewell) => farewell.asked().await,
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
        () = signalled => {}
        () = ended => {}
    }
}
