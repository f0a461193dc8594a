//! One client's life: connect, wait for the others, send what is due, take what comes, close. The session is the only
//! place that looks at the clock, and the only one that decides what a failure means for the client's life.

use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Poll};

use rand_pcg::Pcg64Mcg;

use sending::Sender;

use super::inbox::Receipts;
use super::run::{Phase, Run};
use crate::host::clock::monotonic_ns;
use crate::host::memory;
use crate::host::timer::Alarm;
use crate::measure::delivery::Trackers;
use crate::protocol::{self, Client, Failure, Kind, Pause, Protocol, Step, Traits};
use crate::random::{self, Purpose};
use crate::scenario::kinds::{PollMode, Reconnect};
use crate::scenario::spec::Role;

mod ending;
pub(super) mod sending;
#[cfg(test)]
mod tests;

/// Steps that one poll may make before others get their turn.
const STEPS_PER_POLL: u32 = 32;

/// A rest until every other client that has something to do has done it.
const NEXT_TURN_NS: u64 = 0;

/// One simulated user.
///
/// Its fields stay in this order: what every message needs is together, in as few cache lines as may be. Thousands of
/// clients share the cache with what the kernel keeps for them.
#[repr(C)]
pub struct Session {
    client: Box<dyn Client>,
    run: Rc<Run>,
    stage: Stage,
    /// Reading rests until this time of the monotonic clock.
    paused_until_ns: Option<u64>,
    trackers: Trackers,
    id: u32,
    role: Role,
    traits: Traits,
    /// It has listened in this turn, and whether that moved it.
    heard: Option<bool>,
    /// A poller that is ready and waits for the load to begin.
    parked: bool,
    /// Counted among those that are connected.
    online: bool,
    sender: Option<Sender>,
    /// When the poll that is under way was asked, on the monotonic clock; only where there are exchanges.
    asked_ns: Option<u64>,
    /// Failed attempts to connect in a row.
    attempts: u32,
    alarm: Alarm,
    /// Scheduled time of the last poll, on the monotonic clock; 0 before the first.
    polled_ns: u64,
    /// When it was last cut off, in ns from the start of the load.
    cut_ns: u64,
    /// When it was cut off and had no subscription, in ns from the start of the load; empty where the protocol resumes.
    away: Vec<Range<u64>>,
    /// Of its reconnects; nearly all clients never need it.
    jitter: Option<Box<Pcg64Mcg>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting {
        deadline_ns: u64,
    },
    Live,
    /// It waits for its turn to close.
    Leaving,
    Closing {
        deadline_ns: u64,
    },
    Over,
}

impl Session {
    /// A client of this index that will speak through `client`.
    pub fn new(run: Rc<Run>, id: u32, protocol: &Protocol, client: Box<dyn Client>) -> Session {
        let role = run.spec.role(id);
        let sender = role.publishes.then(|| Sender::new(&run.spec, id)).flatten();
        let deadline_ns = monotonic_ns() + (run.spec.connect_timeout_s * 1e9) as u64;
        run.alive.set(run.alive.get() + 1);
        run.staying.set(run.staying.get() + 1);
        run.publishing.set(run.publishing.get() + u64::from(sender.is_some()));
        Session {
            id,
            role,
            traits: protocol.traits,
            client,
            alarm: run.timer.alarm(),
            stage: Stage::Connecting { deadline_ns },
            sender,
            trackers: Trackers::default(),
            paused_until_ns: None,
            polled_ns: 0,
            heard: None,
            parked: false,
            online: false,
            asked_ns: None,
            cut_ns: 0,
            away: Vec::new(),
            attempts: 0,
            jitter: None,
            run,
        }
    }

    /// The first half of a turn: takes what has come.
    #[inline]
    pub(super) fn listen(&mut self, cx: &mut Context<'_>) {
        if self.stage == Stage::Live && self.run.phase() != Phase::End {
            self.heard = Some(self.receive(cx));
        }
    }

    /// The other half, or all of it: does whatever there is to do. Ready when its life is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..STEPS_PER_POLL {
            let moved = match self.stage {
                Stage::Connecting { deadline_ns } => self.connect(cx, deadline_ns),
                Stage::Live if self.run.phase() == Phase::End => self.leave(),
                Stage::Live => {
                    let received = self.heard.take().unwrap_or_else(|| self.receive(cx));
                    let answered = self.hear_answers(cx);
                    // What was taken begins to be written by listening for its answer.
                    let sent = self.send(cx) && (self.hear_answers(cx) | true);
                    sent | answered | received | self.wait(cx)
                }
                Stage::Leaving => self.begin_close(cx),
                Stage::Closing { deadline_ns } => self.close(cx, deadline_ns),
                Stage::Over => {
                    self.run.alive.set(self.run.alive.get() - 1);
                    return Poll::Ready(());
                }
            };
            if !moved {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Starts to fetch the memory to which it leads.
    #[inline]
    pub(super) fn prefetch(&self) {
        memory::prefetch(&*self.client);
    }

    /// Each part says whether it moved, and so may move again at once.
    fn connect(&mut self, cx: &mut Context<'_>, deadline_ns: u64) -> bool {
        if self.run.phase() != Phase::Connect {
            return self.give_up(Failure::new(
                protocol::Phase::Connect,
                Kind::TimedOut,
                "not ready when the load began",
            ));
        }
        let resting = self.paused_until_ns;
        if self.alarm.poll_until(cx, resting.map_or(deadline_ns, |until| until.min(deadline_ns))).is_ready() {
            match self.paused_until_ns.take() {
                Some(until_ns) if until_ns < deadline_ns => return true,
                _ => {
                    return self.give_up(Failure::new(
                        protocol::Phase::Connect,
                        Kind::TimedOut,
                        "not ready in time",
                    ));
                }
            }
        }
        if resting.is_some() {
            return false;
        }
        let mut inbox = Receipts::new(&self.run, self.role, &mut self.trackers, None);
        match self.client.poll_recv(cx, &mut inbox) {
            Poll::Pending => false,
            Poll::Ready(Ok(Step::Ready)) => {
                self.attempts = 0;
                self.stage = Stage::Live;
                self.set_online(true);
                self.run.settled.set(self.run.settled.get() + 1);
                true
            }
            Poll::Ready(Ok(Step::Received)) => true,
            Poll::Ready(Ok(Step::Pause(_))) => {
                self.rest(monotonic_ns() + 1_000_000);
                true
            }
            Poll::Ready(Err(failure)) => {
                self.run.recorder.borrow_mut().failure(&failure);
                let wait_ns = self.backoff_ns(100_000_000);
                self.rest(monotonic_ns() + wait_ns);
                true
            }
        }
    }

    /// This client never became ready.
    fn give_up(&mut self, failure: Failure) -> bool {
        self.run.recorder.borrow_mut().failure(&failure);
        self.run.settled.set(self.run.settled.get() + 1);
        if self.role.subscribes {
            *self.run.absent.borrow_mut().entry(self.role.group).or_default() += 1;
        }
        self.stop_sending();
        self.run.staying.set(self.run.staying.get() - 1);
        self.stage = Stage::Over;
        true
    }

    fn receive(&mut self, cx: &mut Context<'_>) -> bool {
        if self.parked {
            if self.run.phase() == Phase::Connect {
                return false;
            }
            self.parked = false;
            let interval_ns = self.run.spec.short_poll.interval_s * 1e9;
            let phase = random::unit(&mut random::stream(self.run.spec.seed, self.id, Purpose::PollPhase));
            self.polled_ns = self.run.loaded_at_ns((phase * interval_ns) as u64);
            self.rest(self.polled_ns);
        }
        if self.paused_until_ns.is_some() {
            return false;
        }
        // Only where events wait for others to come back need the sender hear of them.
        let own = self.sender.as_mut().filter(|_| self.run.spec.in_flight.is_some());
        let mut inbox = Receipts::new(&self.run, self.role, &mut self.trackers, own);
        if self.traits.exchanges && self.asked_ns.is_none() {
            self.asked_ns = Some(monotonic_ns());
        }
        let step = self.client.poll_recv(cx, &mut inbox);
        let (made_room, arrived_ns) = (inbox.made_room, inbox.now_ns);
        if self.traits.exchanges {
            self.note_exchange(&step, arrived_ns);
        }
        match arrived_ns {
            Some(now_ns) if made_room => self.made_room(now_ns),
            Some(now_ns) => self.start_event(now_ns),
            None => {}
        }
        match step {
            Poll::Pending => false,
            // Where each answer is a connection's whole purpose, one that comes is a subscription acknowledged.
            Poll::Ready(Ok(Step::Received)) if self.online || !self.traits.exchanges => true,
            Poll::Ready(Ok(Step::Ready | Step::Received)) => {
                self.attempts = 0;
                self.set_online(true);
                true
            }
            // Before the load a poller has nothing to do; then it begins at a phase of its own.
            Poll::Ready(Ok(Step::Pause(Pause::PollInterval))) if self.polled_ns == 0 => {
                self.parked = true;
                true
            }
            Poll::Ready(Ok(Step::Pause(Pause::PollInterval))) => {
                self.rest_until_next_poll();
                true
            }
            Poll::Ready(Ok(Step::Pause(Pause::Reconnect(wait, failure)))) => {
                self.run.recorder.borrow_mut().failure(&failure);
                self.set_online(false);
                self.rest(monotonic_ns() + wait.as_nanos() as u64);
                true
            }
            Poll::Ready(Err(failure)) => {
                self.run.recorder.borrow_mut().failure(&failure);
                self.after_cut()
            }
        }
    }

    /// An answer ends the exchange that began when it was asked for. A poller that has an answer may still end its
    /// connection before it pauses: that is no exchange.
    fn note_exchange(&mut self, step: &Poll<Result<Step, Failure>>, arrived_ns: Option<u64>) {
        let Poll::Ready(step) = step else { return };
        let Some(asked_ns) = self.asked_ns.take() else { return };
        if matches!(step, Ok(Step::Received)) && self.run.phase() != Phase::Connect {
            let answered_ns = arrived_ns.unwrap_or_else(|| self.run.now_ns());
            let took_ns = self.run.to_monotonic_ns(answered_ns).saturating_sub(asked_ns);
            self.run.recorder.borrow_mut().exchanged(answered_ns, took_ns);
        }
    }

    /// The connection is gone: what the protocol does by itself, or what an application adds, or the end.
    fn after_cut(&mut self) -> bool {
        if self.traits.polls {
            self.rest_until_next_poll();
        } else if self.run.spec.reconnect == Reconnect::Backoff {
            self.set_online(false);
            let wait_ns = self.backoff_ns(1_000_000_000);
            self.rest(monotonic_ns() + wait_ns);
        } else {
            self.finish();
        }
        true
    }

    /// Counts it among the connected, or no longer. A poller has no connection to lose, and stays.
    fn set_online(&mut self, online: bool) {
        if self.online != online {
            self.online = online;
            if !online {
                self.cut_ns = self.run.now_ns();
            }
            self.note_away(online);
            let connected = self.run.connected.get();
            self.run.connected.set(if online { connected + 1 } else { connected - 1 });
        }
    }

    /// Without a subscription, nothing is owed; where the protocol resumes, it still is.
    fn note_away(&mut self, online: bool) {
        if self.traits.resumes || matches!(self.run.phase(), Phase::Connect | Phase::End) {
            return;
        }
        let now_ns = self.run.now_ns();
        match (online, self.away.last_mut()) {
            (true, Some(away)) => away.end = now_ns,
            (true, None) => {}
            (false, _) => self.away.push(now_ns..u64::MAX),
        }
    }

    fn rest(&mut self, until_ns: u64) {
        self.paused_until_ns = Some(until_ns);
    }

    fn rest_until_next_poll(&mut self) {
        let interval_ns = (self.run.spec.short_poll.interval_s * 1e9) as u64;
        let now_ns = monotonic_ns();
        let [polled_ns, loaded_ns] = [self.polled_ns, now_ns].map(|at_ns| self.run.loaded_ns(at_ns));
        let next_ns = next_poll_ns(self.run.spec.short_poll.mode, interval_ns, polled_ns, loaded_ns);
        self.polled_ns = self.run.loaded_at_ns(next_ns);
        let overdue = self.polled_ns <= now_ns;
        self.rest(if overdue && self.run.spec.short_poll.keep_alive { NEXT_TURN_NS } else { self.polled_ns });
    }

    /// 1, 2, 4 ... 30 times `unit_ns`, give or take a quarter.
    fn backoff_ns(&mut self, unit_ns: u64) -> u64 {
        let nominal = (1u64 << self.attempts.min(5)).min(30) * unit_ns;
        self.attempts += 1;
        let (seed, id) = (self.run.spec.seed, self.id);
        let jitter = self.jitter.get_or_insert_with(|| Box::new(random::stream(seed, id, Purpose::Backoff)));
        (nominal as f64 * (0.75 + 0.5 * random::unit(jitter))) as u64
    }

    /// Sleeps until the earlier of the next event and the end of a pause.
    fn wait(&mut self, cx: &mut Context<'_>) -> bool {
        if self.paused_until_ns == Some(NEXT_TURN_NS) {
            self.paused_until_ns = None;
            cx.waker().wake_by_ref();
            return false;
        }
        let sender = self.sender.as_ref().filter(|_| self.run.phase() == Phase::Load);
        let due_ns = sender.and_then(|sender| sender.wakes_ns(&self.run.spec));
        let event_ns = due_ns.map(|due_ns| self.run.to_monotonic_ns(due_ns));
        let Some(wake_ns) = [event_ns, self.paused_until_ns].into_iter().flatten().min() else {
            return false;
        };
        if self.alarm.poll_until(cx, wake_ns).is_pending() {
            return false;
        }
        if self.paused_until_ns == Some(wake_ns) {
            self.paused_until_ns = None;
        }
        if event_ns == Some(wake_ns)
            && let Some(due_ns) = due_ns
        {
            self.start_event(due_ns);
        }
        true
    }
}

/// When the poll after that of `polled_ns` is due, if that has been answered by `now_ns`.
fn next_poll_ns(mode: PollMode, interval_ns: u64, polled_ns: u64, now_ns: u64) -> u64 {
    match mode {
        // A poll that took longer than the interval is followed at once; the missed ones are not made up for.
        PollMode::FixedRate => (polled_ns + interval_ns).max(now_ns),
        PollMode::AfterResponse => now_ns + interval_ns,
    }
}
