//! WebSocket (RFC 6455), with the handshake's key, the frames' headers and the close codes of `tungstenite`.
//!
//! Handshake and buffers are our own: the crate's cost 7 KB per connection that they do not give back, and an allocation
//! per message each way.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::contract;
use super::{Client, Failure, Inbox, Kind, Message, Phase, Protocol, Seat, Sent, Step, Target, Traits};
use crate::transport::http::{Answer, Connection, Head, Progress, Request, with_get};
use crate::transport::stream::Dialer;
use socket::Socket;

mod frames;
mod socket;

/// One connection for both directions; it does not come back by itself.
pub(super) const WEBSOCKET: Protocol = Protocol {
    name: "websocket",
    title: "WebSocket",
    about: "one upgraded connection, messages in both directions",
    traits: Traits {
        polls: false,
        exchanges: false,
        resumes: false,
        reconnects: false,
        asks_again: false,
        binary: true,
        peer_to_peer: false,
        in_band: true,
    },
    open: |seat| Box::new(WebSocketClient::open(&seat)),
};

/// What asks for the upgrade, up to the key.
const UPGRADE_FIELDS: &str =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ";

/// Its fields stay in this order: messages need the state alone.
#[repr(C)]
struct WebSocketClient {
    state: State,
    dialer: Dialer,
    target: Rc<Target>,
    path: Box<str>,
    /// Where the keys of the handshakes and the masks of the frames come from.
    seed: u64,
}

enum State {
    Offline,
    Upgrading(Box<Upgrade>),
    Open(Socket),
    /// We have said close.
    Closing(Socket),
    /// Both have said close; what is left is the end of the connection.
    Ending(Socket),
}

/// What is needed until there is an answer, and not behind it.
struct Upgrade {
    connection: Connection,
    key: String,
    answer: UpgradeAnswer,
    random: Pcg64Mcg,
}

impl WebSocketClient {
    fn open(seat: &Seat) -> WebSocketClient {
        WebSocketClient {
            dialer: Dialer::receiving(seat),
            target: seat.target.clone(),
            path: contract::websocket_path(seat).into(),
            seed: seat.seed,
            state: State::Offline,
        }
    }

    fn dial(&mut self) -> Result<Box<Upgrade>, Failure> {
        let mut random = Pcg64Mcg::seed_from_u64(self.seed);
        self.seed = self.seed.wrapping_add(1);
        let mut nonce = [0; 16];
        random.fill_bytes(&mut nonce);
        let key = BASE64_STANDARD.encode(nonce);
        let answer = UpgradeAnswer { accept: derive_accept_key(key.as_bytes()), target: self.target.clone() };
        Ok(Box::new(Upgrade { connection: Connection::dial(&self.dialer)?, key, answer, random }))
    }

    fn poll_upgrade(
        &mut self,
        cx: &mut Context<'_>,
        mut upgrade: Box<Upgrade>,
    ) -> Poll<Result<Step, Failure>> {
        loop {
            let Upgrade { connection, key, answer, .. } = &mut *upgrade;
            let step = with_get(&self.target, &[&self.path], &[UPGRADE_FIELDS, key, "\r\n"], |head| {
                let request = Request { head, body: &[], phase: Phase::Subscribe };
                connection.poll_step(cx, &request, answer)
            });
            match step {
                Poll::Pending => {
                    self.state = State::Upgrading(upgrade);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(Progress::Partial)) => {}
                Poll::Ready(Ok(Progress::Complete)) => {
                    let Upgrade { connection, random, .. } = *upgrade;
                    let (stream, early) = connection.into_upgraded();
                    self.state = State::Open(Socket::new(stream, early, random));
                    return Poll::Ready(Ok(Step::Ready));
                }
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
            }
        }
    }
}

impl Client for WebSocketClient {
    fn poll_recv(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        if let State::Open(socket) = &mut self.state {
            let step = socket.poll_recv(cx, inbox);
            if matches!(step, Poll::Ready(Err(_))) {
                // A failure takes the connection with it.
                self.state = State::Offline;
            }
            return step;
        }
        match std::mem::replace(&mut self.state, State::Offline) {
            State::Offline => {
                let upgrade = self.dial()?;
                self.poll_upgrade(cx, upgrade)
            }
            State::Upgrading(upgrade) => self.poll_upgrade(cx, upgrade),
            State::Open(_) | State::Closing(_) | State::Ending(_) => {
                Poll::Ready(Err(no_connection(Phase::Receive)))
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: Message<'_>) -> Poll<Result<Sent, Failure>> {
        let State::Open(socket) = &mut self.state else { return Poll::Pending };
        let sent = ready!(socket.poll_send(cx, message));
        if sent.is_err() {
            self.state = State::Offline;
        }
        Poll::Ready(sent.map(|()| Sent::Unanswered))
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
                    socket.begin_close();
                    self.state = State::Closing(socket);
                }
                State::Closing(mut socket) => match socket.poll_good_bye(cx) {
                    Poll::Pending => {
                        self.state = State::Closing(socket);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(())) => self.state = State::Ending(socket),
                    Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                },
                State::Ending(mut socket) => {
                    // That the server broke off is an end too, as both have said close.
                    let ended = socket.poll_end(cx);
                    if ended.is_pending() {
                        self.state = State::Ending(socket);
                    }
                    return ended.map(|_| Ok(()));
                }
            }
        }
    }
}

fn no_connection(phase: Phase) -> Failure {
    Failure::new(phase, Kind::Eof, "there is no connection")
}

/// The answer to the upgrade request (RFC 6455, section 4.1).
struct UpgradeAnswer {
    accept: String,
    /// Whose own header fields ask for a subprotocol, if any does.
    target: Rc<Target>,
}

impl Answer for UpgradeAnswer {
    fn head(&mut self, head: &Head<'_>) -> Result<(), Failure> {
        if head.status != 101 {
            return Err(head.refusal(Phase::Subscribe));
        }
        let bad = |what: &str| Err(Failure::protocol(Phase::Subscribe, format!("with {what}")));
        if !head.has_token("upgrade", "websocket") || !head.has_token("connection", "upgrade") {
            return bad("no upgrade to WebSocket");
        }
        if head.field("sec-websocket-accept") != Some(&self.accept) {
            return bad("a wrong Sec-WebSocket-Accept");
        }
        if head.field("sec-websocket-extensions").is_some() {
            return bad("an extension that was not asked for");
        }
        let mut chosen = head.tokens("sec-websocket-protocol");
        match (chosen.next(), chosen.next()) {
            (None, _) => Ok(()),
            // One of those that were asked for.
            (Some(name), None) if self.target.asks_for("sec-websocket-protocol", name) => Ok(()),
            (Some(name), None) => bad(&format!("the subprotocol {name:?}, which was not asked for")),
            (Some(_), Some(_)) => bad("more than one subprotocol"),
        }
    }

    fn body(&mut self, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}
