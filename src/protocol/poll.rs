//! Polling: short and long are one exchange, and the mode is a value.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::publish::{self, Publisher};
use super::{Client, Failure, Inbox, Message, Pause, Phase, Seat, Sent, Step, Target, contract};
use crate::transport::http::{Answer, Head, Http, Request, connection_field, with_get};
use crate::transport::stream::Dialer;

/// Most bytes of events that one poll may bring.
const MAX_BODY_BYTES: usize = 64 << 20;

/// What a client does between two polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The server answers at once, and the client pauses.
    Short,
    /// The server holds the request until there is something, and the client asks again at once.
    Long,
}

/// A client that polls.
pub(super) struct PollClient {
    mode: Mode,
    http: Http,
    target: Rc<Target>,
    path: Box<str>,
    /// What stands behind the cursor in the path.
    wait: Box<str>,
    keep_alive: bool,
    /// Nothing to poll for: a client that only publishes.
    silent: bool,
    answer: PollAnswer,
    next: Next,
    standing: Standing,
    publisher: Option<Box<Publisher>>,
}

/// What the next call of `poll_recv` is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The first poll, which brings the cursor.
    Cursor,
    Poll,
    /// Ends the connection if need be, then pauses.
    Pause,
    /// A silent client has said that it is ready.
    Nothing,
}

/// How the last poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Good,
    /// It failed.
    Failed,
    /// It was answered, behind one that failed; to be told.
    Back,
}

impl PollClient {
    pub(super) fn open(mode: Mode, seat: &Seat) -> PollClient {
        let topics = contract::topics(seat);
        let keep_alive = seat.options.keep_alive || mode == Mode::Long;
        PollClient {
            mode,
            http: Http::new(Dialer::receiving(seat), keep_alive),
            target: seat.target.clone(),
            path: contract::poll_path(&topics).into(),
            keep_alive,
            wait: match mode {
                Mode::Short => Box::default(),
                Mode::Long => contract::poll_wait(seat.options.hold).into(),
            },
            silent: topics.is_empty(),
            answer: PollAnswer { phase: Phase::Subscribe, cursor: "".into(), arrived: Arrived::default() },
            next: Next::Cursor,
            standing: Standing::Good,
            publisher: Publisher::new(seat).map(Box::new),
        }
    }

    fn phase(&self) -> Phase {
        if self.next == Next::Cursor { Phase::Subscribe } else { Phase::Receive }
    }

    /// One poll: ready when its answer is complete and taken.
    fn poll_once(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<usize, Failure>> {
        let phase = self.phase();
        self.answer.phase = phase;
        let PollClient { http, target, path, wait, keep_alive, answer, .. } = self;
        let cursor = answer.cursor.clone();
        let path: &[&str] = match &*cursor {
            "" => &[path],
            cursor => &[path, contract::POLL_AFTER, cursor, wait],
        };
        let polled = ready!(with_get(target, path, &[connection_field(*keep_alive)], |head| {
            http.poll_exchange(cx, &Request { head, body: &[], phase }, answer)
        }));
        let whole = std::mem::take(&mut answer.arrived);
        polled?;
        let events = whole.deliver(phase, inbox)?;
        if let Some(cursor) = whole.next_cursor {
            answer.cursor = cursor;
        }
        if events == 0 {
            self.http.meter().empty_exchanges.add(1);
        }
        Poll::Ready(Ok(events))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        if self.silent {
            let said = self.next == Next::Nothing;
            self.next = Next::Nothing;
            return if said { Poll::Pending } else { Poll::Ready(Ok(Step::Ready)) };
        }
        if self.standing == Standing::Back {
            self.standing = Standing::Good;
            return Poll::Ready(Ok(Step::Ready));
        }
        if self.next == Next::Pause {
            ready!(self.http.poll_release(cx, Phase::Receive))?;
            self.next = Next::Poll;
            return Poll::Ready(Ok(Step::Pause(Pause::PollInterval)));
        }
        let events = ready!(self.poll_once(cx, inbox))?;
        let first = self.next == Next::Cursor;
        if self.standing == Standing::Failed {
            self.standing = Standing::Back;
        }
        self.next = if self.mode == Mode::Short { Next::Pause } else { Next::Poll };
        match events {
            _ if first => Poll::Ready(Ok(Step::Ready)),
            0 if self.mode == Mode::Short => self.poll_next(cx, inbox),
            _ => Poll::Ready(Ok(Step::Received)),
        }
    }
}

impl Client for PollClient {
    fn poll_recv(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        let step = ready!(self.poll_next(cx, inbox));
        if step.is_err() && self.next == Next::Pause {
            self.next = Next::Poll;
        } else if step.is_err() && self.next == Next::Poll {
            self.standing = Standing::Failed;
        }
        Poll::Ready(step)
    }

    fn poll_send(&mut self, _: &mut Context<'_>, message: Message<'_>) -> Poll<Result<Sent, Failure>> {
        match &mut self.publisher {
            Some(publisher) => publisher.poll_send(message),
            None => Poll::Ready(Err(publish::no_topic())),
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<super::Answer> {
        self.publisher.as_mut().map_or(Poll::Pending, |publisher| publisher.poll_answer(cx))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        ready!(self.http.poll_end(cx, Phase::Close))?;
        self.publisher.as_mut().map_or(Poll::Ready(Ok(())), |publisher| publisher.poll_close(cx))
    }
}

/// The answer to a poll, kept until it is whole: half of it is worth nothing without the cursor behind all of it, since
/// the next poll would bring the same events again.
struct PollAnswer {
    phase: Phase,
    /// Behind which the poll asked; empty at first.
    cursor: Rc<str>,
    arrived: Arrived,
}

/// What has arrived of an answer.
#[derive(Default)]
struct Arrived {
    /// The cursor for the next poll, if it is another one.
    next_cursor: Option<Rc<str>>,
    missed: u64,
    body: Vec<u8>,
}

impl Arrived {
    /// Hands the events on and says how many there were.
    fn deliver(&self, phase: Phase, inbox: &mut dyn Inbox) -> Result<usize, Failure> {
        // Looked through before anything is handed on, for the same reason.
        let (mut rest, mut events) = (self.body.as_slice(), 0);
        while !rest.is_empty() {
            contract::take_netstring(&mut rest)
                .ok_or_else(|| Failure::protocol(phase, "the body is not a sequence of netstrings"))?;
            events += 1;
        }
        if self.missed > 0 {
            inbox.missed(self.missed);
        }
        let mut rest = self.body.as_slice();
        while let Some(payload) = contract::take_netstring(&mut rest) {
            inbox.push(payload);
        }
        Ok(events)
    }
}

impl Answer for PollAnswer {
    fn head(&mut self, head: &Head<'_>) -> Result<(), Failure> {
        if !matches!(head.status, 200 | 204) {
            return Err(head.refusal(self.phase));
        }
        let bad = |what: &str| Failure::protocol(self.phase, format!("without a good {what}"));
        let cursor = head.field(contract::CURSOR_FIELD).filter(|token| contract::is_cursor(token));
        let cursor = cursor.ok_or_else(|| bad(contract::CURSOR_FIELD))?;
        self.arrived.next_cursor = (cursor != &*self.cursor).then(|| cursor.into());
        let missed = head.field(contract::MISSED_FIELD).map_or(Ok(0), str::parse);
        self.arrived.missed = missed.map_err(|_| bad(contract::MISSED_FIELD))?;
        Ok(())
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let body = &mut self.arrived.body;
        if body.len() + piece.len() > MAX_BODY_BYTES {
            return Err(Failure::protocol(
                self.phase,
                format!("more than {MAX_BODY_BYTES} bytes in one answer"),
            ));
        }
        body.extend_from_slice(piece);
        Ok(())
    }
}
