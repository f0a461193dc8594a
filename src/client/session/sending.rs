//! The sending half of a session: what is due, what is on its way to the protocol, what could not be sent.

use std::task::{Context, Poll};

use reference_server::envelope::{Envelope, Form};

use super::Session;
use crate::client::pace::Pacer;
use crate::client::run::Phase;
use crate::protocol::Message;
use crate::scenario::plan::{CellSpec, Pace, Pattern};

/// The sending half of a publisher. Small, as every client has room for one.
pub(super) struct Sender {
    /// Its schedule; without one, an event is due when an own one came back.
    pub(super) pacer: Option<Box<Pacer>>,
    pub(super) next_due_ns: u64,
    /// Handed to the protocol and not yet taken by it.
    pub(super) outgoing: Option<Stamp>,
    /// Sequence of the next measured event, and of the next of the warm-up.
    pub(super) sequence: u32,
    pub(super) warmup_sequence: u32,
    /// Own events that have not come back (echo).
    pub(super) under_way: u32,
}

/// What an event's envelope says of it beyond its run and its stream.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    sequence: u32,
    due_ns: u64,
    /// `None` until it is handed to the protocol.
    sent_ns: Option<u64>,
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
        Some(Sender { pacer, next_due_ns, sequence: 0, warmup_sequence: 0, outgoing: None, under_way: 0 })
    }

    /// Nothing is left to send before `end_ns`.
    #[inline]
    fn is_exhausted(&self, end_ns: u64) -> bool {
        let answers_decide = self.pacer.is_none() && self.under_way > 0;
        self.outgoing.is_none() && self.next_due_ns >= end_ns && !answers_decide
    }

    /// As many of its events are under way as may be.
    #[inline]
    pub(super) fn is_full(&self, spec: &CellSpec) -> bool {
        spec.pattern == Pattern::Echo && spec.in_flight.is_some_and(|limit| self.under_way >= limit)
    }
}

impl Session {
    #[inline]
    pub(super) fn send(&mut self, cx: &mut Context<'_>) -> bool {
        let phase = self.run.phase();
        if phase == Phase::Connect {
            return false;
        }
        let Some(sender) = &mut self.sender else { return false };
        if sender.is_exhausted(self.run.window_end_ns()) || phase >= Phase::Drain {
            self.stop_sending();
            return false;
        }
        let Some(Stamp { sequence, due_ns, sent_ns }) = &mut sender.outgoing else { return false };
        // Others may have had their turns since it was due.
        let sent_ns = *sent_ns.get_or_insert_with(|| self.run.now_ns());
        let (sequence, due_ns) = (*sequence, *due_ns);
        let envelope = Envelope { run: self.run.id, stream: self.id, sequence, due_ns, sent_ns };
        let spec = &self.run.spec;
        let form = if spec.binary { Form::Binary } else { Form::Text };
        let mut payload = self.run.scratch.borrow_mut();
        envelope.encode(form, spec.payload_bytes as usize, &mut payload);
        let sent = self.client.poll_send(cx, Message { payload: &payload, binary: spec.binary });
        match sent {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(failure)) => self.run.recorder.borrow_mut().failure(&failure),
        }
        // Refused or not, it was due and sent: if it does not arrive, it is lost.
        self.run.recorder.borrow_mut().sent(&envelope, payload.len());
        drop(payload);
        sender.outgoing = None;
        sender.under_way += 1;
        if sender.pacer.is_none() && !sender.is_full(spec) {
            sender.next_due_ns = self.run.own_turn_ns(envelope.sent_ns);
        }
        // After a stall the backlog goes out at once, each event with a time of its own.
        if sender.next_due_ns <= envelope.sent_ns && !sender.is_full(spec) {
            self.start_event(envelope.sent_ns);
        }
        true
    }

    /// So many own events came back at `now_ns`.
    #[inline]
    pub(super) fn answered(&mut self, events: u32, now_ns: Option<u64>) {
        let Some(sender) = &mut self.sender else { return };
        sender.under_way = sender.under_way.saturating_sub(events);
        let Some(now_ns) = now_ns else { return };
        if sender.pacer.is_none() && events > 0 && sender.outgoing.is_none() {
            sender.next_due_ns = self.run.own_turn_ns(now_ns);
        }
        // An event that waited for this receipt, and is due, goes out in the same turn.
        self.start_event(now_ns);
    }

    /// Puts out the next event if it is due at `now_ns` and may go.
    #[inline]
    pub(super) fn start_event(&mut self, now_ns: u64) {
        let spec = &self.run.spec;
        let end_ns = self.run.window_end_ns();
        let loaded = self.run.phase() == Phase::Load;
        let Some(sender) = &mut self.sender else { return };
        let due = sender.next_due_ns <= now_ns && sender.next_due_ns < end_ns;
        if !loaded || !due || sender.outgoing.is_some() || sender.is_full(spec) {
            return;
        }
        let due_ns = sender.next_due_ns;
        let counter = if self.run.recorder.borrow().measures(due_ns) {
            &mut sender.sequence
        } else {
            &mut sender.warmup_sequence
        };
        sender.outgoing = Some(Stamp { sequence: *counter, due_ns, sent_ns: None });
        *counter += 1;
        sender.next_due_ns = sender.pacer.as_mut().and_then(|pacer| pacer.next()).unwrap_or(u64::MAX);
    }

    /// No more events from this client; what was due and not sent is shed.
    pub(super) fn stop_sending(&mut self) {
        let Some(mut sender) = self.sender.take() else { return };
        // A cell that is stopped early owes nothing behind its stop; a client that is cut off still does.
        let stopped = self.run.phase() >= Phase::Drain;
        let due_until_ns = if stopped { self.run.now_ns() } else { u64::MAX };
        let end_ns = self.run.window_end_ns().min(due_until_ns);
        if let Some(unsent) = sender.outgoing
            && self.run.recorder.borrow().measures(unsent.due_ns)
        {
            sender.sequence -= 1;
            self.run.recorder.borrow_mut().counts.shed += 1;
        }
        self.run.publishing.set(self.run.publishing.get() - 1);
        self.run.published.borrow_mut().insert(self.id, sender.sequence);
        if self.run.phase() != Phase::Connect {
            let recorder = &mut *self.run.recorder.borrow_mut();
            let unsent = std::iter::once(sender.next_due_ns)
                .chain(sender.pacer.into_iter().flatten())
                .take_while(|&due| due < end_ns);
            recorder.counts.shed += unsent.filter(|&due_ns| recorder.measures(due_ns)).count() as u64;
        }
    }
}
