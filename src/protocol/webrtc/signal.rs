//! Signalling: what brings two ends together. What the server is to do for it, the conversation says.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};

use super::control::{Asked, Http};
use crate::protocol::dialect::Talk;
use crate::protocol::long_poll::LONG_POLL;
use crate::protocol::{Conversation, Failure, Inbox, Mesh, Message, Options, Phase, Seat};
use crate::transport::http::Request;

/// How long a poll asks to be held.
const HOLD: Duration = Duration::from_secs(20);

/// Sends an offer to the server, to where the conversation says; its answer is SDP, too.
pub(super) fn offer(seat: &Seat, conversation: &dyn Conversation, sdp: &str) -> Result<Asked, Failure> {
    let request = Request { body: sdp.as_bytes(), ..conversation.request() };
    let http = Http::of_this_thread(&seat.target)?;
    Asked::new(&http, Rc::new(seat.clone()), &request, |conversation, head| {
        conversation.answered(head, Phase::Subscribe)
    })
}

/// What members of a group tell each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Signal {
    /// Index of the sender.
    pub(super) from: usize,
    /// Which of the sender's lives this is: drawn anew whenever it connects anew.
    pub(super) life: u64,
    /// The message.
    #[serde(flatten)]
    pub(super) body: Body,
}

/// The three messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(super) enum Body {
    /// "I listen from now on; offer me a connection (again)."
    Hello,
    /// An offer, from the lower index to the higher.
    Offer { id: String, sdp: String },
    /// The answer to the offer `id`.
    Answer { id: String, sdp: String },
}

/// What `Signalling::poll` brings.
pub(super) enum News {
    /// From here on no message to this member is lost.
    Listening,
    /// Messages came.
    Signals(Vec<Signal>),
}

/// One member's place at the signalling topics: a poll that is always held, and posts under way.
pub(super) struct Signalling {
    http: Http,
    seat: Rc<Seat>,
    group: Rc<str>,
    listening: bool,
    talk: Talk,
    poll: Asked,
    posts: FuturesUnordered<Post>,
}

/// A message that is being published.
struct Post {
    conversation: Box<dyn Conversation>,
    asked: Asked,
}

impl Future for Post {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Post { conversation, asked } = &mut *self;
        asked.poll(cx, &mut **conversation).map_ok(drop)
    }
}

/// What one poll brought.
#[derive(Default)]
struct Letters {
    payloads: Vec<Vec<u8>>,
    missed: u64,
}

impl Inbox for Letters {
    fn push(&mut self, payload: &[u8]) {
        self.payloads.push(payload.to_vec());
    }

    fn missed(&mut self, count: u64) {
        self.missed += count;
    }
}

impl Signalling {
    pub(super) fn start(seat: &Seat, mesh: &Mesh) -> Result<Signalling, Failure> {
        let (http, seat) = (Http::of_this_thread(&seat.target)?, Rc::new(seat.clone()));
        let talk = Talk::new(at_topic(&seat, &topic(&mesh.group, mesh.index), true));
        Ok(Signalling {
            poll: listen(&http, &seat, &talk)?,
            talk,
            http,
            seat,
            group: mesh.group.clone(),
            listening: false,
            posts: FuturesUnordered::new(),
        })
    }

    /// Sends a message to the member with index `to`.
    pub(super) fn send(&mut self, to: usize, signal: &Signal) -> Result<(), Failure> {
        let payload = serde_json::to_vec(signal).map_err(|error| bad(&error.to_string()))?;
        let conversation = at_topic(&self.seat, &topic(&self.group, to), false);
        let mut wrapped = Vec::new();
        let message = conversation.publish(Message { payload: &payload, binary: false }, &mut wrapped);
        let request = Request { body: message.payload, ..conversation.publish_request(message.binary) };
        let asked = Asked::new(&self.http, self.seat.clone(), &request, |conversation, head| {
            conversation.acknowledged(head).map_err(|failure| Failure { phase: Phase::Subscribe, ..failure })
        })?;
        self.posts.push(Post { conversation, asked });
        Ok(())
    }

    /// Goes on with posts and poll.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<News, Failure>> {
        while let Poll::Ready(Some(posted)) = self.posts.poll_next_unpin(cx) {
            posted?;
        }
        let body = ready!(self.poll.poll(cx, &mut *self.talk.conversation))?;
        let mut letters = Letters::default();
        self.talk.hear(&mut letters, |conversation, heard| conversation.body(&body, heard))?;
        if letters.missed > 0 {
            return Poll::Ready(Err(bad("the server has lost signalling messages")));
        }
        self.poll = listen(&self.http, &self.seat, &self.talk)?;
        let signals = letters.payloads.iter().map(|letter| serde_json::from_slice(letter));
        let signals = signals.collect::<Result<_, _>>().map_err(|error| bad(&error.to_string()))?;
        let first = !std::mem::replace(&mut self.listening, true);
        Poll::Ready(Ok(if first { News::Listening } else { News::Signals(signals) }))
    }
}

fn bad(detail: &str) -> Failure {
    Failure::protocol(Phase::Subscribe, detail)
}

/// The words of one who only listens to a topic, by polls that are held, or only publishes to it.
fn at_topic(seat: &Seat, topic: &str, listens: bool) -> Box<dyn Conversation> {
    let (topics, publish) =
        if listens { (vec![topic.into()], None) } else { (Vec::new(), Some(topic.into())) };
    let options = Options { hold: Some(HOLD), ..seat.options.clone() };
    Seat { topics, publish, options, echo: false, mesh: None, ..seat.clone() }.converse(&LONG_POLL)
}

fn listen(http: &Http, seat: &Rc<Seat>, talk: &Talk) -> Result<Asked, Failure> {
    Asked::new(http, seat.clone(), &talk.conversation.request(), |conversation, head| {
        conversation.answered(head, Phase::Subscribe)
    })
}

/// The topic of one member.
fn topic(group: &str, index: usize) -> String {
    format!("sig.{group}.{index}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_signal_survives_its_wire_form() {
        for body in [
            Body::Hello,
            Body::Offer { id: "i".into(), sdp: "v=0\r\n".into() },
            Body::Answer { id: "i".into(), sdp: "\"".into() },
        ] {
            let signal = Signal { from: 3, life: u64::MAX, body };
            let text = serde_json::to_string(&signal).unwrap();
            assert_eq!(serde_json::from_str::<Signal>(&text).unwrap(), signal);
        }
    }
}
