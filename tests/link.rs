//! Every protocol over an emulated link, against the reference server on a real socket. Nothing is asserted on how
//! late something comes, only that it cannot come earlier than the link lets it, and that nothing else changes.
#![allow(clippy::unwrap_used)]

mod support;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use reference_server::Config;
use rtbench::host::timer::Timer;
use rtbench::protocol::{ALL, Mesh, Pause, Protocol, Seat, Step, find};
use rtbench::transport::link::Link;
use support::driver::{Driver, run, seat, soon};
use support::server::Server;

const RTT: Duration = Duration::from_millis(20);

/// A seat whose client sits behind a link.
fn behind(text: &str, seat: Seat) -> Seat {
    let link = Link::new(Timer::new().unwrap(), text.parse().unwrap(), 11);
    Seat { link, ..seat }
}

fn protocol(name: &str) -> &'static Protocol {
    find(name).unwrap()
}

/// Polls once, from one pause to the next; gives how long it took.
async fn poll_once(client: &mut Driver) -> Duration {
    let start = Instant::now();
    while client.step().await.unwrap() != Step::Pause(Pause::PollInterval) {}
    start.elapsed()
}

/// Polls both until both have been ready: what one has sent goes on only while it is polled.
async fn both_ready(one: &mut Driver, other: &mut Driver) {
    let mut ready = [false; 2];
    soon(poll_fn(|cx| {
        for (client, ready) in [&mut *one, &mut *other].into_iter().zip(&mut ready) {
            while let Poll::Ready(step) = client.client.poll_recv(cx, &mut client.received) {
                *ready |= step.unwrap() == Step::Ready;
            }
        }
        if ready == [true; 2] { Poll::Ready(()) } else { Poll::Pending }
    }))
    .await;
}

#[test]
fn every_protocol_delivers_the_same_over_a_link_and_never_early() {
    for protocol in ALL {
        for link in ["rtt=20ms", "rtt=10ms,jitter=10ms,loss=2%,rate=1mbit"] {
            println!("{} over {link}", protocol.name);
            run(async {
                let server = Server::start(Config::default());
                let mut subscriber =
                    Driver::ready(protocol, behind(link, seat(server.address, &["t"], None))).await;
                let payloads: Vec<Vec<u8>> = (0..30).map(|i| format!("message {i}").into_bytes()).collect();
                let start = Instant::now();
                for payload in &payloads {
                    server.publish("t", payload).await;
                }
                assert_eq!(subscriber.receive(payloads.len()).await.unwrap(), payloads);
                if link == "rtt=20ms" {
                    assert!(start.elapsed() >= RTT / 2);
                }
                subscriber.close().await.unwrap();
            });
        }
    }
}

#[test]
fn a_fresh_poll_takes_two_round_trips_and_a_kept_one_takes_one() {
    run(async {
        let server = Server::start(Config::default());
        for (keep_alive, round_trips) in [(false, 2), (true, 1)] {
            let mut seat = behind("rtt=20ms", seat(server.address, &["t"], None));
            seat.options.keep_alive = keep_alive;
            seat.options.publish_keep_alive = keep_alive;
            let mut client = Driver::ready(protocol("short-poll"), seat).await;
            poll_once(&mut client).await;
            assert!(poll_once(&mut client).await >= round_trips * RTT);
        }
    });
}

/// The link lies under TLS, so that a full handshake (one round trip, RFC 8446, section 2) is paid for as well.
#[test]
fn a_fresh_poll_over_tls_takes_three_round_trips_and_counts_the_same_bytes() {
    run(async {
        let server = Server::secured(Config::default());
        let mut polls = Vec::new();
        for linked in [false, true] {
            let mut seat = seat(server.address, &["t"], None);
            Rc::get_mut(&mut seat.target).unwrap().tls = server.tls.clone();
            seat.options.keep_alive = false;
            let seat = if linked { behind("rtt=20ms", seat) } else { seat };
            let meter = seat.meter.clone();
            let mut client = Driver::ready(protocol("short-poll"), seat).await;
            poll_once(&mut client).await;
            let before = (meter.wire_in_bytes.get(), meter.wire_out_bytes.get());
            let took = poll_once(&mut client).await;
            polls.push((meter.wire_in_bytes.get() - before.0, meter.wire_out_bytes.get() - before.1));
            assert!(!linked || took >= 3 * RTT, "{took:?}");
        }
        assert_eq!(polls[0], polls[1]);
    });
}

#[test]
fn an_echo_takes_a_round_trip() {
    run(async {
        let server = Server::start(Config::default());
        for name in ["websocket", "webrtc"] {
            let seat = Seat { echo: true, ..behind("rtt=20ms", seat(server.address, &[], Some("t"))) };
            let mut client = Driver::ready(protocol(name), seat).await;
            let start = Instant::now();
            client.send_and_receive(b"there and back", 1).await.unwrap();
            assert!(start.elapsed() >= RTT, "{name}");
        }
    });
}

#[test]
fn peers_carry_half_of_the_link_each() {
    run(async {
        let server = Server::start(Config::default());
        let member = |index, topics: &[&str], publish| {
            let mut seat = behind("rtt=20ms", seat(server.address, topics, publish));
            seat.mesh = Some(Mesh { group: "g".into(), index, size: 2 });
            seat.options.peer_to_peer = true;
            Driver::new(protocol("webrtc"), seat)
        };
        let mut receiver = member(0, &["t"], None);
        let mut sender = member(1, &[], Some("t"));
        both_ready(&mut receiver, &mut sender).await;
        let start = Instant::now();
        sender.send(b"to a peer", false).await.unwrap();
        // The sender must be polled for its datagrams to go on; it hears nothing itself.
        tokio::select! {
            got = receiver.receive(1) => assert_eq!(got.unwrap(), [b"to a peer"]),
            _ = sender.until(|_, _| false) => unreachable!("nobody speaks to the sender"),
        }
        assert!(start.elapsed() >= RTT / 2);
    });
}

#[test]
fn what_an_unreliable_channel_loses_stays_lost() {
    run(async {
        let server = Server::start(Config::default());
        let mut seat = behind("rtt=2ms,loss=10%", seat(server.address, &[], Some("t")));
        seat.echo = true;
        (seat.options.ordered, seat.options.max_retransmits) = (false, Some(0));
        let mut client = Driver::ready(protocol("webrtc"), seat).await;
        let sent: Vec<Vec<u8>> = (0..200).map(|i| format!("{i:03}").into_bytes()).collect();
        for payload in &sent {
            // Each in a datagram of its own, with time for those before it to be acknowledged or given up.
            client.send_and_receive(payload, 0).await.unwrap();
        }
        let gathered = soon(async {
            // A last, sent until it is back: behind it nothing of the others is under way.
            loop {
                client.send(b"end", false).await.unwrap();
                let before = client.received.payloads.len();
                let patience = tokio::time::timeout(Duration::from_millis(50), client.receive(before + 1));
                let _ = patience.await;
                if client.received.payloads.iter().any(|payload| payload == b"end") {
                    return client.received.payloads.iter().filter(|payload| *payload != b"end").count();
                }
            }
        })
        .await;
        assert!((100..200).contains(&gathered), "{gathered} of 200 came back, 0.9 x 0.9 of them should");
    });
}
