//! WebRTC data channels: to the server, or between the members of a group.
//!
//! ```text
//! Idle -> Dialling (signalling over HTTP, ICE, DTLS, SCTP) -> Open (only datagrams) -> Closing
//! ```
//!
//! A client is one UDP socket and one str0m instance for each of its peer connections. str0m does no I/O and keeps no
//! time; `endpoint` does both. The waits that it keeps are the protocol's own, for sending again what was lost.

use std::task::{Context, Poll, ready};

use super::dialect::Talk;
use super::{Client, Failure, Inbox, Mesh, Message, Phase, Protocol, Seat, Sent, Step, Traits};

mod control;
mod endpoint;
mod mesh;
mod peer;
mod signal;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;

use endpoint::{Endpoint, Listener};
use mesh::Joining;
use peer::Peer;

/// The row of the table.
pub(super) const WEBRTC: Protocol = Protocol {
    name: "webrtc",
    title: "WebRTC data channels",
    short_title: "WebRTC",
    about: "messages over SCTP, DTLS and UDP, between clients or to the server; ordered and reliable, or not",
    traits: Traits {
        polls: false,
        exchanges: false,
        resumes: false,
        reconnects: false,
        asks_again: false,
        binary: true,
        peer_to_peer: true,
        in_band: true,
    },
    open,
};

fn open(seat: Seat) -> Box<dyn Client> {
    let talk = mesh(&seat).is_none().then(|| Talk::new(seat.converse(&WEBRTC)));
    Box::new(WebRtc { seat, talk, state: State::Idle })
}

/// The group whose members the client connects to, if it is not the server.
fn mesh(seat: &Seat) -> Option<&Mesh> {
    seat.mesh.as_ref().filter(|_| seat.options.peer_to_peer)
}

/// A client.
struct WebRtc {
    seat: Seat,
    /// With the server. What members say to each other is nothing but payloads.
    talk: Option<Talk>,
    state: State,
}

enum State {
    /// Nothing is open; the next `poll_recv` dials.
    Idle,
    Dialling(Box<Endpoint>, Errand),
    Open(Box<Endpoint>),
    Closing(Box<Endpoint>),
}

/// What is under way beside the datagrams until the channels are open.
enum Errand {
    /// The offer is with the server.
    Offer(control::Asked),
    /// The server has answered.
    Answered,
    /// The group is about to meet.
    Join(Box<Joining>),
}

/// The slot of the connection to the server.
const SERVER: usize = 0;

impl WebRtc {
    fn dial(&mut self) -> Result<(Box<Endpoint>, Errand), Failure> {
        let WebRtc { seat, talk, .. } = self;
        let Some(talk) = talk else {
            // Whoever does not talk to the server has a group.
            let mesh = mesh(seat).ok_or_else(|| Failure::protocol(Phase::Connect, "nobody to connect to"))?;
            let endpoint = Endpoint::open(seat, mesh.size)?;
            let joining = Joining::start(seat, mesh)?;
            return Ok((Box::new(endpoint), Errand::Join(Box::new(joining))));
        };
        talk.begin();
        let mut endpoint = Endpoint::open(seat, 1)?;
        let (peer, sdp) = Peer::offer(endpoint.address(), &seat.options)?;
        endpoint.insert(SERVER, peer);
        let answer = signal::offer(seat, &*talk.conversation, &sdp)?;
        Ok((Box::new(endpoint), Errand::Offer(answer)))
    }

    /// The channels are open: the conversation begins, where there is one.
    fn opened(&mut self, mut endpoint: Box<Endpoint>, inbox: &mut dyn Inbox) -> Result<Step, Failure> {
        let Some(talk) = &mut self.talk else {
            self.state = State::Open(endpoint);
            return Ok(Step::Ready);
        };
        talk.hear(inbox, |conversation, heard| conversation.opened(heard))?;
        let step = after_hearing(Some(talk), &mut endpoint);
        self.state = State::Open(endpoint);
        step
    }

    fn poll_step(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        loop {
            match &mut self.state {
                State::Idle => {
                    let (endpoint, errand) = self.dial()?;
                    self.state = State::Dialling(endpoint, errand);
                }
                State::Dialling(endpoint, errand) => {
                    if errand.poll(cx, endpoint, self.talk.as_mut())? {
                        continue;
                    }
                    if endpoint.open_channels() == errand.connections() {
                        let State::Dialling(endpoint, _) = std::mem::replace(&mut self.state, State::Idle)
                        else {
                            continue;
                        };
                        return Poll::Ready(self.opened(endpoint, inbox));
                    }
                    let mut listener = Listener { inbox, talk: self.talk.as_mut() };
                    let happened = ready!(endpoint.poll(cx, &mut listener))?;
                    if happened.received && !happened.opened {
                        return Poll::Ready(Ok(Step::Received));
                    }
                }
                State::Open(endpoint) => {
                    let mut listener = Listener { inbox, talk: self.talk.as_mut() };
                    ready!(endpoint.poll(cx, &mut listener))?;
                    return Poll::Ready(after_hearing(self.talk.as_mut(), endpoint));
                }
                State::Closing(_) => return Poll::Pending,
            }
        }
    }

    /// After an error nothing is left of the old connections.
    fn after<T>(&mut self, result: Poll<Result<T, Failure>>) -> Poll<Result<T, Failure>> {
        if let Poll::Ready(Err(failure)) = &result {
            self.talk.iter_mut().for_each(|talk| talk.lost(failure));
            self.state = State::Idle;
        }
        result
    }
}

/// Says what is to be said in return.
fn after_hearing(talk: Option<&mut Talk>, endpoint: &mut Endpoint) -> Result<Step, Failure> {
    let Some(talk) = talk else { return Ok(Step::Received) };
    while let Some((reply, binary)) = talk.next_reply() {
        endpoint.write(Message { payload: &reply, binary })?;
    }
    Ok(if talk.became_ready() { Step::Ready } else { Step::Received })
}

impl Client for WebRtc {
    fn poll_recv(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        let step = self.poll_step(cx, inbox);
        self.after(step)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: Message<'_>) -> Poll<Result<Sent, Failure>> {
        let State::Open(endpoint) = &mut self.state else { return Poll::Pending };
        let mut wrapped = Vec::new();
        let message = match &self.talk {
            Some(talk) => talk.conversation.publish(message, &mut wrapped),
            None => message,
        };
        let sent = endpoint.poll_send(cx, message);
        ready!(self.after(sent))?;
        Poll::Ready(Ok(self.talk.as_mut().map_or(Sent::Unanswered, Talk::published)))
    }

    fn poll_answer(&mut self, _: &mut Context<'_>) -> Poll<super::Answer> {
        self.talk.as_mut().map_or(Poll::Pending, Talk::poll_answer)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Idle) {
                State::Idle | State::Dialling(..) => return Poll::Ready(Ok(())),
                State::Open(mut endpoint) => {
                    endpoint.close()?;
                    State::Closing(endpoint)
                }
                State::Closing(mut endpoint) => {
                    let flushed = endpoint.poll_flush(cx);
                    if flushed.is_pending() {
                        self.state = State::Closing(endpoint);
                    }
                    return flushed;
                }
            };
        }
    }
}

impl Errand {
    /// Goes on; `true` if something changed.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        endpoint: &mut Endpoint,
        talk: Option<&mut Talk>,
    ) -> Result<bool, Failure> {
        match self {
            Errand::Offer(asked) => {
                let Some(talk) = talk else { return Ok(false) };
                let Poll::Ready(answer) = asked.poll(cx, &mut *talk.conversation) else { return Ok(false) };
                let not_text = |_| Failure::protocol(Phase::Subscribe, "the SDP answer is not UTF-8");
                let answer = String::from_utf8(answer?).map_err(not_text)?;
                if let Some(peer) = endpoint.peer(SERVER) {
                    peer.accept(&answer)?;
                }
                *self = Errand::Answered;
                Ok(true)
            }
            Errand::Answered => Ok(false),
            Errand::Join(joining) => match joining.poll(cx, endpoint) {
                Poll::Ready(result) => result.map(|()| true),
                Poll::Pending => Ok(false),
            },
        }
    }

    /// Channels that must be open before the client is ready.
    fn connections(&self) -> usize {
        match self {
            Errand::Offer(_) | Errand::Answered => 1,
            Errand::Join(joining) => joining.connections(),
        }
    }
}
