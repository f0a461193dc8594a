//! Server-sent events: one answer that never ends.
//! The format is that of the HTML standard, section 9.2 (Server-sent events).

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use super::Id;
use crate::alive::counted;
use crate::app::Rejection;
use crate::connection::{Connection, Order};
use crate::front::{Ask, Chunks, Fields, Reply, chunk};
use crate::hub::{BadCursor, Batch, Event, Hub, Most, Subscription};
use crate::request::{self, Accepts, BadRequest, Subscribe};
use crate::turn::LOOK;

/// Taken from the hub in one go.
const MOST: Most = Most { events: 32, bytes: 64 * 1024 };

/// Longest time between two comments; the clock cannot count to any number.
const MAX_KEEP_ALIVE: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn handle(ask: &Ask<'_>) -> Result<Reply, Rejection> {
    let Ask { app, connection, .. } = ask;
    let mut request = Subscribe::parse(ask.query, Accepts::Stream)?;
    if let Some(id) = ask.values("last-event-id").next() {
        let id = std::str::from_utf8(id).map_err(|_| BadRequest::Cursor(BadCursor))?;
        request.after = Some(request::cursor(id)?);
    }
    app.stats.requests.of(Id::Sse).add(1);
    connection.subscribe(Id::Sse)?;
    let subscription = app.hub.subscribe(&request.topics, request.after)?;
    connection.watch(subscription.signal());
    let fields =
        Fields::default().with("content-type", "text/event-stream").with("cache-control", "no-store");
    let keep_alive = Box::pin(tokio::time::sleep(app.config.keep_alive));
    let connection = Arc::clone(connection);
    let stream = EventStream { connection, subscription, begun: false, keep_alive, quiet: true };
    Ok(Reply::Stream(fields, Box::new(stream)))
}

/// The body of the answer.
struct EventStream {
    connection: Arc<Connection>,
    subscription: Subscription,
    begun: bool,
    keep_alive: Pin<Box<Sleep>>,
    /// Nothing was sent since the timer was set.
    quiet: bool,
}

impl EventStream {
    fn preamble(&self) -> Bytes {
        let retry_ms = self.connection.app().config.retry.as_millis();
        chunk(format!("retry: {retry_ms}\nid: {}\n\n", self.subscription.cursor()).as_bytes())
    }

    /// Puts what was published into `chunks`. Ready if there may be more, or with false if the stream ends.
    fn poll_events(&mut self, cx: &mut Context<'_>, chunks: &mut Vec<Bytes>) -> Poll<bool> {
        // The connection's task registered itself; it also sees to those who are too slow.
        if self.connection.current() > Order::Serve {
            return Poll::Ready(false);
        }
        let app = self.connection.app();
        let mut batch = BATCH.take();
        self.connection.turn().spend(LOOK * self.subscription.topics());
        let mut taken = self.subscription.poll_take(cx, &mut batch, MOST).map(|taken| taken.is_ok());
        if taken == Poll::Ready(true) {
            if !batch.more {
                // What comes next wakes the task.
                taken = Poll::Pending;
            }
            self.connection.delivering(&mut batch);
            if batch.missed > 0 {
                chunks.push(chunk(format!("event: missed\ndata: {}\n\n", batch.missed).as_bytes()));
            }
            let framing_bytes = app.config.faults.framing_bytes;
            chunks.extend(batch.events.drain(..).map(|event| encoded(&event, &app.hub, framing_bytes)));
        }
        BATCH.set(batch);
        taken
    }

    /// A comment whenever a whole period passed without anything else. The timer is not set anew for each event:
    /// that would cost more than the event.
    fn poll_keep_alive(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        while self.keep_alive.as_mut().poll(cx).is_ready() {
            let keep_alive = self.connection.app().config.keep_alive;
            let period = keep_alive.clamp(Duration::from_millis(1), MAX_KEEP_ALIVE);
            self.keep_alive.as_mut().reset(Instant::now() + period);
            if std::mem::replace(&mut self.quiet, true) {
                return Poll::Ready(Bytes::from_static(b"2\r\n:\n\r\n"));
            }
        }
        Poll::Pending
    }
}

impl Chunks for EventStream {
    fn poll_chunks(&mut self, cx: &mut Context<'_>, chunks: &mut Vec<Bytes>) -> Poll<bool> {
        if !std::mem::replace(&mut self.begun, true) {
            chunks.push(self.preamble());
        }
        let events = self.poll_events(cx, chunks);
        self.quiet &= chunks.is_empty();
        if events.is_pending()
            && let Poll::Ready(comment) = self.poll_keep_alive(cx)
        {
            self.quiet = false;
            chunks.push(comment);
            return Poll::Ready(true);
        }
        events
    }
}

thread_local! {
    /// Events on their way from the hub.
    static BATCH: Cell<Batch> = const { Cell::new(Batch::EMPTY) };
}

/// The event as every subscriber gets it; made by the first who needs it.
fn encoded(event: &Event, hub: &Hub, framing_bytes: usize) -> Bytes {
    let encoded =
        || counted(encode(event, &hub.behind(event).to_string(), framing_bytes).into(), hub.stats());
    event.sse.get_or_init(encoded).clone()
}

fn encode(event: &Event, id: &str, framing_bytes: usize) -> Bytes {
    let mut out = Vec::with_capacity(framing_bytes + event.payload.len() * 4 / 3 + id.len() + 64);
    push_padding(&mut out, framing_bytes);
    // A stream of lines cannot tell a carriage return from a line feed.
    let as_base64 = event.binary || event.payload.contains(&b'\r');
    let kind = if as_base64 { "base64" } else { "message" };
    out.extend_from_slice(format!("id: {id}\nevent: {kind}\n").as_bytes());
    if as_base64 {
        push_line(&mut out, BASE64.encode(&event.payload).as_bytes());
    } else {
        event.payload.split(|&byte| byte == b'\n').for_each(|line| push_line(&mut out, line));
    }
    out.push(b'\n');
    chunk(&out)
}

fn push_line(out: &mut Vec<u8>, line: &[u8]) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(line);
    out.push(b'\n');
}

/// By fault, exactly this many bytes that mean nothing: an empty line, or a comment.
fn push_padding(out: &mut Vec<u8>, framing_bytes: usize) {
    if framing_bytes >= 2 {
        out.push(b':');
        out.resize(out.len() + framing_bytes - 2, b'.');
    }
    if framing_bytes >= 1 {
        out.push(b'\n');
    }
}
