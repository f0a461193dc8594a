//! What the answer to a WebSocket's upgrade may choose: what was asked for, and nothing else.
#![allow(clippy::unwrap_used)]

mod support;

use std::rc::Rc;

use rtbench::protocol::{Kind, Phase, Seat, Step, Target};
use support::driver::{Driver, named, run, seat};
use support::script::{Act, Script};
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
