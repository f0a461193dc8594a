//! `GET /poll`, short and long.

use reference_server::Config;
use reference_server::hub::Limits;

use crate::harness::{Server, netstrings, soon};

#[tokio::test]
async fn a_short_poll_answers_at_once_with_all_behind_its_cursor() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    let empty = client.get("/poll?topic=t&topic=u").await;
    assert_eq!((empty.status, empty.header("rtbench-missed"), empty.body.len()), (204, None, 0));
    let cursor = empty.header("rtbench-cursor").unwrap().to_owned();
    for (topic, payload) in [("t", "one"), ("u", "two"), ("other", "x"), ("t", "three, :")] {
        server.text(topic, payload).await;
    }
    let full = client.get(&format!("/poll?topic=t&topic=u&after={cursor}")).await;
    assert_eq!((full.status, full.text()), (200, "3:one,3:two,8:three, :,"));
    assert_eq!(full.header("content-type"), Some("application/octet-stream"));
    let cursor = full.header("rtbench-cursor").unwrap();
    assert!(cursor.len() <= 64 && cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
    let after = client.get(&format!("/poll?topic=t&topic=u&after={cursor}")).await;
    assert_eq!(after.status, 204);
    assert_eq!(server.stat("lookups").await, 3);
    assert_eq!(server.stat("empty_polls.short-poll").await, 2);
}

#[tokio::test]
async fn what_the_history_no_longer_has_is_told() {
    let limits = Limits { history_events: 2, ..Limits::default() };
    let server = Server::start(Config { limits, ..Config::default() });
    server.text("t", "0").await;
    let cursor = server.now().await;
    for payload in ["1", "2", "3"] {
        server.text("t", payload).await;
    }
    let answer = server.get(&format!("/poll?topic=t&after={cursor}")).await;
    assert_eq!((answer.text(), answer.header("rtbench-missed")), ("1:2,1:3,", Some("1")));
}

#[tokio::test]
async fn a_long_poll_is_held_until_there_is_an_event() {
    let server = Server::start(Config::default());
    for query in ["topic=t&wait=20".to_owned(), format!("topic=t&wait=&after={}", server.now().await)] {
        let held = server.stat("requests.long-poll").await;
        let mut client = server.connect().await;
        client.send(format!("GET /poll?{query} HTTP/1.1\r\nhost: t\r\n\r\n")).await;
        server.until_stat("requests.long-poll", held + 1).await;
        server.text("u", "of another topic").await;
        server.text("t", "news").await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text()), (200, "4:news,"));
    }
    assert_eq!(server.stat("subscribers_opened.long-poll").await, 2);
}

#[tokio::test]
async fn a_long_poll_takes_several_events_at_once() {
    let server = Server::start(Config::default());
    let cursor = server.now().await;
    for payload in ["a", "b", "c"] {
        server.text("t", payload).await;
    }
    let answer = server.get(&format!("/poll?topic=t&after={cursor}&wait=20")).await;
    assert_eq!(answer.text(), "1:a,1:b,1:c,");
}

#[tokio::test]
async fn a_long_poll_ends_when_its_time_is_up() {
    let server = Server::start(Config::default());
    let answer = server.get("/poll?topic=t&wait=0.05").await;
    assert_eq!(answer.status, 204);
    server.text("t", "later").await;
    let cursor = answer.header("rtbench-cursor").unwrap();
    let answer = server.get(&format!("/poll?topic=t&after={cursor}&wait=20")).await;
    assert_eq!(answer.text(), "5:later,");
}

#[tokio::test]
async fn nothing_is_lost_between_two_holds() {
    let server = Server::start(Config::default());
    let mut cursor = server.now().await;
    const EVENTS: usize = 400;
    let publisher = async {
        let mut client = server.connect().await;
        for i in 0..EVENTS {
            client.publish("t", i.to_string(), "text/plain").await;
            if i % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    let poller = async {
        let mut client = server.connect().await;
        let mut seen = Vec::new();
        while seen.len() < EVENTS {
            let answer = client.get(&format!("/poll?topic=t&after={cursor}&wait=20")).await;
            assert_eq!(answer.status, 200);
            cursor = answer.header("rtbench-cursor").unwrap().to_owned();
            seen.extend(netstrings(&answer.body));
        }
        seen
    };
    let ((), seen) = soon(async { tokio::join!(publisher, poller) }).await;
    assert!(seen.iter().map(|text| text.parse::<usize>().unwrap()).eq(0..EVENTS));
}

#[tokio::test]
async fn a_client_that_leaves_a_held_poll_is_forgotten() {
    let server = Server::start(Config::default());
    let mut client = server.connect().await;
    client.send("GET /poll?topic=t&wait=20 HTTP/1.1\r\nhost: t\r\n\r\n").await;
    server.until_stat("subscribers.long-poll", 1).await;
    drop(client);
    soon(async { while server.stat("subscribers.long-poll").await > 0 {} }).await;
}
