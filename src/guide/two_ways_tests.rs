//! No verdict without a measurement that could have made it another: for every claim that is bound, a run by which it holds,
//! and one by which it does not.
#![allow(clippy::unwrap_used)]

use super::column::COLUMNS;
use super::evidence::Evidence;
use super::matrix::Matrix;
use super::{all, claim_table, find};
use crate::measure::cell::{Cell, Status, TrustLevel, Wire};
use crate::measure::sample::{self, Sample};
use crate::measure::source::SourceCount;

/// What a made-up run left behind.
#[derive(Default)]
struct Made {
    cells: Vec<Cell>,
    source: Vec<SourceCount>,
}

impl Made {
    fn word(&self, id: &str) -> &'static str {
        let matrix = Matrix::from_parts(&self.cells, &self.source);
        let evidence = Evidence::new(&self.cells, &self.source);
        claim_table::answer(find(id).unwrap(), &evidence, &matrix).0.verdict.word()
    }
}

fn cells(cells: impl IntoIterator<Item = Sample>) -> Made {
    Made { cells: cells.into_iter().map(Sample::build).collect(), source: Vec::new() }
}

/// A claim, what a run by which it holds is told, and the two runs. The second is told `not reproduced`.
type Row = (&'static str, &'static str, fn() -> Made, fn() -> Made);

const HOLDS: &str = "reproduced";
const DEPENDS: &str = "depends";

#[rustfmt::skip]
static ROWS: &[Row] = &[
    ("sp-latency-mean", HOLDS, || polled(1.0, 5_400), || polled(2.0, 5_400)),
    ("sp-latency-max", HOLDS, || polled(1.0, 5_400), || polled(1.1, 5_400)),
    ("sp-wasted", DEPENDS, || polled(1.0, 5_400), || polled(1.0, 5_900)),
    ("sp-requests", HOLDS, || polled(1.0, 5_400), || cells([sample::cell(SHORT).polls(3_000, 2_700, 600).delivering(300)])),
    ("sp-queries", HOLDS, || looked_up(6_000), || looked_up(12_000)),
    ("lp-latency", DEPENDS, || late("workload/long-poll", 3.0), || late("workload/long-poll", 2_000.0)),
    ("lp-wasted", DEPENDS, || held_polls(27_000, 0), || held_polls(36_000, 9_000)),
    ("lp-held", HOLDS, || connections(900), || connections(450)),
    ("lp-requests", HOLDS, || held_polls(27_000, 0), || held_polls(54_000, 27_000)),
    ("lp-timeout", HOLDS, || hold(30.0, 30.0), || hold(30.0, 10.0)),
    ("lp-capacity", HOLDS, || crowd("idle/long-poll", 10_000, 10_000), || crowd("idle/long-poll", 10_000, 9_000)),
    ("ws-rtt", DEPENDS, || late("echo/websocket", 3.0), || late("echo/websocket", 80.0)),
    ("ws-frame", HOLDS, || cells([framed("websocket", 2.0, 6.0)]), || cells([framed("websocket", 14.0, 18.0)])),
    ("ws-saving", HOLDS, || saved(10, 1_000), || saved(150, 100)),
    ("ws-rate", HOLDS, || rate(60_000), || rate(15_000)),
    ("ws-capacity", HOLDS, || crowd("idle/websocket", 10_000, 10_000), || crowd("idle/websocket", 10_000, 9_000)),
    ("ws-memory", HOLDS, || memory(7_000), || memory(1_000)),
    ("ws-types", HOLDS, || word("probe/websocket", "types", "yes"), || word("probe/websocket", "types", "no")),
    ("sse-latency", DEPENDS, || late("workload/sse", 3.0), || late("workload/sse", 400.0)),
    ("sse-overhead", HOLDS, || cells([framed("sse", 45.0, 45.0)]), || cells([framed("sse", 5.0, 5.0)])),
    ("sse-reconnect", HOLDS, || figures("probe/sse", "reconnect", "yes", &[("lost", 0.0)]), || figures("probe/sse", "reconnect", "yes", &[("lost", 2.0)])),
    ("sse-named", HOLDS, || word("probe/sse", "named-events", "yes"), || word("probe/sse", "named-events", "no")),
    ("sse-text", HOLDS, || figures("probe/sse", "binary", "no", &BASE64), || figures("probe/sse", "binary", "no", &PLAIN)),
    ("sse-six", HOLDS, || figures("browser/sse", "six", "6", &[("connections", 6.0)]), || figures("browser/sse", "six", "10", &[("connections", 10.0)])),
    ("rtc-latency", DEPENDS, || late("workload/webrtc", 3.0), || late("workload/webrtc", 400.0)),
    ("rtc-overhead", HOLDS, || on_the_network(150), || on_the_network(250)),
    ("rtc-server-bytes", HOLDS, || peers(0), || peers(300_000)),
    ("rtc-turn", HOLDS, || word("firewall/webrtc", "turn", "yes"), || word("firewall/webrtc", "turn", "no")),
    ("rtc-modes", HOLDS, || word("probe/webrtc", "modes", "yes"), || word("probe/webrtc", "modes", "no")),
    ("rtc-encrypted", HOLDS, || word("probe/webrtc", "encrypted", "yes"), || word("probe/webrtc", "encrypted", "no")),
    ("rtc-mesh", DEPENDS, || meshes(11), || meshes(1)),
    ("matrix-sp-latency", HOLDS, || polled(1.0, 5_400), || polled(5.0, 5_400)),
    ("matrix-lp-latency", DEPENDS, || late("workload/long-poll", 3.0), || late("workload/long-poll", 2_000.0)),
    ("matrix-ws-latency", DEPENDS, || late("workload/websocket", 3.0), || late("workload/websocket", 80.0)),
    ("matrix-sse-latency", DEPENDS, || late("workload/sse", 3.0), || late("workload/sse", 400.0)),
    ("matrix-rtc-latency", DEPENDS, || late("workload/webrtc", 3.0), || late("workload/webrtc", 40.0)),
    ("matrix-sp-overhead", HOLDS, || headers("short-poll", 900), || headers("short-poll", 200)),
    ("matrix-lp-overhead", HOLDS, || headers("long-poll", 900), || headers("long-poll", 200)),
    ("matrix-ws-overhead", HOLDS, || cells([framed("websocket", 2.0, 6.0)]), || cells([framed("websocket", 14.0, 18.0)])),
    ("matrix-sse-overhead", HOLDS, || cells([framed("sse", 45.0, 45.0)]), || cells([framed("sse", 5.0, 5.0)])),
    ("matrix-rtc-overhead", HOLDS, || on_the_network(150), || on_the_network(250)),
    ("matrix-connection", HOLDS, || row("probe", "connection", ["new each", "held open", "persistent", "held open", "P2P"]), || row("probe", "connection", ["new each", "held open", "new each", "held open", "P2P"])),
    ("matrix-direction", HOLDS, || row("probe", "direction", ["request/response", "request/response", "both", "server to client", "both"]), || row("probe", "direction", ["both"; 5])),
    ("matrix-scalability", HOLDS, || scaling(["yes", "no", "no", "yes", "no"], [10, 20, 40, 20]), || scaling(["no", "yes", "yes", "yes", "no"], [40, 20, 10, 20])),
    ("matrix-server-load", HOLDS, || Made { cells: loaded([90, 50, 30, 40, 5], [40, 30, 10, 20, 5]), source: Vec::new() }, || Made { cells: loaded([5, 50, 30, 40, 90], [5, 30, 10, 20, 40]), source: Vec::new() }),
    ("matrix-implementation", HOLDS, || written([200, 250, 500, 240, 1_600]), || written([1_600, 250, 500, 240, 200])),
    ("matrix-browser", HOLDS, || row("browser", "browser", ["all", "all", "modern", "modern", "modern"]), || row("browser", "browser", ["all", "all", "modern", "no", "modern"])),
    ("matrix-firewall", HOLDS, || row("firewall", "firewall", ["no", "no", "some", "no", "yes"]), || row("firewall", "firewall", ["no", "no", "some", "some", "yes"])),
    ("matrix-binary", HOLDS, || row("probe", "binary", ["no", "no", "yes", "no", "yes"]), || row("probe", "binary", ["no", "no", "no", "no", "yes"])),
    ("matrix-reconnect", HOLDS, || row("probe", "reconnect", ["yes", "no", "no", "yes", "no"]), || row("probe", "reconnect", ["yes", "yes", "no", "yes", "no"])),
    ("server-scale", HOLDS, || crowd("million/websocket", 1_000_000, 1_000_000), || crowd("million/websocket", 1_000_000, 800_000)),
];

const SHORT: &str = "poll-latency/short-poll";

/// 256 bytes with and without an encoding around them.
const BASE64: [(&str, f64); 2] = [("sent_bytes", 256.0), ("wire_in_bytes", 420.0)];
const PLAIN: [(&str, f64); 2] = [("sent_bytes", 256.0), ("wire_in_bytes", 310.0)];

/// The guide's short poll, with latencies so many times what the interval explains.
fn polled(times: f64, empty: u64) -> Made {
    let uniform: Vec<f64> = (0..600).map(|i| times * 5_000.0 * (f64::from(i) + 0.5) / 600.0).collect();
    let cell = sample::cell(SHORT).polls(6_000, empty, 600).delivering(600).latency_ms(&uniform, 600);
    cells([cell.with(|cell| cell.exchange = sample::distribution(&[1.0, 2.0], 2))])
}

fn looked_up(lookups: u64) -> Made {
    let cell = sample::cell(SHORT).polls(6_000, 5_400, 600).delivering(600);
    cells([cell.with(|cell| cell.server.as_mut().unwrap().lookups = Some(lookups))])
}

fn late(name: &str, ms: f64) -> Made {
    let samples: Vec<f64> = (0..2_000).map(|i| ms * (0.95 + f64::from(i) / 20_000.0)).collect();
    cells([sample::cell(name).latency_ms(&samples, 2_000)])
}

fn held_polls(polls: u64, empty: u64) -> Made {
    cells([sample::cell("workload/long-poll").polls(polls, empty, 600).delivering(27_000)])
}

fn connections(held: u64) -> Made {
    let cell = sample::cell("memory/long-poll/1000").idle(1_000, 2_000);
    cells([cell.with(|cell| cell.server.as_mut().unwrap().connections = Some(held))])
}

fn hold(told_s: f64, held_s: f64) -> Made {
    let samples: Vec<f64> = (0..200).map(|i| 1e3 * held_s + f64::from(i) / 10.0).collect();
    cells([sample::cell("hold/long-poll").idle(40, 2_000).with(|cell| {
        (cell.spec.long_poll.hold_s, cell.exchange) = (Some(told_s), sample::distribution(&samples, 200));
    })])
}

fn crowd(name: &str, asked: u32, came: u64) -> Made {
    cells([sample::cell(name).idle(asked, 2_000).with(|cell| cell.counts.connected = came)])
}

fn framed(protocol: &str, down: f64, up: f64) -> Sample {
    sample::cell(&format!("workload/{protocol}")).stream(down, up)
}

/// WebSocket with so many bytes around a payload on the network, and polls with headers of so many.
fn saved(websocket_ip_bytes: u64, header_bytes: u64) -> Made {
    let polls = sample::cell("workload/short-poll").polls(31_500, 0, header_bytes);
    let polls = polls.with(|cell| cell.subscriber_wire.ip_in_bytes = (100 + 1_500) * 31_500);
    cells([polls, network("workload/websocket", websocket_ip_bytes, false)])
}

/// A cell whose subscribers had so many bytes around a payload on the network.
fn network(name: &str, bytes: u64, datagrams: bool) -> Sample {
    sample::cell(name).with(|cell| {
        let all = cell.counts.delivered_all;
        cell.subscriber_wire = Wire {
            in_bytes: cell.counts.delivered_all_bytes + 2 * all,
            ip_in_bytes: (sample::PAYLOAD_BYTES + bytes) * all,
            datagrams_in: if datagrams { all } else { 0 },
            ..Wire::default()
        };
    })
}

fn on_the_network(bytes: u64) -> Made {
    cells([network("tls/websocket", 160, false), network("workload/webrtc", bytes, true)])
}

fn rate(deliveries: u64) -> Made {
    cells([sample::cell("rate/websocket").with(|cell| {
        let counts = &mut cell.counts;
        (counts.expected, counts.delivered) = (60_000, deliveries);
        (counts.lost, counts.received_in_window) = (60_000 - deliveries, deliveries);
    })])
}

fn memory(bytes: u64) -> Made {
    let point = |clients: u32| sample::cell(&format!("memory/websocket/{clients}")).idle(clients, bytes);
    cells([100, 250, 500, 750, 1_000, 2_000].map(point))
}

fn word(cell: &str, name: &str, word: &str) -> Made {
    figures(cell, name, word, &[])
}

fn figures(cell: &str, name: &str, word: &str, figures: &[(&str, f64)]) -> Made {
    cells([sample::cell(cell).probe(name, word, "").with(|cell| {
        cell.probes[0].evidence = figures.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
    })])
}

/// What a probe found of each protocol.
fn row(kind: &str, name: &str, words: [&str; 5]) -> Made {
    let cell = |(column, word): (&super::column::Column, &str)| {
        sample::cell(&format!("{kind}/{}", column.protocol)).probe(name, word, "")
    };
    cells(COLUMNS.iter().zip(words).map(cell))
}

fn peers(through_server: u64) -> Made {
    cells([sample::cell("workload/webrtc").with(|cell| {
        cell.spec.webrtc.peer_to_peer = true;
        cell.server.as_mut().unwrap().published_bytes = Some(through_server);
    })])
}

/// Meshes of 2, 6 and 12; each participant of the last sends so many copies.
fn meshes(copies_of_12: u64) -> Made {
    cells([(2, 1), (6, 5), (12, copies_of_12)].map(|(size, copies)| {
        sample::cell(&format!("mesh/webrtc/{size}")).with(|cell| {
            (cell.spec.clients, cell.spec.group, cell.spec.webrtc.peer_to_peer) = (size, size, true);
            cell.counts.connected = size.into();
            cell.publisher_wire.ip_out_bytes = 143_000 * copies * cell.counts.published_all;
        })
    }))
}

fn headers(protocol: &str, bytes: u64) -> Made {
    cells([sample::cell(&format!("workload/{protocol}")).polls(1_000, 0, bytes).delivering(1_000)])
}

/// Workload and memory cells of all protocols.
fn loaded(cpu_us: [u64; 5], kb: [u64; 5]) -> Vec<Cell> {
    let mut loaded = Vec::new();
    for (i, column) in COLUMNS.iter().enumerate() {
        loaded.push(framed(column.protocol, 2.0, 6.0).cpu_us(cpu_us[i]).build());
        for clients in [100, 500, 1_000] {
            let name = format!("memory/{}/{clients}", column.protocol);
            loaded.push(sample::cell(&name).idle(clients, kb[i] * 1_000).build());
        }
    }
    loaded
}

/// A connection for each short poll; who recovers from a cut, and what a delivery costs, is told.
fn scaling(recovers: [&str; 5], cpu_us: [u64; 4]) -> Made {
    let mut made = row("probe", "reconnect", recovers);
    let [short, long, websocket, sse] = cpu_us;
    made.cells.push(sample::cell("workload/short-poll").polls(30_000, 10_000, 600).cpu_us(short).build());
    for (protocol, cpu_us) in [("long-poll", long), ("websocket", websocket), ("sse", sse)] {
        made.cells.push(framed(protocol, 2.0, 6.0).cpu_us(cpu_us).build());
    }
    made.cells.extend(peers(0).cells);
    made
}

/// Protocols of so many lines.
fn written(lines: [u32; 5]) -> Made {
    let count = |(column, lines): (&super::column::Column, u32)| SourceCount {
        protocol: column.protocol.into(),
        client_lines: lines / 2,
        server_lines: lines - lines / 2,
        dependencies: vec!["a".into()],
    };
    Made { cells: Vec::new(), source: COLUMNS.iter().zip(lines).map(count).collect() }
}

/// Damages a cell.
type Damage = fn(&mut Cell);

/// Ways in which a run says nothing about what was asked for.
#[rustfmt::skip]
static BREAKAGES: &[(&str, Damage)] = &[
    ("failed", |cell| cell.status = Status::Failed("server gone".into())),
    ("interrupted", |cell| cell.status = Status::Interrupted),
    ("invalid", |cell| cell.trust.level = TrustLevel::Invalid),
    ("one client missing", |cell| cell.counts.connected -= 1),
    ("one client cut short", |cell| cell.counts.cut_short = 1),
    ("no client at all", |cell| cell.counts.connected = 0),
];

#[test]
fn every_bound_claim_can_come_out_otherwise() {
    let nothing = Made::default();
    let matrix = Matrix::from_parts(&[], &[]);
    let evidence = Evidence::new(&[], &[]);
    for claim in all() {
        let bound = !claim_table::answer(claim, &evidence, &matrix).1.is_empty();
        let rows: Vec<&Row> = ROWS.iter().filter(|(id, ..)| *id == claim.id).collect();
        assert_eq!(rows.len(), usize::from(bound), "{}: two made-up runs for each bound claim", claim.id);
        for (id, good, holds, fails) in rows {
            assert_eq!(holds().word(id), *good, "{id}");
            assert_eq!(fails().word(id), "not reproduced", "{id}");
            assert_eq!(nothing.word(id), "not measured", "{id}");
        }
    }
}

#[test]
fn no_claim_holds_by_a_run_that_says_nothing() {
    for (id, _, holds, _) in ROWS {
        for (how, damage) in BREAKAGES {
            let mut broken = holds();
            broken.cells.iter_mut().for_each(damage);
            if broken.cells.is_empty() {
                continue;
            }
            let word = broken.word(id);
            // How many came is the answer to some.
            let crowd = ["lp-capacity", "ws-capacity", "server-scale"].contains(id) && how.starts_with("one");
            let expected = if crowd { "not reproduced" } else { "not measured" };
            assert_eq!(word, expected, "{id}: {how}");
        }
        let mut mute = holds();
        let loaded = mute.cells.iter_mut().filter(|cell| cell.counts.delivered > 0);
        if loaded.map(|cell| cell.counts.delivered = 0).count() > 0 {
            assert_eq!(mute.word(id), "not measured", "{id}: nothing delivered");
        }
        let mut untold = holds();
        let probes = untold.cells.iter_mut().flat_map(|cell| &mut cell.probes);
        if probes.map(|probe| probe.found.clear()).count() > 0 {
            assert_eq!(untold.word(id), "not measured", "{id}: the probe could not tell");
        }
    }
}
