//! WebRTC data channels: to the server, or between the members of a group.
//!
//! ```text
//! Idle -> Dialling (signalling over HTTP, ICE, DTLS, SCTP) -> Open (only datagrams) -> Closing
//! ```
//!
//! A client is one UDP socket and one str0m instance for each of its peer connections. str0m does no I/O and keeps no
//! time; `endpoint` does both. The waits that it keeps are the protocol's own, for sending again what was lost.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{Client, Failure, Inbox, Message, Protocol, Seat, Sent, Step, Traits};

mod endpoint;
mod mesh;
mod peer;
mod signal;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;

use endpoint::{Endpoint, Ends};
use mesh::Joining;
use peer::Peer;

/// The row of the table.
pub(super) const WEBRTC: Protocol = Protocol {
    name: "webrtc",
    title: "WebRTC data channels",
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
    open: |seat| Box::new(WebRtc::new(seat)),
};

/// A client.
struct WebRtc {
    seat: Seat,
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
    Offer(Pin<Box<dyn Future<Output = Result<String, Failure>>>>),
    /// The server has answered.
    Answered,
    /// The group is about to meet.
    Join(Box<Joining>),
}

/// The slot of the connection to the server.
const SERVER: usize = 0;

impl WebRtc {
    fn new(seat: Seat) -> WebRtc {
        WebRtc { seat, state: State::Idle }
    }

    fn dial(&self) -> Result<(Box<Endpoint>, Errand), Failure> {
        let seat = &self.seat;
        if let Some(mesh) = seat.mesh.as_ref().filter(|_| seat.options.peer_to_peer) {
            let endpoint = Endpoint::open(seat, Ends::Members, mesh.size)?;
            let joining = Joining::start(seat, mesh)?;
            return Ok((Box::new(endpoint), Errand::Join(Box::new(joining))));
        }
        let mut endpoint = Endpoint::open(seat, Ends::Server, 1)?;
        let (peer, sdp) = Peer::offer(endpoint.address(), &seat.options)?;
        endpoint.insert(SERVER, peer);
        let answer = signal::offer(signal::Place::of(seat), query(seat), sdp);
        Ok((Box::new(endpoint), Errand::Offer(answer)))
    }

    fn poll_step(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        loop {
            match &mut self.state {
                State::Idle => {
                    let (endpoint, errand) = self.dial()?;
                    self.state = State::Dialling(endpoint, errand);
                }
                State::Dialling(endpoint, errand) => {
                    if errand.poll(cx, endpoint)? {
                        continue;
                    }
                    if endpoint.open_channels() == errand.connections() {
                        let State::Dialling(endpoint, _) = std::mem::replace(&mut self.state, State::Idle)
                        else {
                            continue;
                        };
                        self.state = State::Open(endpoint);
                        return Poll::Ready(Ok(Step::Ready));
                    }
                    let happened = ready!(endpoint.poll(cx, inbox))?;
                    if happened.received && !happened.opened {
                        return Poll::Ready(Ok(Step::Received));
                    }
                }
                State::Open(endpoint) => {
                    ready!(endpoint.poll(cx, inbox))?;
                    return Poll::Ready(Ok(Step::Received));
                }
                State::Closing(_) => return Poll::Pending,
            }
        }
    }

    /// After an error nothing is left of the old connections.
    fn after<T>(&mut self, result: Poll<Result<T, Failure>>) -> Poll<Result<T, Failure>> {
        if matches!(result, Poll::Ready(Err(_))) {
            self.state = State::Idle;
        }
        result
    }
}

impl Client for WebRtc {
    fn poll_recv(&mut self, cx: &mut Context<'_>, inbox: &mut dyn Inbox) -> Poll<Result<Step, Failure>> {
        let step = self.poll_step(cx, inbox);
        self.after(step)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: Message<'_>) -> Poll<Result<Sent, Failure>> {
        let State::Open(endpoint) = &mut self.state else { return Poll::Pending };
        let sent = endpoint.poll_send(cx, message);
        self.after(sent).map_ok(|()| Sent::Unanswered)
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
    fn poll(&mut self, cx: &mut Context<'_>, endpoint: &mut Endpoint) -> Result<bool, Failure> {
        match self {
            Errand::Offer(answer) => {
                let Poll::Ready(answer) = answer.as_mut().poll(cx) else { return Ok(false) };
                if let Some(peer) = endpoint.peer(SERVER) {
                    peer.accept(&answer?)?;
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

/// The query of `/rtc`. Topics consist of characters that need no escaping.
fn query(seat: &Seat) -> String {
    let mut query: Vec<String> = seat.topics.iter().map(|topic| format!("topic={topic}")).collect();
    query.extend(seat.publish.as_ref().filter(|_| !seat.echo).map(|topic| format!("publish={topic}")));
    query.extend(seat.echo.then(|| "echo=1".to_owned()));
    query.join("&")
}
