//! The coordinator of one cell: starts server and workers, holds the barrier, reads the server's cost at the two ends of
//! the window, and merges what the workers measured. Whatever dies, what was measured comes back.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::crew::{Crew, pin};
use super::door::{Door, Stranger};
use super::layout::{Layout, Room, Shortage, Site};
use super::merge;
use super::message::{FromWorker, Share, Start, ToWorker};
use super::server::{ServerChoice, ServerStats};
use super::servers::Servers;
use super::turns::{CpuReading, Readers, Rendezvous};
use crate::host::clock::monotonic_ns;
use crate::host::process;
use crate::host::strain::{Counters, HostStrain};
use crate::measure::cell::{Cell, Interval, ServerCost, Status};
use crate::measure::recorder::Second;
use crate::quote;
use crate::scenario::plan::CellSpec;

/// From the order to go until the load begins, so that every worker has heard it.
const GO_DELAY: Duration = Duration::from_millis(50);

/// How long anything may take beyond the times that the cell itself sets.
const SLACK: Duration = Duration::from_secs(15);

/// What closing one client may take of all that the workers have.
const FAREWELL_PER_CLIENT: Duration = Duration::from_micros(200);

/// How a run's cells are measured.
#[derive(Clone)]
pub struct Fleet {
    /// This program, which is also worker and server.
    pub program: PathBuf,
    /// What to load.
    pub server: ServerChoice,
    /// Worker processes; `None` decides by cores and descriptors.
    pub workers: Option<u32>,
    /// Header lines of every request, each ending in CRLF.
    pub headers: String,
    /// Where this cell meets the one that it takes turns with.
    pub rendezvous: Option<Arc<Rendezvous>>,
    /// Turns true when the user wants to stop.
    pub stop: watch::Receiver<bool>,
}

/// What a cell says while it is measured.
pub enum Progress {
    /// Clients connect.
    Connecting {
        /// Clients ready.
        connected: u64,
        /// Failures so far.
        failures: u64,
    },
    /// A second of the window is over.
    Second(Interval),
}

impl Fleet {
    /// Measures one cell. Never fails: what went wrong is the cell's status.
    pub async fn measure(&self, spec: &CellSpec, progress: &mut dyn FnMut(Progress)) -> Cell {
        let started_unix_s =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let mut gathered = Gathered::new((monotonic_ns() ^ spec.seed) as u32);
        let outcome = self.gather(spec, &mut gathered, progress).await;
        let status = match outcome {
            Ok(()) if gathered.interrupted => Status::Interrupted,
            Ok(()) => Status::Finished,
            Err(error) => {
                let why = if error.is::<Stranger>() { String::new() } else { gathered.why_none_connected() };
                let reason = format!("{error:#}{why}");
                Status::Failed(quote::within(&reason, quote::MAX_REASON_CHARS))
            }
        };
        merge::cell(spec, status, started_unix_s, gathered)
    }

    /// How a cell would be spread over processes.
    ///
    /// # Errors
    /// What the host cannot carry.
    pub fn layout(&self, spec: &CellSpec) -> Result<Layout, Shortage> {
        let site = match &self.server {
            ServerChoice::Start { .. } | ServerChoice::Command { .. } => Site::Own,
            ServerChoice::Standing { address, .. } => Site::Standing(address.ip()),
        };
        Layout::of(spec, site, self.workers, &Room::read())
    }

    async fn gather(
        &self,
        spec: &CellSpec,
        gathered: &mut Gathered,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let mut stop = self.stop.clone();
        let layout = self.layout(spec)?;
        let mut servers = tokio::select! {
            servers = Servers::ready(&self.server, layout.servers) => servers?,
            () = stopped(&mut stop) => { gathered.interrupted = true; return Ok(()); }
        };
        // One that rtbench did not start is read, not moved about.
        servers.pids().for_each(|pid| pin(pid, 0));
        gathered.pinned = servers.pids().next().is_some();
        let mut crew = Crew::start(self, layout.workers, gathered.pinned)?;
        gathered.memory_empty_bytes = servers.memory_bytes();
        gathered.kernel_empty_bytes = process::kernel_slab_bytes();
        let before = Counters::read();
        let mut conductor = Conductor {
            fleet: self,
            spec,
            layout,
            server_cpu_ns: None,
            servers: &mut servers,
            crew: &mut crew,
            gathered,
            progress,
        };
        let measured = tokio::select! {
            measured = conductor.conduct() => measured,
            () = stopped(&mut stop) => { gathered.interrupted = true; Ok(()) }
        };
        gathered.host = Counters::read().since(&before);
        if measured.is_err() || gathered.interrupted {
            crew.stop_and_collect(gathered, spec.clients).await;
        }
        crew.end().await;
        servers.end().await;
        measured
    }
}

/// What has been gathered of a cell so far.
#[derive(Default)]
pub(super) struct Gathered {
    /// Number of the run: the same for all processes of a cell, and not the same for the next cell.
    pub run: u32,
    pub shares: Vec<Share>,
    pub seconds: Vec<Interval>,
    pub connected: u64,
    pub absent: HashMap<u32, u32>,
    pub connect_ns: u64,
    pub memory_empty_bytes: Option<u64>,
    pub kernel_empty_bytes: Option<u64>,
    pub server: Option<ServerCost>,
    /// CPU in the rests between slices.
    pub rests: Vec<CpuReading>,
    pub host: HostStrain,
    pub interrupted: bool,
    /// Servers and workers are tied to cores of their own.
    pub pinned: bool,
}

impl Gathered {
    fn new(run: u32) -> Gathered {
        Gathered { run, ..Gathered::default() }
    }

    /// What most clients met when none could connect; empty otherwise.
    fn why_none_connected(&self) -> String {
        let failures = merge::failures(&self.shares);
        let most = failures.iter().max_by_key(|failure| failure.count).filter(|_| self.connected == 0);
        most.map_or(String::new(), |most| {
            format!(" ({} times {} in {}: {})", most.count, most.kind, most.phase, most.example)
        })
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone can no longer stop anything.
    if stop.wait_for(|&stop| stop).await.is_err() {
        std::future::pending().await
    }
}

/// One cell under way.
struct Conductor<'a> {
    fleet: &'a Fleet,
    spec: &'a CellSpec,
    layout: Layout,
    /// CPU time of the servers when the last second ended.
    server_cpu_ns: Option<u64>,
    servers: &'a mut Servers,
    crew: &'a mut Crew,
    gathered: &'a mut Gathered,
    progress: &'a mut dyn FnMut(Progress),
}

fn grown(from: Option<u64>, to: Option<u64>) -> Option<u64> {
    Some(to?.saturating_sub(from?))
}

/// The server's figures at one end of the window.
#[derive(Default)]
struct Reading {
    cpu_ns: Option<u64>,
    host_busy_ns: Option<u64>,
    stats: ServerStats,
}

/// What is held with all clients connected.
struct Held {
    memory_bytes: Option<u64>,
    kernel_bytes: Option<u64>,
}

impl Conductor<'_> {
    async fn conduct(&mut self) -> Result<()> {
        self.connect().await?;
        let idle =
            Held { memory_bytes: self.servers.memory_bytes(), kernel_bytes: process::kernel_slab_bytes() };
        let start_ns = match &self.fleet.rendezvous {
            Some(rendezvous) => rendezvous.agree(GO_DELAY).await,
            None => monotonic_ns() + GO_DELAY.as_nanos() as u64,
        };
        let begins = Instant::now() + Duration::from_nanos(start_ns.saturating_sub(monotonic_ns()));
        let opens = begins + Duration::from_secs_f64(self.spec.warmup_s);
        self.crew.say_all(&ToWorker::Go { start_ns }).await?;
        let readers = Readers { servers: self.servers.cost_pids(), workers: self.crew.pids() };
        let rests = async { Ok(readers.read_rests(self.spec, begins).await) };
        let load = self.load([opens, opens + self.spec.duration()]);
        let ((readings, streams), rests) = tokio::try_join!(load, rests)?;
        self.gathered.rests = rests;
        self.note_server(&readings, &idle);
        self.drain(streams).await
    }

    /// The next message of any worker. That the server ends, or that nothing is heard, is an error.
    async fn next(&mut self, deadline: Instant, doing: &str) -> Result<(usize, FromWorker)> {
        tokio::select! {
            message = self.crew.next() => message,
            obituary = self.servers.ended() => Err(anyhow!("{obituary} in mid-run")),
            () = sleep_until(deadline) => Err(anyhow!("the workers went silent ({doing})")),
        }
    }

    /// Every worker gets its share, and is ready or has given up on those who are not.
    async fn connect(&mut self) -> Result<()> {
        let workers = self.crew.processes.len();
        for worker in 0..workers {
            let start = Start {
                spec: self.spec.clone(),
                run: self.gathered.run,
                worker: worker as u32,
                workers: workers as u32,
                servers: self.servers.endpoints(),
                host: self.servers.host(),
                sources: self.layout.sources,
                headers: self.fleet.headers.clone(),
            };
            self.crew.processes[worker].say(&ToWorker::Start(Box::new(start))).await?;
        }
        let timeout_s = self.spec.connect_timeout_s;
        let ramp_s = f64::from(self.spec.clients) / self.spec.ramp_per_s;
        let mut deadline = Instant::now() + Duration::from_secs_f64(ramp_s + timeout_s) + SLACK;
        let mut so_far = vec![(0, 0); workers];
        let (begun, mut door) = (Instant::now(), Door::of(workers));
        let mut ready = 0;
        while ready < workers {
            match self.next(deadline, "while connecting").await? {
                (worker, FromWorker::Connecting { connected, failures, received }) => {
                    so_far[worker] = (connected, failures);
                    door.note(begun.elapsed(), worker, received)?;
                }
                (worker, FromWorker::Ready { connected, absent, connect_ns }) => {
                    so_far[worker].0 = connected;
                    ready += 1;
                    self.gathered.absent.extend(absent);
                    self.gathered.connect_ns = self.gathered.connect_ns.max(connect_ns);
                }
                _ => {}
            }
            let connected = so_far.iter().map(|(connected, _)| connected).sum();
            if connected > self.gathered.connected {
                // A ramp that the machine cannot follow takes longer, but it goes on.
                deadline = deadline.max(Instant::now() + Duration::from_secs_f64(timeout_s) + SLACK);
            }
            let failures = so_far.iter().map(|(_, failures)| failures).sum();
            self.gathered.connected = connected;
            (self.progress)(Progress::Connecting { connected, failures });
        }
        match self.gathered.connected {
            0 => Err(anyhow!("no client could connect")),
            _ => Ok(()),
        }
    }

    /// The load: reads the server at both ends of the window, until every publisher has said what it sent.
    async fn load(&mut self, ends: [Instant; 2]) -> Result<([Reading; 2], HashMap<u32, u32>)> {
        let workers = self.crew.processes.len();
        let deadline = ends[1] + SLACK;
        let mut readings = Vec::new();
        let mut streams = HashMap::new();
        let mut seconds: Vec<Vec<Second>> = Vec::new();
        let mut published = 0;
        while published < workers || readings.len() < ends.len() {
            let reading = ends.get(readings.len()).copied();
            let (_, message) = tokio::select! {
                () = sleep_until(reading.unwrap_or(deadline)), if reading.is_some() => {
                    let reading = self.read().await;
                    if readings.is_empty() {
                        self.server_cpu_ns = reading.cpu_ns;
                    }
                    readings.push(reading);
                    continue;
                }
                message = self.next(deadline, "under load") => message?,
            };
            match message {
                FromWorker::Tick(second) => self.note_second(&mut seconds, *second)?,
                FromWorker::Published { streams: own } => {
                    streams.extend(own);
                    published += 1;
                }
                _ => {}
            }
        }
        let readings = readings.try_into().map_err(|_| anyhow!("the window was not read at both ends"))?;
        Ok((readings, streams))
    }

    /// A second counts when every worker has told it.
    fn note_second(&mut self, seconds: &mut Vec<Vec<Second>>, second: Second) -> Result<()> {
        let index = second.index as usize;
        seconds.resize_with(seconds.len().max(index + 1), Vec::new);
        seconds[index].push(second);
        if seconds[index].len() == self.crew.processes.len() {
            let mut interval = Second::merge(&std::mem::take(&mut seconds[index]))?;
            interval.at_s = interval.at_s.min(self.spec.duration_s);
            let cpu_ns = self.servers.cpu_ns();
            interval.server_cpu_ns = grown(self.server_cpu_ns, cpu_ns);
            self.server_cpu_ns = cpu_ns;
            interval.server_resident_bytes = self.servers.resident_bytes();
            interval.generator_resident_bytes = self.crew.resident_bytes();
            self.gathered.seconds.push(interval.clone());
            (self.progress)(Progress::Second(interval));
        }
        Ok(())
    }

    async fn read(&self) -> Reading {
        let (cpu_ns, host_busy_ns) = (self.servers.cpu_ns(), process::host_busy_ns());
        Reading { cpu_ns, host_busy_ns, stats: self.servers.stats().await }
    }

    fn note_server(&mut self, [opened, closed]: &[Reading; 2], idle: &Held) {
        self.gathered.server = Some(ServerCost {
            cpu_ns: grown(opened.cpu_ns, closed.cpu_ns),
            memory_empty_bytes: self.gathered.memory_empty_bytes,
            memory_idle_bytes: idle.memory_bytes,
            memory_after_bytes: self.servers.memory_bytes(),
            kernel_empty_bytes: self.gathered.kernel_empty_bytes,
            kernel_idle_bytes: idle.kernel_bytes,
            kernel_after_bytes: process::kernel_slab_bytes(),
            host_busy_ns: grown(opened.host_busy_ns, closed.host_busy_ns),
            lookups: grown(opened.stats.lookups, closed.stats.lookups),
            published_bytes: grown(opened.stats.published_bytes, closed.stats.published_bytes),
            // Less those over which it was asked.
            connections: closed.stats.connections.map(|open| open.saturating_sub(self.servers.count())),
            servers: self.servers.count() as u32,
        });
    }

    /// Tells each worker what the streams of its share had, and takes its report when everything has come.
    async fn drain(&mut self, streams: HashMap<u32, u32>) -> Result<()> {
        let workers = self.crew.processes.len();
        for worker in 0..workers {
            let own = streams.iter().map(|(&stream, &count)| (stream, count));
            let own = own.filter(|&(stream, _)| self.spec.role(stream).group as usize % workers == worker);
            self.crew.processes[worker].say(&ToWorker::Announce { streams: own.collect() }).await?;
        }
        let farewell = FAREWELL_PER_CLIENT * self.spec.clients;
        let deadline = Instant::now() + Duration::from_secs_f64(self.spec.drain_s) + farewell + SLACK;
        while self.gathered.shares.len() < workers {
            if let (_, FromWorker::Done(share)) = self.next(deadline, "while draining").await? {
                self.gathered.shares.push(*share);
            }
        }
        Ok(())
    }
}
