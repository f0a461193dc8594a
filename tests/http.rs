//! The HTTP client against servers that do strange things.
#![allow(clippy::unwrap_used)]

mod support;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;

use proptest::prelude::*;
use rtbench::protocol::{Failure, Kind, Phase};
use rtbench::transport::http::{Answer, Encoded, Head, Http, MAX_HEAD_BYTES};
use rtbench::transport::meter::Meter;
use rtbench::transport::stream::Dialer;
use support::driver::{run, soon};
use support::script::{Act, Script, write};
use tokio::sync::Notify;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const FRESH: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

/// Status and body of an answer.
#[derive(Debug, Default, PartialEq)]
struct Plain {
    status: u16,
    body: Vec<u8>,
    /// Answers with another status than 200 are refused.
    refuses: bool,
}

impl Answer for Plain {
    fn head(&mut self, head: &Head<'_>) -> Result<(), Failure> {
        self.status = head.status;
        if self.refuses && head.status != 200 { Err(head.refusal(Phase::Receive)) } else { Ok(()) }
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.body.extend_from_slice(piece);
        Ok(())
    }
}

struct User {
    http: Http,
    meter: Rc<Meter>,
    refuses: bool,
}

impl User {
    fn new(address: SocketAddr, keep_alive: bool) -> User {
        let meter = Rc::<Meter>::default();
        User { http: Http::new(Dialer::new(address, None, meter.clone()), keep_alive), meter, refuses: false }
    }

    fn refusing(self) -> User {
        User { refuses: true, ..self }
    }

    async fn exchange(&mut self, head: &[u8]) -> Result<Plain, Failure> {
        let request = Encoded { head, body: &[], phase: Phase::Receive };
        let mut answer = Plain { refuses: self.refuses, ..Plain::default() };
        soon(poll_fn(|cx| self.http.poll_exchange(cx, &request, &mut answer))).await?;
        Ok(answer)
    }

    async fn end(&mut self) -> Result<(), Failure> {
        soon(poll_fn(|cx| self.http.poll_end(cx, Phase::Close))).await
    }
}

fn plain(status: u16, body: &str) -> Plain {
    Plain { status, body: body.into(), refuses: false }
}

/// The answer of a server that writes `acts` after one request.
async fn answer_of(request: &[u8], acts: Vec<Act>) -> Result<Plain, Failure> {
    let script = Script::start(vec![std::iter::once(Act::Request).chain(acts).collect()]).await;
    let mut user = User::new(script.address, false);
    let answer = user.exchange(request).await;
    user.end().await?;
    answer
}

fn kind_of(result: Result<Plain, Failure>) -> Kind {
    result.unwrap_err().kind
}

#[test]
fn bodies_end_where_they_should_in_whatever_pieces_they_come() {
    run(async {
        let cases = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", plain(200, "abc")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=\"y\"\r\na\r\n2\r\nbc\r\n0\r\nT: v\r\n\r\n",
                plain(200, "abc"),
            ),
            ("HTTP/1.1 200 OK\r\n\r\nabc", plain(200, "abc")),
            ("HTTP/1.0 200 OK\n\nabc", plain(200, "abc")),
            ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n", plain(200, "abc")),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
                plain(204, ""),
            ),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", plain(304, "")),
        ];
        for (answer, expected) in cases {
            assert_eq!(answer_of(GET, vec![write(answer)]).await.unwrap(), expected, "{answer}");
            assert_eq!(
                answer_of(GET, vec![Act::Trickle(answer.into())]).await.unwrap(),
                expected,
                "{answer}"
            );
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(answer_of(b"HEAD / HTTP/1.1\r\n\r\n", vec![write(head)]).await.unwrap(), plain(200, ""));
    });
}

#[test]
fn lies_and_excesses_are_failures_of_a_kind() {
    run(async {
        let kind = async |answer: &str| kind_of(answer_of(GET, vec![write(answer)]).await);
        assert_eq!(kind("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc").await, Kind::Eof);
        assert_eq!(kind("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc").await, Kind::Protocol);
        assert_eq!(kind("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc").await, Kind::Eof);
        assert_eq!(kind("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n").await, Kind::Protocol);
        assert_eq!(kind("HTTP/1.1 200 OK\r\nContent-Le").await, Kind::Eof);
        assert_eq!(kind("").await, Kind::Eof);
        assert_eq!(kind("SSH-2.0-OpenSSH\r\n\r\n").await, Kind::Protocol);
        assert_eq!(
            kind(&format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(MAX_HEAD_BYTES))).await,
            Kind::Protocol
        );
        assert_eq!(kind_of(answer_of(GET, vec![Act::Reset]).await), Kind::Reset);
    });
}

#[test]
fn what_follows_an_announced_close_is_garbage() {
    run(async {
        let (go, last) = (Rc::<Notify>::default(), "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        let script =
            Script::start(vec![vec![Act::Request, write(last), Act::Wait(go.clone()), write("x")]]).await;
        let mut user = User::new(script.address, true);
        user.exchange(GET).await.unwrap();
        go.notify_one();
        assert_eq!(user.end().await.unwrap_err().kind, Kind::Protocol);
    });
}

#[test]
fn a_kept_connection_is_used_again_until_the_server_closes_it() {
    run(async {
        let yes = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
        let last = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nb";
        let script = Script::start(vec![
            vec![Act::Request, write(yes), Act::Request, write(yes), Act::Request, write(last)],
            vec![Act::Request, write(yes), Act::AwaitEnd],
        ])
        .await;
        let mut user = User::new(script.address, true);
        for body in ["a", "a", "b", "a"] {
            assert_eq!(user.exchange(GET).await.unwrap(), plain(200, body));
        }
        user.end().await.unwrap();
        assert_eq!((script.requests().await.len(), user.meter.connections.get()), (4, 2));
        assert_eq!(user.meter.exchange_out_bytes.get(), 4 * GET.len() as u64);
        let answers = (3 * yes.len() + last.len()) as u64;
        assert_eq!((user.meter.exchanges.get(), user.meter.exchange_in_bytes.get()), (4, answers));
        assert_eq!(user.meter.wire_in_bytes.get(), answers);
    });
}

#[test]
fn a_connection_is_ended_even_if_the_server_would_keep_it() {
    run(async {
        let yes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let connection = || vec![Act::Request, write(yes), Act::AwaitEnd];
        let script = Script::start(vec![connection(), connection()]).await;
        let mut user = User::new(script.address, false);
        user.exchange(FRESH).await.unwrap();
        user.exchange(FRESH).await.unwrap();
        user.end().await.unwrap();
        assert_eq!((script.requests().await.len(), user.meter.connections.get()), (2, 2));
    });
}

#[test]
fn a_stale_connection_is_replaced_once_and_only_for_a_get() {
    run(async {
        let yes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        // The server reads the second request and hangs up on it, as one does whose time-out runs out just then.
        let stale = || vec![Act::Request, write(yes), Act::Request];
        let script = Script::start(vec![stale(), vec![Act::Request, write(yes), Act::AwaitEnd]]).await;
        let mut user = User::new(script.address, true);
        user.exchange(GET).await.unwrap();
        user.exchange(GET).await.unwrap();
        user.end().await.unwrap();
        assert_eq!((script.requests().await.len(), user.meter.exchanges.get()), (3, 2));
        assert_eq!(user.meter.exchange_out_bytes.get(), 2 * GET.len() as u64);
        assert_eq!(user.meter.wire_out_bytes.get(), 3 * GET.len() as u64);

        let script = Script::start(vec![stale(), vec![Act::Request]]).await;
        let mut user = User::new(script.address, true);
        user.exchange(GET).await.unwrap();
        assert_eq!(kind_of(user.exchange(GET).await), Kind::Eof, "the fresh one failed too");

        let script = Script::start(vec![stale()]).await;
        let mut user = User::new(script.address, true);
        user.exchange(GET).await.unwrap();
        assert_eq!(kind_of(user.exchange(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").await), Kind::Eof);
        drop(script);
    });
}

#[test]
fn a_connection_that_closes_while_idle_is_noticed_before_it_is_used() {
    run(async {
        let (closed, yes) = (Rc::<Notify>::default(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let script = Script::start(vec![
            vec![Act::Request, write(yes), Act::Close(closed.clone())],
            vec![Act::Request, write(yes), Act::AwaitEnd],
        ])
        .await;
        let mut user = User::new(script.address, true);
        user.exchange(GET).await.unwrap();
        closed.notified().await;
        // The runtime looks at its sockets when it has nothing else to do.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        // Even a POST is safe then: none of it was sent on the old connection.
        user.exchange(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        user.end().await.unwrap();
        assert_eq!(script.requests().await.len(), 2);
    });
}

#[test]
fn a_request_that_was_not_heard_in_time_is_made_again_on_a_fresh_connection() {
    run(async {
        let yes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let late = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        // The server gives up waiting just when the second request comes. It says that it has not heard it, so that even a
        // POST may be made again.
        for request in [GET, b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"] {
            let script = Script::start(vec![
                vec![Act::Request, write(yes), Act::Request, write(late)],
                vec![Act::Request, write(yes), Act::AwaitEnd],
            ])
            .await;
            let mut user = User::new(script.address, true).refusing();
            user.exchange(GET).await.unwrap();
            user.exchange(request).await.unwrap();
            user.end().await.unwrap();
            assert_eq!((script.requests().await.len(), user.meter.connections.get()), (3, 2));

            // On a fresh connection it is an answer as any other.
            let script = Script::start(vec![vec![Act::Request, write(late)]]).await;
            let mut user = User::new(script.address, true).refusing();
            assert_eq!(kind_of(user.exchange(request).await), Kind::Status(408));
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a server says, there is an answer or a failure, and neither a panic nor a hang.
    #[test]
    fn no_answer_breaks_the_client(
        words in proptest::collection::vec(prop_oneof![
            Just(b"HTTP/1.1 200 OK\r\n".to_vec()), Just(b"HTTP/1.1 100 x\r\n\r\n".to_vec()), Just(b"\r\n".to_vec()),
            Just(b"Content-Length: 3\r\n".to_vec()), Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
            Just(b"3\r\nabc\r\n".to_vec()), Just(b"0\r\n\r\n".to_vec()), Just(b"Connection: close\r\n".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6)
        ], 0..12),
    ) {
        let _ = run(answer_of(FRESH, vec![Act::Write(words.concat())]));
    }
}
