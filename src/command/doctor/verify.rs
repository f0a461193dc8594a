//! `doctor --verify`: the instrument's times against servers of known behaviour.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::watch;

use crate::command::{delay_server, measuring};
use crate::fleet::coordinator::{Fleet, Progress};
use crate::fleet::server::{Server, ServerChoice};
use crate::measure::cell::{Cell, Distribution, Status};
use crate::measure::timings::Samples;
use crate::protocol::{self, Protocol};
use crate::scenario::cell_id::CellId;
use crate::scenario::kinds::Pattern;
use crate::scenario::spec::{CellSpec, HttpSpec, LongPollSpec, ShortPollSpec};
use crate::stats::histogram;

/// Holds that are tried, in ms; the first is what the others are held against.
const HOLDS_MS: [u64; 4] = [0, 1, 10, 100];

/// Protocols whose clients are told at once: what polls at an interval waits for that.
fn is_held(protocol: &Protocol) -> bool {
    delay_server::speaks(protocol) && !protocol.traits.polls
}

/// How far latency minus hold may be from the case without a hold, in ns.
const HOLD_TOLERANCE_NS: i64 = 100_000;

/// Rounds over all holds: what else runs on a host then falls on each of them alike. All samples count.
const ROUNDS: usize = 4;

/// How long the server is stopped.
const STALL: Duration = Duration::from_millis(500);

/// A response or service time that only a stall explains, in ns.
const STALLED_NS: u64 = 400_000_000;

/// One thing expected, and what was measured.
pub(super) struct Check {
    pub(super) name: String,
    pub(super) expected: String,
    pub(super) measured: String,
    pub(super) holds: bool,
}

/// A cell that is about times.
pub(super) fn spec(protocol: &'static Protocol, clients: u32, rate_per_s: f64, duration_s: f64) -> CellSpec {
    let example = CellSpec::example();
    CellSpec {
        id: CellId::of(protocol).with_kind("verify"),
        pattern: Pattern::Echo,
        clients,
        group: 1,
        rate_per_s,
        short_poll: ShortPollSpec { keep_alive: true, ..example.short_poll },
        http: HttpSpec { publish_keep_alive: true, ..example.http },
        long_poll: LongPollSpec { hold_s: Some(20.0) },
        duration_s,
        warmup_s: 0.5,
        drain_s: 2.0,
        ..example
    }
}

pub(super) async fn measure(
    server: ServerChoice,
    spec: &CellSpec,
    on_second: &mut dyn FnMut(),
) -> Result<Cell> {
    let (_sender, stop) = watch::channel(false);
    let program = measuring::own_image()?;
    let fleet = Fleet { program, server, workers: Some(1), headers: String::new(), rendezvous: None, stop };
    let cell = fleet
        .measure(spec, &mut |progress| {
            if matches!(progress, Progress::Second(_)) {
                on_second();
            }
        })
        .await;
    ensure!(cell.status == Status::Finished, "{}: {:?}", spec.id, cell.status);
    Ok(cell)
}

/// Latency minus the hold that the server really made, for each protocol and hold.
pub(super) async fn holds(say: &mut dyn FnMut(Check)) -> Result<()> {
    let dir = std::env::temp_dir().join(format!("rtbench-verify-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    for protocol in protocol::ALL.iter().filter(|protocol| is_held(protocol)) {
        let mut all: [Held; HOLDS_MS.len()] = Default::default();
        for _ in 0..ROUNDS {
            for (held, hold_ms) in all.iter_mut().zip(HOLDS_MS) {
                held.measure(protocol, hold_ms, &dir.join("stamps")).await?;
            }
        }
        let all = all.each_mut().map(Held::rest_ns);
        let base = all[0];
        for (rest, hold_ms) in all.into_iter().zip(HOLDS_MS) {
            for (i, word) in ["p50", "p99"].into_iter().enumerate() {
                let moved_ns = rest[i] - base[i];
                say(Check {
                    name: format!("{}, held {hold_ms} ms: {word} of latency minus hold", protocol.name),
                    expected: format!("{} us +-{}", base[i] / 1_000, HOLD_TOLERANCE_NS / 1_000),
                    measured: format!("{} us", rest[i] / 1_000),
                    holds: moved_ns.abs() <= HOLD_TOLERANCE_NS,
                });
            }
        }
    }
    Ok(std::fs::remove_dir_all(dir)?)
}

/// Latencies behind one hold, and the holds that the server really made.
#[derive(Default)]
struct Held {
    latency: Samples,
    stamps_ns: Vec<i64>,
}

impl Held {
    /// Adds a round: few clients, and rare messages, so that none waits for another.
    async fn measure(&mut self, protocol: &'static Protocol, hold_ms: u64, stamps: &Path) -> Result<()> {
        let words = ["holder", "--hold", &format!("{hold_ms}ms"), "--stamps", &stamps.to_string_lossy()];
        let server = ServerChoice::Start {
            program: measuring::own_image()?,
            args: words.iter().map(|word| (*word).to_owned()).collect(),
        };
        let cell = measure(server, &spec(protocol, 40, 5.0, 4.0), &mut || {}).await?;
        let text = std::fs::read_to_string(stamps).context("the server left no stamps")?;
        let stamps_ns: Vec<i64> = text.lines().filter_map(|line| line.parse().ok()).collect();
        ensure!(
            stamps_ns.len() as u64 >= cell.counts.delivered && !stamps_ns.is_empty(),
            "stamps are missing"
        );
        ensure!(cell.service.count > 0, "nothing was delivered");
        self.latency.merge(&cell.service)?;
        self.stamps_ns.extend(stamps_ns);
        Ok(())
    }

    /// Median and 99th percentile of latency, less those of the hold.
    fn rest_ns(&mut self) -> [i64; 2] {
        self.stamps_ns.sort_unstable();
        let held = &self.stamps_ns;
        let at = |p: f64| held[((p * held.len() as f64) as usize).min(held.len() - 1)];
        let latency = self.latency.distribution(0);
        let latency = latency.samples();
        let at_latency = |p| latency.as_ref().map_or(0, |samples| histogram::at_quantile(samples, p) as i64);
        [0.5, 0.99].map(|p| at_latency(p) - at(p))
    }
}

/// The server stands still for a while: who waits for it must say so, and nothing may vanish from the record.
pub(super) async fn stall(say: &mut dyn FnMut(Check)) -> Result<()> {
    for in_flight in [Some(1), None] {
        let load = if in_flight.is_some() { "one in flight" } else { "open loop" };
        let spec = CellSpec { in_flight, ..spec(CellSpec::example().id.protocol, 20, 50.0, 4.0) };
        let cell = stalled(&spec).await?;
        let (counts, clients) = (&cell.counts, u64::from(spec.clients));
        let kept = counts.delivered == counts.published && counts.shed == 0 && counts.lost == 0;
        let mut check = |what: &str, expected: String, measured: String, holds: bool| {
            say(Check {
                name: format!("stopped for {} ms, {load}: {what}", STALL.as_millis()),
                expected,
                measured,
                holds,
            });
        };
        check(
            "nothing is dropped from the record",
            format!("{} samples", counts.published),
            format!("{} samples, {} lost, {} shed", cell.response.count, counts.lost, counts.shed),
            kept && cell.response.count == counts.published,
        );
        let p99_ms = at_ms(&cell.response, 0.99);
        let limit_ms = STALLED_NS as f64 / 1e6;
        check(
            "response p99 shows it",
            format!(">= {limit_ms} ms"),
            format!("{p99_ms:.1} ms"),
            p99_ms >= limit_ms,
        );
        let stalled = beyond(&cell.service, STALLED_NS);
        match in_flight {
            Some(_) => check(
                "service shows one stalled sample a client",
                clients.to_string(),
                stalled.to_string(),
                stalled == clients,
            ),
            None => check(
                "service shows every message sent meanwhile",
                format!("> {clients}"),
                stalled.to_string(),
                stalled > clients,
            ),
        }
    }
    Ok(())
}

/// A run in whose second second the server is stopped.
async fn stalled(spec: &CellSpec) -> Result<Cell> {
    let choice = measuring::reference_server(&[], false, &[])?;
    let mut server = Server::ready(&choice).await?;
    let process = server.process.take().context("the server is not ours")?;
    let pid = process.pid as libc::pid_t;
    let mut seconds = 0;
    let standing = ServerChoice::Standing {
        address: server.address,
        host: server.address.to_string(),
        trust: None,
        pid: None,
    };
    let cell = measure(standing, spec, &mut || {
        seconds += 1;
        if seconds == 1 {
            tokio::spawn(stop_for(pid, STALL));
        }
    })
    .await;
    process.end().await;
    cell
}

async fn stop_for(pid: libc::pid_t, time: Duration) {
    // SAFETY: no memory is involved; the process is a child of ours that has not been waited for.
    unsafe { libc::kill(pid, libc::SIGSTOP) };
    tokio::time::sleep(time).await;
    // SAFETY: as above.
    unsafe { libc::kill(pid, libc::SIGCONT) };
}

fn at_ms(time: &Distribution, p: f64) -> f64 {
    time.samples().map_or(0.0, |samples| histogram::at_quantile(&samples, p) as f64 / 1e6)
}

fn beyond(time: &Distribution, ns: u64) -> u64 {
    time.samples().map_or(0, |samples| samples.count_between(ns, u64::MAX >> 1))
}
