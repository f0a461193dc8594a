//! HTTP/1.1 as the clients of a load test speak it: plain requests for few paths, from very many connections that are
//! idle most of the time. What is not that is handed over to hyper for good, with the bytes already read.
//!
//! ```text
//! Wire -> head (parse) -> handler of a protocol -> reply (encode) -> Wire
//!              \-> hand_over: hyper -> routes -> the same handlers, and all other paths
//! ```

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::AsyncWrite;

use crate::app::{Refusal, Rejection};
use crate::connection::{Connection, Order};
use crate::protocol::{self, Protocol};
use crate::turn::{DEAR, QUERY_BYTE, REQUEST};
use crate::wire::{Wire, with_input};

mod hand_over;
mod head;
mod reply;
mod routes;

pub(crate) use head::lists;
pub(crate) use reply::{Ask, Boxed, Chunks, Fields, Full, Handler, Post, Reply, Upgrade, chunk};

use head::{MAX_HEAD_BYTES, MAX_HEADERS, Request, Strange};
use reply::{Framing, LAST_CHUNK, push_head};

/// A body of this size or less is copied behind its head, so that both are one piece.
const SMALL_BODY_BYTES: usize = 16 * 1024;

thread_local! {
    /// Answers on their way out.
    static OUTPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Chunks on their way out.
    static CHUNKS: Cell<Vec<Bytes>> = const { Cell::new(Vec::new()) };
}

/// Serves one connection to its end.
pub(crate) enum Front {
    Http(Http),
    /// Hyper, or an upgraded protocol.
    Other(Arc<Connection>, Boxed<()>),
    Over,
}

impl Front {
    /// Begins with HTTP.
    pub(crate) fn new(wire: Wire) -> Front {
        Front::Http(Http { wire, phase: Phase::Idle, last: false, paid: false })
    }
}

impl Future for Front {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let connection = match &*self {
                Front::Http(http) => http.wire.connection(),
                Front::Other(connection, _) => connection,
                Front::Over => return Poll::Ready(()),
            };
            // For everything below, which only asks what the order is.
            connection.order(cx);
            if connection.waits() {
                return Poll::Pending;
            }
            connection.turn().runs();
            let end = match &mut *self {
                Front::Http(http) => {
                    let polled = http.poll(cx);
                    http.count_held();
                    ready!(polled)
                }
                Front::Other(_, other) => return other.as_mut().poll(cx),
                Front::Over => return Poll::Ready(()),
            };
            let Front::Http(Http { wire, .. }) = std::mem::replace(&mut *self, Front::Over) else {
                continue;
            };
            let connection = wire.connection().clone();
            *self = match end {
                End::Closed => Front::Over,
                End::Strange => Front::Other(connection, Box::pin(hand_over::serve(wire))),
                End::Upgraded(upgrade) => Front::Other(connection, upgrade(wire)),
            };
        }
    }
}

/// A connection that speaks HTTP.
pub(crate) struct Http {
    wire: Wire,
    phase: Phase,
    /// The connection ends with the answer that is being given.
    last: bool,
    /// The next request was paid for.
    paid: bool,
}

enum Phase {
    /// Between two requests, or in the middle of one.
    Idle,
    Held(Boxed<Full>),
    Streaming(Box<dyn Chunks>),
}

/// How HTTP ends.
enum End {
    Closed,
    /// By a request that the front cannot serve.
    Strange,
    Upgraded(Upgrade),
}

impl Http {
    /// Counts what waits here: input that was not looked at yet, and an answer. The events of a stream are the hub's.
    fn count_held(&self) {
        let unsent = self.wire.unsent_bytes();
        let (own, events) = if matches!(self.phase, Phase::Streaming(_)) { (0, unsent) } else { (unsent, 0) };
        self.wire.connection().holds(own + self.wire.unread.len(), events);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let order = self.wire.connection().current();
            if order == Order::Cut || self.wire.connection().is_too_slow(cx) {
                return Poll::Ready(End::Closed);
            }
            // An error here or below means that the client is gone.
            let Ok(()) = ready!(self.wire.poll_drain(cx)) else { return Poll::Ready(End::Closed) };
            match &mut self.phase {
                Phase::Idle if self.last || order == Order::Stop => {
                    return Pin::new(&mut self.wire).poll_shutdown(cx).map(|_| End::Closed);
                }
                Phase::Idle => {
                    if let Some(end) = ready!(self.poll_request(cx)).unwrap_or(Some(End::Closed)) {
                        return Poll::Ready(end);
                    }
                }
                Phase::Held(held) => {
                    let Poll::Ready(full) = held.as_mut().poll(cx) else {
                        return self.poll_gone(cx).map(|()| End::Closed);
                    };
                    self.phase = Phase::Idle;
                    if self.send_full(cx, full).is_err() {
                        return Poll::Ready(End::Closed);
                    }
                }
                Phase::Streaming(_) => match self.send_chunks(cx, None) {
                    Ok(Poll::Ready(())) => {}
                    Ok(Poll::Pending) => return self.poll_gone(cx).map(|()| End::Closed),
                    Err(_) => return Poll::Ready(End::Closed),
                },
            }
        }
    }

    /// Sends what there is of a body that streams, behind the head of the answer if that is given.
    fn send_chunks(&mut self, cx: &mut Context<'_>, head: Option<Bytes>) -> io::Result<Poll<()>> {
        let Phase::Streaming(chunks) = &mut self.phase else { return Ok(Poll::Ready(())) };
        let mut out = CHUNKS.take();
        out.extend(head);
        let goes_on = chunks.poll_chunks(cx, &mut out);
        if goes_on == Poll::Ready(false) {
            (self.phase, self.last) = (Phase::Idle, true);
            out.push(Bytes::from_static(LAST_CHUNK));
        }
        let sent = self.wire.send_shared(cx, &mut out);
        CHUNKS.set(out);
        sent?;
        // What could not be written must be waited for.
        let drained = self.wire.poll_drain(cx)?;
        Ok(if drained.is_pending() { Poll::Ready(()) } else { goes_on.map(|_| ()) })
    }

    /// Answers the next request, once it is there.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<End>>> {
        // Many requests in one piece are many turns.
        if !self.wire.connection().may_go_on() {
            return Poll::Pending;
        }
        with_input(|input| {
            let mut filled = self.wire.unread.len();
            input[..filled].copy_from_slice(&self.wire.unread);
            loop {
                if filled > 0 {
                    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
                    match Request::parse(&input[..filled], &mut headers) {
                        Ok(Some(request)) => return Poll::Ready(self.answer(cx, &request, &input[..filled])),
                        Ok(None) => {}
                        Err(Strange::TooLarge) => {
                            (self.wire.unread, self.last) = (Bytes::new(), true);
                            let refused = Rejection::from(Refusal::TooBig).into();
                            return Poll::Ready(self.send_full(cx, refused).map(|()| None));
                        }
                        Err(Strange::Other) => {
                            self.wire.unread = Bytes::copy_from_slice(&input[..filled]);
                            return Poll::Ready(Ok(Some(End::Strange)));
                        }
                    }
                }
                match self.wire.poll_input(cx, &mut input[filled..])? {
                    Poll::Ready(0) => return Poll::Ready(Ok(Some(End::Closed))),
                    Poll::Ready(bytes) => filled += bytes,
                    Poll::Pending => {
                        if filled > self.wire.unread.len() {
                            // Some of it was copied twice for the few bytes that came.
                            self.wire.connection().turn().spend(filled);
                            self.wire.unread = Bytes::copy_from_slice(&input[..filled]);
                        }
                        return Poll::Pending;
                    }
                }
            }
        })
    }

    /// Answers a request, the first in `input`.
    fn answer(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request<'_>,
        input: &[u8],
    ) -> io::Result<Option<End>> {
        let connection = self.wire.connection();
        if !std::mem::take(&mut self.paid) {
            let price = REQUEST + QUERY_BYTE * request.query.len();
            connection.turn().spend(price);
            if price > DEAR && !connection.may_go_on() {
                self.wire.unread = Bytes::copy_from_slice(input);
                self.paid = true;
                return Ok(None);
            }
        }
        let app = connection.app();
        let handler = match request.method {
            "GET" if request.body.is_empty() => protocol::ALL.iter().find_map(|protocol| match protocol {
                Protocol::Get(path, handler) if *path == request.path => Some(handler),
                _ => None,
            }),
            _ => None,
        };
        let reply = if let Some(handler) = handler {
            let Request { query, headers, .. } = *request;
            handler(&Ask { app, connection, query, headers })
        } else if let Some(topic) = published_to(request) {
            let kind = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-type"));
            let kind = kind.map_or(&b""[..], |header| header.value);
            app.publish_request(topic, kind, request.body)
                .map(|()| acknowledged(app.config.faults.answer_delay))
        } else {
            self.wire.unread = Bytes::copy_from_slice(input);
            return Ok(Some(End::Strange));
        };
        self.wire.unread = Bytes::copy_from_slice(&input[request.bytes..]);
        self.last |= request.close;
        self.reply(cx, reply.unwrap_or_else(|rejection| Reply::Full(rejection.into())))
    }

    fn reply(&mut self, cx: &mut Context<'_>, reply: Reply) -> io::Result<Option<End>> {
        match reply {
            Reply::Full(full) => self.send_full(cx, full)?,
            Reply::Held(held) => self.phase = Phase::Held(held),
            Reply::Stream(fields, chunks) => {
                let mut head = Vec::new();
                push_head(&mut head, StatusCode::OK, &fields, Framing::Chunked, self.last);
                self.phase = Phase::Streaming(chunks);
                // Whether there is more will be asked again.
                let _ = self.send_chunks(cx, Some(head.into()))?;
            }
            Reply::Upgrade(fields, upgrade) => {
                self.send_head(cx, StatusCode::SWITCHING_PROTOCOLS, &fields, Framing::None, &[])?;
                return Ok(Some(End::Upgraded(upgrade)));
            }
        }
        Ok(None)
    }

    fn send_full(&mut self, cx: &mut Context<'_>, Full { status, fields, body }: Full) -> io::Result<()> {
        self.last |= self.wire.connection().current() != Order::Serve;
        let framing = match status {
            StatusCode::NO_CONTENT => Framing::None,
            _ => Framing::Length(body.len()),
        };
        if body.len() <= SMALL_BODY_BYTES {
            return self.send_head(cx, status, &fields, framing, &body);
        }
        self.send_head(cx, status, &fields, framing, &[])?;
        self.wire.send_shared(cx, &mut vec![body])
    }

    /// Sends a head and what comes directly behind it.
    fn send_head(
        &mut self,
        cx: &mut Context<'_>,
        status: StatusCode,
        fields: &Fields,
        framing: Framing,
        body: &[u8],
    ) -> io::Result<()> {
        let mut out = OUTPUT.take();
        out.clear();
        push_head(&mut out, status, fields, framing, self.last);
        out.extend_from_slice(body);
        let sent = self.wire.send(cx, &out);
        OUTPUT.set(out);
        sent
    }

    /// Ready when the client is gone, while there is nothing to tell it. What it sends meanwhile is for later.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let kept = self.wire.unread.len();
            if kept >= MAX_HEAD_BYTES {
                return Poll::Pending;
            }
            let gone = with_input(|input| match ready!(self.wire.poll_input(cx, &mut input[kept..])) {
                Ok(0) | Err(_) => Poll::Ready(true),
                Ok(bytes) => {
                    input[..kept].copy_from_slice(&self.wire.unread);
                    self.wire.unread = Bytes::copy_from_slice(&input[..kept + bytes]);
                    Poll::Ready(false)
                }
            });
            if ready!(gone) {
                return Poll::Ready(());
            }
        }
    }
}

/// The answer to a publish, by fault a late one.
fn acknowledged(delay: Duration) -> Reply {
    let answer = Full::empty(StatusCode::NO_CONTENT);
    if delay.is_zero() {
        return Reply::Full(answer);
    }
    Reply::Held(Box::pin(async move {
        tokio::time::sleep(delay).await;
        answer
    }))
}

/// The topic that a request publishes to, if it is spelled plainly: anything else has its errors from the routes.
fn published_to<'a>(request: &Request<'a>) -> Option<&'a str> {
    let topic = request.path.strip_prefix("/topics/")?;
    let plain = request.method == "POST"
        && request.query.is_empty()
        && !topic.is_empty()
        && !topic.contains(['/', '%']);
    plain.then_some(topic)
}
