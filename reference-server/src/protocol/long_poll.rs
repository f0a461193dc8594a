//! Long polling: a look-up that is put off until it finds something, or time is up.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Id;
use super::poll::{self, most};
use crate::connection::{Connection, Order};
use crate::front::Reply;
use crate::hub::{Batch, Cursor, TooManyTopics, Watch};

/// Longest hold. A client may ask for more than a clock can count.
const MAX_HOLD: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn read(
    connection: &Arc<Connection>,
    topics: Vec<Box<str>>,
    after: Option<Cursor>,
    hold: Duration,
) -> Result<Reply, TooManyTopics> {
    let app = connection.app();
    let end = Instant::now() + hold.min(MAX_HOLD);
    // Watched before the first look, so that an event between look and wait is not slept through.
    let watch = app.hub.watch(&topics)?;
    let found = app.hub.read(&topics, after.unwrap_or_else(|| app.hub.now()), most(topics.len()));
    if !found.0.events.is_empty() {
        return Ok(Reply::Full(poll::answer(connection, Id::LongPoll, found)));
    }
    let connection = connection.clone();
    Ok(Reply::Held(Box::pin(async move {
        let found = held(&connection, &watch, &topics, found, end).await;
        poll::answer(&connection, Id::LongPoll, found)
    })))
}

async fn held(
    connection: &Connection,
    watch: &Watch,
    topics: &[Box<str>],
    mut found: (Batch, Cursor),
    end: Instant,
) -> (Batch, Cursor) {
    while found.0.events.is_empty() {
        let published = poll_fn(|cx| match connection.current() {
            Order::Serve => watch.poll_published(cx).map(Ok),
            _ => Poll::Ready(Err(Stopped)),
        });
        match timeout_at(end, published).await {
            Ok(Ok(())) => found = connection.app().hub.read(topics, found.1, most(topics.len())),
            Ok(Err(Stopped)) | Err(_) => break,
        }
    }
    found
}

/// The server stops.
struct Stopped;
