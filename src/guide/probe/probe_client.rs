//! Clients on strings, for probes: what a protocol does by itself, one step after the other.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::PATIENCE;
use crate::protocol::{Client, Failure, Inbox, Message, Pause, Sending, Step};
use crate::transport::meter::Meter;

/// Time between two short polls here; the probes count, they do not time.
const POLL: Duration = Duration::from_millis(100);

/// A client on strings: does what the protocol itself does, and nothing that an application would add.
pub(super) struct ProbeClient {
    pub(super) client: Box<dyn Client>,
    pub(super) polls: bool,
    pub(super) meter: Rc<Meter>,
    pub(super) publish_meter: Rc<Meter>,
    pub(super) ready: bool,
    pub(super) rest: Option<Pin<Box<Sleep>>>,
    pub(super) outgoing: Option<(Vec<u8>, bool)>,
    /// How far that has come.
    pub(super) sending: Sending,
    pub(super) mail: ReceivedMail,
    pub(super) cuts: u32,
    /// Polls that failed and were followed by the next.
    pub(super) refused: u32,
    pub(super) ended: Option<Failure>,
}

#[derive(Default)]
pub(super) struct ReceivedMail {
    pub(super) payloads: Vec<Vec<u8>>,
}

impl Inbox for ReceivedMail {
    fn push(&mut self, payload: &[u8]) {
        self.payloads.push(payload.to_vec());
    }

    fn missed(&mut self, _count: u64) {}
}

impl ProbeClient {
    fn poll(&mut self, cx: &mut Context<'_>) {
        if let (true, Some((payload, binary))) = (self.ready, &self.outgoing) {
            let message = Message { payload, binary: *binary };
            match self.sending.poll(cx, &mut *self.client, message) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.outgoing = None,
                Poll::Ready(Err(failure)) => {
                    self.outgoing = None;
                    self.ended = Some(failure);
                }
            }
        }
        while self.ended.is_none() {
            if let Some(rest) = &mut self.rest {
                if rest.as_mut().poll(cx).is_pending() {
                    return;
                }
                self.rest = None;
            }
            match self.client.poll_recv(cx, &mut self.mail) {
                Poll::Pending => return,
                Poll::Ready(Ok(Step::Ready)) => self.ready = true,
                Poll::Ready(Ok(Step::Received)) => {}
                Poll::Ready(Ok(Step::Pause(Pause::PollInterval))) => self.rest = Some(Box::pin(sleep(POLL))),
                Poll::Ready(Ok(Step::Pause(Pause::Reconnect(wait, _)))) => {
                    self.cuts += 1;
                    self.rest = Some(Box::pin(sleep(wait)));
                }
                // The next poll is a new request anyway.
                Poll::Ready(Err(_)) if self.polls && self.ready => {
                    self.refused += 1;
                    self.rest = Some(Box::pin(sleep(POLL)));
                }
                Poll::Ready(Err(failure)) => self.ended = Some(failure),
            }
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It came as it was sent, once or more often.
    Unchanged,
    /// Something else came in its place.
    Changed,
    Nothing,
}

/// Has the first of a pair send a message, and waits until it has come to the second and the first is free for another; gives
/// what became of it and how long that took. A message that was sent before and comes again is not in its place.
pub(super) async fn pass(pair: &mut [ProbeClient], payload: &[u8], binary: bool) -> (Arrival, Duration) {
    let begun = Instant::now();
    let before = pair[1].mail.payloads.len();
    pair[0].outgoing = Some((payload.to_vec(), binary));
    let arrival = |pair: &[ProbeClient]| {
        let (known, new) = pair[1].mail.payloads.split_at(before);
        match new.iter().any(|new| new == payload) {
            true => Arrival::Unchanged,
            false if new.iter().any(|new| !known.contains(new)) => Arrival::Changed,
            false => Arrival::Nothing,
        }
    };
    drive(pair, |pair| arrival(pair) != Arrival::Nothing || failure(pair).is_some()).await;
    let (arrival, took) = (arrival(pair), begun.elapsed());
    if failure(pair).is_none() {
        drive(pair, |pair| pair[0].outgoing.is_none() || failure(pair).is_some()).await;
    }
    (arrival, took)
}

/// What ended one of them.
pub(super) fn failure(clients: &[ProbeClient]) -> Option<&Failure> {
    clients.iter().find_map(|client| client.ended.as_ref())
}

/// The same behind what it is the reason of; nothing if there is none.
pub(super) fn because(clients: &[ProbeClient]) -> String {
    failure(clients).map_or(String::new(), |failure| format!(": {failure}"))
}

/// As [`drive_for`], for as long as anything here is waited for.
pub(super) async fn drive(clients: &mut [ProbeClient], done: impl Fn(&[ProbeClient]) -> bool) -> bool {
    drive_for(PATIENCE, clients, done).await
}

/// Lets all clients act until `done`, or for as long as patience lasts; says whether it was done.
pub(super) async fn drive_for(
    patience: Duration,
    clients: &mut [ProbeClient],
    done: impl Fn(&[ProbeClient]) -> bool,
) -> bool {
    let mut patience = Box::pin(sleep(patience));
    std::future::poll_fn(|cx| {
        clients.iter_mut().for_each(|client| client.poll(cx));
        if done(clients) {
            return Poll::Ready(true);
        }
        patience.as_mut().poll(cx).map(|()| false)
    })
    .await
}
