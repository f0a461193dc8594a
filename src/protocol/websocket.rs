//! WebSocket (RFC 6455), over `tokio-tungstenite`.
//!
//! The handshake is our own, because the crate's costs 7 KB per connection that it does not give back; the
//! frames are the crate's.

use std::future::Future;
use std::io::ErrorKind::UnexpectedEof;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::{Sink, Stream as _};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Utf8Bytes};

use super::contract;
use super::{Client, Failure, Inbox, Kind, Message, Phase, Protocol, Seat, Step, Traits};
use crate::transport::http::{Answer, Connection, Head, Progress, Request, Template, common_fields};
use crate::transport::stream::{Dialer, Stream};

/// Allocated by every connection at once, so small; longer messages make it grow.
const READ_BUFFER_BYTES: usize = 1024;

/// Longest message in either direction.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Most messages taken in one call, so that a flooded client leaves time to the others.
const MAX_MESSAGES_PER_CALL: usize = 64;

/// Close code where the peer gave none (RFC 6455, section 7.1.5).
const NO_CLOSE_CODE: u16 = 1005;

/// One connection for both directions; it does not come back by itself.
pub(super) const WEBSOCKET: Protocol = Protocol {
    name: "websocket",
    title: "WebSocket",
    about: "one upgraded connection, messages in both directions",
    traits: Traits {
        polls: false,
        resumes: false,
        reconnects: false,
        binary: true,
        peer_to_peer: false,
        in_band: true,
    },
    open: |seat| Box::new(WebSocketClient::open(&seat)),
};

struct WebSocketClient {
    dialer: Dialer,
    /// The upgrade request; the part that changes is its key.
    request: Template,
    /// Where the keys of the handshakes come from.
    seed: u64,
    state: State,
    /// The message that `poll_send` was called with is on its way.
    sending: bool,
}

enum State {
    Offline,
    Upgrading(Box<Upgrade>),
    Open(Box<WebSocketStream<Stream>>),
    /// We have said close.
    Closing(Box<WebSocketStream<Stream>>),
    /// Both have said close; what is left is the end of the connection.
    Ending(Box<WebSocketStream<Stream>>),
}

struct Upgrade {
    connection: Connection,
    answer: UpgradeAnswer,
}

impl WebSocketClient {
    fn open(seat: &Seat) -> WebSocketClient {
        let before = format!(
            "GET {}{}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
            contract::websocket_path(seat),
            common_fields(&seat.target)
        );
        WebSocketClient {
            dialer: Dialer::receiving(seat),
            request: Template::new(&before, "\r\n\r\n"),
            seed: seat.seed,
            state: State::Offline,
            sending: false,
        }
    }

    fn dial(&mut self) -> Result<Box<Upgrade>, Failure> {
        let mut nonce = [0; 16];
        Pcg64Mcg::seed_from_u64(self.seed).fill_bytes(&mut nonce);
        self.seed = self.seed.wrapping_add(1);
        let key = BASE64_STANDARD.encode(nonce);
        self.request.fill(&[&key]);
        let answer = UpgradeAnswer { accept: derive_accept_key(key.as_bytes()) };
        Ok(Box::new(Upgrade { connection: Connection::dial(&self.dialer)?, answer }))
    }

    fn poll_upgrade(
        &mut self,
        cx: &mut Context<'_>,
        mut upgrade: Box<Upgrade>,
    ) -> Poll<Result<Step, Failure>> {
        let request = Request { head: self.request.bytes(), body: &[], phase: Phase::Subscribe };
        loop {
            match upgrade.connection.poll_step(cx, &request, &mut upgrade.answer) {
                Poll::Pending => {
                    self.state = State::Upgrading(upgrade);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(Progress::Partial)) => {}
                Poll::Ready(Ok(Progress::Complete)) => {
                    let (stream, read) = upgrade.connection.into_upgraded();
                    self.state = State::Open(Box::new(ready!(frames(cx, stream, read))));
                    self.sending = false;
                    return Poll::Ready(Ok(Step::Ready));
                }
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
            }
        }
    }
}

/// Speaks frames over a stream that was upgraded, of which something may have been read.
fn frames(cx: &mut Context<'_>, stream: Stream, read: Vec<u8>) -> Poll<WebSocketStream<Stream>> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_MESSAGE_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    // Ready at its first poll: async in form only.
    pin!(WebSocketStream::from_partially_read(stream, read, Role::Client, Some(config))).poll(cx)
}

/// Takes messages until there are none, or enough.
fn poll_messages(
    cx: &mut Context<'_>,
    socket: &mut WebSocketStream<Stream>,
    inbox: &mut dyn Inbox,
) -> Poll<Result<Step, Failure>> {
    for taken in 0..MAX_MESSAGES_PER_CALL {
        match Pin::new(&mut *socket).poll_next(cx) {
            Poll::Pending if taken == 0 => return Poll::Pending,
            Poll::Pending => break,
            Poll::Ready(Some(Ok(message))) => take(message, inbox).inspect_err(|_| reply(cx, socket))?,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(failure(Phase::Receive, &error))),
            Poll::Ready(None) => return Poll::Ready(Err(ended(Phase::Receive))),
        }
    }
    Poll::Ready(Ok(Step::Received))
}

fn take(message: tungstenite::Message, inbox: &mut dyn Inbox) -> Result<(), Failure> {
    match message {
        tungstenite::Message::Binary(payload) => inbox.push(&payload),
        tungstenite::Message::Text(text) => contract::take_text(text.as_bytes(), inbox)?,
        tungstenite::Message::Close(frame) => {
            let (code, reason) =
                frame.map_or((NO_CLOSE_CODE, String::new()), |f| (f.code.into(), f.reason.to_string()));
            return Err(Failure::new(Phase::Receive, Kind::CloseCode(code), reason));
        }
        // The crate answers pings, and a pong or half a frame is nothing to us.
        tungstenite::Message::Ping(_) | tungstenite::Message::Pong(_) | tungstenite::Message::Frame(_) => {}
    }
    Ok(())
}

/// Sends what the crate has ready (the answer to a close), if it can be sent at once: the connection is over either way.
fn reply(cx: &mut Context<'_>, socket: &mut WebSocketStream<Stream>) {
    let _ = Pin::new(socket).poll_flush(cx);
}

/// Takes `message` once, then sees it out to the operating system.
fn poll_message(
    cx: &mut Context<'_>,
    mut socket: Pin<&mut WebSocketStream<Stream>>,
    sending: &mut bool,
    message: Message<'_>,
) -> Poll<Result<(), tungstenite::Error>> {
    if !*sending {
        ready!(socket.as_mut().poll_ready(cx))?;
        let payload = Bytes::copy_from_slice(message.payload);
        let message = if message.binary {
            tungstenite::Message::Binary(payload)
        } else {
            tungstenite::Message::Text(Utf8Bytes::try_from(payload)?)
        };
        socket.as_mut().start_send(message)?;
        *sending = true;
    }
    ready!(socket.poll_flush(cx))?;
    *sending = false;
    Poll::Ready(Ok(()))
}

impl Client for WebSocketClient {
    fn poll_recv(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        match std::mem::replace(&mut self.state, State::Offline) {
            State::Offline => {
                let upgrade = self.dial()?;
                self.poll_upgrade(cx, upgrade)
            }
            State::Upgrading(upgrade) => self.poll_upgrade(cx, upgrade),
            State::Open(mut socket) => {
                let step = poll_messages(cx, &mut socket, inbox);
                // A failure takes the connection with it.
                if !matches!(step, Poll::Ready(Err(_))) {
                    self.state = State::Open(socket);
                }
                step
            }
            State::Closing(_) | State::Ending(_) => Poll::Ready(Err(ended(Phase::Receive))),
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: Message<'_>) -> Poll<Result<(), Failure>> {
        let State::Open(socket) = &mut self.state else { return Poll::Ready(Err(ended(Phase::Send))) };
        let sent = ready!(poll_message(cx, Pin::new(&mut **socket), &mut self.sending, message));
        Poll::Ready(sent.map_err(|error| {
            self.state = State::Offline;
            failure(Phase::Send, &error)
        }))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            match std::mem::replace(&mut self.state, State::Offline) {
                State::Offline => return Poll::Ready(Ok(())),
                State::Upgrading(mut upgrade) => {
                    let ended = upgrade.connection.poll_end(cx, Phase::Close);
                    if ended.is_pending() {
                        self.state = State::Upgrading(upgrade);
                    }
                    return ended;
                }
                State::Open(mut socket) => {
                    // Queues the close frame; reading goes on to send it and waits for the answer.
                    if let Poll::Ready(Err(error)) = Pin::new(&mut *socket).poll_close(cx) {
                        return Poll::Ready(Err(failure(Phase::Close, &error)));
                    }
                    self.state = State::Closing(socket);
                }
                State::Closing(mut socket) => {
                    // Reading tells it too if writing fails.
                    let _ = Pin::new(&mut *socket).poll_flush(cx);
                    match Pin::new(&mut *socket).poll_next(cx) {
                        Poll::Pending => {
                            self.state = State::Closing(socket);
                            return Poll::Pending;
                        }
                        // What was on its way before the server's close.
                        Poll::Ready(Some(Ok(_))) => self.state = State::Closing(socket),
                        Poll::Ready(None) => self.state = State::Ending(socket),
                        // Many a server says good-bye in WebSocket's words and not in those of TLS.
                        Poll::Ready(Some(Err(tungstenite::Error::Io(e)))) if e.kind() == UnexpectedEof => {
                            self.state = State::Ending(socket);
                        }
                        Poll::Ready(Some(Err(error))) => {
                            return Poll::Ready(Err(failure(Phase::Close, &error)));
                        }
                    }
                }
                State::Ending(mut socket) => {
                    // That the server broke off is an end too, as both have said close.
                    let ended = socket.get_mut().poll_end(cx);
                    if ended.is_pending() {
                        self.state = State::Ending(socket);
                    }
                    return ended.map(|_| Ok(()));
                }
            }
        }
    }
}

fn ended(phase: Phase) -> Failure {
    Failure::new(phase, Kind::Eof, "there is no connection")
}

fn failure(phase: Phase, error: &tungstenite::Error) -> Failure {
    use tungstenite::Error;
    match error {
        Error::Io(e) => Failure::io(phase, e),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | Error::ConnectionClosed
        | Error::AlreadyClosed => Failure::new(phase, Kind::Eof, error.to_string()),
        _ => Failure::protocol(phase, error.to_string()),
    }
}

/// The answer to the upgrade request (RFC 6455, section 4.1).
struct UpgradeAnswer {
    accept: String,
}

impl Answer for UpgradeAnswer {
    fn head(&mut self, head: &Head<'_>) -> Result<(), Failure> {
        if head.status != 101 {
            return Err(head.refusal(Phase::Subscribe));
        }
        let bad =
            |what: &str| Err(Failure::protocol(Phase::Subscribe, format!("the upgrade's answer has {what}")));
        if !head.has_token("upgrade", "websocket") || !head.has_token("connection", "upgrade") {
            return bad("no upgrade to WebSocket");
        }
        if head.field("sec-websocket-accept") != Some(&self.accept) {
            return bad("a wrong Sec-WebSocket-Accept");
        }
        if head.field("sec-websocket-extensions").is_some() || head.field("sec-websocket-protocol").is_some()
        {
            return bad("an extension or a subprotocol that was not asked for");
        }
        Ok(())
    }

    fn body(&mut self, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}
