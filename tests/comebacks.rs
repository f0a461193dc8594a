//! What clients do whose server goes away and comes back, refuses, or ends a connection that was idle.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use rtbench::protocol::{Kind, Pause, Phase, Step};
use support::driver::{Driver, named, run, seat};
use support::script::{Act, Script, write};

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

fn stream(events: &str) -> Act {
    write(format!("{STREAM}{events}"))
}

fn cut(ms: u64, kind: Kind) -> Step {
    Step::Pause(Pause::Reconnect(Duration::from_millis(ms), kind))
}

/// The id that a request goes on behind.
fn last_id(request: &str) -> Option<&str> {
    request.lines().find_map(|line| line.strip_prefix("Last-Event-ID: "))
}

#[test]
fn an_event_stream_comes_back_however_often_nobody_is_there() {
    run(async {
        let script =
            Script::start(vec![vec![Act::Request, stream("retry: 700\nid: a\n\nid: b\ndata: x\n\n")]]).await;
        let address = script.address;
        let mut driver = Driver::ready(named("sse"), seat(address, &["t"], None)).await;
        assert_eq!(driver.receive(1).await.unwrap(), [b"x"]);
        assert_eq!(driver.step().await.unwrap(), cut(700, Kind::Eof));
        script.requests().await;
        for _ in 0..3 {
            assert_eq!(driver.step().await.unwrap(), cut(700, Kind::Refused), "its listener is closed");
        }
        let script = Script::at(
            address,
            vec![
                vec![Act::Request, Act::Reset],
                vec![Act::Request],
                vec![Act::Request, stream("id: b\n\ndata: y\n\n"), Act::AwaitEnd],
            ],
        )
        .await;
        assert_eq!(driver.step().await.unwrap(), cut(700, Kind::Reset), "broken before it was answered");
        assert_eq!(driver.step().await.unwrap(), cut(700, Kind::Eof));
        assert_eq!(driver.step().await.unwrap(), Step::Ready);
        assert_eq!(driver.receive(2).await.unwrap()[1], b"y");
        driver.close().await.unwrap();
        assert!(script.requests().await.iter().all(|request| last_id(request) == Some("b")));
    });
}

#[test]
fn an_event_stream_ends_for_good_where_the_server_says_so() {
    run(async {
        for (answer, kind) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", Kind::Status(204)),
            ("HTTP/1.1 301 x\r\nLocation: /sse\r\nContent-Length: 0\r\n\r\n", Kind::Status(301)),
            ("HTTP/1.1 503 x\r\nRetry-After: 1\r\nContent-Length: 9\r\n\r\ndeploying", Kind::Status(503)),
            ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", Kind::Protocol),
        ] {
            let script = Script::start(vec![
                vec![Act::Request, stream("retry: 9\nid: a\n\n")],
                vec![Act::Request, write(answer)],
                vec![Act::Request, stream("id: a\n\n"), Act::AwaitEnd],
            ])
            .await;
            let mut driver = Driver::ready(named("sse"), seat(script.address, &["t"], None)).await;
            assert_eq!(driver.step().await.unwrap(), cut(9, Kind::Eof));
            let ended = driver.step().await.unwrap_err();
            assert_eq!((ended.phase, ended.kind), (Phase::Subscribe, kind), "{ended}");
            // An application may begin again, and goes on where it was.
            assert_eq!(driver.step().await.unwrap(), Step::Ready);
            driver.close().await.unwrap();
            let requests = script.requests().await;
            assert_eq!(last_id(&requests[2]), Some("a"), "{answer}");
        }
    });
}

/// The pause behind a cut, and that behind a reconnect at which nobody was there, where the server has said so.
async fn pauses(fields: &str) -> [Duration; 2] {
    let script = Script::start(vec![vec![Act::Request, stream(&format!("{fields}id: a\n\n"))]]).await;
    let mut driver = Driver::ready(named("sse"), seat(script.address, &["t"], None)).await;
    let mut pauses = Vec::new();
    for _ in 0..2 {
        match driver.step().await.unwrap() {
            Step::Pause(Pause::Reconnect(wait, _)) => pauses.push(wait),
            step => panic!("{step:?}"),
        }
    }
    script.requests().await;
    [pauses[0], pauses[1]]
}

#[test]
fn the_pause_before_a_reconnect_is_the_servers_whatever_its_size() {
    run(async {
        assert_eq!(pauses("").await, [Duration::from_secs(3); 2]);
        assert_eq!(pauses("retry: 12345\n").await, [Duration::from_millis(12_345); 2]);
        assert_eq!(pauses("retry: 0\n").await, [Duration::ZERO, Duration::from_millis(100)]);
        for huge in ["retry: 18446744073709551615\n", "retry: 99999999999999999999999999999999\n"] {
            let [wait, again] = pauses(huge).await;
            assert!(wait == again && wait > Duration::from_secs(365 * 86_400), "{wait:?}");
            // It can still be added to a clock that counts nanoseconds.
            assert!(wait.as_nanos() < u128::from(u64::MAX) / 2);
        }
        assert_eq!(pauses("retry: soon\n").await, [Duration::from_secs(3); 2]);
    });
}

#[test]
fn an_event_stream_that_never_began_is_the_callers_to_try_again() {
    run(async {
        let gone: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut driver = Driver::new(named("sse"), seat(gone, &["t"], None));
        assert_eq!(driver.step().await.unwrap_err().kind, Kind::Refused);
    });
}

fn poll_answer(cursor: &str, body: &str) -> Act {
    write(format!(
        "HTTP/1.1 200 OK\r\nRtbench-Cursor: {cursor}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[test]
fn a_poll_that_failed_and_is_asked_again_goes_on_and_says_that_it_is_back() {
    run(async {
        let refusal = || write("HTTP/1.1 503 x\r\nContent-Length: 9\r\n\r\ndeploying");
        let script = Script::start(vec![
            vec![Act::Request, poll_answer("a", ""), Act::Request, refusal()],
            vec![Act::Request, refusal()],
            vec![
                Act::Request,
                poll_answer("b", "1:x,"),
                Act::Request,
                poll_answer("c", "1:y,"),
                Act::AwaitEnd,
            ],
        ])
        .await;
        let mut driver = Driver::ready(named("long-poll"), seat(script.address, &["t"], None)).await;
        for _ in 0..2 {
            let told = driver.step().await.unwrap_err();
            assert_eq!((told.phase, told.kind), (Phase::Receive, Kind::Status(503)));
        }
        for expected in [Step::Received, Step::Ready, Step::Received] {
            assert_eq!(driver.step().await.unwrap(), expected);
        }
        assert_eq!(driver.received.payloads, [b"x", b"y"]);
        driver.close().await.unwrap();
        let requests = script.requests().await;
        assert!(requests[1..4].iter().all(|request| request.contains("after=a&")), "{requests:?}");
    });
}

#[test]
fn a_kept_connection_on_which_something_lies_is_left_for_a_fresh_one() {
    run(async {
        let nothing =
            |cursor: &str| write(format!("HTTP/1.1 204 No Content\r\nRtbench-Cursor: {cursor}\r\n\r\n"));
        for unasked in
            ["HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "bye\n", "x"]
        {
            let later = std::rc::Rc::<tokio::sync::Notify>::default();
            let written = std::rc::Rc::<tokio::sync::Notify>::default();
            let script = Script::start(vec![
                vec![
                    Act::Request,
                    nothing("a"),
                    Act::Wait(later.clone()),
                    write(unasked),
                    Act::Close(written.clone()),
                ],
                vec![Act::Request, poll_answer("b", "1:x,"), Act::AwaitEnd],
            ])
            .await;
            let mut driver = Driver::ready(named("long-poll"), seat(script.address, &["t"], None)).await;
            later.notify_one();
            written.notified().await;
            // The runtime looks at its sockets when it has nothing else to do.
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(driver.receive(1).await.unwrap(), [b"x"], "{unasked:?}");
            assert_eq!(driver.meter.connections.get(), 2);
            driver.close().await.unwrap();
            assert!(script.requests().await[1].contains("after=a&"));
        }
    });
}
