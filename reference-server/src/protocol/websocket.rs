//! WebSocket (RFC 6455): the upgrade, and one task that reads and writes.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::stream::FusedStream;
use futures_util::{FutureExt, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, FrameHeader};
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use super::Id;
use super::channel::{Conversation, Outgoing};
use crate::app::Rejection;
use crate::connection::Order;
use crate::fault;
use crate::front::{Ask, Boxed, Fields, Reply, lists};
use crate::request::{Accepts, BadRequest, Subscribe};
use crate::turn::MESSAGE;
use crate::wire::Wire;

/// The library's read buffer, which every idle client has. What does not fit is not read from the socket again, since
/// that was emptied into the thread's buffer.
const READ_BUFFER_BYTES: usize = 256;

/// Bytes that may wait for a peer's window before the library's own frames wait, too.
const UNSENT_BYTES: usize = 64 * 1024;

/// Rounds of reading and writing before other connections get their turns.
const ROUNDS: usize = 16;

/// Messages read in one round.
const READ_BATCH: usize = 32;

/// A payload of this size or less is copied behind its header, so that both are one piece.
const SMALL_BYTES: usize = 16 * 1024;

/// How long a peer has to answer a close frame.
const CLOSE_PATIENCE: Duration = Duration::from_millis(500);

pub(super) fn handle(ask: &Ask<'_>) -> Result<Reply, Rejection> {
    let accept = accept_key(ask)?;
    let subscribe = Subscribe::parse(ask.query, Accepts::Channel)?;
    ask.app.stats.requests.of(Id::WebSocket).add(1);
    ask.connection.subscribe(Id::WebSocket)?;
    let conversation = Conversation::new(ask.app, subscribe)?;
    let fields = Fields::default()
        .with("upgrade", "websocket")
        .with("connection", "Upgrade")
        .with("sec-websocket-accept", accept);
    Ok(Reply::Upgrade(fields, Box::new(move |wire| serve(wire, conversation))))
}

/// Checks the client's half of the handshake (RFC 6455, section 4.2.1) and gives the answer to its key.
fn accept_key(ask: &Ask<'_>) -> Result<String, BadRequest> {
    let mentions = |name, token| ask.values(name).any(|value| lists(value, token));
    let one = |name| {
        let mut values = ask.values(name);
        values.next().filter(|_| values.next().is_none())
    };
    // 16 bytes in base64.
    let is_key = |key: &&[u8]| BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    let key = one("sec-websocket-key").filter(is_key);
    let version_13 = one("sec-websocket-version") == Some(b"13");
    match key {
        Some(key) if version_13 && mentions("connection", "upgrade") && mentions("upgrade", "websocket") => {
            Ok(derive_accept_key(key))
        }
        _ => Err(BadRequest::Upgrade),
    }
}

fn serve(wire: Wire, conversation: Conversation) -> Boxed<()> {
    let config = &wire.connection().app().config;
    let framing_bytes = config.faults.framing_bytes;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(UNSENT_BYTES)
        .max_message_size(Some(config.max_payload_bytes))
        .max_frame_size(Some(config.max_payload_bytes));
    let opening = WebSocketStream::from_raw_socket(Line { wire, partial: 0 }, Role::Server, Some(config));
    // Without a handshake there is nothing to wait for, and a future that could wait would hold all of this twice.
    let Some(stream) = opening.now_or_never() else { return Box::pin(std::future::ready(())) };
    let mut socket = Socket { stream, conversation, sent: 0, own_bytes: 0, framing_bytes };
    Box::pin(async move {
        let end = poll_fn(|cx| {
            let polled = socket.poll(cx);
            socket.count_held();
            polled
        })
        .await;
        // Whatever the peer does or does not do with it, it has had its time. Boxed, because only a connection that
        // ends should pay for the timer.
        let _ = Box::pin(tokio::time::timeout(CLOSE_PATIENCE, socket.end(end))).await;
    })
}

/// The stream as the library sees it. What that writes of its own, pongs and close frames, is taken whole or not at
/// all, so that it has nothing left over and frames that all subscribers share can go directly to the wire.
struct Line {
    wire: Wire,
    /// Bytes read since the last whole message, which the library keeps.
    partial: usize,
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.wire).poll_read(cx, buf);
        self.partial += buf.filled().len() - before;
        read
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.wire.is_full(UNSENT_BYTES) {
            ready!(self.wire.poll_drain(cx))?;
        }
        self.wire.send(cx, buf)?;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_drain(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
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
    stream: WebSocketStream<Line>,
    conversation: Conversation,
    /// Messages written.
    sent: u64,
    /// Bytes of echoes and answers among what was sent last.
    own_bytes: usize,
    framing_bytes: usize,
}

impl Socket {
    fn wire(&mut self) -> &mut Wire {
        &mut self.stream.get_mut().wire
    }

    /// Counts what waits here for the peer, or for the rest of its message.
    fn count_held(&self) {
        let Line { wire, partial } = self.stream.get_ref();
        let unread_bytes = wire.unread.len() + partial;
        let unsent_bytes = wire.unsent_bytes();
        // The rest are events, which are the hub's.
        let own_bytes = unsent_bytes.min(self.own_bytes);
        let held_bytes = unread_bytes + self.conversation.held_bytes() + own_bytes;
        wire.connection().holds(held_bytes, unsent_bytes - own_bytes);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.wire().connection().current() {
            Order::Serve => {}
            Order::Stop => return Poll::Ready(close_with(1001, "the server stops")),
            Order::Cut => return Poll::Ready(End::Drop),
        }
        let mut readable = true;
        for _ in 0..ROUNDS {
            let written = self.poll_write(cx);
            if let Poll::Ready(Err(end)) = written {
                return Poll::Ready(end);
            }
            let mut messages = 0;
            while readable
                && messages < READ_BATCH
                && self.conversation.listens()
                && (messages == 0 || self.conversation.has_room())
            {
                match self.poll_read(cx) {
                    Poll::Ready(Ok(())) => messages += 1,
                    Poll::Ready(Err(end)) => return Poll::Ready(end),
                    Poll::Pending => readable = false,
                }
            }
            if written.is_pending() && messages == 0 {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes one message from the client. Never waits for anything to be written, so that two ends that both send
    /// much cannot wait for each other.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if !self.stream.get_ref().wire.connection().may_go_on() {
            return Poll::Pending;
        }
        let message = ready!(Pin::new(&mut self.stream).poll_next(cx));
        let line = self.stream.get_mut();
        line.partial = 0;
        let connection = line.wire.connection();
        let refused = match message {
            Some(Ok(Message::Text(text))) => self.conversation.incoming(connection, text.into(), false),
            Some(Ok(Message::Binary(bytes))) => self.conversation.incoming(connection, bytes, true),
            Some(Ok(Message::Close(_))) => return Poll::Ready(Err(End::Answer)),
            // Pings are answered by the library.
            Some(Ok(_)) => {
                connection.turn().spend(MESSAGE);
                Ok(())
            }
            Some(Err(error)) => return Poll::Ready(Err(end_of(&error))),
            None => return Poll::Ready(Err(End::Drop)),
        };
        Poll::Ready(refused.map_err(|refusal| close_with(refusal.close_code(), refusal.reason())))
    }

    /// Writes one batch, once the one before it is written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        match self.wire().poll_drain(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Err(End::Drop)),
            Poll::Pending => return self.conversation.poll_too_slow(cx).map(|slow| Err(too_slow(slow))),
        }
        let mut batch = BATCH.take();
        let connection = self.stream.get_ref().wire.connection();
        if !connection.may_go_on() {
            BATCH.set(batch);
            return Poll::Pending;
        }
        let taken = self.conversation.poll_outgoing(cx, connection, &mut batch);
        let sent = self.send(cx, &mut batch);
        BATCH.set(batch);
        match taken {
            _ if sent.is_err() => Poll::Ready(Err(End::Drop)),
            Poll::Ready(Err(slow)) => Poll::Ready(Err(too_slow(slow))),
            Poll::Ready(Ok(true)) => Poll::Ready(Ok(())),
            // There is nothing left to do until the hub, the peer or an order wakes the task.
            _ => match self.wire().poll_drain(cx) {
                Poll::Ready(Err(_)) => Poll::Ready(Err(End::Drop)),
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            },
        }
    }

    /// Sends messages, in one write if the peer takes them.
    fn send(&mut self, cx: &mut Context<'_>, messages: &mut Vec<Outgoing>) -> io::Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut frames = FRAMES.take();
        self.own_bytes = 0;
        for message in messages.drain(..) {
            for _ in 0..fault::pongs_before(self.sent, self.framing_bytes) {
                frames.push(Bytes::from_static(EMPTY_PONG));
            }
            self.sent += 1;
            let (payload, binary) = message.message();
            frames.push(match &message {
                Outgoing::Event(event) => {
                    event.websocket.get_or_init(|| frame_start(payload, binary)).clone()
                }
                Outgoing::Reply(_) => {
                    self.own_bytes += payload.len();
                    frame_start(payload, binary)
                }
            });
            if payload.len() > SMALL_BYTES {
                frames.push(payload.clone());
            }
        }
        let sent = self.wire().send_shared(cx, &mut frames);
        FRAMES.set(frames);
        sent
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

thread_local! {
    /// Messages on their way from the hub.
    static BATCH: Cell<Vec<Outgoing>> = const { Cell::new(Vec::new()) };
    /// Frames on their way to a socket.
    static FRAMES: Cell<Vec<Bytes>> = const { Cell::new(Vec::new()) };
}

/// A pong without a payload.
const EMPTY_PONG: &[u8] = &[0x8a, 0];

/// The header of a message as it is sent, and the payload as well if it is small. Text was checked when it came in, and
/// need not be checked again.
fn frame_start(payload: &Bytes, binary: bool) -> Bytes {
    let kind = if binary { Data::Binary } else { Data::Text };
    let header = FrameHeader { opcode: OpCode::Data(kind), ..FrameHeader::default() };
    let small = if payload.len() > SMALL_BYTES { &[][..] } else { payload };
    let bytes = payload.len() as u64;
    let mut start = Vec::with_capacity(header.len(bytes) + small.len());
    if header.format(bytes, &mut start).is_err() {
        unreachable!("a vector takes every write");
    }
    start.extend_from_slice(small);
    start.into()
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
