//! Everything that the front does not serve, and hyper and axum do.

use std::collections::VecDeque;
use std::convert::Infallible;
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
use http::{HeaderMap, Request, StatusCode};
use httparse::Header;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;

use super::head::MAX_HEAD_BYTES;
use super::reply::{Ask, Chunks, Fields, Full, Handler, Reply, content};
use crate::app::{App, Rejection};
use crate::connection::{Connection, Order};
use crate::request::BadRequest;
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
        match connection.order(cx) {
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
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.connection.clone());
        self.router.call(request)
    }
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
