//! Server-sent events: one answer that never ends.
//! The format is that of the HTML standard, section 9.2 (Server-sent events).

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::Frame;
use tokio::time::{Instant, Sleep};

use super::{Id, Routes, Start};
use crate::app::{App, Rejection};
use crate::connection::{Connection, Order};
use crate::hub::{Event, Hub, Subscription};
use crate::request::{self, Accepts, BadRequest, Subscribe};

/// Events taken from the hub in one go.
const BATCH_EVENTS: usize = 32;

/// Longest time between two comments; the clock cannot count to any number.
const MAX_KEEP_ALIVE: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn mount(routes: Routes, _: &mut Start<'_>) -> io::Result<Routes> {
    Ok(routes.route("/sse", get(sse)))
}

async fn sse(
    State(app): State<Arc<App>>,
    Extension(connection): Extension<Arc<Connection>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let mut request = Subscribe::parse(&query.unwrap_or_default(), Accepts::Stream)?;
    if let Some(id) = headers.get("last-event-id") {
        let id = id.to_str().map_err(|_| BadRequest::Cursor(crate::hub::BadCursor))?;
        request.after = Some(request::cursor(id)?);
    }
    app.stats.requests.of(Id::Sse).add(1);
    let subscription = app.hub.subscribe(&request.topics, request.after);
    connection.subscribe(Id::Sse);
    connection.watch(subscription.signal());
    let mut response = Response::new(Body::new(EventStream::new(app, connection, subscription)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The body of the answer. Each frame becomes one chunk.
struct EventStream {
    app: Arc<App>,
    connection: Arc<Connection>,
    subscription: Subscription,
    begun: bool,
    /// Taken, and still to be written.
    events: std::vec::IntoIter<Arc<Event>>,
    keep_alive: Pin<Box<Sleep>>,
    /// Nothing was sent since the timer was set.
    quiet: bool,
}

impl EventStream {
    fn new(app: Arc<App>, connection: Arc<Connection>, subscription: Subscription) -> EventStream {
        EventStream {
            keep_alive: Box::pin(tokio::time::sleep(app.config.keep_alive)),
            app,
            connection,
            subscription,
            begun: false,
            events: Vec::new().into_iter(),
            quiet: true,
        }
    }

    fn preamble(&self) -> Bytes {
        let retry_ms = self.app.config.retry.as_millis();
        format!("retry: {retry_ms}\nid: {}\n\n", self.subscription.cursor()).into()
    }

    /// What to write next; `None` ends the stream.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !std::mem::replace(&mut self.begun, true) {
            return Poll::Ready(Some(self.preamble()));
        }
        loop {
            if let Some(event) = self.events.next() {
                return Poll::Ready(Some(encoded(
                    &event,
                    &self.app.hub,
                    self.app.config.faults.framing_bytes,
                )));
            }
            // The connection's task registered itself; it also sees to those who are too slow.
            if self.connection.current() > Order::Serve {
                return Poll::Ready(None);
            }
            let Poll::Ready(taken) = self.subscription.poll_take(cx, BATCH_EVENTS) else { break };
            let Ok(batch) = taken else { return Poll::Ready(None) };
            self.app.delivering(&batch);
            self.events = batch.events.into_iter();
            if batch.missed > 0 {
                return Poll::Ready(Some(format!("event: missed\ndata: {}\n\n", batch.missed).into()));
            }
        }
        self.poll_keep_alive(cx).map(Some)
    }

    /// A comment whenever a whole period passed without anything else. The timer is not set anew for each event:
    /// that would cost more than the event.
    fn poll_keep_alive(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        while self.keep_alive.as_mut().poll(cx).is_ready() {
            let period = self.app.config.keep_alive.clamp(Duration::from_millis(1), MAX_KEEP_ALIVE);
            self.keep_alive.as_mut().reset(Instant::now() + period);
            if std::mem::replace(&mut self.quiet, true) {
                return Poll::Ready(Bytes::from_static(b":\n"));
            }
        }
        Poll::Pending
    }
}

impl http_body::Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        this.poll_chunk(cx).map(|chunk| {
            this.quiet = false;
            chunk.map(|bytes| Ok(Frame::data(bytes)))
        })
    }
}

/// The event as every subscriber gets it; made by the first who needs it.
fn encoded(event: &Event, hub: &Hub, framing_bytes: usize) -> Bytes {
    event.sse.get_or_init(|| encode(event, &hub.behind(event).to_string(), framing_bytes)).clone()
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
    out.into()
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
