//! `POST /topics/{topic}`, the errors of all routes, and the routes for people.

use reference_server::Config;

use crate::harness::{Server, soon};

#[tokio::test]
async fn text_and_binary_are_told_apart_by_content_type() {
    let server = Server::start(Config::default());
    let cursor = server.now().await;
    assert_eq!(server.publish("t", b"\xff\x00,:", "Application/Octet-Stream; x=y").await, 204);
    assert_eq!(server.publish("t", "h\u{e9}", "application/json").await, 204);
    assert_eq!(server.publish("t", b"\xff", "text/plain").await, 400, "not UTF-8");
    let answer = server.get(&format!("/poll?topic=t&after={cursor}")).await;
    assert_eq!(answer.body, b"4:\xff\x00,:,3:h\xc3\xa9,");
    assert_eq!(server.stat("published").await, 2);
    assert_eq!(server.stat("published_bytes").await, 7);
}

#[tokio::test]
async fn what_cannot_be_understood_is_told_in_one_line() {
    let server = Server::start(Config::default());
    let long = "x".repeat(129);
    for path in [
        "/poll",
        "/poll?topic=a%20b",
        "/poll?topic=a&after=z",
        "/poll?topic=a&wait=x",
        "/poll?topic=a&more=1",
        "/sse",
        "/sse?topic=",
        &format!("/sse?topic={long}"),
        "/ws?topic=a",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.text().matches('\n').count(), 1, "{path}");
        assert!(answer.text().ends_with('\n'), "{path}");
    }
    assert_eq!(server.publish("a%20b", "x", "text/plain").await, 400);
    assert_eq!(server.publish("", "x", "text/plain").await, 404);
    assert_eq!(server.get("/nowhere").await.status, 404);
    assert_eq!(server.get("/rtc/nowhere").await.status, 404);
    assert_eq!(server.publish(&"x".repeat(128), "x", "text/plain").await, 204);
}

#[tokio::test]
async fn a_payload_over_the_limit_is_refused() {
    let server = Server::start(Config { max_payload_bytes: 1000, ..Config::default() });
    assert_eq!(server.publish("t", [b'x'; 1000], "text/plain").await, 204);
    assert_eq!(server.publish("t", [b'x'; 1001], "text/plain").await, 413);
    assert_eq!(server.stat("published").await, 1);
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    for i in 0..50 {
        assert_eq!(client.publish("t", i.to_string(), "text/plain").await, 204);
        assert_eq!(client.get("/healthz").await.text(), "ok");
    }
    assert_eq!(server.stat("published").await, 50);
}

#[tokio::test]
async fn garbage_ends_its_own_connection_and_no_other() {
    let server = Server::start(Config::default());
    let mut bystander = server.connect().await;
    bystander.get("/healthz").await;
    for garbage in [
        &b"\x16\x03\x01\x00\xa5\x01\x00\x00"[..],
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        &[b'x'; 20_000],
    ] {
        let mut client = server.connect().await;
        client.send(garbage).await;
        soon(async {
            // A reset is an end as well: the server left some of the garbage unread.
            use tokio::io::AsyncReadExt;
            let mut sink = Vec::new();
            let _ = client.stream.read_to_end(&mut sink).await;
            assert!(sink.is_empty() || sink.starts_with(b"HTTP/1.1 4"), "{sink:?}");
        })
        .await;
    }
    assert_eq!(bystander.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn stats_and_metrics_say_the_same() {
    let server = Server::start(Config::default());
    let mut stream = server.connect().await;
    stream.sse("topic=t", "").await;
    server.text("t", "12345").await;
    stream.chunk().await;
    let metrics = server.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "# TYPE rtbench_server_delivered_total counter",
        "rtbench_server_delivered_total 1",
        "rtbench_server_delivered_bytes_total 5",
        "# TYPE rtbench_server_subscribers gauge",
        "rtbench_server_subscribers{protocol=\"sse\"} 1",
        "rtbench_server_subscribers{protocol=\"websocket\"} 0",
        "rtbench_server_topics 1",
        "rtbench_server_queued_events 0",
    ] {
        assert!(metrics.text().lines().any(|other| other == line), "{line} in {}", metrics.text());
    }
    // Each sample follows the HELP and TYPE of its own name.
    let mut name = "";
    for line in metrics.text().lines() {
        match line.strip_prefix("# HELP ") {
            Some(help) => name = help.split(' ').next().unwrap(),
            None => assert!(line.trim_start_matches("# TYPE ").starts_with(name), "{line}"),
        }
    }
    assert_eq!(server.stat("delivered").await, 1);
    assert_eq!(server.stat("subscribers.sse").await, 1);
}

#[tokio::test]
async fn an_empty_payload_and_an_unknown_parameter_are_refused() {
    let server = Server::start(Config::default());
    for kind in ["text/plain", "application/octet-stream"] {
        assert_eq!(server.publish("t", "", kind).await, 400);
        assert_eq!(server.publish("t?x=1", "x", kind).await, 400);
    }
    for path in ["/healthz?x", "/stats?x=1", "/metrics?x", "/rtc/nowhere?x"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.text(), "unknown or repeated query parameter: \"x\"\n");
    }
    assert_eq!(server.stat("published").await, 0);
    assert_eq!(server.get("/browser?protocol=sse&topic=t&report=r").await.status, 200);
}
