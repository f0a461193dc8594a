//! HTTP/1.1 as it is spoken: several requests in one piece, one in several pieces, and those that few clients send.

use reference_server::Config;

use crate::harness::{Answer, Client, Server, netstrings, soon};

const POLL: &str = "GET /poll?topic=t HTTP/1.1\r\nhost: t\r\n\r\n";
const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n";

fn publication(payload: &str) -> String {
    let length = payload.len();
    format!("POST /topics/t HTTP/1.1\r\nhost: t\r\ncontent-length: {length}\r\n\r\n{payload}")
}

async fn statuses<const N: usize>(client: &mut Client) -> [u16; N] {
    let mut statuses = [0; N];
    for status in &mut statuses {
        *status = client.answer().await.status;
    }
    statuses
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    let bad = "GET /poll HTTP/1.1\r\nhost: t\r\n\r\n";
    client.send([POLL, &publication("x"), bad, POLL].concat()).await;
    assert_eq!(statuses(&mut client).await, [204, 204, 400, 204]);
    assert_eq!(server.stat("published").await, 1);
}

#[tokio::test]
async fn a_request_behind_a_held_one_waits_for_it() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    let held = POLL.replace("topic=t", "topic=t&wait=20");
    client.send(&held).await;
    server.until_stat("requests.long-poll", 1).await;
    client.send([&held, HEALTH].concat()).await;
    for payload in ["first", "second"] {
        server.text("t", payload).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, netstrings(&answer.body)), (200, vec![payload.to_owned()]));
        if payload == "first" {
            server.until_stat("requests.long-poll", 2).await;
        }
    }
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_request_may_come_in_any_pieces() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    let requests = [POLL, &publication("payload"), HEALTH].concat();
    for piece_bytes in [1, 7, 50] {
        for piece in requests.as_bytes().chunks(piece_bytes) {
            client.send(piece).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(statuses(&mut client).await, [204, 204, 200]);
        client = server.connect().await;
    }
    let mut websocket = server.connect().await;
    let upgrade = "GET /ws?echo=1 HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // With the first frames in the same piece, the last of them not whole.
    let frames = [crate::harness::frame(1, &[b'a'; 1000]), crate::harness::frame(1, b"b")].concat();
    let (now, later) = frames.split_at(frames.len() - 3);
    websocket.send([upgrade.as_bytes(), now].concat()).await;
    assert!(websocket.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(websocket.take_text().await, "a".repeat(1000));
    websocket.send(later).await;
    assert_eq!(websocket.take_text().await, "b");
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let server = Server::start(Config::default());
    for line_bytes in [8200, 60_000] {
        let padded = format!("\r\nx: {}\r\n\r\n", "x".repeat(line_bytes));
        let request = POLL.replace("\r\n\r\n", &padded);
        let mut client = server.connect().await;
        client.send(&request).await;
        assert_eq!(client.answer().await.status, 431, "{line_bytes}");
    }
    let below = POLL.replace("\r\n\r\n", &format!("\r\nx: {}\r\n\r\n", "x".repeat(8000)));
    assert_eq!(server.request(&below).await.status, 204);
    let many = POLL.replace("\r\n\r\n", &format!("\r\n{}\r\n", "a: b\r\n".repeat(101)));
    assert_eq!(server.request(&many).await.status, 431);
}

/// What hyper serves comes in the middle of a connection, with more behind it.
#[tokio::test]
async fn a_connection_is_handed_over_in_the_middle() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    let chunked =
        "POST /topics/t HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    client.send([POLL, chunked, POLL, HEALTH, &publication("x")].concat()).await;
    assert_eq!(statuses(&mut client).await, [204, 204, 204, 200, 204]);
    let (_, start) = client.sse("topic=t&after=00000000-0", "").await;
    assert!(start.ends_with("-0"), "{start}");
    assert!(client.chunk_text().await.ends_with("\ndata: abc\n\n"));
    assert!(client.chunk_text().await.ends_with("\ndata: x\n\n"));
    server.text("t", "later").await;
    assert!(client.chunk_text().await.ends_with("\ndata: later\n\n"));
}

#[tokio::test]
async fn a_payload_larger_than_what_is_read_at_once_arrives_whole() {
    let server = Server::start(Config::default());
    let cursor = server.now().await;
    let payloads = [60_000, 70_000, 1 << 20].map(|length| "p".repeat(length));
    let mut client = server.connect().await;
    for payload in &payloads {
        assert_eq!(client.publish("t", payload, "text/plain").await, 204);
    }
    // On one that hyper has not taken over, with an answer that does not fit into the buffers of the system.
    let mut client = server.connect_narrow().await;
    let answer = client.get(&format!("/poll?topic=t&after={cursor}")).await;
    assert!(netstrings(&answer.body) == payloads);
    assert_eq!(client.get("/poll?topic=t").await.status, 204);
}

async fn last_answer(server: &Server, request: &str) -> Answer {
    let mut client = server.connect().await;
    let answer = client.request(request).await;
    assert_eq!(client.rest().await, b"", "{request}");
    answer
}

#[tokio::test]
async fn a_client_that_wants_no_more_is_told_goodbye() {
    let server = Server::start(Config::default());
    let with_close = |request: &str| request.replace("host: t\r\n", "host: t\r\nConnection: Close\r\n");
    for (request, status) in [(POLL, 204), (&publication("x"), 204), (HEALTH, 200)] {
        let answer = last_answer(&server, &with_close(request)).await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
    }
    let old = last_answer(&server, &POLL.replace("HTTP/1.1", "HTTP/1.0")).await;
    assert!(old.head.starts_with("HTTP/1.0 204 "), "{}", old.head);
    let mut kept = server.connect().await;
    for _ in 0..3 {
        let answer = kept.request(POLL).await;
        assert_eq!((answer.status, answer.header("connection")), (204, None));
        assert!(answer.header("date").is_some_and(|date| date.ends_with(" GMT")));
    }
}

/// A head without what changes from second to second.
fn undated(head: &str) -> Vec<&str> {
    head.lines().filter(|line| !line.starts_with("date: ")).collect()
}

#[tokio::test]
async fn what_is_not_a_plain_get_is_answered_all_the_same() {
    let server = Server::start(Config::default());
    server.text("t", "x").await;
    let events = POLL.replace("topic=t", "topic=t&after=00000000-0");
    let get = server.request(&events).await;
    let with_body = events.replace("host: t\r\n", "host: t\r\ncontent-length: 3\r\n") + "abc";
    let absolute = events.replace("GET /poll", "GET http://t/poll");
    for request in [with_body, absolute] {
        let answer = server.request(&request).await;
        assert_eq!((undated(&answer.head), answer.body), (undated(&get.head), get.body.clone()), "{request}");
    }
    let mut head = server.connect().await;
    head.send(events.replace("GET", "HEAD")).await;
    assert_eq!(undated(&head.head().await), undated(&get.head));
    assert_eq!(server.request(&POLL.replace("GET", "DELETE")).await.status, 405);
    let expecting = publication("y").replace("host: t", "host: t\r\nexpect: 100-continue");
    let mut client = server.connect().await;
    client.send(expecting).await;
    assert!(client.head().await.starts_with("HTTP/1.1 100 "));
    assert_eq!(client.answer().await.status, 204);
}

/// A stream to a client of HTTP/1.0 has no chunks.
#[tokio::test]
async fn a_stream_to_an_old_client_ends_with_its_connection() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    client.send("GET /sse?topic=t HTTP/1.0\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.0 200 OK\r\n"));
    client.take_until(b"\n\n").await;
    server.text("t", "event").await;
    assert!(client.take_until(b"\n\n").await.ends_with(b"\nevent: message\ndata: event\n\n"));
    let (_, rest) = soon(async { tokio::join!(server.stop(), client.rest()) }).await;
    assert_eq!(rest, b"");
}

/// More subscribers than are woken at once.
#[tokio::test]
async fn every_subscriber_of_a_large_topic_gets_every_event() {
    const SUBSCRIBERS: usize = 300;
    let server = Server::start(Config::default());
    let mut clients = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let mut client = server.connect().await;
        client.websocket("topic=t").await;
        clients.push(client);
    }
    let mut publisher = server.connect().await;
    for i in 0..50 {
        assert_eq!(publisher.publish("t", i.to_string(), "text/plain").await, 204);
        // Places are given up and taken while subscribers are being woken.
        clients.swap_remove(i);
        let mut client = server.connect().await;
        client.websocket("topic=u").await;
        client.frame(1, r#"{"op":"subscribe","topics":["t"]}"#).await;
    }
    for client in &mut clients[50..] {
        for i in 0..50 {
            assert_eq!(client.take_text().await, i.to_string());
        }
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    let server = Server::start(Config::default());
    for (hosts, status) in [
        ("", 400),
        ("host: a\r\nhost: a\r\n", 400),
        ("host: a, b/c\r\n", 400),
        ("host: user@a\r\n", 400),
        ("host: [::1]:80\r\n", 204),
        ("host:\r\n", 204),
    ] {
        // Of those that the front answers and those that hyper does.
        for request in [POLL.to_owned(), publication("x"), POLL.replace("GET /", "GET http://t/")] {
            let answer = server.request(&request.replace("host: t\r\n", hosts)).await;
            assert_eq!(answer.status, status, "{request}, {hosts}");
        }
    }
    let old = POLL.replace("host: t\r\n", "").replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(server.request(&old).await.status, 204);
}

#[tokio::test]
async fn a_body_is_framed_in_one_way_that_is_understood() {
    let server = Server::start(Config::default());
    let with = |framing: &str| {
        format!("POST /topics/t HTTP/1.1\r\nhost: t\r\n{framing}\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    };
    for (framing, status) in [
        ("transfer-encoding: chunked", 204),
        ("transfer-encoding: gzip, chunked", 501),
        ("transfer-encoding: gzip\r\ntransfer-encoding: chunked", 501),
        ("transfer-encoding: chunked, chunked", 400),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked", 400),
        ("content-length: 5, 5", 400),
    ] {
        assert_eq!(server.request(&with(framing)).await.status, status, "{framing}");
    }
    assert_eq!(server.stat("published").await, 1);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_sent() {
    let server = Server::start(Config::default());
    for length in ["1048577", "18446744073709551615", "99999999999999999999"] {
        for expect in ["", "expect: 100-continue\r\n"] {
            let mut client = server.connect().await;
            let head =
                format!("POST /topics/t HTTP/1.1\r\nhost: t\r\n{expect}content-length: {length}\r\n\r\n");
            let answer = client.request(&head).await;
            assert_eq!(answer.status, 413, "{length}, {expect}");
            assert_eq!(client.rest().await, b"");
        }
    }
}
