//! Each fault touches exactly what it says, by exactly its size.

use std::time::{Duration, Instant};

use reference_server::Faults;

use crate::harness::{BINARY, Server, netstrings};

async fn poll_bytes(framing_bytes: usize) -> (usize, usize) {
    let server = Server::with_faults(Faults { framing_bytes, ..Faults::default() });
    let cursor = server.now().await;
    let empty = server.get("/poll?topic=t").await;
    server.text("t", "payload").await;
    let full = server.get(&format!("/poll?topic=t&after={cursor}")).await;
    assert_eq!(full.text(), "7:payload,");
    assert!(full.header("content-type").unwrap().trim_end() == "application/octet-stream");
    (empty.wire_bytes, full.wire_bytes)
}

#[tokio::test]
async fn framing_grows_by_exactly_its_bytes_on_polls_that_bring_something() {
    let (empty, full) = poll_bytes(0).await;
    for n in [1, 2, 50] {
        assert_eq!(poll_bytes(n).await, (empty, full + n));
    }
}

#[tokio::test]
async fn framing_grows_by_exactly_its_bytes_on_event_streams() {
    let mut sizes = Vec::new();
    for framing_bytes in [0, 1, 2, 50] {
        let server = Server::with_faults(Faults { framing_bytes, ..Faults::default() });
        let mut client = server.connect().await;
        client.sse("topic=t", "").await;
        server.text("t", "payload").await;
        let chunk = client.chunk_text().await;
        // Still one event, whatever stands before it.
        let fields: Vec<_> =
            chunk.lines().filter(|line| !line.is_empty() && !line.starts_with(':')).collect();
        assert_eq!(fields[1..], ["event: message", "data: payload"]);
        sizes.push(chunk.len());
    }
    assert_eq!(sizes, [sizes[0], sizes[0] + 1, sizes[0] + 2, sizes[0] + 50]);
}

#[tokio::test]
async fn framing_grows_by_whole_pongs_on_websockets() {
    for (framing_bytes, pongs_before) in [(0, [0, 0, 0, 0]), (1, [0, 1, 0, 1]), (3, [1, 2, 1, 2])] {
        let server = Server::with_faults(Faults { framing_bytes, ..Faults::default() });
        let mut client = server.connect().await;
        client.websocket("topic=t").await;
        for pongs in pongs_before {
            server.text("t", "m").await;
            assert_eq!(client.take(2 * pongs).await, [0x8a, 0].repeat(pongs));
            assert_eq!(client.take(3).await, [0x81, 1, b'm']);
        }
    }
}

#[tokio::test]
async fn a_delay_defers_each_event_and_none_waits_for_another() {
    let delay = Duration::from_millis(60);
    let server = Server::with_faults(Faults { delay, ..Faults::default() });
    let mut stream = server.connect().await;
    stream.sse("topic=t", "").await;
    let mut socket = server.connect().await;
    socket.websocket("topic=t").await;
    let cursor = server.now().await;
    let start = Instant::now();
    for i in 0..50 {
        server.text("t", i.to_string()).await;
    }
    for i in 0..50 {
        assert_eq!(socket.take_text().await, i.to_string());
        assert!(start.elapsed() >= delay);
    }
    assert!(start.elapsed() < 50 * delay, "not one after the other");
    for i in 0..50 {
        assert!(stream.chunk_text().await.ends_with(&format!("\ndata: {i}\n\n")));
    }
    let polled = server.get(&format!("/poll?topic=t&after={cursor}")).await;
    assert!(netstrings(&polled.body).iter().map(|text| text.parse::<i32>().unwrap()).eq(0..50));
}

async fn what_arrives(faults: Faults) -> Vec<u32> {
    let server = Server::with_faults(faults);
    let cursor = server.now().await;
    for i in 1..=9 {
        server.text("t", i.to_string()).await;
        // Another topic takes part in the counting and in nothing else.
        server.text("u", "x").await;
    }
    let polled = server.get(&format!("/poll?topic=t&after={cursor}")).await;
    netstrings(&polled.body).iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn one_event_in_n_is_dropped_or_doubled_or_swapped() {
    let none = Faults::default();
    assert_eq!(what_arrives(none.clone()).await, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    // The events of t are the 1st, 3rd, 5th and so on of all.
    assert_eq!(what_arrives(Faults { drop_one_in: Some(5), ..none.clone() }).await, [1, 2, 4, 5, 6, 7, 9]);
    assert_eq!(
        what_arrives(Faults { duplicate_one_in: Some(5), ..none.clone() }).await,
        [1, 2, 3, 3, 4, 5, 6, 7, 8, 8, 9]
    );
    assert_eq!(what_arrives(Faults { swap_one_in: Some(5), ..none }).await, [1, 2, 4, 3, 5, 6, 7, 9, 8]);
}

#[tokio::test]
async fn binary_is_refused_and_text_is_not() {
    let server = Server::with_faults(Faults { refuse_binary: true, ..Faults::default() });
    assert_eq!(server.publish("t", "x", "application/octet-stream").await, 415);
    assert_eq!(server.publish("t", "x", "text/plain").await, 204);
    for query in ["publish=t", "echo=1"] {
        let mut client = server.connect().await;
        client.websocket(query).await;
        client.frame(BINARY, "x").await;
        client.expect_close(1003).await;
    }
    assert_eq!(server.stat("published").await, 1);
}

#[tokio::test]
async fn each_delivery_burns_its_time() {
    let spin = Duration::from_millis(5);
    let server = Server::with_faults(Faults { spin, ..Faults::default() });
    let mut client = server.connect().await;
    client.websocket("topic=t").await;
    let start = Instant::now();
    for _ in 0..10 {
        server.text("t", "x").await;
    }
    for _ in 0..10 {
        client.take_text().await;
    }
    assert!(start.elapsed() >= 10 * spin);
}
