//! What the answer to a WebSocket's upgrade may choose: what was asked for, and nothing else; and what a server is told that breaks
//! the protocol behind it.
#![allow(clippy::unwrap_used)]

mod support;

use std::rc::Rc;

use futures_util::StreamExt;
use rtbench::protocol::{Kind, Phase, Seat, Step, Target};
use support::driver::{Driver, named, run, seat, soon};
use support::script::{Act, Script};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A seat whose requests have these header lines.
fn asking(seat: Seat, headers: &str) -> Seat {
    let Target { address, host, .. } = &*seat.target;
    let target = Target { address: *address, tls: None, host: host.clone(), headers: headers.into() };
    Seat { target: Rc::new(target), ..seat }
}

/// The answer to an upgrade, with these fields beside those that it must have.
macro_rules! upgraded {
    ($fields:expr) => {
        Act::Answer(|request| {
            let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
            let accept = derive_accept_key(key.as_bytes());
            let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
            format!("{head}Sec-WebSocket-Accept: {accept}\r\n{}\r\n", $fields).into_bytes()
        })
    };
}

#[test]
fn a_subprotocol_that_was_asked_for_is_an_answer() {
    run(async {
        for (asked, answer) in [
            ("Sec-WebSocket-Protocol: chat.v1\r\n", upgraded!("Sec-WebSocket-Protocol: chat.v1\r\n")),
            ("sec-websocket-protocol: a, chat.v1 ,b\r\n", upgraded!("SEC-WEBSOCKET-PROTOCOL: chat.v1\r\n")),
            (
                "Sec-WebSocket-Protocol: a\r\nX: y\r\nSec-WebSocket-Protocol: chat.v1\r\n",
                upgraded!("Sec-WebSocket-Protocol: chat.v1\r\n"),
            ),
            // The server may choose none.
            ("Sec-WebSocket-Protocol: chat.v1\r\n", upgraded!("")),
        ] {
            let script = Script::start(vec![vec![Act::Request, answer, Act::AwaitEnd]]).await;
            let mut driver =
                Driver::new(named("websocket"), asking(seat(script.address, &["t"], None), asked));
            assert_eq!(driver.step().await.unwrap(), Step::Ready, "{asked}");
            drop(driver);
            assert!(script.requests().await[0].contains(asked));
        }
    });
}

#[test]
fn what_was_not_asked_for_is_an_error() {
    run(async {
        for (asked, answer, said) in [
            (
                "",
                upgraded!("Sec-WebSocket-Protocol: chat.v1\r\n"),
                "with the subprotocol \"chat.v1\", which was not asked for",
            ),
            // Names are told apart by case (RFC 6455, section 4.1).
            (
                "Sec-WebSocket-Protocol: chat.v1\r\n",
                upgraded!("Sec-WebSocket-Protocol: CHAT.V1\r\n"),
                "with the subprotocol \"CHAT.V1\", which was not asked for",
            ),
            (
                "Sec-WebSocket-Protocol: a, b\r\n",
                upgraded!("Sec-WebSocket-Protocol: a, b\r\n"),
                "with more than one subprotocol",
            ),
            (
                "",
                upgraded!("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
                "with an extension that was not asked for",
            ),
        ] {
            let script = Script::start(vec![vec![Act::Request, answer, Act::AwaitEnd]]).await;
            let mut driver =
                Driver::new(named("websocket"), asking(seat(script.address, &["t"], None), asked));
            let told = driver.step().await.unwrap_err();
            assert_eq!((told.phase, told.kind), (Phase::Subscribe, Kind::Protocol));
            assert_eq!(told.detail, format!("GET /ws?topic=t answered 101, {said}"));
        }
    });
}

#[test]
fn a_server_that_breaks_the_protocol_is_told_so_by_a_close_frame() {
    run(async {
        let too_long = [b"\x82\x7f".as_slice(), &(17u64 << 20).to_be_bytes()].concat();
        let long_ping = [b"\x89\x7e\x00\x7e".as_slice(), &[0; 126]].concat();
        let cases: [(&str, &[u8], u16); 12] = [
            ("a reserved bit", b"\xc1\x01x", 1002),
            ("a masked frame", b"\x81\x81\x01\x02\x03\x04x", 1002),
            ("an unknown data frame", b"\x83\x00", 1002),
            ("an unknown control frame", b"\x8b\x00", 1002),
            ("a control frame in parts", b"\x09\x00", 1002),
            ("a long ping", &long_ping, 1002),
            ("the rest of nothing", b"\x80\x00", 1002),
            ("a message within another", b"\x01\x01x\x81\x01y", 1002),
            ("half a close code", b"\x88\x01x", 1002),
            ("bad UTF-8", b"\x81\x02\xc3\x28", 1007),
            ("bad UTF-8 in a part", b"\x01\x02\xc3\x28", 1007),
            ("too long a message", &too_long, 1009),
        ];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for (what, bytes, code) in cases {
            let seat = seat(listener.local_addr().unwrap(), &["t"], None);
            let accept = async {
                let (socket, _) = listener.accept().await.unwrap();
                tokio_tungstenite::accept_async(socket).await.unwrap()
            };
            let (mut driver, mut server) =
                soon(async { tokio::join!(Driver::ready(named("websocket"), seat), accept) }).await;
            server.get_mut().write_all(bytes).await.unwrap();
            let failure = driver.step().await.unwrap_err();
            assert_eq!((failure.phase, failure.kind), (Phase::Receive, Kind::Protocol), "{what}");
            let told = soon(server.next()).await.unwrap().unwrap();
            let Message::Close(Some(close)) = told else { panic!("{what}: {told:?}") };
            assert_eq!(u16::from(close.code), code, "{what}");
            assert!(soon(server.next()).await.is_none_or(|end| end.is_err()), "{what}");
        }
    });
}
