//! What short and long polling share: the URL, and the form of the answer.

use bytes::{BufMut, Bytes};
use http::StatusCode;

use super::{Id, long_poll, short_poll};
use crate::app::Rejection;
use crate::connection::Connection;
use crate::front::{Ask, Fields, Full, Reply};
use crate::hub::{Batch, Cursor, Most};
use crate::request::{Accepts, Subscribe, Wait};

pub(super) fn handle(ask: &Ask<'_>) -> Result<Reply, Rejection> {
    let Ask { app, connection, .. } = ask;
    let Subscribe { topics, after, wait, .. } = Subscribe::parse(ask.query, Accepts::Poll)?;
    let protocol = if wait.is_some() { Id::LongPoll } else { Id::ShortPoll };
    app.stats.requests.of(protocol).add(1);
    // One that only asks where its topics stand waits for nothing yet.
    if after.is_some() || wait.is_some() {
        connection.subscribe(protocol)?;
    }
    let hold = match wait {
        None => return Ok(Reply::Full(answer(connection, protocol, short_poll::read(app, &topics, after)))),
        Some(Wait::Default) => app.config.hold,
        Some(Wait::For(hold)) => hold,
    };
    Ok(long_poll::read(connection, topics, after, hold)?)
}

/// Most events of one answer, of all its topics.
const ANSWER_EVENTS: usize = 16 * 1024;

/// Payload bytes of one answer; one message more makes it full. The rest comes with the next.
const ANSWER_BYTES: usize = 1 << 20;

/// What one answer may hold, for so many topics.
pub(super) fn most(topics: usize) -> Most {
    Most { events: (ANSWER_EVENTS / topics.max(1)).max(1), bytes: ANSWER_BYTES }
}

/// What was found, on its way to the client.
pub(super) fn answer(
    connection: &Connection,
    protocol: Id,
    (mut batch, mut cursor): (Batch, Cursor),
) -> Full {
    let app = connection.app();
    app.stats.empty_polls.of(protocol).add(u64::from(batch.events.is_empty()));
    if connection.delivering(&mut batch)
        && let Some(last) = batch.events.last()
    {
        cursor = app.hub.behind(last);
    }
    let mut full = Full::empty(StatusCode::NO_CONTENT);
    if !batch.events.is_empty() {
        // By fault, blanks behind the value: the one place where a header grows by a single byte and means the same.
        let blanks = app.config.faults.framing_bytes;
        let kind = format_args!("application/octet-stream{:blanks$}", "");
        full = Full {
            status: StatusCode::OK,
            fields: Fields::default().with("content-type", kind),
            body: body(&batch),
        };
    }
    full.fields = full.fields.with("rtbench-cursor", cursor);
    if batch.missed > 0 {
        full.fields = full.fields.with("rtbench-missed", batch.missed);
    }
    full
}

/// The events as netstrings.
fn body(batch: &Batch) -> Bytes {
    let payload_bytes: usize = batch.events.iter().map(|event| event.payload.len()).sum();
    let mut body = Vec::with_capacity(payload_bytes + 10 * batch.events.len());
    for event in &batch.events {
        body.put_slice(event.payload.len().to_string().as_bytes());
        body.put_u8(b':');
        body.put_slice(&event.payload);
        body.put_u8(b',');
    }
    body.into()
}
