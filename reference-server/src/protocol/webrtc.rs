//! Data channels, the server's end: ICE-lite, few UDP sockets, one task for all peers.
//!
//! ```text
//! POST /rtc -> Endpoint --offer--> Driver { ports, peers, timers, ready queue } <-> UDP sockets
//!                                            peer = str0m + one Conversation per channel <-> hub
//! ```
//!
//! str0m does no I/O and keeps no time, so the driver does both for every peer. It is woken by a socket, by the earliest
//! timer, or by a peer's own waker when the hub has something for it; it never looks at a peer that has nothing to do.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{StatusCode, header};
use str0m::RtcConfig;
use tokio::sync::{OnceCell, mpsc, oneshot};

use super::{Id, Start};
use crate::app::{App, Rejection};
use crate::request::{Accepts, Subscribe};
use crate::rtc::Identity;

mod driver;
mod peer;
mod port;
#[cfg(test)]
mod tests;
mod timers;
mod wake;

use driver::{Driver, Offer};
use peer::BUFFERED_BYTES;

/// Where offers are posted to.
pub(crate) const PATH: &str = "/rtc";

/// Offers that may wait for the driver; those behind them wait in their HTTP requests.
const OFFER_QUEUE: usize = 256;

/// The longest offer, in bytes. Those of browsers have some 1,000, and 150 more for each candidate.
pub(crate) const MAX_OFFER_BYTES: usize = 32 * 1024;

/// What is said of a longer one.
pub(crate) const TOO_LONG: &str = "bad offer: it is longer than an offer of data channels is\n";

/// The same without candidates.
const MAX_REST_BYTES: usize = 8 * 1024;

/// Most lines that are no candidates; each takes some 10 us to understand. Those of browsers have some 20.
const MAX_REST_LINES: usize = 64;

/// Takes over the sockets and starts the task that serves them; without sockets there is no `/rtc`. They are bound to
/// addresses that the clients can reach, because each is a candidate; one bound to all addresses is announced as loopback.
pub(super) fn mount(router: Router<Arc<App>>, start: &mut Start<'_>) -> io::Result<Router<Arc<App>>> {
    let sockets = std::mem::take(&mut start.udp);
    if sockets.is_empty() {
        return Ok(router);
    }
    let identity = Identity::generate().map_err(io::Error::other)?;
    let config = identity.config(start.app.config.max_payload_bytes, BUFFERED_BYTES);
    let (offers, inbox) = mpsc::channel(OFFER_QUEUE);
    start.tasks.spawn(Driver::start(start.app.clone(), sockets, config.clone(), inbox)?);
    let to = Arc::new(To { offers, config, is_tried: OnceCell::new() });
    Ok(router.route(
        PATH,
        post(move |app, query, sdp| offer(to, app, query, sdp)).layer(DefaultBodyLimit::max(MAX_OFFER_BYTES)),
    ))
}

/// Where offers go.
struct To {
    offers: mpsc::Sender<Offer>,
    config: RtcConfig,
    is_tried: OnceCell<()>,
}

impl To {
    /// The first peer of a process tries all cryptography, which takes some 50 ms: on a thread of its own, so that nobody
    /// else waits for it.
    async fn try_cryptography(&self) {
        let try_it = async || {
            let config = self.config.clone();
            let _ = tokio::task::spawn_blocking(move || drop(config.build(Instant::now()))).await;
        };
        self.is_tried.get_or_init(try_it).await;
    }
}

/// Why an offer got no answer.
#[derive(Debug, thiserror::Error)]
enum BadOffer {
    /// It is not SDP, or not an offer that can be answered.
    #[error("bad offer: {0}")]
    Sdp(&'static str),
    #[error("the server stops")]
    Stopping,
}

impl IntoResponse for BadOffer {
    fn into_response(self) -> Response {
        let status = match self {
            BadOffer::Sdp(_) => StatusCode::BAD_REQUEST,
            BadOffer::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, format!("{self}\n")).into_response()
    }
}

async fn offer(
    to: Arc<To>,
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    sdp: String,
) -> Result<Response, Response> {
    let request = Subscribe::parse(&query.unwrap_or_default(), Accepts::Channel);
    let request = request.map_err(|bad| Rejection::from(bad).into_response())?;
    app.stats.requests.of(Id::WebRtc).add(1);
    app.let_in().map_err(|refusal| Rejection::from(refusal).into_response())?;
    let answer = answer(&to, sdp, request).await.map_err(BadOffer::into_response)?;
    Ok((StatusCode::CREATED, [(header::CONTENT_TYPE, "application/sdp")], answer).into_response())
}

/// An offer as it is answered: an ICE-lite agent answers checks and makes none, so whom the client could be found at is nothing to
/// it. `None` if it is longer than it may be; whoever pays for understanding it serves all other peers, too.
fn without_candidates(sdp: &str) -> Option<String> {
    let mut rest = String::new();
    let lines = sdp.lines().filter(|line| !line.starts_with("a=candidate:"));
    for (number, line) in lines.enumerate() {
        rest.push_str(line);
        rest.push_str("\r\n");
        if number >= MAX_REST_LINES || rest.len() > MAX_REST_BYTES {
            return None;
        }
    }
    Some(rest)
}

/// The driver's answer.
async fn answer(to: &To, sdp: String, request: Subscribe) -> Result<String, BadOffer> {
    let sdp =
        without_candidates(&sdp).ok_or(BadOffer::Sdp("it is longer than an offer of data channels is"))?;
    to.try_cryptography().await;
    let (reply, answer) = oneshot::channel();
    to.offers.send(Offer { sdp, request, reply }).await.map_err(|_| BadOffer::Stopping)?;
    answer.await.map_err(|_| BadOffer::Stopping)?
}
