//! What short and long polling share: the URL, and the form of the answer.

use std::io;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::{BufMut, Bytes};
use http::{HeaderValue, StatusCode, header};

use super::{Id, Routes, Start, long_poll, short_poll};
use crate::app::{App, Rejection};
use crate::connection::Connection;
use crate::hub::{Batch, Cursor};
use crate::request::{Accepts, Subscribe, Wait};

pub(super) fn mount(routes: Routes, _: &mut Start<'_>) -> io::Result<Routes> {
    Ok(routes.route("/poll", get(poll)))
}

async fn poll(
    State(app): State<Arc<App>>,
    Extension(connection): Extension<Arc<Connection>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Rejection> {
    let Subscribe { topics, after, wait, .. } = Subscribe::parse(&query.unwrap_or_default(), Accepts::Poll)?;
    let protocol = if wait.is_some() { Id::LongPoll } else { Id::ShortPoll };
    app.stats.requests.of(protocol).add(1);
    // One that only asks where its topics stand waits for nothing yet.
    if after.is_some() || wait.is_some() {
        connection.subscribe(protocol);
    }
    let (batch, cursor) = match wait {
        None => short_poll::read(&app, &topics, after),
        Some(Wait::Default) => long_poll::read(&app, &connection, &topics, after, app.config.hold).await,
        Some(Wait::For(hold)) => long_poll::read(&app, &connection, &topics, after, hold).await,
    };
    app.stats.empty_polls.of(protocol).add(u64::from(batch.events.is_empty()));
    app.delivering(&batch);
    Ok(answer(&batch, cursor, app.config.faults.framing_bytes))
}

fn answer(batch: &Batch, cursor: Cursor, framing_bytes: usize) -> Response {
    let mut response = if batch.events.is_empty() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let mut response = body(batch).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, content_type(framing_bytes));
        response
    };
    // Neither a number nor a cursor has a character that a header may not have.
    let mut set = |name, text: String| {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(name, value);
        }
    };
    set("rtbench-cursor", cursor.to_string());
    if batch.missed > 0 {
        set("rtbench-missed", batch.missed.to_string());
    }
    response
}

/// By fault, blanks behind the value: the one place where a header grows by a single byte and means the same.
fn content_type(framing_bytes: usize) -> HeaderValue {
    let plain = "application/octet-stream";
    if framing_bytes == 0 {
        return HeaderValue::from_static(plain);
    }
    HeaderValue::try_from(format!("{plain}{:framing_bytes$}", "")).unwrap_or(HeaderValue::from_static(plain))
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
