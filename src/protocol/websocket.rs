//! WebSocket (RFC 6455), with the handshake's key, the frames' headers and the close codes of `tungstenite`.
//!
//! Handshake and buffers are our own: the crate's cost 7 KB per connection that they do not give back, and an allocation
//! per message each way.

use std::task::{Context, Poll, ready};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::dialect::Talk;
use super::{Client, Conversation, Failure, Inbox, Kind, Message, Phase, Protocol, Seat, Sent, Step, Traits};
use crate::transport::http::{Answer, Connection, Encoded, Head, Progress};
use crate::transport::scratch;
use crate::transport::stream::Dialer;
use socket::Socket;

mod frames;
mod socket;

/// One connection for both directions; it does not come back by itself.
pub(super) const WEBSOCKET: Protocol = Protocol {
    name: "websocket",
    title: "WebSocket",
    short_title: "WebSocket",
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
    open,
};

fn open(seat: Seat) -> Box<dyn Client> {
    Box::new(WebSocketClient::new(&seat, seat.converse(&WEBSOCKET)))
}

/// A client on one connection. Its fields stay in this order: messages need no more than the first.
#[repr(C)]
pub struct WebSocketClient {
    state: State,
    talk: Talk,
    dialer: Dialer,
    /// Where the keys of the handshakes and the masks of the frames come from.
    seed: u64,
    leaving: Leaving,
}

enum State {
    Offline,
    Upgrading(Box<Upgrade>),
    Open(Socket),
}

/// How far the end of a connection has come that is open. Not in its state, which would need room for a word more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    Stays,
    /// We have said close.
    Closing,
    /// Both have said close; what is left is the end of the connection.
    Ending,
}

/// What is needed until there is an answer, and not behind it.
struct Upgrade {
    connection: Connection,
    key: String,
    /// What the answer must make of the key.
    accept: String,
    random: Pcg64Mcg,
}

impl WebSocketClient {
    /// A client that has this conversation.
    pub fn new(seat: &Seat, conversation: Box<dyn Conversation>) -> WebSocketClient {
        WebSocketClient {
            state: State::Offline,
            talk: Talk::new(conversation),
            dialer: seat.dialer(),
            seed: seat.seed,
            leaving: Leaving::Stays,
        }
    }

    fn dial(&mut self) -> Result<Box<Upgrade>, Failure> {
        self.talk.begin();
        self.leaving = Leaving::Stays;
        let mut random = Pcg64Mcg::seed_from_u64(self.seed);
        self.seed = self.seed.wrapping_add(1);
        let mut nonce = [0; 16];
        random.fill_bytes(&mut nonce);
        let key = BASE64_STANDARD.encode(nonce);
        let accept = derive_accept_key(key.as_bytes());
        Ok(Box::new(Upgrade { connection: Connection::dial(&self.dialer)?, key, accept, random }))
    }

    fn poll_upgrade(
        &mut self,
        cx: &mut Context<'_>,
        inbox: &mut dyn Inbox,
        mut upgrade: Box<Upgrade>,
    ) -> Poll<Result<Step, Failure>> {
        loop {
            match self.poll_upgrade_step(cx, &mut upgrade) {
                Poll::Pending => {
                    self.state = State::Upgrading(upgrade);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(Progress::Partial)) => {}
                Poll::Ready(Ok(Progress::Complete)) => {
                    let Upgrade { connection, random, .. } = *upgrade;
                    let (stream, early) = connection.into_upgraded();
                    let mut socket = Socket::new(stream, early, random);
                    let step = socket.opened(&mut self.talk, inbox)?;
                    self.state = State::Open(socket);
                    return Poll::Ready(Ok(step));
                }
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
            }
        }
    }

    fn poll_upgrade_step(
        &mut self,
        cx: &mut Context<'_>,
        Upgrade { connection, key, accept, .. }: &mut Upgrade,
    ) -> Poll<Result<Progress, Failure>> {
        let WebSocketClient { talk, dialer, .. } = self;
        let own = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", key),
        ];
        scratch::with_text(|head| {
            talk.conversation.request().encode(dialer.target(), &own, head);
            let answer = &mut UpgradeAnswer { accept, talk, dialer };
            connection.poll_step(cx, &Encoded { head, body: &[], phase: Phase::Subscribe }, answer)
        })
    }

    /// A failure takes the connection with it.
    fn fail(&mut self, failure: &Failure) {
        self.talk.lost(failure);
        self.state = State::Offline;
    }
}

impl Client for WebSocketClient {
    fn poll_recv(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        if let State::Open(socket) = &mut self.state {
            if self.leaving != Leaving::Stays {
                self.state = State::Offline;
                return Poll::Ready(Err(no_connection(Phase::Receive)));
            }
            let step = socket.poll_recv(cx, &mut self.talk, inbox);
            if let Poll::Ready(Err(failure)) = &step {
                self.fail(failure);
            }
            return step;
        }
        let upgrade = match std::mem::replace(&mut self.state, State::Offline) {
            State::Upgrading(upgrade) => upgrade,
            _ => self.dial()?,
        };
        self.poll_upgrade(cx, inbox, upgrade)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: Message<'_>) -> Poll<Result<Sent, Failure>> {
        let State::Open(socket) = &mut self.state else { return Poll::Pending };
        if self.leaving != Leaving::Stays {
            return Poll::Pending;
        }
        let mut wrapped = Vec::new();
        let message = self.talk.conversation.publish(message, &mut wrapped);
        let sent = ready!(socket.poll_send(cx, message));
        if let Err(failure) = &sent {
            self.fail(failure);
        }
        Poll::Ready(sent.map(|()| self.talk.published()))
    }

    fn poll_answer(&mut self, _: &mut Context<'_>) -> Poll<super::Answer> {
        self.talk.poll_answer()
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let ended = loop {
            match &mut self.state {
                State::Offline => return Poll::Ready(Ok(())),
                State::Upgrading(upgrade) => break ready!(upgrade.connection.poll_end(cx, Phase::Close)),
                State::Open(socket) => match self.leaving {
                    Leaving::Stays => {
                        socket.begin_close();
                        self.leaving = Leaving::Closing;
                    }
                    Leaving::Closing => match ready!(socket.poll_good_bye(cx)) {
                        Ok(()) => self.leaving = Leaving::Ending,
                        failed => break failed,
                    },
                    Leaving::Ending => {
                        // That the server broke off is an end too, as both have said close.
                        let _ = ready!(socket.poll_end(cx));
                        break Ok(());
                    }
                },
            }
        };
        self.state = State::Offline;
        Poll::Ready(ended)
    }
}

fn no_connection(phase: Phase) -> Failure {
    Failure::new(phase, Kind::Eof, "there is no connection")
}

/// The answer to the upgrade request (RFC 6455, section 4.1).
struct UpgradeAnswer<'a> {
    accept: &'a str,
    talk: &'a mut Talk,
    dialer: &'a Dialer,
}

impl UpgradeAnswer<'_> {
    /// Whether the request asked for this subprotocol.
    fn asked_for(&self, name: &str) -> bool {
        const FIELD: &str = "sec-websocket-protocol";
        let fields = self.talk.conversation.request().fields.iter();
        let mut own = fields.filter(|field| field.name.eq_ignore_ascii_case(FIELD));
        own.any(|field| field.value.split(',').any(|asked| asked.trim() == name))
            || self.dialer.target().asks_for(FIELD, name)
    }
}

impl Answer for UpgradeAnswer<'_> {
    fn head(&mut self, head: &Head<'_>) -> Result<(), Failure> {
        if head.status != 101 {
            return Err(head.refusal(Phase::Subscribe));
        }
        let bad = |what: &str| Err(Failure::protocol(Phase::Subscribe, format!("with {what}")));
        if !head.has_token("upgrade", "websocket") || !head.has_token("connection", "upgrade") {
            return bad("no upgrade to WebSocket");
        }
        if head.field("sec-websocket-accept") != Some(self.accept) {
            return bad("a wrong Sec-WebSocket-Accept");
        }
        if head.field("sec-websocket-extensions").is_some() {
            return bad("an extension that was not asked for");
        }
        let mut chosen = head.tokens("sec-websocket-protocol");
        match (chosen.next(), chosen.next()) {
            // One of those that were asked for.
            (Some(name), None) if !self.asked_for(name) => {
                bad(&format!("the subprotocol {name:?}, which was not asked for"))
            }
            (Some(_), Some(_)) => bad("more than one subprotocol"),
            _ => self.talk.conversation.answered(head, Phase::Subscribe),
        }
    }

    fn body(&mut self, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thousands of them share the cache, and the memory of a worker.
    #[test]
    fn a_client_holds_a_socket_and_little_else() {
        assert_eq!(size_of::<State>(), size_of::<Socket>(), "its state has no tag of its own");
        assert!(size_of::<Talk>() <= 32, "{} bytes", size_of::<Talk>());
    }
}
