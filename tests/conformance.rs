//! One suite over the table of protocols, against the reference server. A new row inherits it.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use reference_server::hub::Limits;
use reference_server::{Config, Faults, Listeners};
use rtbench::protocol::{ALL, Failure, Kind, Pause, Phase, Protocol, Seat, Step};
use support::driver::{Driver, run, seat, soon};
use support::server::Server;

/// What the suite runs a test with: a fresh server and one protocol, with connections kept and not, plain and encrypted.
struct Case {
    protocol: &'static Protocol,
    keep_alive: bool,
    server: Server,
}

impl Case {
    fn seat(&self, topics: &[&str], publish: Option<&str>) -> Seat {
        let mut seat = seat(self.server.address, topics, publish);
        seat.options.keep_alive = self.keep_alive;
        seat.options.publish_keep_alive = self.keep_alive;
        Rc::get_mut(&mut seat.target).unwrap().tls = self.server.tls.clone();
        seat
    }

    async fn subscriber(&self, topics: &[&str]) -> Driver {
        Driver::ready(self.protocol, self.seat(topics, None)).await
    }

    async fn publisher(&self, topic: &str) -> Driver {
        Driver::ready(self.protocol, self.seat(&[], Some(topic))).await
    }

    async fn publish_all(&self, topic: &str, payloads: &[Vec<u8>]) {
        for payload in payloads {
            self.server.publish(topic, payload).await;
        }
    }
}

fn config() -> Config {
    Config { retry: Duration::from_millis(5), ..Config::default() }
}

fn each(config: Config, test: impl AsyncFn(&Case)) {
    for protocol in ALL {
        for (keep_alive, tls) in [(false, false), (true, false), (false, true), (true, true)] {
            println!("{} (keep-alive: {keep_alive}, TLS: {tls})", protocol.name);
            run(async {
                let start = if tls { Server::secured } else { Server::start };
                let server = start(config.clone());
                soon(test(&Case { protocol, keep_alive, server })).await;
            });
        }
    }
}

fn numbered(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    range.map(|i| format!("[{i}]").into_bytes()).collect()
}

#[test]
fn every_event_arrives_exactly_once_and_in_order() {
    each(config(), async |case| {
        case.publish_all("t", &numbered(900..903)).await;
        let mut driver = case.subscriber(&["t"]).await;
        case.publish_all("t", &numbered(0..40)).await;
        driver.receive(40).await.unwrap();
        case.publish_all("t", &numbered(40..50)).await;
        assert_eq!(driver.receive(50).await.unwrap(), numbered(0..50));
        assert_eq!(driver.received.missed, 0);
    });
}

#[test]
fn a_client_follows_several_topics_and_no_other() {
    each(config(), async |case| {
        let mut driver = case.subscriber(&["a", "b"]).await;
        for (i, payload) in numbered(0..9).iter().enumerate() {
            case.server.publish(["a", "b", "c"][i % 3], payload).await;
        }
        let expected: Vec<_> = [0, 1, 3, 4, 6, 7].iter().flat_map(|&i| numbered(i..i + 1)).collect();
        assert_eq!(driver.receive(6).await.unwrap(), expected);
    });
}

#[test]
fn what_a_client_publishes_arrives_unchanged() {
    let texts = ["x", "two\nlines\n", "\n", "{\"a\": \"\u{e9}\u{1f44d}\"}", "cr\r\nlf", ":", "data: x"];
    let binary = [(0..=255).collect::<Vec<u8>>(), vec![b'\n'; 300], vec![0; 20_000], b"{\"op\":".to_vec()];
    each(config(), async |case| {
        let mut subscriber = case.subscriber(&["t"]).await;
        let mut publisher = case.publisher("t").await;
        let mut expected = Vec::new();
        for text in texts {
            publisher.send(text.as_bytes(), false).await.unwrap();
            expected.push(text.as_bytes().to_vec());
        }
        for payload in &binary {
            publisher.send(payload, true).await.unwrap();
            expected.push(payload.clone());
        }
        // A large message leaves a data channel only as fast as it is acknowledged, so its sender must live on.
        let received = tokio::select! {
            received = subscriber.receive(expected.len()) => received.unwrap().to_vec(),
            ended = publisher.until(|_, _| false) => panic!("the publisher ended: {ended:?}"),
        };
        assert_eq!(received, expected);
        publisher.close().await.unwrap();
    });
}

#[test]
fn a_refused_message_is_a_failure_of_its_sender() {
    let refusing = Config { faults: Faults { refuse_binary: true, ..Faults::default() }, ..config() };
    each(refusing, async |case| {
        let mut publisher = case.publisher("t").await;
        let failure = match publisher.send(b"\0", true).await {
            Err(failure) => failure,
            // Where nothing comes back for what is sent, the refusal is a close.
            Ok(()) => publisher.until(|_, _| false).await.unwrap_err(),
        };
        // A data channel closes without a code.
        let foreseen = match case.protocol.name {
            "webrtc" => failure.kind == Kind::Eof,
            _ => matches!(failure.kind, Kind::Status(415) | Kind::CloseCode(1003)),
        };
        assert!(foreseen, "{failure}");
    });
}

#[test]
fn echo_comes_back_to_its_sender() {
    each(config(), async |case| {
        let mut seat = case.seat(&[], Some("mine"));
        seat.echo = true;
        let mut driver = Driver::ready(case.protocol, seat).await;
        for (i, payload) in numbered(0..5).iter().enumerate() {
            driver.send_and_receive(payload, i + 1).await.unwrap();
        }
        assert_eq!(driver.received.payloads, numbered(0..5));
    });
}

#[test]
fn after_a_cut_a_client_goes_on_where_it_was_or_says_that_it_cannot() {
    each(config(), async |case| {
        let mut driver = case.subscriber(&["t"]).await;
        case.publish_all("t", &numbered(0..3)).await;
        driver.receive(3).await.unwrap();
        case.server.cut().await;
        case.publish_all("t", &numbered(3..6)).await;
        if case.protocol.traits.resumes {
            assert_eq!(driver.receive(6).await.unwrap(), numbered(0..6));
            return;
        }
        if case.protocol.name == "webrtc" {
            // A cut is silence there, and ICE takes half a minute to call it that: its own tests do so on simulated time.
            return;
        }
        let failure = driver.receive(6).await.unwrap_err();
        assert_eq!(failure.phase, Phase::Receive);
        assert!(matches!(failure.kind, Kind::Reset | Kind::Eof), "{failure}");
        // It is as good as new.
        driver.until(|_, step| step == Step::Ready).await.unwrap();
        case.publish_all("t", &numbered(6..7)).await;
        driver.receive(4).await.unwrap();
        assert_eq!(driver.received.payloads[3..], numbered(6..7));
    });
}

#[test]
fn a_server_that_stops_is_a_failure_of_a_kind() {
    for protocol in ALL {
        run(async {
            let server = Server::start(config());
            let mut driver = Driver::ready(protocol, seat(server.address, &["t"], None)).await;
            let cut = |step| matches!(step, Step::Pause(Pause::Reconnect(..)));
            let stops = async { tokio::join!(driver.until(|_, step| cut(step)), server.stop()) };
            let (ended, ()) = soon(stops).await;
            // An event stream comes back by itself, however often that fails.
            let Err(Failure { phase, kind, .. }) = ended else {
                return assert_eq!(protocol.name, "sse");
            };
            let foreseen = match phase {
                Phase::Connect => kind == Kind::Refused,
                Phase::Receive => matches!(kind, Kind::Reset | Kind::Eof | Kind::CloseCode(1001)),
                _ => false,
            };
            assert!(foreseen, "{}: {phase:?} {kind:?}", protocol.name);
        });
    }
}

#[test]
fn a_slow_client_is_told_what_it_missed() {
    let limits = Limits { history_events: 8, queue_events: 4, ..Limits::default() };
    each(Config { limits, ..config() }, async |case| {
        // A cursor that lies behind an event, so that the history can pass it.
        case.server.publish("t", "before").await;
        let mut driver = case.subscriber(&["t"]).await;
        // More than the socket buffers of both ends hold.
        let published = 400;
        for _ in 0..published {
            case.server.publish("t", vec![b'x'; 64 << 10]).await;
        }
        case.server.publish("t", "end").await;
        driver
            .until(|received, _| received.payloads.last().is_some_and(|last| last == b"end"))
            .await
            .unwrap();
        let received = driver.received.payloads.len() as u64;
        assert!(driver.received.missed > 0 && received < published, "{received} received");
    });
}

#[test]
fn a_client_that_closes_leaves_nothing_behind() {
    each(config(), async |case| {
        let mut driver = Driver::ready(case.protocol, case.seat(&["t"], Some("t"))).await;
        driver.send_and_receive(b"[1]", 1).await.unwrap();
        // Whatever it is in the middle of now, a held request for instance, ends too.
        driver.begin_step().await;
        driver.close().await.unwrap();
        let control_connection = 1;
        soon(async { while case.server.stat("connections").await > control_connection {} }).await;
    });
}

/// Bytes that `count` payloads of `bytes` bytes add, on connections that are ready: in, and out.
async fn bytes_for(case: &Case, bytes: usize, count: usize) -> (u64, u64) {
    let mut subscriber = case.subscriber(&["t"]).await;
    let mut publisher = case.publisher("t").await;
    let (in_before, out_before) =
        (subscriber.meter.wire_in_bytes.get(), publisher.meter.wire_out_bytes.get());
    for _ in 0..count {
        publisher.send(&vec![b'x'; bytes], false).await.unwrap();
    }
    subscriber.receive(count).await.unwrap();
    (subscriber.meter.wire_in_bytes.get() - in_before, publisher.meter.wire_out_bytes.get() - out_before)
}

fn each_named(name: &str, test: impl AsyncFn(&Case)) {
    each(config(), async |case| {
        if case.protocol.name == name {
            test(case).await;
        }
    });
}

#[test]
fn the_meter_agrees_with_arithmetic_on_a_websocket() {
    each_named("websocket", async |case| {
        assert_eq!(bytes_for(case, 100, 10).await, (10 * 102, 10 * 106));
        assert_eq!(bytes_for(case, 1000, 10).await, (10 * 1004, 10 * 1008));
    });
}

#[test]
fn the_meter_agrees_with_arithmetic_on_an_event_stream() {
    each_named("sse", async |case| {
        let event = |id: usize, bytes: usize| {
            // A cursor is the hub's number in eight digits, and the event's.
            let lines = format!("id: 01234567-{id}\nevent: message\ndata: {}\n\n", "x".repeat(bytes));
            format!("{:x}\r\n{lines}\r\n", lines.len()).len() as u64
        };
        let sum = |ids: std::ops::Range<usize>, bytes| ids.map(|id| event(id, bytes)).sum::<u64>();
        assert_eq!(bytes_for(case, 100, 10).await, (sum(1..11, 100), 0));
        assert_eq!(bytes_for(case, 1000, 10).await, (sum(11..21, 1000), 0));
    });
}

#[test]
fn the_meter_agrees_with_arithmetic_on_polls() {
    each(config(), async |case| {
        if !matches!(case.protocol.name, "short-poll" | "long-poll") {
            return;
        }
        let mut driver = case.subscriber(&["t"]).await;
        let netstring = "100:".len() as u64 + 100 + 1;
        let mut exchange = [0; 2];
        for events in [1, 2] {
            let before = driver.meter.exchange_in_bytes.get();
            for _ in 0..events {
                case.server.publish("t", [b'x'; 100]).await;
            }
            driver.until(|_, step| step == Step::Received).await.unwrap();
            exchange[events - 1] = driver.meter.exchange_in_bytes.get() - before;
        }
        assert_eq!(exchange[1] - exchange[0], netstring, "one more event in an answer of the same head");
        driver.close().await.unwrap();
        let meter = &driver.meter;
        assert_eq!(meter.exchange_in_bytes.get(), meter.wire_in_bytes.get());
        assert_eq!(meter.exchange_out_bytes.get(), meter.wire_out_bytes.get());
        assert_eq!(
            (meter.exchanges.get(), meter.empty_exchanges.get()),
            (3, 1),
            "one brought the cursor, two an event"
        );
        let fresh = case.protocol.name == "short-poll" && !case.keep_alive;
        assert_eq!(meter.connections.get(), if fresh { 3 } else { 1 });
    });
}

#[test]
fn a_post_is_counted_apart_as_one_exchange() {
    each(config(), async |case| {
        let mut publisher = case.publisher("t").await;
        let shared = publisher.meter.wire_out_bytes.get();
        publisher.send(b"[1]", false).await.unwrap();
        publisher.send(b"[2]", false).await.unwrap();
        let meter = &publisher.publish_meter;
        if meter.connections.get() == 0 {
            assert!(publisher.meter.wire_out_bytes.get() > shared, "it goes out on the receiving connection");
            return;
        }
        assert_eq!(
            (meter.exchanges.get(), meter.connections.get()),
            (2, if case.keep_alive { 1 } else { 2 })
        );
        assert_eq!(meter.exchange_in_bytes.get(), meter.wire_in_bytes.get());
        assert_eq!(meter.exchange_out_bytes.get(), meter.wire_out_bytes.get());
        assert_eq!(publisher.meter.wire_out_bytes.get(), shared);
    });
}

#[test]
fn one_socket_serves_data_channels_over_both_versions_of_ip() {
    run(async {
        // A host without IPv6 has nothing to show.
        let Ok(listeners) = Listeners::bind("[::]:0".parse().unwrap(), 1) else { return };
        let server = Server::with(listeners, config());
        for ip in ["127.0.0.1", "::1"] {
            let address = SocketAddr::new(ip.parse().unwrap(), server.address.port());
            let webrtc = ALL.iter().find(|protocol| protocol.name == "webrtc").unwrap();
            let mut driver = Driver::ready(webrtc, seat(address, &["t"], None)).await;
            server.publish("t", ip).await;
            assert_eq!(driver.receive(1).await.unwrap(), [ip.as_bytes()]);
        }
    });
}
