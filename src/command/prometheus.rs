//! `--prometheus ADDR`: what is measured, for Prometheus to read while it is.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::{sleep, timeout};

use crate::fleet::coordinator::Progress;
use crate::measure::cell::Cell;
use crate::report::prometheus::{self, Exposition};
use crate::scenario::spec::CellSpec;

/// Where the metrics lie.
const PATH: &str = "/metrics";

/// Longest time for one scrape, so that nobody who says nothing keeps a descriptor.
const SCRAPE: Duration = Duration::from_secs(10);

/// How long to wait where a connection could not be taken, for want of descriptors.
const AGAIN: Duration = Duration::from_millis(200);

/// An address that is taken, and nobody answers there yet.
pub(super) struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

impl Endpoint {
    /// Takes the address.
    ///
    /// # Errors
    /// The system refuses it, for instance because another program has it.
    pub(super) fn bind(address: SocketAddr) -> Result<Endpoint> {
        let refused = || format!("cannot listen on {address} for --prometheus; port 0 takes a free one");
        let listener = TcpListener::bind(address).with_context(refused)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Endpoint { listener, address })
    }

    /// Answers from now on, as long as the runtime lives that this is called in. Says where.
    ///
    /// # Errors
    /// The runtime cannot wait for the socket.
    pub(super) fn serve(self) -> Result<(Feed, String)> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let feed = Feed(Arc::default());
        tokio::spawn(accept(listener, feed.clone()));
        Ok((feed, format!("http://{}{PATH}", self.address)))
    }
}

/// Where it is told what there is to read.
#[derive(Clone)]
pub(super) struct Feed(Arc<Mutex<Exposition>>);

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Exposition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A cell begins.
    pub(super) fn begin(&self, spec: &CellSpec) {
        self.lock().connecting(spec, 0, 0);
    }

    /// A cell says how far it is.
    pub(super) fn update(&self, spec: &CellSpec, progress: &Progress) {
        match progress {
            Progress::Connecting { connected, failures } => {
                self.lock().connecting(spec, *connected, *failures)
            }
            Progress::Second(interval) => self.lock().second(spec, interval),
        }
    }

    /// A cell has ended.
    pub(super) fn end(&self, cell: &Cell) {
        self.lock().end(cell);
    }
}

async fn accept(listener: tokio::net::TcpListener, feed: Feed) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(AGAIN).await;
            continue;
        };
        let feed = feed.clone();
        let service = service_fn(move |request| {
            let answer = answer(&request, &feed);
            async { Ok::<_, Infallible>(answer) }
        });
        let connection =
            http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
        // A client that went away, or took too long, is its own affair.
        tokio::spawn(async { timeout(SCRAPE, connection).await });
    }
}

fn answer(request: &Request<Incoming>, feed: &Feed) -> Response<String> {
    let mut response = Response::new(String::new());
    if request.uri().path() != PATH {
        *response.status_mut() = StatusCode::NOT_FOUND;
        *response.body_mut() = format!("the metrics are at {PATH}\n");
    } else if ![Method::GET, Method::HEAD].contains(request.method()) {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
    } else {
        let kind = hyper::header::HeaderValue::from_static(prometheus::CONTENT_TYPE);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        *response.body_mut() = feed.lock().text();
    }
    response
}
