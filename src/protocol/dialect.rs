//! What a server calls things. A protocol knows sockets and framing; what is said over it is its dialect's.
//!
//! # Writing one
//!
//! A file beside this one with a [`Dialect`] (the server's, one for all clients) and a [`Conversation`] (one client's), and a line
//! in [`DIALECTS`](super::DIALECTS). Of a conversation's methods only those matter that its protocols ask for:
//!
//! | protocol | asks for |
//! |---|---|
//! | short and long poll | `listens`, `request`, `answered`, `body`; to publish `publish`, `publish_request`, `acknowledged` |
//! | event stream | `listens`, `request`, `answered`, `event`; to publish, the same |
//! | WebSocket | `request` (the upgrade), `answered`, `opened`, `message`, `publish`, `published` |
//! | data channel | `request` (where the offer goes), `answered`, `opened`, `message`, `publish`, `published` |
//! | TCP | `opened`, `split`, `message`, `publish`, `published` |
//!
//! A dialect that needs several connections, or changes from one protocol to another, gives a [`Client`] of its own with
//! [`Dialect::open`]. It is made of the protocols' clients ([`PollClient`](super::PollClient),
//! [`WebSocketClient`](super::WebSocketClient) and so on), each with a conversation of its own.

use std::collections::VecDeque;
use std::fmt;
use std::task::Poll;

use super::{Answer, Client, Failure, Inbox, Kind, Message, Phase, Protocol, Seat, Sent, Step};
use crate::transport::http::{Head, Request};

/// What a server and its clients say to each other.
pub trait Dialect: fmt::Debug {
    /// The words of one client over one protocol.
    fn converse(&self, protocol: &Protocol, seat: &Seat) -> Box<dyn Conversation>;

    /// Makes a client that was asked to use `protocol`. Nothing is sent before its first poll.
    fn open(&self, protocol: &Protocol, seat: Seat) -> Box<dyn Client> {
        (protocol.open)(seat)
    }
}

/// One client's part: what it says, and what it makes of what it hears. It lives as long as its client, over all its connections.
///
/// Nothing here knows about time, or does I/O. On the path of a message nothing should allocate.
pub trait Conversation {
    /// Whether there is anything to receive. A client that only publishes does not poll, and opens no stream.
    fn listens(&self) -> bool {
        true
    }

    /// What asks for events: each poll, the stream, the upgrade; for a data channel where the offer goes. The protocol adds what
    /// is its own (`Upgrade`, `Last-Event-ID`, the offer). Asked again for each connection and each poll, and while it is being sent.
    fn request(&self) -> Request<'_> {
        Request::get("/")
    }

    /// The answer to that has begun. What the protocol itself demands of it was looked at before: 101 for a WebSocket, 200 and the
    /// right media type for a stream.
    ///
    /// # Errors
    /// It is not what was asked for, e.g. [`Head::refusal`]. What was asked and the answer's first words are added.
    fn answered(&mut self, head: &Head<'_>, phase: Phase) -> Result<(), Failure> {
        if (100..300).contains(&head.status) { Ok(()) } else { Err(head.refusal(phase)) }
    }

    /// A connection for messages is open. Ready at once unless there is something to be said first.
    ///
    /// # Errors
    /// Any that ends the connection.
    fn opened(&mut self, heard: &mut Heard<'_>) -> Result<(), Failure> {
        heard.ready();
        Ok(())
    }

    /// A message, as WebSockets and data channels bring them, or a frame of a TCP stream (which is binary).
    ///
    /// # Errors
    /// The server told an error, or nobody can make sense of it. Ends the connection.
    fn message(&mut self, message: &[u8], _binary: bool, heard: &mut Heard<'_>) -> Result<(), Failure> {
        heard.push(message);
        Ok(())
    }

    /// A block of an event stream.
    ///
    /// # Errors
    /// As [`Conversation::message`].
    fn event(&mut self, event: Event<'_>, heard: &mut Heard<'_>) -> Result<(), Failure> {
        heard.ready();
        event.data.into_iter().for_each(|data| heard.push(data.as_bytes()));
        Ok(())
    }

    /// The whole content of a poll's answer. What tells the next poll where to go on is to be kept from here on, and not from
    /// [`Conversation::answered`]: an answer that breaks off is asked for again.
    ///
    /// # Errors
    /// As [`Conversation::message`]. Nothing may have been pushed then.
    fn body(&mut self, body: &[u8], heard: &mut Heard<'_>) -> Result<(), Failure> {
        heard.ready();
        if !body.is_empty() {
            heard.push(body);
        }
        Ok(())
    }

    /// Length in bytes of the frame at the front of what a TCP stream brought; `None` if its end is missing.
    ///
    /// # Errors
    /// It cannot be the front of a frame.
    fn split(&self, input: &[u8]) -> Result<Option<usize>, Failure> {
        Ok(input.iter().position(|&byte| byte == b'\n').map(|at| at + 1))
    }

    /// What `message` looks like on its way to the server: itself, or what was written to `wrapped`, which is empty. May be asked
    /// again for the same message, if it could not be taken.
    fn publish<'a>(&self, message: Message<'a>, _wrapped: &'a mut Vec<u8>) -> Message<'a> {
        message
    }

    /// The last that was asked for was taken: whether its acknowledgement comes over the same connection, to be told by
    /// [`Heard::answered`]. Tickets may be used again when they were answered.
    fn published(&mut self) -> Sent {
        Sent::Unanswered
    }

    /// The request that publishes, without its content. It is the same for all messages of one form, binary or not, and length,
    /// until the client becomes ready again.
    fn publish_request(&self, _binary: bool) -> Request<'_> {
        Request { method: "POST", ..self.request() }
    }

    /// A request that publishes was answered.
    ///
    /// # Errors
    /// The message was refused.
    fn acknowledged(&mut self, head: &Head<'_>) -> Result<(), Failure> {
        if (200..300).contains(&head.status) { Ok(()) } else { Err(head.refusal(Phase::Send)) }
    }
}

/// A block of an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its type; `message` if it named none.
    pub kind: &'a str,
    /// `None` if it is no event, and only says where to go on.
    pub data: Option<&'a str>,
    /// The id that is in force from here on; empty if none was ever told.
    pub id: &'a str,
}

/// Takes what a conversation makes of what it hears.
pub struct Heard<'a> {
    /// What the client is doing, for failures.
    pub phase: Phase,
    inbox: &'a mut dyn Inbox,
    notes: &'a mut Notes,
    events: usize,
}

impl Heard<'_> {
    /// One payload arrived.
    #[inline]
    pub fn push(&mut self, payload: &[u8]) {
        self.events += 1;
        self.inbox.push(payload);
    }

    /// The server said that it dropped `count` events for this subscriber.
    pub fn missed(&mut self, count: u64) {
        self.inbox.missed(count);
    }

    /// The subscription is acknowledged. May be said again.
    #[inline]
    pub fn ready(&mut self) {
        self.notes.ready = true;
    }

    /// To be said in return, at once, over the connection that brought it: WebSocket, data channel, TCP.
    pub fn reply(&mut self, message: &[u8], binary: bool) {
        self.notes.rare.get_or_insert_default().replies.push_back((message.to_vec(), binary));
    }

    /// The message that was sent with this ticket is acknowledged, or refused.
    pub fn answered(&mut self, ticket: u8, result: Result<(), Failure>) {
        let Some(rare) = &mut self.notes.rare else { return };
        // What nobody waits for, or was answered already, is no news.
        let Some(at) = rare.open.iter().position(|&open| open == ticket) else { return };
        rare.open.swap_remove(at);
        rare.tell(ticket, result);
    }
}

/// What was heard beside payloads.
struct Notes {
    rare: Option<Box<Rare>>,
    ready: bool,
    /// [`Phase::Subscribe`], and [`Phase::Receive`] once the subscription is acknowledged.
    phase: Phase,
}

/// What most clients never hear.
#[derive(Default)]
struct Rare {
    replies: VecDeque<(Vec<u8>, bool)>,
    /// Tickets of messages that are not answered.
    open: Vec<u8>,
    told: VecDeque<Answer>,
}

impl Rare {
    fn tell(&mut self, ticket: u8, result: Result<(), Failure>) {
        self.told.extend([Answer::Answered { ticket, written: true, result }, Answer::Over(Ok(()))]);
    }
}

/// A client's end of its conversation.
pub(super) struct Talk {
    pub(super) conversation: Box<dyn Conversation>,
    notes: Notes,
}

impl Talk {
    pub(super) fn new(conversation: Box<dyn Conversation>) -> Talk {
        Talk { conversation, notes: Notes { rare: None, ready: false, phase: Phase::Subscribe } }
    }

    /// What the client is doing: subscribing, or receiving.
    #[inline]
    pub(super) fn phase(&self) -> Phase {
        self.notes.phase
    }

    /// Hears something, and says how many payloads it brought.
    #[inline]
    pub(super) fn hear(
        &mut self,
        inbox: &mut dyn Inbox,
        what: impl FnOnce(&mut dyn Conversation, &mut Heard<'_>) -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        let mut heard = Heard { phase: self.notes.phase, inbox, notes: &mut self.notes, events: 0 };
        what(&mut *self.conversation, &mut heard)?;
        Ok(heard.events)
    }

    /// Hears a message.
    #[inline]
    pub(super) fn message(
        &mut self,
        message: &[u8],
        binary: bool,
        inbox: &mut dyn Inbox,
    ) -> Result<(), Failure> {
        self.hear(inbox, |conversation, heard| conversation.message(message, binary, heard)).map(drop)
    }

    /// Whether the subscription was acknowledged just now.
    #[inline]
    pub(super) fn became_ready(&mut self) -> bool {
        let news = std::mem::take(&mut self.notes.ready) && self.notes.phase == Phase::Subscribe;
        if news {
            self.notes.phase = Phase::Receive;
        }
        news
    }

    /// What a client does that has nothing to receive: it says once that it is ready. `None` for others.
    #[inline]
    pub(super) fn poll_silent(&mut self) -> Option<Poll<Result<Step, Failure>>> {
        if self.conversation.listens() {
            return None;
        }
        self.notes.ready = true;
        Some(if self.became_ready() { Poll::Ready(Ok(Step::Ready)) } else { Poll::Pending })
    }

    /// A new connection, of which nothing is acknowledged.
    pub(super) fn begin(&mut self) {
        self.notes.phase = Phase::Subscribe;
        self.notes.ready = false;
    }

    /// The connection is gone, and with it what was on its way.
    pub(super) fn lost(&mut self, failure: &Failure) {
        let Some(rare) = &mut self.notes.rare else { return };
        rare.replies.clear();
        for ticket in std::mem::take(&mut rare.open) {
            rare.tell(ticket, Err(Failure { phase: Phase::Send, ..failure.clone() }));
        }
    }

    /// What is to be said in return, and whether it is binary.
    #[inline]
    pub(super) fn next_reply(&mut self) -> Option<(Vec<u8>, bool)> {
        self.notes.rare.as_mut()?.replies.pop_front()
    }

    /// A message was taken.
    #[inline]
    pub(super) fn published(&mut self) -> Sent {
        let sent = self.conversation.published();
        if let Sent::Ticket(ticket) = sent {
            self.notes.rare.get_or_insert_default().open.push(ticket);
        }
        sent
    }

    /// [`Client::poll_answer`] of a client that is answered over the connection on which it sends.
    pub(super) fn poll_answer(&mut self) -> Poll<Answer> {
        let told = self.notes.rare.as_mut().and_then(|rare| rare.told.pop_front());
        told.map_or(Poll::Pending, Poll::Ready)
    }

    /// Of a connection that only receives: what is to be said in return cannot be.
    pub(super) fn has_nothing_to_say(&mut self) -> Result<(), Failure> {
        match self.next_reply() {
            None => Ok(()),
            Some(_) => Err(Failure::new(
                self.notes.phase,
                Kind::Protocol,
                "there is no way to reply over this protocol",
            )),
        }
    }
}
