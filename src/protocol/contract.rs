//! The built-in contract (its page is the reference server's README): its URLs, fields and words, all in this place.

use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use smallvec::SmallVec;

use super::dialect::{Conversation, Dialect, Event, Heard};
use super::{Failure, Phase, Protocol, Seat};
use crate::transport::http::{Field, Head, Request};
use crate::transport::scratch;

/// Field of a poll's answer: the cursor for the next poll.
const CURSOR_FIELD: &str = "rtbench-cursor";

/// Field of a poll's answer: how many events were lost before these.
const MISSED_FIELD: &str = "rtbench-missed";

/// What a poll behind a cursor adds to its path, before the cursor.
const POLL_AFTER: &str = "&after=";

/// Event type of a binary payload in an event stream.
const EVENT_BINARY: &str = "base64";

/// Event type of losses in an event stream.
const EVENT_MISSED: &str = "missed";

/// How a text message begins that is not a payload.
const COMMAND_PREFIX: &[u8] = b"{\"op\":";

static TEXT: [Field; 1] = [Field::fixed("Content-Type", "text/plain")];
static BINARY: [Field; 1] = [Field::fixed("Content-Type", "application/octet-stream")];
static OFFER: [Field; 1] = [Field::fixed("Content-Type", "application/sdp")];

/// The contract.
#[derive(Debug)]
pub(super) struct Contract;

impl Dialect for Contract {
    fn converse(&self, protocol: &Protocol, seat: &Seat) -> Box<dyn Conversation> {
        match protocol.name {
            "short-poll" => Box::new(Polling::new(seat, String::new())),
            "long-poll" => Box::new(Polling::new(seat, poll_wait(seat.options.hold))),
            "websocket" => Box::new(Channel::<true>(channel_path("/ws", seat))),
            "webrtc" => Box::new(Channel::<false>(channel_path("/rtc", seat))),
            name => Box::new(Streaming::new(seat, name)),
        }
    }
}

/// A text that every client has one of, and most in no allocation of its own.
type Short<const BYTES: usize> = SmallVec<[u8; BYTES]>;

/// Of what was made from text alone.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Where a topic is published to.
fn publish_path(topic: &str) -> String {
    format!("/topics/{topic}")
}

fn publish_request(path: &str, binary: bool) -> Request<'_> {
    Request { method: "POST", path, fields: if binary { &BINARY } else { &TEXT }, body: &[] }
}

fn acknowledged(head: &Head<'_>) -> Result<(), Failure> {
    if head.status == 204 { Ok(()) } else { Err(head.refusal(Phase::Send)) }
}

/// Short and long polls.
struct Polling {
    listens: bool,
    /// Where the path ends that has no cursor yet.
    base_bytes: u32,
    /// Of the next poll.
    path: String,
    /// What stands behind the cursor.
    wait: Box<str>,
    /// The cursor of the answer that is under way, if it is another one.
    next: Option<Box<str>>,
    missed: u64,
    /// Where to publish to; empty if nothing is.
    publish: Box<str>,
}

impl Polling {
    fn new(seat: &Seat, wait: String) -> Polling {
        let topics = topics(seat);
        let path = with_topics("/poll", &topics);
        Polling {
            listens: !topics.is_empty(),
            base_bytes: path.len() as u32,
            path,
            wait: wait.into(),
            next: None,
            missed: 0,
            publish: seat.publish.as_deref().map(publish_path).unwrap_or_default().into(),
        }
    }

    /// Behind which the next poll asks; empty at first.
    fn cursor(&self) -> &str {
        let start = self.base_bytes as usize + POLL_AFTER.len();
        self.path.get(start..self.path.len().saturating_sub(self.wait.len())).unwrap_or_default()
    }

    fn go_on_behind(&mut self, cursor: &str) {
        self.path.truncate(self.base_bytes as usize);
        self.path.extend([POLL_AFTER, cursor, &self.wait]);
    }
}

impl Conversation for Polling {
    fn listens(&self) -> bool {
        self.listens
    }

    fn request(&self) -> Request<'_> {
        Request::get(&self.path)
    }

    fn answered(&mut self, head: &Head<'_>, phase: Phase) -> Result<(), Failure> {
        if !matches!(head.status, 200 | 204) {
            return Err(head.refusal(phase));
        }
        let bad = |what: &str| Failure::protocol(phase, format!("without a good {what}"));
        let cursor = head.field(CURSOR_FIELD).filter(|token| is_cursor(token));
        let cursor = cursor.ok_or_else(|| bad(CURSOR_FIELD))?;
        self.next = (cursor != self.cursor()).then(|| cursor.into());
        let missed = head.field(MISSED_FIELD).map_or(Ok(0), str::parse);
        self.missed = missed.map_err(|_| bad(MISSED_FIELD))?;
        Ok(())
    }

    fn body(&mut self, body: &[u8], heard: &mut Heard<'_>) -> Result<(), Failure> {
        // Looked through before anything is handed on: half of an answer is worth nothing, since the next poll would bring the
        // same events again.
        let mut rest = body;
        while !rest.is_empty() {
            take_netstring(&mut rest)
                .ok_or_else(|| Failure::protocol(heard.phase, "the body is not a sequence of netstrings"))?;
        }
        if self.missed > 0 {
            heard.missed(self.missed);
        }
        let mut rest = body;
        while let Some(payload) = take_netstring(&mut rest) {
            heard.push(payload);
        }
        if let Some(cursor) = self.next.take() {
            self.go_on_behind(&cursor);
        }
        heard.ready();
        Ok(())
    }

    fn publish_request(&self, binary: bool) -> Request<'_> {
        publish_request(&self.publish, binary)
    }

    fn acknowledged(&mut self, head: &Head<'_>) -> Result<(), Failure> {
        acknowledged(head)
    }
}

/// Streams of events: SSE.
struct Streaming {
    listens: bool,
    /// Where the path of the stream ends, behind which is the one to publish to.
    stream_bytes: u32,
    paths: Short<24>,
}

impl Streaming {
    fn new(seat: &Seat, name: &str) -> Streaming {
        let topics = topics(seat);
        let stream = with_topics(&format!("/{name}"), &topics);
        let publish = seat.publish.as_deref().map(publish_path).unwrap_or_default();
        let paths = [stream.as_bytes(), publish.as_bytes()].concat();
        let stream_bytes = stream.len() as u32;
        Streaming { listens: !topics.is_empty(), stream_bytes, paths: Short::from_slice(&paths) }
    }

    /// Of the stream, and to publish to.
    fn paths(&self) -> (&str, &str) {
        text(&self.paths).split_at(self.stream_bytes as usize)
    }
}

impl Conversation for Streaming {
    fn listens(&self) -> bool {
        self.listens
    }

    fn request(&self) -> Request<'_> {
        Request::get(self.paths().0)
    }

    fn event(&mut self, event: Event<'_>, heard: &mut Heard<'_>) -> Result<(), Failure> {
        if !event.id.is_empty() {
            heard.ready();
        }
        let Some(data) = event.data else { return Ok(()) };
        let bad = |what: String| Failure::protocol(Phase::Receive, format!("event: {}: {what}", event.kind));
        match event.kind {
            "message" => heard.push(data.as_bytes()),
            EVENT_BINARY => scratch::with_text(|binary| {
                BASE64_STANDARD.decode_vec(data, binary).map_err(|e| bad(e.to_string()))?;
                heard.push(binary);
                Ok(())
            })?,
            EVENT_MISSED => heard.missed(data.parse().map_err(|_| bad("no number".to_owned()))?),
            // Types that the contract does not know mean nothing.
            _ => {}
        }
        Ok(())
    }

    fn publish_request(&self, binary: bool) -> Request<'_> {
        publish_request(self.paths().1, binary)
    }

    fn acknowledged(&mut self, head: &Head<'_>) -> Result<(), Failure> {
        acknowledged(head)
    }
}

/// Messages both ways, by its path: over a WebSocket that is asked for by an upgrade, or over a data channel to the server by an
/// offer. Payloads go as they are.
struct Channel<const UPGRADES: bool>(Short<16>);

impl<const UPGRADES: bool> Conversation for Channel<UPGRADES> {
    fn request(&self) -> Request<'_> {
        match UPGRADES {
            true => Request::get(text(&self.0)),
            false => Request { method: "POST", path: text(&self.0), fields: &OFFER, body: &[] },
        }
    }

    fn answered(&mut self, head: &Head<'_>, phase: Phase) -> Result<(), Failure> {
        if UPGRADES || head.status == 201 { Ok(()) } else { Err(head.refusal(phase)) }
    }

    #[inline]
    fn message(&mut self, message: &[u8], binary: bool, heard: &mut Heard<'_>) -> Result<(), Failure> {
        if !binary && message.starts_with(COMMAND_PREFIX) {
            return take_notice(message, heard);
        }
        heard.push(message);
        Ok(())
    }
}

/// What a text message says that is not a payload.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Notice {
    /// Events were lost to slowness.
    Missed { count: u64 },
    /// The server did not understand.
    Error {
        #[serde(default)]
        reason: String,
    },
    /// The answer to a command.
    #[serde(other)]
    Other,
}

fn take_notice(text: &[u8], heard: &mut Heard<'_>) -> Result<(), Failure> {
    match serde_json::from_slice(text) {
        Ok(Notice::Missed { count }) => heard.missed(count),
        Ok(Notice::Other) => {}
        Ok(Notice::Error { reason }) => return Err(Failure::protocol(Phase::Receive, reason)),
        Err(error) => return Err(Failure::protocol(Phase::Receive, error.to_string())),
    }
    Ok(())
}

/// Topics that a client follows where there is no echo: those of its seat, and for echo the one it publishes to.
fn topics(seat: &Seat) -> Vec<Rc<str>> {
    let mut topics = seat.topics.clone();
    topics.extend(seat.publish.iter().filter(|own| seat.echo && !seat.topics.contains(own)).cloned());
    topics
}

/// What a held poll adds to its path.
fn poll_wait(hold: Option<Duration>) -> String {
    hold.map_or_else(|| "&wait=".to_owned(), |hold| format!("&wait={}", hold.as_secs_f64()))
}

/// Topics consist of characters that need no escaping.
fn with_topics(path: &str, topics: &[Rc<str>]) -> String {
    let mut path = path.to_owned();
    for (i, topic) in topics.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(path, "{}topic={topic}", if i == 0 { '?' } else { '&' });
    }
    path
}

/// Path of a channel for both ways.
fn channel_path(path: &str, seat: &Seat) -> Short<16> {
    let mut path = with_topics(path, &seat.topics);
    let join = if seat.topics.is_empty() { "?" } else { "&" };
    match &seat.publish {
        _ if seat.echo => path.extend([join, "echo=1"]),
        Some(topic) => path.extend([join, "publish=", topic]),
        None => {}
    }
    Short::from_slice(path.as_bytes())
}

/// Whether a server's token may stand in our requests.
fn is_cursor(token: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&token.len()) && token.bytes().all(allowed)
}

/// Takes the netstring at the front of `body`; `None` if there is none.
fn take_netstring<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    const MAX_DIGITS: usize = 10;
    let digits = body.iter().take(MAX_DIGITS + 1).position(|&b| b == b':')?;
    let length =
        std::str::from_utf8(&body[..digits]).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    let (payload, rest) = body[digits + 1..].split_at_checked(length.parse().ok()?)?;
    *body = rest.strip_prefix(b",")?;
    Some(payload)
}

#[cfg(test)]
#[path = "contract_tests.rs"]
mod tests;
