//! `GET /ws`.

use reference_server::Config;

use crate::harness::{BINARY, Server, TEXT, frame, soon};

const CLOSE: u8 = 8;
const PING: u8 = 9;

#[tokio::test]
async fn a_message_costs_two_or_four_bytes_of_header() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    client.websocket("topic=t").await;
    let payload = "x".repeat(100);
    server.text("t", &payload).await;
    assert_eq!(client.take(102).await, [&[0x81, 100], payload.as_bytes()].concat());
    let payload = [7; 1000];
    assert_eq!(server.publish("t", payload, "application/octet-stream").await, 204);
    assert_eq!(client.take(1004).await, [&[0x82, 126, 3, 0xe8], &payload[..]].concat());
}

#[tokio::test]
async fn what_is_sent_goes_to_the_topic_as_it_was_sent() {
    let server = Server::start(Config::default());
    let cursor = server.now().await;
    let mut listener = server.connect().await;
    listener.websocket("topic=t").await;
    let mut client = server.connect().await;
    client.websocket("publish=t").await;
    client.frame(TEXT, "[1,2]").await;
    client.frame(BINARY, b"{\"op\":\xff").await;
    // In two fragments.
    client.send([&[0x01], &frame(TEXT, b"ab")[1..], &[0x80], &frame(0, b"cd")[1..]].concat()).await;
    assert_eq!(listener.take_frame().await, (0x81, b"[1,2]".to_vec()));
    assert_eq!(listener.take_frame().await, (0x82, b"{\"op\":\xff".to_vec()));
    assert_eq!(listener.take_frame().await, (0x81, b"abcd".to_vec()));
    let polled = server.get(&format!("/poll?topic=t&after={cursor}")).await;
    assert_eq!(polled.body, b"5:[1,2],7:{\"op\":\xff,4:abcd,");
}

#[tokio::test]
async fn an_echo_comes_back_to_its_sender_alone() {
    let server = Server::start(Config::default());
    let mut bystander = server.connect().await;
    bystander.websocket("echo=1&topic=t").await;
    let mut client = server.connect().await;
    client.websocket("echo=1").await;
    for i in 0..100 {
        client.frame(TEXT, format!("m{i}")).await;
        assert_eq!(client.take_text().await, format!("m{i}"));
    }
    client.frame(BINARY, [0, 1]).await;
    assert_eq!(client.take_frame().await, (0x82, vec![0, 1]));
    assert_eq!(server.stat("published").await, 0);
    assert_eq!(server.stat("echoed").await, 101);
    bystander.frame(TEXT, "own").await;
    assert_eq!(bystander.take_text().await, "own", "and nothing before it");
}

#[tokio::test]
async fn commands_are_answered_in_order() {
    let server = Server::start(Config::default());
    server.text("t", "before").await;
    let start = server.now().await;
    server.text("t", "between").await;
    let mut client = server.connect().await;
    client.websocket("").await;
    client.frame(TEXT, format!(r#"{{"op":"subscribe","topics":["t"],"after":"{start}"}}"#)).await;
    client.frame(TEXT, r#"{"op":"publish","topic":"t"}"#).await;
    assert_eq!(client.take_text().await, format!(r#"{{"op":"subscribe","cursor":"{start}"}}"#));
    let mut texts = [client.take_text().await, client.take_text().await];
    texts.sort();
    assert_eq!(texts, ["between", r#"{"op":"publish","topic":"t"}"#]);
    client.frame(TEXT, "own").await;
    assert_eq!(client.take_text().await, "own");
    for nonsense in [
        r#"{"op":"subscribe","topics":["a b"]}"#,
        r#"{"op":"subscribe","topics":["t"],"after":"?"}"#,
        r#"{"op":"publish"}"#,
        r#"{"op":"dance"}"#,
        r#"{"op":"#,
    ] {
        client.frame(TEXT, nonsense).await;
        let answer: serde_json::Value = serde_json::from_str(&client.take_text().await).unwrap();
        assert_eq!(answer["op"], "error", "{nonsense}");
        assert!(!answer["reason"].as_str().unwrap().is_empty());
    }
    client.frame(TEXT, "still here").await;
    assert_eq!(client.take_text().await, "still here");
}

#[tokio::test]
async fn a_subscription_is_in_force_when_its_command_is_answered() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    client.websocket("").await;
    client.frame(TEXT, r#"{"op":"subscribe","topics":["t","u"]}"#).await;
    assert!(client.take_text().await.starts_with(r#"{"op":"subscribe","cursor":""#));
    server.text("u", "1").await;
    server.text("t", "2").await;
    assert_eq!(client.take_text().await, "1");
    assert_eq!(client.take_text().await, "2");
}

#[tokio::test]
async fn a_subscribe_behind_an_older_cursor_skips_nothing() {
    let server = Server::start(Config::default());
    let start = server.now().await;
    server.text("t", "t1").await;
    server.text("u", "u1").await;
    let mut client = server.connect().await;
    client.websocket("topic=t").await;
    server.text("t", "t2").await;
    assert_eq!(client.take_text().await, "t2");
    // Another topic, and the one that is followed already, from before.
    let subscribe = |topic: &str| format!(r#"{{"op":"subscribe","topics":["{topic}"],"after":"{start}"}}"#);
    client.frame(TEXT, subscribe("u")).await;
    // Whoever came back with this cursor would get everything that is still to come.
    assert_eq!(client.take_text().await, format!(r#"{{"op":"subscribe","cursor":"{start}"}}"#));
    assert_eq!(client.take_text().await, "u1");
    client.frame(TEXT, subscribe("t")).await;
    assert_eq!(client.take_text().await, format!(r#"{{"op":"subscribe","cursor":"{start}"}}"#));
    assert_eq!([client.take_text().await, client.take_text().await], ["t1", "t2"]);
    // A cursor further on than a client has got skips nothing either.
    client
        .frame(TEXT, format!(r#"{{"op":"subscribe","topics":["t","u"],"after":"{}"}}"#, server.now().await))
        .await;
    client.take_text().await;
    server.text("u", "u2").await;
    assert_eq!(client.take_text().await, "u2");
}

#[tokio::test]
async fn an_empty_message_is_echoed_and_not_published() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    client.websocket("echo=1").await;
    client.frame(TEXT, "").await;
    assert_eq!(client.take_text().await, "");
    let mut client = server.connect().await;
    client.websocket("publish=t").await;
    client.frame(TEXT, "").await;
    client.expect_close(1008).await;
}

#[tokio::test]
async fn pings_are_answered_and_closes_mirrored() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    client.websocket("topic=t").await;
    client.frame(PING, "are you there").await;
    assert_eq!(client.take_frame().await, (0x8a, b"are you there".to_vec()));
    client.frame(CLOSE, 1000u16.to_be_bytes()).await;
    assert_eq!(client.take_frame().await, (0x88, 1000u16.to_be_bytes().to_vec()));
    assert_eq!(client.rest().await, b"");
    soon(async { while server.stat("subscribers.websocket").await > 0 {} }).await;
}

#[tokio::test]
async fn each_breach_has_its_close_code() {
    let server = Server::start(Config { max_payload_bytes: 1000, ..Config::default() });
    let unmasked = [0x81, 1, b'x'];
    let not_utf8 = frame(TEXT, b"\xff");
    let too_big = frame(TEXT, &[b'x'; 1001]);
    let far_too_big = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
    let in_pieces =
        [&[0x01], &frame(TEXT, &[b'x'; 900])[1..], &[0x80], &frame(0, &[b'x'; 101])[1..]].concat();
    let pointless = frame(TEXT, b"x");
    for (query, bytes, code) in [
        ("publish=t", &unmasked[..], 1002),
        ("publish=t", &not_utf8, 1007),
        ("publish=t", &too_big, 1009),
        ("publish=t", &far_too_big, 1009),
        ("publish=t", &in_pieces, 1009),
        ("topic=t", &pointless, 1008),
    ] {
        let mut client = server.connect().await;
        client.websocket(query).await;
        client.send(bytes).await;
        client.expect_close(code).await;
    }
    assert_eq!(server.stat("published").await, 0);
}

#[tokio::test]
async fn a_message_of_the_largest_size_passes() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    client.websocket("echo=1").await;
    let payload = "m".repeat(1 << 20);
    client.frame(TEXT, &payload).await;
    assert_eq!(client.take_text().await, payload);
}

#[tokio::test]
async fn an_upgrade_must_be_one() {
    let server = Server::start(Config::default());
    for head in [
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 12\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13",
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: short",
        "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-version: 8\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: not base 64, of 24 chars!",
    ] {
        let answer = server.request(&format!("GET /ws HTTP/1.1\r\nhost: t\r\n{head}\r\n\r\n")).await;
        assert_eq!(answer.status, 400, "{head}");
        assert_eq!(answer.header("sec-websocket-version"), Some("13"), "{head}");
    }
}

#[tokio::test]
async fn two_ends_that_only_send_do_not_wait_for_each_other() {
    let server = Server::start(Config::default());
    let mut client = server.connect_narrow().await;
    client.websocket("topic=t&publish=t").await;
    // More than all buffers between the two hold, so that writing it all needs the server to go on reading.
    const MESSAGES: u64 = 6000;
    let message = frame(TEXT, &[b'x'; 4096]);
    for _ in 0..MESSAGES {
        client.send(&message).await;
    }
    let (mut received, mut missed) = (0, 0);
    while received + missed < MESSAGES {
        let text = client.take_text().await;
        match text.strip_prefix(r#"{"op":"missed","count":"#) {
            Some(count) => missed += count.strip_suffix('}').unwrap().parse::<u64>().unwrap(),
            None => received += 1,
        }
    }
    assert_eq!(received + missed, MESSAGES);
    assert_eq!(server.stat("dropped").await, missed);
    assert_eq!(server.stat("delivered").await, received);
}
