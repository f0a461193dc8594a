//! Each fault touches exactly what it says, by exactly its size.

use std::time::{Duration, Instant};

use reference_server::Faults;

use crate::harness::{BINARY, PING, Server, TEXT, netstrings};

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

/// What comes back to a client that sends nine messages to itself, once so many have passed the fault.
async fn what_is_echoed(faults: Faults, passed: u64) -> Vec<String> {
    let server = Server::with_faults(faults);
    let mut client = server.connect().await;
    client.websocket("echo=1").await;
    for i in 1..=9 {
        client.frame(TEXT, i.to_string()).await;
    }
    // The answer to a ping that comes after them is behind them.
    server.until_stat("published", passed).await;
    client.frame(PING, "").await;
    let mut echoed = Vec::new();
    loop {
        match client.take_frame().await {
            (0x81, text) => echoed.push(String::from_utf8(text).unwrap()),
            (0x8a, _) => return echoed,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_happens_to_events_happens_to_echoes() {
    let none = Faults::default();
    for (faults, expected) in [
        (Faults { drop_one_in: Some(3), ..none.clone() }, "1 2 4 5 7 8"),
        (Faults { duplicate_one_in: Some(4), ..none.clone() }, "1 2 3 4 4 5 6 7 8 8 9"),
        (Faults { swap_one_in: Some(4), ..none.clone() }, "1 2 3 5 4 6 7 9 8"),
        (Faults { corrupt_one_in: Some(5), ..none.clone() }, "1 2 3 4 6 6 7 8 9"),
    ] {
        let passed = expected.split(' ').count() as u64;
        assert_eq!(what_is_echoed(faults.clone(), passed).await.join(" "), expected, "{faults:?}");
    }
    let delay = Duration::from_millis(60);
    let server = Server::with_faults(Faults { delay, ..none });
    let mut client = server.connect().await;
    client.websocket("echo=1").await;
    let start = Instant::now();
    client.frame(TEXT, "late").await;
    assert_eq!(client.take_text().await, "late");
    assert!(start.elapsed() >= delay);
}

/// An echo is nobody else's business: neither that of a client who shares the connection's topics, nor of another echo.
#[tokio::test]
async fn an_echo_that_takes_the_way_of_an_event_comes_to_its_sender_alone() {
    let server = Server::with_faults(Faults { drop_one_in: Some(100), ..Faults::default() });
    let (mut one, mut other) = (server.connect().await, server.connect().await);
    one.websocket("topic=t&echo=1").await;
    other.websocket("topic=t&echo=1").await;
    one.frame(TEXT, "mine").await;
    other.frame(TEXT, "its own").await;
    assert_eq!(one.take_text().await, "mine");
    assert_eq!(other.take_text().await, "its own");
    server.text("t", "everybody's").await;
    assert_eq!(one.take_text().await, "everybody's");
    assert_eq!(other.take_text().await, "everybody's");
}

#[tokio::test]
async fn one_message_in_n_is_refused() {
    let server = Server::with_faults(Faults { reject_one_in: Some(2), ..Faults::default() });
    for expected in [204, 503, 204, 503] {
        assert_eq!(server.publish("t", "x", "text/plain").await, expected);
    }
    for query in ["publish=t", "echo=1"] {
        let mut client = server.connect().await;
        client.websocket(&format!("topic=t&{query}")).await;
        client.frame(TEXT, "x").await;
        assert_eq!(client.take_text().await, "x");
        client.frame(TEXT, "y").await;
        client.expect_close(1013).await;
    }
}

#[tokio::test]
async fn a_connection_is_cut_behind_so_many_messages() {
    let server = Server::with_faults(Faults { cut_after: Some(3), ..Faults::default() });
    let (mut socket, mut stream) = (server.connect().await, server.connect().await);
    socket.websocket("topic=t").await;
    stream.sse("topic=t", "").await;
    let mut echo = server.connect().await;
    echo.websocket("echo=1").await;
    let cursor = server.now().await;
    for i in 1..=5 {
        server.text("t", i.to_string()).await;
    }
    for i in 1..=3 {
        echo.frame(TEXT, i.to_string()).await;
        assert_eq!(socket.take_text().await, i.to_string());
        assert_eq!(echo.take_text().await, i.to_string());
        assert!(stream.chunk_text().await.ends_with(&format!("\ndata: {i}\n\n")));
    }
    for mut client in [socket, stream, echo] {
        assert!(client.is_reset().await);
    }
    // A poll takes the rest on the next connection.
    let polled = server.get(&format!("/poll?topic=t&after={cursor}")).await;
    assert_eq!(netstrings(&polled.body), ["1", "2", "3"]);
    let cursor = polled.header("rtbench-cursor").unwrap();
    let polled = server.get(&format!("/poll?topic=t&after={cursor}")).await;
    assert_eq!(netstrings(&polled.body), ["4", "5"]);
}

#[tokio::test]
async fn so_many_subscribers_are_let_in_and_no_more() {
    let server = Server::with_faults(Faults { refuse_after: Some(3), ..Faults::default() });
    let (mut socket, mut stream) = (server.connect().await, server.connect().await);
    socket.websocket("topic=t").await;
    stream.sse("topic=t", "").await;
    // Who asks where a topic stands subscribes to nothing; who polls on takes one place for all that comes.
    let cursor = server.now().await;
    let mut poll = server.connect().await;
    for _ in 0..2 {
        assert_eq!(poll.get(&format!("/poll?topic=t&after={cursor}")).await.status, 204);
    }
    for path in [format!("/poll?topic=t&after={cursor}"), "/sse?topic=t".into()] {
        assert_eq!(server.get(&path).await.status, 503);
    }
    let upgrade = "GET /ws?topic=t HTTP/1.1\r\nhost: t\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(server.request(upgrade).await.status, 503);
    // Who is in stays in, and publishing is open to all.
    server.text("t", "still").await;
    assert_eq!(socket.take_text().await, "still");
    assert!(stream.chunk_text().await.ends_with("\ndata: still\n\n"));
}

#[tokio::test]
async fn a_publish_is_acted_on_at_once_and_answered_late() {
    let answer_delay = Duration::from_millis(300);
    let server = Server::with_faults(Faults { answer_delay, ..Faults::default() });
    let mut socket = server.connect().await;
    socket.websocket("topic=t").await;
    let start = Instant::now();
    let mut publisher = server.connect().await;
    publisher.send("POST /topics/t HTTP/1.1\r\nhost: t\r\ncontent-length: 1\r\n\r\nx").await;
    assert_eq!(socket.take_text().await, "x");
    let delivered = start.elapsed();
    assert_eq!(publisher.answer().await.status, 204);
    let answered = start.elapsed();
    assert!(answered >= answer_delay && delivered < answered, "{delivered:?} {answered:?}");
    // The same for a request that is not plain.
    let start = Instant::now();
    publisher.send("POST /topics/t%2e HTTP/1.1\r\nhost: t\r\ncontent-length: 1\r\n\r\nx").await;
    assert_eq!(publisher.answer().await.status, 204);
    assert!(start.elapsed() >= answer_delay);
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
