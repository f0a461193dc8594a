//! `GET /sse`.

use std::time::Duration;

use reference_server::Config;
use reference_server::hub::Limits;

use crate::harness::Server;

#[tokio::test]
async fn a_stream_byte_for_byte() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    let (head, id) = client.sse("topic=t", "").await;
    assert!(head.contains("\r\ncontent-type: text/event-stream\r\n"), "{head}");
    let (hub, start) = id.split_once('-').unwrap();
    assert_eq!(start, "0");
    server.text("t", "plain").await;
    server.text("t", " two\nlines\n").await;
    server.text("t", "\n").await;
    assert_eq!(server.publish("t", [0xff, 0, 10], "application/octet-stream").await, 204);
    server.text("t", "a\r\nb").await;
    // The size of a chunk, its content, and nothing else.
    let expected = format!(
        "3a\r\nid: {hub}-1\nevent: message\ndata: plain\n\n\r\n\
         4c\r\nid: {hub}-2\nevent: message\ndata:  two\ndata: lines\ndata: \n\n\r\n\
         35\r\nid: {hub}-3\nevent: message\ndata: \ndata: \n\n\r\n\
         38\r\nid: {hub}-4\nevent: base64\ndata: /wAK\n\n\r\n\
         3c\r\nid: {hub}-5\nevent: base64\ndata: YQ0KYg==\n\n\r\n"
    );
    let expected = fix_sizes(&expected);
    assert_eq!(String::from_utf8(client.take(expected.len()).await).unwrap(), expected);
}

/// Computes the chunk sizes, so that the expectation above may be read and not counted.
fn fix_sizes(text: &str) -> String {
    let mut out = String::new();
    for chunk in text.split_inclusive("\n\r\n") {
        let (_, content) = chunk.split_once("\r\n").unwrap();
        out += &format!("{:X}\r\n{content}", content.len() - 2);
    }
    out
}

#[tokio::test]
async fn several_topics_arrive_in_the_order_of_publication() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    client.sse("topic=a&topic=b", "").await;
    for (topic, payload) in [("b", "1"), ("a", "2"), ("b", "3")] {
        server.text(topic, payload).await;
        assert!(client.chunk_text().await.ends_with(&format!("\ndata: {payload}\n\n")));
    }
}

#[tokio::test]
async fn a_stream_resumes_behind_the_last_event_id() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    client.sse("topic=t&topic=u", "").await;
    server.text("t", "seen").await;
    let event = client.chunk_text().await;
    let id = event.lines().next().unwrap().strip_prefix("id: ").unwrap().to_owned();
    drop(client);
    server.text("u", "missed 1").await;
    server.text("t", "missed 2").await;
    // The header takes the place of after=.
    let mut client = server.connect().await;
    let now = server.now().await;
    let (_, start) =
        client.sse(&format!("topic=t&topic=u&after={now}"), &format!("Last-Event-ID: {id}\r\n")).await;
    assert_eq!(start, id, "a stream that is cut before its first event must resume where this one did");
    assert!(client.chunk_text().await.ends_with("\ndata: missed 1\n\n"));
    assert!(client.chunk_text().await.ends_with("\ndata: missed 2\n\n"));
    let mut client = server.connect().await;
    client.sse(&format!("topic=t&topic=u&after={id}"), "").await;
    assert!(client.chunk_text().await.ends_with("\ndata: missed 1\n\n"));
    let bad = "GET /sse?topic=t HTTP/1.1\r\nhost: t\r\nlast-event-id: ?\r\n\r\n";
    assert_eq!(server.request(bad).await.status, 400);
}

#[tokio::test]
async fn what_the_history_no_longer_has_is_told_first() {
    let limits = Limits { history_events: 2, ..Limits::default() };
    let server = Server::start(Config { limits, ..Config::default() });
    server.text("t", "0").await;
    let cursor = server.now().await;
    for payload in ["1", "2", "3"] {
        server.text("t", payload).await;
    }
    let mut client = server.connect().await;
    client.sse(&format!("topic=t&after={cursor}"), "").await;
    assert_eq!(client.chunk_text().await, "event: missed\ndata: 1\n\n");
    assert!(client.chunk_text().await.ends_with("data: 2\n\n"));
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive() {
    let server = Server::start(Config { keep_alive: Duration::from_millis(5), ..Config::default() });
    let mut client = server.connect().await;
    client.sse("topic=t", "").await;
    assert_eq!(client.chunk_text().await, ":\n");
    assert_eq!(client.chunk_text().await, ":\n");
}

#[tokio::test]
async fn all_subscribers_of_a_topic_get_the_same_bytes() {
    let server = Server::start(Config::default());
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = server.connect().await;
        client.sse("topic=t", "").await;
        clients.push(client);
    }
    for i in 0..20 {
        server.text("t", format!("event {i}")).await;
    }
    let mut chunks = Vec::new();
    for _ in 0..20 {
        chunks.push(clients[0].chunk().await);
    }
    for client in &mut clients[1..] {
        for chunk in &chunks {
            assert_eq!(&client.chunk().await, chunk);
        }
    }
    assert_eq!(server.stat("delivered").await, 50 * 20);
}
