//! Publishing by requests, for the protocols that only receive.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use smallvec::{SmallVec, smallvec};

use super::{Answer, Conversation, Failure, Message, Phase, Seat, Sent};
use crate::transport::http::{self, Encoded, Head, Http, Request, connection_fields};
use crate::transport::stream::Dialer;

/// Publishes that one client may have under way at the same time: the connections that a browser holds to one host.
const MOST_UNDER_WAY: usize = 6;

/// One client's publishing, on connections of its own. What is due goes out whether or not the server has answered what went
/// before, as a page does that calls `fetch`; with one connection as long as that suffices.
pub(super) struct Publisher(Option<Box<Connections>>);

struct Connections {
    dialer: Dialer,
    keep_alive: bool,
    /// The request's head, for messages of one form and length at a time.
    head: Vec<u8>,
    head_is_for: Option<(bool, usize)>,
    slots: SmallVec<[Slot; 1]>,
    /// Connections that may still be opened beyond the first.
    spare: Rc<Cell<u32>>,
}

/// A connection, or a fresh one for each message, and the message that is under way on it.
struct Slot {
    http: Http,
    stage: Stage,
    binary: bool,
    payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    /// The request is on its way, or its answer.
    Asked,
    /// It has been answered; the connection may have to be ended.
    Answered,
}

impl Slot {
    fn new(dialer: &Dialer, keep_alive: bool) -> Slot {
        let http = Http::new(dialer.clone(), keep_alive);
        Slot { http, stage: Stage::Idle, binary: false, payload: Vec::new() }
    }
}

impl Publisher {
    /// That of a client, which may have nothing to publish.
    pub(super) fn new(seat: &Seat) -> Publisher {
        Publisher(seat.publish.is_some().then(|| Box::new(Connections::new(seat))))
    }

    /// The client is ready, perhaps again: what it knows of the server may be new.
    pub(super) fn renew(&mut self) {
        if let Some(connections) = &mut self.0 {
            connections.head_is_for = None;
        }
    }

    /// [`Client::poll_send`](super::Client::poll_send) of these protocols. Pending, every connection that it may have is
    /// under way; [`Publisher::poll_answer`] is woken when one is free.
    pub(super) fn poll_send(
        &mut self,
        conversation: &dyn Conversation,
        message: Message<'_>,
    ) -> Poll<Result<Sent, Failure>> {
        match &mut self.0 {
            Some(connections) => connections.take(conversation, message).map(Ok),
            None => {
                Poll::Ready(Err(Failure::protocol(Phase::Send, "this client has no topic to publish to")))
            }
        }
    }

    /// [`Client::poll_answer`](super::Client::poll_answer) of these protocols.
    pub(super) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        conversation: &mut dyn Conversation,
    ) -> Poll<Answer> {
        self.0.as_mut().map_or(Poll::Pending, |connections| connections.poll_answer(cx, conversation))
    }

    /// Ends its connections.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        for slot in self.0.iter_mut().flat_map(|connections| &mut connections.slots) {
            ready!(slot.http.poll_end(cx, Phase::Close))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Connections {
    fn new(seat: &Seat) -> Connections {
        let keep_alive = seat.options.publish_keep_alive;
        let dialer = seat.publishing_dialer();
        Connections {
            slots: smallvec![Slot::new(&dialer, keep_alive)],
            dialer,
            keep_alive,
            head: Vec::new(),
            head_is_for: None,
            spare: seat.spare_connections.clone(),
        }
    }

    fn take(&mut self, conversation: &dyn Conversation, message: Message<'_>) -> Poll<Sent> {
        let Some(at) = self.free_slot() else { return Poll::Pending };
        let slot = &mut self.slots[at];
        let mut wrapped = Vec::new();
        let message = conversation.publish(message, &mut wrapped);
        slot.payload.clear();
        slot.payload.extend_from_slice(message.payload);
        (slot.binary, slot.stage) = (message.binary, Stage::Asked);
        Poll::Ready(Sent::Ticket(at as u8))
    }

    fn free_slot(&mut self) -> Option<usize> {
        let free = self.slots.iter().position(|slot| slot.stage == Stage::Idle);
        if free.is_some() || self.slots.len() == MOST_UNDER_WAY || self.spare.get() == 0 {
            return free;
        }
        self.spare.set(self.spare.get() - 1);
        self.slots.push(Slot::new(&self.dialer, self.keep_alive));
        Some(self.slots.len() - 1)
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>, conversation: &mut dyn Conversation) -> Poll<Answer> {
        for at in 0..self.slots.len() {
            match self.slots[at].stage {
                Stage::Idle => {}
                Stage::Asked => {
                    if let Poll::Ready(result) = self.poll_exchange(cx, at, conversation) {
                        self.slots[at].stage = Stage::Answered;
                        let failed_in = result.as_ref().err().map(|failure| failure.phase);
                        let written = !matches!(failed_in, Some(Phase::Connect | Phase::Tls));
                        return Poll::Ready(Answer::Answered { ticket: at as u8, written, result });
                    }
                }
                Stage::Answered => {
                    if let Poll::Ready(released) = self.slots[at].http.poll_release(cx, Phase::Send) {
                        self.slots[at].stage = Stage::Idle;
                        return Poll::Ready(Answer::Over(released));
                    }
                }
            }
        }
        Poll::Pending
    }

    fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        at: usize,
        conversation: &mut dyn Conversation,
    ) -> Poll<Result<(), Failure>> {
        let Connections { head, head_is_for, slots, keep_alive, .. } = self;
        let Slot { http, binary, payload, .. } = &mut slots[at];
        let wanted = (*binary, payload.len());
        if *head_is_for != Some(wanted) {
            head.clear();
            let request = Request { body: payload, ..conversation.publish_request(*binary) };
            request.encode(http.target(), connection_fields(*keep_alive), head);
            *head_is_for = Some(wanted);
        }
        let request = Encoded { head, body: payload, phase: Phase::Send };
        http.poll_exchange(cx, &request, &mut Acknowledgement(conversation))
    }
}

/// The answer to a published message.
struct Acknowledgement<'a>(&'a mut dyn Conversation);

impl http::Answer for Acknowledgement<'_> {
    fn head(&mut self, head: &Head<'_>) -> Result<(), Failure> {
        self.0.acknowledged(head)
    }

    fn body(&mut self, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}
