//! The sending half of a session: what is due, what is on its way, what could not be sent and through whom.
//!
//! An event is *due* by its schedule, *taken* by its protocol, *answered* by the server where sending is answered, and *back*
//! where its own client receives it. Whatever waits for the server, until it takes or answers what went before, or until there
//! is a connection again, waits at the server's expense; only what nothing of that kept from going is the generator's delay.

use std::task::{Context, Poll};

use reference_server::envelope::{Envelope, Form};
use smallvec::SmallVec;

use super::Session;
use crate::client::pace::Pacer;
use crate::client::run::{Overdue, Phase};
use crate::measure::recorder::Sending;
use crate::protocol::{Answer, Failure, Kind, Message, Sent};
use crate::scenario::kinds::Pace;
use crate::scenario::spec::CellSpec;

/// The sending half of a publisher. Small, as every client has room for one.
pub(in crate::client) struct Sender {
    /// Its schedule; without one, an event is due when an own one came back.
    pacer: Option<Box<Pacer>>,
    next_due_ns: u64,
    /// Due, and not yet taken by the protocol.
    outgoing: Option<Due>,
    /// Sequence of the next measured event, and of the next of the warm-up.
    sequence: u32,
    warmup_sequence: u32,
    /// Events that are still to be answered, or that must come back before others may go.
    under_way: SmallVec<[UnderWay; 1]>,
    /// When the server last let go of what it had kept from being sent.
    freed_ns: u64,
    /// The protocol did not take the outgoing event.
    held: bool,
    /// Nothing more is sent.
    stopped: bool,
    /// Sends of which something is still to be heard.
    open_sends: u8,
    /// Measured events that were given up and keep nobody waiting; nearly all clients have none.
    given_up: Option<Box<GivenUp>>,
}

#[derive(Default)]
struct GivenUp(Vec<Overdue>);

/// An event that is due.
#[derive(Clone, Copy)]
struct Due {
    sequence: u32,
    due_ns: u64,
    measured: bool,
}

/// An event that the protocol has taken.
struct UnderWay {
    due_ns: u64,
    sent_ns: u64,
    sequence: u32,
    /// Of its answer, if there will be one.
    ticket: Option<u8>,
    measured: bool,
    /// Nothing more is waited for: it is back, or nobody limits how many are away.
    back: bool,
}

impl Sender {
    /// That of `client`; `None` if it never sends.
    pub(super) fn new(spec: &CellSpec, client: u32) -> Option<Sender> {
        let mut pacer = Pacer::new(spec, client).map(Box::new);
        let next_due_ns = match (&mut pacer, spec.pace) {
            (Some(pacer), _) => pacer.next()?,
            (None, Pace::Closed) => spec.turns.map_or(0, |turns| turns.to_run_ns(0)),
            (None, _) => return None,
        };
        Some(Sender {
            pacer,
            next_due_ns,
            sequence: 0,
            warmup_sequence: 0,
            outgoing: None,
            under_way: SmallVec::new(),
            freed_ns: 0,
            held: false,
            stopped: false,
            open_sends: 0,
            given_up: None,
        })
    }

    /// Nothing is left to send before `end_ns`.
    #[inline]
    fn is_exhausted(&self, end_ns: u64) -> bool {
        let answers_decide = self.pacer.is_none() && !self.under_way.is_empty();
        self.outgoing.is_none() && self.next_due_ns >= end_ns && !answers_decide
    }

    /// As many of its events are under way as may be.
    #[inline]
    fn is_full(&self, spec: &CellSpec) -> bool {
        spec.in_flight.is_some_and(|limit| self.under_way.len() >= limit as usize)
    }

    /// When the next event wants to go, in ns from the start of the load; `None` if it is not for the clock to say.
    #[inline]
    pub(super) fn wakes_ns(&self, spec: &CellSpec) -> Option<u64> {
        (!self.stopped && self.outgoing.is_none() && !self.is_full(spec)).then_some(self.next_due_ns)
    }

    /// An own event came back: whether that makes room for the next.
    #[inline]
    pub(in crate::client) fn came_back(&mut self, sequence: u32, measured: bool) -> bool {
        // One that came twice, or was given up, is not there.
        let is_it = |event: &UnderWay| event.sequence == sequence && event.measured == measured;
        match self.under_way.as_mut_slice() {
            // Nearly always there is one, and nothing more to come of it.
            [only] if is_it(only) && only.ticket.is_none() => {
                self.under_way.clear();
                true
            }
            events => {
                let Some(at) = events.iter().position(is_it) else { return false };
                events[at].back = true;
                self.settle(at)
            }
        }
    }

    /// Forgets an event of which nothing more is to come; says whether it was one.
    #[inline]
    fn settle(&mut self, at: usize) -> bool {
        let settled = self.under_way[at].back && self.under_way[at].ticket.is_none();
        if settled {
            self.under_way.swap_remove(at);
        }
        settled
    }

    /// Gives up an event that will not come back, or not in time: it is lost unless it still comes, and keeps nobody waiting.
    fn give_up(&mut self, at: usize) {
        let event = &mut self.under_way[at];
        if !event.back && event.measured {
            let overdue = Overdue { sequence: event.sequence, due_ns: event.due_ns };
            self.given_up.get_or_insert_default().0.push(overdue);
        }
        event.back = true;
        self.settle(at);
    }

    /// The place that an event takes came free at a time: where nothing else decides, the next is due now.
    #[inline]
    fn freed(&mut self, due_ns: u64, now_ns: u64) {
        self.freed_ns = now_ns;
        if self.pacer.is_none() && !self.stopped && self.outgoing.is_none() {
            self.next_due_ns = due_ns;
        }
    }

    /// Sends of which something is still to be heard.
    pub(super) fn open_sends(&self) -> u8 {
        self.open_sends
    }

    /// What of its measured events was never heard of again: those that the server did not answer, and when each was due that
    /// did not come back.
    pub(super) fn leftovers(self) -> (u64, Vec<Overdue>) {
        let unanswered =
            self.under_way.iter().filter(|event| event.measured && event.ticket.is_some()).count();
        let away = self.under_way.iter().filter(|event| event.measured && !event.back);
        let mut overdue = self.given_up.map_or(Vec::new(), |given_up| given_up.0);
        overdue.extend(away.map(|event| Overdue { sequence: event.sequence, due_ns: event.due_ns }));
        (unanswered as u64, overdue)
    }
}

impl Session {
    #[inline]
    pub(super) fn send(&mut self, cx: &mut Context<'_>) -> bool {
        let phase = self.run.phase();
        if phase == Phase::Connect {
            return false;
        }
        let Some(sender) = self.sender.as_mut().filter(|sender| !sender.stopped) else { return false };
        if sender.is_exhausted(self.run.window_end_ns()) || phase >= Phase::Drain {
            self.stop_sending();
            return false;
        }
        let Some(Due { sequence, due_ns, measured }) = sender.outgoing else { return self.give_up_overdue() };
        // Others may have had their turns since it was due.
        let sent_ns = self.run.now_ns();
        let envelope = Envelope { run: self.run.id, stream: self.id, sequence, due_ns, sent_ns };
        let spec = &self.run.spec;
        let form = if spec.binary { Form::Binary } else { Form::Text };
        let mut payload = self.run.scratch.borrow_mut();
        envelope.encode(form, spec.payload_bytes as usize, &mut payload);
        let Poll::Ready(taken) =
            self.client.poll_send(cx, Message { payload: &payload, binary: spec.binary })
        else {
            sender.held = true;
            return false;
        };
        if std::mem::take(&mut sender.held) {
            sender.freed_ns = sent_ns;
        }
        let could_go_ns = due_ns.max(sender.freed_ns);
        debug_assert!(could_go_ns <= sent_ns, "an event went out before it was due");
        let sending = Sending {
            waited_ns: could_go_ns - due_ns,
            lag_ns: sent_ns.saturating_sub(could_go_ns),
            bytes: if taken.is_ok() { payload.len() as u64 } else { 0 },
        };
        drop(payload);
        // Taken or not, it was due and tried: if it does not arrive, it is lost.
        let mut recorder = self.run.recorder.borrow_mut();
        recorder.sent(&envelope, &sending, measured);
        sender.outgoing = None;
        let failed = taken.is_err();
        let ticket = match taken {
            Ok(Sent::Unanswered) => None,
            Ok(Sent::Ticket(ticket)) => Some(ticket),
            Err(failure) => {
                recorder.failure(&failure);
                None
            }
        };
        drop(recorder);
        if ticket.is_some() {
            sender.open_sends += 1;
            self.run.awaiting.set(self.run.awaiting.get() + 1);
        }
        let limited = spec.in_flight.is_some();
        if limited || ticket.is_some() {
            sender.under_way.push(UnderWay { due_ns, sent_ns, sequence, ticket, measured, back: !limited });
            if failed {
                sender.give_up(sender.under_way.len() - 1);
            }
        }
        if failed && self.traits.in_band {
            // What it is received on is gone with what it was sent on.
            return self.after_cut();
        }
        if sender.pacer.is_none() && !sender.is_full(spec) {
            sender.next_due_ns = self.run.own_turn_ns(sent_ns);
        }
        // After a stall the backlog goes out at once, each event with a time of its own.
        if sender.next_due_ns <= sent_ns && !sender.is_full(spec) {
            self.start_event(sent_ns);
        }
        true
    }

    /// Hears what the server answered to what was sent.
    #[inline]
    pub(super) fn hear_answers(&mut self, cx: &mut Context<'_>) -> bool {
        self.sender.as_ref().is_some_and(|sender| sender.open_sends > 0) && self.hear_all(cx)
    }

    fn hear_all(&mut self, cx: &mut Context<'_>) -> bool {
        let mut heard = false;
        while self.sender.as_ref().is_some_and(|sender| sender.open_sends > 0) {
            let Poll::Ready(answer) = self.client.poll_answer(cx) else { break };
            match answer {
                Answer::Answered { ticket, written, result } => self.answered(ticket, written, result),
                Answer::Over(ended) => self.send_is_over(ended),
            }
            heard = true;
        }
        heard
    }

    fn send_is_over(&mut self, ended: Result<(), Failure>) {
        if let Some(sender) = &mut self.sender {
            sender.open_sends -= 1;
            self.run.awaiting.set(self.run.awaiting.get() - 1);
        }
        if let Err(failure) = ended {
            self.run.recorder.borrow_mut().failure(&failure);
        }
    }

    fn answered(&mut self, ticket: u8, written: bool, result: Result<(), Failure>) {
        let now_ns = self.run.now_ns();
        let Some(sender) = self.sender.as_mut() else { return };
        let Some(at) = sender.under_way.iter().position(|event| event.ticket == Some(ticket)) else { return };
        let was_full = sender.is_full(&self.run.spec);
        let event = &mut sender.under_way[at];
        event.ticket = None;
        let (measured, took_ns) = (event.measured, now_ns - event.sent_ns);
        {
            let mut recorder = self.run.recorder.borrow_mut();
            // A connection that broke is no answer.
            let answered = result.as_ref().map_or_else(|f| matches!(f.kind, Kind::Status(_)), |()| true);
            if measured && answered {
                recorder.answered(took_ns);
            }
            if !written {
                recorder.not_written(u64::from(self.run.spec.payload_bytes));
            }
            if let Err(failure) = &result {
                recorder.failure(failure);
            }
        }
        match result {
            Ok(()) => drop(sender.settle(at)),
            // It will not come back, and nobody waits for it.
            Err(_) => sender.give_up(at),
        }
        if was_full && !sender.is_full(&self.run.spec) {
            sender.freed(self.run.own_turn_ns(now_ns), now_ns);
            self.start_event(now_ns);
        }
    }

    /// Own events came back at `now_ns` and made room.
    #[inline]
    pub(super) fn made_room(&mut self, now_ns: u64) {
        let due_ns = self.run.own_turn_ns(now_ns);
        let Some(sender) = self.sender.as_mut() else { return };
        sender.freed(due_ns, now_ns);
        // An event that waited for this receipt, and is due, goes out in the same turn.
        self.start_event(now_ns);
    }

    /// Own events that are not back within the cell's patience no longer keep others from going; says whether there were any.
    #[inline]
    fn give_up_overdue(&mut self) -> bool {
        let before_ns = self.run.give_up_before_ns.get();
        let Some(sender) = self.sender.as_mut() else { return false };
        if before_ns == 0 || sender.under_way.iter().all(|event| event.back || event.sent_ns >= before_ns) {
            return false;
        }
        for at in (0..sender.under_way.len()).rev() {
            if !sender.under_way[at].back && sender.under_way[at].sent_ns < before_ns {
                sender.give_up(at);
            }
        }
        if !sender.is_full(&self.run.spec) {
            let now_ns = self.run.now_ns();
            sender.freed(self.run.own_turn_ns(now_ns), now_ns);
            self.start_event(now_ns);
        }
        true
    }

    /// Puts out the next event if it is due at `now_ns` and may go.
    #[inline]
    pub(super) fn start_event(&mut self, now_ns: u64) {
        let spec = &self.run.spec;
        let end_ns = self.run.window_end_ns();
        let loaded = self.run.phase() == Phase::Load;
        let Some(sender) = self.sender.as_mut() else { return };
        let due = sender.next_due_ns <= now_ns && sender.next_due_ns < end_ns;
        if !loaded || !due || sender.stopped || sender.outgoing.is_some() || sender.is_full(spec) {
            return;
        }
        let due_ns = sender.next_due_ns;
        let measured = self.run.recorder.borrow().measures(due_ns);
        let counter = if measured { &mut sender.sequence } else { &mut sender.warmup_sequence };
        sender.outgoing = Some(Due { sequence: *counter, due_ns, measured });
        *counter += 1;
        sender.next_due_ns = sender.pacer.as_mut().and_then(|pacer| pacer.next()).unwrap_or(u64::MAX);
    }

    /// No more events from this client. What was due and has not gone was held back by the server, or shed by the generator.
    pub(super) fn stop_sending(&mut self) {
        let online = self.online;
        let Some(sender) = self.sender.as_mut().filter(|sender| !sender.stopped) else { return };
        sender.stopped = true;
        let held_back = sender.held || !online || sender.is_full(&self.run.spec);
        // A cell that is stopped early owes nothing behind its stop; a client that is cut off still does.
        let stopped = self.run.phase() >= Phase::Drain;
        let due_until_ns = if stopped { self.run.now_ns() } else { u64::MAX };
        let end_ns = self.run.window_end_ns().min(due_until_ns);
        let recorder = &mut *self.run.recorder.borrow_mut();
        let outgoing = sender.outgoing.take().filter(|unsent| unsent.measured);
        sender.sequence -= u32::from(outgoing.is_some());
        self.run.publishing.set(self.run.publishing.get() - 1);
        self.run.published.borrow_mut().insert(self.id, sender.sequence);
        if self.run.phase() != Phase::Connect {
            let later = std::iter::once(sender.next_due_ns).chain(sender.pacer.take().into_iter().flatten());
            let later =
                later.take_while(|&due_ns| due_ns < end_ns).filter(|&due_ns| recorder.measures(due_ns));
            let unsent = u64::from(outgoing.is_some()) + later.count() as u64;
            let counts = &mut recorder.counts;
            *(if held_back { &mut counts.held_back } else { &mut counts.shed }) += unsent;
        }
    }
}
