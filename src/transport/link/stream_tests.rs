//! The stream on real sockets. Nothing here says how late something may be, only that it is never early.
#![allow(clippy::unwrap_used)]

use std::future::poll_fn;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::host::timer::Timer;
use crate::transport::link::LinkSpec;

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let within = async { tokio::time::timeout(std::time::Duration::from_secs(20), test).await.unwrap() };
    tokio::task::LocalSet::new().block_on(&runtime, within)
}

fn link(text: &str) -> Link {
    Link::new(Timer::new().unwrap(), text.parse::<LinkSpec>().unwrap(), 3).unwrap()
}

/// A client's end behind a link, and a server's end without one.
async fn pair(text: &str) -> (Linked<TcpStream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.set_nodelay(true).unwrap();
    (Linked::new(client, Some(&link(text))), listener.accept().await.unwrap().0)
}

#[test]
fn a_round_trip_takes_a_round_trip_and_so_does_connecting() {
    run(async {
        let start_ns = monotonic_ns();
        let (mut client, mut server) = pair("rtt=20ms").await;
        poll_fn(|cx| client.poll_handshake(cx)).await;
        let connected_ns = monotonic_ns();
        assert!(connected_ns - start_ns >= 20_000_000);
        let (mut there, mut back) = ([0; 4], [0; 4]);
        client.write_all(b"ping").await.unwrap();
        // The client must be polled for its bytes to go on.
        let (asked, answered) = tokio::join!(
            async {
                server.read_exact(&mut there).await.unwrap();
                let now_ns = monotonic_ns();
                server.write_all(b"pong").await.unwrap();
                now_ns
            },
            async {
                client.read_exact(&mut back).await.unwrap();
                monotonic_ns()
            }
        );
        assert!(asked - connected_ns >= 10_000_000 && answered - asked >= 10_000_000);
        assert_eq!((&there, &back), (b"ping", b"pong"));
    });
}

#[test]
fn more_than_the_lane_holds_comes_through_unchanged_with_both_ends() {
    run(async {
        let (client, server) = pair("rtt=4ms,jitter=2ms,loss=0.2%").await;
        let sent: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let (mut from_client, mut to_client) = tokio::io::split(client);
        let (mut from_server, mut to_server) = server.into_split();
        let (mut there, mut back) = (Vec::new(), Vec::new());
        tokio::join!(
            async {
                to_client.write_all(&sent).await.unwrap();
                to_client.shutdown().await.unwrap();
            },
            async {
                // The client's bytes go on only while somebody polls the client: the end comes last.
                let (wrote, read) =
                    tokio::join!(to_server.write_all(&sent), from_server.read_to_end(&mut there));
                wrote.unwrap();
                read.unwrap();
                to_server.shutdown().await.unwrap();
            },
            async { from_client.read_to_end(&mut back).await.unwrap() },
        );
        assert!(there == sent && back == sent);
        assert!(to_client.write_all(b"more").await.is_err(), "behind FIN there is nothing");
    });
}

#[test]
fn an_end_is_not_seen_before_what_was_said() {
    run(async {
        let (mut client, mut server) = pair("rtt=10ms").await;
        let start_ns = monotonic_ns();
        server.write_all(b"last words").await.unwrap();
        server.shutdown().await.unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"last words");
        assert!(monotonic_ns() - start_ns >= 5_000_000);
    });
}

#[test]
fn a_reset_arrives_as_one() {
    run(async {
        let (mut client, server) = pair("rtt=2ms").await;
        socket2::SockRef::from(&server).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(server);
        let error = client.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}
