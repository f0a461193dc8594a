//! Publishing by POST, for the protocols that only receive.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use smallvec::{SmallVec, smallvec};

use super::{Answer, Failure, Message, Phase, Seat, Sent, contract};
use crate::transport::http::{self, Head, Http, Request, common_fields, connection_field};
use crate::transport::stream::Dialer;

/// Publishes that one client may have under way at the same time: the connections that a browser holds to one host.
const MOST_UNDER_WAY: usize = 6;

/// One client's publishing, on connections of its own. What is due goes out whether or not the server has answered what went
/// before, as a page does that calls `fetch`; with one connection as long as that suffices.
pub(super) struct Publisher {
    dialer: Dialer,
    keep_alive: bool,
    /// The request's head, for messages of one form and length at a time.
    head: Vec<u8>,
    /// How much of the head is the same for all.
    common_bytes: usize,
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
    /// `None` if the seat publishes nothing.
    pub(super) fn new(seat: &Seat) -> Option<Publisher> {
        let topic = seat.publish.as_ref()?;
        let keep_alive = seat.options.publish_keep_alive;
        let dialer = Dialer::publishing(seat);
        let head = format!(
            "POST {}{}{}",
            contract::publish_path(topic),
            common_fields(&seat.target),
            connection_field(keep_alive)
        );
        Some(Publisher {
            slots: smallvec![Slot::new(&dialer, keep_alive)],
            dialer,
            keep_alive,
            common_bytes: head.len(),
            head: head.into_bytes(),
            head_is_for: None,
            spare: seat.spare_connections.clone(),
        })
    }

    /// [`Client::poll_send`](super::Client::poll_send) of these protocols. Pending, every connection that it may have is
    /// under way; [`Publisher::poll_answer`] is woken when one is free.
    pub(super) fn poll_send(&mut self, message: Message<'_>) -> Poll<Result<Sent, Failure>> {
        let Some(at) = self.free_slot() else { return Poll::Pending };
        let slot = &mut self.slots[at];
        slot.payload.clear();
        slot.payload.extend_from_slice(message.payload);
        (slot.binary, slot.stage) = (message.binary, Stage::Asked);
        Poll::Ready(Ok(Sent::Ticket(at as u8)))
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

    /// [`Client::poll_answer`](super::Client::poll_answer) of these protocols.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        for at in 0..self.slots.len() {
            match self.slots[at].stage {
                Stage::Idle => {}
                Stage::Asked => {
                    if let Poll::Ready(result) = self.poll_exchange(cx, at) {
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

    fn poll_exchange(&mut self, cx: &mut Context<'_>, at: usize) -> Poll<Result<(), Failure>> {
        let Publisher { head, common_bytes, head_is_for, slots, .. } = self;
        let Slot { http, binary, payload, .. } = &mut slots[at];
        let wanted = (*binary, payload.len());
        if *head_is_for != Some(wanted) {
            let media = if *binary { "application/octet-stream" } else { "text/plain" };
            head.truncate(*common_bytes);
            let own = format!("Content-Type: {media}\r\nContent-Length: {}\r\n\r\n", payload.len());
            head.extend_from_slice(own.as_bytes());
            *head_is_for = Some(wanted);
        }
        http.poll_exchange(cx, &Request { head, body: payload, phase: Phase::Send }, &mut Acknowledgement)
    }

    /// Ends its connections.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        for slot in &mut self.slots {
            ready!(slot.http.poll_end(cx, Phase::Close))?;
        }
        Poll::Ready(Ok(()))
    }
}

/// The answer to a published message.
struct Acknowledgement;

impl http::Answer for Acknowledgement {
    fn head(&mut self, head: &Head<'_>) -> Result<(), Failure> {
        if head.status == 204 { Ok(()) } else { Err(head.refusal(Phase::Send)) }
    }

    fn body(&mut self, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

/// The failure of sending where a seat has no topic to publish to.
pub(super) fn no_topic() -> Failure {
    Failure::protocol(Phase::Send, "this client has no topic to publish to")
}
