//! The coordinator of one cell: starts server and workers, holds the barrier, reads the server's cost at the two ends of
//! the window, and merges what the workers measured. Whatever dies, what was measured comes back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::admission::{Door, Stranger};
use super::child::ProcessEnd;
use super::cores::Seats;
use super::layout::{HostCapacity, HostLimit, Layout, ServerSite};
use super::merge;
use super::message::{self, FromWorker, Start, ToWorker};
use super::partial::PartialCell;
use super::server::ServerChoice;
use super::servers::Servers;
use super::turns::{Readers, Rendezvous};
use super::window::{self, Held, Reading, Window};
use super::workers::Workers;
use crate::host::clock::monotonic_ns;
use crate::host::image::Image;
use crate::host::interference::Counters;
use crate::measure::cell::{Cell, Interval, ServerCost, ServerFailure, Status};
use crate::measure::recorder::Second;
use crate::quote;
use crate::scenario::spec::CellSpec;

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
    pub program: Image,
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
        let mut partial = PartialCell::new((monotonic_ns() ^ spec.seed) as u32);
        let outcome = self.gather(spec, &mut partial, progress).await;
        let status = match outcome {
            Ok(()) if partial.interrupted => Status::Interrupted,
            Ok(()) => Status::Finished,
            Err(error) => {
                let is_stranger = error.is::<Stranger>();
                let told = error.downcast_ref::<OfServer>().map(|of| of.failure);
                partial.server_failure = told.or(is_stranger.then_some(ServerFailure::NoClient));
                let why = if is_stranger { String::new() } else { merge::why_none_connected(&partial) };
                let reason = format!("{error:#}{why}");
                Status::Failed(quote::within(&reason, quote::MAX_REASON_CHARS))
            }
        };
        merge::cell(spec, status, started_unix_s, partial)
    }

    /// How a cell would be spread over processes.
    ///
    /// # Errors
    /// What the host cannot carry.
    pub fn layout(&self, spec: &CellSpec) -> Result<Layout, HostLimit> {
        Layout::of(spec, self.site(), self.workers, &HostCapacity::read())
    }

    fn site(&self) -> ServerSite {
        match &self.server {
            ServerChoice::Start { .. } => ServerSite::Own,
            ServerChoice::Command { .. } => ServerSite::Command,
            ServerChoice::Standing { address, .. } => ServerSite::Standing(address.ip()),
        }
    }

    async fn gather(
        &self,
        spec: &CellSpec,
        partial: &mut PartialCell,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let mut stop = self.stop.clone();
        let layout = self.layout(spec)?;
        let seats = Seats::here(self.site());
        let mut servers = tokio::select! {
            servers = Servers::ready(&self.server, layout.servers, seats.server()) => {
                servers.map_err(|error| OfServer::new(ServerFailure::NotReady, format!("{error:#}")))?
            }
            () = stopped(&mut stop) => { partial.interrupted = true; return Ok(()); }
        };
        let mut workers = Workers::start(&self.program, layout.workers, &seats)?;
        partial.seats = workers.seats.clone();
        partial.empty = Held::read(&mut servers);
        let before = Counters::read();
        let mut cell_run = CellRun {
            fleet: self,
            spec,
            layout,
            window: Window::default(),
            servers: &mut servers,
            workers: &mut workers,
            partial,
            progress,
        };
        let measured = tokio::select! {
            measured = cell_run.conduct() => measured,
            () = stopped(&mut stop) => { partial.interrupted = true; Ok(()) }
        };
        let measured = match measured {
            // Whatever else was noticed first came of that.
            Err(_) if servers.has_ended() => Err(OfServer::that_ended(servers.ended().await)),
            measured => measured,
        };
        partial.host = Counters::read().since(&before);
        if measured.is_err() || partial.interrupted {
            workers.stop_and_collect(&mut partial.shares, spec.clients).await;
        }
        workers.end().await;
        servers.end().await;
        measured
    }
}

/// An end of a cell that was its server's doing.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub(super) struct OfServer {
    failure: ServerFailure,
    words: String,
}

impl OfServer {
    pub(super) fn new(failure: ServerFailure, words: String) -> OfServer {
        OfServer { failure, words }
    }

    fn that_ended(process_end: ProcessEnd) -> anyhow::Error {
        let failure = ServerFailure::Ended { signal: process_end.signal };
        OfServer::new(failure, process_end.in_mid_run().to_string()).into()
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone can no longer stop anything.
    if stop.wait_for(|&stop| stop).await.is_err() {
        std::future::pending().await
    }
}

/// One cell under way.
struct CellRun<'a> {
    fleet: &'a Fleet,
    spec: &'a CellSpec,
    layout: Layout,
    window: Window,
    servers: &'a mut Servers,
    workers: &'a mut Workers,
    partial: &'a mut PartialCell,
    progress: &'a mut dyn FnMut(Progress),
}

impl CellRun<'_> {
    async fn conduct(&mut self) -> Result<()> {
        self.connect().await?;
        let idle = Held::read(self.servers);
        let start_ns = match &self.fleet.rendezvous {
            Some(rendezvous) => rendezvous.agree(GO_DELAY).await,
            None => monotonic_ns() + GO_DELAY.as_nanos() as u64,
        };
        let begins = Instant::now() + Duration::from_nanos(start_ns.saturating_sub(monotonic_ns()));
        let opens = begins + Duration::from_secs_f64(self.spec.warmup_s);
        // Whoever has come to be with the clients is found now, and not in a rest or a window.
        self.servers.mark();
        self.workers.say_all(&ToWorker::Go { start_ns }).await?;
        let readers = Readers { servers: self.servers.family(), workers: self.workers.pids() };
        let rests = async { Ok(readers.read_rests(self.spec, begins).await) };
        let load = self.load([opens, opens + self.spec.duration()]);
        let ((readings, streams), rests) = tokio::try_join!(load, rests)?;
        self.partial.rests = rests;
        let held = [self.partial.empty, idle, Held::read(self.servers)];
        // The drain begins with that, however long a server takes to tell its counters.
        self.announce(streams).await?;
        let announced = Instant::now();
        let untied = if self.fleet.site() == ServerSite::Own { self.servers.untied() } else { 0 };
        let record = window::record(self.servers, held, readings).await;
        self.partial.server = Some(ServerCost { untied, ..record });
        self.drain(announced).await
    }

    /// The next message of any worker. That the server ends, or that nothing is heard, is an error.
    async fn next(&mut self, deadline: Instant, doing: &str) -> Result<(usize, FromWorker)> {
        tokio::select! {
            message = self.workers.next() => message,
            process_end = self.servers.ended() => Err(OfServer::that_ended(process_end)),
            () = sleep_until(deadline) => Err(anyhow!("the workers went silent ({doing})")),
        }
    }

    /// Every worker gets its share, and is ready or has given up on those who are not.
    async fn connect(&mut self) -> Result<()> {
        let workers = self.workers.processes.len();
        for worker in 0..workers {
            let start = Start {
                spec: self.spec.clone(),
                run: self.partial.run,
                worker: worker as u32,
                workers: workers as u32,
                servers: self.servers.endpoints(),
                host: self.servers.host(),
                sources: self.layout.sources,
                headers: self.fleet.headers.clone(),
                dialect: message::contract(),
            };
            self.workers.processes[worker].say(&ToWorker::Start(Box::new(start))).await?;
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
                (worker, FromWorker::Ready { connected, absent, connect_ns, version }) => {
                    message::understood(version)?;
                    so_far[worker].0 = connected;
                    ready += 1;
                    self.partial.absent.extend(absent);
                    self.partial.connect_ns = self.partial.connect_ns.max(connect_ns);
                }
                _ => {}
            }
            let connected = so_far.iter().map(|(connected, _)| connected).sum();
            if connected > self.partial.connected {
                // A ramp that the machine cannot follow takes longer, but it goes on.
                deadline = deadline.max(Instant::now() + Duration::from_secs_f64(timeout_s) + SLACK);
            }
            let failures = so_far.iter().map(|(_, failures)| failures).sum();
            self.partial.connected = connected;
            (self.progress)(Progress::Connecting { connected, failures });
        }
        match self.partial.connected {
            0 => Err(OfServer::new(ServerFailure::NoClient, "no client could connect".to_owned()).into()),
            _ => Ok(()),
        }
    }

    /// The load: reads the server at both ends of the window, until every publisher has said what it sent.
    async fn load(&mut self, ends: [Instant; 2]) -> Result<([Reading; 2], HashMap<u32, u32>)> {
        let workers = self.workers.processes.len();
        let deadline = ends[1] + SLACK;
        let mut readings = Vec::new();
        let mut streams = HashMap::new();
        let mut seconds: Vec<Vec<Second>> = Vec::new();
        let mut published = 0;
        while published < workers || readings.len() < ends.len() {
            let reading = ends.get(readings.len()).copied();
            let (_, message) = tokio::select! {
                () = sleep_until(reading.unwrap_or(deadline)), if reading.is_some() => {
                    readings.push(self.window.read(self.servers));
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
        if seconds[index].len() == self.workers.processes.len() {
            let mut interval = Second::merge(&std::mem::take(&mut seconds[index]))?;
            interval.at_s = interval.at_s.min(self.spec.duration_s);
            interval.server_cpu_ns = self.window.second_ns(self.servers);
            interval.server_resident_bytes = self.servers.resident_bytes();
            interval.generator_resident_bytes = self.workers.resident_bytes();
            self.partial.seconds.push(interval.clone());
            (self.progress)(Progress::Second(interval));
        }
        Ok(())
    }

    /// Tells each worker what the streams of its share had.
    async fn announce(&mut self, streams: HashMap<u32, u32>) -> Result<()> {
        let workers = self.workers.processes.len();
        for worker in 0..workers {
            let own = streams.iter().map(|(&stream, &count)| (stream, count));
            let own = own.filter(|&(stream, _)| self.spec.role(stream).group as usize % workers == worker);
            self.workers.processes[worker].say(&ToWorker::Announce { streams: own.collect() }).await?;
        }
        Ok(())
    }

    /// Takes the report of each worker when everything has come that was `announced`.
    async fn drain(&mut self, announced: Instant) -> Result<()> {
        let farewell = FAREWELL_PER_CLIENT * self.spec.clients;
        let deadline = announced + Duration::from_secs_f64(self.spec.drain_s) + farewell + SLACK;
        while self.partial.shares.len() < self.workers.processes.len() {
            if let (_, FromWorker::Done(share)) = self.next(deadline, "while draining").await? {
                self.partial.shares.push(*share);
            }
        }
        Ok(())
    }
}
