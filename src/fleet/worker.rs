//! A worker: one process, one thread, one share of a cell's clients.

use std::cell::Cell;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use tokio::runtime::LocalOptions;

use super::layout;
use super::message::{Endpoint, FromWorker, Share, Start, ToWorker};
use super::reading::{Meters, Reading, span};
use crate::client::executor::Executor;
use crate::client::run::{Phase, Run};
use crate::host::clock::monotonic_ns;
use crate::host::timer::Timer;
use crate::host::{process, runtime};
use crate::protocol::{self, Dialect, Protocol, Target};
use crate::scenario::spec::CellSpec;
use crate::transport::link::LinkSpec;
use crate::transport::tls::Tls;
use orders::{Inbox, Orders, listen, say};

mod crowd;
mod orders;
mod ramp;

/// How long publishers may go on behind the end of the window with what was due before it.
const SEND_GRACE_NS: u64 = 1_000_000_000;

/// How long after the drain's deadline late deliveries are still watched for.
const LATE_NS: u64 = 250_000_000;

/// How long closing may go on without any client ending.
const FAREWELL_NS: u64 = 2_000_000_000;

/// Clients of all workers that may say good-bye at the same time.
const MOST_LEAVING: u32 = 512;

/// The least of either that a worker is left with, however many there are.
const LEAST_AT_ONCE: u32 = 16;

/// Between two looks at whether something is complete.
const LOOK_NS: u64 = 5_000_000;

/// The same where many workers share the cores: their looks alone would keep them busy.
const LONGEST_LOOK_NS: u64 = 50_000_000;

/// Looks at the lag of the event loops in a window, by all workers together: a p99 takes 1,000. Each wakes its worker, which
/// costs as much as ten deliveries.
const LAG_LOOKS: u64 = 1_200;

/// No worker is left alone for longer. No whole part of a second, at each of which all workers tell what came in it.
const LONGEST_WATCH_NS: u64 = 970_000_000;

/// Serves one coordinator over standard input and output. Returns when the share is done or the input ends.
///
/// # Errors
/// The first message is not `Start`, or the system refuses what every worker needs.
pub fn main() -> Result<()> {
    let runtime = runtime::builder().build_local(LocalOptions::default())?;
    let result = runtime.block_on(serve());
    if let Err(error) = &result {
        say(&FromWorker::Failed { reason: format!("{error:#}") });
    }
    result
}

async fn serve() -> Result<()> {
    let mut inbox = Inbox::open()?;
    let Some(ToWorker::Start(start)) = inbox.recv().await else { bail!("the coordinator said nothing") };
    let mut worker = Worker::new(*start)?;
    let orders = worker.orders.clone();
    let executor = worker.executor.clone();
    let clients = tokio::task::spawn_local(async move { executor.run().await });
    let work = async {
        let interrupted = tokio::select! {
            stopped = listen(&mut inbox, &orders) => stopped?,
            () = worker.measure() => false,
        };
        if interrupted {
            worker.cut_short().await;
        }
        worker.finish(interrupted).await;
        anyhow::Ok(())
    };
    tokio::select! {
        done = work => done,
        // They end with this process, unless one of them panics.
        ended = clients => match ended.context("a client failed in a way that nobody foresaw; please report it")? {},
    }
}

struct Worker {
    start: Start,
    protocol: &'static Protocol,
    dialect: Rc<dyn Dialect>,
    run: Rc<Run>,
    executor: Rc<Executor>,
    orders: Rc<Orders>,
    meters: Meters,
    targets: Vec<Rc<Target>>,
    /// Connections that publishers may open beyond one each.
    spare_connections: Rc<Cell<u32>>,
    link: LinkSpec,
    /// Between two looks, in ns.
    look_ns: u64,
    memory_bytes: Option<u64>,
    barrier: Reading,
    opened: Option<Reading>,
    closed: Option<Reading>,
    expected: Cell<u64>,
}

impl Worker {
    fn new(start: Start) -> Result<Worker> {
        let protocol = start.spec.id.protocol;
        let timer = Timer::new().context("no descriptor for the timer")?;
        let dialect = protocol::dialect(&start.dialect).context("unknown dialect")?;
        let target = |server: &Endpoint| {
            let host = start.host.clone().unwrap_or_else(|| server.address.to_string());
            let tls = server.trust.as_ref().map(|trust| Tls::new(trust, &host)).transpose()?;
            let headers = start.headers.clone();
            anyhow::Ok(Rc::new(Target { address: server.address, tls, host, headers }))
        };
        let leaving = at_once(MOST_LEAVING, start.workers);
        let groups = start.spec.shard(start.worker, start.workers);
        let clients: u32 = groups.map(|group| start.spec.members(group).len() as u32).sum();
        let run = Rc::new(Run::new(start.spec.clone(), start.run, timer, leaving));
        let spare = layout::spare_connections(&start.spec, clients, process::descriptor_limit());
        Ok(Worker {
            spare_connections: Rc::new(Cell::new(spare)),
            link: start.spec.link,
            targets: start.servers.iter().map(target).collect::<Result<_>>()?,
            executor: Rc::new(Executor::new(&run, clients as usize)),
            run,
            protocol,
            dialect,
            orders: Rc::default(),
            meters: Meters::default(),
            look_ns: (LOOK_NS * u64::from(start.workers.div_ceil(4))).min(LONGEST_LOOK_NS),
            memory_bytes: None,
            barrier: Reading::default(),
            opened: None,
            closed: None,
            expected: Cell::new(0),
            start,
        })
    }

    async fn measure(&mut self) {
        self.connect().await;
        let start_ns = self.orders.clone().wait(|orders| orders.start_ns.take()).await;
        self.memory_bytes = process::memory_bytes(std::process::id());
        self.barrier = Reading::with_packets(&self.meters);
        self.run.start(start_ns);
        self.window().await;
        self.announce().await;
        self.drain().await;
    }

    /// Told to stop in mid-run: what was measured is kept, and what is under way gets a second to arrive.
    async fn cut_short(&mut self) {
        self.closed =
            self.closed.take().or_else(|| self.opened.is_some().then(|| Reading::take(&self.meters)));
        self.run.advance(Phase::Drain);
        self.look_until(monotonic_ns() + SEND_GRACE_NS, || self.run.publishing.get() == 0).await;
        self.expect(&self.own_streams());
        self.look_until(monotonic_ns() + SEND_GRACE_NS, || self.is_complete()).await;
    }

    /// The warm-up and the measured window, second by second.
    async fn window(&mut self) {
        let spec = self.run.spec.clone();
        let opens_ns = (spec.warmup_s * 1e9) as u64;
        let closes_ns = self.run.window_end_ns();
        self.run.timer.sleep_until(self.run.to_monotonic_ns(opens_ns)).await;
        self.opened = Some(Reading::take(&self.meters));
        self.run.recorder.borrow_mut().open_window();
        // No more looks than are needed: in a long window of few messages they would be most of the work.
        let apart_ns = (closes_ns - opens_ns) * u64::from(self.start.workers) / LAG_LOOKS;
        let watch_ns = apart_ns.clamp(self.look_ns, LONGEST_WATCH_NS);
        // Each in its part of the time between, as looks of all at once would only see each other.
        let first_ns = opens_ns + watch_ns * u64::from(self.start.worker + 1) / u64::from(self.start.workers);
        tokio::task::spawn_local(watch_loop(self.run.clone(), first_ns, watch_ns));
        let mut index = 0;
        loop {
            let end_ns = (opens_ns + u64::from(index + 1) * 1_000_000_000).min(closes_ns);
            self.run.timer.sleep_until(self.run.to_monotonic_ns(end_ns)).await;
            if end_ns == closes_ns {
                self.closed = Some(Reading::take(&self.meters));
            }
            let second = self.run.recorder.borrow_mut().tick(index, self.run.connected.get());
            say(&FromWorker::Tick(Box::new(second)));
            self.run.lose_patience();
            index += 1;
            if end_ns == closes_ns {
                return;
            }
        }
    }

    /// Lets publishers finish, says what they sent, and learns what others sent.
    async fn announce(&self) {
        let deadline_ns = self.run.to_monotonic_ns(self.run.window_end_ns()) + SEND_GRACE_NS;
        self.look_until(deadline_ns, || self.run.publishing.get() == 0).await;
        self.run.advance(Phase::Drain);
        self.look_until(u64::MAX, || self.run.publishing.get() == 0).await;
        say(&FromWorker::Published { streams: self.own_streams() });
        let announced = self.orders.wait(|orders| orders.announced.take()).await;
        self.expect(&announced);
        *self.run.published.borrow_mut() = announced.into_iter().collect();
    }

    fn own_streams(&self) -> Vec<(u32, u32)> {
        self.run.published.borrow().iter().map(|(&stream, &count)| (stream, count)).collect()
    }

    /// Works out how many deliveries end a drain early.
    fn expect(&self, streams: &[(u32, u32)]) {
        let owed =
            streams.iter().map(|&(stream, count)| u64::from(count) * u64::from(self.run.audience(stream)));
        self.expected.set(owed.sum());
    }

    /// Everything owed has come, and every send that is answered has been.
    fn is_complete(&self) -> bool {
        self.run.awaiting.get() == 0 && self.run.recorder.borrow().counts.delivered >= self.expected.get()
    }

    /// Waits until everything owed has come, or the deadline.
    async fn drain(&self) {
        let deadline_ns = monotonic_ns() + (self.run.spec.drain_s * 1e9) as u64;
        if !self.look_until(deadline_ns, || self.is_complete()).await {
            self.run.advance(Phase::Late);
            self.run.timer.sleep_until(monotonic_ns() + LATE_NS).await;
        }
    }

    /// Looks again and again, until `done` or the deadline; says whether it was done.
    async fn look_until(&self, deadline_ns: u64, done: impl Fn() -> bool) -> bool {
        while !done() {
            let now_ns = monotonic_ns();
            if now_ns >= deadline_ns {
                return false;
            }
            self.run.timer.sleep_until((now_ns + self.look_ns).min(deadline_ns)).await;
        }
        true
    }

    /// Closes every client and reports; told to stop, in the other order.
    async fn finish(&mut self, interrupted: bool) {
        let end = Reading::with_packets(&self.meters);
        self.run.advance(Phase::End);
        if interrupted {
            // Who stops it does not wait for good-byes: the report comes first.
            self.look_until(monotonic_ns() + FAREWELL_NS, || self.run.staying.get() == 0).await;
        } else {
            self.farewell().await;
        }
        self.run.settle();
        let opened = self.opened.clone().unwrap_or_else(|| end.clone());
        let closed = self.closed.clone().unwrap_or_else(|| end.clone());
        let between = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?));
        say(&FromWorker::Done(Box::new(Share {
            worker: self.start.worker,
            streams: self.own_streams(),
            recorded: self.run.recorder.borrow().report(),
            subscriber_wire: span(
                &self.barrier.subscriber,
                &end.subscriber,
                &opened.subscriber,
                &closed.subscriber,
            ),
            publisher_wire: span(
                &self.barrier.publisher,
                &end.publisher,
                &opened.publisher,
                &closed.publisher,
            ),
            cpu_ns: between(opened.cpu_ns, closed.cpu_ns),
            run_queue_delay_ns: between(opened.run_queue_delay_ns, closed.run_queue_delay_ns),
            memory_bytes: self.memory_bytes,
            window_ns: own_share_ns(&self.run.spec, opened.at_ns, closed.at_ns),
            interrupted,
        })));
        self.farewell().await;
    }

    /// Waits until every client has ended, as long as some do.
    async fn farewell(&self) {
        while self.run.alive.get() > 0 {
            let (alive, patience_ns) = (self.run.alive.get(), monotonic_ns() + FAREWELL_NS);
            if !self.look_until(patience_ns, || self.run.alive.get() != alive).await {
                return;
            }
        }
    }
}

/// How much of a window this cell was loaded: all of it, unless it takes turns.
fn own_share_ns(spec: &CellSpec, opened_ns: u64, closed_ns: u64) -> u64 {
    let window_ns = closed_ns - opened_ns;
    match &spec.turns {
        None => window_ns,
        // By the timetable: the ends are read a little late, and not in the same slice of both sides.
        Some(turns) => {
            let to_load_ns = |seconds: f64| turns.to_load_ns((seconds * 1e9).round() as u64);
            let planned_ns = to_load_ns(spec.warmup_s + spec.duration_s) - to_load_ns(spec.warmup_s);
            planned_ns.min(window_ns)
        }
    }
}

/// One worker's part of what all may do at once.
fn at_once(all: u32, workers: u32) -> u32 {
    (all / workers.max(1)).max(LEAST_AT_ONCE)
}

/// Notes how late the event loop comes to something that is due every `look_ns` of the window: whatever this is late, every
/// client may be late.
async fn watch_loop(run: Rc<Run>, first_ns: u64, look_ns: u64) {
    let mut due_ns = first_ns;
    while due_ns < run.window_end_ns() {
        run.timer.sleep_until(run.to_monotonic_ns(due_ns)).await;
        // Clients that are ready before it have their turns first, as they would before another client.
        run.passed().await;
        // A loop that comes late to one may have passed others: each is as late as it is, and none waits for the next.
        let now_ns = run.now_ns();
        while due_ns <= now_ns {
            run.recorder.borrow_mut().loop_late(now_ns - due_ns);
            due_ns += look_ns;
        }
    }
}
