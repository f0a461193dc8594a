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

use bytes::Bytes;
use http::StatusCode;
use str0m::RtcConfig;
use tokio::sync::{OnceCell, mpsc, oneshot};

use super::{Id, Start};
use crate::app::{App, Rejection};
use crate::front::{Full, Post};
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
pub(super) fn start(start: &mut Start<'_>) -> io::Result<Option<Post>> {
    let sockets = std::mem::take(&mut start.udp);
    if sockets.is_empty() {
        return Ok(None);
    }
    let identity = Identity::generate().map_err(io::Error::other)?;
    let config = identity.config(start.app.config.max_payload_bytes, BUFFERED_BYTES);
    let (offers, inbox) = mpsc::channel(OFFER_QUEUE);
    start.tasks.spawn(Driver::start(start.app.clone(), sockets, config.clone(), inbox)?);
    let to = Arc::new(To { offers, config, is_tried: OnceCell::new() });
    Ok(Some(Box::new(move |app, query, sdp| Box::pin(offer(to.clone(), app, query, sdp)))))
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

impl From<BadOffer> for Full {
    fn from(bad: BadOffer) -> Full {
        let status = match bad {
            BadOffer::Sdp(_) => StatusCode::BAD_REQUEST,
            BadOffer::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        Full::text(status, format!("{bad}\n"))
    }
}

async fn offer(to: Arc<To>, app: Arc<App>, query: String, sdp: Bytes) -> Full {
    let request = match admitted(&app, &query) {
        Ok(request) => request,
        Err(rejection) => return rejection.into(),
    };
    match answer(&to, &sdp, request).await {
        Ok(answer) => Full::of(StatusCode::CREATED, "application/sdp", answer),
        Err(bad) => bad.into(),
    }
}

fn admitted(app: &App, query: &str) -> Result<Subscribe, Rejection> {
    let request = Subscribe::parse(query, Accepts::Channel)?;
    app.stats.requests.of(Id::WebRtc).add(1);
    app.let_in()?;
    Ok(request)
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
async fn answer(to: &To, sdp: &[u8], request: Subscribe) -> Result<String, BadOffer> {
    let sdp = std::str::from_utf8(sdp).map_err(|_| BadOffer::Sdp("it is not UTF-8"))?;
    let sdp =
        without_candidates(sdp).ok_or(BadOffer::Sdp("it is longer than an offer of data channels is"))?;
    to.try_cryptography().await;
    let (reply, answer) = oneshot::channel();
    to.offers.send(Offer { sdp, request, reply }).await.map_err(|_| BadOffer::Stopping)?;
    answer.await.map_err(|_| BadOffer::Stopping)?
}
