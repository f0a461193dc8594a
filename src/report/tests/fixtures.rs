//! Made-up runs that tests of reports share.

use crate::guide::column::COLUMNS;
use crate::host::facts::HostFacts;
use crate::measure::cell::{Cell, FailureCount, Interval, Status, TrustLevel};
use crate::measure::run::{RunFile, RunStatus, ScenarioText, ThresholdText, Tool};
use crate::measure::sample;
use crate::measure::source::SourceCount;
use crate::report::*;
use crate::scenario::kinds::Headers;
use std::collections::BTreeMap;

/// A run whose matrix has every kind of verdict.
pub(in crate::report) fn matrix_run() -> Run {
    let mut cells = Vec::new();
    let quick: Vec<f64> = (0..2_000).map(|i| 0.2 + f64::from(i) / 10_000.0).collect();
    for (i, column) in COLUMNS.iter().enumerate() {
        let cpu_us = [90, 50, 30, 40, 5][i];
        let cell = sample::cell(&format!("workload/{}", column.protocol)).latency_ms(&quick, 2_000);
        cells.push(match column.protocol {
            "short-poll" => cell.polls(30_000, 10_000, 900).cpu_us(cpu_us).build(),
            "long-poll" => cell.polls(27_000, 0, 820).delivering(27_000).cpu_us(cpu_us).build(),
            "webrtc" => cell
                .datagrams(31_500, 16_000)
                .cpu_us(cpu_us)
                .with(|cell| {
                    cell.spec.webrtc.peer_to_peer = true;
                    cell.server.as_mut().unwrap().published_bytes = Some(0);
                })
                .build(),
            "sse" => cell
                .stream(62.0, 900.0)
                .cpu_us(cpu_us)
                .with(|cell| cell.publisher_wire.exchanges = 3_500)
                .build(),
            _ => cell.stream(2.0, 6.0).cpu_us(cpu_us).build(),
        });
        for clients in [100, 500, 1_000] {
            let name = format!("memory/{}/{clients}", column.protocol);
            cells.push(sample::cell(&name).idle(clients, [2_000, 9_000, 10_000, 8_500, 1_000][i]).build());
        }
    }
    cells.push(
        sample::cell("minimal/long-poll")
            .polls(27_000, 0, 230)
            .delivering(27_000)
            .with(|c| c.spec.http.headers = Headers::Minimal)
            .build(),
    );
    cells.push(
        sample::cell("minimal/short-poll")
            .polls(30_000, 10_000, 230)
            .with(|c| c.spec.http.headers = Headers::Minimal)
            .build(),
    );
    cells.push(
        sample::cell("minimal/sse")
            .stream(62.0, 0.0)
            .with(|c| c.spec.http.headers = Headers::Minimal)
            .build(),
    );
    let uniform: Vec<f64> = (0..600).map(|i| 5_000.0 * (f64::from(i) + 0.5) / 600.0).collect();
    let polled = sample::cell("poll-latency/short-poll").polls(6_000, 5_400, 600).delivering(600);
    let polled = polled.latency_ms(&uniform, 600).with(|cell| {
        cell.spec.rate_per_s = 0.02;
        cell.server.as_mut().unwrap().lookups = Some(6_000);
    });
    cells.push(polled.build());
    for (protocol, found) in [
        ("short-poll", ["new each", "request/response", "no", "yes"]),
        ("long-poll", ["held open", "request/response", "no", "yes"]),
        ("websocket", ["persistent", "both", "yes", "no"]),
        ("sse", ["held open", "server to client", "no", "yes"]),
    ] {
        let cell = sample::cell(&format!("probe/{protocol}"));
        let names = ["connection", "direction", "binary", "reconnect"];
        let cell = names.iter().zip(found).fold(cell, |cell, (name, found)| cell.probe(name, found, ""));
        cells.push(cell.build());
    }
    run(RunKind::Matrix, &["rtbench", "matrix"], cells)
}

pub(in crate::report) fn run(kind: RunKind, command: &[&str], cells: Vec<Cell>) -> Run {
    let file = RunFile {
        schema_version: 1,
        tool: Tool { version: "0.1.0".into(), revision: None },
        kind,
        command: command.iter().map(|&word| word.into()).collect(),
        seed: 7,
        started: "2026-11-24T08:15:00Z".into(),
        finished: Some("2026-11-24T08:16:30Z".into()),
        host: HostFacts {
            os: "linux".into(),
            kernel: Some("6.1.0".into()),
            cpu_model: Some("Example CPU".into()),
            cores: Some(2),
            memory_bytes: Some(8_000_000_000),
            ..HostFacts::default()
        },
        scenario: ScenarioText { name: "matrix".into(), text: "[load]\nclients = 1000\n".into() },
        swept: Vec::new(),
        planned: Vec::new(),
        thresholds: Vec::new(),
        floor: None,
        gate: None,
        search: None,
        users: None,
        source: COLUMNS
            .iter()
            .zip([(120, 60, 2), (160, 70, 2), (210, 230, 4), (420, 110, 5), (1_300, 900, 5)])
            .map(|(column, (client_lines, server_lines, crates))| SourceCount {
                protocol: column.protocol.into(),
                client_lines,
                server_lines,
                dependencies: ["bytes", "http", "tokio", "hyper", "serde"][..crates]
                    .iter()
                    .map(|&c| c.into())
                    .collect(),
            })
            .collect(),
        status: RunStatus::Finished,
    };
    Run { name: "20261124T081500Z-matrix".into(), file, cells, warnings: Vec::new() }
}

/// A scenario's run with something wrong in it.
pub(in crate::report) fn troubled_run() -> Run {
    let samples: Vec<f64> = (1..=1_000).map(|i| f64::from(i) / 10.0).collect();
    let good = sample::cell("workload/sse").stream(62.0, 0.0).latency_ms(&samples, 1_000).cpu_us(20);
    let good = good.with(|cell| {
        cell.counts.lost = 27;
        cell.counts.delivered -= 27;
        cell.counts.received_in_window -= 27;
        cell.trust.level = TrustLevel::Degraded;
        cell.trust.reasons.push("send lag p99 12 ms is above 10 ms".into());
        cell.failures.push(FailureCount {
            phase: "receive".into(),
            kind: "connection reset".into(),
            count: 3,
            example: "client 17: connection reset by peer".into(),
        });
        cell.intervals = (1..=3)
            .map(|s| Interval {
                at_s: s.into(),
                delivered: 900,
                published: 100,
                connected: 1_000,
                ..Interval::default()
            })
            .collect();
        cell.intervals[1].p50_ns = Some(50_000_000);
    });
    let failed = sample::cell("workload/websocket")
        .with(|cell| cell.status = Status::Failed("the server died: out of memory".into()));
    let mut run = run(
        RunKind::Scenario,
        &["rtbench", "run", "my load.toml", "-c", "1k"],
        vec![good.build(), failed.build()],
    );
    let threshold = |subject: &str, expression: &str| ThresholdText::new(subject, expression);
    run.file.thresholds = vec![
        threshold("latency", "p(95)<200ms"),
        threshold("lost", "rate<0.01%"),
        threshold("latency", "p(99.9)<1s"),
    ];
    run.warnings.push("cells.jsonl:3: the last line is torn and was skipped".into());
    run
}

/// Two cells, measured three times each: the second repetition of one cell is slow and lost something, of the other it
/// failed.
pub(in crate::report) fn repeated_run() -> Run {
    let once = |repeat: u32| {
        let slower = [1.0, 5.0, 1.2][repeat as usize];
        let samples: Vec<f64> = (1..=1_000).map(|i| slower * f64::from(i) / 1_000.0).collect();
        let cell = |name: &str| sample::cell(name).latency_ms(&samples, 1_000).stream(2.0, 6.0);
        let cell =
            |name: &str| cell(name).with(|cell| cell.spec.repeat = repeat).cpu_us(20 + 3 * u64::from(repeat));
        let sse = cell("workload/sse").with(|cell| {
            if repeat == 1 {
                (cell.counts.lost, cell.counts.delivered) = (27, cell.counts.delivered - 27);
                cell.trust.level = TrustLevel::Degraded;
                cell.trust.reasons.push("send lag p99 12 ms is above 10 ms".into());
            }
        });
        let websocket = cell("workload/websocket").with(|cell| {
            if repeat == 1 {
                cell.status = Status::Failed("the server died".into());
            }
        });
        [sse.build(), websocket.build()]
    };
    let cells = (0..3).flat_map(once).collect();
    let mut run = run(RunKind::Scenario, &["rtbench", "run", "chat", "--repeat", "3"], cells);
    let threshold = |subject: &str, expression: &str| ThresholdText::new(subject, expression);
    run.file.thresholds = vec![threshold("latency", "p(95)<200ms"), threshold("lost", "count==0")];
    run
}

pub(in crate::report) fn text(format: &dyn Format, run: &Run) -> String {
    let mut out = Vec::new();
    format.render(run, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

pub(in crate::report) fn of(name: &str, run: &Run) -> String {
    text(find(name).unwrap(), run)
}

pub(in crate::report) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// Rows of a CSV by column name.
pub(in crate::report) fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

/// A repeated run and one that was measured later, of another seed and with one cell more and one less.
pub(in crate::report) fn two_runs() -> [Run; 2] {
    let samples: Vec<f64> = (1..=1_000).map(|i| f64::from(i) / 500.0).collect();
    let cell =
        |name: &str| sample::cell(name).latency_ms(&samples, 1_000).stream(2.0, 6.0).cpu_us(25).build();
    let cells = vec![cell("workload/sse"), cell("workload/a-protocol-with-a-long-name")];
    let mut later = run(RunKind::Scenario, &["rtbench", "run", "chat"], cells);
    later.name = "20261125T081500Z-chat".into();
    later.file.seed = 8;
    [repeated_run(), later]
}
