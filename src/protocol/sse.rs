//! Server-sent events: one answer that does not end, and a reconnect where it was cut.

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use eventsource_stream::Event;

use super::publish::{self, Publisher};
use super::{
    Client, Failure, Inbox, Kind, Message, Pause, Phase, Protocol, Seat, Sent, Step, Target, Traits, contract,
};
use crate::transport::http::{Answer, Connection, Head, Progress, Request, with_get};
use crate::transport::stream::Dialer;
use events::{EventError, Events};

mod events;
mod text;

/// Pause before a reconnect where the server named none; browsers take a few seconds.
const DEFAULT_RETRY: Duration = Duration::from_secs(3);

/// Least pause behind a reconnect that failed: the standard lets clients wait longer then, and `retry: 0` would spin.
const LEAST_RETRY: Duration = Duration::from_millis(100);

/// Longest pause: whatever the server named, a run is over before.
const LONGEST_RETRY: Duration = Duration::from_secs(366 * 86_400);

/// Goes on behind the last event it saw, by `Last-Event-ID`; publishes by POST.
pub(super) const SSE: Protocol = Protocol {
    name: "sse",
    title: "Server-sent events",
    about: "one HTTP answer that does not end; reconnects by itself behind the last event; publishes by POST",
    traits: Traits {
        polls: false,
        exchanges: false,
        resumes: true,
        reconnects: true,
        asks_again: false,
        binary: false,
        peer_to_peer: false,
        in_band: false,
    },
    open: |seat| Box::new(SseClient::open(&seat)),
};

struct SseClient {
    dialer: Dialer,
    target: Rc<Target>,
    path: Box<str>,
    live: Option<Box<Live>>,
    last_id: String,
    retry: Duration,
    /// It was ready once. From then on, it is the protocol that brings it back.
    established: bool,
    /// Nothing to listen to: a client that only publishes. `Some(true)` once it has said that it is ready.
    silent: Option<bool>,
    publisher: Option<Box<Publisher>>,
}

/// One connection.
struct Live {
    connection: Connection,
    answer: StreamAnswer,
    /// The subscription is acknowledged.
    ready: bool,
    /// How it ended; told when all that came before has been handed on.
    ended: Option<Failure>,
}

impl SseClient {
    fn open(seat: &Seat) -> SseClient {
        let topics = contract::topics(seat);
        SseClient {
            dialer: Dialer::receiving(seat),
            target: seat.target.clone(),
            path: contract::sse_path(&topics).into(),
            live: None,
            last_id: String::new(),
            retry: DEFAULT_RETRY,
            established: false,
            silent: topics.is_empty().then_some(false),
            publisher: Publisher::new(seat).map(Box::new),
        }
    }

    fn dial(&mut self) -> Result<Box<Live>, Failure> {
        let answer = StreamAnswer { events: Events::new(), phase: Phase::Subscribe, begun: false };
        Ok(Box::new(Live { connection: Connection::dial(&self.dialer)?, answer, ready: false, ended: None }))
    }

    /// Reads until there is something to tell.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        live: &mut Live,
        inbox: &mut dyn Inbox,
    ) -> Poll<Result<Step, Failure>> {
        loop {
            if let Some(step) = self.deliver(live, inbox)? {
                return Poll::Ready(Ok(step));
            }
            if let Some(mut failure) = live.ended.take() {
                if failure.phase == Phase::Subscribe {
                    failure.phase = live.answer.phase;
                }
                return Poll::Ready(Err(failure));
            }
            match ready!(self.poll_step(cx, live)) {
                Ok(Progress::Partial) => {}
                Ok(Progress::Complete) => {
                    live.ended = Some(Failure::new(live.answer.phase, Kind::Eof, "the event stream ended"));
                }
                Err(failure) => live.ended = Some(failure),
            }
        }
    }

    /// Goes on with the exchange, of which the request is needed until it is answered.
    fn poll_step(&self, cx: &mut Context<'_>, live: &mut Live) -> Poll<Result<Progress, Failure>> {
        let Live { connection, answer, .. } = live;
        let phase = answer.phase;
        if answer.begun {
            return connection.poll_step(cx, &Request { head: &[], body: &[], phase }, answer);
        }
        let accept = "Accept: text/event-stream\r\n";
        let fields: &[&str] = match self.last_id.as_str() {
            "" => &[accept],
            id => &[accept, "Last-Event-ID: ", id, "\r\n"],
        };
        with_get(&self.target, &[&self.path], fields, |head| {
            connection.poll_step(cx, &Request { head, body: &[], phase }, answer)
        })
    }

    /// Hands on what has arrived. `None` if that was nothing.
    fn deliver(&mut self, live: &mut Live, inbox: &mut dyn Inbox) -> Result<Option<Step>, Failure> {
        let broken = |e: EventError| Failure::protocol(live.answer.phase, e.to_string());
        let (mut delivered, mut binary) = (false, Vec::new());
        while let Some(block) = live.answer.events.next().map_err(broken)? {
            self.retry = block.retry.map_or(self.retry, |retry| retry.min(LONGEST_RETRY));
            if block.has_data {
                hand_on(&block.event, inbox, &mut binary)?;
                delivered = true;
            }
            let has_id = !block.event.id.is_empty();
            // On a new connection the id of the old one stays in force until there is another.
            if has_id || live.ready {
                self.last_id = block.event.id;
            }
            if has_id && !live.ready {
                live.ready = true;
                self.established = true;
                live.answer.phase = Phase::Receive;
                return Ok(Some(Step::Ready));
            }
        }
        Ok(delivered.then_some(Step::Received))
    }

    /// What a failed connection comes to. By the rules of event streams (HTML, section 9.2.3) one that was cut, or could not be
    /// made, is made anew; an answer that is none, or one with another status than 200, ends the stream for good.
    fn after_failure(&self, was_ready: bool, failure: Failure) -> Result<Step, Failure> {
        if !self.established || !is_network_error(&failure) {
            return Err(failure);
        }
        let wait = if was_ready { self.retry } else { self.retry.max(LEAST_RETRY) };
        Ok(Step::Pause(Pause::Reconnect(wait, failure.kind)))
    }
}

impl Client for SseClient {
    fn poll_recv(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        if let Some(said) = &mut self.silent {
            return if std::mem::replace(said, true) { Poll::Pending } else { Poll::Ready(Ok(Step::Ready)) };
        }
        let mut live = match self.live.take() {
            Some(live) => live,
            None => match self.dial() {
                Ok(live) => live,
                Err(failure) => return Poll::Ready(self.after_failure(false, failure)),
            },
        };
        match self.poll_read(cx, &mut live, inbox) {
            // A failure takes the connection with it.
            Poll::Ready(Err(failure)) => Poll::Ready(self.after_failure(live.ready, failure)),
            step => {
                self.live = Some(live);
                step
            }
        }
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
        if let Some(live) = &mut self.live {
            let ended = ready!(live.connection.poll_end(cx, Phase::Close));
            self.live = None;
            ended?;
        }
        self.publisher.as_mut().map_or(Poll::Ready(Ok(())), |publisher| publisher.poll_close(cx))
    }
}

/// Whether the connection failed, and not what came over it.
fn is_network_error(failure: &Failure) -> bool {
    match failure.kind {
        Kind::Status(_) | Kind::CloseCode(_) => false,
        Kind::Protocol => failure.phase == Phase::Tls,
        _ => true,
    }
}

/// Gives the inbox what an event means; types that the contract does not know mean nothing.
fn hand_on(event: &Event, inbox: &mut dyn Inbox, binary: &mut Vec<u8>) -> Result<(), Failure> {
    let bad = |what: String| Failure::protocol(Phase::Receive, format!("event: {}: {what}", event.event));
    match event.event.as_str() {
        "message" => inbox.push(event.data.as_bytes()),
        contract::SSE_BINARY => {
            binary.clear();
            BASE64_STANDARD.decode_vec(&event.data, binary).map_err(|e| bad(e.to_string()))?;
            inbox.push(binary);
        }
        contract::SSE_MISSED => inbox.missed(event.data.parse().map_err(|_| bad("no number".to_owned()))?),
        _ => {}
    }
    Ok(())
}

/// The answer that is a stream.
struct StreamAnswer {
    events: Events,
    phase: Phase,
    /// Its head has come.
    begun: bool,
}

impl Answer for StreamAnswer {
    fn head(&mut self, head: &Head<'_>) -> Result<(), Failure> {
        self.begun = true;
        // 204 is the standard's way to say: do not come back. It is no cut, so it is no reason to reconnect.
        if head.status != 200 {
            return Err(head.refusal(self.phase));
        }
        let media = head.field("content-type").and_then(|value| value.split(';').next()).unwrap_or_default();
        if !media.trim().eq_ignore_ascii_case("text/event-stream") {
            return Err(Failure::protocol(
                self.phase,
                format!("not with an event stream but with {media:?}"),
            ));
        }
        Ok(())
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.events.feed(piece).map_err(|e| Failure::protocol(self.phase, e.to_string()))
    }
}
