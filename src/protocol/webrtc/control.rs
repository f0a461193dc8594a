//! The few HTTP requests of signalling. Control plane only; nothing here is measured.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::protocol::{Conversation, Failure, Kind, Phase, Seat, Target};
use crate::quote;
use crate::transport::control;
use crate::transport::http::{Head, Request, WORDS_PATIENCE, with_head};
use crate::transport::reception::Refusal;

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
pub(super) struct Http {
    client: reqwest::Client,
    posts: Arc<Semaphore>,
}

impl Http {
    pub(super) fn of_this_thread(target: &Target) -> Result<Http, Failure> {
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
            let posts = Arc::new(Semaphore::new(POSTS_AT_ONCE));
            Ok(https.entry(target.address).insert_entry(Http { client, posts }).get().clone())
        })
    }
}

/// Whether an answer is what was asked for.
pub(super) type Judge = fn(&mut dyn Conversation, &Head<'_>) -> Result<(), Failure>;

/// A request under way.
pub(super) struct Asked {
    seat: Rc<Seat>,
    /// Method and path, for people.
    what: String,
    stage: Stage,
    judge: Judge,
}

enum Stage {
    Sent(Task<(reqwest::Response, Option<OwnedSemaphorePermit>)>),
    Answered(Task<Vec<u8>>),
}

impl Asked {
    /// Sends `request`; `judge` sees what the answer is.
    pub(super) fn new(
        http: &Http,
        seat: Rc<Seat>,
        request: &Request<'_>,
        judge: Judge,
    ) -> Result<Asked, Failure> {
        let url = control::origin(seat.target.address, seat.target.tls.as_ref()) + request.path;
        let method = Method::from_bytes(request.method.as_bytes());
        let method = method.map_err(|error| Failure::protocol(Phase::Subscribe, error.to_string()))?;
        // Polls are held, and would keep the others from going.
        let posts = (method != Method::GET).then(|| http.posts.clone());
        let mut to_send = http.client.request(method, url).headers(headers(&seat.target)?);
        for field in request.fields {
            to_send = to_send.header(&*field.name, &*field.value);
        }
        if !request.body.is_empty() {
            to_send = to_send.body(request.body.to_vec());
        }
        let meter = seat.meter.clone();
        let sent = Box::pin(async move {
            let permit = match posts {
                // The semaphore is never closed.
                Some(posts) => posts.acquire_owned().await.ok(),
                None => None,
            };
            meter.reception.ask();
            Ok((to_send.send().await.map_err(|error| failure(&error))?, permit))
        });
        let what = format!("{} {}", request.method, request.path);
        Ok(Asked { seat, what, stage: Stage::Sent(sent), judge })
    }

    /// Goes on with it. Ready with the content of the answer, if that is what was asked for; any other is a failure that quotes
    /// it.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        conversation: &mut dyn Conversation,
    ) -> Poll<Result<Vec<u8>, Failure>> {
        loop {
            match &mut self.stage {
                Stage::Sent(sent) => {
                    let (answer, permit) = ready!(sent.as_mut().poll(cx))?;
                    let judged = judged(&answer, |head| (self.judge)(conversation, head));
                    let (seat, what) = (self.seat.clone(), quote::within(&self.what, 80));
                    self.stage = Stage::Answered(Box::pin(async move {
                        let _permit = permit;
                        taken(&seat, &what, answer, judged).await
                    }));
                }
                Stage::Answered(answer) => return answer.as_mut().poll(cx),
            }
        }
    }
}

/// What speaks against an answer, if anything does.
fn judged(
    answer: &reqwest::Response,
    judge: impl FnOnce(&Head<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let judged = with_head(answer.status().as_u16(), answer.headers(), judge);
    let Some(coding) = coding(answer) else { return judged };
    let detail = format!("compressed by {coding:?}, which was not asked for");
    let kind = judged.err().map_or(Kind::Protocol, |failure| failure.kind);
    Err(Failure::new(Phase::Subscribe, kind, detail))
}

/// How an answer is compressed, if it is.
fn coding(answer: &reqwest::Response) -> Option<&HeaderValue> {
    answer.headers().get_all(header::CONTENT_ENCODING).iter().find(|coding| *coding != "identity")
}

/// The body of an answer that was expected; any other is a failure that quotes it.
async fn taken(
    seat: &Seat,
    what: &str,
    answer: reqwest::Response,
    judged: Result<(), Failure>,
) -> Result<Vec<u8>, Failure> {
    let reception = &seat.meter.reception;
    let Err(Failure { phase, kind, detail }) = judged else {
        let body = whole(answer).await?;
        reception.welcome();
        return Ok(body);
    };
    let status = answer.status().as_u16();
    let location =
        answer.headers().get(header::LOCATION).and_then(|place| place.to_str().ok()).map(str::to_owned);
    let body = if coding(&answer).is_some() { Vec::new() } else { first_words(answer).await };
    let refusal = Refusal::new(what, status, &detail, location.as_deref(), &body);
    let failure = Failure::new(phase, kind, refusal.sentence());
    reception.refuse(&failure, || refusal);
    Err(failure)
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
