//! Everything that the front does not serve: hyper reads the requests, and [`routes`] answers them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;

use super::head::{MAX_HEAD_BYTES, is_host};
use super::reply::{Boxed, Chunks, Fields, Full, Reply, content};
use super::routes;
use crate::app::Rejection;
use crate::connection::{Connection, Order};
use crate::protocol::webrtc;
use crate::request::BadRequest;
use crate::turn::LONG_REQUEST;
use crate::wire::Wire;

/// Speaks HTTP/1.1 until the connection ends or is told to end. Begins with what is unread.
pub(super) async fn serve(wire: Wire) {
    let connection = wire.connection().clone();
    let service = Requests(connection.clone());
    // No timer: an idle client is nothing bad here, and a timer costs memory for each connection. The buffer is the
    // least that hyper allows.
    let http =
        http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).serve_connection(TokioIo::new(wire), service);
    let mut http = pin!(http);
    future::poll_fn(|cx| {
        match connection.current() {
            Order::Serve => {}
            Order::Stop => http.as_mut().graceful_shutdown(),
            Order::Cut => return Poll::Ready(()),
        }
        if connection.is_too_slow(cx) {
            return Poll::Ready(());
        }
        // Errors are the client's; it has its answer, or is gone.
        http.as_mut().poll(cx).map(|_| ())
    })
    .await;
}

/// The requests of one connection.
struct Requests(Arc<Connection>);

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Result<Response<Body>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let connection = self.0.clone();
        connection.turn().spend(LONG_REQUEST);
        let most = most_bytes(request.uri().path(), connection.app().config.max_payload_bytes);
        if let Err(refused) = checked(&request, most) {
            return Box::pin(future::ready(Ok(Full::from(refused).into())));
        }
        // All of a body is collected before it is looked at.
        let body = request.body().size_hint();
        connection.holds(body.upper().map_or(most, |bytes| bytes as usize), 0);
        Box::pin(async move {
            let is_head = *request.method() == Method::HEAD;
            let answer = match routes::answer(&connection, request, most).await {
                Ok(Reply::Full(full)) => full.into(),
                Ok(Reply::Held(held)) => held.await.into(),
                // Nobody would take from it.
                Ok(Reply::Stream(fields, _)) if is_head => response(StatusCode::OK, &fields, Body::default()),
                Ok(Reply::Stream(fields, chunks)) => {
                    let body = Body { chunks: Some(chunks), ready: VecDeque::new() };
                    response(StatusCode::OK, &fields, body)
                }
                // A plain GET of HTTP/1.1 is the only form of it.
                Ok(Reply::Upgrade(..)) => Full::from(Rejection::from(BadRequest::Upgrade)).into(),
                Err(refused) => Full::from(refused).into(),
            };
            // What there is of the answer: until the next request, as nobody tells when it was written.
            connection.holds(answer.body().size_hint().lower() as usize, 0);
            Ok(answer)
        })
    }
}

/// Why a request is refused before anybody looks at what it asks for.
pub(super) enum Refused {
    /// It breaks RFC 9110 or 9112, or is too long an offer.
    Malformed(&'static str),
    Coding,
    TooLarge,
    Query(BadRequest),
}

impl Refused {
    /// The body of a request for `path` is over the limit.
    fn too_large(path: &str) -> Refused {
        if path == webrtc::PATH { Refused::Malformed(webrtc::TOO_LONG) } else { Refused::TooLarge }
    }
}

impl From<Refused> for Full {
    fn from(refused: Refused) -> Full {
        let (status, text) = match refused {
            Refused::Malformed(text) => (StatusCode::BAD_REQUEST, text),
            Refused::Coding => (StatusCode::NOT_IMPLEMENTED, "a body is sent as it is, or chunked\n"),
            Refused::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the message is over the limit\n"),
            Refused::Query(bad) => return Rejection::from(bad).into(),
        };
        // Where the next request would begin is not known for sure, or not worth reading up to.
        Full::text(status, text).with("connection", "close")
    }
}

/// What hyper does not check.
fn checked(request: &Request<Incoming>, most_bytes: usize) -> Result<(), Refused> {
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    let is_missing = host.is_none() && request.version() >= Version::HTTP_11;
    if is_missing || hosts.next().is_some() || host.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(Refused::Malformed("a request names one host\n"));
    }
    let coding = headers.get_all(header::TRANSFER_ENCODING).iter();
    let codings: Vec<_> = coding.flat_map(|line| line.as_bytes().split(|&byte| byte == b',')).collect();
    let is_chunked = |coding: &&[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    if !codings.iter().all(is_chunked) {
        return Err(Refused::Coding);
    }
    if codings.len() > 1 || !codings.is_empty() && headers.contains_key(header::CONTENT_LENGTH) {
        return Err(Refused::Malformed("a body is framed once\n"));
    }
    if request.body().size_hint().lower() > most_bytes as u64 {
        return Err(Refused::too_large(request.uri().path()));
    }
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    match query.split(['=', '&']).next() {
        Some(key) if !key.is_empty() && !routes::has_parameters(path) => {
            Err(Refused::Query(BadRequest::unknown(key)))
        }
        _ => Ok(()),
    }
}

/// Most that the body of a request for `path` may have.
fn most_bytes(path: &str, payload_bytes: usize) -> usize {
    if path == webrtc::PATH { webrtc::MAX_OFFER_BYTES } else { payload_bytes }
}

/// All of a request's body, of which there may be `most` bytes.
pub(super) async fn collected(path: &str, mut body: Incoming, most: usize) -> Result<Bytes, Refused> {
    let mut whole = Vec::new();
    while let Some(frame) = future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| Refused::Malformed("the body is not what its framing says\n"))?;
        // Trailers are nothing to anybody.
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > most {
            return Err(Refused::too_large(path));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.into())
}

fn response(status: StatusCode, fields: &Fields, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in fields.lines() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

impl From<Full> for Response<Body> {
    fn from(Full { status, fields, body }: Full) -> Response<Body> {
        let ready = Some(body).filter(|body| !body.is_empty()).into_iter().collect();
        response(status, &fields, Body { chunks: None, ready })
    }
}

/// The body of an answer, for hyper, which puts a framing of its own around the contents of chunks.
#[derive(Default)]
struct Body {
    /// Where more comes from.
    chunks: Option<Box<dyn Chunks>>,
    ready: VecDeque<Bytes>,
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        while this.ready.is_empty() {
            let Some(source) = &mut this.chunks else { return Poll::Ready(None) };
            let mut chunks = Vec::new();
            let goes_on = source.poll_chunks(cx, &mut chunks);
            this.ready.extend(chunks.iter().map(content));
            if goes_on == Poll::Ready(false) {
                this.chunks = None;
            } else if this.ready.is_empty() {
                ready!(goes_on);
            }
        }
        Poll::Ready(this.ready.pop_front().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_none() && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.chunks {
            None => SizeHint::with_exact(self.ready.iter().map(|data| data.len() as u64).sum()),
            Some(_) => SizeHint::default(),
        }
    }
}
