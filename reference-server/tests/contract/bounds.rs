//! What one client can take from the server: memory and time are bounded, and what is over is counted or refused.

use std::time::Duration;

use reference_server::Config;
use reference_server::hub::Limits;

use crate::harness::{PING, Server, TEXT, frame, netstrings, soon};

fn server(limits: Limits) -> Server {
    Server::start(Config { limits, ..Config::default() })
}

#[tokio::test]
async fn a_topic_keeps_so_many_bytes_and_says_what_is_missing() {
    let server = server(Limits { topic_bytes: 1 << 20, ..Limits::default() });
    server.text("t", "first").await;
    let cursor = server.now().await;
    for i in 0..100 {
        server.text("t", format!("{i:010000}")).await;
    }
    let answer = server.get(&format!("/poll?topic=t&after={cursor}")).await;
    assert_eq!(answer.header("rtbench-missed"), Some("1"));
    let kept: Vec<u64> = netstrings(&answer.body).iter().map(|text| text.parse().unwrap()).collect();
    // 34 KB each, with the forms in which they are sent.
    assert!((25..35).contains(&kept.len()), "{}", kept.len());
    assert!(kept.iter().copied().eq(100 - kept.len() as u64..100));
    assert!(server.stat("history_bytes").await <= 1 << 20);
    assert!(server.stat("evicted").await >= 65);
}

#[tokio::test]
async fn the_largest_history_gives_first() {
    let server = server(Limits { history_bytes: 2 << 20, ..Limits::default() });
    let cursor = server.now().await;
    for i in 0..10 {
        server.text("small", i.to_string()).await;
    }
    for _ in 0..100 {
        server.text("large", vec![b'x'; 50_000]).await;
        assert!(server.stat("history_bytes").await <= 2 << 20);
    }
    let answer = server.get(&format!("/poll?topic=small&after={cursor}")).await;
    assert_eq!(netstrings(&answer.body).len(), 10);
    assert_eq!(answer.header("rtbench-missed"), None);
}

#[tokio::test]
async fn a_topic_that_nobody_uses_is_forgotten_and_one_that_is_followed_is_not() {
    let server = server(Limits { topic_idle: Duration::from_millis(200), ..Limits::default() });
    let start = server.now().await;
    let mut follower = server.connect().await;
    follower.websocket("topic=followed").await;
    server.text("left", "x").await;
    server.text("followed", "y").await;
    server.until_stat("forgotten_topics", 1).await;
    assert_eq!(server.stat("topics").await, 1);
    // What was in it is missing, and nobody pretends that there was nothing.
    let answer = server.get(&format!("/poll?topic=followed&after={start}")).await;
    assert_eq!(netstrings(&answer.body), ["y"]);
    server.text("left", "z").await;
    let cursor = server.get("/poll?topic=left").await.header("rtbench-cursor").unwrap().to_owned();
    let [hub, _] = cursor.split('-').collect::<Vec<_>>()[..] else { panic!("{cursor}") };
    let answer = server.get(&format!("/poll?topic=left&after={hub}-0")).await;
    assert_eq!(netstrings(&answer.body), ["z"]);
    let behind_nothing = server.get(&format!("/poll?topic=left&after={cursor}")).await;
    assert_eq!((behind_nothing.status, behind_nothing.header("rtbench-missed")), (204, None));
}

#[tokio::test]
async fn topics_of_one_client_are_bounded_and_a_command_is_obeyed_as_a_whole() {
    let server = server(Limits { client_topics: 10, ..Limits::default() });
    let query: String = (0..11).map(|i| format!("topic=t{i}&")).collect();
    for path in ["poll", "sse", "ws"] {
        let answer =
            match path {
                "poll" => server.get(&format!("/poll?{query}wait=0")).await,
                "sse" => server.get(&format!("/sse?{query}")).await,
                _ => server
                    .request(&format!(
                        "GET /ws?{query} HTTP/1.1\r\nhost: t\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                    ))
                    .await,
            };
        assert_eq!((answer.status, answer.text()), (400, "a client may follow 10 topics\n"), "{path}");
    }
    let mut client = server.connect().await;
    client.websocket("topic=a").await;
    let names: Vec<_> = (0..75_000).map(|i| format!("\"t{i}\"")).collect();
    client.frame(TEXT, format!(r#"{{"op":"subscribe","topics":[{}]}}"#, names.join(","))).await;
    assert_eq!(client.take_text().await, r#"{"op":"error","reason":"a client may follow 10 topics"}"#);
    assert_eq!(server.stat("topics").await, 1);
    client.frame(TEXT, format!(r#"{{"op":"subscribe","topics":[{}]}}"#, names[..9].join(","))).await;
    assert!(client.take_text().await.starts_with(r#"{"op":"subscribe","#));
}

#[tokio::test]
async fn topics_in_all_are_bounded_and_those_that_nobody_follows_make_room() {
    // Half of it for 512 bytes each: 16.
    let server = server(Limits { history_bytes: 16 << 10, ..Limits::default() });
    for i in 0..100 {
        server.text(&format!("t{i}"), "x").await;
        assert!(server.stat("topics").await <= 16);
    }
    let mut clients = Vec::new();
    for i in 0..16 {
        let mut client = server.connect().await;
        client.websocket(&format!("topic=own{i}")).await;
        clients.push(client);
    }
    assert_eq!(server.get("/sse?topic=more").await.status, 503);
    assert_eq!(server.publish("more", "x", "text/plain").await, 503);
    assert_eq!(server.publish("own3", "x", "text/plain").await, 204);
    assert_eq!(clients[3].take_text().await, "x");
    assert!(server.stat("refused_topics").await >= 2);
}

#[tokio::test]
async fn echoes_that_nobody_reads_are_bounded_in_bytes_and_what_is_lost_is_told() {
    let server = server(Limits { client_bytes: 1 << 20, ..Limits::default() });
    let mut client = server.connect_narrow().await;
    client.websocket("echo=1").await;
    const MESSAGES: u64 = 40;
    for _ in 0..MESSAGES {
        client.frame(TEXT, vec![b'x'; 500_000]).await;
        assert!(server.stat("buffered_bytes").await < 3 << 20);
    }
    let (mut received, mut missed) = (0, 0);
    while received + missed < MESSAGES {
        match client.take_text().await.strip_prefix(r#"{"op":"missed","count":"#) {
            Some(count) => missed += count.strip_suffix('}').unwrap().parse::<u64>().unwrap(),
            None => received += 1,
        }
    }
    assert!(missed > 10, "{missed}");
    assert_eq!(server.stat("dropped").await, missed);
}

#[tokio::test]
async fn of_those_that_buffer_too_much_together_the_one_that_buffers_most_is_broken() {
    let server = server(Limits { buffer_bytes: 2 << 20, ..Limits::default() });
    let mut bystander = server.connect().await;
    bystander.websocket("echo=1").await;
    let mut clients = Vec::new();
    for kilobytes in [400, 900, 300, 800] {
        let mut client = server.connect().await;
        client.websocket("echo=1").await;
        let message = frame(TEXT, &vec![b'x'; kilobytes * 1000 + 1]);
        client.send(&message[..message.len() - 1]).await;
        clients.push(client);
    }
    server.until_stat("buffers_cut", 1).await;
    assert!(clients[1].is_reset().await);
    assert_eq!(server.stat("buffers_cut").await, 1);
    clients[0].send([0]).await;
    assert_eq!(clients[0].take_frame().await.1.len(), 400_001);
    bystander.frame(TEXT, "still here").await;
    assert_eq!(bystander.take_text().await, "still here");
}

/// What is no longer kept, and waits for one who does not read, is nobody else's.
#[tokio::test]
async fn events_that_wait_for_those_who_never_read_are_bounded_in_all() {
    const MOST: u64 = 4 << 20;
    const EVENT: usize = 300_000;
    let server = server(Limits { history_bytes: 1 << 20, buffer_bytes: 3 << 20, ..Limits::default() });
    let mut clients = Vec::new();
    for path in ["ws", "sse"].repeat(10) {
        let mut client = server.connect_narrow().await;
        match path {
            "ws" => client.websocket("topic=t").await,
            _ => drop(client.sse("topic=t", "").await),
        }
        clients.push(client);
        // More than a socket takes that nobody reads.
        for _ in 0..20 {
            server.text("t", vec![b'x'; EVENT]).await;
            let event_bytes = server.stat("event_bytes").await;
            assert!(event_bytes < MOST + 20 * EVENT as u64, "{event_bytes}");
        }
    }
    server.until_stat("buffers_cut", 1).await;
    // Whoever reads is not meant.
    let mut reader = server.connect().await;
    reader.websocket("topic=t").await;
    server.text("t", "still here").await;
    assert_eq!(reader.take_text().await, "still here");
}

/// Each message takes far longer to understand than to refuse.
#[tokio::test]
async fn a_command_is_refused_by_its_size_before_it_is_understood() {
    let server = server(Limits { client_topics: 10, ..Limits::default() });
    let mut client = server.connect().await;
    client.websocket("topic=a").await;
    let long = format!(r#"{{"op":"publish","topic":"{}"}}"#, "x".repeat(10 * 131 + 256));
    for (command, reason) in [
        (long.as_str(), "a command has at most 1566 bytes"),
        (&format!(r#"{{"op":"subscribe","topics":[{}]}}"#, "1,".repeat(20)), "a client may follow 10 topics"),
        (r#"{"op":"subscribe","topics":["b"],"afer":"x"}"#, "unknown field `afer`"),
    ] {
        client.frame(TEXT, command).await;
        let answer = client.take_text().await;
        assert!(answer.starts_with(&format!(r#"{{"op":"error","reason":"{reason}"#)), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_to_a_poll_is_bounded_and_the_rest_comes_with_the_next() {
    let server = server(Limits::default());
    let mut cursor = server.now().await;
    for i in 0..8 {
        server.text(["t", "u"][i % 2], format!("{}{i}", "0".repeat(300_000))).await;
    }
    let (mut sizes, mut seen) = (Vec::new(), Vec::new());
    while seen.len() < 8 {
        let answer = server.get(&format!("/poll?topic=t&topic=u&after={cursor}")).await;
        cursor = answer.header("rtbench-cursor").unwrap().to_owned();
        sizes.push(netstrings(&answer.body).len());
        seen.extend(netstrings(&answer.body).iter().map(|text| text.parse::<usize>().unwrap()));
    }
    assert_eq!((sizes, seen), (vec![4, 4], (0..8).collect()));
}

/// A subscriber of both topics gets everything in order, though some of it is cut at a number of bytes.
#[tokio::test]
async fn large_events_of_several_topics_keep_their_order() {
    let server = server(Limits::default());
    let start = server.now().await;
    for i in 0..40 {
        server.text(["t", "u", "v"][i % 3], format!("{i:040000}")).await;
    }
    for open in ["sse", "ws"] {
        let mut client = server.connect().await;
        if open == "sse" {
            client.sse(&format!("topic=t&topic=u&topic=v&after={start}"), "").await;
        } else {
            client.websocket("").await;
            let command = format!(r#"{{"op":"subscribe","topics":["t","u","v"],"after":"{start}"}}"#);
            client.frame(TEXT, command).await;
            client.take_text().await;
        }
        for i in 0..40 {
            let text = if open == "sse" { client.chunk_text().await } else { client.take_text().await };
            assert!(text.trim_end().ends_with(&format!("{i:040000}")), "{open}, {i}");
        }
    }
}

/// The server takes turns: how long one waits for another is told by what that one got meanwhile, not by a clock.
#[tokio::test]
async fn who_asks_for_much_is_put_in_line_behind_who_asks_for_little() {
    let server = server(Limits::default());
    let mut bystander = server.connect().await;
    bystander.websocket("echo=1").await;
    const PINGS: usize = 8000;
    let mut busy = Vec::new();
    for _ in 0..20 {
        let mut client = server.connect().await;
        client.websocket("echo=1").await;
        busy.push(client);
    }
    let flood = frame(PING, b"").repeat(PINGS);
    for client in &mut busy {
        client.send(&flood).await;
    }
    // Of 512 pongs for each in one turn, as many as there are here would have been given out in a few.
    let before = server.stat("sent_bytes").await;
    for _ in 0..3 {
        bystander.frame(TEXT, "x").await;
        assert_eq!(soon(bystander.take_text()).await, "x");
    }
    let pong_bytes = server.stat("sent_bytes").await - before;
    assert!(pong_bytes < 20_000, "{pong_bytes}");
    assert!(server.stat("turns_over").await > 0);
    for client in &mut busy {
        assert_eq!(client.take(2 * PINGS).await, [0x8a, 0].repeat(PINGS));
    }
}

/// What takes longer than it has bytes is no longer turn for it: parts of messages with nothing in them.
#[tokio::test]
async fn who_sends_very_many_frames_is_put_in_line_too() {
    let server = server(Limits::default());
    let mut bystander = server.connect().await;
    bystander.websocket("echo=1").await;
    const PARTS: usize = 100_000;
    let message = [frame(TEXT & 0x7f, b""), frame(0, b"").repeat(PARTS), frame(0, b"x")].concat();
    // The first byte says whether it is the last part.
    let mut parts = message;
    for at in (0..parts.len() - 7).step_by(6) {
        parts[at] &= 0x7f;
    }
    let mut busy = server.connect().await;
    busy.websocket("echo=1").await;
    let before = server.stat("turns_over").await;
    let (sent, ()) = tokio::join!(busy.send(&parts), async {
        for _ in 0..3 {
            bystander.frame(TEXT, "x").await;
            assert_eq!(soon(bystander.take_text()).await, "x");
        }
    });
    let () = sent;
    assert_eq!(soon(busy.take_text()).await, "x");
    // 600 kB are at most five turns by their bytes. By their number each read is more than one.
    let turns = server.stat("turns_over").await - before;
    assert!(turns >= 6, "{turns}");
}
