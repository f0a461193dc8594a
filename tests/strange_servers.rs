//! Each protocol's client against servers that break the contract, or use its freedoms.
#![allow(clippy::unwrap_used)]

mod support;

use std::task::Poll;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rtbench::protocol::{ALL, Kind, Pause, Phase, Protocol, Sent, Step};
use rtbench::transport::http::MAX_HEAD_BYTES;
use support::driver::{Driver, run, seat, soon};
use support::script::{Act, Script, write};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, accept_async};

fn named(name: &str) -> &'static Protocol {
    ALL.iter().find(|protocol| protocol.name == name).unwrap()
}

fn poll_answer(status: &str, fields: &str, body: &str) -> Act {
    write(format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()))
}

/// A poll's answer with nothing but a cursor.
fn nothing(cursor: &str) -> Act {
    write(format!("HTTP/1.1 204 No Content\r\nRtbench-Cursor: {cursor}\r\n\r\n"))
}

#[test]
fn polls_ask_as_the_contract_says() {
    run(async {
        let connection = |answer| vec![Act::Request, answer, Act::AwaitEnd];
        let script = Script::start(vec![
            connection(nothing("a")),
            connection(poll_answer("200 OK", "Rtbench-Cursor: b\r\nRtbench-Missed: 3\r\n", "3:x,y,0:,")),
            connection(nothing("c")),
        ])
        .await;
        let mut driver = Driver::new(named("short-poll"), seat(script.address, &["t", "u"], None));
        let pause = Step::Pause(Pause::PollInterval);
        for expected in [Step::Ready, pause, Step::Received, pause, pause] {
            assert_eq!(driver.step().await.unwrap(), expected);
        }
        assert_eq!(driver.received.payloads, [b"x,y".as_slice(), b""]);
        assert_eq!(driver.received.missed, 3);
        assert_eq!(driver.meter.empty_exchanges.get(), 2);
        assert_eq!(driver.meter.connections.get(), 3);
        let requests = script.requests().await;
        let fields = "HTTP/1.1\r\nHost: test\r\nX-Own: 1\r\nConnection: close\r\n\r\n";
        assert_eq!(requests[0], format!("GET /poll?topic=t&topic=u {fields}"));
        assert_eq!(requests[1], format!("GET /poll?topic=t&topic=u&after=a {fields}"));
        assert_eq!(requests[2], format!("GET /poll?topic=t&topic=u&after=b {fields}"));
    });
}

#[test]
fn a_long_poll_stays_on_its_connection_and_asks_at_once() {
    run(async {
        let script = Script::start(vec![vec![
            Act::Request,
            nothing("a"),
            Act::Request,
            poll_answer("200 OK", "Rtbench-Cursor: b\r\n", "1:x,"),
            Act::Request,
            nothing("c"),
            Act::AwaitEnd,
        ]])
        .await;
        let mut driver = Driver::new(named("long-poll"), seat(script.address, &["t"], None));
        for expected in [Step::Ready, Step::Received, Step::Received] {
            assert_eq!(driver.step().await.unwrap(), expected);
        }
        driver.close().await.unwrap();
        assert_eq!((driver.meter.connections.get(), driver.meter.empty_exchanges.get()), (1, 2));
        let fields = "HTTP/1.1\r\nHost: test\r\nX-Own: 1\r\n\r\n";
        assert_eq!(script.requests().await[2], format!("GET /poll?topic=t&after=b&wait=10 {fields}"));
    });
}

#[test]
fn a_poll_whose_answer_is_cut_gives_nothing_and_is_asked_again() {
    run(async {
        let cut = "HTTP/1.1 200 OK\r\nRtbench-Cursor: b\r\nContent-Length: 8\r\n\r\n1:x,";
        let script = Script::start(vec![
            vec![Act::Request, nothing("a"), Act::Request, write(cut)],
            vec![Act::Request, poll_answer("200 OK", "Rtbench-Cursor: b\r\n", "1:x,1:y,"), Act::AwaitEnd],
        ])
        .await;
        let mut driver = Driver::ready(named("long-poll"), seat(script.address, &["t"], None)).await;
        let failure = driver.step().await.unwrap_err();
        assert_eq!((failure.phase, failure.kind), (Phase::Receive, Kind::Eof));
        assert!(driver.received.payloads.is_empty());
        assert_eq!(driver.receive(2).await.unwrap(), [b"x", b"y"]);
        driver.close().await.unwrap();
        assert!(script.requests().await[2].contains("after=a&"), "behind the last event that was seen");
    });
}

#[test]
fn polls_refuse_what_is_no_poll() {
    run(async {
        for (answer, kind) in [
            (poll_answer("400 Bad Request", "", "no such topic\n"), Kind::Status(400)),
            (poll_answer("200 OK", "Rtbench-Cursor: a\r\n", "5:x,"), Kind::Protocol),
            (poll_answer("200 OK", "", "1:x,"), Kind::Protocol),
            (nothing("a b"), Kind::Protocol),
            (poll_answer("200 OK", "Rtbench-Cursor: a\r\nRtbench-Missed: many\r\n", ""), Kind::Protocol),
        ] {
            let script = Script::start(vec![vec![Act::Request, answer]]).await;
            let failure = Driver::new(named("short-poll"), seat(script.address, &["t"], None))
                .step()
                .await
                .unwrap_err();
            assert_eq!((failure.phase, failure.kind), (Phase::Subscribe, kind));
            let told = "GET /poll?topic=t answered 400: no such topic";
            assert!(kind != Kind::Status(400) || failure.detail == told, "{failure}");
        }
    });
}

const STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[test]
fn an_event_stream_is_followed_byte_by_byte_and_resumed() {
    run(async {
        let first = [
            STREAM,
            &chunk("retry: 7\nid: a\n\n"),
            &chunk("id: b\nevent: message\ndata: x\ndata: y\n\n"),
            &chunk("id: c\nev"),
        ];
        let second = [
            STREAM,
            &chunk("retry: 9\nid: b\n\n"),
            &chunk("id: c\nevent: base64\ndata: AAEC/w==\n\n"),
            "0\r\n\r\n",
        ];
        let script = Script::start(vec![
            vec![Act::Request, Act::Trickle(first.concat().into()), Act::Reset],
            vec![Act::Request, write(second.concat())],
        ])
        .await;
        let mut driver = Driver::new(named("sse"), seat(script.address, &["t"], None));
        let cut = |ms, kind| Step::Pause(Pause::Reconnect(Duration::from_millis(ms), kind));
        for expected in
            [Step::Ready, Step::Received, cut(7, Kind::Reset), Step::Ready, Step::Received, cut(9, Kind::Eof)]
        {
            assert_eq!(driver.step().await.unwrap(), expected);
        }
        assert_eq!(driver.received.payloads, [b"x\ny".as_slice(), &[0, 1, 2, 255]]);
        let requests = script.requests().await;
        let fields = "HTTP/1.1\r\nHost: test\r\nX-Own: 1\r\nAccept: text/event-stream\r\n";
        assert_eq!(requests[0], format!("GET /sse?topic=t {fields}\r\n"));
        assert_eq!(requests[1], format!("GET /sse?topic=t {fields}Last-Event-ID: b\r\n\r\n"));
    });
}

#[test]
fn an_event_id_stays_in_force_until_the_server_takes_it_back() {
    run(async {
        let without_id = [STREAM, &chunk("retry: 1\n\n"), &chunk("data: x\n\n"), "0\r\n\r\n"].concat();
        let taken_back = [STREAM, &chunk("id: c\n\n"), &chunk("id\ndata: y\n\n"), "0\r\n\r\n"].concat();
        let first = [STREAM, &chunk("id: b\n\n"), "0\r\n\r\n"].concat();
        let connection = |answer| vec![Act::Request, write(answer)];
        let script = Script::start(
            [first, without_id, taken_back, String::new()].into_iter().map(connection).collect(),
        )
        .await;
        let mut driver = Driver::new(named("sse"), seat(script.address, &["t"], None));
        // The second ends before it is ready, and so does the last.
        let mut ends = 0;
        while ends < 4 {
            ends += usize::from(matches!(driver.step().await.unwrap(), Step::Pause(_)));
        }
        assert_eq!(driver.received.payloads, [b"x", b"y"]);
        let requests = script.requests().await;
        let id = |request| str::lines(request).find_map(|line| line.strip_prefix("Last-Event-ID: "));
        let ids: Vec<_> = requests.iter().map(|request| id(request)).collect();
        assert_eq!(ids, [None, Some("b"), Some("b"), None]);
    });
}

#[test]
fn event_streams_that_are_none_are_refused() {
    run(async {
        let plain = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nid: a\n\n";
        let no_id = [STREAM, &chunk("retry: 7\n\n"), "0\r\n\r\n"].concat();
        let broken = [STREAM, "xyz"].concat();
        let base64 = [STREAM, &chunk("id: a\nevent: base64\ndata: ?\n\n")].concat();
        for (answer, kind) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", Kind::Status(204)),
            ("HTTP/1.1 404 Not Found\r\n\r\n", Kind::Status(404)),
            (plain, Kind::Protocol),
            (no_id.as_str(), Kind::Eof),
            (broken.as_str(), Kind::Protocol),
            (base64.as_str(), Kind::Protocol),
        ] {
            let script = Script::start(vec![vec![Act::Request, write(answer)]]).await;
            let failure =
                Driver::new(named("sse"), seat(script.address, &["t"], None)).step().await.unwrap_err();
            assert_eq!(failure.kind, kind, "{answer}");
        }
    });
}

/// The key in an upgrade request.
fn key(request: &str) -> &str {
    request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap()
}

fn upgraded(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

#[test]
fn a_websocket_upgrade_is_checked_and_what_comes_behind_it_is_not_lost() {
    run(async {
        let good = |request: &str| {
            [upgraded(&derive_accept_key(key(request).as_bytes())).as_bytes(), b"\x82\x01x\x88\x02\x03\xf3"]
                .concat()
        };
        let script = Script::start(vec![
            vec![Act::Request, Act::Answer(good), Act::AwaitEnd],
            vec![Act::Request, write(upgraded("AAAA"))],
            vec![Act::Request, write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")],
            vec![Act::Request, write(format!("HTTP/1.1 101 X\r\nA: {}", "x".repeat(MAX_HEAD_BYTES)))],
        ])
        .await;
        let mut driver = Driver::ready(named("websocket"), seat(script.address, &["t"], Some("p"))).await;
        let end = driver.step().await.unwrap_err();
        assert_eq!((driver.received.payloads.concat(), end.kind), (b"x".to_vec(), Kind::CloseCode(1011)));
        for kind in [Kind::Protocol, Kind::Status(403), Kind::Protocol] {
            let failure = driver.step().await.unwrap_err();
            assert_eq!((failure.phase, failure.kind), (Phase::Subscribe, kind), "{failure}");
        }
        let requests = script.requests().await;
        assert!(requests[0].starts_with(
            "GET /ws?topic=t&publish=p HTTP/1.1\r\nHost: test\r\nX-Own: 1\r\nConnection: Upgrade\r\n"
        ));
        assert_ne!(key(&requests[0]), key(&requests[1]), "each handshake has a key of its own");
    });
}

/// A ready client, and the server's end of its connection.
async fn websocket() -> (Driver, WebSocketStream<tokio::net::TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let seat = seat(listener.local_addr().unwrap(), &["t"], Some("p"));
    let accept = async {
        let (socket, _) = listener.accept().await.unwrap();
        accept_async(socket).await.unwrap()
    };
    soon(async { tokio::join!(Driver::ready(named("websocket"), seat), accept) }).await
}

#[test]
fn a_websocket_answers_pings_and_tells_notices_from_payloads() {
    run(async {
        let (mut driver, mut server) = websocket().await;
        for message in [
            Message::Ping("p".into()),
            Message::text("{\"op\":\"missed\",\"count\":4}"),
            Message::text("{\"op\":\"subscribe\",\"cursor\":\"c\"}"),
            Message::text("[\"text\"]"),
            Message::binary(b"{\"op\":".as_slice()),
        ] {
            server.send(message).await.unwrap();
        }
        assert_eq!(driver.receive(2).await.unwrap(), [b"[\"text\"]".as_slice(), b"{\"op\":"]);
        assert_eq!(driver.received.missed, 4);
        assert_eq!(soon(server.next()).await.unwrap().unwrap(), Message::Pong("p".into()));
        driver.send(b"bin\xff", true).await.unwrap();
        driver.send(b"text", false).await.unwrap();
        assert_eq!(soon(server.next()).await.unwrap().unwrap(), Message::binary(b"bin\xff".as_slice()));
        assert_eq!(soon(server.next()).await.unwrap().unwrap(), Message::text("text"));
    });
}

#[test]
fn a_websocket_tells_how_its_server_ended() {
    run(async {
        let (mut driver, mut server) = websocket().await;
        let close = CloseFrame { code: CloseCode::Again, reason: "slow".into() };
        server.close(Some(close.clone())).await.unwrap();
        let failure = driver.step().await.unwrap_err();
        assert_eq!((failure.kind, failure.detail.as_str()), (Kind::CloseCode(1013), "slow"));
        let reply = soon(server.next()).await.unwrap().unwrap();
        assert_eq!(reply, Message::Close(Some(close)), "the close was answered");

        let (mut driver, server) = websocket().await;
        drop(server);
        assert_eq!(driver.step().await.unwrap_err().kind, Kind::Eof);

        let (mut driver, server) = websocket().await;
        socket2::SockRef::from(server.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
        drop(server);
        assert_eq!(driver.step().await.unwrap_err().kind, Kind::Reset);
    });
}

#[test]
fn a_websocket_closes_with_a_handshake() {
    run(async {
        let (mut driver, mut server) = websocket().await;
        // The server's socket ends with the block, as it is for a server to end it.
        let serve = async move {
            server.send(Message::text("late")).await.unwrap();
            let close = server.next().await.unwrap().unwrap();
            assert!(server.next().await.is_none());
            close
        };
        let (closed, close) = soon(async { tokio::join!(driver.close(), serve) }).await;
        closed.unwrap();
        assert_eq!(close, Message::Close(None));
    });
}

#[test]
fn a_full_websocket_goes_on_receiving() {
    run(async {
        let (mut driver, server) = websocket().await;
        let (mut to_client, mut from_client) = server.split();
        let large = vec![b'x'; 12 << 20];
        // The server reads nothing until the client has received what was sent behind the start of its own message.
        let serve = async {
            to_client.send(Message::text("meanwhile")).await.unwrap();
        };
        let message = |payload| rtbench::protocol::Message { payload, binary: true };
        // It is taken whole, and the next one is not before all of it has gone out.
        let begin = std::future::poll_fn(|cx| {
            let sent = driver.client.poll_send(cx, message(&large));
            assert!(matches!(sent, Poll::Ready(Ok(Sent::Unanswered))), "{sent:?}");
            assert!(
                driver.client.poll_send(cx, message(b"next")).is_pending(),
                "12 MiB fit no socket buffer"
            );
            Poll::Ready(())
        });
        soon(async { tokio::join!(serve, begin) }).await;
        assert_eq!(driver.receive(1).await.unwrap(), [b"meanwhile"]);
        let send = std::future::poll_fn(|cx| driver.client.poll_send(cx, message(b"next")));
        let received =
            async { [from_client.next().await, from_client.next().await].map(|it| it.unwrap().unwrap()) };
        let (sent, got) = soon(async { tokio::join!(send, received) }).await;
        sent.unwrap();
        assert_eq!(got.map(|message| message.len()), [large.len(), 4]);
    });
}

#[test]
fn nobody_there_is_a_refusal_in_every_protocol() {
    run(async {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for protocol in ALL.iter().filter(|protocol| !protocol.traits.peer_to_peer) {
            let mut driver = Driver::new(protocol, seat(gone, &["t"], None));
            let failure = driver.step().await.unwrap_err();
            assert_eq!(driver.meter.connections.get(), 0);
            assert_eq!((failure.phase, failure.kind), (Phase::Connect, Kind::Refused), "{}", protocol.name);
        }
    });
}

#[test]
fn a_client_connects_from_the_address_it_is_given() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for name in ["127.0.0.1", "127.1.2.3"] {
            let mut seat = seat(listener.local_addr().unwrap(), &["t"], None);
            seat.source = Some(name.parse().unwrap());
            let mut driver = Driver::new(named("sse"), seat);
            let (_, peer) = soon(async {
                tokio::select! { step = driver.step() => panic!("nobody answers: {step:?}"), peer = listener.accept() => peer }
            }).await.unwrap();
            assert_eq!(peer.ip().to_string(), name);
        }
    });
}
