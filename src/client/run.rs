//! One cell as the sessions of one worker share it: its phase, its clock, its recorder.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;

use super::leaving::Doors;
use super::pace::Pacer;
use super::ready::ReadyQueue;
use crate::host::clock::monotonic_ns;
use crate::host::timer::Timer;
use crate::measure::delivery::Trackers;
use crate::measure::recorder::Recorder;
use crate::scenario::spec::CellSpec;

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
    /// Own events of the window that it waited for in vain, where a schedule does not tell when they were due.
    pub overdue: Vec<Overdue>,
}

/// An event of the window that did not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// Its sequence.
    pub sequence: u32,
    /// When it was due, in ns from the start of the load.
    pub due_ns: u64,
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
    /// Sends of which something is still to be heard.
    pub awaiting: Cell<u64>,
    /// Own events that were sent before this time and are not back keep others from going no longer, in ns from the start of
    /// the load; 0 where no event waits for another.
    pub give_up_before_ns: Cell<u64>,
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
            awaiting: Cell::default(),
            give_up_before_ns: Cell::default(),
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

    /// Lets go of events that are away for longer than the cell waits for any: their clients go on with the next.
    pub fn lose_patience(&self) {
        if self.spec.in_flight.is_some() {
            let patience_ns = (self.spec.drain_s * 1e9) as u64;
            self.give_up_before_ns.set(self.now_ns().saturating_sub(patience_ns));
            self.ready.wake_all();
        }
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
        let gave_up_ns = self.gave_up_ns.get().filter(|_| !self.spec.may_lose());
        let mut recorder = self.recorder.borrow_mut();
        let mut due_times = HashMap::new();
        let mut reaches: HashMap<u32, Reach> = HashMap::new();
        for Account { group, client, trackers, away, overdue } in self.ledger.borrow_mut().drain(..) {
            let overdue: HashMap<u32, u64> =
                overdue.into_iter().map(|event| (event.sequence, event.due_ns)).collect();
            for stream in self.spec.streams_of(group, client) {
                let count = published.get(&stream).copied().unwrap_or(0);
                let reach = reaches.entry(stream).or_insert_with(|| Reach::of(count));
                if trackers.missing(stream, count) == 0 {
                    reach.got_all();
                    continue;
                }
                let due_ns = due_times.entry(stream).or_insert_with(|| self.window_due_times(stream));
                for sequence in trackers.missing_sequences(stream, count) {
                    let scheduled = due_ns.get(sequence as usize);
                    let due_ns = scheduled.or_else(|| overdue.get(&sequence)).copied();
                    if due_ns.is_some_and(|due_ns| away.iter().any(|away| away.contains(&due_ns))) {
                        recorder.counts.excused += 1;
                        reach.missed(sequence, false);
                        continue;
                    }
                    recorder.counts.lost += 1;
                    let waited_ns =
                        gave_up_ns.zip(due_ns).and_then(|(until, due_ns)| until.checked_sub(due_ns));
                    reach.missed(sequence, waited_ns.is_some());
                    if let Some(waited_ns) = waited_ns {
                        recorder.timed_out(waited_ns);
                    }
                }
                reach.accounts += 1;
            }
        }
        for reach in reaches.values() {
            recorder.reached_in_all(reach.arrived(), reach.sampled());
        }
    }

    /// When each event of the window of a stream was due, by its schedule: sequence `n` is the `n`th.
    fn window_due_times(&self, stream: u32) -> Vec<u64> {
        let (from_ns, to_ns) = ((self.spec.warmup_s * 1e9) as u64, self.window_end_ns());
        let due = Pacer::new(&self.spec, stream).into_iter().flatten();
        due.skip_while(|&due_ns| due_ns < from_ns).take_while(|&due_ns| due_ns < to_ns).collect()
    }
}

/// What became of the events of one stream, over all its subscribers: of how many there is anything to measure.
struct Reach {
    published: u32,
    accounts: u32,
    /// Somebody got every one of them.
    complete: bool,
    /// Of events that somebody missed: how many did, and how many of these have no response time either.
    missed: HashMap<u32, [u32; 2]>,
}

impl Reach {
    fn of(published: u32) -> Reach {
        Reach { published, accounts: 0, complete: false, missed: HashMap::new() }
    }

    fn got_all(&mut self) {
        self.accounts += 1;
        self.complete = true;
    }

    fn missed(&mut self, sequence: u32, timed_out: bool) {
        let [missed, silent] = self.missed.entry(sequence).or_default();
        *missed += 1;
        *silent += u32::from(!timed_out);
    }

    /// Events that reached somebody.
    fn arrived(&self) -> u64 {
        self.less_those_that_all(|[missed, _]| missed)
    }

    /// Events of which there is a response time, if only that of a time-out.
    fn sampled(&self) -> u64 {
        self.less_those_that_all(|[_, silent]| silent)
    }

    fn less_those_that_all(&self, of: fn([u32; 2]) -> u32) -> u64 {
        if self.complete {
            return self.published.into();
        }
        let all = self.missed.values().filter(|&&counts| of(counts) == self.accounts).count();
        u64::from(self.published) - all as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_counts_if_anybody_got_it_or_waited_for_it() {
        let mut reach = Reach::of(10);
        // 3 reached nobody and was waited for by one; 4 reached nobody, and nobody says how long that took; 5 reached the other.
        for (sequence, timed_out) in [(3, true), (4, false), (5, false)] {
            reach.missed(sequence, timed_out);
        }
        reach.accounts += 1;
        for (sequence, timed_out) in [(3, false), (4, false)] {
            reach.missed(sequence, timed_out);
        }
        reach.accounts += 1;
        assert_eq!((reach.arrived(), reach.sampled()), (8, 9));
        reach.got_all();
        assert_eq!((reach.arrived(), reach.sampled()), (10, 10));
    }
}
