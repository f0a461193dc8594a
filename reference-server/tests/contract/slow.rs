//! Subscribers that do not keep up.

use reference_server::Config;
use reference_server::hub::{Limits, SlowPolicy};

use crate::harness::{Client, Server, soon};

const PAYLOAD_BYTES: usize = 60_000;

fn server(slow: SlowPolicy) -> Server {
    let limits = Limits { history_events: 8, queue_events: 4, slow, ..Limits::default() };
    Server::start(Config { limits, ..Config::default() })
}

/// Publishes until the server counted one more of `stat`; returns how many it took.
async fn publish_until(server: &Server, stat: &str) -> u64 {
    let mut published = 0;
    let mut client = server.connect().await;
    while server.stat(stat).await == 0 {
        let payload = format!("{published:0PAYLOAD_BYTES$}");
        assert_eq!(client.publish("t", payload, "text/plain").await, 204);
        published += 1;
        assert!(published < 2000, "the buffers of the system cannot be that large");
    }
    published
}

/// An unread stream must not hold up the next one.
async fn fill_while_another_reads(server: &Server, bystander: &mut Client) -> u64 {
    let mut published = 0;
    while server.stat("queued_events").await < 4 {
        server.text("t", format!("{published:0PAYLOAD_BYTES$}")).await;
        assert_eq!(bystander.take_text().await.parse::<u64>().unwrap(), published);
        published += 1;
        assert!(published < 2000, "the buffers of the system cannot be that large");
    }
    published
}

#[tokio::test]
async fn one_that_never_reads_does_not_stall_others() {
    for open in ["/sse", "/ws"] {
        let server = server(SlowPolicy::DropOldest);
        let mut bystander = server.connect().await;
        bystander.websocket("topic=t").await;
        let mut stuck = server.connect_narrow().await;
        match open {
            "/sse" => drop(stuck.sse("topic=t", "").await),
            _ => stuck.websocket("topic=t").await,
        }
        let published = soon(fill_while_another_reads(&server, &mut bystander)).await;
        assert!(published > 4);
        assert_eq!(server.stat("queued_events_max").await, 4);
    }
}

#[tokio::test]
async fn an_event_stream_that_lost_events_is_told_how_many() {
    let server = server(SlowPolicy::DropOldest);
    let mut client = server.connect_narrow().await;
    client.sse("topic=t", "").await;
    // What falls off the end of the queue is counted when the client takes again, so let some fall off.
    while server.stat("queued_events").await < 8 {
        server.text("t", vec![b'x'; PAYLOAD_BYTES]).await;
    }
    let published = server.stat("published").await;
    let (mut received, mut missed) = (0, 0);
    while received + missed < published {
        let chunk = client.chunk_text().await;
        match chunk.strip_prefix("event: missed\ndata: ") {
            Some(count) => missed += count.trim_end().parse::<u64>().unwrap(),
            None => received += 1,
        }
    }
    assert_eq!(received + missed, published);
    assert_eq!(missed, 4);
    assert_eq!(server.stat("dropped").await, missed);
    assert_eq!(server.stat("slow_disconnects").await, 0);
}

#[tokio::test]
async fn a_websocket_is_closed_with_1013_where_that_is_the_policy() {
    let server = server(SlowPolicy::Disconnect);
    let mut client = server.connect_narrow().await;
    client.websocket("topic=t").await;
    publish_until(&server, "slow_disconnects").await;
    loop {
        let (first, payload) = client.take_frame().await;
        if first == 0x88 {
            assert_eq!(payload[..2], 1013u16.to_be_bytes());
            break;
        }
    }
    assert_eq!(client.rest().await, b"");
    assert_eq!(server.stat("slow_disconnects").await, 1);
}

#[tokio::test]
async fn an_event_stream_is_ended_where_that_is_the_policy() {
    let server = server(SlowPolicy::Disconnect);
    let mut client = server.connect_narrow().await;
    client.sse("topic=t", "").await;
    publish_until(&server, "slow_disconnects").await;
    soon(async { while server.stat("subscribers.sse").await > 0 {} }).await;
    let rest = client.rest().await;
    assert!(!rest.ends_with(b"\r\n0\r\n\r\n"), "it is broken off, not ended");
}

#[tokio::test]
async fn a_websocket_that_never_reads_again_is_ended_all_the_same() {
    let server = server(SlowPolicy::Disconnect);
    let mut client = server.connect_narrow().await;
    client.websocket("topic=t").await;
    publish_until(&server, "slow_disconnects").await;
    soon(async { while server.stat("subscribers.websocket").await > 0 {} }).await;
}
