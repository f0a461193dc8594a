//! Long polling: a look-up that is put off until it finds something, or time is up.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::app::App;
use crate::connection::{Connection, Order};
use crate::hub::{Batch, Cursor};

/// Longest hold. A client may ask for more than a clock can count.
const MAX_HOLD: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) async fn read(
    app: &Arc<App>,
    connection: &Connection,
    topics: &[Box<str>],
    after: Option<Cursor>,
    hold: Duration,
) -> (Batch, Cursor) {
    let end = Instant::now() + hold.min(MAX_HOLD);
    // Watched before the first look, so that an event between look and wait is not slept through.
    let watch = app.hub.watch(topics);
    let mut found = app.hub.read(topics, after.unwrap_or_else(|| app.hub.now()));
    while found.0.events.is_empty() {
        let published = poll_fn(|cx| match connection.order(cx) {
            Order::Serve => watch.poll_published(cx).map(Ok),
            _ => Poll::Ready(Err(Stopped)),
        });
        match timeout_at(end, published).await {
            Ok(Ok(())) => found = app.hub.read(topics, found.1),
            Ok(Err(Stopped)) | Err(_) => break,
        }
    }
    found
}

/// The server stops.
struct Stopped;
