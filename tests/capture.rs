//! Every layer of what rtbench counts against packets taken from the loopback device beside it. Needs the right to
//! see packets (CAP_NET_RAW).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/missing.rs"]
mod missing;
mod support;

use std::rc::Rc;

use reference_server::Config;
use rtbench::protocol::{ALL, Protocol, Seat};
use rtbench::transport::meter::Meter;
use rtbench::transport::packets::Packets;
use support::capture::{Capture, Captured, Filter, Flow};
use support::driver::{Driver, run, seat, soon};
use support::server::Server;

const MESSAGES: usize = 100;

/// Longer than one segment at an MTU of 1500.
const LONG_BYTES: usize = 5_000;

#[derive(Clone, Copy, Debug)]
struct Case {
    protocol: &'static Protocol,
    keep_alive: bool,
    tls: bool,
}

impl Case {
    fn is_datagrams(&self) -> bool {
        self.protocol.name == "webrtc"
    }

    fn filter(&self, server: &Server) -> Filter {
        let address = if self.is_datagrams() { server.rtc[0] } else { server.address };
        Filter { tcp: !self.is_datagrams(), server_port: address.port() }
    }

    fn seat(&self, server: &Server, meter: &Rc<Meter>, topics: &[&str], publish: Option<&str>) -> Seat {
        let mut seat = seat(server.address, topics, publish);
        Rc::get_mut(&mut seat.target).unwrap().tls = server.tls.clone();
        seat.options.keep_alive = self.keep_alive;
        seat.options.publish_keep_alive = self.keep_alive;
        (seat.meter, seat.publish_meter) = (meter.clone(), meter.clone());
        seat
    }
}

/// One direction as rtbench counts it.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    wire: u64,
    socket: u64,
    ip: u64,
    segments: u64,
    extra: u64,
}

impl Counted {
    fn read(meter: &Meter) -> [Counted; 2] {
        let Packets { segments_in, segments_out, ip_in_bytes, ip_out_bytes } = meter.packets();
        let incoming = Counted {
            wire: meter.wire_in_bytes.get(),
            socket: meter.socket_in_bytes.get(),
            ip: ip_in_bytes,
            segments: segments_in,
            extra: meter.mtu_1500_extra_in.get(),
        };
        let outgoing = Counted {
            wire: meter.wire_out_bytes.get(),
            socket: meter.socket_out_bytes.get(),
            ip: ip_out_bytes,
            segments: segments_out,
            extra: meter.mtu_1500_extra_out.get(),
        };
        [incoming, outgoing]
    }

    fn since(self, before: Counted) -> Counted {
        Counted {
            wire: self.wire - before.wire,
            socket: self.socket - before.socket,
            ip: self.ip - before.ip,
            segments: self.segments - before.segments,
            extra: self.extra - before.extra,
        }
    }
}

/// Compares both directions of one span of a case.
fn compare(case: Case, span: &str, counted: [Counted; 2], captured: &Captured) {
    for (direction, counted, flow) in
        [("in", counted[0], &captured.incoming), ("out", counted[1], &captured.outgoing)]
    {
        let kind = if case.keep_alive { "kept" } else { "fresh" };
        let cover = if case.tls { "tls" } else { "plain" };
        println!(
            "{:10} {kind:5} {cover:5} {span:7} {direction:3} | socket {:7} {:7} | IP {:7} {:7} {:+.3}% | segments {:4} {:4}",
            case.protocol.name,
            counted.socket,
            flow.payload_bytes,
            counted.ip,
            flow.ip_bytes,
            percent_off(counted.ip, flow.ip_bytes),
            counted.segments,
            flow.packets,
        );
        check(case, &format!("{} {kind} {cover} {span} {direction}", case.protocol.name), counted, flow);
    }
}

fn percent_off(counted: u64, captured: u64) -> f64 {
    (counted as f64 - captured as f64) * 100.0 / (captured as f64).max(1.0)
}

fn check(case: Case, what: &str, counted: Counted, flow: &Flow) {
    let within = |name, a: u64, b: u64| {
        assert!(a.abs_diff(b) * 100 <= b, "{what}: {name}: {a} counted, {b} captured");
    };
    if case.is_datagrams() {
        within("datagrams' payload", counted.socket, flow.payload_bytes);
    } else {
        assert_eq!(counted.socket, flow.payload_bytes, "{what}: bytes on sockets");
        if !case.tls {
            assert_eq!(counted.wire, flow.payload_bytes, "{what}: framing and payload");
        }
        assert_eq!(counted.extra, flow.extra_segments, "{what}: segments that loopback hides");
    }
    within("IP packets", counted.ip, flow.ip_bytes);
    within("segments", counted.segments, flow.packets);
}

/// Publishes and receives, one message after the other.
async fn exchange(case: Case, publisher: &mut Driver, subscriber: &mut Driver) {
    for n in 1..=MESSAGES {
        let bytes = if n % 10 == 0 { LONG_BYTES } else { 100 };
        let payload = vec![b'x'; bytes];
        publisher.send(&payload, false).await.unwrap();
        // A data channel sends a long message only as fast as it hears acknowledgements.
        tokio::select! {
            received = subscriber.receive(n) => drop(received.unwrap()),
            ended = publisher.until(|_, _| false) => panic!("the publisher ended: {ended:?}"),
        }
        if !case.protocol.traits.polls {
            // As a session does, it finds that there is nothing more.
            subscriber.begin_step().await;
        }
    }
}

async fn measure(case: Case) -> std::io::Result<()> {
    let server = if case.tls { Server::secured(Config::default()) } else { Server::start(Config::default()) };
    let mut capture = Capture::start(case.filter(&server))?;
    let meter = Rc::<Meter>::default();
    let mut subscriber = Driver::ready(case.protocol, case.seat(&server, &meter, &["t"], None)).await;
    let mut publisher = Driver::ready(case.protocol, case.seat(&server, &meter, &[], Some("t"))).await;
    let barrier = Counted::read(&meter);
    let connected = capture.look(Captured::default());

    exchange(case, &mut publisher, &mut subscriber).await;
    let end = Counted::read(&meter);
    let loaded = capture.look(connected.rest());
    compare(case, "load", [end[0].since(barrier[0]), end[1].since(barrier[1])], &loaded);
    if case.is_datagrams() {
        // Whoever closes a data channel first no longer hears the other.
        return Ok(());
    }
    if case.tls && case.protocol.name == "websocket" {
        // What the records hold is what the protocol wrote: TLS is the rest.
        let records = [loaded.incoming.record_bytes, loaded.outgoing.record_bytes];
        assert_eq!([0, 1].map(|way| end[way].since(barrier[way]).wire), records, "{case:?}: above TLS");
    }

    subscriber.close().await.unwrap();
    publisher.close().await.unwrap();
    drop((subscriber, publisher));
    let over = Counted::read(&meter);
    let closed = capture.look(loaded.rest());
    compare(case, "life", over, &connected.plus(&loaded).plus(&closed));
    assert_eq!(meter.estimated_connections.get(), 0, "{case:?}");
    Ok(())
}

#[test]
fn every_layer_agrees_with_captured_packets() {
    let probe = Capture::start(Filter { tcp: true, server_port: 1 });
    if missing::lacks(probe.is_err(), "the right to capture packets", "run as root, or with CAP_NET_RAW") {
        return;
    }
    println!("each pair: counted by rtbench, captured");
    for protocol in ALL {
        for (keep_alive, tls) in [(false, false), (true, false), (false, true), (true, true)] {
            run(async { soon(measure(Case { protocol, keep_alive, tls })).await }).unwrap();
        }
    }
}
