//! What there is to ask for, in every spelling of it: of a path and a method.

use std::sync::Arc;

use http::{HeaderMap, Request, StatusCode, header};
use httparse::Header;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use super::acknowledged;
use super::hand_over::{Refused, collected};
use super::reply::{Ask, Full, Handler, Post, Reply};
use crate::app::{App, Rejection};
use crate::connection::Connection;
use crate::protocol::{self, Protocol};
use crate::request::BadRequest;
use crate::stats;

/// What stands behind a path.
enum Route<'a> {
    /// A protocol, for GET.
    Get(Handler),
    /// A protocol, for POST.
    Post(&'a Post),
    Publish(&'a str),
    Cut,
    Browser,
    Health,
    Stats,
    Metrics,
}

/// The page that `GET /browser` gives; its parameters are its own.
const BROWSER: &str = "/browser";

impl<'a> Route<'a> {
    fn of(app: &'a App, path: &'a str) -> Option<Route<'a>> {
        let topic = path.strip_prefix("/topics/").filter(|topic| !topic.is_empty() && !topic.contains('/'));
        if let Some(topic) = topic {
            return Some(Route::Publish(topic));
        }
        Some(match path {
            "/cut" => Route::Cut,
            BROWSER => Route::Browser,
            "/healthz" => Route::Health,
            "/stats" => Route::Stats,
            "/metrics" => Route::Metrics,
            _ => match protocol::ALL.iter().find(|protocol| protocol.path() == path)? {
                Protocol::Get(_, handler) => Route::Get(*handler),
                Protocol::Post(..) => {
                    Route::Post(app.posts().find(|post| post.0 == path).map(|post| &post.1)?)
                }
            },
        })
    }

    /// For whom asks by another method.
    fn methods(&self) -> &'static str {
        match self {
            Route::Publish(_) | Route::Cut | Route::Post(_) => "POST",
            Route::Get(_) | Route::Browser | Route::Health | Route::Stats | Route::Metrics => "GET,HEAD",
        }
    }
}

/// Whether a path has parameters, which whoever serves it checks.
pub(super) fn has_parameters(path: &str) -> bool {
    protocol::ALL.iter().any(|protocol| protocol.path() == path) || path == BROWSER
}

/// Answers a request whose body may have `most` bytes.
pub(super) async fn answer(
    connection: &Arc<Connection>,
    request: Request<Incoming>,
    most: usize,
) -> Result<Reply, Refused> {
    let app = connection.app();
    let (head, body) = request.into_parts();
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    let Some(route) = Route::of(app, path) else {
        return Ok(Reply::Full(Full::text(StatusCode::NOT_FOUND, "no such path\n")));
    };
    if !route.methods().split(',').any(|method| method == head.method) {
        return Ok(Reply::Full(Full::empty(StatusCode::METHOD_NOT_ALLOWED).with("allow", route.methods())));
    }
    let ok = StatusCode::OK;
    Ok(Reply::Full(match route {
        Route::Get(handler) => return Ok(get(handler, connection, query, &head.headers)),
        Route::Post(post) => {
            let body = collected(path, body, most).await?;
            post(app.clone(), query.to_owned(), body).await
        }
        Route::Publish(topic) => {
            let payload = collected(path, body, most).await?;
            return Ok(or_rejected(publish(app, topic, &head.headers, &payload)));
        }
        Route::Cut => {
            app.connections.cut_subscribers();
            Full::empty(StatusCode::NO_CONTENT)
        }
        Route::Browser => Full::of(ok, "text/html; charset=utf-8", include_str!("../browser.html")),
        Route::Health => Full::text(ok, "ok"),
        Route::Stats => Full::of(ok, "application/json", stats::json(&app.metrics().await).to_string()),
        Route::Metrics => Full::of(ok, stats::EXPOSITION, stats::prometheus(&app.metrics().await)),
    }))
}

fn or_rejected(reply: Result<Reply, Rejection>) -> Reply {
    reply.unwrap_or_else(|rejection| Reply::Full(rejection.into()))
}

/// By a handler of the front.
fn get(handler: Handler, connection: &Arc<Connection>, query: &str, headers: &HeaderMap) -> Reply {
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let headers: Vec<_> = headers.map(|(name, value)| Header { name, value }).collect();
    or_rejected(handler(&Ask { app: connection.app(), connection, query, headers: &headers }))
}

fn publish(app: &App, topic: &str, headers: &HeaderMap, payload: &[u8]) -> Result<Reply, Rejection> {
    let topic = percent_decode_str(topic).decode_utf8().map_err(|_| BadRequest::Topic)?;
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    app.publish_request(&topic, kind, payload)?;
    Ok(acknowledged(app.config.faults.answer_delay))
}
