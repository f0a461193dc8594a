//! Hand-made cells for tests: plausible by default, each test changes what it is about.

use hdrhistogram::Histogram;

use super::cell::*;
use crate::host::interference::Interference;
use crate::protocol;
use crate::scenario::cell_id::CellId;
use crate::scenario::kinds::{Headers, Pace, Pattern};
use crate::scenario::spec::{CellSpec, HttpSpec};
use crate::stats::histogram;

/// Payload of every event, in bytes.
pub(crate) const PAYLOAD_BYTES: u64 = 100;

/// A cell of 1,000 clients in groups of 10 with an event per group and second, for 30 s; `name` ends in or contains the protocol.
pub(crate) fn cell(name: &str) -> Sample {
    let is_named = |protocol: &&protocol::Protocol| name.split(['/', '@']).any(|part| part == protocol.name);
    let protocol = protocol::ALL.iter().find(is_named).unwrap_or(&protocol::ALL[0]);
    let counts = Counts {
        connected: 1_000,
        published: 3_000,
        expected: 27_000,
        delivered: 27_000,
        published_all: 3_500,
        published_all_bytes: 3_500 * PAYLOAD_BYTES,
        delivered_all: 31_500,
        delivered_all_bytes: 31_500 * PAYLOAD_BYTES,
        received_in_window: 27_000,
        ..Counts::default()
    };
    let cell = Cell {
        schema_version: SCHEMA_VERSION,
        spec: spec(CellId::read(name, protocol)),
        status: Status::Finished,
        server_failure: None,
        started_unix_s: 1_795_507_200.0,
        measured_s: 30.0,
        connect_s: 0.5,
        counts,
        reordered_by: 0,
        subscriber_wire: Wire::default(),
        publisher_wire: Wire::default(),
        response: Distribution::default(),
        service: Distribution::default(),
        send_lag: Distribution::default(),
        send_wait: Distribution::default(),
        answer: Distribution::default(),
        exchange: Distribution::default(),
        spread: Distribution::default(),
        server: Some(ServerCost {
            memory_empty_bytes: Some(4_000_000),
            memory_idle_bytes: Some(14_000_000),
            memory_after_bytes: Some(15_000_000),
            published_bytes: Some(3_000 * PAYLOAD_BYTES),
            connections: Some(1_000),
            ..ServerCost::default()
        }),
        generator: GeneratorCost {
            workers: 2,
            cpu_ns: Some(810_000_000),
            busiest_share: Some(0.02),
            run_queue_delay_ns: None,
            memory_bytes: Some(60_000_000),
            ..GeneratorCost::default()
        },
        host: Interference::default(),
        failures: Vec::new(),
        intervals: Vec::new(),
        slices: Vec::new(),
        trust: Trust { level: TrustLevel::Ok, reasons: Vec::new() },
        schedule_digest: "00000000".into(),
        probes: Vec::new(),
    };
    Sample { cell }
}

fn spec(id: CellId) -> CellSpec {
    let example = CellSpec::example();
    CellSpec {
        id,
        pattern: Pattern::Broadcast,
        clients: 1_000,
        group: 10,
        publishers: 1,
        rate_per_s: 1.0,
        pace: Pace::Constant,
        payload_bytes: PAYLOAD_BYTES as u32,
        http: HttpSpec { headers: Headers::Browser, publish_keep_alive: true },
        ramp_per_s: 2_000.0,
        warmup_s: 5.0,
        duration_s: 30.0,
        drain_s: 10.0,
        seed: 7,
        ..example
    }
}

/// A cell in the making.
pub(crate) struct Sample {
    cell: Cell,
}

impl Sample {
    pub(crate) fn build(self) -> Cell {
        self.cell
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Cell)) -> Sample {
        change(&mut self.cell);
        self
    }

    /// Byte streams with so much framing per delivery, and per published event.
    pub(crate) fn stream(self, framing: f64, publish_framing: f64) -> Sample {
        self.with(|cell| {
            let counts = &cell.counts;
            let beyond = |bytes: u64, framing: f64, n: u64| bytes + (framing * n as f64) as u64;
            cell.subscriber_wire.in_bytes = beyond(counts.delivered_all_bytes, framing, counts.delivered_all);
            cell.publisher_wire.out_bytes =
                beyond(counts.published_all_bytes, publish_framing, counts.published_all);
        })
    }

    /// So many polls for events at random times, with so many bytes of headers each.
    pub(crate) fn polls(self, exchanges: u64, empty: u64, header_bytes: u64) -> Sample {
        self.with(|cell| {
            cell.spec.pace = Pace::Poisson;
            cell.subscriber_wire = Wire {
                connections: exchanges,
                exchanges,
                empty_exchanges: empty,
                exchanges_in_window: exchanges,
                empty_exchanges_in_window: empty,
                exchange_in_bytes: cell.counts.delivered_all_bytes + exchanges * header_bytes / 2,
                exchange_out_bytes: exchanges * header_bytes / 2,
                ..Wire::default()
            }
        })
    }

    /// So many deliveries in all.
    pub(crate) fn delivering(self, n: u64) -> Sample {
        self.with(|cell| {
            let wire = &mut cell.subscriber_wire;
            let counts = &mut cell.counts;
            wire.exchange_in_bytes = wire.exchange_in_bytes - counts.delivered_all_bytes + n * PAYLOAD_BYTES;
            (counts.expected, counts.delivered, counts.received_in_window) = (n, n, n);
            (counts.delivered_all, counts.delivered_all_bytes) = (n, n * PAYLOAD_BYTES);
        })
    }

    /// Datagrams over IPv4, 60 B beyond payload per delivery, and UDP and IP headers for each.
    pub(crate) fn datagrams(self, received: u64, sent: u64) -> Sample {
        self.stream(60.0, 70.0).with(|cell| {
            let wire = &mut cell.subscriber_wire;
            (wire.datagrams_in, wire.datagrams_out) = (received, sent);
            wire.ip_in_bytes = wire.in_bytes + 28 * received;
            wire.ip_out_bytes = wire.out_bytes + 28 * sent;
            cell.publisher_wire.datagrams_out = sent;
        })
    }

    /// These response times, of so many distinct events.
    pub(crate) fn latency_ms(self, samples: &[f64], events: u64) -> Sample {
        self.with(|cell| cell.response = distribution(samples, events))
    }

    /// Server CPU per delivery, in microseconds.
    pub(crate) fn cpu_us(self, per_delivery: u64) -> Sample {
        self.with(|cell| {
            let cpu_ns = per_delivery * 1_000 * cell.counts.received_in_window;
            if let Some(server) = &mut cell.server {
                server.cpu_ns = Some(cpu_ns);
            }
        })
    }

    /// So many clients, which cost the idle server so many bytes each.
    pub(crate) fn idle(self, clients: u32, bytes_per_client: u64) -> Sample {
        self.with(|cell| {
            (cell.spec.clients, cell.spec.rate_per_s) = (clients, 0.0);
            cell.counts = Counts { connected: clients.into(), ..Counts::default() };
            if let Some(server) = &mut cell.server {
                server.memory_idle_bytes =
                    server.memory_empty_bytes.map(|empty| empty + u64::from(clients) * bytes_per_client);
            }
        })
    }

    /// An answer of a probe.
    pub(crate) fn probe(self, name: &str, found: &str, detail: &str) -> Sample {
        let probe = Probe {
            name: name.into(),
            found: found.into(),
            evidence: Default::default(),
            detail: detail.into(),
        };
        self.with(|cell| cell.probes.push(probe))
    }
}

/// A recorded time made of these samples.
pub(crate) fn distribution(samples_ms: &[f64], events: u64) -> Distribution {
    let mut recorded = Histogram::<u64>::new(3).expect("3 digits are allowed");
    let ns = |ms: &f64| (ms * 1e6) as u64;
    for sample in samples_ms {
        recorded.record(ns(sample)).expect("a histogram without a limit takes any value");
    }
    Distribution {
        count: samples_ms.len() as u64,
        events,
        sum_s: samples_ms.iter().sum::<f64>() / 1e3,
        sum_sq_s2: samples_ms.iter().map(|ms| ms * ms).sum::<f64>() / 1e6,
        min_ns: samples_ms.iter().map(ns).min().unwrap_or(0),
        max_ns: samples_ms.iter().map(ns).max().unwrap_or(0),
        histogram: histogram::encode(&recorded),
    }
}
