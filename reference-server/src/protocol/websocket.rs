//! WebSocket (RFC 6455): the upgrade, and one task that reads and writes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream::FusedStream;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use super::channel::{Conversation, Outgoing};
use super::{Id, Routes, Start};
use crate::app::{App, Rejection};
use crate::connection::{Connection, Order};
use crate::fault;
use crate::request::{Accepts, BadRequest, Subscribe};

/// Read buffer of a connection. It is allocated at once and filled with zeros at every read: larger costs
/// memory for each idle client, smaller costs reads for messages that do not fit.
const READ_BUFFER_BYTES: usize = 2048;

/// Written messages that may wait for a peer's window, beyond the largest message.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Rounds of reading and writing in one turn, before other connections get theirs.
const ROUNDS: usize = 16;

/// How long a peer has to answer a close frame.
const CLOSE_PATIENCE: Duration = Duration::from_millis(500);

pub(super) fn mount(routes: Routes, _: &mut Start<'_>) -> io::Result<Routes> {
    Ok(routes.route("/ws", get(upgrade)))
}

async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(connection): Extension<Arc<Connection>>,
    RawQuery(query): RawQuery,
    mut request: Request,
) -> Result<Response, Rejection> {
    let accept = accept_key(request.headers())?;
    let subscribe = Subscribe::parse(&query.unwrap_or_default(), Accepts::Channel)?;
    app.stats.requests.of(Id::WebSocket).add(1);
    connection.subscribe(Id::WebSocket);
    let conversation = Conversation::new(&app, subscribe);
    tokio::spawn(serve(app, connection, conversation, hyper::upgrade::on(&mut request)));
    let headers = [
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// Checks the client's half of the handshake (RFC 6455, section 4.2.1) and gives the answer to its key.
fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, BadRequest> {
    let lists = |name, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
    };
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let version_13 = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    match key {
        Some(key)
            if version_13 && lists(header::CONNECTION, "upgrade") && lists(header::UPGRADE, "websocket") =>
        {
            HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(|_| BadRequest::Upgrade)
        }
        _ => Err(BadRequest::Upgrade),
    }
}

async fn serve(app: Arc<App>, connection: Arc<Connection>, conversation: Conversation, upgrade: OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let limit = app.config.max_payload_bytes;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(limit + WRITE_BUFFER_BYTES)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit));
    let stream = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let framing_bytes = app.config.faults.framing_bytes;
    let mut socket =
        Socket { stream, connection, conversation, outbox: Vec::new().into_iter(), sent: 0, framing_bytes };
    let end = std::future::poll_fn(|cx| socket.poll(cx)).await;
    // Whatever the peer does or does not do with it, it has had its time.
    let _ = tokio::time::timeout(CLOSE_PATIENCE, socket.end(end)).await;
}

/// How a connection ends.
enum End {
    /// At once: it is gone, or it is cut.
    Drop,
    /// The peer sent a close frame, and the library answers it.
    Answer,
    /// With a close frame.
    Close(CloseFrame),
}

fn close_with(code: u16, reason: &'static str) -> End {
    End::Close(CloseFrame { code: CloseCode::from(code), reason: reason.into() })
}

struct Socket {
    stream: WebSocketStream<TokioIo<Upgraded>>,
    connection: Arc<Connection>,
    conversation: Conversation,
    /// Taken from the conversation, and still to be written.
    outbox: std::vec::IntoIter<Outgoing>,
    /// Messages written.
    sent: u64,
    framing_bytes: usize,
}

impl Socket {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.connection.order(cx) {
            Order::Serve => {}
            Order::Stop => return Poll::Ready(close_with(1001, "the server stops")),
            Order::Cut => return Poll::Ready(End::Drop),
        }
        for _ in 0..ROUNDS {
            let written = self.poll_write(cx);
            if let Poll::Ready(Err(end)) = written {
                return Poll::Ready(end);
            }
            let read = self.poll_read(cx);
            if let Poll::Ready(Err(end)) = read {
                return Poll::Ready(end);
            }
            if written.is_pending() && read.is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes one message from the client. Never waits for anything to be written, so that two ends that both send
    /// much cannot wait for each other.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let refused = match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
            Some(Ok(Message::Text(text))) => self.conversation.incoming(text.into(), false),
            Some(Ok(Message::Binary(bytes))) => self.conversation.incoming(bytes, true),
            Some(Ok(Message::Close(_))) => return Poll::Ready(Err(End::Answer)),
            // Pings are answered by the library.
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => return Poll::Ready(Err(end_of(&error))),
            None => return Poll::Ready(Err(End::Drop)),
        };
        Poll::Ready(refused.map_err(|refusal| close_with(refusal.close_code(), refusal.reason())))
    }

    /// Writes one batch, taken if none is left over.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if self.outbox.len() == 0 {
            let mut batch = Vec::new();
            match self.conversation.poll_outgoing(cx, &mut batch) {
                Poll::Ready(Ok(())) => self.outbox = batch.into_iter(),
                Poll::Ready(Err(slow)) => return Poll::Ready(Err(too_slow(slow))),
                Poll::Pending => return self.poll_flush(cx),
            }
        }
        while self.outbox.len() > 0 {
            if Pin::new(&mut self.stream).poll_ready(cx).map_err(|error| end_of(&error))?.is_pending() {
                return self.conversation.poll_too_slow(cx).map(|slow| Err(too_slow(slow)));
            }
            if let Some(message) = self.outbox.next() {
                self.send(message).map_err(|error| end_of(&error))?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(end_of(&error))),
            // There is nothing left to do until the hub, the peer or an order wakes the task.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }

    fn send(&mut self, message: Outgoing) -> Result<(), Error> {
        let mut stream = Pin::new(&mut self.stream);
        for _ in 0..fault::pongs_before(self.sent, self.framing_bytes) {
            stream.as_mut().start_send(Message::Frame(Frame::pong(Bytes::new())))?;
        }
        self.sent += 1;
        let kind = if message.binary { Data::Binary } else { Data::Text };
        // A frame of our own making: text was checked when it came in, and need not be checked for each subscriber.
        stream.start_send(Message::Frame(Frame::message(message.payload, OpCode::Data(kind), true)))
    }

    /// Sends what is left to send, and waits for the peer's half of the closing handshake.
    async fn end(&mut self, end: End) -> Result<(), Error> {
        match end {
            End::Drop => return Ok(()),
            // The library reports the end of the handshake as an error.
            End::Answer => {
                let _ = self.stream.flush().await;
                return Ok(self.stream.get_mut().shutdown().await?);
            }
            End::Close(frame) => self.stream.close(Some(frame)).await?,
        }
        if !self.stream.is_terminated() {
            while self.stream.next().await.is_some_and(|read| read.is_ok()) {}
            // TLS has a good-bye of its own.
            return Ok(self.stream.get_mut().shutdown().await?);
        }
        // The peer broke the protocol, so what it sends cannot be told apart any more. It is read nevertheless: closing
        // a socket on which something is unread would reset it, and the peer might never read why.
        let raw = self.stream.get_mut();
        raw.shutdown().await?;
        let mut scratch = [0; 512];
        while raw.read(&mut scratch).await? > 0 {}
        Ok(())
    }
}

fn too_slow(_: crate::hub::TooSlow) -> End {
    close_with(1013, "too slow")
}

/// What an error of the library means for the peer.
fn end_of(error: &Error) -> End {
    match error {
        Error::Capacity(_) => close_with(1009, "the message is over the limit"),
        Error::Utf8(_) => close_with(1007, "text is not UTF-8"),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Drop,
        Error::Protocol(_) => close_with(1002, "protocol error"),
        _ => End::Drop,
    }
}
