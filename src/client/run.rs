//! One cell as the sessions of one worker share it: its phase, its clock, its recorder.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::task::Waker;

use super::pace::Pacer;
use super::ready::ReadyQueue;
use crate::host::clock::monotonic_ns;
use crate::host::timer::Timer;
use crate::measure::delivery::Trackers;
use crate::measure::recorder::Recorder;
use crate::scenario::plan::CellSpec;

/// Where a cell is. Only ever goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Clients connect; nothing is sent.
    Connect,
    /// Events are sent as they are due.
    Load,
    /// Nothing more is sent; what is under way arrives.
    Drain,
    /// The deadline has passed; what arrives now is late.
    Late,
    /// Everybody closes.
    End,
}

/// Lets clients out a few at a time: thousands at once would outwait their own patience.
pub struct Doors {
    most: u32,
    leaving: Cell<u32>,
    waiting: RefCell<Vec<Waker>>,
}

impl Doors {
    /// Lets out `most` at the same time.
    fn new(most: u32) -> Doors {
        Doors { most, leaving: Cell::default(), waiting: RefCell::default() }
    }

    /// Whether one more may leave now; if not, `waker` is woken when it is worth asking again.
    pub fn enter(&self, waker: &Waker) -> bool {
        let free = self.leaving.get() < self.most;
        match free {
            true => self.leaving.set(self.leaving.get() + 1),
            false => self.waiting.borrow_mut().push(waker.clone()),
        }
        free
    }

    /// One that was let out is gone.
    pub fn left(&self) {
        self.leaving.set(self.leaving.get() - 1);
        // As many as there are free places: a waker may be that of one who got through in the meantime.
        let mut waiting = self.waiting.borrow_mut();
        let stay = waiting.len().saturating_sub((self.most - self.leaving.get()) as usize);
        let next = waiting.split_off(stay);
        drop(waiting);
        next.into_iter().for_each(Waker::wake);
    }
}

/// What one subscriber had seen when it ended.
pub struct Account {
    /// Its group.
    pub group: u32,
    /// Its index.
    pub client: u32,
    /// What came of which stream.
    pub trackers: Trackers,
    /// When it had no subscription that its protocol resumes, in ns from the start of the load.
    pub away: Vec<Range<u64>>,
}

/// The shared state of one worker's sessions. One thread, so cells and no locks.
pub struct Run {
    /// The cell.
    pub spec: CellSpec,
    /// Number of the run, in every envelope.
    pub id: u32,
    /// Exact waiting.
    pub timer: Timer,
    /// Everything measured.
    pub recorder: RefCell<Recorder>,
    /// A message under construction; each session fills it anew whenever it is polled.
    pub scratch: RefCell<Vec<u8>>,
    /// Clients that are connected now.
    pub connected: Cell<u64>,
    /// Clients that have become ready or have given up.
    pub settled: Cell<u64>,
    /// Publishers that still have events to send.
    pub publishing: Cell<u64>,
    /// Sessions that have not ended.
    pub alive: Cell<u64>,
    /// Sessions whose account is still to come.
    pub staying: Cell<u64>,
    /// The way out.
    pub doors: Doors,
    /// Ready subscribers missing in each group.
    pub absent: RefCell<HashMap<u32, u32>>,
    /// Window events of each stream: filled by this worker's publishers, replaced by what the coordinator announces.
    pub published: RefCell<HashMap<u32, u32>>,
    /// What subscribers that have ended had seen.
    pub ledger: RefCell<Vec<Account>>,
    phase: Cell<Phase>,
    start_ns: Cell<u64>,
    window_end_ns: Cell<u64>,
    /// When the waiting for what is owed ended, in ns from the start of the load.
    gave_up_ns: Cell<Option<u64>>,
    /// Its sessions that have something to do.
    pub(super) ready: &'static ReadyQueue,
}

impl Run {
    /// A cell that has not begun, of which `leaving` clients may close at the same time.
    pub fn new(spec: CellSpec, id: u32, timer: Timer, leaving: u32) -> Run {
        Run {
            recorder: RefCell::new(Recorder::new(id, 0..0, spec.turns)),
            spec,
            id,
            timer,
            scratch: RefCell::default(),
            connected: Cell::default(),
            settled: Cell::default(),
            publishing: Cell::default(),
            alive: Cell::default(),
            staying: Cell::default(),
            doors: Doors::new(leaving),
            absent: RefCell::default(),
            published: RefCell::default(),
            ledger: RefCell::default(),
            phase: Cell::new(Phase::Connect),
            start_ns: Cell::new(u64::MAX),
            window_end_ns: Cell::new(0),
            gave_up_ns: Cell::default(),
            ready: ReadyQueue::new(),
        }
    }

    /// Where the cell is.
    #[inline]
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Starts the load at a time of the monotonic clock; due times count from there.
    pub fn start(&self, start_ns: u64) {
        let warmup_ns = (self.spec.warmup_s * 1e9) as u64;
        let end_ns = warmup_ns + (self.spec.duration_s * 1e9) as u64;
        self.start_ns.set(start_ns);
        self.window_end_ns.set(end_ns);
        self.recorder.borrow_mut().set_window(warmup_ns..end_ns);
        self.advance(Phase::Load);
    }

    /// Goes on to a phase, unless it is behind the cell already, and wakes every session.
    pub fn advance(&self, phase: Phase) {
        // Told to stop while it watches for late deliveries, a cell must not begin to count them as in time.
        self.phase.set(phase.max(self.phase.get()));
        if phase == Phase::Late {
            self.gave_up_ns.set(Some(self.now_ns()));
        }
        self.ready.wake_all();
    }

    /// Waits until all sessions that have something to do now have done it. One may wait.
    pub async fn passed(&self) {
        self.ready.passed().await;
    }

    /// Time now, in ns from the start of the load.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        monotonic_ns().saturating_sub(self.start_ns.get())
    }

    /// A time of the monotonic clock, from ns from the start of the load.
    #[inline]
    pub fn to_monotonic_ns(&self, run_ns: u64) -> u64 {
        self.start_ns.get().saturating_add(run_ns)
    }

    /// This run time, or when it is this cell's turn again, in ns from the start of the load.
    #[inline]
    pub fn own_turn_ns(&self, run_ns: u64) -> u64 {
        self.spec.turns.map_or(run_ns, |turns| turns.to_run_ns(turns.to_load_ns(run_ns)))
    }

    /// How much load there had been at a time of the monotonic clock, in ns; it stands still while it is another's turn.
    pub fn loaded_ns(&self, monotonic_ns: u64) -> u64 {
        let run_ns = monotonic_ns.saturating_sub(self.start_ns.get());
        self.spec.turns.map_or(run_ns, |turns| turns.to_load_ns(run_ns))
    }

    /// When so much load, in ns, will have been, on the monotonic clock.
    pub fn loaded_at_ns(&self, load_ns: u64) -> u64 {
        self.to_monotonic_ns(self.spec.turns.map_or(load_ns, |turns| turns.to_run_ns(load_ns)))
    }

    /// End of the measured window, in ns from the start of the load.
    #[inline]
    pub fn window_end_ns(&self) -> u64 {
        self.window_end_ns.get()
    }

    /// Subscribers that an event of this stream can reach: those that became ready.
    #[inline]
    pub fn audience(&self, stream: u32) -> u32 {
        let absent = self.absent.borrow();
        let missing = match absent.is_empty() {
            true => 0,
            false => absent.get(&self.spec.role(stream).group).copied().unwrap_or(0),
        };
        self.spec.subscribers_of(stream).saturating_sub(missing)
    }

    /// Settles what the ended subscribers were owed: each counts its own gaps against what was announced. What a
    /// reliable channel still owed when the waiting ended is a response time of at least so much.
    pub fn settle(&self) {
        let published = self.published.borrow();
        let gave_up_ns = self.gave_up_ns.get().filter(|_| self.spec.max_retransmits.is_none());
        let mut recorder = self.recorder.borrow_mut();
        let mut due_times = HashMap::new();
        for Account { group, client, trackers, away } in self.ledger.borrow_mut().drain(..) {
            for stream in self.spec.streams_of(group, client) {
                let count = published.get(&stream).copied().unwrap_or(0);
                if trackers.missing(stream, count) == 0 {
                    continue;
                }
                let due_ns = due_times.entry(stream).or_insert_with(|| self.window_due_times(stream));
                for sequence in trackers.missing_sequences(stream, count) {
                    let due_ns = due_ns.get(sequence as usize).copied();
                    if due_ns.is_some_and(|due_ns| away.iter().any(|away| away.contains(&due_ns))) {
                        recorder.counts.excused += 1;
                        continue;
                    }
                    recorder.counts.lost += 1;
                    if let Some(gave_up_ns) = gave_up_ns {
                        recorder.timed_out(gave_up_ns.saturating_sub(due_ns.unwrap_or(gave_up_ns)));
                    }
                }
            }
        }
    }

    /// When each event of the window of a stream was due, by its schedule: sequence `n` is the `n`th.
    fn window_due_times(&self, stream: u32) -> Vec<u64> {
        let (from_ns, to_ns) = ((self.spec.warmup_s * 1e9) as u64, self.window_end_ns());
        let due = Pacer::new(&self.spec, stream).into_iter().flatten();
        due.skip_while(|&due_ns| due_ns < from_ns).take_while(|&due_ns| due_ns < to_ns).collect()
    }
}
