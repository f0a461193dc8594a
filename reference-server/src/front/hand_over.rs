//! Everything that the front does not serve, and hyper and axum do.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::ready;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Request, StatusCode, Version, header};
use http_body::Body as _;
use httparse::Header;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;

use super::head::{MAX_HEAD_BYTES, is_host};
use super::reply::{Ask, Boxed, Chunks, Fields, Full, Handler, Reply, content};
use crate::app::{App, Rejection};
use crate::connection::{Connection, Order};
use crate::protocol::{self, Protocol, webrtc};
use crate::request::BadRequest;
use crate::turn::LONG_REQUEST;
use crate::wire::Wire;

/// Speaks HTTP/1.1 until the connection ends or is told to end. Begins with what is unread.
pub(super) async fn serve(wire: Wire, router: Router) {
    let connection = wire.connection().clone();
    let service = Tagged { router: TowerToHyperService::new(router), connection: connection.clone() };
    // No timer: an idle client is nothing bad here, and a timer costs memory for each connection. The buffer is the
    // least that hyper allows.
    let http =
        http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).serve_connection(TokioIo::new(wire), service);
    let mut http = pin!(http);
    std::future::poll_fn(|cx| {
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

/// The routes, as one connection sees them: each request says whose it is.
struct Tagged {
    router: TowerToHyperService<Router>,
    connection: Arc<Connection>,
}

impl Service<Request<Incoming>> for Tagged {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = Boxed<Result<Self::Response, Self::Error>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.connection.turn().spend(LONG_REQUEST);
        let most = most_bytes(request.uri().path(), self.connection.app().config.max_payload_bytes);
        if let Err(refused) = checked(&request, most) {
            return Box::pin(ready(Ok(refused.into_response())));
        }
        request.extensions_mut().insert(self.connection.clone());
        // All of a body is collected before it is looked at.
        let body = request.body().size_hint();
        let connection = self.connection.clone();
        connection.holds(body.upper().map_or(most, |bytes| bytes as usize), 0);
        let answer = self.router.call(request);
        Box::pin(async move {
            let answer = answer.await;
            // What there is of the answer: until the next request, as nobody tells when it was written.
            let body = answer.as_ref().map_or(0, |answer| answer.body().size_hint().lower());
            connection.holds(body as usize, 0);
            answer
        })
    }
}

/// Why a request is refused before anybody looks at what it asks for, or reads its body.
enum Refused {
    /// It breaks RFC 9110 or 9112.
    Malformed(&'static str),
    Coding,
    TooLarge,
    Query(BadRequest),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Refused::Malformed(text) => (StatusCode::BAD_REQUEST, text),
            Refused::Coding => (StatusCode::NOT_IMPLEMENTED, "a body is sent as it is, or chunked\n"),
            Refused::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the message is over the limit\n"),
            Refused::Query(bad) => return Rejection::from(bad).into_response(),
        };
        // Where the next request would begin is not known for sure, or not worth reading up to.
        (status, [(header::CONNECTION, "close")], text).into_response()
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
        let is_offer = request.uri().path() == webrtc::PATH;
        return Err(if is_offer { Refused::Malformed(webrtc::TOO_LONG) } else { Refused::TooLarge });
    }
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    match query.split(['=', '&']).next() {
        Some(key) if !key.is_empty() && !has_parameters(path) => {
            Err(Refused::Query(BadRequest::unknown(key)))
        }
        _ => Ok(()),
    }
}

/// Most that the body of a request for `path` may have.
fn most_bytes(path: &str, payload_bytes: usize) -> usize {
    if path == webrtc::PATH { webrtc::MAX_OFFER_BYTES } else { payload_bytes }
}

/// Whether a path has parameters, which whoever serves it checks.
fn has_parameters(path: &str) -> bool {
    let is_own = |protocol: &Protocol| matches!(protocol, Protocol::Get(own, _) if *own == path);
    protocol::ALL.iter().any(is_own) || path == webrtc::PATH || path == "/browser"
}

/// A handler of the front as a route of the router: for HEAD, HTTP/1.0 and whatever else is not plain.
pub(crate) fn route(handler: Handler) -> MethodRouter<Arc<App>> {
    get(
        async move |State(app): State<Arc<App>>,
                    Extension(connection): Extension<Arc<Connection>>,
                    RawQuery(query): RawQuery,
                    headers: HeaderMap| {
            let reply = {
                let query = &query.unwrap_or_default();
                let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
                let headers: Vec<_> = headers.map(|(name, value)| Header { name, value }).collect();
                handler(&Ask { app: &app, connection: &connection, query, headers: &headers })
            };
            match reply? {
                Reply::Full(full) => Ok(full.into_response()),
                Reply::Held(held) => Ok(held.await.into_response()),
                Reply::Stream(fields, chunks) => {
                    let body = Body::new(StreamBody { chunks, ready: VecDeque::new() });
                    Ok(response(StatusCode::OK, &fields, body))
                }
                // A plain GET of HTTP/1.1 is the only form of it.
                Reply::Upgrade(..) => Err(Rejection::from(BadRequest::Upgrade)),
            }
        },
    )
}

fn response(status: StatusCode, fields: &Fields, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in fields.lines() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

impl IntoResponse for Full {
    fn into_response(self) -> Response {
        response(self.status, &self.fields, Body::from(self.body))
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        Full::from(self).into_response()
    }
}

/// Chunks for hyper, which puts a framing of its own around their contents.
struct StreamBody {
    chunks: Box<dyn Chunks>,
    ready: VecDeque<Bytes>,
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        while this.ready.is_empty() {
            let mut chunks = Vec::new();
            let goes_on = this.chunks.poll_chunks(cx, &mut chunks);
            this.ready.extend(chunks);
            match goes_on {
                Poll::Pending if this.ready.is_empty() => return Poll::Pending,
                Poll::Ready(false) if this.ready.is_empty() => return Poll::Ready(None),
                _ => {}
            }
        }
        Poll::Ready(this.ready.pop_front().map(|chunk| Ok(http_body::Frame::data(content(&chunk)))))
    }
}
