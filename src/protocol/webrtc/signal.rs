//! Signalling: the few HTTP requests that bring two ends together. Control plane only; nothing here is measured.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::protocol::{Failure, Kind, Mesh, Phase, Seat, Target, contract};
use crate::quote;
use crate::transport::control;
use crate::transport::http::WORDS_PATIENCE;
use crate::transport::meter::Meter;
use crate::transport::reception::Refusal;

/// How long a poll asks to be held.
const HOLD: Duration = Duration::from_secs(20);

/// Posts of one worker to one server under way at a time. They share as many connections, so that thousands of clients who
/// connect at once do not use up the ports.
const POSTS_AT_ONCE: usize = 32;

/// Most bytes that an answer may have.
const MAX_BODY_BYTES: usize = 4 << 20;

/// How long an idle connection is kept: no longer than a ramp needs it.
const IDLE: Duration = Duration::from_secs(1);

type Task<T> = Pin<Box<dyn Future<Output = Result<T, Failure>>>>;

/// This thread's HTTP client for one server. Cheap to clone.
#[derive(Clone)]
struct Http {
    client: reqwest::Client,
    posts: Rc<Semaphore>,
}

impl Http {
    fn of_this_thread(target: &Target) -> Result<Http, Failure> {
        thread_local!(static HTTP: RefCell<HashMap<SocketAddr, Http>> = RefCell::default());
        HTTP.with_borrow_mut(|https| {
            if let Some(http) = https.get(&target.address) {
                return Ok(http.clone());
            }
            let client = control::client(target.address, target.tls.as_ref())
                .pool_max_idle_per_host(POSTS_AT_ONCE)
                .pool_idle_timeout(IDLE)
                .build()
                .map_err(|error| failure(&error))?;
            let posts = Rc::new(Semaphore::new(POSTS_AT_ONCE));
            Ok(https.entry(target.address).insert_entry(Http { client, posts }).get().clone())
        })
    }

    /// Posts a body; the answer must have the status `expected`.
    async fn post(
        self,
        seat: &Place,
        path: String,
        content_type: &'static str,
        body: String,
        expected: StatusCode,
    ) -> Result<Vec<u8>, Failure> {
        // The semaphore is never closed.
        let _permit = self.posts.acquire().await;
        seat.meter.reception.ask();
        let request = self.client.post(url(&seat.target, &path)).headers(headers(&seat.target)?);
        let answer = request.header(header::CONTENT_TYPE, content_type).body(body).send().await;
        let answer = answer.map_err(|error| failure(&error))?;
        seat.taken(&format!("POST {path}"), answer, &[expected]).await
    }
}

/// Whose requests these are.
#[derive(Clone)]
pub(super) struct Place {
    target: Rc<Target>,
    meter: Rc<Meter>,
}

impl Place {
    pub(super) fn of(seat: &Seat) -> Place {
        Place { target: seat.target.clone(), meter: seat.meter.clone() }
    }

    /// The body of an answer that was expected; any other is a failure that quotes it.
    async fn taken(
        &self,
        request: &str,
        answer: reqwest::Response,
        expected: &[StatusCode],
    ) -> Result<Vec<u8>, Failure> {
        let status = answer.status();
        let codings =
            answer.headers().get_all(header::CONTENT_ENCODING).iter().find(|coding| *coding != "identity");
        let coded = codings.map(|coding| format!("compressed by {coding:?}, which was not asked for"));
        let location =
            answer.headers().get(header::LOCATION).and_then(|place| place.to_str().ok()).map(str::to_owned);
        let good = expected.contains(&status);
        if good && coded.is_none() {
            let body = whole(answer).await?;
            self.meter.reception.welcome();
            return Ok(body);
        }
        let kind = if good { Kind::Protocol } else { Kind::Status(status.as_u16()) };
        let body = if coded.is_some() { Vec::new() } else { first_words(answer).await };
        let request = quote::within(request, 80);
        let refusal =
            Refusal::new(&request, status.as_u16(), &coded.unwrap_or_default(), location.as_deref(), &body);
        let failure = Failure::new(Phase::Subscribe, kind, refusal.sentence());
        self.meter.reception.refuse(&failure, || refusal);
        Err(failure)
    }
}

/// The body of an answer, which is not long.
async fn whole(mut answer: reqwest::Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| failure(&error))? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_BODY_BYTES {
            let error = format!("more than {MAX_BODY_BYTES} bytes of signalling in one answer");
            return Err(Failure::protocol(Phase::Subscribe, error));
        }
    }
    Ok(body)
}

/// What there is of a body that is only quoted.
async fn first_words(mut answer: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while !quote::has_first_words(&body)
        && let Ok(Ok(Some(piece))) = timeout(WORDS_PATIENCE, answer.chunk()).await
    {
        body.extend_from_slice(&piece);
    }
    body
}

/// Posts an offer to the server; gives its answer.
pub(super) fn offer(seat: Place, query: String, sdp: String) -> Task<String> {
    Box::pin(async move {
        let path = format!("/rtc?{query}");
        let http = Http::of_this_thread(&seat.target)?;
        let answer = http.post(&seat, path, "application/sdp", sdp, StatusCode::CREATED).await?;
        String::from_utf8(answer)
            .map_err(|_| Failure::protocol(Phase::Subscribe, "the SDP answer is not UTF-8"))
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
    seat: Place,
    group: Rc<str>,
    listening: bool,
    topic: String,
    poll: Task<(String, Vec<Signal>)>,
    posts: FuturesUnordered<Task<()>>,
}

impl Signalling {
    pub(super) fn start(seat: Place, mesh: &Mesh) -> Result<Signalling, Failure> {
        let http = Http::of_this_thread(&seat.target)?;
        let topic = topic(&mesh.group, mesh.index);
        Ok(Signalling {
            poll: Box::pin(listen(http.clone(), seat.clone(), topic.clone(), None)),
            http,
            seat,
            group: mesh.group.clone(),
            listening: false,
            topic,
            posts: FuturesUnordered::new(),
        })
    }

    /// Sends a message to the member with index `to`.
    pub(super) fn send(&mut self, to: usize, signal: &Signal) -> Result<(), Failure> {
        let body = serde_json::to_string(signal)
            .map_err(|error| Failure::protocol(Phase::Subscribe, error.to_string()))?;
        let (http, seat) = (self.http.clone(), self.seat.clone());
        let path = contract::publish_path(&topic(&self.group, to));
        self.posts.push(Box::pin(async move {
            http.post(&seat, path, "application/json", body, StatusCode::NO_CONTENT).await.map(drop)
        }));
        Ok(())
    }

    /// Goes on with posts and poll.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<News, Failure>> {
        while let Poll::Ready(Some(posted)) = self.posts.poll_next_unpin(cx) {
            posted?;
        }
        let (cursor, signals) = ready!(self.poll.as_mut().poll(cx))?;
        let next = listen(self.http.clone(), self.seat.clone(), self.topic.clone(), Some(cursor));
        self.poll = Box::pin(next);
        let first = !std::mem::replace(&mut self.listening, true);
        Poll::Ready(Ok(if first { News::Listening } else { News::Signals(signals) }))
    }
}

/// The topic of one member.
fn topic(group: &str, index: usize) -> String {
    format!("sig.{group}.{index}")
}

/// One poll: held if there is a cursor, at once with a cursor for now if there is none.
async fn listen(
    http: Http,
    seat: Place,
    topic: String,
    after: Option<String>,
) -> Result<(String, Vec<Signal>), Failure> {
    let hold = contract::poll_wait(Some(HOLD));
    let position = after.map(|cursor| format!("{}{cursor}{hold}", contract::POLL_AFTER)).unwrap_or_default();
    let path = contract::poll_path(&[topic.into()]) + &position;
    seat.meter.reception.ask();
    let request = http.client.get(url(&seat.target, &path));
    let answer = request.headers(headers(&seat.target)?).send().await.map_err(|error| failure(&error))?;
    let headers = answer.headers().clone();
    let body = seat.taken(&format!("GET {path}"), answer, &[StatusCode::OK, StatusCode::NO_CONTENT]).await?;
    let protocol = |detail: &str| Failure::protocol(Phase::Subscribe, detail);
    if headers.contains_key(contract::MISSED_FIELD) {
        return Err(protocol("the server has lost signalling messages"));
    }
    let cursor = headers.get(contract::CURSOR_FIELD).and_then(|value| value.to_str().ok());
    let cursor = cursor.filter(|cursor| contract::is_cursor(cursor));
    let cursor = cursor.ok_or_else(|| protocol("a poll was answered without a cursor"))?;
    let events =
        contract::netstrings(&body).ok_or_else(|| protocol("a poll's body is not made of netstrings"))?;
    let signals = events.into_iter().map(serde_json::from_slice).collect::<Result<_, _>>();
    Ok((cursor.to_owned(), signals.map_err(|error| protocol(&error.to_string()))?))
}

fn url(target: &Target, path: &str) -> String {
    control::origin(target.address, target.tls.as_ref()) + path
}

/// The target's header lines, and its name. What an answer may be compressed by is not among them: nothing here is measured,
/// and `reqwest` would leave it as it is.
fn headers(target: &Target) -> Result<HeaderMap, Failure> {
    let bad = |line: &str| Failure::protocol(Phase::Subscribe, format!("not a header line: {line:?}"));
    let mut headers = HeaderMap::new();
    let host = HeaderValue::from_str(&target.host).map_err(|_| bad(&target.host))?;
    headers.insert(header::HOST, host);
    for line in target.headers.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| bad(line))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(line))?;
        if name != header::ACCEPT_ENCODING {
            headers.append(name, HeaderValue::from_str(value.trim()).map_err(|_| bad(line))?);
        }
    }
    Ok(headers)
}

/// A failed request, by the error of the operating system behind it if there is one.
fn failure(error: &reqwest::Error) -> Failure {
    let phase = if error.is_connect() { Phase::Connect } else { Phase::Subscribe };
    let mut causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let io = causes.find_map(|cause| cause.downcast_ref::<std::io::Error>());
    match io {
        Some(io) => Failure::io(phase, io),
        None => Failure::new(phase, Kind::Io, error.to_string()),
    }
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

    #[test]
    fn the_targets_headers_are_sent_as_they_are() {
        let target = Target {
            tls: None,
            address: ([127, 0, 0, 1], 1).into(),
            host: "example.org".into(),
            headers: "A: b\r\nAccept-Encoding: gzip\r\nC:d\r\n".into(),
        };
        let headers = headers(&target).unwrap();
        assert_eq!(
            (&headers["host"], &headers["a"], &headers["c"]),
            (&"example.org".parse().unwrap(), &"b".parse().unwrap(), &"d".parse().unwrap())
        );
        assert!(!headers.contains_key("accept-encoding"));
    }
}
