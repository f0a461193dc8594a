//! Long polling: a look-up that is put off until it finds something, or time is up.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::app::App;
use crate::connection::{Connection, poll_ending};
use crate::hub::{Batch, Cursor};

pub(super) async fn read(
    app: &Arc<App>,
    connection: &Connection,
    topics: &[Box<str>],
    after: Option<Cursor>,
    hold: Duration,
) -> (Batch, Cursor) {
    // Watched before the first look, so that an event between look and wait is not slept through.
    let watch = app.hub.watch(topics);
    let after = after.unwrap_or_else(|| app.hub.now());
    let (batch, cursor) = app.hub.read(topics, after);
    if !batch.events.is_empty() {
        return (batch, cursor);
    }
    let published = poll_fn(|cx| match watch.poll_published(cx) {
        Poll::Pending => poll_ending(connection, cx),
        ready => ready,
    });
    match tokio::time::timeout(hold, published).await {
        Ok(()) => app.hub.read(topics, cursor),
        Err(_) => (batch, cursor),
    }
}
